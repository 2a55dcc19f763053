//! What the person at a viewer is told, cleaned: much of it holds the host's words.

use pillion_caps::UnixMillis;
use pillion_proto::{OwnLabel, limits::MAX_SENTENCE};
use pillion_screen::clean::clean_title;
use pillion_session::{
    Ending, Interruption, NotAsked, NotOpened, NotSaid, NotTyped, View, ViewerNotice,
};

use super::{
    moment::Zone,
    reason::{
        dropped, end_reason, host_notice, inside_itself, may_not_open, refused, request_refused,
        right,
    },
    span,
};

/// Something to show for a while.
pub fn viewer_notice(notice: &ViewerNotice, view: &View, zone: Zone) -> String {
    let text = match notice {
        ViewerNotice::Right {
            rights,
            until_unix_ms,
            why,
        } => right(*rights, *until_unix_ms, why.as_ref(), zone),
        ViewerNotice::RequestRefused(why) => request_refused(why.as_ref()),
        ViewerNotice::Dropped { track, why } => dropped(*track, *why),
        ViewerNotice::Host(what) => host_notice(what.as_ref(), &view.host_name, zone),
        ViewerNotice::NotAsked(why) => not_asked(*why).to_owned(),
        ViewerNotice::NotTyped(why) => not_typed(*why).to_owned(),
        ViewerNotice::NotOpened(why) => not_opened(*why).to_owned(),
        ViewerNotice::NotSaid(NotSaid::ReadOnlyViewer) => {
            "you joined with --read-only: what you say goes nowhere".to_owned()
        }
        ViewerNotice::NotSaid(NotSaid::MayWatch) => {
            "you may watch this conversation: ask the host for more".to_owned()
        }
        ViewerNotice::NotConnected => {
            "not connected at this moment; try again in a moment".to_owned()
        }
        ViewerNotice::LostWhileAway => {
            "what you typed while the connection was gone was not typed on the host".to_owned()
        }
        ViewerNotice::LookedAtGone => {
            "what you looked at is there no longer: you see what the host looks at".to_owned()
        }
        ViewerNotice::UnknownKind(track) => format!(
            "track {track} is of a kind that this version of Pillion can't show: choose another one, or update \
             Pillion"
        ),
        ViewerNotice::NotAsSigned { track, fault } => format!(
            "what came of terminal {track} is not what its host signed ({fault}): it is asked for again"
        ),
        ViewerNotice::TooMuchHistory => {
            "some history can't be shown: the host sent more than was asked for".to_owned()
        }
        ViewerNotice::BadHistory(error) => format!("some history can't be shown: {error}"),
    };
    clean(&text)
}

fn not_asked(why: NotAsked) -> &'static str {
    match why {
        NotAsked::ReadOnlyViewer => "you joined with --read-only: join again without it to type",
        NotAsked::HasEdit => "you can type already",
        NotAsked::ReadOnly => "edit can't be granted in this session",
        NotAsked::NotConnected => "not connected at this moment; ask again in a moment",
        NotAsked::Asked => "the host has been asked and has not answered yet",
    }
}

fn not_typed(why: NotTyped) -> &'static str {
    match why {
        NotTyped::ReadOnlyViewer => "you joined with --read-only: what you type goes nowhere",
        NotTyped::ReadOnly => "this session is for watching: edit can't be granted in it",
        NotTyped::Asked => "you may watch, not type, until the host answers your request",
        NotTyped::MayNotType => "you may watch, not type: ask the host for edit",
        NotTyped::ProgramEnded => "this program has ended: what you type goes nowhere",
        NotTyped::TooMuch => {
            "not typed: too much is still on its way to the host; try again in a moment"
        }
    }
}

fn not_opened(why: NotOpened) -> &'static str {
    match why {
        NotOpened::ReadOnlyViewer => {
            "you joined with --read-only: join again without it to open terminals"
        }
        NotOpened::MayNotOpen => may_not_open(),
        NotOpened::TooMuch => {
            "not done: too much is still on its way to the host; try again in a moment"
        }
    }
}

/// Why there is no connection, or not yet one that the host took.
pub fn interruption(why: &Interruption) -> String {
    match why {
        Interruption::Refused(why) => clean(&refused(why, Zone::UTC)),
        Interruption::NoAnswer => "the host did not answer".to_owned(),
        Interruption::NotSigned => "your identity key has not signed for eight seconds".to_owned(),
        Interruption::Silence => "nothing was heard from the host for a while".to_owned(),
        Interruption::Transport(why) => clean(why),
    }
}

/// The host is being asked, for so long at most.
pub fn knocking(you: &OwnLabel, wait_ms: u32, view: &View) -> String {
    let name = match you.name.as_str() {
        "" => String::new(),
        name => format!(" {name}"),
    };
    let (id, print) = (you.id.0, view.identity.fingerprint());
    clean(&format!(
        "the host is being asked whether to let you in, for {} at most. They see you as {id}{name} ({print})",
        span(u64::from(wait_ms))
    ))
}

/// How it ended.
pub fn ending(why: &Ending, zone: Zone) -> String {
    let text = match why {
        Ending::Left => "you left the session".to_owned(),
        Ending::InsideItself => inside_itself().to_owned(),
        Ending::NotSigned(why) => not_signed(why),
        Ending::PartlySigned => not_signed("its holder left some of it out"),
        Ending::Refused(why) => refused(why, zone),
        Ending::Ended(ended) => {
            let when = zone.moment(UnixMillis(ended.at_unix_ms));
            format!("{} ({when})", end_reason(ended.why.as_ref()))
        }
        Ending::Protocol(error) => error.to_string(),
    };
    clean(&text)
}

fn not_signed(why: &str) -> String {
    format!(
        "your identity key did not sign, so the host cannot be told who you are ({why}): see to what holds the key, \
         then join again"
    )
}

fn clean(text: &str) -> String {
    clean_title(text, MAX_SENTENCE)
}

#[cfg(test)]
mod tests {
    use pillion_caps::{Refusal, SecretKey};
    use pillion_people::ClaimError;
    use pillion_proto::{
        DropReason, EndReason, Ended, HostTerminal, NoticeKind, ParticipantId, RefusalReason,
        Refused, RefusedCode, RequestRefusal, RightReason, Rights, Text, TrackId,
    };
    use pillion_session::{Now, Viewer, ViewerConfig};

    use super::*;

    fn view() -> View {
        let key = SecretKey::from_bytes(&[7; 32]).public();
        let config = ViewerConfig {
            identity: key,
            session: SecretKey::from_bytes(&[8; 32]).public(),
            link: None,
            grants: Vec::new(),
            claims: Vec::new(),
            name: "anna".to_owned(),
            software: String::new(),
            join: pillion_proto::JoinId([1; 16]),
            read_only: false,
            inside: Vec::new(),
        };
        let mut view = Viewer::new(config, Now::default()).view().clone();
        view.host_name = "olga".to_owned();
        view
    }

    /// Two hours east of UTC.
    const EAST: Zone = Zone(|_| 7200);

    fn by() -> Text<{ pillion_proto::limits::MAX_NAME }> {
        Text::cut("olga")
    }

    #[test]
    fn what_the_host_tells_is_said_in_words() {
        let right = |rights, until_unix_ms, why| ViewerNotice::Right {
            rights,
            until_unix_ms,
            why,
        };
        let dropped = |track, why| ViewerNotice::Dropped { track, why };
        let granted = RightReason::Granted {
            by: by(),
            ttl_ms: 8 * 3_600_000,
        };
        for (notice, said) in [
            (
                right(Rights::EDIT, Some(1_777_636_807_000), Some(granted)),
                "olga gave you edit for 8 h (until 14:00)",
            ),
            (
                right(Rights::EDIT, None, Some(RightReason::Listed { by: by() })),
                "olga gave you the right to type",
            ),
            (right(Rights::VIEW, None, None), "you can watch now"),
            (
                ViewerNotice::RequestRefused(Some(RequestRefusal::AskLater { wait_ms: 4_000 })),
                "the host said no a moment ago; ask again in 4 s",
            ),
            (
                dropped(Some(TrackId(1)), Some(DropReason::ProgramEnded)),
                "not typed: the program has ended",
            ),
            (
                dropped(None, None),
                "not done: for a reason that this version does not know; upgrade pillion to read it",
            ),
            (
                ViewerNotice::Host(Some(NoticeKind::HostTerminal(HostTerminal::Attached))),
                "olga is at their terminal again",
            ),
            (
                ViewerNotice::Host(None),
                "the host says something that this version does not know; upgrade pillion to read it",
            ),
        ] {
            assert_eq!(viewer_notice(&notice, &view(), EAST), said);
        }
    }

    #[test]
    fn how_it_ended_is_said_in_words() {
        let refused = |code, why| Ending::Refused(Refused { code, why });
        let team = RefusalReason::NotAMember {
            claim: Some(ClaimError::Removed),
        };
        let ended = |why| {
            Ending::Ended(Ended {
                why,
                at_unix_ms: 1_777_636_807_000,
            })
        };
        for (why, parts) in [
            (
                ended(Some(EndReason::Stopped { by: by() })),
                ["olga stopped sharing (2026-05-01 14:00", "+02:00)"],
            ),
            (ended(None), ["sharing ended", "this version does not know"]),
            (
                refused(RefusedCode::NOT_ADMITTED, Some(team)),
                ["only members of a team", "took your membership back"],
            ),
            (
                refused(
                    RefusedCode::GRANT,
                    Some(RefusalReason::Grant(Refusal::Revoked)),
                ),
                ["the host revoked this grant", "pillion grant"],
            ),
            (
                refused(RefusedCode::BARRED, None),
                ["removed you", "this version does not know"],
            ),
            (
                refused(RefusedCode(99), None),
                ["refused this connection", "upgrade pillion"],
            ),
            (
                Ending::NotSigned("no agent".to_owned()),
                ["did not sign", "no agent"],
            ),
        ] {
            let said = ending(&why, EAST);
            for part in parts {
                assert!(said.contains(part), "{said}");
            }
        }
    }

    #[test]
    fn what_a_host_made_up_is_shown_without_what_a_terminal_would_obey() {
        let nasty = "a\x1b]52;c;aGk=\x07\u{202e}b";
        let mut view = view();
        let by = Text::cut(nasty);
        let you = OwnLabel {
            id: ParticipantId(3),
            name: Text::cut(nasty),
        };
        let refused = Refused {
            code: RefusedCode::NOT_ADMITTED,
            why: Some(RefusalReason::Declined { by: by.clone() }),
        };
        let malformed = Refused {
            code: RefusedCode::PROTOCOL,
            why: Some(RefusalReason::Malformed {
                what: Text::cut(nasty),
            }),
        };
        let not_opened = NoticeKind::NotOpened {
            why: Text::cut(nasty),
        };
        let revoked = ViewerNotice::Right {
            rights: Rights::VIEW,
            until_unix_ms: None,
            why: Some(RightReason::Revoked { by }),
        };
        view.host_name = "olga".to_owned();
        for said in [
            ending(&Ending::Refused(refused), EAST),
            interruption(&Interruption::Refused(malformed)),
            interruption(&Interruption::Transport(nasty.to_owned())),
            knocking(&you, 120_000, &view),
            viewer_notice(&ViewerNotice::Host(Some(not_opened)), &view, EAST),
            viewer_notice(&revoked, &view, EAST),
        ] {
            assert!(said.contains("a]52;c;aGk=b"), "{said:?}");
        }
        let you = OwnLabel {
            id: ParticipantId(3),
            name: Text::cut("anna"),
        };
        assert_eq!(
            knocking(&you, 120_000, &view),
            format!(
                "the host is being asked whether to let you in, for 2 min at most. They see you as 3 anna ({})",
                view.identity.fingerprint()
            )
        );
    }
}

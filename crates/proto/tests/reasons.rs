//! Every reason that a host gives: golden bytes, and what a reader makes of one that it does not know.

use std::fmt::Debug;

use pillion_caps::{
    Bound, GrantId, Limited, Malformed, Refusal, Role, Tagged, UnixMillis, Unprovable,
};
use pillion_people::{ClaimError, ClaimPart, NotAName, NotAPerson, Reading, TokenError};
use pillion_proto::*;
use serde::{Serialize, de::DeserializeOwned};

const LATER: UnixMillis = UnixMillis(1_777_636_807_000);
const NOW: UnixMillis = UnixMillis(1_777_636_900_000);

fn by() -> Text<{ limits::MAX_NAME }> {
    Text::cut("anna")
}

fn malformed() -> Vec<Malformed> {
    vec![
        Malformed::Truncated,
        Malformed::Trailing(300),
        Malformed::TooLong(5000),
        Malformed::Version(9),
        Malformed::Tag {
            what: Tagged::Audience,
            tag: 9,
        },
        Malformed::Rights(3),
        Malformed::Blocks(9),
        Malformed::Key,
        Malformed::Email,
        Malformed::Subject,
        Malformed::Hex(32),
    ]
}

fn refusals() -> Vec<Refusal> {
    vec![
        Refusal::Malformed(Malformed::Truncated),
        Refusal::Altered,
        Refusal::NotHolder(Role::Link),
        Refusal::OtherSession,
        Refusal::OtherKey,
        Refusal::Unsupported(Unprovable::Team),
        Refusal::NeverValid,
        Refusal::NotDelegable,
        Refusal::TooDeep,
        Refusal::Widens(Bound::Uses),
        Refusal::Expired {
            expires: LATER,
            now: NOW,
        },
        Refusal::NotYetValid {
            not_before: LATER,
            now: NOW,
            delegated: true,
        },
        Refusal::Unknown(GrantId::from_bytes([7; 16])),
        Refusal::Revoked,
        Refusal::UsedUp { uses: 300 },
        Refusal::Barred,
        Refusal::NotRecorded("no space left".to_owned()),
        Refusal::Full {
            what: Limited::BannedPeople,
            limit: 4096,
        },
    ]
}

fn tokens() -> Vec<TokenError> {
    vec![
        TokenError::Malformed,
        TokenError::Algorithm("none".to_owned()),
        TokenError::Signature,
        TokenError::Issuer("https://other.example".to_owned()),
        TokenError::Audience,
        TokenError::Expired {
            expires: LATER,
            now: NOW,
        },
        TokenError::FromFuture {
            issued: NOW,
            now: LATER,
        },
        TokenError::Nonce,
        TokenError::NoAddress,
        TokenError::Unverified("anna@example.org".parse().unwrap()),
    ]
}

fn claims() -> Vec<ClaimError> {
    vec![
        ClaimError::TooLong(9000),
        ClaimError::Malformed(ClaimPart::Removals),
        ClaimError::Unknown(9),
        ClaimError::Person(NotAPerson::Name(NotAName::ReadsAs(Reading::KeyList))),
        ClaimError::SshNamespace,
        ClaimError::SshSignature,
        ClaimError::Expired {
            expires: LATER,
            now: NOW,
        },
        ClaimError::NotYetValid {
            not_before: NOW,
            now: LATER,
        },
        ClaimError::TooLongLived {
            expires: NOW,
            now: LATER,
        },
        ClaimError::KeysWanted {
            issuer: "https://id.example".parse().unwrap(),
        },
        ClaimError::Token(TokenError::Nonce),
        ClaimError::OtherMember,
        ClaimError::TeamSignature,
        ClaimError::Removed,
    ]
}

fn refused() -> Vec<RefusalReason> {
    vec![
        RefusalReason::Version(VersionMismatch::HostTooOld { viewer: 3, host: 1 }),
        RefusalReason::NotShared,
        RefusalReason::Ticket,
        RefusalReason::CodeWithoutEndpoint,
        RefusalReason::CodeOfAnother,
        RefusalReason::Grant(Refusal::Revoked),
        RefusalReason::Proof(Refusal::NotHolder(Role::Identity)),
        RefusalReason::Key,
        RefusalReason::Removed,
        RefusalReason::Barred { by: by() },
        RefusalReason::Declined { by: by() },
        RefusalReason::Unanswered { waited_ms: 120_000 },
        RefusalReason::KnockLater { wait_ms: 30_000 },
        RefusalReason::NotAMember {
            claim: Some(ClaimError::Removed),
        },
        RefusalReason::MembershipRevoked,
        RefusalReason::InsideItself,
        RefusalReason::NotVouched,
        RefusalReason::Full,
        RefusalReason::GaveWay,
        RefusalReason::ManyJoin,
        RefusalReason::ManyKnock {
            from: Some(KnocksFrom::Network { prefix: 56 }),
        },
        RefusalReason::TooOften { wait_ms: 1000 },
        RefusalReason::AllTooOften { wait_ms: 1000 },
        RefusalReason::HereOften { max: 16 },
        RefusalReason::KnocksOften { max: 4 },
        RefusalReason::NoHello { within_ms: 10_000 },
        RefusalReason::Flood,
        RefusalReason::TooLong {
            length: 100_000,
            max: 65_536,
        },
        RefusalReason::Malformed {
            what: Text::cut("a hello"),
        },
    ]
}

fn rights() -> Vec<RightReason> {
    vec![
        RightReason::Standing,
        RightReason::HasEdit,
        RightReason::Granted {
            by: by(),
            ttl_ms: 28_800_000,
        },
        RightReason::Listed { by: by() },
        RightReason::GrantAccepted,
        RightReason::GrantAcceptedElsewhere,
        RightReason::Revoked { by: by() },
        RightReason::Expired,
        RightReason::MembershipRevoked,
    ]
}

fn requests() -> Vec<RequestRefusal> {
    vec![
        RequestRefusal::ReadOnly,
        RequestRefusal::Declined { by: by() },
        RequestRefusal::AskLater { wait_ms: 10_000 },
    ]
}

fn ends() -> Vec<EndReason> {
    vec![
        EndReason::Stopped { by: by() },
        EndReason::TerminalClosed,
        EndReason::Exited(-1),
        EndReason::Killed(9),
        EndReason::ProgramEnded,
    ]
}

fn drops() -> Vec<DropReason> {
    vec![
        DropReason::ReadOnlyViewer,
        DropReason::MayNotType,
        DropReason::MayNotOpen,
        DropReason::NotShared,
        DropReason::RightTaken,
        DropReason::WaitedTooLong,
        DropReason::NoSuchTerminal,
        DropReason::NotATerminal,
        DropReason::ProgramEnded,
        DropReason::Empty,
        DropReason::NotRead,
        DropReason::Interrupted,
        DropReason::NotKnownHere,
        DropReason::TooManyTerminals,
        DropReason::NotTheirs,
        DropReason::SessionEnded,
        DropReason::Conversation(7),
        DropReason::NoConversation,
    ]
}

fn notices() -> Vec<NoticeKind> {
    vec![
        NoticeKind::Grant(Refusal::OtherKey),
        NoticeKind::Claim(ClaimError::SshSignature),
        NoticeKind::NotOpened {
            why: Text::cut("no such file"),
        },
        NoticeKind::HostTerminal(HostTerminal::Attached),
    ]
}

fn terminals() -> Vec<HostTerminal> {
    vec![
        HostTerminal::Attached,
        HostTerminal::Left,
        HostTerminal::Lost,
        HostTerminal::Closed,
    ]
}

fn admitted() -> Vec<AdmittedBy> {
    vec![
        AdmittedBy::Ticket,
        AdmittedBy::Code(300),
        AdmittedBy::Grant,
        AdmittedBy::List,
        AdmittedBy::Team,
        AdmittedBy::Answer,
    ]
}

/// Every number has a sample, in order, comes back from bytes and from JSON, and is a line of the golden file.
#[track_caller]
fn lines<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    name: &str,
    samples: &[T],
) -> Vec<String> {
    let lines = samples.iter().enumerate().map(|(number, sample)| {
        let bytes = postcard::to_allocvec(sample).unwrap();
        assert_eq!(usize::from(bytes[0]), number, "{sample:?}");
        assert_eq!(postcard::from_bytes::<T>(&bytes).as_ref(), Ok(sample));
        let json = serde_json::to_string(sample).unwrap();
        let read: T = serde_json::from_str(&json).unwrap();
        assert_eq!(&read, sample);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name} {hex} {json}")
    });
    let lines = lines.collect();
    let next = [&[u8::try_from(samples.len()).unwrap()], &[0; 64][..]].concat();
    assert!(
        postcard::from_bytes::<T>(&next).is_err(),
        "{name} {} has no sample",
        samples.len()
    );
    lines
}

#[test]
fn every_reason_has_the_number_and_the_bytes_it_always_had() {
    let golden = include_str!("reasons.golden");
    let made = [
        lines("malformed", &malformed()),
        lines("refusal", &refusals()),
        lines("token", &tokens()),
        lines("claim", &claims()),
        lines("refused", &refused()),
        lines("right", &rights()),
        lines("request", &requests()),
        lines("end", &ends()),
        lines("drop", &drops()),
        lines("notice", &notices()),
        lines("terminal", &terminals()),
        lines("admitted", &admitted()),
    ]
    .concat();
    for (made, golden) in made.iter().zip(golden.lines()) {
        assert_eq!(made, golden, "the wire format changed");
    }
    assert_eq!(made.len(), golden.lines().count(), "{}", made.join("\n"));
}

#[test]
fn a_reason_of_a_newer_version_is_unknown_and_the_message_goes_on_behind_it() {
    // Up to 9; reason 99 with two fields in three bytes; of track 7.
    let bytes = [9, 3, 99, 1, 2, 1, 7];
    let read = FromHost::decode(tag::host::DROPPED, &bytes);
    let dropped = Dropped {
        upto: 9,
        why: None,
        track: Some(TrackId(7)),
    };
    assert_eq!(read, Ok(FromHost::Dropped(dropped)));
}

#[test]
fn a_refusal_keeps_its_code_when_its_reason_is_not_known() {
    let read = FromHost::decode(tag::host::REFUSED, &[RefusedCode::BUSY.0, 1, 99]);
    let refused = Refused {
        code: RefusedCode::BUSY,
        why: None,
    };
    assert_eq!(read, Ok(FromHost::Refused(refused)));
}

//! What the host's own side asked for and got: the changes it makes are told to the model, and what the
//! control socket asks for is not taken for the host's own word once somebody else has typed.

use pillion_caps::{AccessMode, Grant, PublicKey, SecretKey, Subject};
use pillion_people::{Name, SubjectRef};
use pillion_proto::{FromHost, GrantToken, Rights};
use pillion_session::{
    Actor, Command, CommandError, ConnId, Done, HostNotice, HostOutput, PersonLabel, Reply,
    SubjectLabel, Target, host::WhoLine, verbs,
};

use crate::model::{Effect, Granted};

use super::{Sabotage, World, hosting::Asked};

impl World {
    /// A command came back: what it changed.
    pub(super) fn check_done(
        &mut self,
        asked: &Asked,
        result: &Result<Done, CommandError>,
        told: &[(ConnId, FromHost)],
    ) {
        let Ok(done) = result else {
            return self.check_failed(asked, result);
        };
        let could_be_theirs = asked.editor_here || asked.remote_input;
        let unconfirmed =
            asked.widens && asked.by == Actor::Socket && could_be_theirs && !asked.confirmed;
        self.require(!unconfirmed, || {
            format!(
                "{:?} was not confirmed, and could be somebody else's word",
                asked.command
            )
        });
        let entries = self.host.as_ref().map_or(0, |side| side.entries);
        match (&asked.command, &done.reply) {
            (Command::Grant(grant), Reply::Grant(verbs::Granted::Given { person, .. })) => {
                let push = told.iter().find_map(|(_, message)| match message {
                    FromHost::Grant(push) => Grant::from_bytes(&push.grant).ok(),
                    _ => None,
                });
                match (self.named(asked, person), push) {
                    (Some(who), Some(made)) => {
                        self.granted(entries, Some(who), grant.rights, grant.ttl_ms, None, &made)
                    }
                    _ => self.fail(format!("nobody was granted anything: {person}")),
                }
            }
            (Command::GrantLink(link), Reply::GrantLink(verbs::Token { token, .. })) => {
                let parsed: Option<(GrantToken, Grant)> =
                    token.parse().ok().and_then(|token: GrantToken| {
                        let grant = Grant::from_bytes(&token.grant).ok()?;
                        Some((token, grant))
                    });
                let Some((token, grant)) = parsed else {
                    return self.fail(format!("no token: {token}"));
                };
                self.tokens
                    .push((token.grant.into(), SecretKey::from_bytes(&token.link)));
                let uses = Some(link.uses.get());
                self.granted(entries, None, link.rights, link.ttl_ms, uses, &grant);
            }
            (Command::Revoke(_), Reply::Revoke(revoked)) => {
                self.check_revoked(entries, asked, revoked)
            }
            (Command::Stop(_), Reply::Stop(())) => self.model.apply(entries, Effect::RevokeAll),
            (Command::Kick(_), Reply::Kick(kicked)) => self.check_kicked(asked, kicked),
            (Command::SetAccessMode(set), _) => {
                let is = self.model.door();
                let mode = set.mode;
                self.require(is == mode, || format!("{mode:?} was asked for, not {is:?}"));
            }
            (Command::Allow(allow), Reply::Allow(verbs::Allowed { who, .. })) => {
                self.named_first(asked, who);
                if let Some(subject) = subject_of(&allow.target) {
                    let listed = self.model.is_listed(std::slice::from_ref(&subject));
                    self.require(listed, || format!("{who:?} is not on the list"));
                }
            }
            (Command::Ban(_), Reply::Ban(verbs::Banned::Person(kicked))) => {
                self.check_kicked(asked, kicked);
            }
            (Command::Ban(ban), Reply::Ban(verbs::Banned::Subjects { who, .. })) => {
                self.named_first(asked, who);
                if let Some(subject) = subject_of(&ban.target) {
                    let out = self.model.is_kept_out(std::slice::from_ref(&subject));
                    self.require(out, || format!("{who:?} is not kept out"));
                }
            }
            _ => {}
        }
    }

    fn check_revoked(&mut self, entries: u64, asked: &Asked, revoked: &verbs::Revoked) {
        match revoked {
            verbs::Revoked::Links => self.model.apply(entries, Effect::RevokeLinks),
            verbs::Revoked::All => self.model.apply(entries, Effect::RevokeAll),
            verbs::Revoked::Grant(grant) => {
                let mut ids = self.model.ids().into_iter();
                match ids.find(|id| id.to_string() == *grant) {
                    Some(id) => self.model.apply(entries, Effect::RevokeGrant(id)),
                    None => self.fail(format!("no grant {grant} was there to revoke")),
                }
            }
            verbs::Revoked::Person { person, .. } => match self.named(asked, person) {
                Some(who) => self.model.apply(entries, Effect::RevokePerson(who)),
                None => self.fail(format!("nobody was revoked: {person}")),
            },
            // Somebody who is gone; what was written down says the rest.
            verbs::Revoked::Listed { .. } | verbs::Revoked::KeyList(_) => {}
        }
    }

    fn check_kicked(&mut self, asked: &Asked, kicked: &verbs::Kicked) {
        let person = &kicked.person;
        match self.named(asked, person) {
            Some(who) => {
                let out = self.model.is_barred(&who);
                self.require(out, || format!("{person} is not kept out"));
            }
            None if kicked.knocked => {}
            None => self.fail(format!("nobody was kicked: {person}")),
        }
    }

    fn granted(
        &mut self,
        entries: u64,
        to: Option<PublicKey>,
        right: Rights,
        ttl_ms: Option<u64>,
        uses: Option<u32>,
        grant: &Grant,
    ) {
        let from = self.host_unix_ms();
        let until = from + ttl_ms.unwrap_or(8 * 3_600_000);
        self.require(!self.model.read_only || !right.exceeds_view(), || {
            "edit is granted in a read-only session".into()
        });
        let terms = grant.terms();
        self.require(
            terms.expires.0 == until && terms.session == self.session.public(),
            || format!("a grant is not what was asked for: {terms:?}"),
        );
        // In the ledger's order: what ended is forgotten, the new one is issued, and maybe used.
        let used = u64::from(to.is_some());
        if self.model.has_ended_grants(from) {
            self.model.apply(entries - used - 1, Effect::Forget(from));
        }
        let issued = Granted {
            to,
            right,
            from,
            until,
            uses,
        };
        self.model
            .apply(entries - used, Effect::Issue(grant.id(), issued));
        if let Some(who) = to {
            self.model.apply(entries, Effect::Redeem(grant.id(), who));
        }
    }

    /// The same for the first of several.
    fn named_first(&mut self, asked: &Asked, who: &[SubjectLabel]) {
        if let Some(SubjectLabel::Person(person)) = who.first() {
            self.named(asked, person);
        }
    }

    /// Whom an answer is about. Checked against who was meant.
    fn named(&mut self, asked: &Asked, person: &PersonLabel) -> Option<PublicKey> {
        let number = person.id.0;
        let who = *self.host.as_ref()?.numbers.get(&person.id)?;
        self.require(who == person.identity, || {
            format!("{person} is called by the key of somebody else")
        });
        let command = &asked.command;
        let target = match command {
            Command::Grant(verbs::Grant { target, .. })
            | Command::Revoke(verbs::Revoke { target })
            | Command::Kick(verbs::Kick { target })
            | Command::Allow(verbs::Allow { target, .. })
            | Command::Ban(verbs::Ban { target }) => target,
            _ => return None,
        };
        let meant = match (&asked.text, target) {
            (Some(text), _) => self.means(text, number, &who),
            (None, Target::One(whom)) => self.means(&whom.to_string(), number, &who),
            (None, _) => false,
        };
        self.require(meant, || {
            let written = &asked.text;
            format!("{command:?} ({written:?}) met somebody else: {person}")
        });
        let question = asked.question.as_ref().filter(|_| asked.confirmed);
        let shown = question.is_none_or(|question| {
            let mut lines = question.who.iter();
            lines.any(
                |line| matches!(line, WhoLine::Key(key) | WhoLine::WholeKey(key) if *key == who),
            )
        });
        self.require(shown, || {
            format!("{question:?} was answered, and it met somebody else: {person}")
        });
        Some(who)
    }

    /// Whether a text that the host's person wrote means this participant: by what it looks like, and by what they call
    /// themselves only if it looks like nothing else.
    fn means(&self, text: &str, number: u32, key: &PublicKey) -> bool {
        let digits: String = text.chars().filter(|ch| *ch != '-').collect();
        let is_hex = digits.len() >= 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.len() < 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse() == Ok(number);
        }
        if is_hex {
            return key.to_string().starts_with(&digits.to_lowercase());
        }
        if text.starts_with("team:") || text.contains('@') {
            let subject = text.parse::<Subject>().ok();
            let mut who = self.subjects(key).into_iter();
            return subject.is_some_and(|subject| who.any(|who| subject.covers(&who)));
        }
        let person = self.person_of(key).map(|person| &self.people[person]);
        person.is_some_and(|person| Name::of(&person.name).is_same(&Name::of(text)))
    }

    /// Whether a command could let somebody in or do more who can't now, and whether it changes anything.
    pub(super) fn reach(&self, command: &Command) -> (bool, bool) {
        let door = self.model.door();
        match command {
            Command::Who(verbs::Who {})
            | Command::Status(verbs::Status {})
            | Command::ListTracks(verbs::ListTracks {})
            | Command::ShowTrack(verbs::ShowTrack { .. })
            | Command::Ticket(verbs::Ticket { new: false })
            | Command::AccessList(verbs::AccessList {}) => (false, false),
            Command::Share(verbs::Share { .. }) => (!self.model.shared, !self.model.shared),
            Command::SetAccessMode(verbs::SetAccessMode { mode: allow }) => {
                (*allow != door && door != AccessMode::Link, true)
            }
            Command::Grant(verbs::Grant { .. })
            | Command::GrantLink(verbs::GrantLink { .. })
            | Command::Admit(verbs::Admit { .. })
            | Command::Allow(verbs::Allow { .. })
            | Command::Unban(verbs::Unban { .. })
            | Command::Trust(verbs::Trust { .. })
            | Command::UseService(verbs::UseService { .. }) => (true, true),
            Command::Stop(verbs::Stop {})
            | Command::Ticket(verbs::Ticket { new: true })
            | Command::RefuseRequest(verbs::RefuseRequest { .. })
            | Command::Revoke(verbs::Revoke { .. })
            | Command::Kick(verbs::Kick { .. })
            | Command::TurnAway(verbs::TurnAway { .. })
            | Command::Ban(verbs::Ban { .. })
            | Command::EndLink(verbs::EndLink {})
            | Command::Code(verbs::Code {})
            | Command::OpenTerminal(verbs::OpenTerminal { .. })
            | Command::OpenConversation(_)
            | Command::Converse(_)
            | Command::Own(_)
            | Command::CloseTrack(verbs::CloseTrack { .. }) => (false, true),
            Command::Attach(attach) => (attach.takes_over, attach.takes_over),
            Command::Unknown(..) => (false, false),
        }
    }

    /// Whether a command is asked about at the terminal, or refused without one.
    pub(super) fn is_asked_about(&self, by: Actor, command: &Command) -> bool {
        let Some(side) = &self.host else { return false };
        let could_be_theirs =
            side.edited_before || self.remote_input || self.a_remote_editor_is_here();
        by == Actor::Socket && self.reach(command).0 && could_be_theirs
    }

    /// A question stands at the terminal for as long as its command waits, and what the socket changed is
    /// said there.
    pub(super) fn check_terminal(&mut self, fresh: &[HostOutput]) {
        let hides = self.strikes(Sabotage::HideChange);
        let keeps = self.strikes(Sabotage::KeepQuestion);
        let mut said = 0u64;
        for output in fresh {
            let HostOutput::Notice(notice) = output else {
                continue;
            };
            let Some(side) = &mut self.host else { return };
            match notice {
                HostNotice::Confirm { request, .. } => {
                    let new = side.questions.insert(*request);
                    let there = side.has_tty && self.sabotage != Sabotage::AskNobody;
                    self.tally.questions += 1;
                    self.require(there, || {
                        format!("command {request} is asked about where there is no terminal")
                    });
                    self.require(new, || format!("command {request} is asked about twice"));
                }
                HostNotice::ConfirmGone { request } if !keeps => {
                    let was = side.questions.remove(request);
                    self.require(was, || {
                        format!("a question of {request} is gone that never was")
                    });
                }
                HostNotice::ChangedBySocket(_) if !hides => said += 1,
                _ => {}
            }
        }
        let left = self.host.iter().filter(|side| !side.has_tty);
        let left = left.flat_map(|side| side.questions.first()).next().copied();
        self.require(left.is_none() || keeps, || {
            format!("the question of {left:?} stays, and the terminal is gone")
        });
        for output in fresh {
            let HostOutput::Done { request, result } = output else {
                continue;
            };
            let Some(side) = &self.host else { return };
            let stays = side.questions.contains(request);
            let changed = side
                .asked
                .get(request)
                .is_some_and(|asked| asked.by == Actor::Socket && asked.changes && result.is_ok());
            self.require(!stays, || {
                format!("the question of {request} stays, and the command has ended")
            });
            if changed {
                self.require(said > 0, || {
                    format!("command {request} changed something, and it is not said")
                });
                said = said.saturating_sub(1);
            }
        }
    }

    fn check_failed(&mut self, asked: &Asked, result: &Result<Done, CommandError>) {
        // Taking away, and ending, is always at once.
        let narrows = matches!(
            asked.command,
            Command::Revoke(verbs::Revoke {
                target: Target::All | Target::Links
            })
        );
        self.require(!narrows, || format!("{:?}: {result:?}", asked.command));
    }

    /// Whether somebody certainly could type through a viewer now.
    pub(super) fn a_remote_editor_is_here(&self) -> bool {
        let unix_ms = self.host_unix_ms();
        self.conns.iter().any(|(id, conn)| {
            let hello = conn
                .watch
                .hello
                .as_ref()
                .filter(|_| conn.watch.welcomed.is_some());
            let key = hello.and_then(|hello| PublicKey::from_bytes(&hello.identity).ok());
            !self.closed.contains(&ConnId(*id))
                && conn.host_open
                && key.is_some_and(|key| self.model.right(key, unix_ms).0.exceeds_view())
        })
    }
}

/// Whom a command names by what they prove.
fn subject_of(target: &Target) -> Option<Subject> {
    match target {
        Target::One(SubjectRef::Provable(invited)) => Some(invited.subject()),
        _ => None,
    }
}

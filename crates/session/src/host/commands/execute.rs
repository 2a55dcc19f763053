//! What the host's own side asks for.

use std::num::NonZeroU32;

use pillion_caps::{
    Audience, Grant, PublicKey, Refusal, SecretKey, Subject, UnixMillis, VerifiedIdentity,
};
use pillion_people::SubjectRef;
use pillion_proto::{
    AccessMode, FromHost, GrantPush, GrantToken, ParticipantId, RefusedCode, Rights,
};

use crate::words::{acts, span};

use crate::host::{
    Host,
    api::{Actor, Command, CommandError, Done, ParticipantStatus, SessionStatus, Target},
    fault::PeerError,
    people::resolve::{Candidate, Resolved},
    people::rights::EndedLinks,
    people::roster::Person,
    people::standing::ChangeReason,
    principal::Principal,
};

/// How long anything can be granted for, in milliseconds: ten years.
const MAX_TTL_MS: u64 = 10 * 365 * 86_400_000;

impl Host {
    /// Somebody on the host's side wants something.
    pub(in crate::host) fn on_command(&mut self, request: u64, by: Actor, command: Command) {
        self.note_command(request, by, &command);
        match by {
            Actor::Tty => self.carry_out(request, &Principal::Tty, command),
            Actor::Socket => self.on_socket_command(request, command),
        }
    }

    /// Does what was asked for, now that nobody else need say so.
    pub(in crate::host) fn carry_out(&mut self, request: u64, by: &Principal, command: Command) {
        self.act(request);
        match command {
            Command::Share { from_start } => self.share(request, from_start),
            Command::Stop => self.stop(request),
            Command::Ticket { new } => self.on_ticket(request, new),
            Command::New { title, command } => self.open_terminal(request, &title, command),
            Command::Show { track } => {
                let result = self.show_track(track);
                self.done(request, result);
            }
            command => {
                let result = self.execute(by, command);
                self.done(request, result);
            }
        }
        self.rest();
    }

    /// Does what can be done at once.
    pub(in crate::host) fn execute(
        &mut self,
        by: &Principal,
        command: Command,
    ) -> Result<Done, CommandError> {
        let result = self.dispatch(by, command);
        self.with_shortfall(result)
    }

    fn dispatch(&mut self, by: &Principal, command: Command) -> Result<Done, CommandError> {
        match command {
            Command::Share { .. }
            | Command::Stop
            | Command::Ticket { .. }
            | Command::New { .. }
            | Command::Show { .. } => {
                Err(CommandError::NotAllowed("only the host does that".into()))
            }
            Command::Who => Ok(Done::Who(self.who())),
            Command::Tracks => Ok(Done::Tracks(self.list_tracks())),
            Command::Close { track } => self.close_track(by, track),
            Command::Status => Ok(Done::Status(self.status())),
            Command::Grant {
                target,
                right,
                ttl_ms,
            } => self.grant(by, &target, right, ttl_ms),
            Command::GrantLink {
                right,
                ttl_ms,
                uses,
            } => self.grant_link(by, right, ttl_ms, uses),
            Command::Refuse { target } => {
                let id = self.resolve_participant(&target)?.id;
                self.refuse_request(by, id)
            }
            Command::Revoke { target } => self.revoke(by, &target),
            Command::Kick { target } => {
                let person = self.resolve_person(&target)?;
                self.put_out(by, person)
            }
            Command::Open { allow } => self.open(by, allow),
            Command::Allow { target, right } => {
                self.check_gives(by, right)?;
                self.allow(by, &target, right)
            }
            Command::Admit { target } => {
                let id = self.resolve_knock(&target)?.id;
                self.admit(by, id)
            }
            Command::TurnAway { target, for_good } => {
                let person = self.resolve_person(&target)?;
                if !person.knocks && !for_good {
                    return self.refuse_request(by, person.id);
                }
                let id = self.resolve_knock(&target)?.id;
                self.turn_away(by, id, for_good)
            }
            Command::Ban { target } => self.ban(by, &target),
            Command::Unban { target } => self.unban(by, &target),
            Command::UseService { service, link } => self.use_service(by, service, link),
            Command::EndLink => self.end_link(by),
            Command::Code => self.code(by),
        }
    }

    /// Whether a right can be given at all.
    pub(in crate::host) fn check_grant(&self, right: Rights) -> Result<(), CommandError> {
        match () {
            () if self.read_only && right.exceeds_view() => Err(CommandError::NotNow(
                "this session was shared with --read-only: edit can't be granted in it".into(),
            )),
            () if !self.sharing.on => Err(CommandError::NotNow(
                "this session is not shared; `pillion share` starts that".into(),
            )),
            () => Ok(()),
        }
    }

    /// For how long, in milliseconds.
    pub(in crate::host) fn ttl(&self, ttl_ms: Option<u64>) -> Result<u64, CommandError> {
        match ttl_ms.unwrap_or(self.edit_ttl_ms) {
            0 => Err(CommandError::NotNow(
                "a grant must last longer than no time at all".into(),
            )),
            ttl => Ok(ttl.min(MAX_TTL_MS)),
        }
    }

    fn grant(
        &mut self,
        by: &Principal,
        target: &Target,
        right: Rights,
        ttl_ms: Option<u64>,
    ) -> Result<Done, CommandError> {
        self.check_grant(right)?;
        self.check_gives(by, right)?;
        let ttl = self.ttl_by(by, ttl_ms)?;
        let id = self.resolve_participant(target)?.id;
        self.check_over(by, id)?;
        let label = self.label(id);
        if !right.exceeds_view() {
            return Ok(Done::Said(format!(
                "{label} can watch already; --edit lets them type"
            )));
        }
        let conns = self.conns_of(id);
        let member = conns.first().and_then(|conn| self.member(*conn));
        let Some(identity) = member.map(|member| member.identity.clone()) else {
            let text = format!(
                "{label} is not connected; wait until they are, or make a token for \
                                them (pillion grant --link --edit)"
            );
            return Err(CommandError::NotNow(text));
        };
        let expires = self.grant_to(by, &identity, right, ttl)?;
        let key = identity.key();
        let until = clock(expires);
        let host = self.display_name(by);
        let text = format!(
            "{host} gave you {} for {} (until {until})",
            right,
            span(ttl)
        );
        self.send_standing(&key, &text);
        self.end_request(id);
        let said = format!("{label} may {} for {}", acts(right), span(ttl));
        Ok(Done::Said(said))
    }

    /// Issues a grant to somebody, redeems it for them, and has their viewers keep it; when it ends.
    pub(in crate::host) fn grant_to(
        &mut self,
        by: &Principal,
        identity: &VerifiedIdentity,
        right: Rights,
        ttl: u64,
    ) -> Result<UnixMillis, CommandError> {
        let grant = self.give(by, identity, right, ttl)?;
        let key = identity.key();
        let push = FromHost::Grant(GrantPush {
            grant: grant.to_bytes().into(),
        });
        let id = self.roster.by_identity(&key).map(|person| person.id);
        for conn in id.map(|id| self.conns_of(id)).unwrap_or_default() {
            self.send(conn, &push);
        }
        Ok(grant.terms().expires)
    }

    /// Gives somebody what the list says. Their viewers don't keep it: it is given again whenever they come,
    /// for as long as the list says so.
    pub(in crate::host) fn give_listed(
        &mut self,
        by: &Principal,
        identity: &VerifiedIdentity,
        right: Rights,
    ) -> Result<(), CommandError> {
        let grant = self.give(by, identity, right, self.edit_ttl_ms)?;
        self.rights.note_listed(&identity.key(), grant.id());
        Ok(())
    }

    /// Issues a grant to somebody, and redeems it for them.
    fn give(
        &mut self,
        by: &Principal,
        identity: &VerifiedIdentity,
        right: Rights,
        ttl: u64,
    ) -> Result<Grant, CommandError> {
        let (key, now) = (identity.key(), UnixMillis(self.now.unix_ms));
        let terms = self.rights.terms(right, Audience::Key(key), now, ttl, None);
        let seed = self.grant_seed();
        let given = self
            .rights
            .give(&mut self.records, &self.keys.session, terms, seed, identity);
        let grant = given.map_err(|refusal| not_now(&refusal))?;
        self.log_granted(by, &grant);
        self.arm_expiry();
        Ok(grant)
    }

    /// For how long: what a co-host gives ends with what they have.
    fn ttl_by(&self, by: &Principal, ttl_ms: Option<u64>) -> Result<u64, CommandError> {
        let ttl = self.ttl(ttl_ms)?;
        Ok(match by {
            Principal::CoHost { right, .. } => {
                ttl.min(right.until().0.saturating_sub(self.now.unix_ms))
            }
            _ => ttl,
        })
    }

    fn grant_link(
        &mut self,
        by: &Principal,
        right: Rights,
        ttl_ms: Option<u64>,
        uses: NonZeroU32,
    ) -> Result<Done, CommandError> {
        self.check_grant(right)?;
        let ttl = self.ttl(ttl_ms)?;
        let link = SecretKey::from_bytes(&self.random());
        let now = UnixMillis(self.now.unix_ms);
        let audience = Audience::Link(link.public());
        let terms = self.rights.terms(right, audience, now, ttl, Some(uses));
        let expires_unix_ms = terms.expires.0;
        let seed = self.grant_seed();
        let issued = self
            .rights
            .issue(&mut self.records, &self.keys.session, terms, seed);
        let grant = issued.map_err(|refusal| not_now(&refusal))?;
        self.log_granted(by, &grant);
        let id = grant.id().to_string();
        let session = *self.keys.session.public().as_bytes();
        let token = GrantToken {
            session,
            grant: grant.to_bytes(),
            link: link.to_bytes(),
        };
        Ok(Done::Token {
            token: token.to_string(),
            grant: id,
            expires_unix_ms,
        })
    }

    fn grant_seed(&mut self) -> [u8; 16] {
        let mut seed = [0; 16];
        seed.copy_from_slice(&self.random()[..16]);
        seed
    }

    fn log_granted(&mut self, by: &Principal, grant: &Grant) {
        let terms = grant.terms();
        let audience = match &terms.audience {
            Audience::Key(key) => key.to_string(),
            _ => "link".to_owned(),
        };
        let event = serde_json::json!({
            "event": "granted",
            "grant": grant.id().to_string(),
            "to": audience,
            "rights": terms.rights.to_string(),
            "until_unix_ms": terms.expires.0,
        });
        self.log_by(by, event);
    }

    fn revoke(&mut self, by: &Principal, target: &Target) -> Result<Done, CommandError> {
        let said = match target {
            Target::Links => {
                self.rights.revoke_links(&mut self.records);
                "every link grant is revoked".to_owned()
            }
            Target::All => {
                self.rights.revoke_all(&mut self.records);
                "every grant is revoked".to_owned()
            }
            Target::Keys { from, .. } => {
                let meant = self.resolve_subjects(target)?;
                let followed = self.unsubscribe(from);
                return match self.disallow(by, &meant) {
                    Some(said) => Ok(Done::Said(said)),
                    None if followed => Ok(Done::Said(format!("{from} is followed no more"))),
                    None => Err(CommandError::NotNow(format!(
                        "none of {} is on the list (pillion allow)",
                        meant.label
                    ))),
                };
            }
            Target::Exactly(_) | Target::One(SubjectRef::Provable(_)) => {
                return self.revoke_provable(by, target);
            }
            Target::One(_) => match self.resolve(target)? {
                Resolved::Person(person) => return self.revoke_person(by, person.id),
                Resolved::Grant(grant) => {
                    self.rights.revoke_grant(&mut self.records, grant);
                    format!("grant {grant} is revoked")
                }
            },
        };
        self.after_revoking(by, serde_json::json!({ "event": "revoked", "what": said }));
        Ok(Done::Said(said))
    }

    /// Takes back what somebody has who is named by what they prove: a participant, or else an entry of the list.
    fn revoke_provable(&mut self, by: &Principal, target: &Target) -> Result<Done, CommandError> {
        let meant = self.resolve_subjects(target)?;
        let is_key = matches!(target, Target::One(whom) if whom.as_key().is_some());
        let person = self.resolve_participant(target);
        let here = person.as_ref().ok().and_then(|one| self.roster.get(one.id));
        if let Some(id) = here
            .filter(|here| is_key && here.listed())
            .map(|here| here.id)
        {
            return self.revoke_person(by, id);
        }
        match (self.disallow(by, &meant), person) {
            (Some(said), _) => Ok(Done::Said(said)),
            (None, Ok(person)) => self.revoke_person(by, person.id),
            (None, Err(error)) => Err(error),
        }
    }

    fn revoke_person(&mut self, by: &Principal, id: ParticipantId) -> Result<Done, CommandError> {
        self.check_over(by, id)?;
        let person = self.person(id)?;
        let (label, key) = (person.label(), person.identity);
        let had = person.standing.right.exceeds_view();
        let ended = self.take_from(&key);
        self.unlist_edit(id);
        let said = match had {
            true => format!("{label} may not type any more{}", said_ended(ended)),
            false => format!(
                "{label} could only watch; grants made for them are revoked{}",
                said_ended(ended)
            ),
        };
        let name = self.name_of(id);
        let event = serde_json::json!({
            "event": "revoked", "what": said, "id": id.0, "name": name, "identity": key.to_string(),
        });
        self.after_revoking(by, event);
        Ok(Done::Said(said))
    }

    /// Takes away what somebody was given so far, and ends the tokens they came with.
    pub(in crate::host) fn take_from(&mut self, key: &PublicKey) -> EndedLinks {
        let now = UnixMillis(self.now.unix_ms);
        self.rights.revoke_person(&mut self.records, key, now)
    }

    fn after_revoking(&mut self, by: &Principal, event: serde_json::Value) {
        self.log_by(by, event);
        self.refresh_standings(ChangeReason::Revoked);
    }

    /// Bars somebody, in or at the door, by everything they proved to be.
    pub(in crate::host) fn put_out(
        &mut self,
        by: &Principal,
        person: Candidate,
    ) -> Result<Done, CommandError> {
        if person.is_participant {
            self.check_over(by, person.id)?;
        }
        match person.knocks {
            true => {
                let refused = self.turn_away(by, person.id, true)?;
                match person.is_participant {
                    true => self.kick_person(by, person.id),
                    false => Ok(refused),
                }
            }
            false => self.kick_person(by, person.id),
        }
    }

    /// Puts somebody out, and bars them by everything they proved to be.
    fn kick_person(&mut self, by: &Principal, id: ParticipantId) -> Result<Done, CommandError> {
        let label = self.person(id)?.label();
        let ended = said_ended(self.remove(by, id)?);
        let free = match self.access_mode() {
            AccessMode::Link => {
                ". Keys are free: everybody who has the ticket can come back with another one; \
                 `pillion ticket --new` replaces the ticket"
            }
            AccessMode::Invited | AccessMode::Team => "",
        };
        Ok(Done::Said(format!(
            "{label} is out and their key is barred{ended}{free}"
        )))
    }

    /// The same; which of their tokens ended with it.
    pub(in crate::host) fn remove(
        &mut self,
        by: &Principal,
        id: ParticipantId,
    ) -> Result<EndedLinks, CommandError> {
        self.check_over(by, id)?;
        let person = self.person(id)?;
        let (name, key) = (person.name.to_string(), person.identity);
        let claims = person.proved();
        let texts: Vec<&str> = claims.iter().map(Subject::as_str).collect();
        let event = serde_json::json!({
            "event": "kicked", "id": id.0, "name": name, "identity": key.to_string(),
            "claims": texts,
        });
        let ended = self.bar_all(key, &claims);
        self.log_by(by, event);
        self.refresh_standings(ChangeReason::Revoked);
        let fault = PeerError::new(RefusedCode::BARRED, Refusal::Barred.to_string());
        for conn in self.conns_of(id) {
            self.refuse(conn, &fault);
        }
        // Somebody else may have come by the same claim.
        self.put_out_banned();
        self.reconsider_knocks();
        Ok(ended)
    }

    /// Takes everything back and keeps out anybody who has this key, or proves to be one of these.
    pub(in crate::host) fn bar_all(&mut self, key: PublicKey, claims: &[Subject]) -> EndedLinks {
        let ended = self.take_from(&key);
        let all = [Subject::key(&key)];
        for who in all.iter().chain(claims) {
            self.rights.ban(&mut self.records, who.clone());
        }
        ended
    }

    /// Puts out who proved to be somebody that is kept out now.
    pub(in crate::host) fn put_out_banned(&mut self) {
        let fault = PeerError::new(RefusedCode::BARRED, Refusal::Barred.to_string());
        let here = self.roster.people().filter(|person| person.connections > 0);
        let banned = here.filter(|person| {
            self.rights.is_barred(&person.identity) || self.rights.is_banned(&person.subjects())
        });
        let banned: Vec<ParticipantId> = banned.map(|person| person.id).collect();
        for id in banned {
            for conn in self.conns_of(id) {
                self.refuse(conn, &fault);
            }
        }
    }

    fn who(&self) -> Vec<ParticipantStatus> {
        self.roster
            .listed()
            .map(|person| self.status_of(person))
            .chain(self.who_knocks())
            .collect()
    }

    fn status_of(&self, person: &Person) -> ParticipantStatus {
        let standing = self
            .rights
            .standing(&person.identity, UnixMillis(self.now.unix_ms));
        let id = self.conns_of(person.id).first().copied();
        let conn = id.and_then(|id| self.conns.get(&id));
        ParticipantStatus {
            id: person.id,
            name: person.name.to_string(),
            identity: person.identity,
            right: standing.right,
            until_unix_ms: standing.until.map(|until| until.0),
            here: conn.is_some(),
            silent: person.silent && conn.is_some(),
            asking: person.asking,
            knocking: false,
            proof: person.proof(),
            path: conn.map_or(pillion_proto::PathKind::Unknown, |conn| conn.path),
            rtt_us: conn.and_then(|conn| conn.rtt_us),
            lag_frames: id.map_or(0, |id| self.lag_of(id)),
        }
    }

    fn status(&self) -> SessionStatus {
        SessionStatus {
            name: self.names.session.clone(),
            shared: self.sharing.on,
            viewers: u32::try_from(self.members).unwrap_or(u32::MAX),
            started_unix_ms: self.started_unix_ms,
            read_only: self.read_only,
        }
    }
}

pub(in crate::host) fn not_now(refusal: &Refusal) -> CommandError {
    CommandError::NotNow(refusal.to_string())
}

/// What is said of the tokens that ended with what was taken from somebody.
pub(in crate::host) fn said_ended(EndedLinks { links, others }: EndedLinks) -> String {
    let ended = match links {
        0 => return String::new(),
        1 => "; the token they came with is ended as well".to_owned(),
        links => format!("; the {links} tokens they came with are ended as well"),
    };
    match others {
        0 => ended,
        1 => format!("{ended}, also for somebody else who used it"),
        others => format!("{ended}, also for {others} others who used it"),
    }
}

/// A time of day, as the host's messages name it: nobody here knows the reader's time zone.
fn clock(at: UnixMillis) -> String {
    let minutes = at.0 / 60_000;
    format!("{:02}:{:02} UTC", minutes / 60 % 24, minutes % 60)
}

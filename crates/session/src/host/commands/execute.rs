//! Carries commands out, and what several of them do.

use std::num::NonZeroU32;

use pillion_caps::{
    Audience, Grant, PublicKey, Refusal, SecretKey, Subject, UnixMillis, VerifiedIdentity,
};
use pillion_proto::{FromHost, GrantPush, GrantToken, ParticipantId, RefusedCode, Rights};

use crate::{
    audit::AuditEvent,
    host::{
        Host,
        api::Actor,
        commands::verbs::{Command, CommandError, Done, EndedLinks, Token},
        fault::PeerError,
        people::standing::ChangeReason,
        principal::Principal,
    },
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
        // It is answered when its program runs.
        let command = match command {
            Command::OpenTerminal(open) => {
                self.open_terminal(request, open);
                return self.rest();
            }
            command => command,
        };
        match command.run(self, by) {
            Ok(Some(reply)) => {
                let done = self.with_shortfall(reply);
                self.done(request, Ok(done));
            }
            Ok(None) => self.ticket_when_reachable(request),
            Err(error) => self.done(request, Err(error)),
        }
        self.rest();
    }

    /// The same for somebody elsewhere, who hears at once what came of it.
    pub(in crate::host) fn execute(
        &mut self,
        by: &Principal,
        command: Command,
    ) -> Result<Done, CommandError> {
        match command.run(self, by)? {
            Some(reply) => Ok(self.with_shortfall(reply)),
            None => Err(CommandError::OnlyHost),
        }
    }

    /// Whether a right can be given at all.
    pub(in crate::host) fn check_grant(&self, right: Rights) -> Result<(), CommandError> {
        match () {
            () if self.cx.read_only && right.exceeds_view() => Err(CommandError::ReadOnly),
            () if !self.cx.shared => Err(CommandError::NotShared),
            () => Ok(()),
        }
    }

    /// For how long, in milliseconds.
    pub(in crate::host) fn ttl(&self, ttl_ms: Option<u64>) -> Result<u64, CommandError> {
        match ttl_ms.unwrap_or(self.cx.edit_ttl_ms) {
            0 => Err(CommandError::ZeroTtl),
            ttl => Ok(ttl.min(MAX_TTL_MS)),
        }
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
        for conn in id.map(|id| self.cx.conns.of_person(id)).unwrap_or_default() {
            self.cx.send(conn, &push);
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
        let grant = self.give(by, identity, right, self.cx.edit_ttl_ms)?;
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
        let (key, now) = (identity.key(), UnixMillis(self.cx.now.unix_ms));
        let terms = self.rights.terms(right, Audience::Key(key), now, ttl, None);
        let seed = self.grant_seed();
        let given = self.rights.give(
            &mut self.records,
            &self.cx.keys.session,
            terms,
            seed,
            identity,
        );
        let grant = given.map_err(|refusal| refused(&refusal))?;
        self.log_granted(by, &grant);
        self.arm_expiry();
        Ok(grant)
    }

    /// For how long: what a co-host gives ends with what they have.
    pub(in crate::host) fn ttl_by(
        &self,
        by: &Principal,
        ttl_ms: Option<u64>,
    ) -> Result<u64, CommandError> {
        let ttl = self.ttl(ttl_ms)?;
        Ok(match by {
            Principal::CoHost { right, .. } => {
                ttl.min(right.until().0.saturating_sub(self.cx.now.unix_ms))
            }
            _ => ttl,
        })
    }

    /// Issues a token for somebody who is not here.
    pub(in crate::host) fn grant_link(
        &mut self,
        by: &Principal,
        right: Rights,
        ttl_ms: Option<u64>,
        uses: NonZeroU32,
    ) -> Result<Token, CommandError> {
        self.check_grant(right)?;
        let ttl = self.ttl(ttl_ms)?;
        let link = SecretKey::from_bytes(&self.cx.random());
        let now = UnixMillis(self.cx.now.unix_ms);
        let audience = Audience::Link(link.public());
        let terms = self.rights.terms(right, audience, now, ttl, Some(uses));
        let expires_unix_ms = terms.expires.0;
        let seed = self.grant_seed();
        let issued = self
            .rights
            .issue(&mut self.records, &self.cx.keys.session, terms, seed);
        let grant = issued.map_err(|refusal| refused(&refusal))?;
        self.log_granted(by, &grant);
        let id = grant.id().to_string();
        let session = *self.cx.keys.session.public().as_bytes();
        let token = GrantToken {
            session,
            grant: grant.to_bytes(),
            link: link.to_bytes(),
        };
        Ok(Token {
            token: token.to_string(),
            grant: id,
            expires_unix_ms,
        })
    }

    fn grant_seed(&mut self) -> [u8; 16] {
        let mut seed = [0; 16];
        seed.copy_from_slice(&self.cx.random()[..16]);
        seed
    }

    fn log_granted(&mut self, by: &Principal, grant: &Grant) {
        let terms = grant.terms();
        let audience = match &terms.audience {
            Audience::Key(key) => key.to_string(),
            _ => "link".to_owned(),
        };
        let event = AuditEvent::Granted {
            grant: grant.id().to_string(),
            to: audience,
            rights: terms.rights,
            until_unix_ms: terms.expires.0,
        };
        self.log_by(by, &event);
    }

    /// Takes away what somebody was given so far, and ends the tokens they came with.
    pub(in crate::host) fn take_from(&mut self, key: &PublicKey) -> EndedLinks {
        let now = UnixMillis(self.cx.now.unix_ms);
        self.rights.revoke_person(&mut self.records, key, now)
    }

    /// Removes somebody, and bars them by everything they proved to be. Which of their tokens ended with it.
    pub(in crate::host) fn remove(
        &mut self,
        by: &Principal,
        id: ParticipantId,
    ) -> Result<EndedLinks, CommandError> {
        self.check_over(by, id)?;
        let person = self.person(id)?;
        let key = person.identity;
        let claims = person.proved();
        let event = AuditEvent::Kicked {
            person: person.label().into(),
            claims: claims.iter().map(Subject::to_string).collect(),
        };
        let ended = self.bar_all(key, &claims);
        self.log_by(by, &event);
        let fault = PeerError::new(RefusedCode::BARRED, Refusal::Barred.to_string());
        for conn in self.cx.conns.of_person(id) {
            self.refuse(conn, &fault);
        }
        // Somebody else may have come by the same claim.
        self.put_out_banned();
        // Only then: who is kept out is not told what right would be left.
        self.refresh_standings(ChangeReason::Revoked);
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
            for conn in self.cx.conns.of_person(id) {
                self.refuse(conn, &fault);
            }
        }
    }
}

/// The ledger's refusal, as a command's.
pub(in crate::host) fn refused(refusal: &Refusal) -> CommandError {
    CommandError::Refused(refusal.to_string())
}

/// A time of day, as the host's messages name it: nobody here knows the reader's time zone.
pub(in crate::host) fn clock(at: UnixMillis) -> String {
    let minutes = at.0 / 60_000;
    format!("{:02}:{:02} UTC", minutes / 60 % 24, minutes % 60)
}

//! Gives rights and takes them away.

use std::num::NonZeroU32;

use pillion_caps::{Audience, Grant, PublicKey, SecretKey, Subject, UnixMillis, VerifiedIdentity};
use pillion_proto::{FromHost, GrantPush, GrantToken, Rights};

use crate::{
    audit::AuditEvent,
    host::{
        commands::{
            execute::refused,
            verbs::{CommandError, EndedLinks, Token},
        },
        context::Context,
        people::People,
        principal::Principal,
    },
};

/// How long anything can be granted for, in milliseconds: ten years.
const MAX_TTL_MS: u64 = 10 * 365 * 86_400_000;

impl People {
    /// Whether a right can be given at all.
    pub(in crate::host) fn check_grant(
        &self,
        cx: &Context,
        right: Rights,
    ) -> Result<(), CommandError> {
        match () {
            () if cx.read_only && right.exceeds_view() => Err(CommandError::ReadOnly),
            () if !cx.shared => Err(CommandError::NotShared),
            () => Ok(()),
        }
    }

    /// For how long, in milliseconds.
    pub(in crate::host) fn ttl(
        &self,
        cx: &Context,
        ttl_ms: Option<u64>,
    ) -> Result<u64, CommandError> {
        match ttl_ms.unwrap_or(cx.edit_ttl_ms) {
            0 => Err(CommandError::ZeroTtl),
            ttl => Ok(ttl.min(MAX_TTL_MS)),
        }
    }

    /// Issues a grant to somebody, redeems it for them, and has their viewers keep it; when it ends.
    pub(in crate::host) fn grant_to(
        &mut self,
        cx: &mut Context,
        by: &Principal,
        identity: &VerifiedIdentity,
        right: Rights,
        ttl: u64,
    ) -> Result<UnixMillis, CommandError> {
        let grant = self.give(cx, by, identity, right, ttl)?;
        let key = identity.key();
        let push = FromHost::Grant(GrantPush {
            grant: grant.to_bytes().into(),
        });
        let id = self.roster.by_identity(&key).map(|person| person.id);
        for conn in id.map(|id| cx.conns.of_person(id)).unwrap_or_default() {
            cx.send(conn, &push);
        }
        Ok(grant.terms().expires)
    }

    /// Gives somebody what the list says. Their viewers don't keep it: it is given again whenever they come,
    /// for as long as the list says so.
    pub(in crate::host) fn give_listed(
        &mut self,
        cx: &mut Context,
        by: &Principal,
        identity: &VerifiedIdentity,
        right: Rights,
    ) -> Result<(), CommandError> {
        // The host's own terminal is not one that anything runs out for.
        let ttl = match cx.keys.owner == Some(identity.key()) {
            true => MAX_TTL_MS,
            false => cx.edit_ttl_ms,
        };
        let grant = self.give(cx, by, identity, right, ttl)?;
        self.rights.note_listed(&identity.key(), grant.id());
        Ok(())
    }

    /// Issues a grant to somebody, and redeems it for them.
    fn give(
        &mut self,
        cx: &mut Context,
        by: &Principal,
        identity: &VerifiedIdentity,
        right: Rights,
        ttl: u64,
    ) -> Result<Grant, CommandError> {
        let (key, now) = (identity.key(), UnixMillis(cx.now.unix_ms));
        let terms = self.rights.terms(right, Audience::Key(key), now, ttl, None);
        let seed = self.grant_seed(cx);
        let given = self
            .rights
            .give(&mut self.records, &cx.keys.session, terms, seed, identity);
        let grant = given.map_err(|refusal| refused(&refusal))?;
        self.log_granted(cx, by, &grant);
        self.arm_expiry(cx);
        Ok(grant)
    }

    /// For how long: what a co-host gives ends with what they have.
    pub(in crate::host) fn ttl_by(
        &self,
        cx: &Context,
        by: &Principal,
        ttl_ms: Option<u64>,
    ) -> Result<u64, CommandError> {
        let ttl = self.ttl(cx, ttl_ms)?;
        Ok(match by {
            Principal::CoHost { right, .. } => {
                ttl.min(right.until().0.saturating_sub(cx.now.unix_ms))
            }
            _ => ttl,
        })
    }

    /// Issues a token for somebody who is not here.
    pub(in crate::host) fn grant_link(
        &mut self,
        cx: &mut Context,
        by: &Principal,
        right: Rights,
        ttl_ms: Option<u64>,
        uses: NonZeroU32,
    ) -> Result<Token, CommandError> {
        self.check_grant(cx, right)?;
        let ttl = self.ttl(cx, ttl_ms)?;
        let link = SecretKey::from_bytes(&cx.random());
        let now = UnixMillis(cx.now.unix_ms);
        let audience = Audience::Link(link.public());
        let terms = self.rights.terms(right, audience, now, ttl, Some(uses));
        let expires_unix_ms = terms.expires.0;
        let seed = self.grant_seed(cx);
        let issued = self
            .rights
            .issue(&mut self.records, &cx.keys.session, terms, seed);
        let grant = issued.map_err(|refusal| refused(&refusal))?;
        self.log_granted(cx, by, &grant);
        let id = grant.id().to_string();
        let session = *cx.keys.session.public().as_bytes();
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

    fn grant_seed(&mut self, cx: &mut Context) -> [u8; 16] {
        let mut seed = [0; 16];
        seed.copy_from_slice(&cx.random()[..16]);
        seed
    }

    fn log_granted(&mut self, cx: &mut Context, by: &Principal, grant: &Grant) {
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
        self.log_by(cx, by, &event);
    }

    /// Takes away what somebody was given so far, and ends the tokens they came with.
    pub(in crate::host) fn take_from(&mut self, cx: &Context, key: &PublicKey) -> EndedLinks {
        let now = UnixMillis(cx.now.unix_ms);
        self.rights.revoke_person(&mut self.records, key, now)
    }

    /// Takes everything back and keeps out anybody who has this key, or proves to be one of these.
    pub(in crate::host) fn bar_all(
        &mut self,
        cx: &Context,
        key: PublicKey,
        claims: &[Subject],
    ) -> EndedLinks {
        let ended = self.take_from(cx, &key);
        let all = [Subject::key(&key)];
        for who in all.iter().chain(claims) {
            self.rights.ban(&mut self.records, who.clone());
        }
        ended
    }
}

//! What somebody who comes may do, and how often they may be here.

use pillion_caps::{
    Audience, Grant, GrantId, Proof, PublicKey, Refusal, UnixMillis, VerifiedIdentity,
};
use pillion_proto::{FromHost, GrantProof, JoinId, Notice, NoticeKind, RefusalReason, RightReason};

use crate::{
    audit::AuditEvent,
    host::{context::Context, fault::PeerError, people::People},
    types::ConnId,
};

/// Connections one identity may have at once: its devices and windows.
const MAX_PER_PERSON: usize = 16;

impl People {
    /// Whether the session is open to the one who holds `identity`.
    pub(in crate::host) fn check_person(&self, identity: &PublicKey) -> Result<(), PeerError> {
        match self.rights.is_barred(identity) {
            true => Err(RefusalReason::Removed.into()),
            false => Ok(()),
        }
    }

    /// Whether somebody has as many connections as one may, that of the run `join` aside: a newer
    /// one would replace it.
    pub(in crate::host) fn check_room(
        &self,
        cx: &Context,
        join: &(PublicKey, JoinId),
    ) -> Result<(), PeerError> {
        let connections = self
            .roster
            .by_identity(&join.0)
            .map_or(0, |person| person.connections);
        let replaced = usize::from(cx.conns.of_join(join).is_some());
        if connections.saturating_sub(replaced) < MAX_PER_PERSON {
            return Ok(());
        }
        let max = MAX_PER_PERSON as u32;
        Err(RefusalReason::HereOften { max }.into())
    }

    /// Redeems a presented grant; the use is durable before anything follows from it.
    pub(in crate::host) fn redeem(
        &mut self,
        cx: &mut Context,
        presented: &GrantProof,
        who: &VerifiedIdentity,
    ) -> Result<GrantId, Refusal> {
        let grant = Grant::from_bytes(&presented.grant)?;
        let proof = Proof::from_bytes(presented.proof.into());
        let link = matches!(grant.terms().audience, Audience::Link(_)).then_some(&proof);
        let now = UnixMillis(cx.now.unix_ms);
        let is_new = self
            .rights
            .redeem(&mut self.records, &grant, who, link, now)?;
        if is_new {
            cx.log_event(&AuditEvent::Redeemed {
                grant: grant.id().to_string(),
                identity: who.key(),
            });
        }
        self.arm_expiry(cx);
        Ok(grant.id())
    }

    /// A grant that came after the hello.
    pub(in crate::host) fn on_redeem(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        presented: &GrantProof,
    ) {
        let Some(identity) = cx.conns.member(conn).map(|member| member.identity.clone()) else {
            return;
        };
        match self.redeem(cx, presented, &identity) {
            Ok(_) => self.send_standing(cx, &identity.key(), RightReason::GrantAccepted),
            Err(refusal) => {
                let what = Some(NoticeKind::Grant(refusal));
                cx.send(conn, &FromHost::Notice(Notice { what }));
            }
        }
    }
}

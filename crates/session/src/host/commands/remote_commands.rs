//! What a co-host asks for: checked once, for a right that stands at this moment.

use pillion_caps::UnixMillis;
use pillion_proto::{FromHost, Manage, ManageAnswer, ManageRequest};

use crate::{types::ConnId, words::sentence};

use crate::host::{
    Host,
    api::{Command, CommandError, Done},
    fault::PeerError,
    principal::Principal,
};

/// What a request costs of what a viewer may send: each may write to the disk and to everybody.
const REQUEST_COST: u64 = 10;

impl Host {
    /// Somebody wants to manage.
    pub(in crate::host) fn on_manage(
        &mut self,
        conn: ConnId,
        request: ManageRequest,
    ) -> Result<(), PeerError> {
        if !self.charge(conn, REQUEST_COST) {
            return Err(PeerError::flood());
        }
        let result = self.manage(conn, request.what);
        let (done, text) = match result {
            Ok(Done::Said(text)) => (true, text),
            Ok(_) => (true, String::new()),
            Err(error) => (false, error.to_string()),
        };
        // It may have put out who asked.
        if self.member(conn).is_some() {
            let answer = ManageAnswer {
                id: request.id,
                done,
                text: sentence(&text),
            };
            self.send(conn, &FromHost::ManageAnswer(answer));
        }
        Ok(())
    }

    fn manage(&mut self, conn: ConnId, what: Manage) -> Result<Done, CommandError> {
        let now = UnixMillis(self.now.unix_ms);
        let by = self.member(conn).and_then(|member| {
            let (id, key) = (member.id, member.identity.key());
            let right = self.rights.manage(&key, now)?;
            Some(Principal::CoHost { id, key, right })
        });
        let Some(by) = by else {
            return Err(CommandError::NotAllowed(
                "you may not manage this session (any more): ask its host".into(),
            ));
        };
        let command = match what {
            Manage::Unknown(..) => {
                return Err(CommandError::NotNow(
                    "that is not known here: the host's pillion is older than yours".into(),
                ));
            }
            Manage::Admit(who) => Command::Admit { target: who.into() },
            Manage::Refuse { who, for_good } => Command::TurnAway {
                target: who.into(),
                for_good,
            },
            Manage::Grant { who, right, ttl_ms } => Command::Grant {
                target: who.into(),
                right,
                ttl_ms,
            },
            Manage::RefuseRequest(who) => Command::Refuse { target: who.into() },
            Manage::Revoke(who) => Command::Revoke { target: who.into() },
            Manage::Kick(who) => Command::Kick { target: who.into() },
            Manage::Open(allow) => Command::Open { allow: Some(allow) },
            Manage::Allow { who, right } => Command::Allow {
                target: who.into(),
                right,
            },
            Manage::Ban(who) => Command::Ban { target: who.into() },
            Manage::Unban(who) => Command::Unban { target: who.into() },
        };
        let given = self.given(&by, &command);
        self.act_on(&given);
        let result = self.execute(&by, command);
        self.rest();
        self.log_given(given, &result);
        result
    }
}

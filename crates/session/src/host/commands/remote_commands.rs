//! What a co-host asks for: checked once, for a right that stands at this moment.

use bytes::Bytes;
use pillion_caps::UnixMillis;
use pillion_proto::{CommandAnswer, CommandRequest, FromHost, RefusalReason};

use crate::{
    host::{
        Host,
        commands::{
            gate::Authorization,
            verbs::{Command, CommandError, Done},
        },
        fault::PeerError,
        principal::Principal,
    },
    types::ConnId,
};

/// What a request costs of what a viewer may send: each may write to the disk and to everybody.
const REQUEST_COST: u64 = 10;

impl Host {
    /// Somebody wants something done.
    pub(in crate::host) fn on_remote_command(
        &mut self,
        conn: ConnId,
        request: CommandRequest,
    ) -> Result<(), PeerError> {
        if !self.cx.charge(conn, REQUEST_COST) {
            return Err(RefusalReason::Flood.into());
        }
        let command = Command::from_wire(request.verb, request.body);
        let result = self.remote_command(conn, command);
        // It may have removed the one who asked.
        if self.cx.conns.member(conn).is_some() {
            let answer = CommandAnswer {
                id: request.id,
                verb: request.verb,
                done: result.is_ok(),
                body: to_wire(&result),
            };
            self.cx.send(conn, &FromHost::CommandAnswer(answer));
        }
        Ok(())
    }

    fn remote_command(&mut self, conn: ConnId, mut command: Command) -> Result<Done, CommandError> {
        let now = UnixMillis(self.cx.now.unix_ms);
        let by = self.cx.conns.member(conn).and_then(|member| {
            let (id, key) = (member.id, member.identity.key());
            let right = self.people.rights().manage(&key, now)?;
            Some(Principal::CoHost { id, key, right })
        });
        let by = by.ok_or(CommandError::NotManager)?;
        match self.authorize(&by, &mut command) {
            Authorization::Allowed(_) => {}
            Authorization::Refused(error) => return Err(error),
            // Nobody at the host is asked about what somebody elsewhere has a right to.
            Authorization::Confirm(_) => return Err(CommandError::OnlyHost),
        }
        let given = self.commands.given(&self.people, &by, &command);
        self.commands.act_on(&mut self.cx, &given);
        let result = self.execute(&by, command);
        self.commands.rest(&mut self.cx);
        self.commands.log_given(&mut self.cx, given, &result);
        result
    }
}

fn to_wire(result: &Result<Done, CommandError>) -> Bytes {
    match result {
        Ok(done) => done.to_wire(),
        Err(error) => error.to_wire(),
    }
}

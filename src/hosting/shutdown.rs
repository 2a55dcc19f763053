//! The end of a session: its last words, and what is kept of it.

use std::time::{Duration, Instant};

use anyhow::Result;
use pillion_session::{HostInput, Stream};
use pillion_source::ExitStatus;

use crate::{
    clock::unix_ms,
    hosting::{Hosting, RunningProgram, overlay::Overlay, terminals::state_of},
    sessions::control::ToHolder,
};

/// Once the program has ended, who follows its lines still fetches the last of them: so long after a
/// request another one is waited for (it comes a round trip after the answer), and so long in all.
const LAST_REQUEST: Duration = Duration::from_millis(150);
const LAST_REQUESTS: Duration = Duration::from_secs(2);

impl Hosting {
    /// Tells the viewers, gives the terminal back, closes the log.
    pub(super) async fn farewell(
        mut self,
        mut program: RunningProgram,
        overlay: Option<Overlay>,
        status: ExitStatus,
    ) -> Result<ExitStatus> {
        self.apply_outputs(Some(&mut program), None).await;
        if let Some(overlay) = overlay {
            overlay.end(self.clock.now(), &self.host).await;
        }
        let holder = self.holder.take();
        if let Some(holder) = &holder {
            let reset = matches!(status, ExitStatus::Signal(_));
            holder.say(ToHolder::Released { reset });
        }
        let holder = holder.or_else(|| self.leaving.take());
        self.last_requests(&mut program).await;
        let (track, state) = (self.terminals.shown(), state_of(status));
        self.terminals.ended(track, status);
        // What counts is how the program ended that the session began with.
        let status = self.terminals.first().unwrap_or(status);
        self.tell(HostInput::Exited { track, state });
        self.apply_outputs(Some(&mut program), None).await;
        if let Some(devices) = self.devices.take() {
            devices.end().await;
        }
        self.links.end().await;
        if let Some(closing) = self.closing.take() {
            // It is bounded by itself; a panic in it was reported already.
            let _ = closing.await;
        }
        if let Some(run) = self.run.take() {
            run.end().await;
        }
        let reason = match status {
            ExitStatus::Code(code) => format!("the program ended with exit code {code}"),
            ExitStatus::Signal(signal) => format!("the program was ended by signal {signal}"),
            ExitStatus::Unknown => "the program ended".to_owned(),
        };
        // A full disk must not take the place of the program's own exit code.
        if let Err(error) = self.log.end(unix_ms(), &reason) {
            tracing::error!(%error, "the session's end was not written down");
        }
        // Dropped before pruning: this session counts as ended then.
        drop(self.clients);
        let keep = pillion_store::Keep {
            max_age: self.options.keep.age,
            max_bytes: self.options.keep.size,
            max_sessions: None,
        };
        if let Err(error) = pillion_store::prune(&self.paths.sessions, keep, unix_ms()) {
            tracing::warn!(%error, "ended sessions could not be pruned");
        }
        if let Some(holder) = holder {
            let code = status.code();
            holder.end(ToHolder::Ended { code }).await;
        }
        Ok(status)
    }

    /// Serves viewers on until nobody asks for history any more.
    async fn last_requests(&mut self, program: &mut RunningProgram) {
        let end = Instant::now() + LAST_REQUESTS;
        let mut quiet = Instant::now() + LAST_REQUEST;
        while self.host.viewers() > 0 && Instant::now() < quiet.min(end) {
            self.apply_outputs(Some(program), None).await;
            let Some(net) = &mut self.net else { return };
            let wake = self.host.wake_at().map(|at| self.clock.instant(at));
            let wake = wake.unwrap_or(end).min(quiet).min(end);
            tokio::select! {
                biased;
                input = net.next_input() => {
                    let stream = match &input {
                        HostInput::Received { stream, .. } | HostInput::Delivered { stream, .. } => Some(stream),
                        _ => None,
                    };
                    if matches!(stream, Some(Stream::History { .. })) {
                        quiet = Instant::now() + LAST_REQUEST;
                    }
                    self.tell(input);
                }
                packed = self.packer.packed() => {
                    quiet = Instant::now() + LAST_REQUEST;
                    self.tell(HostInput::History(packed));
                }
                () = tokio::time::sleep_until(wake.into()) => self.on_time(program, None, None),
            }
        }
    }
}

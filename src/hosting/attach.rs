//! The host's terminal as the session sees it: it comes, goes, and comes from elsewhere, while the program
//! runs on.
//!
//! The command that a user runs holds the terminal ([`holder`](super::holder)): it is in its foreground, makes
//! it raw and gives it back. The session has its open file, and reads and writes it as if it were its own, so
//! nothing that is typed or printed takes a longer way. Between the two only what changes is said.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use pillion_screen::Size;
use pillion_session::{Actor, CommandError, HostInput, Reply, TerminalStatus, TtyNews, verbs};
use pillion_source::{AttachedTty, ExitSignal, HoldMode, Keys};
use tokio::{net::UnixStream, sync::mpsc};

use crate::{
    hosting::{
        Hosting, RunningProgram,
        clients::{AttachRequest, FromClient},
        commands::ReplyTo,
        overlay::Overlay,
        process,
    },
    sessions::control::{FromHolder, Left, Response, ToHolder},
    terminal::console::explain,
};

/// How long what the programs say when they are told to end is shown, at most: who shows it may take nothing.
const STUCK: Duration = Duration::from_secs(1);

/// How long the last words to a holder may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A terminal that is the session's, and the command that holds it.
pub struct Holder {
    id: u64,
    tty: AttachedTty,
    says: mpsc::UnboundedSender<ToHolder>,
    /// It is given back for a while.
    suspended: bool,
}

impl Holder {
    /// Takes a terminal that is raw now. What is to be said to its holder comes out of the other half.
    pub(super) fn new(tty: AttachedTty) -> (Holder, mpsc::UnboundedReceiver<ToHolder>) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let (says, saying) = mpsc::unbounded_channel();
        let holder = Holder {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            tty,
            says,
            suspended: false,
        };
        (holder, saying)
    }

    /// Tells it from others, and from itself at another time.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// The terminal.
    pub(super) fn tty(&self) -> &AttachedTty {
        &self.tty
    }

    /// Whether it is given back for a while.
    pub(super) fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// Says something to the command, which may be gone.
    pub(super) fn say(&self, say: ToHolder) {
        let _ = self.says.send(say);
    }

    /// Says the last thing, and waits until it was said.
    pub(super) async fn end(self, say: ToHolder) {
        self.say(say);
        let _ = tokio::time::timeout(LAST_WORDS, self.says.closed()).await;
    }
}

/// The terminal's part of the loop: what stands between it and the session.
pub(super) struct Local {
    /// What is drawn on the terminal; `None` where output goes to a file or pipe.
    pub(super) overlay: Option<Overlay>,
    /// What is typed at it, or piped in.
    pub(super) keys: Option<Keys>,
}

impl Hosting {
    /// Waits for the terminal of the command that started the session.
    ///
    /// # Errors
    /// The command is gone.
    pub(super) async fn first_terminal(&mut self, stream: UnixStream) -> Result<Holder> {
        let mut starter = self.clients.adopt(stream);
        loop {
            let event = tokio::select! {
                biased;
                event = self.clients.next() => event,
                _ = &mut starter => bail!("the command that started the session is gone"),
            };
            match event {
                FromClient::Attached(holder) => return Ok(holder),
                // Nobody else was told of the session's existence; and two are asked in turn.
                FromClient::Attach(asked) => {
                    asked.reply.send(Response::Done(Reply::Attach(()).into()));
                }
                FromClient::ControlRequest(asked) => {
                    self.client(asked).await;
                    self.apply_outputs(None, None).await;
                }
                FromClient::Gone => self.clients_gone(),
                FromClient::Holder { .. } => {}
            }
        }
    }

    /// Somebody wants their terminal to be the host's.
    pub(super) fn attach_asked(&mut self, asked: AttachRequest, program: &RunningProgram) {
        let AttachRequest { pid, device, reply } = asked;
        match self.may_attach(pid, device, program) {
            Err(error) => reply.send(Response::Refused(error)),
            Ok(()) => {
                let takes_over = self.holder.is_some() && !self.stays;
                let command = verbs::Attach { takes_over }.into();
                self.command(Actor::Socket, command, ReplyTo::Client(reply));
            }
        }
    }

    fn may_attach(
        &self,
        pid: Option<i32>,
        device: u64,
        program: &RunningProgram,
    ) -> Result<(), CommandError> {
        if !self.attachable {
            return Err(CommandError::NotAttachable);
        }
        if program.device() == Some(device) {
            return Err(CommandError::InsideItself);
        }
        // Who attaches says yes to questions from then on: that is not for what somebody else may have
        // started in the session.
        if pid.is_none_or(process::descends_from_us) {
            return Err(CommandError::StartedInside);
        }
        Ok(())
    }

    /// A terminal is the host's now, in place of any other.
    pub(super) async fn attach(
        &mut self,
        holder: Holder,
        program: &mut RunningProgram,
        local: &mut Local,
    ) {
        let before = self.let_go(program, local, true).await;
        let news = match before {
            Some(before) => {
                before.say(ToHolder::Released { reset: true });
                before.say(ToHolder::Left(Left::TakenOver));
                TtyNews::Moved
            }
            None => TtyNews::Attached,
        };
        if let Err(error) = self.show_on(&holder, program, local).await {
            tracing::warn!(%error, "a terminal could not be used");
            let text = format!("this terminal could not be used: {}", explain(&error));
            holder.say(ToHolder::Failed { text, code: 1 });
            return self.detached(TtyNews::Detached);
        }
        self.holder = Some(holder);
        self.tell(HostInput::Tty(news));
    }

    /// Shows the program on a terminal, from what its screen is now.
    async fn show_on(
        &mut self,
        holder: &Holder,
        program: &mut RunningProgram,
        local: &mut Local,
    ) -> Result<()> {
        let size = holder.tty.size().context("its size is not known")?;
        let size = Size::clamped(size.cols(), size.rows());
        let writer = holder.tty.writer()?;
        local.keys = Some(holder.tty.keys()?);
        if size != self.size {
            self.resize(size, program, None);
        }
        // Nobody else has the gate.
        let hold = writer.hold(HoldMode::Skip).await;
        program.show_on(Some(writer.clone()));
        if let Some(overlay) = &mut local.overlay {
            overlay.attach(self.clock.now(), &self.host, writer, hold);
        }
        Ok(())
    }

    /// Takes the session off its terminal. With `whole` what Pillion has drawn is taken away first, and the
    /// cursor left below what the program shows.
    async fn let_go(
        &mut self,
        program: &mut RunningProgram,
        local: &mut Local,
        whole: bool,
    ) -> Option<Holder> {
        let now = self.clock.now();
        if let Some(overlay) = local.overlay.as_mut().filter(|_| whole) {
            overlay.leave(now, &self.host).await;
        }
        if self.holder.is_some() {
            local.keys = None;
            program.show_on(None);
        }
        if let Some(overlay) = &mut local.overlay {
            overlay.let_go(now);
        }
        self.holder.take()
    }

    fn detached(&mut self, news: TtyNews) {
        self.tell(HostInput::Tty(news));
    }

    /// The one who holds a terminal says something, or is gone.
    pub(super) async fn holder_said(
        &mut self,
        id: u64,
        said: Option<FromHolder>,
        program: &mut RunningProgram,
        local: &mut Local,
    ) {
        if self.holder.as_ref().is_none_or(|holder| holder.id != id) {
            // One that was let go, and has not heard of it yet.
            return;
        }
        match said {
            Some(FromHolder::Resized) => {}
            Some(FromHolder::Ready) => {
                // Somebody else has used the terminal since.
                let Some(mut holder) = self.let_go(program, local, false).await else {
                    return;
                };
                let was_suspended = std::mem::take(&mut holder.suspended);
                match self.show_on(&holder, program, local).await {
                    Ok(()) => {
                        self.holder = Some(holder);
                        if was_suspended {
                            self.tell(HostInput::Tty(TtyNews::Attached));
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the terminal can't be used any more");
                        self.holder = Some(holder);
                        self.terminal_lost(program, local).await;
                    }
                }
            }
            Some(FromHolder::Suspended) => {
                if let Some(mut holder) = self.let_go(program, local, true).await {
                    holder.say(ToHolder::Released { reset: true });
                    holder.suspended = true;
                    self.holder = Some(holder);
                    self.detached(TtyNews::Detached);
                }
            }
            Some(FromHolder::Lost) => self.terminal_lost(program, local).await,
            Some(FromHolder::Signal(number)) => match ExitSignal::of(number) {
                Some(signal) if signal.is_key() && !self.stays => program.pass_on(signal),
                Some(signal) => self.terminal_lost_by(signal, program, local).await,
                None => {}
            },
            None => {
                // It was killed, and can't give its terminal back.
                if let Some(holder) = self.holder.as_ref().filter(|holder| !holder.suspended) {
                    let restore = holder.tty.try_clone();
                    self.terminal_lost(program, local).await;
                    if let Ok(tty) = restore {
                        tty.restore();
                    }
                } else {
                    self.terminal_lost(program, local).await;
                }
            }
        }
    }

    /// The size of the terminal, if the session has not taken it in yet.
    pub(super) fn other_size(&self) -> Option<Size> {
        let holder = self.holder.as_ref().filter(|holder| !holder.suspended)?;
        let size = holder.tty.size().ok()?;
        let size = Size::clamped(size.cols(), size.rows());
        (size != self.size).then_some(size)
    }

    /// The person at the terminal leaves it.
    pub(super) async fn detach(&mut self, program: &mut RunningProgram, local: &mut Local) {
        if !self.detachable {
            let text = "this session has no process of its own, so it ends with its terminal";
            if let Some(overlay) = &mut local.overlay {
                overlay.remark(self.clock.now(), text);
            }
            return;
        }
        self.stays = true;
        if let Some(holder) = self.let_go(program, local, true).await {
            holder.say(ToHolder::Released { reset: true });
            holder.say(ToHolder::Left(Left::Detached));
            self.detached(TtyNews::Detached);
        }
    }

    /// The terminal is gone, or the command that held it is: the session goes on if somebody said that it may,
    /// and else ends as every program does whose terminal is closed.
    pub(super) async fn terminal_lost(&mut self, program: &mut RunningProgram, local: &mut Local) {
        self.terminal_lost_by(ExitSignal::Hangup, program, local)
            .await;
    }

    /// The same, with the signal that says so to the programs.
    async fn terminal_lost_by(
        &mut self,
        signal: ExitSignal,
        program: &mut RunningProgram,
        local: &mut Local,
    ) {
        let Some(holder) = self.let_go(program, local, false).await else {
            return;
        };
        holder.say(ToHolder::Released { reset: true });
        let stays = self.stays;
        self.detached(TtyNews::Lost { stays });
        if stays {
            holder.say(ToHolder::Left(Left::Lost));
            return;
        }
        self.pass_on(signal, program);
        // It still hears how the program ended.
        self.leaving = Some(holder);
    }

    /// We were told to end: so are the programs, by the same signal. One of the keyboard's is for them alone.
    pub(super) fn told_to_end(&mut self, signal: ExitSignal, program: &mut RunningProgram) {
        self.pass_on(signal, program);
        if !signal.is_key() {
            self.let_go_at.get_or_insert(Instant::now() + STUCK);
        }
    }

    fn pass_on(&mut self, signal: ExitSignal, program: &mut RunningProgram) {
        program.pass_on(signal);
        self.terminals.pass_on(signal);
    }

    /// A terminal that takes nothing keeps no program from ending: it is given back before the end.
    pub(super) async fn let_go_if_stuck(
        &mut self,
        program: &mut RunningProgram,
        local: &mut Local,
    ) {
        if self.let_go_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.let_go_at = None;
        if let Some(holder) = self.let_go(program, local, false).await {
            holder.say(ToHolder::Released { reset: true });
            self.leaving = Some(holder);
        }
        // Nor does a pipe that nobody reads.
        program.show_on(None);
    }

    /// Output can't be written any more.
    pub(super) async fn output_gone(&mut self, program: &mut RunningProgram, local: &mut Local) {
        // It may be said of one that was let go since.
        let gone = local.overlay.as_ref().is_some_and(Overlay::is_gone);
        if gone {
            self.terminal_lost(program, local).await;
        }
    }

    /// How the session stands towards its terminal, for lists.
    pub(super) fn terminal_status(&self) -> TerminalStatus {
        match &self.holder {
            _ if !self.attachable => TerminalStatus::None,
            Some(holder) if !holder.suspended => TerminalStatus::Attached,
            _ => TerminalStatus::Detached,
        }
    }
}

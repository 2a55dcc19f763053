//! Doing what the state machine wants done.

use std::time::Duration;

use pillion_people::Issuer;
use pillion_session::{Actor, Command, HistoryJob, HostInput, HostNotice, HostOutput, verbs};
use pillion_store::HistoryRead;

use crate::{
    clock::unix_ms,
    hosting::{
        Hosting, RunningProgram, commands::ReplyTo, devices::Publisher, overlay::Overlay,
        reach::Reach, session_dir,
    },
    identity::contacts::Contacts,
};

/// How long viewers are given to hear that the session has ended.
const FAREWELL: Duration = Duration::from_millis(500);

impl Hosting {
    /// Does what the state machine wants done, until it wants nothing more.
    pub(super) async fn apply_outputs(
        &mut self,
        mut program: Option<&mut RunningProgram>,
        mut overlay: Option<&mut Overlay>,
    ) {
        while let Some(output) = self.host.poll() {
            match output {
                HostOutput::Write { track, seq, bytes } => {
                    let program = self.terminals.program(track, program.as_deref_mut());
                    let Some(program) = program else {
                        continue;
                    };
                    let typed = program.write_remote(seq, bytes);
                    if let Some(upto) = typed.discarded {
                        self.tell(HostInput::Discarded { track, upto });
                    }
                    if typed.written {
                        self.tell(HostInput::Written { track, seq });
                    }
                }
                HostOutput::Answer { track, bytes } => {
                    let program = self.terminals.program(track, program.as_deref_mut());
                    if let Some(program) = program {
                        program.answer(bytes);
                    }
                }
                HostOutput::Spawn {
                    track,
                    command,
                    size,
                } => self.spawn(track, command, size),
                HostOutput::Terminate { track } => {
                    if self.close_conversation(track, program.as_deref_mut()) {
                        continue;
                    }
                    let program = self.terminals.program(track, program.as_deref_mut());
                    if let Some(program) = program {
                        program.terminate();
                    }
                }
                HostOutput::StartAgent { track, start } => self.start_agent(track, start),
                HostOutput::Order { track, order } => self.order(track, order),
                HostOutput::Show { track } => self.terminals.show(track),
                // The loop has seen the last of them end.
                HostOutput::SessionEnded { .. } => {}
                HostOutput::LinkChanged(seed) => {
                    self.links.ticket(seed);
                    self.tell_devices();
                }
                HostOutput::Log(entry) => {
                    if let Err(error) = self.recorder.append(&mut self.log, &entry, unix_ms()) {
                        tracing::warn!(%error, "an entry was not logged");
                    }
                }
                HostOutput::ReadHistory(job) => {
                    let read = self.history_read(&job);
                    self.packer.begin(job, read);
                }
                HostOutput::Sign { request, input } => {
                    let signed = HostInput::signed_with(&self.options.identity, request, &input);
                    self.tell(signed);
                }
                HostOutput::Notice(notice) => {
                    if let HostNotice::Confirm { request, question } = &notice {
                        self.waits_for_yes(*request, question);
                    }
                    match overlay.as_deref_mut() {
                        Some(overlay) => {
                            let remark = self.remark(&notice);
                            overlay.notice_of(self.clock.now(), notice, remark);
                        }
                        None => tracing::info!(?notice, "notice"),
                    }
                }
                HostOutput::Done { request, result } => {
                    self.answer(request, result, overlay.as_deref_mut());
                }
                HostOutput::Allowed(command) => self.carry_out(command),
                HostOutput::FetchKeys { issuer } => self.fetch_keys(&issuer),
                HostOutput::FetchLists { from } => self.lists.fetch(from),
                HostOutput::Listen => {
                    self.tell_devices();
                    // Said as a command, so that it is written down like a link made later.
                    if let Some(service) = self.links.publishes_at() {
                        let command = Command::UseService(verbs::UseService {
                            service,
                            link: true,
                        });
                        self.command(Actor::Tty, command, ReplyTo::Nobody);
                    }
                }
                HostOutput::StopListening => {
                    self.links.stop();
                    self.reach = Reach::default();
                    self.tell_devices();
                    if let Some(net) = self.net.take() {
                        self.closing = Some(tokio::spawn(net.close(FAREWELL)));
                    }
                }
                output @ (HostOutput::Send { .. }
                | HostOutput::Reset { .. }
                | HostOutput::Finish { .. }
                | HostOutput::Accepted { .. }
                | HostOutput::Close { .. }) => {
                    if let Some(net) = &mut self.net {
                        // What is not for the network was dealt with above.
                        let _ = net.apply(output);
                    }
                }
            }
        }
    }

    /// Does what the session allowed and wrote down, and has no part in.
    fn carry_out(&mut self, command: Command) {
        match command {
            Command::UseService(verbs::UseService { service, link }) => match service.parse() {
                Ok(url) => self.links.use_service(url, link),
                Err(error) => tracing::error!(%error, "a link service that is none"),
            },
            Command::EndLink(_) => self.links.end_link(),
            other => tracing::error!(?other, "a command that the session carries out itself"),
        }
        self.keep_service();
    }

    /// Notes the link service for when the session is started again.
    pub(super) fn keep_service(&self) {
        if let Err(error) = session_dir::keep_service(&self.log, self.links.kept().as_ref()) {
            tracing::warn!(%error, "the session's link service was not written down");
        }
    }

    /// What of the log a job wants, if anything.
    fn history_read(&self, job: &HistoryJob) -> Option<HistoryRead> {
        let track = self.recorder.place(job.track)?;
        let read = || {
            self.log
                .history_read(track, job.from.0, job.count, job.max_bytes)
        };
        (job.count > 0).then(read)
    }

    /// What the contact book says of somebody who comes, knocks or asks for something: first of all that
    /// they are not whom it knows by their name.
    fn remark(&self, notice: &HostNotice) -> Option<String> {
        match notice {
            HostNotice::Joined {
                name,
                identity,
                proof,
                ..
            }
            | HostNotice::EditRequested {
                name,
                identity,
                proof,
                ..
            }
            | HostNotice::Knocked {
                name,
                identity,
                proof,
                ..
            } => {
                // A book that can't be read is no reason not to hear of them.
                let book = Contacts::open(&self.paths.config).ok()?;
                book.remark(name, identity, &proof.claims)
            }
            _ => None,
        }
    }

    /// Fetches keys, or says at once that there is nobody to ask.
    fn fetch_keys(&mut self, issuer: &Issuer) {
        tracing::info!(%issuer, "the keys of an issuer are wanted");
        if !self.believed.fetch() {
            self.tell(HostInput::Trust(self.believed.trust()));
        }
    }

    /// Has the person's other devices know what is shared here now.
    pub(super) fn tell_devices(&mut self) {
        if self.devices.is_none()
            && let Some(service) = &self.options.net.signal
        {
            self.devices = Publisher::start(service.clone(), self.paths.clone(), self.id.clone());
        }
        if let Some(devices) = &self.devices {
            devices.changed();
        }
    }
}

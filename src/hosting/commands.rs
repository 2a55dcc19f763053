//! Commands: who gives them, and who hears what came of them.

use std::time::Instant;

use pillion_session::{
    Actor, Command, CommandError, Done, HostInput, Reply,
    host::{CONFIRM_WITHIN_US, Question},
    verbs,
};
use pillion_tui::{HostAction, words};
use tokio::sync::oneshot;

use crate::{
    hosting::{
        Hosting, RunningProgram,
        clients::{ControlRequest, Responder},
        overlay::Overlay,
    },
    identity::teams,
    sessions::control::{Request, Response},
    terminal::console::explain,
};

/// Who waits for a command's result.
pub(super) enum ReplyTo {
    /// A client of the control socket.
    Client(Responder),
    /// The same, for the link that is published then.
    Link(Responder),
    /// The same, for a code by the service that is used then.
    Code(Responder),
    /// The panel.
    Overlay,
    /// The panel, for the link that is published then.
    OverlayLink,
    /// The person at the terminal, who goes to the terminal that is opened, or to another one, and types on there.
    Go,
    /// Nobody: it can't fail.
    Nobody,
    /// [`Hosting::share`].
    Start(oneshot::Sender<Result<Done, CommandError>>),
}

impl ReplyTo {
    /// The client that waits, if one does.
    fn reply(&self) -> Option<&Responder> {
        match self {
            ReplyTo::Client(reply) | ReplyTo::Link(reply) | ReplyTo::Code(reply) => Some(reply),
            ReplyTo::Overlay
            | ReplyTo::OverlayLink
            | ReplyTo::Go
            | ReplyTo::Nobody
            | ReplyTo::Start(_) => None,
        }
    }
}

impl Hosting {
    /// Has the state machine carry out a command.
    pub(super) fn command(&mut self, by: Actor, command: Command, answer: ReplyTo) {
        self.requests += 1;
        let request = self.requests;
        self.waiting.insert(request, answer);
        self.tell(HostInput::Command {
            request,
            by,
            command,
        });
    }

    /// Tells anybody who gave a command what came of it.
    pub(super) fn answer(
        &mut self,
        request: u64,
        result: Result<Done, CommandError>,
        overlay: Option<&mut Overlay>,
    ) {
        if let Some(answer) = self.waiting.remove(&request) {
            self.tell_result(answer, result, overlay);
        }
    }

    fn tell_result(
        &mut self,
        answer: ReplyTo,
        result: Result<Done, CommandError>,
        overlay: Option<&mut Overlay>,
    ) {
        let now = self.clock.now();
        // Clients may have given up, and the overlay be gone.
        match (answer, result) {
            (ReplyTo::Nobody, _) => {}
            (ReplyTo::Start(sender), result) => drop(sender.send(result)),
            (
                ReplyTo::Go,
                Ok(Done {
                    reply: Reply::OpenTerminal(track),
                    ..
                }),
            ) => {
                self.command(Actor::Tty, verbs::ShowTrack { track }.into(), ReplyTo::Go);
            }
            (ReplyTo::Go, Ok(_)) => {}
            (ReplyTo::Go, Err(error)) => {
                // It was for a terminal that is not there.
                self.typed_on.clear();
                if let Some(overlay) = overlay {
                    overlay.done(now, Err(error));
                }
            }
            (ReplyTo::Overlay, result) => {
                if let Some(overlay) = overlay {
                    overlay.done(now, result);
                }
            }
            (ReplyTo::OverlayLink, result) => {
                let Some(overlay) = overlay else { return };
                match result.map(|_| self.links.url()) {
                    Ok(Ok(url)) => overlay.link(&url),
                    Ok(Err(why)) => overlay.said(now, &words::sentence(&why)),
                    Err(error) => overlay.done(now, Err(error)),
                }
            }
            (ReplyTo::Client(client), Ok(mut done)) => {
                if let Reply::Status(status) = &mut done.reply {
                    status.terminal = self.terminal_status();
                }
                client.send(Response::Done(done));
            }
            (ReplyTo::Link(client), Ok(_)) => client.send(response(self.links.url())),
            (ReplyTo::Code(client), Ok(_)) => self.make_code(client),
            (
                ReplyTo::Client(client) | ReplyTo::Link(client) | ReplyTo::Code(client),
                Err(error),
            ) => {
                client.send(Response::Refused(error));
            }
        }
    }

    /// Tells anybody who gave a command why the process around the session could not carry it out.
    fn tell_failed(&mut self, answer: ReplyTo, why: String, overlay: Option<&mut Overlay>) {
        match (answer, overlay) {
            (ReplyTo::Client(client) | ReplyTo::Link(client) | ReplyTo::Code(client), _) => {
                client.send(Response::Failed(why))
            }
            (ReplyTo::Overlay | ReplyTo::OverlayLink | ReplyTo::Go, Some(overlay)) => {
                overlay.said(self.clock.now(), &words::sentence(&why));
            }
            (
                ReplyTo::Overlay
                | ReplyTo::OverlayLink
                | ReplyTo::Go
                | ReplyTo::Nobody
                | ReplyTo::Start(_),
                _,
            ) => {}
        }
    }

    /// Tells a client that somebody at the terminal is asked for a yes.
    pub(super) fn waits_for_yes(&self, request: u64, question: &Question) {
        if let Some(reply) = self.waiting.get(&request).and_then(ReplyTo::reply) {
            reply.waits_for(format!(
                "waiting {} s at most for a yes at the session's terminal ({} there): {}? Ctrl-C takes the \
                 question back.",
                CONFIRM_WITHIN_US / 1_000_000,
                self.options.prefix,
                words::offer(&question.what),
            ));
        }
    }

    /// Clients went without waiting for an answer: nobody need be asked for them any more.
    pub(super) fn clients_gone(&mut self) {
        let gone = self.waiting.iter().filter(|(_, answer)| {
            let reply = answer.reply();
            reply.is_some_and(Responder::is_gone)
        });
        let gone: Vec<u64> = gone.map(|(request, _)| *request).collect();
        for request in gone {
            self.tell(HostInput::Withdrawn { request });
        }
    }

    /// A client of the control socket asks for something.
    pub(super) async fn client(&mut self, asked: ControlRequest) {
        let ControlRequest {
            request,
            pid,
            reply,
        } = asked;
        match request {
            Request::Flush => {
                self.log.flush(Instant::now());
                reply.send(Response::Text(String::new()));
            }
            Request::Removals => {
                let response = match teams::removals(&self.paths.config) {
                    Ok(told) => {
                        let removals = self.believed.merge(told);
                        self.tell(HostInput::Removals(removals));
                        Response::Text(String::new())
                    }
                    Err(error) => Response::Failed(explain(&error)),
                };
                reply.send(response);
            }
            Request::Link => {
                reply.send(response(self.links.url()));
            }
            Request::Service => {
                let url = self.links.service(None);
                reply.send(response(url.map(|url| url.to_string())));
            }
            Request::Publish { service } => {
                let answer = ReplyTo::Link(reply);
                self.use_service(Actor::Socket, service.as_deref(), true, answer, None);
            }
            Request::Code { service } => {
                let answer = ReplyTo::Code(reply);
                self.use_service(Actor::Socket, service.as_deref(), false, answer, None);
            }
            Request::Command(Command::UseService(verbs::UseService { service, link })) => {
                let answer = ReplyTo::Client(reply);
                self.use_service(Actor::Socket, Some(&service), link, answer, None);
            }
            // Its terminal has to come along: clients.rs.
            Request::Attach | Request::Command(Command::Attach(_)) => {
                let text = "a terminal has to be handed over to be attached";
                reply.send(Response::Failed(text.to_owned()));
            }
            // Who is the host says yes from then on: that is not for what somebody else may have started here.
            Request::Command(Command::Own(_))
                if pid.is_none_or(crate::hosting::process::descends_from_us) =>
            {
                reply.send(Response::Refused(CommandError::StartedInside));
            }
            Request::Command(command) => {
                let fails = match &command {
                    Command::Share(verbs::Share { .. }) => {
                        self.listen().await.map_err(|error| explain(&error))
                    }
                    Command::EndLink(verbs::EndLink {}) => self.links.has_link(),
                    _ => Ok(()),
                };
                match fails {
                    Ok(()) => self.command(Actor::Socket, command, ReplyTo::Client(reply)),
                    Err(why) => reply.send(Response::Failed(why)),
                }
            }
        }
    }

    /// Somebody wants something of this link service, or else of the one the session has. To use another
    /// one, or to publish a link there, is a command.
    fn use_service(
        &mut self,
        by: Actor,
        named: Option<&str>,
        link: bool,
        answer: ReplyTo,
        overlay: Option<&mut Overlay>,
    ) {
        match self.links.service(named) {
            Err(why) => self.tell_failed(answer, why, overlay),
            Ok(url) if self.links.uses(&url, link) && !link => {
                self.command(by, Command::Code(verbs::Code {}), answer);
            }
            Ok(url) if self.links.uses(&url, link) => {
                let service = url.to_string();
                let used = Reply::UseService(verbs::ServiceUsed { service, link });
                self.tell_result(answer, Ok(used.into()), overlay);
            }
            Ok(url) => {
                let service = url.to_string();
                self.command(
                    by,
                    Command::UseService(verbs::UseService { service, link }),
                    answer,
                );
            }
        }
    }

    /// Makes a code for a client. It comes when the service has answered; the session goes on meanwhile.
    fn make_code(&self, client: Responder) {
        match self.links.code() {
            Ok(code) => {
                tokio::spawn(async move {
                    let gone = || Err("the session ended before there was a code".to_owned());
                    let code = code.await.unwrap_or_else(|_| gone());
                    client.send(response(code));
                });
            }
            Err(why) => client.send(response(Err(why))),
        }
    }

    /// What the keys of the host's person ask for.
    pub(super) fn overlay_actions(
        &mut self,
        actions: Vec<HostAction>,
        program: &mut RunningProgram,
        overlay: &mut Overlay,
    ) {
        let mut actions = actions.into_iter();
        while let Some(action) = actions.next() {
            match action {
                HostAction::Forward(bytes) => self.write_local(program, bytes),
                HostAction::Command(command) => self.command(Actor::Tty, command, ReplyTo::Overlay),
                HostAction::Link => {
                    let answer = ReplyTo::OverlayLink;
                    self.use_service(Actor::Tty, None, true, answer, Some(overlay));
                }
                HostAction::Code => match self.links.code() {
                    Ok(code) => self.code = Some(code),
                    Err(why) => overlay.said(self.clock.now(), &words::sentence(&why)),
                },
                HostAction::Open => {
                    let open = verbs::OpenTerminal {
                        title: String::new(),
                        command: Vec::new(),
                    };
                    self.command(Actor::Tty, open.into(), ReplyTo::Go);
                    self.typed_on.extend(actions);
                    return;
                }
                HostAction::Show(which) => {
                    let Some(track) = self.which(which) else {
                        overlay.nowhere_else(self.clock.now());
                        continue;
                    };
                    self.command(Actor::Tty, verbs::ShowTrack { track }.into(), ReplyTo::Go);
                    self.typed_on.extend(actions);
                    return;
                }
                HostAction::Detach => self.leave = true,
                HostAction::Confirmed { request, yes } => {
                    self.tell(HostInput::Confirmed { request, yes });
                }
            }
        }
    }

    /// A code that was asked for in the panel came, or why there is none.
    pub(super) fn code_came(&self, code: Result<String, String>, overlay: Option<&mut Overlay>) {
        if let Some(overlay) = overlay {
            let said = match code {
                Ok(code) => format!("Say it aloud: {code}. It works once, for ten minutes."),
                Err(why) => words::sentence(&why),
            };
            overlay.said(self.clock.now(), &said);
        }
    }
}

/// A link or code for a client of the control socket.
fn response(result: Result<String, String>) -> Response {
    match result {
        Ok(text) => Response::Text(text),
        Err(why) => Response::Failed(why),
    }
}

//! Commands: who gives them, and who hears what came of them.

use std::time::Instant;

use pillion_session::{Actor, Command, CommandError, Done, HostInput};
use pillion_tui::HostAction;
use tokio::sync::oneshot;

use crate::{
    control::{Request, Response},
    hosting::{Hosting, RunningProgram, clients::Asked, overlay::Overlay},
};

/// Who waits for a command's result.
pub(super) enum Answer {
    /// A client of the control socket.
    Client(oneshot::Sender<Response>),
    /// The panel.
    Overlay,
    /// Given at the start, and can't fail.
    Nobody,
    /// [`Hosting::share`].
    Share(oneshot::Sender<Result<Done, CommandError>>),
}

impl Hosting {
    /// Has the state machine carry out a command.
    pub(super) fn command(&mut self, by: Actor, command: Command, answer: Answer) {
        self.requests += 1;
        let request = self.requests;
        self.waiting.insert(request, answer);
        self.tell(HostInput::Command {
            request,
            by,
            command,
        });
    }

    /// Tells whoever gave a command what came of it.
    pub(super) fn answer(
        &mut self,
        request: u64,
        result: Result<Done, CommandError>,
        overlay: Option<&mut Overlay>,
    ) {
        match self.waiting.remove(&request) {
            Some(Answer::Client(client)) => {
                // The client may have given up.
                let _ = client.send(match result {
                    Ok(done) => Response::Done(done),
                    Err(error) => Response::Failed(error),
                });
            }
            Some(Answer::Overlay) => {
                if let Some(overlay) = overlay {
                    overlay.done(self.clock.now(), result);
                }
            }
            Some(Answer::Share(sender)) => {
                let _ = sender.send(result);
            }
            Some(Answer::Nobody) | None => {}
        }
    }

    /// A client of the control socket asks for something.
    pub(super) async fn client(&mut self, asked: Asked) {
        match asked.request {
            Request::Flush => {
                self.log.flush(Instant::now());
                let _ = asked.answer.send(Response::Done(Done::Said(String::new())));
            }
            Request::Link => {
                let _ = asked.answer.send(response(self.links.url()));
            }
            Request::Code => match self.links.code() {
                Ok(code) => {
                    // Answered when the service has; the session goes on meanwhile.
                    tokio::spawn(async move {
                        let gone = || Err("the session ended before there was a code".to_owned());
                        let code = code.await.unwrap_or_else(|_| gone());
                        let _ = asked.answer.send(response(code));
                    });
                }
                Err(why) => {
                    let _ = asked.answer.send(response(Err(why)));
                }
            },
            Request::Command(command) => {
                if matches!(command, Command::Share { .. })
                    && let Err(error) = self.listen().await
                {
                    let error = CommandError::NotNow(format!("{error:#}"));
                    let _ = asked.answer.send(Response::Failed(error));
                    return;
                }
                self.command(Actor::Socket, command, Answer::Client(asked.answer));
            }
        }
    }

    /// What the keys of the host's person ask for.
    pub(super) fn overlay_actions(
        &mut self,
        actions: Vec<HostAction>,
        program: &mut RunningProgram,
    ) {
        for action in actions {
            match action {
                HostAction::Forward(bytes) => program.type_here(bytes),
                HostAction::Command(command) => self.command(Actor::Tty, command, Answer::Overlay),
                HostAction::Confirmed { request, yes } => {
                    self.tell(HostInput::Confirmed { request, yes });
                }
            }
        }
    }
}

/// A link or code for a client of the control socket.
fn response(result: Result<String, String>) -> Response {
    match result {
        Ok(text) => Response::Done(Done::Said(text)),
        Err(why) => Response::Failed(CommandError::NotNow(why)),
    }
}

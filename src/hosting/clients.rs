//! Clients of the control socket, each served by a task of its own.

use tokio::sync::{mpsc, oneshot};

use crate::sessions::control::{Client, Progress, Request, Response, Server};

/// Requests that may wait for the loop; clients beyond wait in their turn.
const QUEUE: usize = 16;

/// What a client does.
pub enum FromClient {
    /// It asks for something.
    ControlRequest(ControlRequest),
    /// One went without waiting for its answer, whose [`Responder::is_gone`] says so.
    Gone,
}

/// A request and who waits for the answer.
pub struct ControlRequest {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes.
    pub reply: Responder,
}

/// A client that waits for an answer.
pub struct Responder {
    answer: oneshot::Sender<Response>,
    progress: mpsc::UnboundedSender<String>,
}

impl Responder {
    /// Says what the client waits for.
    pub fn waits_for(&self, what: String) {
        // It may have gone.
        let _ = self.progress.send(what);
    }

    /// Answers.
    pub fn send(self, response: Response) {
        let _ = self.answer.send(response);
    }

    /// Whether nobody waits any more.
    pub fn is_gone(&self) -> bool {
        self.answer.is_closed()
    }
}

/// Everyone who connects to the control socket.
pub struct Clients {
    events: mpsc::Receiver<FromClient>,
    task: tokio::task::JoinHandle<()>,
}

impl Clients {
    /// Serves anybody who connects, until dropped.
    pub fn serve(server: Server) -> Clients {
        let (sender, events) = mpsc::channel(QUEUE);
        let task = tokio::spawn(async move {
            loop {
                match server.accept().await {
                    Ok(client) => {
                        tokio::spawn(serve(client, sender.clone()));
                    }
                    Err(error) => {
                        // Out of file descriptors: others must end before anyone can be served.
                        tracing::warn!(%error, "a client could not be accepted");
                        tokio::task::yield_now().await;
                    }
                }
            }
        });
        Clients { events, task }
    }

    /// The next thing one of them does.
    pub async fn next(&mut self) -> FromClient {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: Client, events: mpsc::Sender<FromClient>) {
    loop {
        let request = match client.request().await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "a client of the control socket");
                return;
            }
        };
        let (answer, mut answered) = oneshot::channel();
        let (progress, mut waits) = mpsc::unbounded_channel();
        let reply = Responder { answer, progress };
        let asked = FromClient::ControlRequest(ControlRequest { request, reply });
        if events.send(asked).await.is_err() {
            return;
        }
        let response = loop {
            tokio::select! {
                biased;
                Some(what) = waits.recv() => {
                    if client.send(&Progress::WaitsFor(what)).await.is_err() {
                        break None;
                    }
                }
                response = &mut answered => break response.ok(),
                () = client.gone() => break None,
            }
        };
        let Some(response) = response else {
            // Ctrl-C, or the session ends.
            drop(answered);
            let _ = events.send(FromClient::Gone).await;
            return;
        };
        if client.send(&Progress::Answer(response)).await.is_err() {
            return;
        }
    }
}

//! Clients of the control socket, each served by a task of its own.

use std::{sync::Arc, time::Duration};

use pillion_session::CommandError;
use pillion_source::AttachedTty;
use tokio::{
    net::UnixStream,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::{
    hosting::attach::Holder,
    sessions::control::{
        Accepted, FromHolder, Progress, Request, Response, Server, ToHolder, Wire,
    },
    terminal::console::explain,
};

/// Requests that may wait for the loop; clients beyond wait in their turn.
const QUEUE: usize = 16;

/// How long nobody is accepted where there are no file descriptors for them.
const CROWDED: Duration = Duration::from_millis(100);

/// How long a command may take to hand over its terminal, or to make it raw.
const HANDING_OVER: Duration = Duration::from_secs(10);

/// What a client does.
pub enum FromClient {
    /// It asks for something.
    ControlRequest(ControlRequest),
    /// One went without waiting for its answer, whose [`Responder::is_gone`] says so.
    Gone,
    /// It wants its terminal to be the host's. Once the answer is that it may, [`FromClient::Attached`]
    /// follows.
    Attach(AttachRequest),
    /// Its terminal is handed over and raw.
    Attached(Holder),
    /// The one who holds a terminal says something; `None` when it is gone.
    Holder {
        /// Which ([`Holder::id`]).
        id: u64,
        /// What.
        said: Option<FromHolder>,
    },
}

/// A request and who waits for the answer.
pub struct ControlRequest {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes.
    pub reply: Responder,
    /// The process that asks.
    pub pid: Option<i32>,
}

/// Somebody's wish that their terminal be the host's.
pub struct AttachRequest {
    /// The process that asks.
    pub pid: Option<i32>,
    /// The device of its terminal.
    pub device: u64,
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
    session: Arc<str>,
    sender: mpsc::Sender<FromClient>,
    events: mpsc::Receiver<FromClient>,
    task: JoinHandle<()>,
}

impl Clients {
    /// Serves anybody who connects to this session, until dropped.
    pub fn serve(mut server: Server, session: &str) -> Clients {
        let (sender, events) = mpsc::channel(QUEUE);
        let session: Arc<str> = session.into();
        let (clients, id) = (sender.clone(), Arc::clone(&session));
        let task = tokio::spawn(async move {
            loop {
                match server.accept().await {
                    Ok(Accepted::Client(client)) => {
                        tokio::spawn(serve(client, Arc::clone(&id), clients.clone()));
                    }
                    Ok(Accepted::Again) => {
                        // What was to be told meanwhile was told nobody.
                        let (answer, _) = oneshot::channel();
                        let (progress, _) = mpsc::unbounded_channel();
                        let reply = Responder { answer, progress };
                        let request = Request::Removals;
                        let pid = None;
                        let asked = ControlRequest {
                            request,
                            pid,
                            reply,
                        };
                        let _ = clients.send(FromClient::ControlRequest(asked)).await;
                    }
                    Err(error) => {
                        // Out of file descriptors: others must end before anyone can be served.
                        tracing::warn!(%error, "a client could not be accepted");
                        tokio::time::sleep(CROWDED).await;
                    }
                }
            }
        });
        Clients {
            session,
            sender,
            events,
            task,
        }
    }

    /// Serves one who need not connect. What is returned ends when it has gone.
    pub fn adopt(&self, stream: UnixStream) -> JoinHandle<()> {
        let session = Arc::clone(&self.session);
        tokio::spawn(serve(Wire::new(stream), session, self.sender.clone()))
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

async fn serve(mut client: Wire, session: Arc<str>, events: mpsc::Sender<FromClient>) {
    let (uid, pid) = match client.peer() {
        Ok((uid, pid)) => (Some(uid), pid),
        Err(_) => (None, None),
    };
    loop {
        let request = match client.read().await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "a client of the control socket");
                return;
            }
        };
        // The directory keeps others out; this does so where somebody has opened it.
        if uid != Some(rustix::process::geteuid().as_raw()) {
            let refused = Progress::Answer(Response::Refused(CommandError::OtherUser));
            let _ = client.write(&refused).await;
            return;
        }
        let tty = match request {
            Request::Attach => match tokio::time::timeout(HANDING_OVER, take(&mut client)).await {
                Ok(Ok(tty)) => Some(tty),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a terminal was not handed over");
                    let failed = Response::Failed(explain(&error));
                    let _ = client.write(&Progress::Answer(failed)).await;
                    return;
                }
                Err(_) => return,
            },
            _ => {
                if client.write(&Progress::Taken).await.is_err() {
                    return;
                }
                None
            }
        };
        let (answer, mut answered) = oneshot::channel();
        let (progress, mut waits) = mpsc::unbounded_channel();
        let reply = Responder { answer, progress };
        let asked = match &tty {
            None => FromClient::ControlRequest(ControlRequest {
                request,
                pid,
                reply,
            }),
            Some((_, device)) => FromClient::Attach(AttachRequest {
                pid,
                device: *device,
                reply,
            }),
        };
        if events.send(asked).await.is_err() {
            return;
        }
        let response = loop {
            tokio::select! {
                biased;
                Some(what) = waits.recv() => {
                    if client.write(&Progress::WaitsFor(what)).await.is_err() {
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
        if let (Response::Done(_), Some((tty, _))) = (&response, tty) {
            return hold(client, tty, &session, events).await;
        }
        if client.write(&Progress::Answer(response)).await.is_err() {
            return;
        }
    }
}

/// Takes a terminal over, and its device.
async fn take(client: &mut Wire) -> anyhow::Result<(AttachedTty, u64)> {
    client
        .write(&Progress::Terminal(ToHolder::HandOver))
        .await?;
    let tty = AttachedTty::new(client.receive_terminal().await?)?;
    let device = tty.device()?;
    Ok((tty, device))
}

/// Serves the one who holds the host's terminal.
async fn hold(mut client: Wire, tty: AttachedTty, session: &str, events: mpsc::Sender<FromClient>) {
    let session = session.to_owned();
    let attached = Progress::Terminal(ToHolder::Attached { session });
    if client.write(&attached).await.is_err() {
        return;
    }
    let ready = tokio::time::timeout(HANDING_OVER, client.read()).await;
    if !matches!(ready, Ok(Ok(Some(FromHolder::Ready)))) {
        return;
    }
    let (holder, mut says) = Holder::new(tty);
    let id = holder.id();
    if events.send(FromClient::Attached(holder)).await.is_err() {
        return;
    }
    loop {
        tokio::select! {
            biased;
            say = says.recv() => {
                let Some(say) = say else { return };
                let last = matches!(
                    say,
                    ToHolder::Left(_) | ToHolder::Ended { .. } | ToHolder::Failed { .. }
                );
                let written = client.write(&Progress::Terminal(say)).await;
                if last {
                    return;
                }
                if written.is_err() {
                    let _ = events.send(FromClient::Holder { id, said: None }).await;
                    return;
                }
            }
            said = client.read() => {
                let said = said.unwrap_or_else(|error| {
                    tracing::warn!(%error, "the one who holds the terminal");
                    None
                });
                let gone = said.is_none();
                if events.send(FromClient::Holder { id, said }).await.is_err() || gone {
                    return;
                }
            }
        }
    }
}

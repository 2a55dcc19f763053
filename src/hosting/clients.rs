//! Clients of the control socket, each served by a task of its own.

use tokio::sync::{mpsc, oneshot};

use crate::control::{Client, Request, Response, Server};

/// Requests that may wait for the loop; clients beyond wait in their turn.
const QUEUE: usize = 16;

/// A request and who waits for the answer.
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Response>,
}

/// Everyone who connects to the control socket.
pub struct Clients {
    asked: mpsc::Receiver<Asked>,
    task: tokio::task::JoinHandle<()>,
}

impl Clients {
    /// Serves whoever connects, until dropped.
    pub fn serve(server: Server) -> Clients {
        let (sender, asked) = mpsc::channel(QUEUE);
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
        Clients { asked, task }
    }

    /// The next request.
    pub async fn next(&mut self) -> Asked {
        match self.asked.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut client: Client, requests: mpsc::Sender<Asked>) {
    loop {
        let request = match client.request().await {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "a client of the control socket");
                return;
            }
        };
        let (answer, answered) = oneshot::channel();
        if requests.send(Asked { request, answer }).await.is_err() {
            return;
        }
        let Ok(response) = answered.await else { return };
        if client.answer(&response).await.is_err() {
            return;
        }
    }
}

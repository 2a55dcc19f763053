//! The control socket: how commands reach a running session.
//!
//! One Unix socket per session in a directory only its owner can enter. A request is one line of
//! JSON, and so is its answer. Being able to connect proves the account, nothing more: what a command
//! may do is decided by the session (`Actor::Socket`).

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use pillion_session::{Command, CommandError, Done};
use pillion_tui::words::Refusal;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
};

/// Longest line either way, in bytes: a `who` of a thousand viewers is under 256 KiB.
const MAX_LINE: u64 = 1024 * 1024;

/// How long a client waits: a command that needs a yes at the host's terminal waits a minute there.
const PATIENCE: Duration = Duration::from_secs(75);

/// What is asked of a running session.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// A command of the session's own.
    Command(Command),
    /// The session's link.
    Link,
    /// The session's link, which is published first if it is not: at this link service, or else the
    /// one the session has.
    Publish {
        /// The service's URL.
        service: Option<String>,
    },
    /// A spoken code for the session, by this link service or else the one the session has.
    Code {
        /// The service's URL.
        service: Option<String>,
    },
    /// Keep to what teams took back by now: it was written down before this is asked.
    Removals,
    /// Write everything recorded so far to disk, for who reads the log next.
    Flush,
}

/// The answer.
#[derive(Debug, Serialize, Deserialize)]
pub enum Response {
    /// Carried out.
    Done(Done),
    /// The same, for what is asked of the process around the session: a link, a code, or nothing.
    Text(String),
    /// The session does not carry it out.
    Refused(CommandError),
    /// The process around the session could not: why, for people.
    Failed(String),
}

/// What a session says to the one who asked.
#[derive(Debug, Serialize, Deserialize)]
pub enum Progress {
    /// The answer will take a while, and why: a sentence for people.
    WaitsFor(String),
    /// The answer.
    Answer(Response),
}

/// Asks a running session. What it waits for is said on standard error meanwhile; anybody who drops this, or
/// ends, takes a question back that is being asked at the session's terminal.
///
/// # Errors
/// No such session runs, it does not answer, or it refuses ([`Refusal`] inside).
pub async fn ask(socket: &Path, request: &Request) -> Result<Response> {
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                anyhow!(NoSession)
            }
            _ => anyhow!(error).context(format!("{} could not be reached", socket.display())),
        })?;
    let answer = tokio::time::timeout(PATIENCE, async {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        write_line(&mut write, request).await?;
        loop {
            match read_line(&mut read).await? {
                Some(Progress::WaitsFor(what)) => say_waiting(&what),
                Some(Progress::Answer(response)) => return anyhow::Ok(Some(response)),
                None => return Ok(None),
            }
        }
    })
    .await
    .map_err(|_| anyhow!("the session does not answer; see `pillion ls`"))??;
    match answer {
        Some(Response::Refused(error)) => Err(Refusal(error).into()),
        Some(Response::Failed(why)) => bail!("{why}"),
        Some(done) => Ok(done),
        None => bail!("the session ended before it answered"),
    }
}

/// Has a running session carry out a command, as [`ask`].
///
/// # Errors
/// As [`ask`]; or something else was answered.
pub async fn command(socket: &Path, command: Command) -> Result<Done> {
    match ask(socket, &Request::Command(command)).await? {
        Response::Done(done) => Ok(done),
        _ => bail!("the session answered something else; this is a defect of pillion"),
    }
}

/// Asks for a text: a link, a code.
///
/// # Errors
/// As [`ask`]; or something else was answered.
pub async fn text(socket: &Path, request: &Request) -> Result<String> {
    match ask(socket, request).await? {
        Response::Text(text) => Ok(text),
        _ => bail!("the session answered something else; this is a defect of pillion"),
    }
}

/// Nobody may read standard error any more, which is no reason to end.
fn say_waiting(what: &str) {
    let _ = writeln!(io::stderr(), "pillion: {what}");
}

/// The session asked for does not run.
#[derive(Debug, thiserror::Error)]
#[error("that session is not running; `pillion ls` lists those that are")]
pub struct NoSession;

/// The session's end of the socket. Removes the socket's file when dropped.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Listens at `path`, whose directory is already private.
    ///
    /// # Errors
    /// The path is too long for a socket, or another session of the same name is alive.
    pub fn bind(path: PathBuf) -> Result<Server> {
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            bail!("{} is in use by another session", path.display());
        }
        // Left by a session that was killed; nobody answered above.
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("{} is in the way", path.display()));
            }
        }
        let listener = UnixListener::bind(&path).with_context(|| {
            format!(
                "the control socket {} could not be made; a shorter XDG_RUNTIME_DIR may help",
                path.display()
            )
        })?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .with_context(|| format!("{} could not be protected", path.display()))?;
        Ok(Server { listener, path })
    }

    /// The next client.
    ///
    /// # Errors
    /// Out of file descriptors.
    pub async fn accept(&self) -> io::Result<Client> {
        let (stream, _) = self.listener.accept().await?;
        Ok(Client {
            stream: BufReader::new(stream),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Best effort: a stale socket is recognised by the next session that wants the name.
        let _ = fs::remove_file(&self.path);
    }
}

/// One client of a session's socket.
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// The next request; `None` when the client is done.
    ///
    /// # Errors
    /// Not a request, or longer than one can be.
    pub async fn request(&mut self) -> Result<Option<Request>> {
        read_line(&mut self.stream).await
    }

    /// Tells the client something.
    ///
    /// # Errors
    /// It is gone.
    pub async fn send(&mut self, progress: &Progress) -> Result<()> {
        write_line(self.stream.get_mut(), progress).await
    }

    /// Waits until the client closes its end. What it sends meanwhile is kept for
    /// [`Client::request`], and then this waits for ever.
    pub async fn gone(&mut self) {
        match self.stream.fill_buf().await {
            Ok([]) | Err(_) => {}
            Ok(_) => std::future::pending().await,
        }
    }
}

async fn write_line<T: Serialize>(
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    value: &T,
) -> Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line).await?;
    Ok(())
}

async fn read_line<T: DeserializeOwned>(
    from: &mut (impl tokio::io::AsyncBufRead + Unpin),
) -> Result<Option<T>> {
    let mut line = Vec::new();
    let read = from.take(MAX_LINE).read_until(b'\n', &mut line).await?;
    if read == 0 {
        return Ok(None);
    }
    if line.last() != Some(&b'\n') {
        bail!("a line on the control socket was cut short or too long");
    }
    Ok(Some(serde_json::from_slice(&line).context(
        "the two sides of the control socket do not understand each other: was pillion upgraded while the session ran? Restart the session",
    )?))
}

#[cfg(test)]
mod tests {
    use pillion_session::{Reply, verbs};

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    }

    #[test]
    fn a_request_comes_through_and_its_answer_back() {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.sock");
            let server = Server::bind(path.clone()).unwrap();
            let serve = async {
                let mut client = server.accept().await.unwrap();
                let request = client.request().await.unwrap().unwrap();
                assert!(matches!(
                    request,
                    Request::Command(Command::Who(verbs::Who {}))
                ));
                let waits = Progress::WaitsFor("waiting".to_owned());
                client.send(&waits).await.unwrap();
                let done = Response::Done(Reply::Who(Vec::new()).into());
                client.send(&Progress::Answer(done)).await.unwrap();
            };
            let (done, ()) = tokio::join!(super::command(&path, verbs::Who {}.into()), serve);
            assert_eq!(done.unwrap().reply, Reply::Who(Vec::new()));
        });
    }

    #[test]
    fn a_client_that_goes_is_noticed_and_one_that_asks_on_is_not() {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.sock");
            let server = Server::bind(path.clone()).unwrap();
            let mut stream = UnixStream::connect(&path).await.unwrap();
            let mut client = server.accept().await.unwrap();
            write_line(&mut stream, &Request::Flush).await.unwrap();
            write_line(&mut stream, &Request::Removals).await.unwrap();
            assert!(matches!(
                client.request().await.unwrap(),
                Some(Request::Flush)
            ));
            tokio::select! {
                biased;
                () = client.gone() => panic!("another request is no reason"),
                () = tokio::task::yield_now() => {}
            }
            assert!(matches!(
                client.request().await.unwrap(),
                Some(Request::Removals)
            ));
            drop(stream);
            client.gone().await;
        });
    }

    #[test]
    fn a_socket_nobody_answers_is_taken_over_and_a_live_one_is_not() {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.sock");
            drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
            let server = Server::bind(path.clone()).unwrap();
            assert!(Server::bind(path.clone()).is_err());
            drop(server);
            assert!(!path.exists());
            let error = ask(&path, &Request::Flush).await.unwrap_err();
            assert!(error.downcast_ref::<NoSession>().is_some());
        });
    }

    #[test]
    fn garbage_is_refused() {
        runtime().block_on(async {
            for garbage in [&b"{}\n"[..], b"no newline", b"\xff\xfe\n"] {
                assert!(read_line::<Request>(&mut &garbage[..]).await.is_err());
            }
        });
    }
}

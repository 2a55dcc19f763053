//! The control socket: how commands reach a running session.
//!
//! One Unix socket per session, in the session's own directory, which only its owner can enter: who can list a
//! session finds its socket. A request is one line of JSON, and so is its answer. Being able to connect proves the account, nothing more: what a command
//! may do is decided by the session (`Actor::Socket`).

use std::{
    fs,
    io::{self, IoSlice, IoSliceMut, Write as _},
    mem::MaybeUninit,
    os::{
        fd::{AsRawFd as _, BorrowedFd, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use pillion_session::{Command, CommandError, Done};
use pillion_tui::words::Refusal;
use rustix::{
    fs::OFlags,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Interest},
    net::{UnixListener, UnixStream},
};

use crate::settings::paths::{Paths, private_dir};

/// Longest line either way, in bytes: a `who` of a thousand viewers is under 256 KiB.
const MAX_LINE: usize = 1024 * 1024;

/// How long a session may take to say that it has taken a request: one that says nothing is stopped, or stuck.
pub const FIRST_WORD: Duration = Duration::from_secs(1);

/// How long a client waits after that: a command that needs a yes at the host's terminal waits a minute there.
const PATIENCE: Duration = Duration::from_secs(75);

/// How often a session looks whether its socket is still there.
const SOCKET_CHECK: Duration = Duration::from_secs(5);

/// Longest path of a socket, in bytes (`unix(7)`: 108 with the 0 behind it).
const MAX_SOCKET_PATH: usize = 107;

/// What is asked of a running session.
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// A command of the session's own.
    Command(Command),
    /// The session's link.
    Link,
    /// The URL of its link service.
    Service,
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
    /// Make the terminal of the one who asks the host's own. What is said from then on are [`ToHolder`]
    /// and [`FromHolder`].
    Attach,
}

/// What a session says to the command that holds its host's terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToHolder {
    /// Hand over the terminal's open file ([`Wire::send_terminal`]), while it is as its user has it.
    HandOver,
    /// The terminal is the session's: make it raw, and say [`FromHolder::Ready`].
    Attached {
        /// The session's id.
        session: String,
    },
    /// Nothing more is read from it or written to it: give it back.
    Released {
        /// Switch off what the program may have switched on.
        reset: bool,
    },
    /// The session goes on without this terminal; the last thing that is said.
    Left(Left),
    /// The session has ended; the last thing that is said.
    Ended {
        /// The program's exit code.
        code: u8,
    },
    /// The session could not be started; the last thing that is said.
    Failed {
        /// Why, for people.
        text: String,
        /// The exit code.
        code: u8,
    },
}

/// Why a terminal was let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Left {
    /// Its person wanted to.
    Detached,
    /// Another one was attached.
    TakenOver,
    /// It is gone.
    Lost,
}

/// What the command says that holds the host's terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromHolder {
    /// The terminal is raw (again): what it shows is not the session's.
    Ready,
    /// It has another size.
    Resized,
    /// It is to be given back for a while: the command is about to be stopped.
    Suspended,
    /// The command was told to end by the signal of this number.
    Signal(i32),
    /// The terminal is gone.
    Lost,
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
    /// The session has taken the request.
    Taken,
    /// The answer will take a while, and why: a sentence for people.
    WaitsFor(String),
    /// The answer.
    Answer(Response),
    /// To the one who asked for [`Request::Attach`].
    Terminal(ToHolder),
    /// To the one who started a session that begins with a conversation: it runs.
    Begun {
        /// The session's id.
        session: String,
        /// Its ticket.
        ticket: String,
        /// Its link, if it has one.
        link: Option<String>,
    },
}

/// Asks several running sessions at once; what came of each, in order. One that has not answered after `within`
/// is [`Unreachable`].
pub async fn ask_all(
    requests: impl IntoIterator<Item = (PathBuf, Request)>,
    within: Duration,
) -> Vec<Result<Response>> {
    let asked = requests.into_iter().map(|(socket, request)| {
        tokio::spawn(async move {
            let answer = tokio::time::timeout(within, ask(&socket, &request)).await;
            answer.unwrap_or_else(|_| Err(Unreachable { pid: None }.into()))
        })
    });
    let asked: Vec<_> = asked.collect();
    let mut answers = Vec::with_capacity(asked.len());
    for asked in asked {
        answers.push(asked.await.unwrap_or_else(|panic| Err(panic.into())));
    }
    answers
}

/// Asks a running session. What it waits for is said on standard error meanwhile; anybody who drops this, or
/// ends, takes a question back that is being asked at the session's terminal.
///
/// # Errors
/// No such session runs ([`NoSession`] inside), it does not answer ([`Unreachable`]), or it refuses
/// ([`Refusal`]).
pub async fn ask(socket: &Path, request: &Request) -> Result<Response> {
    let stream = connect(socket).await?;
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid());
    let mut wire = Wire::new(stream);
    let first = tokio::time::timeout(FIRST_WORD, async {
        wire.write(request).await?;
        wire.read().await
    });
    let first = first.await.map_err(|_| Unreachable { pid })??;
    let answer = tokio::time::timeout(PATIENCE, async {
        let mut said = first;
        loop {
            match said {
                Some(Progress::WaitsFor(what)) => say_waiting(&what),
                Some(Progress::Answer(response)) => return anyhow::Ok(Some(response)),
                Some(Progress::Taken | Progress::Terminal(_) | Progress::Begun { .. }) => {}
                None => return Ok(None),
            }
            said = wire.read().await?;
        }
    });
    match answer.await.map_err(|_| Unreachable { pid })?? {
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

/// Reaches a running session.
///
/// # Errors
/// None runs there.
pub async fn connect(socket: &Path) -> Result<UnixStream> {
    let short = ShortPath::of(socket)?;
    UnixStream::connect(&short.path)
        .await
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                anyhow!(NoSession)
            }
            // Nobody has taken those who connected before.
            io::ErrorKind::WouldBlock => anyhow!(Unreachable { pid: None }),
            _ => anyhow!(error).context(format!("{} could not be reached", socket.display())),
        })
}

/// Nobody may read standard error any more, which is no reason to end.
pub fn say_waiting(what: &str) {
    let _ = writeln!(io::stderr(), "pillion: {what}");
}

/// The session asked for does not run.
#[derive(Debug, thiserror::Error)]
#[error("that session is not running; `pillion ls` lists those that are")]
pub struct NoSession;

/// The session asked for runs, and does not answer.
#[derive(Debug, thiserror::Error)]
pub struct Unreachable {
    /// Its process, where that is known.
    pub pid: Option<i32>,
}

impl std::fmt::Display for Unreachable {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pid {
            Some(pid) => write!(
                out,
                "the session does not answer: its process {pid} is stopped, or stuck. `kill -CONT {pid}` lets a \
                 stopped one go on; `kill -KILL {pid}` ends it, and with it its programs"
            ),
            None => out.write_str(
                "the session runs and does not answer; `pillion ls --json` has its process, which may be stopped \
                 or stuck",
            ),
        }
    }
}

/// A socket's path that is short enough for one: where it is too long, by the open directory.
struct ShortPath {
    path: PathBuf,
    _dir: Option<OwnedFd>,
}

impl ShortPath {
    fn of(path: &Path) -> io::Result<ShortPath> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if path.as_os_str().len() <= MAX_SOCKET_PATH {
            let path = path.to_owned();
            return Ok(ShortPath { path, _dir: None });
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(dir, flags, rustix::fs::Mode::empty())?;
        let path = Path::new("/proc/self/fd")
            .join(dir.as_raw_fd().to_string())
            .join(name);
        Ok(ShortPath {
            path,
            _dir: Some(dir),
        })
    }
}

/// The session's end of the socket. Removes the socket's file when dropped.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    /// How often it is looked whether the file is there.
    check: Duration,
}

/// What comes of waiting at the socket.
pub enum Accepted {
    /// A client.
    Client(Wire),
    /// The socket was gone, and is there again.
    Again,
}

impl Server {
    /// Listens where commands look for a session.
    ///
    /// # Errors
    /// As [`Server::bind`]; or no directory that can hold a socket can be had.
    pub fn of(paths: &Paths, session: &str) -> Result<Server> {
        match Server::bind(paths.own_socket(session)) {
            Ok(server) => Ok(server),
            Err(error) => {
                tracing::warn!(%error, "the session's directory can hold no socket");
                private_dir(&paths.runtime)?;
                Server::bind(paths.other_socket(session))
            }
        }
    }

    /// Listens at `path`, whose directory is already private.
    ///
    /// # Errors
    /// The path is too long for a socket, or another session of the same name is alive.
    pub fn bind(path: PathBuf) -> Result<Server> {
        let short = ShortPath::of(&path)?;
        if std::os::unix::net::UnixStream::connect(&short.path).is_ok() {
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
        let listener = UnixListener::bind(&short.path)
            .with_context(|| format!("the control socket {} could not be made", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .with_context(|| format!("{} could not be protected", path.display()))?;
        Ok(Server {
            listener,
            path,
            check: SOCKET_CHECK,
        })
    }

    /// The next client. The socket is made again where its file is gone, or its folder.
    ///
    /// # Errors
    /// Out of file descriptors.
    pub async fn accept(&mut self) -> io::Result<Accepted> {
        loop {
            let accepted = tokio::time::timeout(self.check, self.listener.accept()).await;
            if let Ok(accepted) = accepted {
                let (stream, _) = accepted?;
                return Ok(Accepted::Client(Wire::new(stream)));
            }
            if self.path.exists() {
                continue;
            }
            let again = self.path.parent().map(private_dir).transpose();
            match again.and_then(|_| Server::bind(self.path.clone())) {
                // The other one is gone with its file, which is this one's now.
                Ok(mut server) => {
                    std::mem::swap(&mut self.listener, &mut server.listener);
                    server.path = PathBuf::new();
                    return Ok(Accepted::Again);
                }
                Err(error) => tracing::warn!(%error, "the control socket is gone"),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Best effort: a stale socket is recognised by the next session that wants the name.
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// One end of a connection: lines of JSON, and a terminal's open file.
pub struct Wire {
    stream: BufReader<UnixStream>,
    /// The beginning of a line.
    line: Vec<u8>,
}

impl Wire {
    /// Takes a connection nothing was read from yet.
    pub fn new(stream: UnixStream) -> Wire {
        Wire {
            stream: BufReader::new(stream),
            line: Vec::new(),
        }
    }

    /// The next line; `None` when the other end is done. May be dropped while it waits without losing
    /// anything.
    ///
    /// # Errors
    /// Not what was expected, or longer than a line can be.
    pub async fn read<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        loop {
            let available = self.stream.fill_buf().await?;
            if available.is_empty() {
                if self.line.is_empty() {
                    return Ok(None);
                }
                bail!("a line on the control socket was cut short");
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(available.len());
            self.line.extend_from_slice(&available[..taken]);
            self.stream.consume(taken + usize::from(end.is_some()));
            if self.line.len() > MAX_LINE {
                bail!("a line on the control socket was too long");
            }
            if end.is_some() {
                let line = std::mem::take(&mut self.line);
                return Ok(Some(serde_json::from_slice(&line).context(
                    "the two sides of the control socket do not understand each other: was pillion upgraded while the session ran? Restart the session",
                )?));
            }
        }
    }

    /// Says something.
    ///
    /// # Errors
    /// The other end is gone.
    pub async fn write<T: Serialize>(&mut self, value: &T) -> Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line).await?;
        Ok(())
    }

    /// The connection, with nothing read that was not asked for.
    ///
    /// # Errors
    /// More came than was read.
    pub fn into_stream(self) -> Result<UnixStream> {
        if !self.stream.buffer().is_empty() || !self.line.is_empty() {
            bail!("more came on a socket than was asked for; this is a defect of pillion");
        }
        Ok(self.stream.into_inner())
    }

    /// Waits until the other end closes. What it sends meanwhile is kept for [`Wire::read`], and then
    /// this waits for ever.
    pub async fn gone(&mut self) {
        match self.stream.fill_buf().await {
            Ok([]) | Err(_) => {}
            Ok(_) => std::future::pending().await,
        }
    }

    /// Who is at the other end: user and process.
    ///
    /// # Errors
    /// The system does not say.
    pub fn peer(&self) -> io::Result<(u32, Option<i32>)> {
        let peer = self.stream.get_ref().peer_cred()?;
        Ok((peer.uid(), peer.pid()))
    }

    /// Hands over a terminal's open file, in answer to [`ToHolder::HandOver`].
    ///
    /// # Errors
    /// The other end is gone.
    pub async fn send_terminal(&self, tty: BorrowedFd<'_>) -> io::Result<()> {
        let stream = self.stream.get_ref();
        let send = || {
            let fds = [tty];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut with = SendAncillaryBuffer::new(&mut space);
            with.push(SendAncillaryMessage::ScmRights(&fds));
            let byte = [IoSlice::new(b"\n")];
            rustix::net::sendmsg(stream, &byte, &mut with, SendFlags::empty())?;
            Ok(())
        };
        stream.async_io(Interest::WRITABLE, send).await
    }

    /// Takes over what [`Wire::send_terminal`] sent. Nothing else must be under way.
    ///
    /// # Errors
    /// The other end is gone, or sent something else.
    pub async fn receive_terminal(&mut self) -> io::Result<OwnedFd> {
        if !self.stream.buffer().is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let stream = self.stream.get_ref();
        let receive = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut with = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0];
            let mut into = [IoSliceMut::new(&mut byte)];
            rustix::net::recvmsg(stream, &mut into, &mut with, RecvFlags::CMSG_CLOEXEC)?;
            let fd = with.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
                _ => None,
            });
            fd.ok_or_else(|| io::ErrorKind::InvalidData.into())
        };
        stream.async_io(Interest::READABLE, receive).await
    }
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

    async fn client(server: &mut Server) -> Wire {
        match server.accept().await.unwrap() {
            Accepted::Client(client) => client,
            Accepted::Again => panic!("the socket was there"),
        }
    }

    #[test]
    fn a_request_comes_through_and_its_answer_back() {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.sock");
            let mut server = Server::bind(path.clone()).unwrap();
            let serve = async {
                let mut client = client(&mut server).await;
                let request = client.read().await.unwrap().unwrap();
                assert!(matches!(
                    request,
                    Request::Command(Command::Who(verbs::Who {}))
                ));
                let waits = Progress::WaitsFor("waiting".to_owned());
                client.write(&waits).await.unwrap();
                let done = Response::Done(Reply::Who(Vec::new()).into());
                client.write(&Progress::Answer(done)).await.unwrap();
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
            let mut server = Server::bind(path.clone()).unwrap();
            let mut stream = Wire::new(connect(&path).await.unwrap());
            let mut client = client(&mut server).await;
            stream.write(&Request::Flush).await.unwrap();
            stream.write(&Request::Removals).await.unwrap();
            assert!(matches!(client.read().await.unwrap(), Some(Request::Flush)));
            tokio::select! {
                biased;
                () = client.gone() => panic!("another request is no reason"),
                () = tokio::task::yield_now() => {}
            }
            assert!(matches!(
                client.read().await.unwrap(),
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
    fn one_that_does_not_answer_is_given_up_after_a_second_and_many_together() {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let stuck: Vec<PathBuf> = (0..5)
                .map(|number| dir.path().join(number.to_string()))
                .collect();
            let _servers: Vec<Server> = stuck
                .iter()
                .map(|path| Server::bind(path.clone()).unwrap())
                .collect();
            let before = std::time::Instant::now();
            let asked = stuck.into_iter().map(|path| (path, Request::Flush));
            for answer in ask_all(asked, PATIENCE).await {
                let error = answer.unwrap_err();
                let Some(Unreachable { pid }) = error.downcast_ref() else {
                    panic!("{error:#}")
                };
                assert_eq!(*pid, Some(std::process::id().cast_signed()));
            }
            assert!(before.elapsed() < 3 * FIRST_WORD, "{:?}", before.elapsed());
        });
    }

    #[test]
    fn a_socket_whose_folder_is_gone_is_made_again() {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            // Longer than a socket's path can be.
            let folder = dir.path().join("x".repeat(150));
            let path = folder.join("a.sock");
            private_dir(&folder).unwrap();
            let mut server = Server::bind(path.clone()).unwrap();
            server.check = Duration::from_millis(1);
            drop(connect(&path).await.unwrap());
            client(&mut server).await;
            fs::remove_dir_all(&folder).unwrap();
            assert!(connect(&path).await.is_err());
            assert!(matches!(server.accept().await.unwrap(), Accepted::Again));
            drop(connect(&path).await.unwrap());
            client(&mut server).await;
            drop(server);
            assert!(!path.exists());
        });
    }

    #[test]
    fn an_open_file_comes_through_between_two_lines() {
        runtime().block_on(async {
            let (one, other) = UnixStream::pair().unwrap();
            let (mut one, mut other) = (Wire::new(one), Wire::new(other));
            let (mut reader, writer) = io::pipe().unwrap();
            one.write(&Request::Attach).await.unwrap();
            assert!(matches!(other.read().await.unwrap(), Some(Request::Attach)));
            one.send_terminal(std::os::fd::AsFd::as_fd(&writer))
                .await
                .unwrap();
            drop(writer);
            let received = other.receive_terminal().await.unwrap();
            one.write(&FromHolder::Ready).await.unwrap();
            let said = other.read::<FromHolder>().await.unwrap();
            assert_eq!(said, Some(FromHolder::Ready));
            fs::File::from(received).write_all(b"the same").unwrap();
            let mut text = String::new();
            io::Read::read_to_string(&mut reader, &mut text).unwrap();
            assert_eq!(text, "the same");

            // Without one it is refused.
            one.write(&FromHolder::Ready).await.unwrap();
            assert!(other.receive_terminal().await.is_err());
        });
    }

    #[test]
    fn garbage_is_refused() {
        runtime().block_on(async {
            for garbage in [&b"{}\n"[..], b"no newline", b"\xff\xfe\n"] {
                let (mut one, other) = UnixStream::pair().unwrap();
                one.write_all(garbage).await.unwrap();
                drop(one);
                assert!(Wire::new(other).read::<Request>().await.is_err());
            }
        });
    }
}

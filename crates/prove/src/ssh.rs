//! Signing with an SSH key: in the ssh-agent, or in its file.

use std::path::{Path, PathBuf};

use pillion_caps::{PublicKey, UnixMillis};
use pillion_people::{
    Claim, KeyFileError, MAX_KEY_FILE, MAX_SSH_LIFE_MILLIS, SshClaim, SshKey, SshSecret,
    SshSignature,
    agent::{self, AgentError},
};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::{Duration, timeout},
};

use crate::private::{self, PrivateError};

/// How long the agent may take to answer; to sign it may ask its user first.
const LIST_TIME: Duration = Duration::from_secs(5);
const SIGN_TIME: Duration = Duration::from_secs(120);

/// Which key to sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The only one there is: in the agent, or `~/.ssh/id_ed25519`.
    Any,
    /// The one in this file.
    File(PathBuf),
    /// The one in the agent with this fingerprint (`SHA256:…`), comment, or this very line.
    Named(String),
}

impl Choice {
    /// Reads what follows `ssh:`: a file's path, or else a key's name in the agent.
    pub fn read(text: &str) -> Self {
        match text {
            "" => Choice::Any,
            text if text.starts_with("SHA256:") || text.starts_with("ssh-") => {
                Choice::Named(text.to_owned())
            }
            text if text.contains('/') => Choice::File(in_home(text)),
            text => Choice::Named(text.to_owned()),
        }
    }
}

/// A shell leaves `~` alone in the middle of a word, as in `ssh:~/.ssh/id_work`.
pub(crate) fn in_home(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => text.into(),
    }
}

/// Where SSH keeps things: told, so that tests have their own.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The agent's socket (`SSH_AUTH_SOCK`).
    pub agent: Option<PathBuf>,
    /// The folder of key files (`~/.ssh`).
    pub folder: Option<PathBuf>,
}

impl Places {
    /// From the environment.
    pub fn from_env() -> Self {
        let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            agent: var("SSH_AUTH_SOCK").map(PathBuf::from),
            folder: var("HOME").map(|home| PathBuf::from(home).join(".ssh")),
        }
    }
}

/// Why nothing was signed, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SshError {
    /// Nothing to sign with.
    #[error(
        "no SSH key was found: neither does an ssh-agent hold an ssh-ed25519 key (ssh-add), nor is \
         there ~/.ssh/id_ed25519. Make one with `ssh-keygen -t ed25519`, or name a file: --as \
         ssh:FILE"
    )]
    None,
    /// Which?
    #[error("your ssh-agent holds several keys; say which with --as ssh:FINGERPRINT:{}", lines(.0))]
    Several(Vec<(SshKey, String)>),
    /// Not there.
    #[error(
        "your ssh-agent doesn't hold the key {0}: `ssh-add -l` shows what it holds, `ssh-add FILE` \
         adds one"
    )]
    NoSuchKey(String),
    /// No agent.
    #[error("no ssh-agent runs here (SSH_AUTH_SOCK is not set): name a file, --as ssh:FILE")]
    NoAgent,
    /// The socket.
    #[error("the ssh-agent at {} could not be asked: {source}", path.display())]
    Socket {
        /// Its socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its answer.
    #[error("{0}")]
    Agent(#[from] AgentError),
    /// Too late.
    #[error("the ssh-agent did not answer in time")]
    Late,
    /// Signed wrongly.
    #[error("the ssh-agent's signature is not valid for the key it was asked for")]
    Wrong,
    /// The key file.
    #[error("{} can't be used: {why}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why.
        why: KeyFileError,
    },
    /// The file itself.
    #[error("{0}")]
    File(#[from] PrivateError),
}

fn lines(keys: &[(SshKey, String)]) -> String {
    keys.iter()
        .map(|(key, comment)| {
            format!(
                "\n  {} {}",
                key.fingerprint(),
                crate::http::plain(comment, 60)
            )
        })
        .collect()
}

/// Has an SSH key vouch for `identity` in `session`, for a day.
///
/// # Errors
/// See [`SshError`].
pub async fn claim(
    choice: &Choice,
    places: &Places,
    identity: &PublicKey,
    session: &PublicKey,
    now: UnixMillis,
) -> Result<Claim, SshError> {
    let expires = now.saturating_add(MAX_SSH_LIFE_MILLIS);
    let message = SshClaim::message(identity, session, expires);
    let signature = sign(choice, places, &message).await?;
    Ok(Claim::Ssh(SshClaim { expires, signature }))
}

async fn sign(choice: &Choice, places: &Places, message: &[u8]) -> Result<SshSignature, SshError> {
    match choice {
        Choice::File(path) => sign_with_file(path, message),
        Choice::Named(name) => {
            let socket = places.agent.as_deref().ok_or(SshError::NoAgent)?;
            let mut agent = Agent::connect(socket).await?;
            let keys = agent.list().await?;
            let line = name.parse::<SshKey>().ok();
            let named = |(key, comment): &&(SshKey, String)| {
                line == Some(*key) || key.fingerprint() == *name || comment == name
            };
            let (key, _) = keys
                .iter()
                .find(named)
                .ok_or_else(|| SshError::NoSuchKey(name.clone()))?;
            agent.sign(key, message).await
        }
        Choice::Any => {
            if let Some(socket) = places.agent.as_deref() {
                let mut agent = Agent::connect(socket).await?;
                match agent.list().await?.as_slice() {
                    [] => {}
                    [(key, _)] => return agent.sign(key, message).await,
                    several => return Err(SshError::Several(several.to_vec())),
                }
            }
            let file = places
                .folder
                .as_ref()
                .map(|folder| folder.join("id_ed25519"));
            match file.filter(|file| file.is_file()) {
                Some(file) => sign_with_file(&file, message),
                None => Err(SshError::None),
            }
        }
    }
}

fn sign_with_file(path: &Path, message: &[u8]) -> Result<SshSignature, SshError> {
    let why = |why| SshError::KeyFile {
        path: path.to_owned(),
        why,
    };
    let text = private::read_public(path, MAX_KEY_FILE as u64)?;
    let secret = SshSecret::parse(&text).map_err(why)?;
    secret.sign(message).map_err(why)
}

/// A connection to an ssh-agent.
#[derive(Debug)]
struct Agent<'a> {
    socket: UnixStream,
    path: &'a Path,
}

impl<'a> Agent<'a> {
    async fn connect(path: &'a Path) -> Result<Self, SshError> {
        let socket = UnixStream::connect(path).await;
        let socket = socket.map_err(|source| SshError::Socket {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self { socket, path })
    }

    async fn list(&mut self) -> Result<Vec<(SshKey, String)>, SshError> {
        let answer = self.ask(&agent::list_request(), LIST_TIME).await?;
        Ok(agent::read_list(&answer)?)
    }

    async fn sign(&mut self, key: &SshKey, message: &[u8]) -> Result<SshSignature, SshError> {
        let request = agent::sign_request(key, &SshSignature::signed_bytes(message));
        let answer = self.ask(&request, SIGN_TIME).await?;
        let signature = SshSignature::new(*key, agent::read_signature(&answer)?);
        signature.verify(message).map_err(|_| SshError::Wrong)?;
        Ok(signature)
    }

    async fn ask(&mut self, request: &[u8], time: Duration) -> Result<Vec<u8>, SshError> {
        match timeout(time, self.exchange(request)).await {
            Err(_) => Err(SshError::Late),
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => Err(AgentError::Malformed.into()),
            Ok(Err(source)) => Err(SshError::Socket {
                path: self.path.to_owned(),
                source,
            }),
        }
    }

    /// `None`: the answer claims to be longer than any may be.
    async fn exchange(&mut self, request: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
        let mut message = (request.len() as u32).to_be_bytes().to_vec(); // ours are short
        message.extend(request);
        self.socket.write_all(&message).await?;
        let len = self.socket.read_u32().await?;
        let Some(len) = usize::try_from(len)
            .ok()
            .filter(|len| *len <= agent::MAX_ANSWER)
        else {
            return Ok(None);
        };
        let mut answer = vec![0; len];
        self.socket.read_exact(&mut answer).await?;
        Ok(Some(answer))
    }
}

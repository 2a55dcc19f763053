//! What a session keeps on disk so that it can be started again as itself: its key, which is what
//! tickets name and grants descend from, its ledger, and the seed that opens its tickets.

use std::{net::SocketAddr, path::Path};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use pillion_caps::{Ledger, LedgerEvent, Refusal, SecretKey};
use pillion_session::{Records, SubscribedKeyList};
use pillion_store::{Documents, LedgerWriter, SessionLog, SessionMeta, SessionReader, StoreError};
use serde::{Deserialize, Serialize};

use crate::{
    clock::unix_ms,
    sessions::recording::{self, Recorder, Run, SESSION_KEY as KEY},
};

/// The document of the link key's seed.
const LINK: &str = "link";

/// The document of the lists of keys that are followed.
const LISTS: &str = "lists";

/// The document of the addresses listened on, one a line.
const SOCKETS: &str = "sockets";

/// The document of the link service and whether a link is published there.
const SERVICE: &str = "service";

/// Addresses listened on at most: one for each version of the Internet Protocol, and room.
const MAX_SOCKETS: usize = 8;

/// A session's directory, taken up.
pub(super) struct SessionFiles {
    pub(super) log: SessionLog,
    pub(super) key: SecretKey,
    pub(super) recorder: Recorder,
    /// The ledger as it stands.
    pub(super) ledger: Ledger,
    /// Where the host keeps what it is told from here on.
    pub(super) records: SessionRecords,
    pub(super) link: Option<[u8; 32]>,
    /// Where an earlier run listened: a ticket without a relay names its ports.
    pub(super) sockets: Vec<SocketAddr>,
    /// Lists of keys that were followed.
    pub(super) lists: Vec<SubscribedKeyList>,
}

impl SessionFiles {
    /// Makes a session with a key of its own, which gives it its id.
    ///
    /// # Errors
    /// No randomness, or the directory cannot be made.
    pub(super) fn new(sessions: &Path, meta: SessionMeta) -> Result<SessionFiles> {
        let key = SecretKey::from_bytes(&pillion_net::random_bytes()?);
        let id = session_id(&key);
        let log = SessionLog::create(sessions, SessionMeta { id, ..meta })?;
        log.write_document(KEY, &*key.to_bytes())?;
        let (ledger_writer, _) = log.open_ledger()?;
        Ok(SessionFiles {
            records: SessionRecords::new(&log, ledger_writer),
            recorder: Recorder::new(&log, Run::FIRST, &[]),
            log,
            ledger: Ledger::new(key.public()),
            key,
            link: None,
            sockets: Vec::new(),
            lists: Vec::new(),
        })
    }

    /// Takes up a session that ended, which changes nothing in it unless all of it can be had.
    ///
    /// # Errors
    /// It runs, is not there, or something of it is missing or damaged: without its key it would be
    /// another session, and without its ledger anybody who was put out could come back.
    pub(super) fn again(sessions: &Path, id: &str, meta: SessionMeta) -> Result<SessionFiles> {
        let mut log = SessionLog::reopen(sessions, id)?;
        let earlier = recording::tracks(&SessionReader::open(sessions, id)?);
        let key = seed(&log, KEY)?
            .map(|seed| SecretKey::from_bytes(&seed))
            .filter(|key| session_id(key) == id)
            .with_context(|| {
                format!("session {id} has no key of its own any more, so it can't be started again; `pillion share` starts a new one")
            })?;
        let (ledger_writer, entries) = log.open_ledger().map_err(|error| match error {
            StoreError::LedgerDamaged { .. } => damaged(id, &error),
            other => other.into(),
        })?;
        let ledger = replay(&key, &entries).map_err(|refusal| damaged(id, &refusal))?;
        let link = seed(&log, LINK)?;
        let sockets = sockets(&log)?;
        let lists = lists(&log)?;
        let runs = log.meta().runs.saturating_add(1);
        let run = Run::newest(&SessionMeta {
            runs,
            ..meta.clone()
        });
        log.begin_again(meta)?;
        recording::start_again(&mut log, run, unix_ms())?;
        Ok(SessionFiles {
            records: SessionRecords::new(&log, ledger_writer),
            recorder: Recorder::new(&log, run, &earlier),
            log,
            key,
            ledger,
            link,
            sockets,
            lists,
        })
    }
}

/// A session's records in its directory.
pub(super) struct SessionRecords {
    ledger: LedgerWriter,
    documents: Documents,
}

impl SessionRecords {
    fn new(log: &SessionLog, ledger: LedgerWriter) -> SessionRecords {
        let documents = log.documents();
        SessionRecords { ledger, documents }
    }
}

impl Records for SessionRecords {
    fn append_ledger(&mut self, entries: &[Bytes]) -> Result<(), String> {
        self.ledger.append(entries).map_err(|error| reason(&error))
    }

    fn keep_link(&mut self, seed: Option<&[u8; 32]>) -> Result<(), String> {
        let seed = seed.map_or(&[][..], |seed| seed);
        let kept = self.documents.write(LINK, seed);
        kept.map_err(|error| reason(&error))
    }

    fn keep_lists(&mut self, lists: &[SubscribedKeyList]) -> Result<(), String> {
        let bytes = serde_json::to_vec(lists).map_err(|error| error.to_string())?;
        let kept = self.documents.write(LISTS, &bytes);
        kept.map_err(|error| reason(&error))
    }
}

/// Why something was not written, as viewers may hear it: without the host's paths.
fn reason(error: &StoreError) -> String {
    tracing::error!(%error, "a change could not be written down");
    match error {
        StoreError::Io { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

/// The ledger that these entries make.
fn replay(key: &SecretKey, entries: &[Vec<u8>]) -> Result<Ledger, Refusal> {
    let events: Result<Vec<_>, _> = entries
        .iter()
        .map(|entry| LedgerEvent::from_bytes(entry))
        .collect();
    Ledger::replay(key.public(), events?)
}

/// Why a session isn't started again whose ledger can't be believed.
fn damaged(id: &str, why: &dyn std::fmt::Display) -> anyhow::Error {
    anyhow!(
        "the ledger of session {id}, which says who is barred, who may come in and what was taken back, \
         can't be relied on: {why}. So the session is not started again: people who were put out could come \
         back. Put its files back as they were if you have a copy, or share a new session with \
         `pillion share`; the history of this one can still be read with `pillion export {id}`"
    )
}

/// Notes where this run listens.
///
/// # Errors
/// The system refused.
pub(super) fn keep_sockets(log: &SessionLog, sockets: &[SocketAddr]) -> Result<()> {
    let lines: String = sockets.iter().map(|socket| format!("{socket}\n")).collect();
    Ok(log.write_document(SOCKETS, lines.as_bytes())?)
}

/// A link service as a session keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptService {
    /// Its URL.
    pub url: String,
    /// Whether a link is published there.
    pub link: bool,
}

/// The link service that an ended session had; `None` if it had none, or nothing can be read.
pub fn kept_service(sessions: &Path, id: &str) -> Option<KeptService> {
    let reader = SessionReader::open(sessions, id).ok()?;
    let bytes = reader.read_document(SERVICE).ok()??;
    serde_json::from_slice::<Option<KeptService>>(&bytes).ok()?
}

/// Notes the link service, for when the session is started again.
///
/// # Errors
/// The system refused.
pub(super) fn keep_service(log: &SessionLog, service: Option<&KeptService>) -> Result<()> {
    let bytes = serde_json::to_vec(&service)?;
    Ok(log.write_document(SERVICE, &bytes)?)
}

/// Where the run before listened. What can't be read is as good as none: the system picks then.
fn sockets(log: &SessionLog) -> Result<Vec<SocketAddr>> {
    let bytes = log.read_document(SOCKETS)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let sockets = text.lines().map_while(|line| line.parse().ok());
    Ok(sockets.take(MAX_SOCKETS).collect())
}

fn lists(log: &SessionLog) -> Result<Vec<SubscribedKeyList>> {
    let Some(bytes) = log.read_document(LISTS)? else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(&bytes).with_context(|| {
        let path = log.path().display();
        format!("{path}/{LISTS}.doc is damaged: move it away and start the session again; it follows no list of keys then")
    })
}

/// A secret of 32 bytes that the session keeps; `None` if it has none of that name, or forgot it.
fn seed(log: &SessionLog, name: &str) -> Result<Option<[u8; 32]>> {
    let bytes = log.read_document(name)?.unwrap_or_default();
    if bytes.is_empty() {
        return Ok(None);
    }
    let seed = bytes.try_into().ok();
    let seed = seed.with_context(|| {
        let path = log.path().display();
        format!("{path}/{name}.doc is damaged, so this session can't be started again; `pillion share` starts a new one")
    })?;
    Ok(Some(seed))
}

/// A session's id: the beginning of its key, enough to tell one machine's sessions apart.
fn session_id(key: &SecretKey) -> String {
    key.public().to_string().chars().take(10).collect()
}

//! Which session a command is about.

use anyhow::{Result, bail};
use pillion_screen::clean::clean_name;
use pillion_store::{SessionState, SessionSummary, StoreError, list, while_stopped};

use crate::settings::paths::Paths;

/// No session fits what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoSuchSession(String);

impl NoSuchSession {
    /// With what to tell.
    pub fn named(text: &str) -> NoSuchSession {
        NoSuchSession(text.to_owned())
    }
}

/// Every session of this machine, oldest first. What killed ones left of their control sockets goes, in their own
/// directories and in the one for sessions that can have none there.
///
/// # Errors
/// They can't be listed.
pub fn every(paths: &Paths) -> Result<Vec<SessionSummary>, StoreError> {
    let sessions = list(&paths.sessions)?;
    let stopped = |session: &&SessionSummary| session.state != SessionState::Live;
    for session in sessions.iter().filter(stopped) {
        let socket = paths.other_socket(&session.meta.id);
        if !socket.exists() {
            continue;
        }
        let id = &session.meta.id;
        match while_stopped(&paths.sessions, id, || std::fs::remove_file(&socket)) {
            Ok(Some(Err(error))) => {
                tracing::debug!(%error, id, "the socket of a session that stopped stays")
            }
            Err(error) => tracing::debug!(%error, id, "the socket of a session that stopped stays"),
            Ok(Some(Ok(())) | None) => {}
        }
    }
    Ok(sessions)
}

/// The running session `wanted` names (an id or its beginning, or a name), or the only one there is.
///
/// # Errors
/// None, or more than one, fits.
pub fn running(paths: &Paths, wanted: Option<&str>) -> Result<SessionSummary> {
    let mut sessions = every(paths)?;
    sessions.retain(|session| session.state == SessionState::Live);
    one(sessions, wanted, "running ")
}

/// Any session `wanted` names, ended ones too.
///
/// # Errors
/// None, or more than one, fits.
pub fn any(paths: &Paths, wanted: Option<&str>) -> Result<SessionSummary> {
    one(every(paths)?, wanted, "")
}

/// The ended session `wanted` names.
///
/// # Errors
/// None, or more than one, fits; or the one that does still runs.
pub fn ended(paths: &Paths, wanted: &str) -> Result<SessionSummary> {
    let (live, stopped): (Vec<_>, Vec<_>) = every(paths)?
        .into_iter()
        .partition(|session| session.state == SessionState::Live);
    match one(stopped, Some(wanted), "ended ") {
        Err(error) if error.is::<NoSuchSession>() => match one(live, Some(wanted), "") {
            Ok(running) => Err(pillion_store::StoreError::Live {
                id: running.meta.id,
            }
            .into()),
            Err(_) => Err(error),
        },
        other => other,
    }
}

fn one(sessions: Vec<SessionSummary>, wanted: Option<&str>, which: &str) -> Result<SessionSummary> {
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
        let mut sessions = sessions.into_iter();
        return match (sessions.next(), sessions.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(NoSuchSession(format!(
                "there is no {which}session on this machine; `pillion share` starts one"
            ))
            .into()),
            (Some(a), Some(b)) => bail!(
                "there is more than one {which}session ({}, {}, …); name one, `pillion ls` lists them",
                a.meta.id,
                b.meta.id
            ),
        };
    };
    let exact = |session: &SessionSummary| session.meta.id == wanted;
    if let Some(session) = sessions.iter().find(|session| exact(session)) {
        return Ok(session.clone());
    }
    // Said again to the one who reads the terminal, wherever it was copied from.
    let shown = clean_name(wanted, 64);
    let mut fitting: Vec<_> = sessions
        .into_iter()
        .filter(|session| session.meta.name == wanted || session.meta.id.starts_with(wanted))
        .collect();
    match fitting.len() {
        1 => Ok(fitting.remove(0)),
        0 => Err(NoSuchSession(format!(
            "there is no {which}session \"{shown}\"; `pillion ls --all` lists those there are"
        ))
        .into()),
        _ => {
            let ids: Vec<_> = fitting
                .iter()
                .map(|session| session.meta.id.as_str())
                .collect();
            bail!(
                "\"{shown}\" could be any of {}; name one by its id",
                ids.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use std::os::unix::net::UnixListener;

    use pillion_store::{SessionLog, SessionMeta};

    use super::*;
    use crate::settings::paths::private_dir;

    fn meta(id: &str, name: &str) -> SessionMeta {
        SessionMeta {
            id: id.to_owned(),
            name: name.to_owned(),
            started_unix_ms: 0,
            command: String::new(),
            cols: 80,
            rows: 24,
            host: String::new(),
            pid: 1,
            runs: 1,
        }
    }

    fn session(id: &str, name: &str) -> SessionSummary {
        SessionSummary {
            meta: meta(id, name),
            state: SessionState::Live,
            bytes: 0,
            path: PathBuf::new(),
        }
    }

    fn pick(wanted: Option<&str>) -> Result<String> {
        let sessions = vec![
            session("abc1", "build"),
            session("abd2", "demo"),
            session("e", "demo"),
        ];
        one(sessions, wanted, "").map(|session| session.meta.id)
    }

    #[test]
    fn by_id_by_its_beginning_and_by_name() {
        assert_eq!(pick(Some("abc1")).unwrap(), "abc1");
        assert_eq!(pick(Some("abd")).unwrap(), "abd2");
        assert_eq!(pick(Some("build")).unwrap(), "abc1");
    }

    #[test]
    fn what_fits_more_than_one_or_none_is_refused_with_the_choices() {
        assert!(
            pick(Some("demo"))
                .unwrap_err()
                .to_string()
                .contains("abd2, e")
        );
        assert!(pick(Some("ab")).is_err());
        assert!(
            pick(Some("zz"))
                .unwrap_err()
                .downcast_ref::<NoSuchSession>()
                .is_some()
        );
        assert!(pick(None).is_err());
        assert_eq!(one(vec![session("x", "")], None, "").unwrap().meta.id, "x");
    }

    #[test]
    fn the_socket_of_a_killed_host_goes_from_the_runtime_directory_too_and_others_stay() {
        let temp = tempfile::tempdir().unwrap();
        let paths = Paths {
            config: temp.path().join("config"),
            sessions: temp.path().join("sessions"),
            runtime: temp.path().join("run"),
        };
        private_dir(&paths.runtime).unwrap();
        let runs = SessionLog::create(&paths.sessions, meta("runs", "")).unwrap();
        let killed = SessionLog::create(&paths.sessions, meta("killed", "")).unwrap();
        let socket = |id: &str| paths.other_socket(id);
        let listens =
            ["runs", "killed", "of-another-home"].map(|id| UnixListener::bind(socket(id)).unwrap());
        let left = || ["runs", "killed", "of-another-home"].map(|id| socket(id).exists());
        every(&paths).unwrap();
        assert_eq!(left(), [true; 3]);
        // As a kill leaves it: the file is there, and nobody listens or holds the lock.
        drop((killed, listens));
        assert_eq!(left(), [true; 3]);
        // Whatever command looks.
        assert_eq!(running(&paths, None).unwrap().meta.id, "runs");
        assert_eq!(left(), [true, false, true]);
        drop(runs);
        every(&paths).unwrap();
        assert_eq!(left(), [false, false, true]);
    }
}

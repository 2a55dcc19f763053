//! Which session a command is about.

use anyhow::{Result, bail};
use pillion_screen::clean::clean_name;
use pillion_store::{SessionState, SessionSummary, list};

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

/// The running session `wanted` names (an id or its beginning, or a name), or the only one there is.
///
/// # Errors
/// None, or more than one, fits.
pub fn running(paths: &Paths, wanted: Option<&str>) -> Result<SessionSummary> {
    let mut sessions = list(&paths.sessions)?;
    sessions.retain(|session| session.state == SessionState::Live);
    one(sessions, wanted, "running ")
}

/// Any session `wanted` names, ended ones too.
///
/// # Errors
/// None, or more than one, fits.
pub fn any(paths: &Paths, wanted: Option<&str>) -> Result<SessionSummary> {
    one(list(&paths.sessions)?, wanted, "")
}

/// The ended session `wanted` names.
///
/// # Errors
/// None, or more than one, fits; or the one that does still runs.
pub fn ended(paths: &Paths, wanted: &str) -> Result<SessionSummary> {
    let (live, stopped): (Vec<_>, Vec<_>) = list(&paths.sessions)?
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

    use pillion_store::SessionMeta;

    use super::*;

    fn session(id: &str, name: &str) -> SessionSummary {
        SessionSummary {
            meta: SessionMeta {
                id: id.to_owned(),
                name: name.to_owned(),
                started_unix_ms: 0,
                command: String::new(),
                cols: 80,
                rows: 24,
                host: String::new(),
                pid: 1,
                runs: 1,
            },
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
}

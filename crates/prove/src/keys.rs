//! Lists of SSH keys as a host names people by them: a line, a file, a forge's `USER.keys`.

use std::path::{Path, PathBuf};

use pillion_people::{Invited, KeyList, KeyListError, MAX_KEY_LIST, NotAPerson, Who};
use thiserror::Error;

use crate::{
    http::{Http, HttpError},
    private::{self, PrivateError},
    ssh::in_home,
};

/// Why a text invites nobody.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InviteError {
    /// It names nobody.
    #[error("{0}")]
    Person(#[from] NotAPerson),
    /// The file can't be read.
    #[error("{0}")]
    File(#[from] PrivateError),
    /// It can't be fetched.
    #[error("the keys could not be fetched: {0}")]
    Http(#[from] HttpError),
    /// It holds no keys.
    #[error("{from}: {why}")]
    List {
        /// The file or address.
        from: String,
        /// What is wrong.
        why: KeyListError,
    },
    /// A forge's user that can't be one.
    #[error("\"{0}\" is no user of a forge: write forge:NAME with letters, digits, - _ .")]
    User(String),
}

/// Whom a text invites: what [`Invited`] reads; `forge:USER`, for `FORGE/USER.keys`; the address of
/// such a list; or the path of a file of keys (with a `/` in it, or ending in `.pub` or `_keys`).
///
/// What is kept are the keys, not the address: keys that are added there later don't come in.
///
/// # Errors
/// See [`InviteError`].
pub async fn invited(text: &str, forge: &str) -> Result<Vec<Invited>, InviteError> {
    let text = text.trim();
    if let Some(user) = text.strip_prefix("forge:") {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if user.is_empty() || user.len() > 64 || !user.bytes().all(fits) {
            return Err(InviteError::User(user.chars().take(64).collect()));
        }
        return fetch(&format!("{}/{user}.keys", forge.trim_end_matches('/'))).await;
    }
    if text.starts_with("https://") || text.starts_with("http://") {
        return fetch(text).await;
    }
    if let Some(path) = as_path(text) {
        return read(&path);
    }
    Ok(vec![text.parse()?])
}

/// Whether a text means a list of keys that is elsewhere, rather than somebody by themselves.
pub fn is_list(text: &str) -> bool {
    let text = text.trim();
    let elsewhere = ["forge:", "https://", "http://"];
    elsewhere.iter().any(|start| text.starts_with(start)) || as_path(text).is_some()
}

async fn fetch(url: &str) -> Result<Vec<Invited>, InviteError> {
    let bytes = Http::new()?.get(url, MAX_KEY_LIST).await?;
    everyone(&bytes, url)
}

fn read(path: &Path) -> Result<Vec<Invited>, InviteError> {
    let bytes = private::read_public(path, MAX_KEY_LIST as u64)?;
    everyone(&bytes, &path.display().to_string())
}

fn everyone(bytes: &[u8], from: &str) -> Result<Vec<Invited>, InviteError> {
    let list = KeyList::parse(bytes).map_err(|why| InviteError::List {
        from: from.to_owned(),
        why,
    })?;
    let keys = list.keys.into_iter();
    Ok(keys.map(|(key, _)| Who::Ssh(key).into()).collect())
}

/// Neither keys (whose base64 may have a `/`) nor addresses nor teams are taken for files.
fn as_path(text: &str) -> Option<PathBuf> {
    let word = text.split_whitespace().next()?;
    let starts = ["/", "./", "../", "~/"];
    let path = starts.iter().any(|start| text.starts_with(start))
        || (word == text && (text.ends_with(".pub") || text.ends_with("_keys")));
    path.then(|| in_home(text))
}

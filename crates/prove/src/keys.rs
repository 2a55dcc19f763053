//! Lists of SSH keys as a host names people by them: a line, a file, a forge's `USER.keys`.

use std::path::{Path, PathBuf};

use pillion_people::{Invited, KeyList, KeyListError, MAX_KEY_LIST, NotAPerson, SshKey, Who};
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

/// SSH keys, and where they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The file or address.
    pub from: String,
    /// Whether it is an address.
    pub is_address: bool,
    /// The keys, each once.
    pub keys: Vec<SshKey>,
}

/// Whom a text invites: what [`Invited`] reads, or a [`list`].
///
/// # Errors
/// See [`InviteError`].
pub async fn invited(text: &str, forge: &str) -> Result<Vec<Invited>, InviteError> {
    Ok(match list(text, forge).await? {
        Some(listed) => {
            let keys = listed.keys.into_iter();
            keys.map(|key| Who::Ssh(key).into()).collect()
        }
        None => vec![text.parse()?],
    })
}

/// The list of keys that a text means: `forge:USER`, for `FORGE/USER.keys`; the address of such a list;
/// or the path of a file of keys (with a `/` in it, or ending in `.pub` or `_keys`). `None` where it
/// means somebody by themselves.
///
/// # Errors
/// See [`InviteError`].
pub async fn list(text: &str, forge: &str) -> Result<Option<Listed>, InviteError> {
    let text = text.trim();
    if let Some(user) = text.strip_prefix("forge:") {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if user.is_empty() || user.len() > 64 || !user.bytes().all(fits) {
            return Err(InviteError::User(user.chars().take(64).collect()));
        }
        let url = format!("{}/{user}.keys", forge.trim_end_matches('/'));
        return fetch(&url).await.map(Some);
    }
    if text.starts_with("https://") || text.starts_with("http://") {
        return fetch(text).await.map(Some);
    }
    as_path(text).map(|path| read(&path)).transpose()
}

/// The keys that an address lists by now: an address that was a [`list`] before, so that it may list none
/// by now.
///
/// # Errors
/// See [`InviteError`].
pub async fn at(url: &str) -> Result<Vec<SshKey>, InviteError> {
    match fetch(url).await {
        Ok(listed) => Ok(listed.keys),
        Err(InviteError::List {
            why: KeyListError::NoKeys(_),
            ..
        }) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

async fn fetch(url: &str) -> Result<Listed, InviteError> {
    let bytes = Http::new()?.get(url, MAX_KEY_LIST).await?;
    let (from, is_address) = (url.to_owned(), true);
    let keys = everyone(&bytes, &from)?;
    Ok(Listed {
        from,
        is_address,
        keys,
    })
}

fn read(path: &Path) -> Result<Listed, InviteError> {
    let bytes = private::read_public(path, MAX_KEY_LIST as u64)?;
    let (from, is_address) = (path.display().to_string(), false);
    let keys = everyone(&bytes, &from)?;
    Ok(Listed {
        from,
        is_address,
        keys,
    })
}

fn everyone(bytes: &[u8], from: &str) -> Result<Vec<SshKey>, InviteError> {
    let list = KeyList::parse(bytes).map_err(|why| InviteError::List {
        from: from.to_owned(),
        why,
    })?;
    Ok(list.keys.into_iter().map(|(key, _)| key).collect())
}

/// Neither keys (whose base64 may have a `/`) nor addresses nor teams are taken for files.
fn as_path(text: &str) -> Option<PathBuf> {
    let word = text.split_whitespace().next()?;
    let starts = ["/", "./", "../", "~/"];
    let path = starts.iter().any(|start| text.starts_with(start))
        || (word == text && (text.ends_with(".pub") || text.ends_with("_keys")));
    path.then(|| in_home(text))
}

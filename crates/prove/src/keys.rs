//! Lists of SSH keys as a host names people by them: a line, a file, a forge's `USER.keys`.

use std::path::Path;

use pillion_people::{
    Invited, KeyList, KeyListError, KeyListRef, MAX_KEY_LIST, NotAPerson, SshKey, SubjectRef,
    SubjectText, Who,
};
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

/// Whom a text invites who need not be here: somebody by what they can prove, or whom a list of keys names.
///
/// # Errors
/// See [`InviteError`].
pub async fn invited(text: &str, forge: &str) -> Result<Vec<Invited>, InviteError> {
    Ok(match text.parse()? {
        SubjectText::One(SubjectRef::Provable(invited)) => vec![invited],
        SubjectText::One(_) => return Err(NotAPerson::Unknown.into()),
        SubjectText::Keys(list) => {
            let keys = read(&list, forge).await?.keys.into_iter();
            keys.map(|key| Who::Ssh(key).into()).collect()
        }
    })
}

/// Reads a list of keys: `forge:USER` at `FORGE/USER.keys`.
///
/// # Errors
/// See [`InviteError`].
pub async fn read(list: &KeyListRef, forge: &str) -> Result<Listed, InviteError> {
    match list {
        KeyListRef::Forge(user) => {
            fetch(&format!("{}/{user}.keys", forge.trim_end_matches('/'))).await
        }
        KeyListRef::Url(url) => fetch(url).await,
        KeyListRef::File(path) => read_file(&in_home(path)),
    }
}

/// The keys that an address lists by now: an address that was a [`read`] before, so that it may list none
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

fn read_file(path: &Path) -> Result<Listed, InviteError> {
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

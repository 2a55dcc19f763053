//! Teams on this machine: those whose key is here, memberships of one's own, and what teams took back.
//!
//! In the configuration directory, each its owner's alone: `teams/NAME.json` (a team's key and what was
//! issued), `memberships` and `removals` (a text a line).

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use data_encoding::HEXLOWER;
use pillion_caps::{PublicKey, SecretKey, UnixMillis};
use pillion_net::random_bytes;
use pillion_people::{MemberName, Membership, Removals, Serial, TeamKey};
use pillion_prove::private;
use pillion_store::{SessionState, list};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    sessions::control,
    settings::paths::{Paths, private_dir},
    terminal::console::explain,
};

/// The longest file, in bytes.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// How long a session may take to hear that something was taken back: longer than it waits for anything
/// before it listens.
const TELL_WITHIN: Duration = Duration::from_secs(10);

/// One membership as its team's owner remembers it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Issued {
    /// The member's name.
    pub member: MemberName,
    /// The member's identity.
    pub identity: PublicKey,
    /// Its number.
    pub serial: Serial,
    /// When it ends.
    pub expires_unix_ms: u64,
    /// Whether it was taken back.
    pub removed: bool,
}

/// A team whose key is here.
pub struct Team {
    file: PathBuf,
    name: MemberName,
    key: TeamKey,
    issued: Vec<Issued>,
}

#[derive(Serialize, Deserialize)]
struct TeamFile {
    secret: Zeroizing<String>,
    issued: Vec<Issued>,
}

impl Team {
    /// Makes a team of this name, with a new key.
    ///
    /// # Errors
    /// There is one already, the name is none, or the file can't be written.
    pub fn create(config: &Path, name: &str) -> Result<Team> {
        let (file, name) = Team::place(config, name)?;
        if file.exists() {
            bail!("there is a team \"{name}\" already (pillion team show)");
        }
        private_dir(&config.join("teams"))?;
        let seed = Zeroizing::new(random_bytes::<32>()?);
        let team = Team {
            file,
            name,
            key: TeamKey::new(SecretKey::from_bytes(&seed)),
            issued: Vec::new(),
        };
        team.write(&seed)?;
        Ok(team)
    }

    /// Opens the team of this name.
    ///
    /// # Errors
    /// There is none, or its file is open to others or damaged.
    pub fn open(config: &Path, name: &str) -> Result<Team> {
        Ok(Team::load(config, name)?.0)
    }

    fn load(config: &Path, name: &str) -> Result<(Team, Zeroizing<[u8; 32]>)> {
        let (file, name) = Team::place(config, name)?;
        let text = private::read(&file, MAX_FILE)?.with_context(|| {
            format!("there is no team \"{name}\"; `pillion team new {name}` makes one")
        })?;
        let damaged = || format!("{} is damaged: restore it from a backup", file.display());
        let read: TeamFile = serde_json::from_slice(&text).with_context(damaged)?;
        let bytes = HEXLOWER.decode(read.secret.as_bytes());
        let bytes = Zeroizing::new(bytes.with_context(damaged)?);
        let seed = <[u8; 32]>::try_from(&bytes[..]).with_context(damaged)?;
        let seed = Zeroizing::new(seed);
        let key = TeamKey::new(SecretKey::from_bytes(&seed));
        let issued = read.issued;
        let team = Team {
            file,
            name,
            key,
            issued,
        };
        Ok((team, seed))
    }

    /// The names of the teams whose key is here, in the alphabet's order.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn names(config: &Path) -> Result<Vec<String>> {
        let dir = config.join("teams");
        let found = match fs::read_dir(&dir) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(error).with_context(|| format!("{} could not be read", dir.display()));
            }
        };
        let name = |entry: fs::DirEntry| {
            Some(
                entry
                    .file_name()
                    .to_str()?
                    .strip_suffix(".json")?
                    .to_owned(),
            )
        };
        let mut names: Vec<String> = found.filter_map(|entry| name(entry.ok()?)).collect();
        names.sort();
        Ok(names)
    }

    fn place(config: &Path, name: &str) -> Result<(PathBuf, MemberName)> {
        // A member's name is one of a file, too, unless it begins with a dot.
        let parsed: MemberName = name.parse()?;
        if name.starts_with('.') {
            bail!("a team's name doesn't begin with a dot");
        }
        Ok((config.join("teams").join(format!("{name}.json")), parsed))
    }

    /// Its name here.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// What it is known by.
    pub fn key(&self) -> PublicKey {
        self.key.public()
    }

    /// What was issued and has not ended.
    pub fn issued(&self, now: UnixMillis) -> impl Iterator<Item = &Issued> {
        self.issued
            .iter()
            .filter(move |one| one.expires_unix_ms > now.0)
    }

    /// What it took back, to be told to hosts.
    pub fn removals(&self, now: UnixMillis) -> Option<Removals> {
        let removed = self.issued(now).filter(|one| one.removed);
        self.key
            .remove(now, removed.map(|one| one.serial).collect())
    }

    /// Makes somebody a member for a time; what they had under that name or key before is replaced when it
    /// ends by itself.
    ///
    /// # Errors
    /// The name is another's, the time is too long, or the file can't be written.
    pub fn add(
        config: &Path,
        name: &str,
        member: &str,
        identity: PublicKey,
        now: UnixMillis,
        life_ms: u64,
    ) -> Result<Membership> {
        let (mut team, seed) = Team::load(config, name)?;
        let member: MemberName = member.parse()?;
        let other =
            |one: &&Issued| !one.removed && one.member == member && one.identity != identity;
        if let Some(other) = team.issued(now).find(other) {
            bail!(
                "{member} is the member with the key {}: pillion team remove {name} {member}, or choose \
                 another name",
                other.identity.fingerprint()
            );
        }
        let serial = Serial(u64::from_be_bytes(random_bytes()?));
        let expires = now.saturating_add(life_ms);
        let membership = team
            .key
            .admit(identity, member.clone(), serial, now, expires)
            .context("a membership lasts 400 days at most: choose a shorter --expires")?;
        team.issued.retain(|one| one.expires_unix_ms > now.0);
        team.issued.push(Issued {
            member,
            identity,
            serial,
            expires_unix_ms: expires.0,
            removed: false,
        });
        team.write(&seed)?;
        Ok(membership)
    }

    /// Takes back every membership of somebody, by name or key. Gives the list for the hosts.
    ///
    /// # Errors
    /// Nobody is called so, or the file can't be written.
    pub fn remove(config: &Path, name: &str, member: &str, now: UnixMillis) -> Result<Removals> {
        let (mut team, seed) = Team::load(config, name)?;
        let key: Option<PublicKey> = member.parse().ok();
        let mut found = false;
        for one in &mut team.issued {
            if one.member.as_str() == member || Some(one.identity) == key {
                found = true;
                one.removed = true;
            }
        }
        if !found {
            bail!(
                "nobody in the team \"{name}\" is called \"{member}\" (pillion team show {name})"
            );
        }
        team.write(&seed)?;
        let removals = team
            .removals(now)
            .context("too many memberships were taken back")?;
        import(config, &removals)?;
        Ok(removals)
    }

    fn write(&self, seed: &[u8; 32]) -> Result<()> {
        let file = TeamFile {
            secret: Zeroizing::new(HEXLOWER.encode(seed)),
            issued: self.issued.clone(),
        };
        let text = Zeroizing::new(serde_json::to_vec_pretty(&file)?);
        Ok(private::write(&self.file, &text)?)
    }
}

/// The memberships of one's own that are kept here.
///
/// # Errors
/// The file is open to others, or damaged.
pub fn memberships(config: &Path) -> Result<Vec<Membership>> {
    lines(&config.join("memberships"))
}

/// Keeps a membership; an earlier one of the same team and name is replaced.
///
/// # Errors
/// The file can't be written.
pub fn keep(config: &Path, membership: Membership) -> Result<()> {
    let mut all = memberships(config)?;
    let same =
        |one: &Membership| one.team() == membership.team() && one.member() == membership.member();
    all.retain(|one| !same(one));
    all.push(membership);
    write_lines(&config.join("memberships"), &all)
}

/// What teams took back, as far as this machine was told.
///
/// # Errors
/// The file is open to others, or damaged.
pub fn removals(config: &Path) -> Result<Vec<Removals>> {
    lines(&config.join("removals"))
}

/// Imports a team's list of removals. `false` if the one that is here is as new or newer.
///
/// # Errors
/// The file can't be read or written.
pub fn import(config: &Path, told: &Removals) -> Result<bool> {
    let mut all = removals(config)?;
    let is_news = told.clone().take_in(&mut all);
    if is_news {
        write_lines(&config.join("removals"), &all)?;
    }
    Ok(is_news)
}

/// Has every session that runs on this machine keep to what teams took back, which was written down before:
/// a session that starts meanwhile reads that. Which ones could not be told, and why.
///
/// # Errors
/// The sessions can't be listed.
pub async fn tell_sessions(paths: &Paths) -> Result<Vec<String>> {
    let live = || -> Result<Vec<String>> {
        let mut sessions = list(&paths.sessions)?;
        sessions.retain(|session| session.state == SessionState::Live);
        Ok(sessions.into_iter().map(|one| one.meta.id).collect())
    };
    let mut untold = Vec::new();
    let told = live()?;
    let ask = |id: &String| (paths.socket(id), control::Request::Removals);
    let answers = control::ask_all(told.iter().map(ask), TELL_WITHIN).await;
    for (id, answer) in told.into_iter().zip(answers) {
        match answer {
            Ok(_) => {}
            // It has just ended, or doesn't listen yet: then it reads what was written.
            Err(error) if error.is::<control::NoSession>() => {}
            Err(error) => untold.push((id, explain(&error))),
        }
    }
    if !untold.is_empty() {
        let live = live()?;
        untold.retain(|(id, _)| live.contains(id));
    }
    let lines = untold.into_iter().map(|(id, why)| format!("{id} ({why})"));
    Ok(lines.collect())
}

fn lines<T: std::str::FromStr>(file: &Path) -> Result<Vec<T>>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let Some(text) = private::read(file, MAX_FILE)? else {
        return Ok(Vec::new());
    };
    let damaged = || format!("{} is damaged: mend it or move it away", file.display());
    let text = str::from_utf8(&text).with_context(damaged)?;
    text.lines()
        .map(|line| line.parse().with_context(damaged))
        .collect()
}

fn write_lines<T: ToString>(file: &Path, all: &[T]) -> Result<()> {
    let text: String = all.iter().map(|one| one.to_string() + "\n").collect();
    Ok(private::write(file, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use pillion_people::ClaimError;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
    const DAY: u64 = 24 * 60 * 60 * 1000;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_bytes(&[seed; 32]).public()
    }

    #[test]
    fn a_team_is_made_once_and_its_key_is_its_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("pillion");
        private_dir(&config).unwrap();
        let team = Team::create(&config, "core").unwrap();
        assert!(Team::create(&config, "core").is_err());
        assert_eq!(Team::open(&config, "core").unwrap().key(), team.key());
        assert_eq!(Team::names(&config).unwrap(), ["core"]);
        use std::os::unix::fs::MetadataExt;
        let mode = fs::metadata(config.join("teams/core.json")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        for name in ["", "..", ".core", "a/b", "ä"] {
            assert!(Team::create(&config, name).is_err(), "{name:?}");
        }
        let text = Team::open(&config, "other").err().unwrap().to_string();
        assert!(text.contains("pillion team new other"), "{text}");
    }

    #[test]
    fn a_member_is_added_and_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path();
        Team::create(config, "core").unwrap();
        let add = |member, seed| Team::add(config, "core", member, key(seed), NOW, DAY);
        let anna = add("anna", 1).unwrap();
        add("bert", 2).unwrap();
        assert!(add("anna", 3).is_err(), "another's name");
        assert!(add("anna", 1).is_ok(), "a new one for the same");
        assert!(Team::add(config, "core", "carl", key(4), NOW, 401 * DAY).is_err());

        let held = |config: &Path| removals(config).unwrap();
        assert_eq!(anna.verify(&key(1), NOW, &held(config)), Ok(()));
        let told = Team::remove(config, "core", "anna", NOW).unwrap();
        assert_eq!(told.serials().len(), 2);
        let verdict = anna.verify(&key(1), NOW, &held(config));
        assert_eq!(verdict, Err(ClaimError::Removed));
        assert!(Team::remove(config, "core", "nobody", NOW).is_err());
        let left = Team::open(config, "core").unwrap();
        assert_eq!(left.issued(NOW).filter(|one| !one.removed).count(), 1);

        let other = tempfile::tempdir().unwrap();
        assert!(import(other.path(), &told).unwrap());
        assert!(!import(other.path(), &told).unwrap(), "imported already");
        let later = UnixMillis(NOW.0 + 1);
        let newer = Team::remove(config, "core", "bert", later).unwrap();
        assert!(import(other.path(), &newer).unwrap());
        assert!(
            !import(other.path(), &told).unwrap(),
            "an old list undoes nothing"
        );
        assert_eq!(held(other.path())[0].serials().len(), 3);
    }

    #[test]
    fn a_membership_is_kept_and_replaced_by_a_newer_one() {
        let (owner, mine) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Team::create(owner.path(), "core").unwrap();
        for now in [NOW, NOW.saturating_add(1)] {
            let one = Team::add(owner.path(), "core", "anna", key(1), now, DAY).unwrap();
            keep(mine.path(), one.to_string().parse().unwrap()).unwrap();
            assert_eq!(memberships(mine.path()).unwrap(), [one]);
        }
    }
}

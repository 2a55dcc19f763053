//! A person's own devices: which there are, and the sessions that run on them.
//!
//! What this device knows is in one file of the configuration directory ([`Devices`]); what the others
//! say comes from a link service ([`Directory`]), which can read none of it
//! (`pillion_proto::device`).

mod directory;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use pillion_people::plain_name;
use pillion_proto::{
    Text,
    device::{DeviceId, DeviceKey, Group, MAX_DEVICES, Member},
    limits::MAX_NAME,
};
use pillion_screen::clean::clean_name;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use directory::{Directory, Running, Seen, silence};

use crate::settings::paths::{Paths, private_dir};

/// The file, and what holds others off while it is changed.
const FILE: &str = "devices.json";
const LOCK: &str = "devices.lock";
/// Format of the file; raised when an older Pillion would misread it.
const VERSION: u32 = 1;
/// Longest file read, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// What this device is and which others it is linked with.
#[derive(Debug, Clone)]
pub struct Devices {
    /// This device's own key, which never leaves it.
    pub key: DeviceKey,
    /// What its person calls it.
    pub name: String,
    /// The group it is in, if it is linked with any other.
    pub group: Option<Group>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    key: [u8; 32],
    name: String,
    group: Option<Group>,
}

impl Devices {
    /// What is known here; `None` where nothing was ever linked.
    ///
    /// # Errors
    /// The file is another user's, open to others, or damaged.
    pub fn load(paths: &Paths) -> Result<Option<Devices>> {
        read(&paths.config.join(FILE))
    }

    /// Changes what is known here: durable when this returns, and one or the other whatever happens.
    /// The first time, this device gets its key.
    ///
    /// # Errors
    /// The file can't be read or written, or `change` refuses.
    pub fn update<T>(paths: &Paths, change: impl FnOnce(&mut Devices) -> Result<T>) -> Result<T> {
        private_dir(&paths.config)?;
        let lock = paths.config.join(LOCK);
        let held = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock);
        let held = held.with_context(|| format!("{} could not be opened", lock.display()))?;
        held.lock()
            .with_context(|| format!("{} could not be locked", lock.display()))?;
        let file = paths.config.join(FILE);
        let mut devices = match read(&file)? {
            Some(devices) => devices,
            None => Devices {
                key: DeviceKey::from_bytes(&pillion_net::random_bytes()?),
                name: machine_name(),
                group: None,
            },
        };
        let result = change(&mut devices)?;
        write(&file, &devices)
            .with_context(|| format!("{} could not be written", file.display()))?;
        Ok(result)
    }

    /// When the file was changed last, to see whether to look again.
    pub fn changed_at(paths: &Paths) -> Option<(i64, i64)> {
        let meta = fs::symlink_metadata(paths.config.join(FILE)).ok()?;
        Some((meta.mtime(), meta.mtime_nsec()))
    }

    /// This device, as the others know it.
    pub fn own(&self) -> Member {
        Member {
            id: self.key.id(),
            name: Text::cut(&self.name),
        }
    }

    /// Whether `wanted` names this device.
    pub fn is_own(&self, wanted: &str) -> bool {
        is_meant(wanted, &self.key.id(), &self.name)
    }

    /// The one other device that `wanted` names: its name, or the beginning of its id.
    ///
    /// # Errors
    /// None, or more than one, fits.
    pub fn find(&self, wanted: &str) -> Result<Member> {
        let members = self.group.iter().flat_map(Group::members);
        let fits = |member: &&Member| is_meant(wanted, &member.id, member.name.as_str());
        let mut found: Vec<&Member> = members.filter(fits).collect();
        // A whole id is nobody's name.
        if let Some(one) = found.iter().find(|member| member.id.to_string() == wanted) {
            found = vec![one];
        }
        match &found[..] {
            [one] => Ok((*one).clone()),
            [] => bail!(
                "no device \"{}\" is linked with this one; `pillion device ls` lists those that are",
                clean_name(wanted, MAX_NAME)
            ),
            _ => {
                let ids: Vec<String> = found
                    .iter()
                    .map(|member| member.id.to_string().chars().take(8).collect())
                    .collect();
                bail!(
                    "more than one device is called \"{}\"; say which by its whole id; they begin: {}",
                    clean_name(wanted, MAX_NAME),
                    ids.join(", ")
                )
            }
        }
    }
}

/// Whether a text can mean this device: the beginning of its id, four characters and more, or its name. A name can look
/// like the beginning of another device's id; both are meant then, so that it has to be said more exactly.
fn is_meant(wanted: &str, id: &DeviceId, name: &str) -> bool {
    (wanted.len() >= 4 && id.to_string().starts_with(wanted)) || plain_name(name) == wanted
}

fn read(file: &Path) -> Result<Option<Devices>> {
    let damaged = || {
        format!(
            "{} is damaged or was written by a newer pillion; move it away and link this device again",
            file.display()
        )
    };
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(file);
    let opened = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("{} could not be read", file.display()))?,
    };
    let meta = opened.metadata()?;
    if meta.uid() != rustix::process::getuid().as_raw() || meta.mode() & 0o077 != 0 {
        bail!(
            "{0} can be read or changed by other users; run: chmod 600 {0}",
            file.display()
        );
    }
    let mut bytes = Zeroizing::new(Vec::new());
    opened.take(MAX_FILE).read_to_end(&mut bytes)?;
    let stored: Stored = serde_json::from_slice(&bytes).with_context(damaged)?;
    let group = stored.group;
    let too_many = group
        .as_ref()
        .is_some_and(|group| group.members().len() >= MAX_DEVICES);
    if stored.version != VERSION || too_many {
        bail!(damaged());
    }
    Ok(Some(Devices {
        key: DeviceKey::from_bytes(&stored.key),
        name: plain_name(&stored.name),
        group,
    }))
}

fn write(file: &Path, devices: &Devices) -> Result<()> {
    let stored = Stored {
        version: VERSION,
        key: *devices.key.to_bytes(),
        name: devices.name.clone(),
        group: devices.group.clone(),
    };
    let bytes = Zeroizing::new(serde_json::to_vec(&stored)?);
    let part = PathBuf::from(format!("{}.tmp", file.display()));
    // Left by one that was killed; the lock is ours.
    let _ = fs::remove_file(&part);
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)?;
    out.write_all(&bytes)?;
    out.sync_all()?;
    fs::rename(&part, file)?;
    if let Some(dir) = file.parent() {
        File::open(dir)?.sync_all()?;
    }
    Ok(())
}

/// What the machine is called.
fn machine_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    match plain_name(&name) {
        empty if empty.is_empty() => "device".to_owned(),
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use pillion_proto::device::GroupSecret;

    use super::*;

    fn paths(dir: &Path) -> Paths {
        Paths {
            config: dir.join("config"),
            sessions: dir.join("sessions"),
            runtime: dir.join("run"),
        }
    }

    fn member(seed: u8, name: &str) -> Member {
        Member {
            id: DeviceKey::from_bytes(&[seed; 32]).id(),
            name: Text::cut(name),
        }
    }

    fn group() -> Group {
        let mut group = Group::new(GroupSecret::from_bytes([9; 32]));
        for (seed, name) in [(2, "desk"), (3, "laptop"), (4, "laptop"), (5, "phone")] {
            assert!(group.add(member(seed, name)));
        }
        group.take_out(&member(5, "").id, GroupSecret::from_bytes([10; 32]));
        group
    }

    #[test]
    fn what_is_known_is_kept_for_its_owner_alone() {
        let temp = tempfile::tempdir().unwrap();
        let paths = paths(temp.path());
        assert!(Devices::load(&paths).unwrap().is_none());
        let id = Devices::update(&paths, |devices| {
            devices.group = Some(group());
            Ok(devices.key.id())
        })
        .unwrap();
        let read = Devices::load(&paths).unwrap().unwrap();
        assert_eq!(read.key.id(), id);
        assert_eq!(read.group.unwrap(), group());
        let file = paths.config.join(FILE);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        // A refused change changes nothing.
        let refused: Result<()> = Devices::update(&paths, |devices| {
            devices.group = None;
            bail!("no")
        });
        assert!(refused.is_err());
        assert!(Devices::load(&paths).unwrap().unwrap().group.is_some());

        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let said = Devices::load(&paths).unwrap_err().to_string();
        assert!(said.contains("chmod 600"), "{said}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&file, b"{\"version\":2}").unwrap();
        let said = Devices::load(&paths).unwrap_err().to_string();
        assert!(said.contains("link this device again"), "{said}");
    }

    #[test]
    fn a_device_is_named_by_its_name_or_the_beginning_of_its_id() {
        let devices = Devices {
            key: DeviceKey::from_bytes(&[1; 32]),
            name: "own".to_owned(),
            group: Some(group()),
        };
        assert_eq!(devices.find("desk").unwrap(), member(2, "desk"));
        let said = devices.find("laptop").unwrap_err().to_string();
        let id = member(4, "").id.to_string();
        assert!(said.contains(&id[..8]), "{said}");
        assert_eq!(devices.find(&id[..8]).unwrap(), member(4, "laptop"));
        let said = devices.find("phone").unwrap_err().to_string();
        assert!(said.contains("pillion device ls"), "{said}");

        // A device that calls itself what another one's id begins with takes nothing that is meant for that one.
        let mut devices = devices;
        let posing = member(6, &id[..8]);
        assert!(devices.group.as_mut().unwrap().add(posing.clone()));
        let said = devices.find(&id[..8]).unwrap_err().to_string();
        assert!(said.contains("more than one"), "{said}");
        assert_eq!(devices.find(&id).unwrap(), member(4, "laptop"));
        assert_eq!(devices.find(&posing.id.to_string()[..8]).unwrap(), posing);
        let own = devices.key.id().to_string();
        assert!(devices.is_own("own") && devices.is_own(&own[..4]));
        assert!(!devices.is_own(&own[..3]));
    }
}

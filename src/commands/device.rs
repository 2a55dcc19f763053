//! `pillion device`: linking one's own devices, listing and unlinking them.

use std::{
    io::{self, BufRead, Write},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use pillion::{
    code::Code,
    config::Config,
    devices::{Devices, Directory, Group},
    net::{
        random_bytes,
        signal::{Guessing, Invitation, SignalService, SignalUrl},
    },
    paths::Paths,
    proto::{
        Text,
        device::{DeviceId, GroupSecret, MAX_DEVICES, Member},
        limits::MAX_NAME,
    },
    screen::clean::clean_name,
};
use zeroize::Zeroizing;

use crate::{
    args::{DeviceCmd, DeviceLinkArgs},
    commands::signal_service,
};

/// How long the other device has to say its name once it is linked, and between two looks at that.
const NAME_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// What the device that invites sends: the group's secret, and the keys of the devices in it but its
/// own, 32 bytes each.
fn welcome(group: &GroupSecret, members: &[Member]) -> Zeroizing<Vec<u8>> {
    let keys = members.iter().flat_map(|member| *member.id.as_bytes());
    Zeroizing::new(group.as_bytes().iter().copied().chain(keys).collect())
}

/// Reads [`welcome`].
fn welcomed(bytes: &[u8]) -> Option<(GroupSecret, Vec<DeviceId>)> {
    let (parts, rest) = bytes.as_chunks::<32>();
    let (secret, members) = parts.split_first()?;
    let sound = rest.is_empty() && members.len() + 1 < MAX_DEVICES;
    let members = members.iter().map(|id| DeviceId::from_bytes(*id));
    sound.then(|| (GroupSecret::from_bytes(*secret), members.collect()))
}

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, command: DeviceCmd) -> Result<()> {
    match command {
        DeviceCmd::Link(args) => link(paths, config, args).await,
        DeviceCmd::Ls { json } => ls(paths, config, json).await,
        DeviceCmd::Unlink { name, signal } => unlink(paths, config, &name, signal).await,
    }
}

/// This machine's group by way of the link service, as commands need it.
///
/// # Errors
/// No service is set.
pub fn directory(paths: &Paths, config: &Config, signal: Option<SignalUrl>) -> Result<Directory> {
    Directory::new(&service(config, signal)?, paths)
}

fn service(config: &Config, signal: Option<SignalUrl>) -> Result<SignalService> {
    signal_service(config, signal)?.context(
        "devices find each other by way of a link service: give its URL with --signal, or as signal in the settings (pillion config edit), on both",
    )
}

async fn link(paths: &Paths, config: &Config, args: DeviceLinkArgs) -> Result<()> {
    let service = service(config, args.signal)?;
    let devices = Devices::update(paths, |devices| {
        if let Some(name) = &args.name {
            devices.name = clean_name(name, MAX_NAME);
        }
        Ok(devices.clone())
    })?;
    match args.code {
        None => invite(paths, &service, &devices).await,
        Some(code) => {
            let code: Code = code.parse()?;
            accept(paths, &service, &devices, &code).await
        }
    }
}

async fn invite(paths: &Paths, service: &SignalService, devices: &Devices) -> Result<()> {
    let (group, members) = match &devices.group {
        Some(group) => (group.secret.clone(), group.members.clone()),
        None => (GroupSecret::from_bytes(random_bytes()?), Vec::new()),
    };
    if members.len() + 1 >= MAX_DEVICES {
        bail!(
            "{MAX_DEVICES} devices are linked, which is as many as there can be; `pillion device unlink` takes one out"
        );
    }
    let welcome = welcome(&group, &members);
    let invitation = Invitation::open(service).await?;
    eprintln!("On the other device, within ten minutes:\n");
    println!("pillion device link {}", invitation.code());
    io::stdout().flush()?;
    let own = devices.key.id();
    let guest = invitation.guest(own.as_bytes(), &welcome).await?;
    let other = DeviceId::from_bytes(guest.device);
    if !confirmed(&guest.comparison)? {
        guest.refuse().await;
        bail!("not linked: nothing was sent to the other device");
    }
    guest.accept().await?;
    let known = Member {
        id: other,
        name: Text::cut(&other.to_string()[..8]),
    };
    Devices::update(paths, |devices| {
        let now = devices.group.get_or_insert_with(|| Group {
            secret: group.clone(),
            members: Vec::new(),
            pending: Vec::new(),
        });
        if now.secret != group {
            bail!("the devices were changed meanwhile; link the other one again");
        }
        now.note(known.clone());
        Ok(())
    })?;
    // The other one learns this one's name by its record, as this one does the other's.
    let mut directory = Directory::new(service, paths)?;
    directory.publish(None, true).await?;
    let name = name_of(paths, service, &other).await;
    eprintln!("Linked with {name}. `pillion ls --all-devices` shows what runs there.");
    Ok(())
}

async fn accept(
    paths: &Paths,
    service: &SignalService,
    devices: &Devices,
    code: &Code,
) -> Result<()> {
    if devices.group.is_some() {
        bail!(
            "this device is linked already: run `pillion device link` here, and what it prints on the new one; or first `pillion device unlink {}` here",
            devices.name
        );
    }
    let own = devices.key.id();
    let guessing = Guessing::start(service, code, own.as_bytes()).await?;
    if !confirmed(&guessing.comparison)? {
        guessing.refuse().await;
        bail!("not linked");
    }
    eprintln!("Waiting for the yes at the other device.");
    let linked = guessing.accept().await?;
    let (secret, members) =
        welcomed(&linked.secret).context("the other device uses another pillion: upgrade both")?;
    let other = DeviceId::from_bytes(linked.device);
    Devices::update(paths, |devices| {
        let mut group = Group {
            secret: secret.clone(),
            members: Vec::new(),
            pending: Vec::new(),
        };
        for id in [other].into_iter().chain(members) {
            let name = Text::cut(&id.to_string()[..8]);
            group.note(Member { id, name });
        }
        devices.group = Some(group);
        Ok(())
    })?;
    // The other one learns this one's name by its first record.
    let mut directory = Directory::new(service, paths)?;
    directory.publish(None, true).await?;
    eprintln!("Linked. `pillion ls --all-devices` shows what runs on your other devices.");
    Ok(())
}

/// Asks the person whether both devices show the same.
fn confirmed(comparison: &str) -> Result<bool> {
    eprintln!("Both devices must show the same now: {comparison}");
    eprint!("Does the other device show this? [y/N] ");
    io::stderr().flush()?;
    let mut line = String::new();
    io::Read::take(io::stdin().lock(), 100).read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// What a device that was just linked calls itself.
async fn name_of(paths: &Paths, service: &SignalService, device: &DeviceId) -> String {
    let end = Instant::now() + NAME_WITHIN;
    while Instant::now() < end {
        if let Ok(mut directory) = Directory::new(service, paths)
            && let Ok(seen) = directory.others().await
            && let Some(seen) = seen.iter().find(|seen| seen.member.id == *device)
            && seen.record.is_some()
        {
            return clean_name(seen.member.name.as_str(), MAX_NAME);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    device.to_string()[..8].to_owned()
}

async fn ls(paths: &Paths, config: &Config, json: bool) -> Result<()> {
    // Names are told by records; without a service those known here have to do.
    if let Ok(mut directory) = directory(paths, config, None)
        && let Err(error) = directory.others().await
    {
        eprintln!("pillion: {error:#}; what is known here:");
    }
    let devices = Devices::load(paths)?;
    let linked = devices.filter(|devices| devices.group.is_some());
    let Some(devices) = linked else {
        if json {
            println!("[]");
        } else {
            eprintln!("No other device is linked with this one; `pillion device link` does that.");
        }
        return Ok(());
    };
    let members = devices.group.iter().flat_map(|group| &group.members);
    let all = [devices.own()].into_iter().chain(members.cloned());
    let rows: Vec<(String, String, bool)> = all
        .map(|member| {
            let name = clean_name(member.name.as_str(), MAX_NAME);
            (name, member.id.to_string(), member.id == devices.key.id())
        })
        .collect();
    if json {
        let all = rows
            .iter()
            .map(|(name, id, this)| serde_json::json!({ "name": name, "id": id, "this": this }));
        println!("{}", serde_json::Value::Array(all.collect()));
        return Ok(());
    }
    println!("{:<24} {:<10} NOTE", "DEVICE", "ID");
    for (name, id, this) in rows {
        let note = if this { "this device" } else { "" };
        println!("{name:<24} {:<10} {note}", &id[..8]);
    }
    Ok(())
}

async fn unlink(
    paths: &Paths,
    config: &Config,
    name: &str,
    signal: Option<SignalUrl>,
) -> Result<()> {
    let mut directory = directory(paths, config, signal)?;
    // A secret that another device changed must not be changed back.
    directory.adopt().await?;
    let alone = "no other device is linked with this one; `pillion device link` does that";
    let before = Devices::load(paths)?.context(alone)?;
    let group = before.group.clone().context(alone)?;
    let own_place = group.secret.record(&before.key.id());
    let is_own = name == before.name || before.key.id().to_string().starts_with(name);
    if is_own && before.find(name).is_err() {
        Devices::update(paths, |devices| {
            devices.group = None;
            Ok(())
        })?;
        directory.withdraw(&own_place).await?;
        eprintln!(
            "This device is in no group any more. Unlink it on one of the others, too: they still share a secret that it has known."
        );
        return Ok(());
    }
    let member = before.find(name)?;
    let secret = GroupSecret::from_bytes(random_bytes()?);
    let after = Devices::update(paths, |devices| {
        match &mut devices.group {
            Some(now) if now.secret == group.secret => now.take_out(&member.id, secret),
            _ => bail!("the devices were changed meanwhile; try again"),
        }
        if devices
            .group
            .as_ref()
            .is_some_and(|group| group.members.is_empty())
        {
            devices.group = None;
        }
        Ok(devices.clone())
    })?;
    // What this device said under the secret of before is taken away, and said under the new one.
    let told = async {
        directory.withdraw(&own_place).await?;
        match &after.group {
            Some(group) => {
                directory.rotate(&after, group).await?;
                directory.publish(None, false).await
            }
            None => Ok(()),
        }
    };
    let name = clean_name(member.name.as_str(), MAX_NAME);
    if let Err(error) = told.await {
        eprintln!(
            "pillion: the others don't know of it yet ({error:#}); they are told while a session is shared here"
        );
    }
    eprintln!(
        "{name} is unlinked: it finds no session of yours any more. Others linked with this device get the new secret when they are next online together with it."
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_welcome_is_read_as_it_was_written_or_not_at_all() {
        let member = |seed: u8| Member {
            id: DeviceId::from_bytes([seed; 32]),
            name: Text::cut("a name stays here"),
        };
        let group = GroupSecret::from_bytes([9; 32]);
        for count in 0..MAX_DEVICES as u8 {
            let members: Vec<Member> = (0..count).map(member).collect();
            let bytes = welcome(&group, &members);
            let ids: Vec<DeviceId> = members.iter().map(|member| member.id).collect();
            let fits = members.len() + 1 < MAX_DEVICES;
            assert_eq!(welcomed(&bytes), fits.then(|| (group.clone(), ids)));
            assert!(welcomed(&bytes[1..]).is_none());
        }
        assert!(welcomed(&[]).is_none());
    }
}

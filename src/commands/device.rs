//! `pillion device`: linking one's own devices, listing and unlinking them.

use std::{
    io::{self, BufRead, Write},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand, builder::NonEmptyStringValueParser};
use pillion::{
    code::Code,
    identity::devices::{Devices, Directory},
    net::{
        random_bytes,
        signal::{Guessing, Invitation, SignalService, SignalUrl},
    },
    people::plain_name,
    proto::device::{DeviceId, DeviceKey, Group, GroupSecret, MAX_DEVICES, Member},
    settings::{config::Config, paths::Paths},
    terminal::console::explain,
};

use crate::commands::signal_service;
use crate::completion;

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion device link                    on one device; it prints what to run on the other
  pillion ls --all-devices               what is shared on the others
  pillion join NAME                      join one of those
  pillion device unlink laptop           that device no longer finds these sessions";

/// What to do with your devices.
#[derive(Debug, Subcommand)]
pub enum DeviceCmd {
    /// Link another device with this one: run it here, and what it prints there.
    ///
    /// Both show the same digits and ask whether they are the same. After that each finds the other's
    /// shared sessions: `pillion ls --all-devices`, `pillion join NAME`.
    #[command(after_long_help = "\
Examples:
  pillion device link                    prints what to run on the other device
  pillion device link 7-guitar-lantern   there")]
    Link(DeviceLinkArgs),
    /// The devices that are linked with this one.
    #[command(after_long_help = "\
Examples:
  pillion device ls
  pillion device ls --json")]
    Ls {
        /// Print an array of {"name","id","this"}.
        #[arg(long)]
        json: bool,
        /// A link service's URL, instead of that of the settings.
        #[arg(long, value_name = "URL")]
        signal: Option<SignalUrl>,
    },
    /// Remove a device: the others get a new secret, which it does not learn. With this device's own
    /// name, leave the group.
    #[command(after_long_help = "\
Examples:
  pillion device unlink laptop
  pillion device unlink 4f1c           by the beginning of its id")]
    Unlink {
        /// The device's name, or the beginning of its id.
        #[arg(value_name = "NAME", add = completion::devices(), value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// A link service's URL, instead of that of the settings.
        #[arg(long, value_name = "URL")]
        signal: Option<SignalUrl>,
    },
}

/// Flags of `device link`.
#[derive(Debug, Args)]
pub struct DeviceLinkArgs {
    /// What `pillion device link` printed on the other device.
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
    /// What to call this device; what the machine is called, by default.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A link service's URL, instead of that of the settings.
    #[arg(long, value_name = "URL")]
    pub signal: Option<SignalUrl>,
}

/// How long the other device has to say its name once it is linked, and between two looks at that.
const NAME_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, command: DeviceCmd) -> Result<()> {
    match command {
        DeviceCmd::Link(args) => link(paths, config, args).await,
        DeviceCmd::Ls { json, signal } => ls(paths, config, json, signal).await,
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
    // Where the settings here don't have it, those there need not either.
    let elsewhere = config.signal().is_none_or(|url| url != service.url);
    let devices = Devices::update(paths, |devices| {
        if let Some(name) = &args.name {
            devices.name = plain_name(name);
        }
        Ok(devices.clone())
    })?;
    match args.code {
        None => invite(paths, &service, elsewhere).await,
        Some(code) => {
            let code: Code = code.parse()?;
            accept(paths, &service, &devices, &code).await
        }
    }
}

async fn invite(paths: &Paths, service: &SignalService, elsewhere: bool) -> Result<()> {
    // Anybody who joins gets the secret of now.
    Directory::new(service, paths)?.catch_up().await?;
    let devices = Devices::load(paths)?.context("this device's key is gone; try again")?;
    let group = match devices.group {
        Some(group) => group,
        None => Group::new(GroupSecret::from_bytes(random_bytes()?)),
    };
    if !group.has_room() {
        bail!(
            "{MAX_DEVICES} devices are linked, which is as many as there can be; `pillion device unlink` takes one out"
        );
    }
    let welcome = group
        .welcome()
        .context("the group can't be written; this is a defect of pillion")?;
    let invitation = Invitation::open(service).await?;
    pillion::say!("On the other device, within ten minutes:\n");
    let code = invitation.code();
    match elsewhere {
        true => pillion::output!("pillion device link {code} --signal {}", service.url)?,
        false => pillion::output!("pillion device link {code}")?,
    }
    let own = devices.key.id();
    let guest = invitation.guest(own.as_bytes(), &welcome).await?;
    let other = DeviceId::from_bytes(guest.device);
    if group.is_out(&other) {
        guest.refuse().await;
        bail!(
            "the other device was unlinked from this one: run `pillion device unlink` with its own name there, and link it then"
        );
    }
    if !confirmed(&guest.comparison)? {
        guest.refuse().await;
        bail!("not linked: nothing was sent to the other device");
    }
    guest.accept().await?;
    Devices::update(paths, |devices| {
        let now = devices.group.get_or_insert_with(|| group.clone());
        if now.secret() != group.secret() {
            bail!("the devices were changed meanwhile; link the other one again");
        }
        now.add(Member::unnamed(other));
        Ok(())
    })?;
    // The other one learns this one's name by its record, as this one does the other's.
    let mut directory = Directory::new(service, paths)?;
    directory.publish(None, true).await?;
    let name = name_of(paths, service, &other).await;
    pillion::say!("Linked with {name}. `pillion ls --all-devices` shows what runs there.");
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
    pillion::say!("Waiting for the yes at the other device.");
    let linked = guessing.accept().await?;
    let other = DeviceId::from_bytes(linked.device);
    let group = Group::welcomed(&linked.secret, &other)
        .context("the other device uses another pillion: upgrade both")?;
    Devices::update(paths, |devices| {
        devices.group = Some(group);
        Ok(())
    })?;
    // The other one learns this one's name by its first record.
    let mut directory = Directory::new(service, paths)?;
    directory.publish(None, true).await?;
    pillion::say!("Linked. `pillion ls --all-devices` shows what runs on your other devices.");
    Ok(())
}

/// Asks the person whether both devices show the same.
fn confirmed(comparison: &str) -> Result<bool> {
    pillion::say!("Both devices must show the same now: {comparison}");
    pillion::prompt!("Does the other device show this? [y/N] ");
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
            return plain_name(seen.member.name.as_str());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    device.to_string()[..8].to_owned()
}

/// One device, as it is listed.
#[derive(serde::Serialize)]
struct Row {
    name: String,
    id: String,
    this: bool,
    /// May not know the secret that was made when another one was unlinked.
    waits: bool,
}

async fn ls(paths: &Paths, config: &Config, json: bool, signal: Option<SignalUrl>) -> Result<()> {
    // Names are told by records; without a service those known here have to do.
    if let Ok(mut directory) = directory(paths, config, signal)
        && let Err(error) = directory.others().await
    {
        pillion::say!("pillion: {}; what is known here:", explain(&error));
    }
    let devices = Devices::load(paths)?;
    let linked = devices.filter(|devices| devices.group.is_some());
    let Some(devices) = linked else {
        if json {
            pillion::output!("[]")?;
        } else {
            pillion::say!(
                "No other device is linked with this one; `pillion device link` does that."
            );
        }
        return Ok(());
    };
    let members = devices.group.iter().flat_map(Group::members);
    let all = [devices.own()].into_iter().chain(members.cloned());
    let waits = |id: &DeviceId| {
        let mut groups = devices.group.iter();
        groups.any(|group| group.pending().contains(id))
    };
    let rows: Vec<Row> = all
        .map(|member| Row {
            name: plain_name(member.name.as_str()),
            id: member.id.to_string(),
            this: member.id == devices.key.id(),
            waits: waits(&member.id),
        })
        .collect();
    if json {
        pillion::output!("{}", serde_json::to_string(&rows)?)?;
        return Ok(());
    }
    pillion::output!("{:<24} {:<10} NOTE", "DEVICE", "ID")?;
    for row in rows {
        let note = match (row.this, row.waits) {
            (true, _) => "this device",
            (_, true) => "not seen since another one was unlinked",
            _ => "",
        };
        pillion::output!("{:<24} {:<10} {note}", row.name, &row.id[..8])?;
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
    directory.catch_up().await?;
    let alone = "no other device is linked with this one; `pillion device link` does that";
    let before = Devices::load(paths)?.context(alone)?;
    let group = before.group.clone().context(alone)?;
    let own_place = group.secret().record(&before.key.id());
    if before.is_own(name) && before.find(name).is_err() {
        // It comes back as another device: the others remember this one as taken out.
        let key = DeviceKey::from_bytes(&random_bytes()?);
        Devices::update(paths, |devices| {
            devices.group = None;
            devices.key = key;
            Ok(())
        })?;
        directory.withdraw(&own_place).await?;
        pillion::say!(
            "This device is in no group any more. Unlink it on one of the others, too: they still share a secret that it has known."
        );
        return Ok(());
    }
    let member = before.find(name)?;
    let secret = GroupSecret::from_bytes(random_bytes()?);
    Devices::update(paths, |devices| {
        match &mut devices.group {
            Some(now) if now.secret() == group.secret() => now.take_out(&member.id, secret),
            _ => bail!("the devices were changed meanwhile; try again"),
        }
        if devices
            .group
            .as_ref()
            .is_some_and(|group| group.members().is_empty())
        {
            devices.group = None;
        }
        Ok(())
    })?;
    // What this device said under the secret of before is taken away, and said under the new one.
    let told = async {
        directory.withdraw(&own_place).await?;
        directory.publish(None, false).await
    };
    let name = plain_name(member.name.as_str());
    if let Err(error) = told.await {
        pillion::say!(
            "pillion: the others don't know of it yet ({}); they are told while a session is shared here, and whenever `pillion ls --all-devices` runs here",
            explain(&error)
        );
    }
    pillion::say!(
        "{name} is unlinked: it finds no session of yours any more. Your other devices get the new secret from this one or from each other; `pillion device ls` says which were not seen with it yet."
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use pillion::code::MAX_SECRET;

    use super::*;

    #[test]
    fn the_longest_welcome_fits_the_answer_to_a_code() {
        let mut group = Group::new(GroupSecret::from_bytes([9; 32]));
        let member = |seed: u8| Member::unnamed(DeviceKey::from_bytes(&[seed; 32]).id());
        for seed in 0..20 {
            group.note(member(seed));
            group.take_out(&member(seed).id, GroupSecret::from_bytes([seed; 32]));
        }
        for seed in 50..50 + MAX_DEVICES as u8 - 2 {
            group.note(member(seed));
        }
        assert!(group.has_room());
        let welcome = group.welcome().unwrap();
        assert!(welcome.len() <= MAX_SECRET, "{}", welcome.len());
        let new = Group::welcomed(&welcome, &member(99).id).unwrap();
        assert_eq!(new.members().len(), MAX_DEVICES - 1);
    }
}

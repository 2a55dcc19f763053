//! What the devices of a group leave for each other at a link service.

use std::time::Duration;

use anyhow::{Context, Result};
use pillion_net::signal::{Records, SignalError, SignalService};
use pillion_proto::{
    LinkRecord, LinkSecret, RecordError, Text, Ticket, Times,
    device::{DeviceError, DeviceId, DeviceRecord, ListedSession, Member, Rotation},
};
use pillion_screen::clean::clean_name;
use pillion_session::{Command, Done};
use pillion_store::{SessionState, list};

use super::{Devices, Group};
use crate::{
    clock::unix_ms,
    control::{self, Request},
    paths::Paths,
};

/// How long another session of this device may take to tell its ticket.
const ASK_WITHIN: Duration = Duration::from_secs(3);

/// This device's group, by way of a link service.
pub struct Directory {
    records: Records,
    service: String,
    paths: Paths,
    /// Number of the record that was left last.
    last: u64,
}

/// What came of asking for another device.
#[derive(Debug)]
pub struct Seen {
    /// The device.
    pub member: Member,
    /// What it says; `None` if there is nothing: no session runs there, or the service withholds it.
    pub record: Option<DeviceRecord>,
    /// Why what is there is not taken.
    pub refused: Option<DeviceError>,
}

/// A session on another device.
#[derive(Debug)]
pub struct Running {
    /// The device's name.
    pub device: String,
    /// The session's name.
    pub name: String,
    /// What enters it.
    pub ticket: Ticket,
}

impl Directory {
    /// At this service.
    ///
    /// # Errors
    /// No TLS settings can be made.
    pub fn new(service: &SignalService, paths: &Paths) -> Result<Directory> {
        Ok(Directory {
            records: Records::new(service)?,
            service: service.url.to_string(),
            paths: paths.clone(),
            last: 0,
        })
    }

    /// Takes over a new secret of the group's that another device made, if there is one.
    ///
    /// # Errors
    /// The service does not answer, or the file can't be changed.
    pub async fn adopt(&mut self) -> Result<()> {
        let Some((devices, group)) = self.group()? else {
            return Ok(());
        };
        for member in &group.members {
            let Ok(place) = devices.key.rotation(&member.id, &devices.key.id()) else {
                continue;
            };
            let Some(bytes) = self.records.get(&place.id()).await? else {
                continue;
            };
            match Rotation::open(&bytes, &devices.key, &member.id, unix_ms()) {
                Ok((_, rotation)) if self.take_over(&member.id, &rotation)? => {
                    // What this device said under the secret of before is for nobody any more.
                    let old = group.secret.record(&devices.key.id());
                    return self.withdraw(&old).await;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "a new secret is not taken"),
            }
        }
        Ok(())
    }

    /// Whether it was for the group as it is known here.
    fn take_over(&self, from: &DeviceId, rotation: &Rotation) -> Result<bool> {
        Devices::update(&self.paths, |devices| {
            let own = devices.key.id();
            // It may have changed since; only who is in the group now says what comes after now.
            if let Some(group) = &mut devices.group
                && group.secret.name() == rotation.before
                && group.members.iter().any(|member| member.id == *from)
            {
                group.secret = rotation.secret();
                group.members = rotation.members.clone();
                group.members.retain(|member| member.id != own);
                group.pending.clear();
                return Ok(true);
            }
            Ok(false)
        })
    }

    /// What each of the other devices says now. Names and devices that come up are noted.
    ///
    /// # Errors
    /// The service does not answer, or the file can't be changed.
    pub async fn others(&mut self) -> Result<Vec<Seen>> {
        self.adopt().await?;
        let Some((devices, group)) = self.group()? else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for member in &group.members {
            all.push(self.see(&group, member).await?);
        }
        let own = devices.key.id();
        let said: Vec<Member> = all.iter().flat_map(Seen::members).collect();
        let heard: Vec<DeviceId> = all
            .iter()
            .filter(|seen| seen.record.is_some())
            .map(|seen| seen.member.id)
            .collect();
        let is_news = said.iter().any(|member| !group.members.contains(member))
            || group
                .pending
                .iter()
                .any(|pending| heard.contains(&pending.to));
        if is_news {
            Devices::update(&self.paths, |devices| {
                let same = devices
                    .group
                    .as_mut()
                    .filter(|now| now.secret == group.secret);
                if let Some(now) = same {
                    for member in said.into_iter().filter(|member| member.id != own) {
                        now.note(member);
                    }
                    // Who uses the new secret knows it.
                    now.pending.retain(|pending| !heard.contains(&pending.to));
                }
                Ok(())
            })?;
        }
        Ok(all)
    }

    async fn see(&self, group: &Group, member: &Member) -> Result<Seen> {
        let place = group.secret.record(&member.id);
        let bytes = self.records.get(&place.id()).await?;
        let opened =
            bytes.map(|bytes| DeviceRecord::open(&bytes, &member.id, &group.secret, unix_ms()));
        let (record, refused) = match opened {
            None | Some(Err(DeviceError::Record(RecordError::Ended))) => (None, None),
            Some(Ok((_, record))) => (Some(record), None),
            Some(Err(error)) => (None, Some(error)),
        };
        let mut member = member.clone();
        if let Some(record) = &record {
            member.name = record.name.clone();
        }
        Ok(Seen {
            member,
            record,
            refused,
        })
    }

    /// Every session that runs on another device.
    ///
    /// # Errors
    /// As for [`Directory::others`].
    pub async fn running(&mut self) -> Result<Vec<Running>> {
        let seen = self.others().await?;
        Ok(seen.iter().flat_map(Seen::running).collect())
    }

    /// Says what runs here, but for the session `without`; with nothing to say, only if `always`.
    ///
    /// # Errors
    /// The service does not answer or refuses, or the file can't be read.
    pub async fn publish(&mut self, without: Option<&str>, always: bool) -> Result<()> {
        let Some((devices, group)) = self.group()? else {
            return Ok(());
        };
        let sessions = sessions(&self.paths, without).await?;
        let place = group.secret.record(&devices.key.id());
        if sessions.is_empty() && !always {
            return self.withdraw(&place).await;
        }
        let record = DeviceRecord {
            name: Text::cut(&devices.name),
            members: group.members.clone(),
            sessions,
            more: 0,
        };
        let sealed = |times| -> Result<LinkRecord> {
            let nonce = pillion_net::random_bytes()?;
            Ok(record
                .clone()
                .seal(&devices.key, &group.secret, times, nonce)?)
        };
        self.leave(&place, sealed).await?;
        self.rotate(&devices, &group).await
    }

    /// Takes this device's record away.
    ///
    /// # Errors
    /// The service does not answer or refuses.
    pub async fn withdraw(&mut self, place: &LinkSecret) -> Result<()> {
        let times = Times::starting(unix_ms(), self.last);
        self.last = times.seq;
        let tombstone = LinkRecord::tombstone(place, times);
        match self.records.end(&place.id(), &tombstone).await {
            // There was none.
            Ok(()) | Err(SignalError::NotFound { .. }) => Ok(()),
            // Another session of this device was quicker, and it knows as much as we do.
            Err(SignalError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Leaves the group's new secret for those that may not know it.
    ///
    /// # Errors
    /// The service does not answer or refuses.
    pub async fn rotate(&mut self, devices: &Devices, group: &Group) -> Result<()> {
        let everybody: Vec<Member> = group
            .members
            .iter()
            .cloned()
            .chain([devices.own()])
            .collect();
        for pending in &group.pending {
            let rotation = Rotation::new(pending.before, &group.secret, everybody.clone());
            let place = devices.key.rotation(&devices.key.id(), &pending.to)?;
            let sealed = |times| -> Result<LinkRecord> {
                let nonce = pillion_net::random_bytes()?;
                Ok(rotation.seal(&devices.key, &pending.to, times, nonce)?)
            };
            self.leave(&place, sealed).await?;
        }
        Ok(())
    }

    /// Leaves a record, behind whatever is there.
    async fn leave(
        &mut self,
        place: &LinkSecret,
        sealed: impl Fn(Times) -> Result<LinkRecord>,
    ) -> Result<()> {
        let id = place.id();
        let times = Times::starting(unix_ms(), self.last);
        self.last = times.seq;
        match self.records.put(&id, &sealed(times)?).await {
            Err(SignalError::Conflict { .. }) => {}
            done => return Ok(done?),
        }
        // Another session of this device, or an earlier one by another clock: go on from its number.
        if let Some(bytes) = self.records.get(&id).await?
            && let Ok(record) = LinkRecord::verify(&bytes, &id, unix_ms())
        {
            self.last = self.last.max(record.times().seq);
        }
        let times = Times::starting(unix_ms(), self.last);
        self.last = times.seq;
        Ok(self.records.put(&id, &sealed(times)?).await?)
    }

    fn group(&self) -> Result<Option<(Devices, Group)>> {
        let devices = Devices::load(&self.paths)?;
        Ok(devices.and_then(|devices| {
            let group = devices.group.clone()?;
            Some((devices, group))
        }))
    }

    /// Where the service is.
    pub fn service(&self) -> &str {
        &self.service
    }
}

impl Seen {
    /// The device, by the name it gives itself, and those it knows.
    fn members(&self) -> Vec<Member> {
        let known = self.record.iter().flat_map(|record| record.members.clone());
        [self.member.clone()].into_iter().chain(known).collect()
    }

    /// The sessions it lists, of which what is no ticket is left out.
    pub fn running(&self) -> Vec<Running> {
        let listed = self.record.iter().flat_map(|record| &record.sessions);
        let running = |session: &ListedSession| {
            Some(Running {
                device: clean_name(self.member.name.as_str(), 64),
                name: clean_name(session.name.as_str(), 64),
                ticket: Ticket::from_bytes(&session.ticket).ok()?,
            })
        };
        listed.filter_map(running).collect()
    }
}

/// The shared sessions of this machine, as the others are to know them.
async fn sessions(paths: &Paths, without: Option<&str>) -> Result<Vec<ListedSession>> {
    let mut all = Vec::new();
    for session in list(&paths.sessions).context("this device's sessions can't be listed")? {
        if session.state != SessionState::Live || without == Some(session.meta.id.as_str()) {
            continue;
        }
        let request = Request::Command(Command::Ticket { new: false });
        let socket = paths.socket(&session.meta.id);
        let asked = tokio::time::timeout(ASK_WITHIN, control::ask(&socket, &request));
        // What is private, or just ending, gives none.
        if let Ok(Ok(Done::Ticket(ticket))) = asked.await
            && let Ok(ticket) = ticket.parse::<Ticket>()
        {
            all.push(ListedSession {
                name: Text::cut(&session.meta.name),
                ticket: ticket.to_bytes().to_vec(),
            });
        }
    }
    Ok(all)
}

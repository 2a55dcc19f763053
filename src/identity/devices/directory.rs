//! What the devices of a group leave for each other at a link service.

use anyhow::{Context, Result};
use pillion_net::signal::{Records, SignalError, SignalService};
use pillion_people::plain_name;
use pillion_proto::{
    LinkRecord, LinkSecret, RecordError, Text, Ticket, Times,
    device::{
        DeviceError, DeviceId, DeviceKey, DeviceRecord, Group, GroupSecret, ListedSession,
        MAX_DEVICES, Member, Rotation,
    },
};
use pillion_screen::clean::clean_name;
use pillion_session::{Command, Reply, verbs};
use pillion_store::{SessionState, list};

use super::Devices;
use crate::{
    clock::unix_ms,
    sessions::control::{self, Request, Response},
    settings::paths::Paths,
};

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
    /// It left something under the secret that this device knows, and be it that nothing runs there.
    pub knows: bool,
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

    /// Takes in what the others left of the group's secret; whether it is another one now.
    ///
    /// # Errors
    /// The service does not answer, or the file can't be changed.
    pub async fn catch_up(&mut self) -> Result<bool> {
        let mut changed = false;
        // Somebody who is heard of by what another one left may have left something, too.
        for _ in 0..MAX_DEVICES {
            let Some((devices, group)) = self.group()? else {
                break;
            };
            let mut again = false;
            for member in group.members() {
                let Some(told) = self.left_by(&devices.key, &member.id).await? else {
                    continue;
                };
                if let Some(old) = self.learn(&member.id, &told)? {
                    // What this device said under the secret of before is for nobody any more.
                    self.withdraw(&old.record(&devices.key.id())).await?;
                    again = true;
                }
            }
            if !again {
                break;
            }
            changed = true;
        }
        Ok(changed)
    }

    /// What another device left for this one.
    async fn left_by(&self, key: &DeviceKey, from: &DeviceId) -> Result<Option<Rotation>> {
        let Ok(place) = key.rotation(from, &key.id()) else {
            return Ok(None);
        };
        let Some(bytes) = self.records.get(&place.id()).await? else {
            return Ok(None);
        };
        match Rotation::open(&bytes, key, from, unix_ms()) {
            Ok((_, told)) => Ok(Some(told)),
            Err(error) => {
                tracing::debug!(%error, "what a device left is not taken");
                Ok(None)
            }
        }
    }

    /// Takes one of them in; the secret of before, if there is another one now.
    fn learn(&self, from: &DeviceId, told: &Rotation) -> Result<Option<GroupSecret>> {
        let fresh = GroupSecret::from_bytes(pillion_net::random_bytes()?);
        let learn = |devices: &mut Devices| {
            let own = devices.key.id();
            let group = devices.group.as_mut()?;
            let before = group.secret().clone();
            let changed = group.learn(&own, from, told, fresh);
            changed.then_some(before)
        };
        // Most of the time it is known, and the file need not be written.
        let Some(known) = Devices::load(&self.paths)? else {
            return Ok(None);
        };
        let mut tried = known.clone();
        learn.clone()(&mut tried);
        match tried.group == known.group {
            true => Ok(None),
            false => Devices::update(&self.paths, |devices| Ok(learn(devices))),
        }
    }

    /// What each of the other devices says now. Names and devices that come up are noted, and anybody who
    /// may not know the group's secret is left it.
    ///
    /// # Errors
    /// The service does not answer or refuses, or the file can't be changed.
    pub async fn others(&mut self) -> Result<Vec<Seen>> {
        if self.catch_up().await? {
            // So that anybody who left it sees that it was found.
            self.publish(None, true).await?;
        }
        let Some((_, group)) = self.group()? else {
            return Ok(Vec::new());
        };
        let mut all = Vec::new();
        for member in group.members() {
            all.push(self.see(&group, member).await?);
        }
        self.note(&group, &all)?;
        self.hand_over().await?;
        Ok(all)
    }

    /// Writes down what devices said for the group, if that is news.
    fn note(&self, group: &Group, all: &[Seen]) -> Result<()> {
        let note = |own: DeviceId, group: &mut Group| {
            let mut is_news = false;
            for seen in all.iter().filter(|seen| seen.knows) {
                is_news |= group.heard(&seen.member);
                let others = seen.record.iter().flat_map(|record| &record.members);
                for other in others.filter(|other| other.id != own) {
                    is_news |= group.note(other.clone());
                }
            }
            is_news
        };
        let Some((devices, mut now)) = self.group()? else {
            return Ok(());
        };
        if !note(devices.key.id(), &mut now) {
            return Ok(());
        }
        Devices::update(&self.paths, |devices| {
            let own = devices.key.id();
            let known = devices.group.as_mut();
            // What was said for another secret says nothing of who knows this one.
            if let Some(known) = known.filter(|known| known.secret() == group.secret()) {
                note(own, known);
            }
            Ok(())
        })
    }

    async fn see(&self, group: &Group, member: &Member) -> Result<Seen> {
        let secret = group.secret();
        let place = secret.record(&member.id);
        let bytes = self.records.get(&place.id()).await?;
        let opened = bytes.map(|bytes| DeviceRecord::open(&bytes, &member.id, secret, unix_ms()));
        let (record, refused, knows) = match opened {
            None => (None, None, false),
            // Only with the secret is a record ended as well as made.
            Some(Err(DeviceError::Record(RecordError::Ended))) => (None, None, true),
            Some(Ok((_, record))) => (Some(record), None, true),
            Some(Err(error)) => (None, Some(error), false),
        };
        let mut member = member.clone();
        if let Some(record) = &record {
            member.name = record.name.clone();
        }
        Ok(Seen {
            member,
            record,
            refused,
            knows,
        })
    }

    /// Says what runs here, but for the session `without`; with nothing to say, only if `always`. Anybody who
    /// may not know the group's secret is left it.
    ///
    /// # Errors
    /// The service does not answer or refuses, or the file can't be read.
    pub async fn publish(&mut self, without: Option<&str>, always: bool) -> Result<()> {
        let Some((devices, group)) = self.group()? else {
            return Ok(());
        };
        let sessions = sessions(&self.paths, without).await?;
        let place = group.secret().record(&devices.key.id());
        if sessions.is_empty() && !always {
            self.withdraw(&place).await?;
            return self.hand_over().await;
        }
        let record = DeviceRecord {
            name: Text::cut(&devices.name),
            members: group.listed(),
            sessions,
            more: 0,
        };
        let sealed = |times| -> Result<LinkRecord> {
            let nonce = pillion_net::random_bytes()?;
            Ok(record
                .clone()
                .seal(&devices.key, group.secret(), times, nonce)?)
        };
        self.leave(&place, sealed).await?;
        self.hand_over().await
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

    /// Leaves the group's secret for those that may not know it, until each was seen to: records last
    /// ten minutes, and a device may be away for weeks.
    async fn hand_over(&mut self) -> Result<()> {
        let Some((devices, group)) = self.group()? else {
            return Ok(());
        };
        let rotation = group.rotation(&devices.own());
        let mut seen = Vec::new();
        let waits = |member: &&Member| group.pending().contains(&member.id);
        for member in group.members().iter().filter(waits) {
            let one = self.see(&group, member).await?;
            if !one.knows
                && let Ok(place) = devices.key.rotation(&devices.key.id(), &member.id)
            {
                let sealed = |times| -> Result<LinkRecord> {
                    let nonce = pillion_net::random_bytes()?;
                    Ok(rotation.seal(&devices.key, &member.id, times, nonce)?)
                };
                self.leave(&place, sealed).await?;
            }
            seen.push(one);
        }
        self.note(&group, &seen)
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

/// What it may mean that nothing is there from any of the others, if so: for people.
pub fn silence(all: &[Seen]) -> Option<String> {
    let silent = all.iter().all(|seen| !seen.knows && seen.refused.is_none());
    if all.is_empty() || !silent {
        return None;
    }
    let names: Vec<String> = all
        .iter()
        .map(|seen| plain_name(seen.member.name.as_str()))
        .collect();
    Some(format!(
        "nothing is there from {}. Either nothing is shared there now, or a device was unlinked meanwhile. If it \
         was another one, this one waits for the new secret, which is left for it while a session is shared on \
         one of them and whenever `pillion ls --all-devices` runs there. If it was this one, link it again",
        names.join(" or ")
    ))
}

impl Seen {
    /// The sessions it lists, of which what is no ticket is left out.
    pub fn running(&self) -> Vec<Running> {
        let listed = self.record.iter().flat_map(|record| &record.sessions);
        let running = |session: &ListedSession| {
            Some(Running {
                device: plain_name(self.member.name.as_str()),
                name: clean_name(session.name.as_str(), 64),
                ticket: Ticket::from_bytes(&session.ticket).ok()?,
            })
        };
        listed.filter_map(running).collect()
    }
}

/// The shared sessions of this machine, as the others are to know them.
async fn sessions(paths: &Paths, without: Option<&str>) -> Result<Vec<ListedSession>> {
    let mut running = list(&paths.sessions).context("this device's sessions can't be listed")?;
    running.retain(|session| {
        session.state == SessionState::Live && without != Some(session.meta.id.as_str())
    });
    let requests = running.iter().map(|session| {
        let command = Command::Ticket(verbs::Ticket { new: false });
        (paths.socket(&session.meta.id), Request::Command(command))
    });
    let answers = control::ask_all(requests, control::FIRST_WORD).await;
    let listed = running.iter().zip(answers).filter_map(|(session, answer)| {
        // What is private, just ending or stuck gives none.
        let Ok(Response::Done(done)) = answer else {
            return None;
        };
        let Reply::Ticket(ticket) = done.reply else {
            return None;
        };
        Some(ListedSession {
            name: Text::cut(&session.meta.name),
            ticket: ticket.parse::<Ticket>().ok()?.to_bytes().to_vec(),
        })
    });
    Ok(listed.collect())
}

//! A group of devices as one of them knows it, and how those that stay come to one secret again after
//! some were taken out.
//!
//! Taking a device out makes another secret, of the next *generation*. Two devices may each take one out
//! at the same time, or while others are away, so a device may hear of several secrets. All of them order
//! secrets alike (by generation, then by name) and take the last one, and each keeps the marks of the one who
//! any of them took out. A secret whose maker did not know of all of these may be known to one of them:
//! anybody who notices makes the next one. So all that stay end with one secret, which nobody who was taken
//! out was ever given.
//!
//! Who is taken out has no say any more, as soon as that is heard. Where two devices take each other out,
//! each of the others believes the one it hears of first, and once those others have heard of each other
//! both are out.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::{DeviceId, GroupSecret, MAX_DEVICES, Member, Rotation, at_most_devices, bounded};
use crate::text::Text;

/// Devices that were taken out and are remembered as such, the newest. A device that was away while more
/// than that were taken out could take an older one back.
pub const MAX_OUT: usize = 10;

/// How many generations a secret may be ahead: more than anybody takes out between two looks, so that one
/// device can't use them up.
const MAX_AHEAD: u32 = 4096;

/// Characters of a device's name in what others say of it: eight names must fit a record.
const BRIEF: usize = 16;

/// That a device was taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Removal {
    /// The generation of the secret that was made for it.
    pub generation: u32,
    /// The beginning of the device's id.
    mark: [u8; 8],
}

/// What a device knows of its group. Also the form it is kept in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    secret: GroupSecret,
    generation: u32,
    /// The others.
    #[serde(deserialize_with = "at_most_devices")]
    members: Vec<Member>,
    /// Anybody who was taken out before the secret was made.
    #[serde(deserialize_with = "at_most_out")]
    out: Vec<Removal>,
    /// Those of the others that may not know the secret.
    #[serde(deserialize_with = "at_most_pending")]
    pending: Vec<DeviceId>,
}

/// What a device that is let into a group is told, by a device that is in it.
#[derive(Serialize, Deserialize)]
struct Welcome {
    secret: GroupSecret,
    generation: u32,
    others: Vec<DeviceId>,
    #[serde(deserialize_with = "at_most_out")]
    out: Vec<Removal>,
}

impl Group {
    /// A group of one, to which others can be added.
    pub fn new(secret: GroupSecret) -> Group {
        Group {
            secret,
            generation: 0,
            members: Vec::new(),
            out: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// What the devices of the group share.
    pub fn secret(&self) -> &GroupSecret {
        &self.secret
    }

    /// How many secrets came before this one.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The other devices.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Those of them that may not know the secret yet: it was changed while they were away.
    pub fn pending(&self) -> &[DeviceId] {
        &self.pending
    }

    /// Whether another device can be added.
    pub fn has_room(&self) -> bool {
        self.members.len() + 1 < MAX_DEVICES
    }

    /// Whether this device was taken out. It comes back with another key only.
    pub fn is_out(&self, device: &DeviceId) -> bool {
        self.out.iter().any(|removal| removal.mark == mark(device))
    }

    /// Adds a device that was told the secret, unless it is known, was taken out, or there is no room;
    /// whether it was added.
    pub fn add(&mut self, member: Member) -> bool {
        let known = self.members.iter().any(|known| known.id == member.id);
        let is_new = !known && !self.is_out(&member.id) && self.has_room();
        if is_new {
            self.members.push(member);
        }
        is_new
    }

    /// Adds one that another device knows. It may have been away, so it may not
    /// know the secret.
    pub fn note(&mut self, member: Member) -> bool {
        let id = member.id;
        let is_new = self.add(member);
        if is_new {
            self.pending.push(id);
        }
        is_new
    }

    /// Takes in what a device said under the secret: its name, and that it knows the secret. Whether
    /// anything of it is news.
    pub fn heard(&mut self, member: &Member) -> bool {
        let before = self.pending.len();
        self.pending.retain(|pending| *pending != member.id);
        let mut is_news = self.pending.len() != before;
        let known = self.members.iter_mut().find(|known| known.id == member.id);
        if let Some(known) = known
            && known.name != member.name
        {
            known.name = member.name.clone();
            is_news = true;
        }
        is_news
    }

    /// Takes a device out: those that stay share `fresh`, as soon as they know it.
    pub fn take_out(&mut self, device: &DeviceId, fresh: GroupSecret) {
        let generation = self.generation.saturating_add(1);
        let removal = Removal {
            generation,
            mark: mark(device),
        };
        self.out = joined(&self.out, &[removal]);
        self.renew(generation, fresh);
    }

    fn renew(&mut self, generation: u32, secret: GroupSecret) {
        self.generation = generation;
        self.secret = secret;
        let out = std::mem::take(&mut self.out);
        let stays = |member: &Member| !out.iter().any(|removal| removal.mark == mark(&member.id));
        self.members.retain(stays);
        self.pending = self.members.iter().map(|member| member.id).collect();
        self.out = out;
    }

    /// What to leave for each that may not know the secret; `own` is this device.
    pub fn rotation(&self, own: &Member) -> Rotation {
        Rotation {
            generation: self.generation,
            secret: self.secret.clone(),
            members: self.members.iter().chain([own]).map(brief).collect(),
            out: self.out.clone(),
        }
    }

    /// The other devices as a device's record lists them.
    pub fn listed(&self) -> Vec<Member> {
        self.members.iter().map(brief).collect()
    }

    /// Takes in what `from` left for this device, `own`; whether the secret is another one now. `fresh`
    /// is a secret that was never used; it is taken if neither of the two known ones can be.
    pub fn learn(
        &mut self,
        own: &DeviceId,
        from: &DeviceId,
        told: &Rotation,
        fresh: GroupSecret,
    ) -> bool {
        let told_out = joined(&told.out, &[]);
        let names = |device: &DeviceId| told.members.iter().any(|member| member.id == *device);
        let is_out = |device: &DeviceId| told_out.iter().any(|one| one.mark == mark(device));
        let sound = [own, from]
            .iter()
            .all(|device| names(device) && !is_out(device));
        let is_known = self.members.iter().any(|member| member.id == *from);
        let is_near = told.generation <= self.generation.saturating_add(MAX_AHEAD);
        if !(sound && is_known && is_near) {
            return false;
        }
        let out = joined(&self.out, &told_out);
        if told.secret == self.secret {
            self.out = out;
            self.pending.retain(|pending| pending != from);
            return false;
        }
        let is_later = self.is_before(told);
        let last_out = if is_later { &told_out } else { &self.out };
        let knew_all = out
            .iter()
            .all(|one| last_out.iter().any(|known| known.mark == one.mark));
        self.out = out;
        if is_later {
            self.renew(told.generation, told.secret.clone());
            for member in told.members.iter().filter(|member| member.id != *own) {
                self.note(member.clone());
            }
        }
        if !knew_all {
            self.renew(self.generation.saturating_add(1), fresh);
        } else {
            self.pending.retain(|pending| pending != from);
            if !is_later {
                // It is behind, whatever it was heard to know before.
                self.pending.push(*from);
            }
        }
        is_later || !knew_all
    }

    /// Whether the secret told is to be taken in place of this one, by the order that all devices share:
    /// the generation first, then the secret's name.
    fn is_before(&self, told: &Rotation) -> bool {
        (self.generation, self.secret.name()) < (told.generation, told.secret.name())
    }

    /// What to send a device that joins the group, which then knows all that this one knows; `None` if
    /// that can't be written.
    pub fn welcome(&self) -> Option<zeroize::Zeroizing<Vec<u8>>> {
        let welcome = Welcome {
            secret: self.secret.clone(),
            generation: self.generation,
            others: self.members.iter().map(|member| member.id).collect(),
            out: self.out.clone(),
        };
        let bytes = postcard::to_allocvec(&welcome).ok()?;
        Some(zeroize::Zeroizing::new(bytes))
    }

    /// The group that a [welcome](Self::welcome) of the device `from` is into; `None` if it is none.
    /// Names are not known yet, so each is called by the beginning of its id.
    pub fn welcomed(bytes: &[u8], from: &DeviceId) -> Option<Group> {
        let (welcome, rest) = postcard::take_from_bytes::<Welcome>(bytes).ok()?;
        let sound = rest.is_empty() && welcome.others.len() + 1 < MAX_DEVICES;
        let mut group = sound.then(|| Group::new(welcome.secret))?;
        group.generation = welcome.generation;
        group.out = joined(&welcome.out, &[]);
        for id in [*from].into_iter().chain(welcome.others) {
            group.add(Member::unnamed(id));
        }
        Some(group)
    }
}

impl Member {
    /// A device of which only the id is known.
    pub fn unnamed(id: DeviceId) -> Member {
        let name = Text::cut(&id.to_string()[..8]);
        Member { id, name }
    }
}

fn mark(device: &DeviceId) -> [u8; 8] {
    let (mark, _) = device
        .as_bytes()
        .split_first_chunk()
        .expect("an id is longer");
    *mark
}

/// Both lists in one, each device once, the newest first, without those there is no room for. The order
/// in which lists are joined makes no difference.
fn joined(one: &[Removal], other: &[Removal]) -> Vec<Removal> {
    let mut newest = BTreeMap::<[u8; 8], u32>::new();
    for removal in one.iter().chain(other) {
        let generation = newest.entry(removal.mark).or_default();
        *generation = removal.generation.max(*generation);
    }
    let all = newest.into_iter();
    let mut all: Vec<Removal> = all
        .map(|(mark, generation)| Removal { generation, mark })
        .collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    all.truncate(MAX_OUT);
    all
}

fn brief(member: &Member) -> Member {
    let name: String = member.name.as_str().chars().take(BRIEF).collect();
    Member {
        id: member.id,
        name: Text::cut(&name),
    }
}

pub(super) fn at_most_out<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Removal>, D::Error> {
    bounded(Vec::deserialize(deserializer)?, MAX_OUT)
}

fn at_most_pending<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<DeviceId>, D::Error> {
    bounded(Vec::deserialize(deserializer)?, MAX_DEVICES)
}

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::device::DeviceKey;

/// A device; that its id is no key matters to nothing here.
fn member(seed: u8) -> Member {
    Member::unnamed(DeviceId::from_bytes([seed; 32]))
}

fn secret(seed: u8) -> GroupSecret {
    GroupSecret::from_bytes([seed; 32])
}

/// What the device `own` knows of a group of the devices `all`.
fn group(own: u8, all: &[u8]) -> Group {
    let mut group = Group::new(secret(200));
    for seed in all.iter().filter(|seed| **seed != own) {
        assert!(group.add(member(*seed)));
    }
    group
}

fn ids(group: &Group) -> BTreeSet<DeviceId> {
    group.members().iter().map(|member| member.id).collect()
}

#[test]
fn who_stays_is_left_the_new_secret_until_it_was_heard_under_it() {
    let mut group = group(1, &[1, 2, 3, 4]);
    assert!(group.pending().is_empty());
    group.take_out(&member(4).id, secret(10));
    assert_eq!((group.generation(), group.secret()), (1, &secret(10)));
    assert_eq!(group.pending(), [member(2).id, member(3).id]);
    assert!(group.heard(&member(2)) && !group.heard(&member(2)));
    assert_eq!(group.pending(), [member(3).id]);
    // Another change, and nobody is known to know it.
    group.take_out(&member(3).id, secret(11));
    assert_eq!(group.pending(), [member(2).id]);
    assert!(group.is_out(&member(4).id) && group.is_out(&member(3).id));
    assert!(
        !group.note(member(4)),
        "it comes back with another key only"
    );
}

#[test]
fn a_device_that_was_away_takes_the_newest_secret_from_whoever_leaves_it() {
    let (mut a, mut b, mut c) = (
        group(1, &[1, 2, 3, 4]),
        group(2, &[1, 2, 3, 4]),
        group(3, &[1, 2, 3, 4]),
    );
    a.take_out(&member(4).id, secret(10));
    let own = member(2).id;
    assert!(b.learn(&own, &member(1).id, &a.rotation(&member(1)), secret(99)));
    assert_eq!((b.secret(), b.generation()), (&secret(10), 1));
    assert!(b.is_out(&member(4).id));
    // The first one is gone for good, and the third is at the first secret still.
    assert_eq!(b.pending(), [member(3).id]);
    let own = member(3).id;
    assert!(c.learn(&own, &member(2).id, &b.rotation(&member(2)), secret(99)));
    assert_eq!(
        (c.secret(), ids(&c)),
        (&secret(10), ids(&group(3, &[1, 2, 3])))
    );
    // What is old by now changes nothing.
    let old = group(2, &[1, 2, 3, 4]).rotation(&member(2));
    assert!(!c.learn(&own, &member(2).id, &old, secret(99)));
    assert_eq!(c.secret(), &secret(10));
    assert!(c.pending().contains(&member(2).id), "it is behind");
}

#[test]
fn of_two_removals_at_once_both_hold_and_neither_of_the_two_secrets() {
    let all = [1, 2, 3, 4, 5];
    let (mut a, mut b) = (group(1, &all), group(2, &all));
    a.take_out(&member(3).id, secret(10));
    b.take_out(&member(4).id, secret(11));
    let (told_a, told_b) = (a.rotation(&member(1)), b.rotation(&member(2)));
    assert!(a.learn(&member(1).id, &member(2).id, &told_b, secret(12)));
    assert!(b.learn(&member(2).id, &member(1).id, &told_a, secret(13)));
    assert_eq!((a.generation(), a.secret()), (2, &secret(12)));
    assert_eq!((b.generation(), b.secret()), (2, &secret(13)));
    // Now both know the same, and the later name decides for both.
    let (told_a, told_b) = (a.rotation(&member(1)), b.rotation(&member(2)));
    let a_changed = a.learn(&member(1).id, &member(2).id, &told_b, secret(99));
    let b_changed = b.learn(&member(2).id, &member(1).id, &told_a, secret(99));
    assert!(a_changed != b_changed);
    assert_eq!(a.secret(), b.secret());
    for device in [&a, &b] {
        assert!(device.is_out(&member(3).id) && device.is_out(&member(4).id));
        assert_eq!(device.generation(), 2);
    }
}

#[test]
fn who_was_taken_out_has_no_say() {
    let (mut a, mut c) = (group(1, &[1, 2, 3]), group(3, &[1, 2, 3]));
    a.take_out(&member(3).id, secret(10));
    c.take_out(&member(2).id, secret(11));
    c.take_out(&member(1).id, secret(12));
    let told = Rotation {
        members: vec![member(1), member(3)],
        out: Vec::new(),
        ..c.rotation(&member(3))
    };
    let before = a.clone();
    assert!(!a.learn(&member(1).id, &member(3).id, &told, secret(99)));
    assert_eq!(a, before);
}

#[test]
fn what_is_not_for_this_device_or_too_far_ahead_is_not_taken() {
    let b = group(2, &[1, 2, 3]);
    let mut a = group(1, &[1, 2, 3]);
    a.take_out(&member(3).id, secret(10));
    let told = a.rotation(&member(1));
    let without = |seed: u8| Rotation {
        members: told
            .members
            .iter()
            .filter(|one| one.id != member(seed).id)
            .cloned()
            .collect(),
        ..told.clone()
    };
    let mut out_sender = group(2, &[1, 2, 3]);
    out_sender.take_out(&member(1).id, secret(10));
    for wrong in [
        without(1),
        without(2),
        Rotation {
            generation: MAX_AHEAD + 1,
            ..told.clone()
        },
        Rotation {
            out: out_sender.out.clone(),
            ..told.clone()
        },
    ] {
        let mut b = b.clone();
        assert!(
            !b.learn(&member(2).id, &member(1).id, &wrong, secret(99)),
            "{wrong:?}"
        );
        assert_eq!(b, self::group(2, &[1, 2, 3]));
    }
}

#[test]
fn the_largest_group_fits_what_carries_it() {
    let mut group = Group::new(secret(9));
    for seed in 1..=MAX_OUT as u8 + 5 {
        group.note(member(seed));
        group.take_out(&member(seed).id, secret(seed));
    }
    // Later ones push the oldest out; that is the same for the one who counts.
    assert_eq!(group.out.len(), MAX_OUT);
    assert!(group.is_out(&member(MAX_OUT as u8 + 5).id) && !group.is_out(&member(5).id));
    let named = |seed: u8| Member {
        name: Text::cut(&"\u{1f40c}".repeat(64)),
        ..member(seed)
    };
    for seed in 100..100 + MAX_DEVICES as u8 - 1 {
        assert!(group.add(named(seed)));
    }
    assert!(!group.has_room() && !group.note(named(150)));
    let times = crate::Times::starting(1_777_636_807_000, 0);
    let (from, to) = (
        DeviceKey::from_bytes(&[1; 32]),
        DeviceKey::from_bytes(&[2; 32]),
    );
    let rotation = group.rotation(&named(99));
    rotation.seal(&from, &to.id(), times, [1; 24]).unwrap();
    // 414 bytes is what the exchange of a code carries.
    let welcome = group.welcome().unwrap();
    assert!(welcome.len() <= 414, "{}", welcome.len());
    let new = Group::welcomed(&welcome, &member(99).id);
    assert_eq!(new, None, "there is no room for another");
}

#[test]
fn a_welcome_is_read_as_it_was_written_or_not_at_all() {
    let mut a = group(1, &[1, 2, 3, 4]);
    a.take_out(&member(4).id, secret(10));
    let welcome = a.welcome().unwrap();
    let new = Group::welcomed(&welcome, &member(1).id).unwrap();
    assert_eq!((new.secret(), new.generation()), (a.secret(), 1));
    assert_eq!(ids(&new), ids(&group(9, &[1, 2, 3])));
    assert!(new.is_out(&member(4).id) && new.pending().is_empty());
    for len in 0..welcome.len() {
        assert_eq!(Group::welcomed(&welcome[..len], &member(1).id), None);
    }
    let longer = [&welcome[..], &[0]].concat();
    assert_eq!(Group::welcomed(&longer, &member(1).id), None);
}

#[test]
fn a_group_comes_back_from_where_it_is_kept() {
    let mut group = group(1, &[1, 2, 3]);
    group.take_out(&member(3).id, secret(10));
    let bytes = postcard::to_allocvec(&group).unwrap();
    assert_eq!(postcard::from_bytes::<Group>(&bytes).unwrap(), group);
    group.members = vec![member(1); MAX_DEVICES + 1];
    let bytes = postcard::to_allocvec(&group).unwrap();
    assert!(postcard::from_bytes::<Group>(&bytes).is_err());
    assert!(!format!("{group:?}").contains("10, 10"));
}

/// What may happen, in any order.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// One takes another out.
    TakeOut(u8, u8),
    /// One lets a new device in.
    Link(u8),
    /// One leaves its secret for those it waits for.
    Leave(u8),
    /// One looks at what the others left.
    Look(u8),
    /// One reads the record of another.
    Hear(u8, u8),
    /// Everything that was left has expired.
    Expire,
}

fn act() -> impl Strategy<Value = Act> {
    let who = || 0..8_u8;
    prop_oneof![
        2 => (who(), who()).prop_map(|(by, whom)| Act::TakeOut(by, whom)),
        1 => who().prop_map(Act::Link),
        4 => who().prop_map(Act::Leave),
        4 => who().prop_map(Act::Look),
        2 => (who(), who()).prop_map(|(by, whom)| Act::Hear(by, whom)),
        1 => Just(Act::Expire),
    ]
}

/// Devices that are in one group at first, and whatever they leave for each other.
struct World {
    /// By seed.
    groups: BTreeMap<u8, Group>,
    left: BTreeMap<(u8, u8), Rotation>,
    /// Names of the secrets that each was ever given, whether it looked or not.
    given: BTreeMap<u8, BTreeSet<[u8; 32]>>,
    taken_out: Vec<(u8, u8)>,
    linked: BTreeSet<u8>,
    fresh: u64,
}

impl World {
    fn new(count: u8) -> World {
        let all: Vec<u8> = (1..=count).collect();
        let groups = all.iter().map(|seed| (*seed, group(*seed, &all)));
        let known = BTreeSet::from([secret(200).name()]);
        World {
            groups: groups.collect(),
            left: BTreeMap::new(),
            given: all.iter().map(|seed| (*seed, known.clone())).collect(),
            taken_out: Vec::new(),
            linked: BTreeSet::new(),
            fresh: 0,
        }
    }

    fn fresh(&mut self) -> GroupSecret {
        self.fresh += 1;
        let mut bytes = [7; 32];
        bytes[..8].copy_from_slice(&self.fresh.to_be_bytes());
        GroupSecret::from_bytes(bytes)
    }

    /// One of those there are.
    fn seed(&self, any: u8) -> u8 {
        let seeds: Vec<u8> = self.groups.keys().copied().collect();
        seeds[usize::from(any) % seeds.len()]
    }

    fn seed_of(&self, id: &DeviceId) -> u8 {
        *self
            .groups
            .keys()
            .find(|seed| member(**seed).id == *id)
            .unwrap()
    }

    fn now_knows(&mut self, seed: u8) {
        let name = self.groups[&seed].secret().name();
        self.given.entry(seed).or_default().insert(name);
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::TakeOut(by, whom) => {
                let (by, whom) = (self.seed(by), self.seed(whom));
                let fresh = self.fresh();
                let group = self.groups.get_mut(&by).unwrap();
                if self.taken_out.len() < MAX_OUT && ids(group).contains(&member(whom).id) {
                    group.take_out(&member(whom).id, fresh);
                    self.taken_out.push((by, whom));
                    self.now_knows(by);
                }
            }
            Act::Link(by) => {
                let by = self.seed(by);
                let new = 50 + self.linked.len() as u8;
                if self.linked.len() < 2 && self.groups[&by].has_room() {
                    let welcome = self.groups[&by].welcome().unwrap();
                    let group = Group::welcomed(&welcome, &member(by).id).unwrap();
                    self.groups.insert(new, group);
                    self.groups.get_mut(&by).unwrap().add(member(new));
                    self.linked.insert(new);
                    self.now_knows(new);
                }
            }
            Act::Leave(by) => {
                let by = self.seed(by);
                let group = self.groups[&by].clone();
                for to in group.pending() {
                    let to = self.seed_of(to);
                    self.left.insert((by, to), group.rotation(&member(by)));
                    self.given
                        .entry(to)
                        .or_default()
                        .insert(group.secret().name());
                }
            }
            Act::Look(by) => {
                let by = self.seed(by);
                for from in ids(&self.groups[&by]) {
                    let from = self.seed_of(&from);
                    if let Some(told) = self.left.get(&(from, by)).cloned() {
                        let fresh = self.fresh();
                        let group = self.groups.get_mut(&by).unwrap();
                        group.learn(&member(by).id, &member(from).id, &told, fresh);
                        self.now_knows(by);
                    }
                }
            }
            Act::Hear(by, whom) => {
                let (by, whom) = (self.seed(by), self.seed(whom));
                let said = self.groups[&whom].clone();
                let group = self.groups.get_mut(&by).unwrap();
                let finds = ids(group).contains(&member(whom).id);
                if finds && said.secret() == group.secret() {
                    group.heard(&member(whom));
                    for member in said
                        .listed()
                        .into_iter()
                        .filter(|one| one.id != member(by).id)
                    {
                        group.note(member);
                    }
                }
            }
            Act::Expire => self.left.clear(),
        }
    }

    /// Everybody is online for as long as it takes.
    fn settle(&mut self) {
        let seeds: Vec<u8> = self.groups.keys().copied().collect();
        let every = 0..seeds.len() as u8;
        for _ in 0..50 {
            let before = (self.groups.clone(), self.left.clone());
            for one in every.clone() {
                self.act(Act::Leave(one));
                self.act(Act::Look(one));
            }
            for (one, other) in every
                .clone()
                .flat_map(|a| every.clone().map(move |b| (a, b)))
            {
                self.act(Act::Hear(one, other));
            }
            if before == (self.groups.clone(), self.left.clone()) {
                return;
            }
        }
        panic!("they never come to rest");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whatever_happens_all_that_stay_share_what_nobody_taken_out_knows(
        count in 2..6_u8,
        acts in prop::collection::vec(act(), 0..60),
    ) {
        let mut world = World::new(count);
        for act in acts {
            world.act(act);
        }
        world.settle();
        let out: BTreeSet<u8> = world.taken_out.iter().map(|(_, whom)| *whom).collect();
        let stay: Vec<u8> = world.groups.keys().copied().filter(|seed| !out.contains(seed)).collect();
        let key = |seed: &u8| (world.groups[seed].generation(), world.groups[seed].secret().name());
        let Some(last) = stay.iter().filter(|seed| !world.linked.contains(seed)).max_by_key(|seed| key(seed)) else {
            return Ok(());
        };
        let end = &world.groups[last];
        for seed in &stay {
            // Anybody who was let in by a device that was taken out meanwhile may be known to nobody.
            if !world.linked.contains(seed) || ids(end).contains(&member(*seed).id) {
                prop_assert_eq!(key(seed), key(last), "device {}", seed);
                prop_assert!(!end.is_out(&member(*seed).id));
                prop_assert!(world.groups[seed].pending().is_empty());
            }
        }
        for seed in &out {
            if end.is_out(&member(*seed).id) {
                prop_assert!(!world.given[seed].contains(&end.secret().name()), "device {}", seed);
            }
        }
        for (by, whom) in &world.taken_out {
            if !out.contains(by) && !world.linked.contains(by) {
                prop_assert!(end.is_out(&member(*whom).id), "{} took out {}", by, whom);
            }
        }
    }
}

//! Lists of SSH keys at addresses, such as a forge's of a user: what they say changes while a session runs.
//!
//! Anybody who named one meant whom it lists, so it is looked at again. It matters only to somebody who proves
//! an SSH key: when one comes the lists are asked for, and who isn't on the host's list yet waits for what
//! they say, as for an issuer's keys. Keys that are new there are put on the list, keys that are gone are
//! taken off it; what the host said of a key since then stays as it is.

use std::collections::BTreeMap;

use pillion_people::{Invited, SshKey, Who};
use pillion_proto::Rights;

use crate::host::{
    Host,
    api::{HostNotice, HostOutput, SubscribedKeyList},
    commands::{
        execute::refused,
        verbs::{CommandError, SubjectLabel},
    },
    conn::PendingOn,
    context::Context,
    door::Door,
    door::admission::VerifiedClaim,
    people::People,
    people::resolve::AclSubjects,
    principal::Principal,
};

/// How often the lists are asked for at most, in microseconds: anybody can come with a key of their own.
pub const LOOK_AGAIN_US: u64 = 5 * 60_000_000;

/// The most lists that are followed. With as many keys as each may have they are 700 KB to keep. There are no
/// shares: only a command of the host's own puts one there, and its refusal names what to take off.
const MAX_LISTS: usize = 32;

/// What is followed.
pub(in crate::host) struct KeyLists {
    /// By where they are; each with the keys it had when it was looked at last.
    followed: BTreeMap<String, SubscribedKeyList>,
    /// Not to be asked for before.
    ask_at_us: u64,
    /// They were asked for, and there is no answer yet.
    asked: bool,
}

impl KeyLists {
    pub(in crate::host) fn new(followed: Vec<SubscribedKeyList>) -> KeyLists {
        let followed = followed.into_iter().take(MAX_LISTS);
        KeyLists {
            followed: followed.map(|list| (list.from.clone(), list)).collect(),
            ask_at_us: 0,
            asked: false,
        }
    }

    /// Where they are.
    pub(in crate::host) fn addresses(&self) -> Vec<String> {
        self.followed.keys().cloned().collect()
    }
}

impl Host {
    /// What the lists say now, as far as they could be had.
    pub(in crate::host) fn on_lists(&mut self, found: Vec<(String, Vec<SshKey>)>) {
        self.door.lists.asked = false;
        let mut changed = false;
        for (from, keys) in found {
            let Some(list) = self.door.lists.followed.get_mut(&from) else {
                continue;
            };
            let before = std::mem::replace(&mut list.keys, keys.clone());
            let right = list.right;
            let new: Vec<SshKey> = keys
                .into_iter()
                .filter(|key| !before.contains(key))
                .collect();
            let gone = before
                .into_iter()
                .filter(|key| !self.door.lists.lists(*key));
            let gone: Vec<SshKey> = gone.collect();
            changed |= !new.is_empty() || !gone.is_empty();
            self.add_listed(&from, &new, right);
            self.drop_unlisted(&gone, right);
        }
        if changed {
            self.door.owe_lists(&mut self.people);
            self.reconsider_knocks();
        }
        self.retry_hello_of(PendingOn::KeyLists);
    }

    /// Keys that are new on a list come in as the others do.
    fn add_listed(&mut self, from: &str, keys: &[SshKey], right: Rights) {
        let new = keys.iter().map(|key| ssh(key).subject());
        let new = new.filter(|who| {
            self.people.rights().entry(who).is_none() && !self.people.is_kept_out(who)
        });
        let new: Vec<pillion_caps::Subject> = new.collect();
        if let Err(error) = self
            .people
            .put_on_list(&mut self.cx, &Principal::Rule, &new, right)
        {
            let from = from.to_owned();
            self.cx.notice(HostNotice::KeysNotListed { from, error });
        }
    }

    /// Keys that no list has any more are taken off, unless the host gave them another right since.
    fn drop_unlisted(&mut self, keys: &[SshKey], right: Rights) {
        for key in keys.iter().map(ssh) {
            if self.people.rights().entry(&key.subject()) == Some(right) {
                let labels = vec![SubjectLabel::Subject(key.to_string())];
                let who = vec![key];
                self.people
                    .disallow(&mut self.cx, &Principal::Rule, &AclSubjects { who, labels });
            }
        }
    }
}

impl Door {
    /// Looks at this list again from now on. It was just looked at. What was followed before.
    pub(in crate::host) fn subscribe(
        &mut self,
        people: &mut People,
        from: &str,
        right: Rights,
        keys: &[SshKey],
    ) -> Result<BTreeMap<String, SubscribedKeyList>, CommandError> {
        let before = &self.lists.followed;
        if before.len() >= MAX_LISTS && !before.contains_key(from) {
            return Err(CommandError::TooManyLists { max: MAX_LISTS });
        }
        let list = SubscribedKeyList {
            from: from.to_owned(),
            right,
            keys: keys.to_vec(),
        };
        let mut followed = before.clone();
        followed.insert(from.to_owned(), list);
        let lists: Vec<SubscribedKeyList> = followed.values().cloned().collect();
        let kept = people.records().keep_lists(&lists);
        kept.map_err(|refusal| refused(&refusal))?;
        Ok(std::mem::replace(&mut self.lists.followed, followed))
    }

    /// Follows what was followed before [`Host::subscribe`].
    pub(in crate::host) fn unfollow_again(
        &mut self,
        people: &mut People,
        before: BTreeMap<String, SubscribedKeyList>,
    ) {
        self.lists.followed = before;
        self.owe_lists(people);
    }

    /// Looks at it no more. Whether it was followed.
    pub(in crate::host) fn unsubscribe(&mut self, people: &mut People, from: &str) -> bool {
        let was = self.lists.followed.remove(from).is_some();
        if was {
            self.owe_lists(people);
        }
        was
    }

    fn owe_lists(&mut self, people: &mut People) {
        let lists = self.lists.followed.values().cloned().collect();
        people.records().owe_lists(lists);
    }

    /// Somebody comes who proved all this: asks for the lists, if that may be done now. Whether they may
    /// say more of this person.
    pub(in crate::host) fn look_at_lists(
        &mut self,
        cx: &mut Context,
        people: &People,
        claims: &[VerifiedClaim],
    ) -> bool {
        let is_key = |claim: &&VerifiedClaim| claim.who.as_str().parse::<SshKey>().is_ok();
        let mut keys = claims.iter().filter(is_key).peekable();
        if self.lists.followed.is_empty() || keys.peek().is_none() {
            return false;
        }
        let now = cx.now.mono_us;
        if now >= self.lists.ask_at_us {
            self.lists.ask_at_us = now.saturating_add(LOOK_AGAIN_US);
            self.lists.asked = true;
            let from = self.lists.addresses();
            cx.push(HostOutput::FetchLists { from });
        }
        let unknown = |key: &VerifiedClaim| {
            people
                .rights()
                .listed(std::slice::from_ref(&key.who))
                .is_none()
        };
        self.lists.asked && keys.any(unknown)
    }
}

impl KeyLists {
    fn lists(&self, key: SshKey) -> bool {
        self.followed.values().any(|list| list.keys.contains(&key))
    }
}

fn ssh(key: &SshKey) -> Invited {
    Who::Ssh(*key).into()
}

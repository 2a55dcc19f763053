//! What names people, memberships and lists of keys is read or refused, and what is read comes back.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pillion_people::{Invited, KeyList, MAX_LISTED_KEYS, Membership, Removals};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(list) = KeyList::parse(bytes) {
        assert!((1..=MAX_LISTED_KEYS).contains(&list.keys.len()));
    }
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(invited) = text.parse::<Invited>() {
        assert_eq!(invited.to_string().parse(), Ok(invited));
    }
    if let Ok(membership) = text.parse::<Membership>() {
        assert_eq!(membership.to_string().parse(), Ok(membership));
    }
    if let Ok(removals) = text.parse::<Removals>() {
        assert_eq!(removals.to_string().parse(), Ok(removals));
    }
});

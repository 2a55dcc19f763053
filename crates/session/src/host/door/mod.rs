//! Who comes in: what a hello is checked for, what the door answers, and who waits in front of it.

pub(in crate::host) mod admission;
pub(in crate::host) mod certificate;
pub(in crate::host) mod codes;
pub(in crate::host) mod comings;
pub(in crate::host) mod early_data;
pub(in crate::host) mod hello;
pub(in crate::host) mod key_lists;
pub(in crate::host) mod knocks;
pub(in crate::host) mod membership_revocation;
pub(in crate::host) mod places;
pub(in crate::host) mod sharing;
pub(in crate::host) mod visits;

use pillion_people::Trust;
use pillion_proto::AccessMode;

use crate::host::api::SubscribedKeyList;

use self::{
    certificate::Certificate, codes::Codes, comings::Comings, early_data::ReturningEndpoints,
    key_lists::KeyLists, knocks::Knocks, sharing::Sharing, visits::Visits,
};

/// Who may come in, by what, and who waits for it.
pub(in crate::host) struct Door {
    certificate: Certificate,
    /// Requests to sign so far: the number of the newest.
    sign_requests: u64,
    sharing: Sharing,
    /// Who may come in unless the ledger says otherwise.
    allow: AccessMode,
    trust: Trust,
    known: ReturningEndpoints,
    comings: Comings,
    visits: Visits,
    knocks: Knocks,
    codes: Codes,
    lists: KeyLists,
}

impl Door {
    pub(in crate::host) fn new(
        sharing: Sharing,
        allow: AccessMode,
        knock_wait_ms: u64,
        lists: Vec<SubscribedKeyList>,
        now_us: u64,
    ) -> Door {
        Door {
            certificate: Certificate::Missing,
            sign_requests: 0,
            sharing,
            allow,
            trust: Trust::default(),
            known: ReturningEndpoints::new(),
            comings: Comings::new(now_us),
            visits: Visits::new(now_us),
            knocks: Knocks::new(now_us, knock_wait_ms),
            codes: Codes::default(),
            lists: KeyLists::new(lists),
        }
    }

    /// Those who wait for an answer.
    pub(in crate::host) fn knocks(&self) -> &Knocks {
        &self.knocks
    }

    /// The lists of keys that are followed.
    pub(in crate::host) fn key_lists(&self) -> &KeyLists {
        &self.lists
    }
}

//! Who is here, whom a text means, what each may do, and what they are told of it.

pub(in crate::host) mod access_list;
pub(in crate::host) mod giving;
pub(in crate::host) mod records;
pub(in crate::host) mod redeem;
pub(in crate::host) mod resolve;
pub(in crate::host) mod rights;
pub(in crate::host) mod roster;
pub(in crate::host) mod standing;

use pillion_caps::{GrantId, PublicKey, Refusal, Subject, UnixMillis};
use pillion_proto::{AccessMode, Rights};

use crate::host::{commands::verbs::EndedLinks, context::Context};

use self::{records::Recorder, rights::Grants, roster::Roster};

/// Who is or was here, what each may do, and where that is kept.
pub(in crate::host) struct People {
    rights: Grants,
    records: Recorder,
    roster: Roster,
}

impl People {
    pub(in crate::host) fn new(rights: Grants, records: Recorder, roster: Roster) -> People {
        People {
            rights,
            records,
            roster,
        }
    }

    pub(in crate::host) fn rights(&self) -> &Grants {
        &self.rights
    }

    pub(in crate::host) fn roster(&self) -> &Roster {
        &self.roster
    }

    pub(in crate::host) fn roster_mut(&mut self) -> &mut Roster {
        &mut self.roster
    }

    /// Where the session is kept, for what is not a right.
    pub(in crate::host) fn records(&mut self) -> &mut Recorder {
        &mut self.records
    }

    /// [`Grants::allow`].
    pub(in crate::host) fn allow(&mut self, who: &[Subject], right: Rights) -> Result<(), Refusal> {
        self.rights.allow(&mut self.records, who, right)
    }

    /// [`Grants::ban`].
    pub(in crate::host) fn ban(&mut self, who: Subject) {
        self.rights.ban(&mut self.records, who);
    }

    /// [`Grants::unban`].
    pub(in crate::host) fn unban(&mut self, who: &Subject) -> Result<bool, Refusal> {
        self.rights.unban(&mut self.records, who)
    }

    /// [`Grants::unlist`].
    pub(in crate::host) fn unlist(&mut self, who: &PublicKey, now: Option<Rights>) {
        self.rights.unlist(&mut self.records, who, now);
    }

    /// [`Grants::begin_access_mode`].
    pub(in crate::host) fn begin_access_mode(&mut self, mode: AccessMode) -> Result<(), Refusal> {
        self.rights.begin_access_mode(&mut self.records, mode)
    }

    /// [`Grants::set_access_mode`].
    pub(in crate::host) fn set_access_mode(
        &mut self,
        mode: AccessMode,
        so_far: AccessMode,
    ) -> Result<(), Refusal> {
        self.rights.set_access_mode(&mut self.records, mode, so_far)
    }

    /// [`Grants::end_links`].
    pub(in crate::host) fn end_links(&mut self, cx: &Context, who: &PublicKey) -> EndedLinks {
        let now = UnixMillis(cx.now.unix_ms);
        self.rights.end_links(&mut self.records, who, now)
    }

    /// [`Grants::revoke_grant`].
    pub(in crate::host) fn revoke_grant(&mut self, grant: GrantId) {
        self.rights.revoke_grant(&mut self.records, grant);
    }

    /// [`Grants::revoke_links`].
    pub(in crate::host) fn revoke_links(&mut self) {
        self.rights.revoke_links(&mut self.records);
    }

    /// [`Grants::revoke_all`].
    pub(in crate::host) fn revoke_all(&mut self) {
        self.rights.revoke_all(&mut self.records);
    }
}

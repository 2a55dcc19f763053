//! How somebody is known.

use pillion_caps::PublicKey;
use pillion_proto::AdmittedBy;
use pillion_session::Proved;

/// What lets somebody in.
pub fn admitted_by(by: AdmittedBy) -> String {
    let text = match by {
        AdmittedBy::Ticket => "the ticket",
        AdmittedBy::Code(number) => return format!("code {number}"),
        AdmittedBy::Grant => "a grant",
        AdmittedBy::List => "the access list",
        AdmittedBy::Team => "a team",
        AdmittedBy::Answer => "an answer to a knock",
    };
    text.to_owned()
}

/// What let somebody in, and what else they proved.
pub fn proved(Proved { by, claims }: &Proved) -> String {
    let all: Vec<String> = [admitted_by(*by)]
        .into_iter()
        .chain(claims.iter().cloned())
        .collect();
    all.join(", ")
}

/// What tells somebody who knocks from others: by which code they come, and what they proved. That they hold the
/// ticket does not.
pub(crate) fn held(Proved { by, claims }: &Proved) -> Vec<String> {
    let code = matches!(by, AdmittedBy::Code(_)).then(|| admitted_by(*by));
    code.into_iter().chain(claims.iter().cloned()).collect()
}

/// The same with their key.
pub fn knocker(proof: &Proved, key: &PublicKey) -> String {
    let mut all = held(proof);
    all.push(format!("key {}", key.fingerprint()));
    all.join(", ")
}

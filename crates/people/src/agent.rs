//! What is said to an ssh-agent, and what it answers (draft-ietf-sshm-ssh-agent): its list of keys,
//! and signatures. The bytes of messages; who moves them puts a length of four bytes in front.

use thiserror::Error;

use crate::{
    ssh::{SshKey, ed25519_signature},
    wire::{Reader, Short, put_string},
};

/// The longest answer that is read, in bytes; OpenSSH's agent sends at most as much.
pub const MAX_ANSWER: usize = 256 * 1024;

/// The most keys that are looked at in an agent's list.
const MAX_KEYS: u32 = 2048;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// What an agent answered instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AgentError {
    /// It refused.
    #[error("the ssh-agent refused: perhaps it is locked, or you declined its question")]
    Refused,
    /// It said something else.
    #[error("the ssh-agent gave an answer that makes no sense")]
    Malformed,
}

/// Asks for the list of keys.
pub fn list_request() -> Vec<u8> {
    vec![REQUEST_IDENTITIES]
}

/// The agent's ssh-ed25519 keys with their comments; keys of other kinds are left out.
///
/// # Errors
/// The agent refused, or the answer is something else.
pub fn read_list(answer: &[u8]) -> Result<Vec<(SshKey, String)>, AgentError> {
    let mut reader = of_kind(answer, IDENTITIES_ANSWER)?;
    let read = |reader: &mut Reader<'_>| -> Result<Vec<(SshKey, String)>, Short> {
        let mut keys = Vec::new();
        let number = reader.u32()?;
        if number > MAX_KEYS {
            return Err(Short);
        }
        for _ in 0..number {
            let (blob, comment) = (reader.string()?, reader.string()?);
            if let Ok(key) = SshKey::from_blob(blob) {
                keys.push((key, String::from_utf8_lossy(comment).into_owned()));
            }
        }
        Ok(keys)
    };
    let keys = read(&mut reader).map_err(|Short| AgentError::Malformed)?;
    reader.end().map_err(|Short| AgentError::Malformed)?;
    Ok(keys)
}

/// Asks for a signature by `key` over `bytes`.
pub fn sign_request(key: &SshKey, bytes: &[u8]) -> Vec<u8> {
    let mut request = vec![SIGN_REQUEST];
    put_string(&mut request, &key.to_blob());
    put_string(&mut request, bytes);
    request.extend(0_u32.to_be_bytes()); // flags, for RSA only
    request
}

/// The ed25519 signature, unverified.
///
/// # Errors
/// As [`read_list`].
pub fn read_signature(answer: &[u8]) -> Result<[u8; 64], AgentError> {
    let mut reader = of_kind(answer, SIGN_RESPONSE)?;
    let blob = reader.string().map_err(|Short| AgentError::Malformed)?;
    reader.end().map_err(|Short| AgentError::Malformed)?;
    ed25519_signature(blob).map_err(|Short| AgentError::Malformed)
}

fn of_kind(answer: &[u8], kind: u8) -> Result<Reader<'_>, AgentError> {
    let mut reader = Reader::new(answer);
    match reader.u8() {
        Ok(said) if said == kind => Ok(reader),
        Ok(FAILURE) => Err(AgentError::Refused),
        _ => Err(AgentError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use pillion_caps::SecretKey;
    use proptest::prelude::*;

    use super::*;

    fn key() -> SshKey {
        SshKey::new(SecretKey::from_bytes(&[1; 32]).public())
    }

    fn list() -> Vec<u8> {
        let mut answer = vec![IDENTITIES_ANSWER, 0, 0, 0, 2];
        let mut rsa = Vec::new();
        put_string(&mut rsa, b"ssh-rsa");
        for part in [&rsa[..], b"old", &key().to_blob(), b"anna@laptop"] {
            put_string(&mut answer, part);
        }
        answer
    }

    #[test]
    fn golden_requests() {
        assert_eq!(list_request(), [11]);
        let request = sign_request(&key(), b"bytes");
        let mut expected = vec![13, 0, 0, 0, 51];
        expected.extend(key().to_blob());
        expected.extend(b"\0\0\0\x05bytes\0\0\0\0");
        assert_eq!(request, expected);
    }

    #[test]
    fn keys_of_other_kinds_are_left_out_of_the_list() {
        assert_eq!(
            read_list(&list()),
            Ok(vec![(key(), "anna@laptop".to_owned())])
        );
    }

    #[test]
    fn what_is_no_answer_is_told_from_a_refusal() {
        assert_eq!(read_list(&[5]), Err(AgentError::Refused));
        assert_eq!(read_signature(&[5]), Err(AgentError::Refused));
        assert_eq!(read_list(&[]), Err(AgentError::Malformed));
        assert_eq!(
            read_list(&[IDENTITIES_ANSWER, 255, 255, 255, 255]),
            Err(AgentError::Malformed)
        );
        let list = list();
        for len in 0..list.len() {
            assert!(read_list(&list[..len]).is_err(), "{len}");
        }
        assert!(read_signature(&list).is_err());
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(mut bytes: Vec<u8>) {
            for kind in [IDENTITIES_ANSWER, SIGN_RESPONSE] {
                bytes.insert(0, kind);
                let _ = read_list(&bytes);
                let _ = read_signature(&bytes);
            }
        }
    }
}

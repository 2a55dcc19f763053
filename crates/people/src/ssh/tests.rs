use data_encoding::HEXLOWER;
use pillion_caps::SecretKey;
use proptest::prelude::*;

use super::*;

/// What `ssh-keygen -Y sign -n pillion -O hashalg=…` made of "message" with the key of [`key`]
/// (OpenSSH 10.0), and with `-n git`.
const BY_SSH_KEYGEN: [(&str, Hash); 2] = [
    (
        "53534853494700000001000000330000000b7373682d65643235353139000000208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0000000770696c6c696f6e0000000000000006736861323536000000530000000b7373682d6564323535313900000040df0f731ea7721b9604fa212775fafc3e3baa6f25da6c13211d8d3ab785f0c201b3696b976f65697d659c4b463d9eba8735fb92b34451d8bdc69131919c0d6c02",
        Hash::Sha256,
    ),
    (
        "53534853494700000001000000330000000b7373682d65643235353139000000208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c0000000770696c6c696f6e0000000000000006736861353132000000530000000b7373682d65643235353139000000401aae183ebdded00d66679aa773862f28359dbaf2911e428e55e7715d21c685a321d1c16e448fdd2526ead517290791d286490de2d4757bd077c6ddd7d844d70d",
        Hash::Sha512,
    ),
];
const FOR_GIT: &str = "53534853494700000001000000330000000b7373682d65643235353139000000208a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c000000036769740000000000000006736861353132000000530000000b7373682d6564323535313900000040dfdf8e74062f0e8cf5aba92d5e5e566205398b1b1acc26f2f5738ebddbb937f1c4abff0408f1ff25e8854868b4a1d36698844550d758f7afd0a60fb06c033a0f";

const LINE: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";

fn key() -> SshKey {
    SshKey::new(SecretKey::from_bytes(&[1; 32]).public())
}

/// A signature as an agent would make it.
fn signed(message: &[u8]) -> SshSignature {
    use ed25519_dalek::{Signer as _, SigningKey};
    let secret = SigningKey::from_bytes(&[1; 32]);
    let signature = secret.sign(&SshSignature::signed_bytes(message));
    SshSignature::new(key(), signature.to_bytes())
}

fn list(text: &str) -> Result<KeyList, KeyListError> {
    KeyList::parse(text.as_bytes())
}

#[test]
fn golden_key_and_fingerprint() {
    assert_eq!(key().to_string(), LINE);
    assert_eq!(format!("{LINE} anna@laptop").parse(), Ok(key()));
    assert_eq!(SshKey::from_blob(&key().to_blob()), Ok(key()));
    // As `ssh-keygen -l` shows it.
    assert_eq!(
        key().fingerprint(),
        "SHA256:fe85JkIjo8VPe+XqXJGH5Mau1EMFdK1OdKvJUFicyA8"
    );
}

#[test]
fn golden_signatures_by_ssh_keygen_verify_and_come_back() {
    for (hex, hash) in BY_SSH_KEYGEN {
        let bytes = HEXLOWER.decode(hex.as_bytes()).unwrap();
        let read = SshSignature::from_bytes(&bytes).unwrap();
        assert_eq!(read.hash, hash);
        assert_eq!(read.verify(b"message"), Ok(key()));
        assert_eq!(read.verify(b"massage"), Err(ClaimError::SshSignature));
        assert_eq!(read.to_bytes(), bytes);
    }
    // ed25519 is deterministic: ours is the same as theirs.
    assert_eq!(
        HEXLOWER.encode(&signed(b"message").to_bytes()),
        BY_SSH_KEYGEN[1].0
    );
}

#[test]
fn a_signature_for_something_else_is_refused() {
    let bytes = HEXLOWER.decode(FOR_GIT.as_bytes()).unwrap();
    let refused = SshSignature::from_bytes(&bytes);
    assert_eq!(refused, Err(ClaimError::SshNamespace));
}

#[test]
fn every_altered_bit_of_a_signature_is_refused() {
    let bytes = signed(b"message").to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let verdict = SshSignature::from_bytes(&bytes).and_then(|read| read.verify(b"message"));
        assert!(verdict.is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(SshSignature::from_bytes(&bytes[..len]).is_err(), "{len}");
    }
    assert!(SshSignature::from_bytes(&[&bytes[..], b"x"].concat()).is_err());
}

#[test]
fn a_claimed_length_beyond_the_end_is_refused() {
    let mut bytes = signed(b"message").to_bytes();
    bytes[10..14].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(SshSignature::from_bytes(&bytes).is_err());
}

#[test]
fn a_list_of_keys_is_read_as_ssh_would() {
    let other = SshKey::new(SecretKey::from_bytes(&[2; 32]).public());
    let text = format!(
        "# my keys\r\n\r\n{LINE} anna at home\nssh-rsa AAAAB3NzaC1yc2E old\n{LINE}\n  {other}\n\
         sk-ssh-ed25519@openssh.com AAAAGnNr token\n"
    );
    let list = list(&text).unwrap();
    assert_eq!(
        list.keys,
        [(key(), "anna at home".to_owned()), (other, String::new())]
    );
    assert_eq!(list.left_out, ["ssh-rsa", "sk-ssh-ed25519@openssh.com"]);
}

#[test]
fn what_is_no_list_of_keys_is_refused_in_words() {
    for (text, why) in [
        (
            "<!doctype html><p>ssh-ed25519".to_owned(),
            KeyListError::Html,
        ),
        ("\n  <html>".to_owned(), KeyListError::Html),
        (String::new(), KeyListError::NoKeys(vec![])),
        ("Not Found".to_owned(), KeyListError::Options(1)),
        (
            format!("restrict,command=\"x\" {LINE}"),
            KeyListError::Options(1),
        ),
        (
            "ssh-rsa AAAA\necdsa-sha2-nistp256 AAAA".to_owned(),
            KeyListError::NoKeys(vec!["ssh-rsa".to_owned(), "ecdsa-sha2-nistp256".to_owned()]),
        ),
        (
            format!("{LINE}\n{}", &LINE[..40]),
            KeyListError::Line {
                line: 2,
                why: NotAPerson::SshKey,
            },
        ),
        ("#".repeat(MAX_KEY_LIST + 1), KeyListError::TooLong),
    ] {
        assert_eq!(list(&text), Err(why), "{text:.80}");
    }
    assert_eq!(KeyList::parse(b"\xff"), Err(KeyListError::NotText));
    let words = list("ssh-rsa AAAA").unwrap_err().to_string();
    assert!(words.contains("only ssh-rsa: make one with"), "{words}");
    let many: String = (0..=MAX_LISTED_KEYS)
        .map(|n| {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&(n as u64).to_be_bytes());
            let key = SshKey::new(SecretKey::from_bytes(&seed).public());
            format!("{key}\n")
        })
        .collect();
    assert_eq!(list(&many), Err(KeyListError::TooMany));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _ = KeyList::parse(&bytes);
        let _ = SshKey::from_blob(&bytes);
        if let Ok(read) = SshSignature::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn a_signature_is_for_one_message(message: Vec<u8>, other: Vec<u8>) {
        prop_assume!(message != other);
        prop_assert!(signed(&message).verify(&message).is_ok());
        prop_assert!(signed(&message).verify(&other).is_err());
    }
}

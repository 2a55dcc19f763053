//! Which relay, if any: `--relay URL|none|default`.

use std::{fmt, path::Path, str::FromStr};

use iroh::{RelayUrl, tls::CaTlsConfig};
use pillion_proto::RelayToken;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::error::NetError;

/// Which relay helps where no direct connection can be made. A relay sees ciphertext only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum RelayChoice {
    /// The public relays and address records of the transport's makers.
    #[default]
    Default,
    /// None: loopback, LAN and open ports only; nothing is sent to a third party.
    None,
    /// One's own.
    Url(RelayUrl),
}

/// What is wrong with a relay setting.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RelayChoiceError {
    /// Not a URL.
    #[error(
        "\"{given}\" is not a relay: give its URL (https://relay.example.org), \"none\" or \"default\""
    )]
    NotAUrl {
        /// What was given.
        given: String,
    },
    /// Not a web address.
    #[error(
        "a relay's URL starts with https:// (or http:// on a network one trusts), not {scheme}://"
    )]
    Scheme {
        /// What it started with.
        scheme: String,
    },
    /// A URL with more than a host in it.
    #[error("a relay's URL is only scheme, host and port; remove {what} from \"{given}\"")]
    Extra {
        /// The part too many.
        what: &'static str,
        /// What was given.
        given: String,
    },
}

impl FromStr for RelayChoice {
    type Err = RelayChoiceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        match text {
            "default" => return Ok(RelayChoice::Default),
            "none" => return Ok(RelayChoice::None),
            _ => {}
        }
        let given = || text.chars().take(200).collect::<String>();
        let not_a_url = || RelayChoiceError::NotAUrl { given: given() };
        let url: RelayUrl = text.parse().map_err(|_| not_a_url())?;
        if !matches!(url.scheme(), "https" | "http") {
            // "relay.example.org:443" parses as a URL with the host as its scheme.
            return Err(if text.contains("://") {
                RelayChoiceError::Scheme {
                    scheme: url.scheme().to_owned(),
                }
            } else {
                not_a_url()
            });
        }
        let extra = if !url.username().is_empty() || url.password().is_some() {
            Some("the user name and password")
        } else if url.query().is_some() || url.fragment().is_some() {
            Some("what follows ? or #")
        } else if !matches!(url.path(), "" | "/") {
            Some("the path")
        } else {
            None
        };
        match extra {
            Some(what) => Err(RelayChoiceError::Extra {
                what,
                given: given(),
            }),
            None if url.host_str().is_none_or(str::is_empty) => Err(not_a_url()),
            None => Ok(RelayChoice::Url(url)),
        }
    }
}

impl fmt::Display for RelayChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RelayChoice::Default => f.write_str("default"),
            RelayChoice::None => f.write_str("none"),
            RelayChoice::Url(url) => url.fmt(f),
        }
    }
}

/// What a relay asks for before it carries anything: the secret of `pillion-signal
/// --relay-secret-file`, or the token of a session.
#[derive(Clone)]
pub struct RelaySecret(Zeroizing<String>);

/// Longest secret of a relay, in bytes: it travels in a header of a request.
const MAX_RELAY_SECRET: usize = 512;

impl RelaySecret {
    /// Reads a file with the secret on its only line.
    ///
    /// # Errors
    /// The file can't be read, others may read it, or it isn't one line of 1 to 512 visible ASCII characters.
    pub fn load(path: &Path) -> Result<RelaySecret, NetError> {
        use std::{io::Read, os::unix::fs::PermissionsExt};
        let fail = |reason: String| NetError::RelaySecret {
            path: path.to_owned(),
            reason,
        };
        let unreadable = |error: std::io::Error| fail(format!("cannot be read ({error})"));
        let file = std::fs::File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(fail("can be read by others (chmod 600 it)".to_owned()));
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_RELAY_SECRET as u64 + 2)
            .read_to_string(&mut text)
            .map_err(unreadable)?;
        let secret = text.trim_end_matches(['\r', '\n']);
        let fits = (1..=MAX_RELAY_SECRET).contains(&secret.len());
        if !fits || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            let text =
                format!("is not one line of 1 to {MAX_RELAY_SECRET} letters, digits and signs");
            return Err(fail(text));
        }
        Ok(RelaySecret(Zeroizing::new(secret.to_owned())))
    }

    /// A session's token, which its own host shows, and its ticket hands to viewers.
    pub fn token(token: &RelayToken) -> RelaySecret {
        RelaySecret(Zeroizing::new(token.to_string()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RelaySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelaySecret(…)")
    }
}

/// Certificate authorities to trust for a relay with a certificate of one's own.
#[derive(Clone)]
pub struct RelayCa(Vec<CertificateDer<'static>>);

/// Longest file read as certificates, in bytes; a bundle of all public authorities is 250 KiB.
const MAX_CA_FILE: u64 = 1024 * 1024;

impl RelayCa {
    /// Reads PEM (one or more certificates) or DER (one).
    ///
    /// # Errors
    /// The file can't be read, is longer than 1 MiB, or holds no certificate.
    pub fn load(path: &Path) -> Result<RelayCa, NetError> {
        let fail = |reason: String| NetError::RelayCa {
            path: path.to_owned(),
            reason,
        };
        let length = std::fs::metadata(path)
            .map_err(|e| fail(format!("cannot be read ({e})")))?
            .len();
        if length > MAX_CA_FILE {
            return Err(fail(format!(
                "is {length} bytes long, more than any certificate"
            )));
        }
        let bytes = std::fs::read(path).map_err(|e| fail(format!("cannot be read ({e})")))?;
        let roots = if bytes.windows(11).any(|w| w == b"-----BEGIN ") {
            CertificateDer::pem_slice_iter(&bytes)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|e| fail(format!("is not valid PEM ({e})")))?
        } else {
            vec![CertificateDer::from(bytes)]
        };
        // A DER certificate is an ASN.1 sequence: anything else would only fail later, as a relay
        // that "can't be reached".
        if roots.is_empty() || roots.iter().any(|root| root.first() != Some(&0x30)) {
            return Err(fail("holds no certificate".to_owned()));
        }
        Ok(RelayCa(roots))
    }

    /// Trusts exactly these authorities.
    pub fn from_der(roots: impl IntoIterator<Item = Vec<u8>>) -> RelayCa {
        RelayCa(roots.into_iter().map(CertificateDer::from).collect())
    }

    /// With one's own relay only its authority counts; with public ones it comes on top.
    pub(crate) fn tls_config(&self, relay: &RelayChoice) -> CaTlsConfig {
        match relay {
            RelayChoice::Url(_) => CaTlsConfig::custom_roots(self.0.iter().cloned()),
            _ => CaTlsConfig::embedded().with_extra_roots(self.0.iter().cloned()),
        }
    }
}

/// TLS towards a web service of ours: the public authorities, and `ca` on top.
#[cfg(feature = "signal")]
pub(crate) fn tls_config(ca: Option<&RelayCa>) -> std::io::Result<rustls::ClientConfig> {
    let roots = ca.map(|ca| ca.0.clone()).unwrap_or_default();
    CaTlsConfig::embedded()
        .with_extra_roots(roots)
        .client_config(iroh::tls::default_provider())
}

impl fmt::Debug for RelayCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayCa({} certificates)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_knows_the_public_relays_by_number() {
        let relays = iroh::RelayMode::Default.relay_map();
        let relays: Vec<iroh::RelayUrl> = relays.urls();
        assert_eq!(relays.len(), pillion_proto::PUBLIC_RELAYS.len());
        for url in relays {
            let known = pillion_proto::PUBLIC_RELAYS.contains(&url.as_str());
            assert!(known, "{url} has no number");
        }
    }

    #[test]
    fn a_relays_secret_is_one_private_line() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let load = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            RelaySecret::load(&path)
        };
        let secret = load("open-sesame\n", 0o600).unwrap();
        assert_eq!(secret.as_str(), "open-sesame");
        assert!(!format!("{secret:?}").contains("sesame"));
        for text in [
            "",
            "\n",
            "two\nlines\n",
            "a blank",
            "\u{7}",
            &"x".repeat(513),
        ] {
            let error = load(text, 0o600).unwrap_err().to_string();
            assert!(error.contains("one line"), "{error}");
        }
        let error = load("open-sesame", 0o644).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        assert!(RelaySecret::load(dir.path()).is_err());
    }

    #[test]
    fn words_and_urls_are_read() {
        assert_eq!("default".parse(), Ok(RelayChoice::Default));
        assert_eq!(" none ".parse(), Ok(RelayChoice::None));
        let RelayChoice::Url(url) = "https://relay.example.org:8443".parse().unwrap() else {
            panic!("a URL")
        };
        assert_eq!(url.host_str(), Some("relay.example.org"));
        assert_eq!(
            RelayChoice::Url(url).to_string(),
            "https://relay.example.org:8443/"
        );
    }

    #[test]
    fn what_is_no_relay_is_refused_in_words() {
        let error = |text: &str| text.parse::<RelayChoice>().unwrap_err().to_string();
        assert!(error("nope").contains("\"none\" or \"default\""));
        assert!(error("").contains("https://"));
        assert!(error("relay.example.org:443").contains("is not a relay"));
        assert!(error("ftp://relay.example.org").contains("not ftp://"));
        assert!(error("https://me:secret@relay.example.org").contains("user name"));
        assert!(error("https://relay.example.org/path").contains("the path"));
        assert!(error("https://relay.example.org/?a=b").contains("? or #"));
    }

    #[test]
    fn a_file_without_a_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, "hello").unwrap();
        let error = RelayCa::load(&path).unwrap_err().to_string();
        assert!(
            error.contains("holds no certificate") && error.contains("ca.pem"),
            "{error}"
        );
        assert!(
            RelayCa::load(&dir.path().join("none"))
                .unwrap_err()
                .to_string()
                .contains("cannot be read")
        );
    }

    #[test]
    fn pem_and_der_are_the_same_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (pem, der) = (dir.path().join("ca.pem"), dir.path().join("ca.der"));
        std::fs::write(&pem, made.cert.pem()).unwrap();
        std::fs::write(&der, made.cert.der()).unwrap();
        assert_eq!(
            RelayCa::load(&pem).unwrap().0,
            RelayCa::load(&der).unwrap().0
        );
    }
}

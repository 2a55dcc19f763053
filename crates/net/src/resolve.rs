//! Where a host is looked for: `--resolve records,dht,lan`.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// Where a ticket's host is looked for when its addresses have changed, and where a host says where it
/// is. With none of them a ticket works for as long as its addresses do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolve {
    /// Address records of the link service, or the public ones.
    pub records: bool,
    /// The mainline DHT: no server of anybody's.
    pub dht: bool,
    /// The local network, by multicast DNS.
    pub lan: bool,
}

/// What is wrong with a setting of where to look.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "\"{given}\" is nowhere to look for a host: give records, dht or lan, several with commas, or none"
)]
pub struct ResolveError {
    /// What was given.
    given: String,
}

impl Default for Resolve {
    /// Records only.
    fn default() -> Resolve {
        Resolve {
            records: true,
            ..Resolve::NOWHERE
        }
    }
}

impl Resolve {
    const NOWHERE: Resolve = Resolve {
        records: false,
        dht: false,
        lan: false,
    };
}

impl FromStr for Resolve {
    type Err = ResolveError;

    fn from_str(text: &str) -> Result<Resolve, ResolveError> {
        let mut resolve = Resolve::NOWHERE;
        if text.trim() == "none" {
            return Ok(resolve);
        }
        for word in text.split(',').map(str::trim) {
            match word {
                "records" => resolve.records = true,
                "dht" => resolve.dht = true,
                "lan" => resolve.lan = true,
                _ => {
                    let given = word.chars().filter(|c| !c.is_control()).take(40).collect();
                    return Err(ResolveError { given });
                }
            }
        }
        Ok(resolve)
    }
}

impl fmt::Display for Resolve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = [
            (self.records, "records"),
            (self.dht, "dht"),
            (self.lan, "lan"),
        ];
        let said: Vec<&str> = words
            .iter()
            .filter_map(|(on, word)| on.then_some(*word))
            .collect();
        match said.is_empty() {
            true => f.write_str("none"),
            false => f.write_str(&said.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_what_is_read() {
        for text in [
            "records",
            "dht",
            "lan",
            "records,dht",
            "dht,lan",
            "records,dht,lan",
            "none",
        ] {
            assert_eq!(text.parse::<Resolve>().unwrap().to_string(), text);
        }
        assert_eq!(
            "lan, records".parse::<Resolve>().unwrap().to_string(),
            "records,lan"
        );
    }

    #[test]
    fn nonsense_is_refused_with_the_choices() {
        for text in ["", "dns", "records,", "none,dht"] {
            let error = text.parse::<Resolve>().unwrap_err().to_string();
            assert!(error.contains("records, dht or lan"), "{text}: {error}");
        }
    }
}

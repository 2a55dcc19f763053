//! Where something is said.

use std::{collections::BTreeMap, fmt, future::Future, pin::Pin, str::FromStr};

use pillion_prove::http::{Http, HttpError};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{exec, github, linear, message::Message, ntfy, slack, webhook};

/// A place where people are.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// A channel of Slack's, by the address of an incoming webhook; the one in `SLACK_WEBHOOK_URL` without.
    Slack(Option<String>),
    /// GitHub: the summary of the job, and the pull request that it is for.
    Github,
    /// An issue of Linear's.
    Linear(String),
    /// A topic of ntfy's.
    Ntfy(String),
    /// Any server.
    Webhook(String),
    /// A command.
    Exec(String),
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// Of no kind that is known.
    #[error(
        "\"{0}\" is no place to announce something: write slack, slack:URL, github, linear:ISSUE, ntfy:URL, webhook:URL or \
         exec:COMMAND"
    )]
    Kind(String),
    /// It says nothing behind its kind.
    #[error("{0}: needs {1} behind it")]
    Nothing(&'static str, &'static str),
    /// The address is none.
    #[error("{0} takes an https:// address (http:// on this machine alone)")]
    Address(&'static str),
}

/// Why something was not said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Why, in words.
    pub why: String,
    /// It may go better another time.
    pub again: bool,
}

/// How something is said somewhere.
pub trait Way: fmt::Debug + Send + Sync {
    /// Says it.
    fn say<'a>(
        &'a self,
        message: &'a Message,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;
}

impl Place {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Place::Slack(_) => "slack",
            Place::Github => "github",
            Place::Linear(_) => "linear",
            Place::Ntfy(_) => "ntfy",
            Place::Webhook(_) => "webhook",
            Place::Exec(_) => "exec",
        }
    }

    /// Whether people read there who were not chosen by who announces: everybody who can read a repository.
    pub fn is_public(&self) -> bool {
        matches!(self, Place::Github)
    }

    /// What of it is nobody else's business, if anything is: who has it may write there.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Place::Slack(Some(url)) | Place::Ntfy(url) | Place::Webhook(url) => Some(url),
            Place::Slack(None) | Place::Github | Place::Linear(_) | Place::Exec(_) => None,
        }
    }

    /// How something is said there, or why it can't be.
    pub(crate) fn way(
        self,
        environment: &BTreeMap<String, String>,
    ) -> Result<Box<dyn Way>, String> {
        let http = Http::new().map_err(|error| error.to_string())?;
        let get = |name: &str| {
            environment
                .get(name)
                .filter(|value| !value.is_empty())
                .cloned()
        };
        Ok(match self {
            Place::Slack(url) => {
                let url = url.or_else(|| get("SLACK_WEBHOOK_URL"));
                let url =
                    url.ok_or("SLACK_WEBHOOK_URL is not set, nor an address behind slack:")?;
                Box::new(slack::Slack { http, url })
            }
            Place::Github => Box::new(github::Github::new(http, get)?),
            Place::Linear(issue) => {
                let key = get("LINEAR_API_KEY").ok_or("LINEAR_API_KEY is not set")?;
                let url = get("LINEAR_API_URL").unwrap_or_else(|| linear::URL.to_owned());
                Box::new(linear::Linear {
                    http,
                    url,
                    key,
                    issue,
                })
            }
            Place::Ntfy(url) => Box::new(ntfy::Ntfy::new(http, &url, get("NTFY_TOKEN"))?),
            Place::Webhook(url) => Box::new(webhook::Webhook {
                http,
                url,
                secret: get("PILLION_WEBHOOK_SECRET"),
            }),
            Place::Exec(command) => Box::new(exec::Exec { command }),
        })
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Place, NoPlace> {
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) => (kind, Some(rest.trim())),
            None => (text, None),
        };
        let needs = |kind, what| {
            rest.filter(|rest| !rest.is_empty())
                .ok_or(NoPlace::Nothing(kind, what))
        };
        let address = |kind, rest: &str| match is_address(rest) {
            true => Ok(rest.to_owned()),
            false => Err(NoPlace::Address(kind)),
        };
        match (kind.trim(), rest) {
            ("slack", None) => Ok(Place::Slack(None)),
            ("slack", Some(url)) => Ok(Place::Slack(Some(address("slack:", url)?))),
            ("github", None) => Ok(Place::Github),
            ("linear", _) => {
                let issue = needs("linear", "an issue, like ENG-123,")?;
                Ok(Place::Linear(issue.to_owned()))
            }
            ("ntfy", _) => {
                let url = needs("ntfy", "a topic's address")?;
                Ok(Place::Ntfy(address("ntfy:", url)?))
            }
            ("webhook", _) => {
                let url = needs("webhook", "an address")?;
                Ok(Place::Webhook(address("webhook:", url)?))
            }
            ("exec", _) => Ok(Place::Exec(needs("exec", "a command")?.to_owned())),
            // What stands behind it may be a secret.
            (kind, _) => Err(NoPlace::Kind(kind.chars().take(20).collect())),
        }
    }
}

/// Addresses are secrets at some of these places.
impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn is_address(text: &str) -> bool {
    let Ok(url) = text.parse::<Url>() else {
        return false;
    };
    let here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
    url.has_host() && (url.scheme() == "https" || (url.scheme() == "http" && here))
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Failure {
        Failure {
            again: error.may_pass(),
            why: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_what_is_none_is_refused_without_its_secret() {
        for (text, place) in [
            ("slack", Place::Slack(None)),
            ("github", Place::Github),
            ("linear:ENG-12", Place::Linear("ENG-12".into())),
            ("exec: mail -s x me", Place::Exec("mail -s x me".into())),
            (
                "ntfy:https://ntfy.example/a",
                Place::Ntfy("https://ntfy.example/a".into()),
            ),
        ] {
            assert_eq!(text.parse::<Place>(), Ok(place));
        }
        for text in [
            "",
            "irc:#x",
            "github:me",
            "linear:",
            "exec",
            "webhook:",
            "slack:hooks.example/SECRET",
            "webhook:ftp://x/SECRET",
            "ntfy:http://elsewhere.example/SECRET",
            "SECRETSECRETSECRETSECRETSECRET",
        ] {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(
                !error.contains("SECRET\"") || text.starts_with("SECRET"),
                "{error}"
            );
            assert!(!error.contains("/SECRET"), "{error}");
        }
        let place: Place = "slack:https://hooks.example/SECRET".parse().unwrap();
        assert_eq!(format!("{place:?}"), "slack");
    }
}

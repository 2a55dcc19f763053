//! Which proofs of who one is go along when joining, and whom a host believes.

use std::{fmt, path::PathBuf, str::FromStr};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use pillion_caps::{PublicKey, UnixMillis};
use pillion_people::{Claim, MAX_CLAIM, MAX_CLAIMS, Membership};
use pillion_prove::{
    oidc::{self, Client, ClientSecret},
    ssh,
};

use crate::{
    clock::{self, unix_ms},
    identity::teams,
    settings::config::Config,
    terminal::console::explain,
};

/// What to prove oneself to be, beside one's Pillion key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProofKind {
    /// The holder of an SSH key.
    Ssh(ssh::Choice),
    /// Who reads the mail of an address.
    Email,
    /// A member of a team: by the name one has there or the team's key; or the only team there is.
    Team(Option<String>),
}

impl FromStr for ProofKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("ssh", key) => Ok(ProofKind::Ssh(ssh::Choice::read(key))),
            ("email", "") => Ok(ProofKind::Email),
            ("team", "") => Ok(ProofKind::Team(None)),
            ("team", name) => Ok(ProofKind::Team(Some(name.to_owned()))),
            _ => Err("say \"ssh\", \"ssh:FINGERPRINT\", \"ssh:FILE\", \"email\", \"team\" or \"team:NAME\"".to_owned()),
        }
    }
}

impl fmt::Display for ProofKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProofKind::Ssh(_) => f.write_str("an SSH key"),
            ProofKind::Email => f.write_str("an e-mail address"),
            ProofKind::Team(_) => f.write_str("a team's membership"),
        }
    }
}

/// Several, with commas between; nothing for none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProofKinds(pub Vec<ProofKind>);

impl FromStr for ProofKinds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = text
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty());
        let all: Vec<ProofKind> = words.map(str::parse).collect::<Result<_, _>>()?;
        match all.len() > MAX_CLAIMS {
            true => Err(format!("at most {MAX_CLAIMS} proofs can be given")),
            false => Ok(ProofKinds(all)),
        }
    }
}

/// Who proves something, and where what they need is.
#[derive(Debug, Clone)]
pub struct Prover {
    /// The configuration directory.
    pub dir: PathBuf,
    /// The settings.
    pub config: Config,
    /// The person's key.
    pub identity: PublicKey,
    /// Sign in on another device.
    pub device: bool,
}

/// Claims for one session, and how to make them again.
#[derive(Debug, Default)]
pub struct Claims {
    made: Vec<Made>,
    maker: Option<(Prover, PublicKey)>,
}

#[derive(Debug)]
struct Made {
    bytes: Bytes,
    /// When it ends, and what it proves; `None` for one that isn't made again.
    ends: Option<(UnixMillis, ProofKind)>,
}

/// How long before its end a claim counts as run out, in milliseconds: it is on its way for a while, and
/// clocks differ.
const SPARE_MILLIS: u64 = 60 * 1000;

impl Made {
    fn new(what: ProofKind, claim: &Claim) -> Result<Made> {
        let bytes = claim.to_bytes();
        if bytes.len() > MAX_CLAIM {
            let len = bytes.len();
            bail!("the ID token of your issuer is too long ({len} bytes)");
        }
        Ok(Made {
            bytes: bytes.into(),
            ends: claim.expires().map(|at| (at, what)),
        })
    }

    fn has_run_out(&self, now: UnixMillis) -> bool {
        let soon = now.saturating_add(SPARE_MILLIS);
        self.ends.as_ref().is_some_and(|(at, _)| *at <= soon)
    }
}

/// Claims that are shown as they are, for as long as they hold.
impl From<Vec<Bytes>> for Claims {
    fn from(claims: Vec<Bytes>) -> Claims {
        let made = claims.into_iter().map(|bytes| Made { bytes, ends: None });
        Claims {
            made: made.collect(),
            maker: None,
        }
    }
}

impl Claims {
    /// For the hello.
    pub fn bytes(&self) -> Vec<Bytes> {
        self.made.iter().map(|made| made.bytes.clone()).collect()
    }

    /// Whether one of them ends within a minute, or has ended.
    pub fn have_run_out(&self, now: UnixMillis) -> bool {
        self.maker.is_some() && self.made.iter().any(|made| made.has_run_out(now))
    }

    /// The same claims, those that have run out made again where that needs nobody; what to tell the person
    /// of the others, which stay as they are: the host says whether they still count.
    pub async fn renewed(mut self, now: UnixMillis) -> (Claims, Vec<String>) {
        let mut said = Vec::new();
        if let Some((prover, session)) = &self.maker {
            for made in self.made.iter_mut().filter(|made| made.has_run_out(now)) {
                let Some((end, what)) = &made.ends else {
                    continue;
                };
                match prover.again(what, session, now).await {
                    Ok(new) => *made = new,
                    // What to do first: a status line may cut the rest.
                    Err(error) => said.push(format!(
                        "{} (your proof of {what} holds until {})",
                        explain(&error),
                        clock::local(end.0)
                    )),
                }
            }
        }
        (self, said)
    }
}

impl Prover {
    /// Makes the claims for a session.
    ///
    /// # Errors
    /// One of them can't be made; says what to do.
    pub async fn claims(self, wanted: &[ProofKind], session: &PublicKey) -> Result<Claims> {
        let mut made = Vec::new();
        for what in wanted {
            let claim = match what {
                ProofKind::Email => self.email().await?,
                ProofKind::Ssh(_) | ProofKind::Team(_) => self.alone(what, session, now()).await?,
            };
            made.push(Made::new(what.clone(), &claim)?);
        }
        let maker = Some((self, *session));
        Ok(Claims { made, maker })
    }

    /// Makes one again, if that needs nobody.
    async fn again(&self, what: &ProofKind, session: &PublicKey, now: UnixMillis) -> Result<Made> {
        let claim = self.alone(what, session, now).await?;
        let made = Made::new(what.clone(), &claim)?;
        match (what, made.has_run_out(now)) {
            (ProofKind::Team(_), true) => bail!(
                "ask your team's owner for a new membership and keep it with `pillion team join`: this viewer \
                 shows it when it comes back the next time"
            ),
            _ => Ok(made),
        }
    }

    /// Makes a claim without the person.
    async fn alone(&self, what: &ProofKind, session: &PublicKey, now: UnixMillis) -> Result<Claim> {
        Ok(match what {
            ProofKind::Ssh(choice) => {
                let places = ssh::Places::from_env();
                ssh::claim(choice, &places, &self.identity, session, now).await?
            }
            ProofKind::Email => self.kept(&self.client()?, now)?.context(
                "leave, and join again with --as email to sign in: only you can do that. A sign-in made \
                 so elsewhere on this machine is shown by this viewer, too, when it comes back the next time",
            )?,
            ProofKind::Team(name) => Claim::Team(self.membership(name.as_deref(), now)?),
        })
    }

    fn client(&self) -> Result<Client> {
        client(&self.config)?.context(
            "no issuer is set to prove an e-mail address with: set oidc_issuer and oidc_client_id in the \
             configuration (pillion config edit), to those the host uses",
        )
    }

    fn token_file(&self) -> PathBuf {
        self.dir.join("id-token")
    }

    fn kept(&self, client: &Client, now: UnixMillis) -> Result<Option<Claim>> {
        let kept = oidc::kept(&self.token_file(), client, &self.identity, now)?;
        Ok(kept.map(|(claim, _)| claim))
    }

    /// The kept token, or a new one.
    async fn email(&self) -> Result<Claim> {
        let mut client = self.client()?;
        if let Some(claim) = self.kept(&client, now())? {
            return Ok(claim);
        }
        let secret = self.config.oidc_client_secret_file();
        client.secret = secret.map(ClientSecret::load).transpose()?;
        let (claim, who) = if self.device {
            oidc::sign_in_elsewhere(&client, &self.identity, now, |url, code| {
                crate::say!("Sign in at {url} with the code {code}.");
            })
            .await?
        } else {
            oidc::sign_in(&client, &self.identity, now, |url| {
                crate::say!("Sign in in your browser; if it doesn't open, open this:\n\n  {url}\n");
                open(url);
            })
            .await?
        };
        crate::say!("Signed in: {}.", who.short());
        oidc::keep(&self.token_file(), &client, &self.identity, &claim, &who)?;
        Ok(claim)
    }

    /// The one membership that is meant; of those that have ended only if there is no other.
    fn membership(&self, name: Option<&str>, now: UnixMillis) -> Result<Membership> {
        let mut all = teams::memberships(&self.dir)?;
        all.retain(|one| one.identity() == self.identity);
        if let Some(name) = name {
            let team = name.parse().ok();
            all.retain(|one| one.member().as_str() == name || Some(one.team()) == team);
        }
        let good = |one: &Membership| one.expires() > now;
        if all.iter().any(good) {
            all.retain(good);
        }
        match <[Membership; 1]>::try_from(all) {
            Ok([one]) => Ok(one),
            Err(none) if none.is_empty() => bail!(
                "you have no such membership of a team: give the team's owner what `pillion id` prints, and \
                 keep what you are given with `pillion team join`"
            ),
            Err(several) => {
                let lines: String = several
                    .iter()
                    .map(|one| format!("\n  {} of {}", one.member(), one.team()))
                    .collect();
                bail!("you are a member of several teams; say which with --as team:KEY:{lines}")
            }
        }
    }
}

/// The issuer of the configuration; none is set by default. Without the client's secret: only who signs in
/// needs that.
///
/// # Errors
/// There is one, but no client.
pub fn client(config: &Config) -> Result<Option<Client>> {
    let Some(issuer) = config.oidc_issuer() else {
        return Ok(None);
    };
    let id = config
        .oidc_client_id()
        .context("oidc_issuer is set, but not oidc_client_id: set both (pillion config edit)")?;
    Ok(Some(Client {
        issuer,
        id: id.to_owned(),
        secret: None,
    }))
}

fn now() -> UnixMillis {
    UnixMillis(unix_ms())
}

/// Opens an address in the person's browser: `$BROWSER`, or what the desktop has. That it fails is no
/// error, because the address is printed, too.
fn open(url: &str) {
    use std::process::{Command, Stdio};
    let command = match std::env::var("BROWSER") {
        Ok(browser) if !browser.trim().is_empty() => format!("{browser} \"$1\""),
        _ if cfg!(target_os = "macos") => "open \"$1\"".to_owned(),
        _ => "xdg-open \"$1\"".to_owned(),
    };
    let child = Command::new("sh")
        .args(["-c", &command, "sh", url])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Ok(mut child) = child {
        // It may stay open for as long as the person likes; somebody must take its exit.
        std::thread::spawn(move || child.wait());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_prove_is_read_from_words() {
        let read = |text: &str| text.parse::<ProofKinds>().map(|all| all.0);
        assert_eq!(read(""), Ok(vec![]));
        assert_eq!(
            read("ssh:SHA256:abc, email,team:anna"),
            Ok(vec![
                ProofKind::Ssh(ssh::Choice::Named("SHA256:abc".to_owned())),
                ProofKind::Email,
                ProofKind::Team(Some("anna".to_owned())),
            ])
        );
        assert_eq!(read("ssh"), Ok(vec![ProofKind::Ssh(ssh::Choice::Any)]));
        for text in ["gpg", "email:anna", "ssh,ssh,ssh,ssh,ssh"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}

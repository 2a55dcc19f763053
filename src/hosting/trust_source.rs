//! Whom the session believes when somebody says who they are: the issuer of the configuration, whose keys
//! are fetched when a token wants them, and what teams took back.

use std::{future::pending, time::Duration};

use pillion_people::{Removals, Trust, TrustedIssuer};
use pillion_prove::oidc::{Client, Issuers};
use tokio::{task::JoinHandle, time};

/// How long fetching keys may take: somebody waits for it, and ten seconds at most.
const FETCH_TIME: Duration = Duration::from_secs(9);

/// What the host believes, and how it learns more.
pub(super) struct TrustSource {
    removals: Vec<Removals>,
    /// As it was told last.
    trusted: Option<TrustedIssuer>,
    state: State,
}

enum State {
    /// No issuer is configured.
    Nobody,
    Idle(Box<Issuers>),
    Fetching(JoinHandle<Issuers>),
}

impl TrustSource {
    pub(super) fn new(client: Option<Client>, removals: Vec<Removals>) -> Self {
        let issuers = client.map(|client| Box::new(Issuers::new(client)));
        Self {
            removals,
            trusted: issuers.as_ref().map(|issuers| issuers.trusted()),
            state: issuers.map_or(State::Nobody, State::Idle),
        }
    }

    /// Takes in what teams took back by now; all that is known of it. What was heard once holds on, whatever
    /// became of the file: else anybody who can write there could bring a membership back.
    pub(super) fn merge(&mut self, told: Vec<Removals>) -> Vec<Removals> {
        for list in told {
            list.take_in(&mut self.removals);
        }
        self.removals.clone()
    }

    /// What to tell the session.
    pub(super) fn trust(&self) -> Box<Trust> {
        Box::new(Trust {
            issuers: self.trusted.iter().cloned().collect(),
            removals: self.removals.clone(),
        })
    }

    /// Fetches the issuer's keys, unless that is being done: [`news`](Self::news) tells what came of it.
    /// `false` if there is nobody to ask.
    pub(super) fn fetch(&mut self) -> bool {
        match std::mem::replace(&mut self.state, State::Nobody) {
            State::Nobody => return false,
            State::Fetching(task) => self.state = State::Fetching(task),
            State::Idle(mut issuers) => {
                self.state = State::Fetching(tokio::spawn(async move {
                    match time::timeout(FETCH_TIME, issuers.refresh()).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => {
                            tracing::warn!(%error, "an issuer's keys were not fetched")
                        }
                        Err(_) => tracing::warn!("an issuer's keys did not come in time"),
                    }
                    *issuers
                }));
            }
        }
        true
    }

    /// Waits until the session is to be told something else.
    pub(super) async fn news(&mut self) -> Box<Trust> {
        let issuers = match &mut self.state {
            State::Nobody => pending().await,
            State::Fetching(task) => match task.await {
                Ok(issuers) => Box::new(issuers),
                Err(error) => {
                    tracing::warn!(%error, "fetching an issuer's keys broke off");
                    self.state = State::Nobody;
                    return self.trust();
                }
            },
            State::Idle(issuers) => {
                match issuers.stale_at() {
                    Some(at) => time::sleep_until(at).await,
                    None => pending().await,
                }
                issuers.forget_stale();
                self.trusted = Some(issuers.trusted());
                return self.trust();
            }
        };
        self.trusted = Some(issuers.trusted());
        self.state = State::Idle(issuers);
        self.trust()
    }
}

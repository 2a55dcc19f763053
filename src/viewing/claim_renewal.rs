//! Claims that run out while one rides along: made again before the viewer comes back with them.
//!
//! A claim is only looked at when somebody comes in, so nothing needs renewing while the connection holds.
//! When a new one is made with a claim that has run out, whatever can be made without the person is made
//! first: by an SSH key, or of a membership or an ID token that was kept meanwhile.

use std::{mem, time::Duration};

use bytes::Bytes;
use pillion_caps::UnixMillis;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use crate::identity::proving::Claims;

/// How long coming back may wait for it: an ssh-agent may ask its user, and they may not be there. What
/// comes later counts from the next connection on.
const WITHIN: Duration = Duration::from_secs(5);

/// What became of making claims again.
pub enum Renewed {
    /// These are the ones to show now, and this is to be told to the person.
    Claims(Vec<Bytes>, Vec<String>),
    /// Nothing yet; go on with what there is.
    Late,
}

/// The claims of one viewer.
pub struct Renewing(State);

enum State {
    Idle(Claims),
    /// With when its patience ends, until it has.
    Busy(JoinHandle<(Claims, Vec<String>)>, Option<Instant>),
    /// They broke off: what was shown before is all there is.
    Gone,
}

impl Renewing {
    /// Nothing has run out yet.
    pub fn new(claims: Claims) -> Renewing {
        Renewing(State::Idle(claims))
    }

    /// Before connecting: begins to make again what has run out. Whether that must be waited for.
    pub fn begin(&mut self, now: UnixMillis) -> bool {
        match mem::replace(&mut self.0, State::Gone) {
            State::Idle(claims) if claims.have_run_out(now) => {
                let task = tokio::spawn(claims.renewed(now));
                self.0 = State::Busy(task, Some(Instant::now() + WITHIN));
                true
            }
            state => {
                self.0 = state;
                false
            }
        }
    }

    /// Waits for what becomes of it.
    pub async fn next(&mut self) -> Renewed {
        let State::Busy(task, patience) = &mut self.0 else {
            return std::future::pending().await;
        };
        let done = match patience {
            Some(end) => match timeout_at(*end, &mut *task).await {
                Ok(done) => done,
                Err(_) => {
                    *patience = None;
                    return Renewed::Late;
                }
            },
            None => task.await,
        };
        match done {
            Ok((claims, said)) => {
                let bytes = claims.bytes();
                self.0 = State::Idle(claims);
                Renewed::Claims(bytes, said)
            }
            Err(error) => {
                tracing::warn!(%error, "making claims again broke off");
                self.0 = State::Gone;
                Renewed::Late
            }
        }
    }
}

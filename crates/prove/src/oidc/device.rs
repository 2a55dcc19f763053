//! The device flow (RFC 8628): the person signs in elsewhere, we ask until they have.

use serde::Deserialize;
use tokio::time::{Duration, sleep};

use super::{Attempt, OidcError};
use crate::http::{HttpError, allowed, plain};

/// What the issuer says to our wish.
#[derive(Deserialize)]
struct Begun {
    device_code: String,
    user_code: String,
    verification_uri: String,
    /// Seconds between questions.
    #[serde(default = "five")]
    interval: u64,
}

const fn five() -> u64 {
    5
}

/// Longest time between two questions.
const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// The token endpoint's answer, once the person has signed in.
pub(super) async fn tokens(
    attempt: &Attempt<'_>,
    show: impl FnOnce(&str, &str),
) -> Result<Vec<u8>, OidcError> {
    let wrong = |why| OidcError::Issuer {
        issuer: attempt.client.issuer.clone(),
        why,
    };
    let endpoint = attempt.found.device_authorization_endpoint.as_deref();
    let endpoint =
        endpoint.ok_or_else(|| wrong("it has no device flow; sign in with a browser"))?;
    let wishes = attempt.wishes();
    let form: Vec<(&str, &str)> = wishes.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let answer = attempt.post(endpoint, &form).await?;
    let begun: Begun = serde_json::from_slice(&answer)
        .map_err(|_| wrong("its answer to a device makes no sense"))?;
    allowed(&begun.verification_uri)?;
    show(
        &plain(&begun.verification_uri, 200),
        &plain(&begun.user_code, 40),
    );
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
        ("client_id", &attempt.client.id),
        ("device_code", &begun.device_code),
    ];
    let mut interval = Duration::from_secs(begun.interval.max(1)).min(MAX_INTERVAL);
    loop {
        // Not a guess at when it is done: the issuer says how often it may be asked.
        sleep(interval).await;
        let endpoint = &attempt.found.token_endpoint;
        match attempt.post(endpoint, &form).await {
            Ok(answer) => return Ok(answer),
            Err(HttpError::Status { text, .. }) if text.starts_with("authorization_pending") => {}
            Err(HttpError::Status { text, .. }) if text.starts_with("slow_down") => {
                interval = (interval + Duration::from_secs(5)).min(MAX_INTERVAL);
            }
            Err(HttpError::Status { text, .. }) if !text.is_empty() => {
                return Err(OidcError::Declined {
                    issuer: attempt.client.issuer.clone(),
                    why: text,
                });
            }
            Err(error) => return Err(error.into()),
        }
    }
}

//! Any server: the message as JSON, signed where there is a secret.
//!
//! `X-Pillion-Signature` is `sha256=` and the HMAC-SHA-256, in hexadecimal, of the time in `X-Pillion-Time` (seconds since
//! 1970), a full stop, and the body.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    time::{SystemTime, UNIX_EPOCH},
};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pillion_prove::http::Http;
use sha2::Sha256;

use crate::{
    message::Message,
    place::{Failure, Way},
};

/// Most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

pub(crate) struct Webhook {
    pub(crate) http: Http,
    pub(crate) url: String,
    pub(crate) secret: Option<String>,
}

impl Way for Webhook {
    fn say<'a>(
        &'a self,
        message: &'a Message,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>> {
        Box::pin(async move {
            let body = message.json();
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let time = since.unwrap_or_default().as_secs().to_string();
            let secret = self.secret.as_ref();
            let signature = secret.map(|secret| signature(secret, &time, &body.to_string()));
            let mut headers = vec![
                ("x-pillion-event", message.event.word()),
                ("x-pillion-time", time.as_str()),
            ];
            if let Some(signature) = &signature {
                headers.push(("x-pillion-signature", signature));
            }
            let sent = self
                .http
                .post_json(&self.url, &headers, &body, MAX_ANSWER)
                .await;
            Ok(sent.map(drop)?)
        })
    }
}

/// What proves that who knows the secret said it at that time.
pub(crate) fn signature(secret: &str, time: &str, body: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length is one");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body.as_bytes());
    format!("sha256={}", HEXLOWER.encode(&mac.finalize().into_bytes()))
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Webhook")
    }
}

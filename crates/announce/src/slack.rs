//! A channel of Slack's, by an incoming webhook (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>).

use std::{fmt, future::Future, pin::Pin};

use pillion_prove::http::Http;
use serde_json::json;

use crate::{
    message::Message,
    place::{Failure, Way},
};

/// Most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 16 * 1024;

pub(crate) struct Slack {
    pub(crate) http: Http,
    /// Who has it may write there.
    pub(crate) url: String,
}

impl Way for Slack {
    fn say<'a>(
        &'a self,
        message: &'a Message,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>> {
        Box::pin(async move {
            let body = json!({"text": text(message)});
            let sent = self.http.post_json(&self.url, &[], &body, MAX_ANSWER).await;
            Ok(sent.map(drop)?)
        })
    }
}

/// In Slack's own markup, in which three characters are special.
fn text(message: &Message) -> String {
    let plain = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    };
    let mut out = plain(&message.title());
    if !message.text.trim().is_empty() {
        // A block ends at its three backticks.
        let text = plain(message.text.trim()).replace("```", "'''");
        out.push_str(&format!("\n```{text}```"));
    }
    out.push_str(&format!("\n{}", plain(&message.how())));
    out
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slack")
    }
}

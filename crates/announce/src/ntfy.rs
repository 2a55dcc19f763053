//! A topic of ntfy's (<https://docs.ntfy.sh/publish/#publish-as-json>).

use std::{fmt, future::Future, pin::Pin};

use pillion_prove::http::Http;
use serde_json::json;
use url::Url;

use crate::{
    message::{Event, Message},
    place::{Failure, Way},
};

/// Most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

pub(crate) struct Ntfy {
    http: Http,
    /// The server.
    url: String,
    topic: String,
    token: Option<String>,
}

impl Ntfy {
    /// A topic by its address.
    pub(crate) fn new(http: Http, url: &str, token: Option<String>) -> Result<Ntfy, String> {
        let mut url: Url = url.parse().map_err(|_| "the topic's address is none")?;
        let path = url.path().trim_matches('/').to_owned();
        let (before, topic) = path.rsplit_once('/').unwrap_or(("", &path));
        if topic.is_empty() {
            return Err(
                "the address names no topic: it ends in one, like https://ntfy.sh/my-runs"
                    .to_owned(),
            );
        }
        url.set_path(before);
        Ok(Ntfy {
            http,
            url: url.to_string(),
            topic: topic.to_owned(),
            token,
        })
    }
}

impl Way for Ntfy {
    fn say<'a>(
        &'a self,
        message: &'a Message,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>> {
        Box::pin(async move {
            let priority = match message.event {
                Event::NeedsYou => 4,
                Event::Began | Event::Finished => 3,
            };
            let text = match message.text.trim() {
                "" => message.how(),
                text => format!("{text}\n\n{}", message.how()),
            };
            let mut body = json!({
                "topic": self.topic, "title": message.title(), "message": text, "priority": priority,
                "tags": [message.event.word()],
            });
            if let Some(link) = &message.link {
                body["click"] = link.as_str().into();
            }
            let token = self.token.as_ref().map(|token| format!("Bearer {token}"));
            let headers: Vec<(&str, &str)> = token
                .iter()
                .map(|token| ("authorization", token.as_str()))
                .collect();
            let sent = self
                .http
                .post_json(&self.url, &headers, &body, MAX_ANSWER)
                .await;
            Ok(sent.map(drop)?)
        })
    }
}

impl fmt::Debug for Ntfy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ntfy")
    }
}

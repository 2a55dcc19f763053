//! A comment on an issue of Linear's (<https://linear.app/developers/graphql>).

use std::{fmt, future::Future, pin::Pin};

use pillion_prove::http::Http;
use serde_json::{Value, json};

use crate::{
    message::Message,
    place::{Failure, Way},
};

/// Where Linear takes requests.
pub(crate) const URL: &str = "https://api.linear.app/graphql";

/// Most that is read of an answer, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

const COMMENT: &str = "mutation Comment($issue: String!, $body: String!) \
                       { commentCreate(input: {issueId: $issue, body: $body}) { success } }";

pub(crate) struct Linear {
    pub(crate) http: Http,
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) issue: String,
}

impl Way for Linear {
    fn say<'a>(
        &'a self,
        message: &'a Message,
    ) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>> {
        Box::pin(async move {
            let body = json!({
                "query": COMMENT,
                "variables": {"issue": self.issue, "body": message.markdown()},
            });
            let headers = [("authorization", self.key.as_str())];
            let answer = self
                .http
                .post_json(&self.url, &headers, &body, MAX_ANSWER)
                .await?;
            // What it refuses it refuses with a 200.
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            match answer["data"]["commentCreate"]["success"] == true {
                true => Ok(()),
                false => Err(Failure {
                    why: refusal(&answer),
                    again: false,
                }),
            }
        })
    }
}

fn refusal(answer: &Value) -> String {
    let said = answer["errors"][0]["message"].as_str();
    let said = said.unwrap_or("it did not say that the comment was made");
    let said: String = said.chars().filter(|c| !c.is_control()).take(200).collect();
    format!("Linear does not take it: {said}")
}

impl fmt::Debug for Linear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Linear")
    }
}

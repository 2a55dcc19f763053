//! `/s/ID`: what a browser shows that opens a link.
//!
//! The page is the same for every link: the part after # never reaches the service, and nothing
//! runs in the page that could read it. So it says how to use the address it was opened with.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::header,
    response::{Html, IntoResponse, Response},
};
use data_encoding::BASE64;
use pillion_proto::LinkId;
use sha2::{Digest as _, Sha256};

use crate::http::{App, Refusal};

const STYLE: &str = include_str!("page.css");
const BODY: &str = include_str!("page.html");

/// The page and the policy it is shown under, made once.
pub(crate) struct Page {
    html: String,
    policy: String,
}

impl Page {
    pub(crate) fn new() -> Self {
        // Only this very style, and nothing else: no script, image, form or frame.
        let hash = BASE64.encode(&Sha256::digest(STYLE));
        Self {
            html: BODY.replace("{style}", STYLE),
            policy: format!(
                "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
        }
    }
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    id.parse::<LinkId>()
        .map_err(|_| Refusal::NotFound("this is not a link: copy it again, whole"))?;
    let headers = [
        (header::CONTENT_SECURITY_POLICY, app.page.policy.as_str()),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((headers, Html(app.page.html.clone())).into_response())
}

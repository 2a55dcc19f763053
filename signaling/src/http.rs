//! What every request goes through: limits, time, counting; and how refusals are said.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Request, State, rejection::BytesRejection},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use pillion_proto::link::MAX_LINK_RECORD;
use tokio::sync::watch;
use tracing::debug;

use crate::{
    limit::Limiter,
    links,
    mail::{self, MAX_MESSAGE, Mail},
    metrics::{self, Metrics},
    page, pkarr,
    store::{Store, StoreError},
};

/// From a request's headers to its answer, at most. Longer than mail is waited for.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// What handlers share.
pub(crate) struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) mail: Mail,
    pub(crate) metrics: Metrics,
    pub(crate) page: page::Page,
    pub(crate) publishes: Limiter,
    pub(crate) reads: Limiter,
    /// Reads by datagram, whose sender anybody can claim to be: they take nothing from the others.
    pub(crate) lookups: Limiter,
    pub(crate) mails: Limiter,
    pub(crate) behind_proxy: bool,
    /// Turns true when the service ends; who waits for mail then stops.
    pub(crate) closing: watch::Receiver<bool>,
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

pub(crate) fn router(app: Arc<App>) -> Router {
    let limit = DefaultBodyLimit::max;
    let link = put(links::publish)
        .get(links::resolve)
        .delete(links::end)
        .layer(limit(MAX_LINK_RECORD));
    let addresses = put(pkarr::publish)
        .get(pkarr::resolve)
        .layer(limit(pkarr::MAX_PAYLOAD));
    let message = put(mail::leave).get(mail::fetch).layer(limit(MAX_MESSAGE));
    Router::new()
        .route("/v1/links/{id}", link)
        .route("/pkarr/{key}", addresses)
        .route("/v1/mail", post(mail::allocate))
        .route("/v1/mail/{number}", axum::routing::delete(mail::remove))
        .route("/v1/mail/{number}/{side}/{seq}", message)
        .route("/s/{id}", get(page::show))
        .route("/healthz", get(health))
        .route("/metrics", get(told))
        .fallback(async || Refusal::NotFound("there is nothing here"))
        .layer(middleware::from_fn_with_state(app.clone(), guard))
        .with_state(app)
}

/// Whether records can be read. Writing may still be refused for want of room.
async fn health(State(app): State<Arc<App>>) -> Result<&'static str, Refusal> {
    app.store.count().await.map_err(Refusal::Store)?;
    Ok("ok\n")
}

async fn told(State(app): State<Arc<App>>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], app.metrics.text()).into_response()
}

async fn guard(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = known(request.method());
    let route = route(request.uri().path());
    let limiter = match (route, method) {
        ("/healthz" | "/metrics", _) => None,
        ("/v1/mail", _) => Some(&app.mails),
        (_, "PUT" | "DELETE" | "POST") => Some(&app.publishes),
        _ => Some(&app.reads),
    };
    let from = asker(&app, &request);
    let limited = limiter.map_or(Ok(()), |limiter| limiter.take(from, started));
    let waits = route == "/v1/mail" && method == "GET";
    let mut response = match limited {
        Err(seconds) => Refusal::TooOften(seconds).into_response(),
        // A browser asks before it publishes for another origin's page.
        Ok(()) if method == "OPTIONS" => preflight(),
        Ok(()) => match tokio::time::timeout(REQUEST_WITHIN, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Refusal::TooSlow.into_response(),
        },
    };
    // Records are public to whoever knows their id, and signed: any page may read them.
    let headers = response.headers_mut();
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let status = response.status().as_u16();
    let counted = metrics::Request {
        method,
        route,
        status,
    };
    app.metrics.requests.get_or_create(&counted).inc();
    let took = started.elapsed();
    if !waits {
        app.metrics.seconds.observe(took.as_secs_f64());
    }
    debug!(
        method,
        route,
        status,
        micros = took.as_micros() as u64,
        "answered"
    );
    response
}

/// The address that asks: what the nearest proxy says, if we stand behind one.
pub(crate) fn asker(app: &App, request: &Request) -> IpAddr {
    let peer = request.extensions().get::<Peer>();
    let peer = peer.map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0);
    match app.behind_proxy {
        true => forwarded(request.headers()).unwrap_or(peer),
        false => peer,
    }
}

/// The last address in `X-Forwarded-For`: our proxy appended it, what is before it anybody may have
/// written.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

fn preflight() -> Response {
    let allowed = [
        (
            header::ACCESS_CONTROL_ALLOW_METHODS,
            "GET, PUT, POST, DELETE",
        ),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    (StatusCode::NO_CONTENT, allowed).into_response()
}

fn route(path: &str) -> &'static str {
    let routes = [
        "/v1/links",
        "/pkarr",
        "/v1/mail",
        "/s",
        "/healthz",
        "/metrics",
    ];
    let under = |route: &&&str| {
        let rest = path.strip_prefix(**route);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    routes.iter().find(under).copied().unwrap_or("other")
}

fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

/// A record's bytes, to be kept by nobody on the way.
pub(crate) fn octets(bytes: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Body::from(bytes)).into_response()
}

/// A body within its limit.
pub(crate) fn body(body: Result<Bytes, BytesRejection>, most: usize) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::TooBig(most),
        _ => Refusal::Unacceptable("the body did not arrive whole".to_owned()),
    })
}

/// Why a request is not served; the text says what to do.
#[derive(Debug)]
pub(crate) enum Refusal {
    NotFound(&'static str),
    Forbidden(&'static str),
    Conflict(&'static str),
    TooBig(usize),
    Unacceptable(String),
    TooOften(u64),
    TooSlow,
    NoRoom(&'static str),
    Store(StoreError),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::NotFound(text) => (StatusCode::NOT_FOUND, text.to_owned()),
            Self::Forbidden(text) => (StatusCode::FORBIDDEN, text.to_owned()),
            Self::Conflict(text) => (StatusCode::CONFLICT, text.to_owned()),
            Self::TooBig(most) => {
                let text = format!("at most {most} bytes are taken here");
                (StatusCode::PAYLOAD_TOO_LARGE, text)
            }
            Self::Unacceptable(text) => (StatusCode::UNPROCESSABLE_ENTITY, text),
            Self::TooOften(seconds) => {
                let text = format!("too many requests from this address: wait {seconds} s");
                let mut response = (StatusCode::TOO_MANY_REQUESTS, text + "\n").into_response();
                let headers = response.headers_mut();
                headers.insert(header::RETRY_AFTER, seconds.into());
                return response;
            }
            Self::TooSlow => {
                let text = "the request did not arrive in time; try again";
                (StatusCode::REQUEST_TIMEOUT, text.to_owned())
            }
            Self::NoRoom(text) => (StatusCode::INSUFFICIENT_STORAGE, text.to_owned()),
            Self::Store(error @ StoreError::Full) => {
                (StatusCode::INSUFFICIENT_STORAGE, error.to_string())
            }
            Self::Store(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        };
        (status, text + "\n").into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_our_proxy_wrote_counts() {
        let headers = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-for", HeaderValue::from_static(value));
            }
            forwarded(&headers)
        };
        let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert_eq!(headers(&["1.1.1.1, 192.0.2.7"]), address("192.0.2.7"));
        assert_eq!(headers(&["1.1.1.1", "2001:db8::1"]), address("2001:db8::1"));
        assert_eq!(headers(&["1.1.1.1, unknown"]), None);
        assert_eq!(headers(&[]), None);
    }

    #[test]
    fn routes_are_counted_by_what_they_are() {
        assert_eq!(route("/v1/links/abc"), "/v1/links");
        assert_eq!(route("/v1/linksabc"), "other");
        assert_eq!(route("/s/abc"), "/s");
        assert_eq!(route("/"), "other");
    }
}

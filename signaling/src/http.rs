//! What every request goes through: limits, time, counting; and how refusals are said.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
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
    config::Subnet,
    limit::Limiter,
    links,
    mail::{self, MAX_MESSAGE, Mail},
    metrics::{self, Metrics},
    page, pkarr,
    places::{Crowded, PlaceUse, Places, Use},
    share::{Lineage, Network},
    store::{Store, StoreError},
};

/// From a request's headers to its answer, at most.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);

/// The same where mail is waited for, which takes up to [`mail::MAX_WAIT`].
const WAIT_WITHIN: Duration = Duration::from_secs(mail::MAX_WAIT + 5);

/// When to come again where others' places are waited for, in seconds: they are had for moments.
const SOON: u64 = 2;

/// When to come again where room is waited for, in seconds: how often what has expired is forgotten.
const LATER: u64 = 60;

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
    /// Requests under way.
    pub(crate) requests: Places,
    /// Those that wait for mail.
    pub(crate) waits: Places,
    /// Questions by datagram being answered.
    pub(crate) questions: Places,
    pub(crate) proxies: Vec<Subnet>,
    /// Turns true when the service ends; who waits for mail then stops.
    pub(crate) closing: watch::Receiver<bool>,
}

/// A connection, as its requests know it.
#[derive(Clone)]
pub(crate) struct Connection {
    /// Who is at the other end.
    pub(crate) peer: IpAddr,
    pub(crate) place: PlaceUse,
}

/// Who asks, for handlers.
#[derive(Clone, Copy)]
pub(crate) struct Asker(pub(crate) Lineage);

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

async fn guard(
    State(app): State<Arc<App>>,
    Extension(connection): Extension<Connection>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    connection.place.is(Use::Busy, started);
    let method = known(request.method());
    let route = route(request.uri().path());
    let from = asker(&app.proxies, connection.peer, request.headers());
    request.extensions_mut().insert(Asker(from));
    let limiter = match (route, method) {
        ("/v1/mail", _) => &app.mails,
        (_, "PUT" | "DELETE" | "POST") => &app.publishes,
        _ => &app.reads,
    };
    let waits = route == "/v1/mail" && method == "GET";
    let limited = limiter.take(&from, started);
    let limited = limited.map_err(Refusal::TooOften);
    let mut response = match limited.and_then(|()| {
        app.requests
            .take(&from, Use::Busy, started)
            .map_err(crowded)
    }) {
        Err(refusal) => refusal.into_response(),
        // A browser asks before it publishes for another origin's page.
        Ok(_) if method == "OPTIONS" => preflight(),
        Ok(mut place) => {
            let within = if waits { WAIT_WITHIN } else { REQUEST_WITHIN };
            tokio::select! {
                response = next.run(request) => response,
                () = tokio::time::sleep(within) => Refusal::TooSlow.into_response(),
                () = place.lost() => crowded(Crowded(from.own())).into_response(),
            }
        }
    };
    // Records are public to the one who knows their id, and signed: any page may read them.
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
    connection.place.is(Use::Idle, Instant::now());
    response
}

fn crowded(Crowded(full): Crowded) -> Refusal {
    Refusal::Crowded {
        what: "requests under way",
        full,
    }
}

/// The networks of who asks: of the peer, or of who a proxy of ours says it asks for.
pub(crate) fn asker(proxies: &[Subnet], peer: IpAddr, headers: &HeaderMap) -> Lineage {
    let ours = |address| proxies.iter().any(|proxy| proxy.contains(address));
    let address = match ours(peer) {
        true => forwarded(headers, ours).unwrap_or(peer),
        false => peer,
    };
    Lineage::of(address)
}

/// The last address in `X-Forwarded-For` that is not a proxy of ours: one of ours appended it, what is
/// before it anybody may have written.
fn forwarded(headers: &HeaderMap, ours: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    for value in headers.get_all("x-forwarded-for").iter().rev() {
        for part in value.to_str().ok()?.rsplit(',') {
            let part = part.trim();
            // Some append the port, too.
            let with_port = || part.parse().map(|address: SocketAddr| address.ip()).ok();
            let address = part.parse().ok().or_else(with_port)?;
            if !ours(address) {
                return Some(address);
            }
        }
    }
    None
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
#[derive(Clone, Debug)]
pub(crate) enum Refusal {
    NotFound(&'static str),
    Forbidden(&'static str),
    Conflict(&'static str),
    TooBig(usize),
    Unacceptable(String),
    /// Come again in so many seconds.
    TooOften(u64),
    TooSlow,
    /// A network has as many as it may have, for moments.
    Crowded {
        what: &'static str,
        full: Network,
    },
    /// The same, for so many seconds.
    NoRoom {
        what: &'static str,
        full: Network,
        seconds: u64,
    },
    Store(StoreError),
}

impl Refusal {
    /// Its status, and its sentence.
    pub(crate) fn said(&self) -> (StatusCode, String) {
        let (status, text) = match self {
            Self::NotFound(text) => (StatusCode::NOT_FOUND, (*text).to_owned()),
            Self::Forbidden(text) => (StatusCode::FORBIDDEN, (*text).to_owned()),
            Self::Conflict(text) => (StatusCode::CONFLICT, (*text).to_owned()),
            Self::TooBig(most) => {
                let text = format!("at most {most} bytes are taken here");
                (StatusCode::PAYLOAD_TOO_LARGE, text)
            }
            Self::Unacceptable(text) => (StatusCode::UNPROCESSABLE_ENTITY, text.clone()),
            Self::TooOften(_) => {
                let text = "your network asks too often".to_owned();
                (StatusCode::TOO_MANY_REQUESTS, text)
            }
            Self::TooSlow => {
                let text = "the request did not arrive in time; try again";
                (StatusCode::REQUEST_TIMEOUT, text.to_owned())
            }
            Self::Crowded {
                what,
                full: network,
            } => (StatusCode::SERVICE_UNAVAILABLE, full(what, *network)),
            Self::NoRoom {
                what,
                full: network,
                ..
            } => (StatusCode::INSUFFICIENT_STORAGE, full(what, *network)),
            Self::Store(error @ (StoreError::NoRoom | StoreError::Full(_))) => {
                (StatusCode::INSUFFICIENT_STORAGE, error.to_string())
            }
            Self::Store(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
        };
        let wait = self.retry_after();
        let wait = wait.map_or(String::new(), |wait| format!(": try again in {wait} s"));
        (status, format!("{text}{wait}\n"))
    }

    /// When to come again, in seconds, if that helps.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooOften(seconds) | Self::NoRoom { seconds, .. } => Some(*seconds),
            Self::Crowded { .. } => Some(SOON),
            Self::Store(StoreError::NoRoom | StoreError::Full(_)) => Some(LATER),
            Self::Store(StoreError::Busy | StoreError::Unavailable) => Some(SOON),
            _ => None,
        }
    }
}

/// That a network has as many of these as it may have.
pub(crate) fn full(what: &str, full: Network) -> String {
    match full {
        Network::ALL => format!("the service has as many {what} as it takes"),
        network => format!("{network} has as many {what} as one may have here"),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let answer = self.said().into_response();
        match self.retry_after() {
            None => answer,
            Some(seconds) => ([(header::RETRY_AFTER, seconds)], answer).into_response(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_our_proxies_wrote_counts() {
        let proxies: Vec<Subnet> = ["127.0.0.1", "10.0.0.0/8"]
            .map(|proxy| proxy.parse().unwrap())
            .to_vec();
        let asks = |peer: &str, values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("x-forwarded-for", HeaderValue::from_static(value));
            }
            asker(&proxies, peer.parse().unwrap(), &headers)
        };
        let address = |text: &str| Lineage::of(text.parse().unwrap());
        let ours = "127.0.0.1";
        assert_eq!(asks(ours, &["1.1.1.1, 192.0.2.7"]), address("192.0.2.7"));
        assert_eq!(
            asks(ours, &["1.1.1.1", "2001:db8::1"]),
            address("2001:db8::1")
        );
        assert_eq!(asks(ours, &["192.0.2.7:4711"]), address("192.0.2.7"));
        assert_eq!(asks(ours, &["[2001:db8::1]:4711"]), address("2001:db8::1"));
        // One of our proxies behind another.
        assert_eq!(
            asks(ours, &["1.1.1.1, 192.0.2.7, 10.0.0.1", "10.0.0.2"]),
            address("192.0.2.7")
        );
        assert_eq!(
            asks("::ffff:10.0.0.9", &["192.0.2.7"]),
            address("192.0.2.7")
        );
        // Nothing to be read, or nobody but us: the proxy itself.
        for odd in [&["1.1.1.1, unknown"][..], &[], &["10.0.0.1"], &["1.1.1.1,"]] {
            assert_eq!(asks(ours, odd), address(ours), "{odd:?}");
        }
        // Anybody else may write what they like.
        assert_eq!(asks("192.0.2.9", &["1.1.1.1"]), address("192.0.2.9"));
    }

    #[test]
    fn routes_are_counted_by_what_they_are() {
        assert_eq!(route("/v1/links/abc"), "/v1/links");
        assert_eq!(route("/v1/linksabc"), "other");
        assert_eq!(route("/s/abc"), "/s");
        assert_eq!(route("/"), "other");
    }
}

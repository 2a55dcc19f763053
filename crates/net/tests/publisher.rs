//! A session's link and codes over the days, in fractions of seconds: the keeper with the real link service.

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

mod common;

use std::{net::SocketAddr, path::Path, time::Duration};

use common::soon;
use iroh::EndpointAddr;
use pillion_caps::SecretKey;
use pillion_net::signal::{
    JoinError, LinkPublisher, PublisherEvent, Records, RefreshSchedule, Shared, SignalService,
    redeem,
};
use pillion_proto::{LinkRecord, LinkSecret, Ticket, Times};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// The service, on a thread and a runtime of its own so that its end is the end of its connections.
struct Service {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: std::thread::JoinHandle<()>,
}

impl Service {
    fn start(listen: &str, data: &Path) -> Service {
        let mut config = pillion_signal::Config::new(listen.parse().unwrap(), data);
        // Nobody looks up by datagram here, and the port must be had again after an outage.
        config.lookup = None;
        let (started, address) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let service = pillion_signal::Service::start(config).await.unwrap();
                started.send(service.addr()).unwrap();
                let _ = stopped.await;
                drop(service);
            });
        });
        let addr = address.recv().unwrap();
        Service { addr, stop, thread }
    }

    fn end(self) -> SocketAddr {
        drop(self.stop);
        self.thread.join().unwrap();
        self.addr
    }

    fn known(&self) -> SignalService {
        SignalService {
            url: format!("http://{}", self.addr).parse().unwrap(),
            ca: None,
        }
    }
}

fn quick() -> RefreshSchedule {
    RefreshSchedule {
        renew: Duration::from_millis(100),
        renew_spread: Duration::from_millis(20),
        retry: Duration::from_millis(20),
        longest_retry: Duration::from_millis(100),
        code_life: Duration::from_millis(200),
    }
}

/// What a session shares by the link of this seed.
fn shared(link: u8) -> Shared {
    let session = SecretKey::from_bytes(&[1; 32]);
    let id = iroh::EndpointId::from_bytes(session.public().as_bytes()).unwrap();
    Shared {
        secret: LinkSecret::derive(&session.to_bytes(), &[link; 32]),
        ticket: Ticket::new(
            EndpointAddr::new(id).with_ip_addr("127.0.0.1:7777".parse().unwrap()),
            Zeroizing::new([link; 32]),
            None,
        ),
        session: *session.public().as_bytes(),
        publish: true,
        relay: None,
    }
}

/// The times of the record at the service, if there is one that counts.
async fn record(records: &Records, secret: &LinkSecret) -> Option<Times> {
    let bytes = records.get(&secret.id()).await.unwrap()?;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let record = LinkRecord::verify(&bytes, &secret.id(), now.as_millis() as u64).unwrap();
    Some(record.times())
}

/// Looks again and again until there is something.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            // It can't tell when it changes.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon(what, looking).await
}

/// The first record with a higher number than `last`.
async fn newer(records: &Records, secret: &LinkSecret, last: u64) -> Times {
    let look = async || {
        record(records, secret)
            .await
            .filter(|times| times.seq > last)
    };
    until("a newer record", look).await
}

/// Waits until there is no record.
async fn gone(records: &Records, secret: &LinkSecret) {
    let look = async || record(records, secret).await.is_none().then_some(());
    until("the record to be gone", look).await;
}

/// The next news that is a sentence; how often the link was said to work meanwhile.
async fn sentence(keeper: &mut LinkPublisher, published: &mut usize) -> String {
    loop {
        match soon("news", keeper.news()).await {
            PublisherEvent::Published => *published += 1,
            PublisherEvent::Said(text) => return text,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_record_is_renewed_over_and_over_and_its_first_time_is_told_once() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start("127.0.0.1:0", dir.path());
    let records = Records::new(&service.known()).unwrap();
    let mut keeper = LinkPublisher::start_with(service.known(), quick()).unwrap();
    let first = shared(1);
    keeper.share(Some(first.clone()));
    assert_eq!(
        soon("the link", keeper.news()).await,
        PublisherEvent::Published
    );
    let mut last = newer(&records, &first.secret, 0).await;
    for _ in 0..3 {
        let next = newer(&records, &first.secret, last.seq).await;
        assert!(next.issued > last.issued && next.issued < last.expires);
        assert_eq!(next.expires - next.issued, 10 * 60 * 1000);
        last = next;
    }
    // Another link is told of again; the old one is gone, and nothing was said of renewals.
    let second = shared(2);
    keeper.share(Some(second.clone()));
    assert_eq!(
        soon("the next link", keeper.news()).await,
        PublisherEvent::Published
    );
    gone(&records, &first.secret).await;
    newer(&records, &second.secret, 0).await;
    keeper.end().await;
    gone(&records, &second.secret).await;
    service.end();
}

#[tokio::test]
async fn a_host_that_moved_is_found_where_it_is_without_waiting_for_a_renewal() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start("127.0.0.1:0", dir.path());
    let records = Records::new(&service.known()).unwrap();
    let pace = RefreshSchedule {
        renew: Duration::from_secs(3600),
        ..quick()
    };
    let mut keeper = LinkPublisher::start_with(service.known(), pace).unwrap();
    let mut shared = shared(1);
    keeper.share(Some(shared.clone()));
    assert_eq!(
        soon("the link", keeper.news()).await,
        PublisherEvent::Published
    );
    let first = newer(&records, &shared.secret, 0).await;

    let id = shared.ticket.addr.id;
    shared.ticket.addr = EndpointAddr::new(id).with_ip_addr("192.0.2.9:4433".parse().unwrap());
    keeper.share(Some(shared.clone()));
    let next = newer(&records, &shared.secret, first.seq).await;
    let bytes = records.get(&shared.secret.id()).await.unwrap().unwrap();
    let record = LinkRecord::verify(&bytes, &shared.secret.id(), next.issued).unwrap();
    let ticket = record.open(shared.secret.key()).unwrap();
    assert_eq!(Ticket::from_bytes(&ticket).unwrap(), shared.ticket);
    keeper.end().await;
    service.end();
}

#[tokio::test]
async fn after_an_outage_of_the_service_the_link_is_there_again() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start("127.0.0.1:0", &dir.path().join("before"));
    let known = service.known();
    let mut keeper = LinkPublisher::start_with(known.clone(), quick()).unwrap();
    let shared = shared(1);
    keeper.share(Some(shared.clone()));
    assert_eq!(
        soon("the link", keeper.news()).await,
        PublisherEvent::Published
    );

    let addr = service.end();
    let mut published = 0;
    let said = sentence(&mut keeper, &mut published).await;
    assert!(said.contains("cannot be reached"), "{said}");
    // It comes back where it was, and knows nothing of what it had.
    let service = Service::start(&addr.to_string(), &dir.path().join("after"));
    let said = sentence(&mut keeper, &mut published).await;
    assert!(said.contains("has this session's link again"), "{said}");
    let records = Records::new(&known).unwrap();
    let back = newer(&records, &shared.secret, 0).await;
    newer(&records, &shared.secret, back.seq).await;
    assert_eq!(published, 0, "it was told once");
    keeper.end().await;
    service.end();
}

#[tokio::test]
async fn an_unused_code_expires_and_whoever_comes_late_is_told_so_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start("127.0.0.1:0", dir.path());
    let known = service.known();
    let mut keeper = LinkPublisher::start_with(known.clone(), quick()).unwrap();
    keeper.share(Some(Shared {
        publish: false,
        ..shared(1)
    }));
    let code = soon("a code", keeper.code()).await.unwrap().unwrap();
    let code: pillion_code::Code = code.parse().unwrap();
    let said = sentence(&mut keeper, &mut 0).await;
    let number = code.number();
    assert_eq!(said, format!("code {number} has expired, unused"));
    let late = soon("an answer", redeem(&known, &code, &[9; 32])).await;
    match late {
        Err(JoinError::Code(why)) => assert!(why.contains("there is no such code"), "{why}"),
        other => panic!("{other:?}"),
    }
    keeper.end().await;
    service.end();
}

#[tokio::test]
async fn the_host_knows_who_used_a_code_before_they_have_the_ticket() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start("127.0.0.1:0", dir.path());
    let known = service.known();
    let pace = RefreshSchedule {
        code_life: Duration::from_secs(60),
        ..quick()
    };
    let mut keeper = LinkPublisher::start_with(known.clone(), pace).unwrap();
    let shared = Shared {
        publish: false,
        ..shared(1)
    };
    keeper.share(Some(shared.clone()));
    let code = soon("a code", keeper.code()).await.unwrap().unwrap();
    let code: pillion_code::Code = code.parse().unwrap();
    let guest = *SecretKey::from_bytes(&[5; 32]).public().as_bytes();
    let ticket = soon("the ticket", redeem(&known, &code, &guest)).await;
    assert_eq!(ticket.unwrap(), shared.ticket.for_endpoint(&guest));
    let number = code.number();
    let used = PublisherEvent::CodeUsed { number, guest };
    // It is there: nothing is waited for.
    let told = tokio::time::timeout(Duration::ZERO, keeper.news()).await;
    assert_eq!(told.unwrap(), used);
    keeper.end().await;
    service.end();
}

#[tokio::test]
async fn a_code_that_the_service_dropped_is_said_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start("127.0.0.1:0", dir.path());
    let pace = RefreshSchedule {
        code_life: Duration::from_secs(600),
        ..quick()
    };
    let mut keeper = LinkPublisher::start_with(service.known(), pace).unwrap();
    keeper.share(Some(Shared {
        publish: false,
        ..shared(1)
    }));
    let code = soon("a code", keeper.code()).await.unwrap().unwrap();
    let number = code.parse::<pillion_code::Code>().unwrap().number();
    // Mailboxes do not outlive the service.
    let addr = service.end();
    let service = Service::start(&addr.to_string(), dir.path());
    let said = sentence(&mut keeper, &mut 0).await;
    let why = format!("code {number} no longer works: the link service dropped it");
    assert!(said.starts_with(&why), "{said}");
    keeper.end().await;
    service.end();
}

/// A service that answers each request with the next of these, and tells when each came.
async fn scripted(
    answers: Vec<&'static str>,
) -> (
    SignalService,
    tokio::task::JoinHandle<Vec<std::time::Instant>>,
) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let known = SignalService {
        url: format!("http://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap(),
        ca: None,
    };
    let serving = tokio::spawn(async move {
        let mut came = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            came.push(std::time::Instant::now());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        came
    });
    (known, serving)
}

#[tokio::test]
async fn a_host_that_is_refused_comes_again_when_the_service_says_so() {
    let (known, serving) = scripted(vec![
        "HTTP/1.1 507 x\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: 35\r\n\r\nyour address has as: try again in 2s",
        "HTTP/1.1 204 x\r\nconnection: close\r\n\r\n",
    ])
    .await;
    // It would come again after 20 ms by itself.
    let mut keeper = LinkPublisher::start_with(known, quick()).unwrap();
    keeper.share(Some(shared(1)));
    let said = sentence(&mut keeper, &mut 0).await;
    assert!(said.contains("try again in 2 s"), "{said}");
    let came = soon("both requests", serving).await.unwrap();
    let between = came[1].duration_since(came[0]);
    assert!(between >= Duration::from_secs(2), "{between:?}");
}

//! Spoken codes, told with the real binary: who gets in by one, and what a guess or a service gets.

use crate::harness::Machine;
use crate::harness::service::Service;
use crate::harness::untrusted::{Tamper, Untrusted};
use crate::harness::ways::{join_text, refused, share};
use pillion::{
    caps::SecretKey,
    net::{
        NetOptions, RelayChoice,
        signal::{SignalService, redeem},
    },
    viewing::viewer_loop::{Options, Outcome, ViewerLoop},
};
use pillion_proto::Ticket;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng as _};

#[test]
fn a_code_brings_one_person_in() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let service = Service::start();
    for machine in [&anna, &bert, &carl] {
        service.trusted_by(machine);
    }
    let url = service.url().to_owned();
    let mut shared = share(&anna, &["--code", "--signal", &url]);
    assert_eq!(
        shared.link, None,
        "a service named for a code gives no link"
    );
    let code = shared.code.clone().unwrap();
    shared.host.send("echo seen-$((1+1))\r");
    shared.host.wait_for("seen-2");
    // As people write down what they are told.
    let spoken = format!(" {}\n", code.replace('-', " ").to_uppercase());
    let output = join_text(&bert, &spoken, &["--signal", &url]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("seen-2"),
        "{said}"
    );
    shared.host.wait_for("was used; it works for nobody else");
    let said = refused(&carl, 3, &code, &["--signal", &url]);
    assert!(
        said.contains("somebody has used this code already"),
        "{said}"
    );

    // Another one for the next.
    let next = anna.run(&["code"]);
    let output = join_text(&carl, &next, &["--signal", &url]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Joins by a ticket with this endpoint key, and leaves once the screen was shown.
async fn come_with(ticket: &Ticket, endpoint: Option<SecretKey>, seed: u8) -> Outcome {
    let options = Options {
        ticket: ticket.clone(),
        grants: Vec::new(),
        claims: Vec::new().into(),
        identity: SecretKey::from_bytes(&[seed; 32]),
        name: format!("person {seed}"),
        read_only: false,
        terminal: None,
        relay: RelayChoice::None,
        net: NetOptions::default(),
        inside: Vec::new(),
        resolver: None,
        endpoint,
    };
    ViewerLoop::start(options).unwrap().text().await.unwrap()
}

#[test]
fn what_a_code_gives_is_for_the_viewer_that_typed_it_and_the_audit_says_so() {
    let anna = Machine::new();
    let service = Untrusted::start();
    let url = service.url();
    let shared = share(&anna, &["--code", "--signal", &url]);
    let code: pillion_code::Code = shared.code.clone().unwrap().parse().unwrap();
    let number = code.number();
    let url = url.parse().unwrap();
    let service = SignalService { url, ca: None };
    let endpoint = SecretKey::from_bytes(&[77; 32]);
    let own = endpoint.public();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let ticket = redeem(&service, &code, own.as_bytes()).await.unwrap();
        // Passed on, it opens nothing: a viewer with any other endpoint key is refused.
        match come_with(&ticket, None, 60).await {
            Outcome::Refused(text) => {
                assert!(text.contains("given by a code to another viewer"), "{text}");
            }
            other => panic!("{other:?}"),
        }
        shared
            .host
            .wait_for(&format!("by what code {number} gave, and"));
        let came = come_with(&ticket, Some(endpoint.clone()), 61).await;
        assert_eq!(came, Outcome::Left);
        let whole: Ticket = shared.ticket.parse().unwrap();
        assert_eq!(come_with(&whole, None, 62).await, Outcome::Left);
        // And it ends with the ticket it comes of.
        anna.run(&["ticket", "--new"]);
        match come_with(&ticket, Some(endpoint), 61).await {
            Outcome::Refused(text) => {
                assert!(text.contains("does not open this session"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    });
    let audit = anna.run_until(&["audit"], "everybody", |out| out.contains("person 62"));
    let line = |part: &str| {
        let mut lines = audit.lines();
        lines
            .find(|line| line.contains(part))
            .unwrap_or_else(|| panic!("{part}: {audit}"))
    };
    line(&format!("used code {number}"));
    assert!(line("person 60").contains("was turned away"), "{audit}");
    let came = line("person 61");
    assert!(
        came.contains(&format!("joined, by code {number}")),
        "{audit}"
    );
    assert!(
        line("person 62").contains("joined, by the ticket"),
        "{audit}"
    );
}

#[test]
fn a_wrong_guess_burns_the_code_and_the_host_is_told() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Service::start();
    for machine in [&anna, &bert] {
        service.trusted_by(machine);
    }
    let url = service.url().to_owned();
    let shared = share(&anna, &["--code", "--signal", &url]);
    let code = shared.code.clone().unwrap();
    let number = code.split('-').next().unwrap();
    let wrong = match code.contains("zebra") {
        true => format!("{number}-walnut-yogurt"),
        false => format!("{number}-zebra-zebra"),
    };
    let said = refused(&bert, 3, &wrong, &["--signal", &url]);
    assert!(
        said.contains("the host says that the code was wrong"),
        "{said}"
    );
    shared.host.wait_for("somebody tried code");
    let said = refused(&bert, 3, &code, &["--signal", &url]);
    assert!(said.contains("used this code already"), "{said}");
    // A slip that is in no code costs nothing: it is not sent.
    let said = refused(
        &bert,
        1,
        &format!("{number}-zebrra-zebra"),
        &["--signal", &url],
    );
    assert!(said.contains("\"zebra\" would be"), "{said}");
}

#[test]
fn a_service_that_plays_a_part_in_the_exchange_gets_nothing() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let service = Untrusted::start();
    let url = service.url();

    // It guesses for itself, before anybody else can.
    service.tamper(Tamper::Guess(|offer| {
        let mut rng = ChaCha20Rng::from_seed([1; 32]);
        let code = "7-zebra-zebra".parse().unwrap();
        let guess = pillion_code::Guess::new(&code, &[1; 32], offer, &mut rng).unwrap();
        guess.message().to_vec()
    }));
    let shared = share(&anna, &["--code", "--signal", &url]);
    shared.host.wait_for("somebody tried code");
    let code = shared.code.clone().unwrap();
    let said = refused(&bert, 3, &code, &["--signal", &url]);
    assert!(
        said.contains("somebody has used this code already"),
        "{said}"
    );

    // It gives the guest an offer of its own making, for words it made up.
    service.tamper(Tamper::Nothing);
    let code = anna.run(&["code"]).trim().to_owned();
    let mut rng = ChaCha20Rng::from_seed([2; 32]);
    let forged = pillion_code::Offer::new(&"7-zebra-zebra".parse().unwrap(), &mut rng);
    service.tamper(Tamper::Host(0, forged.message().to_vec()));
    let said = refused(&bert, 3, &code, &["--signal", &url]);
    assert!(said.contains("the code was wrong"), "{said}");

    // It makes up the answer.
    service.tamper(Tamper::Nothing);
    let code = anna.run(&["code"]).trim().to_owned();
    service.tamper(Tamper::Host(1, [vec![1, 1], vec![7; 200]].concat()));
    let said = refused(&bert, 3, &code, &["--signal", &url]);
    assert!(said.contains("the service in between changed"), "{said}");

    let ticket: Ticket = shared.ticket.parse().unwrap();
    assert!(!service.saw(&ticket.link[..16]));
    assert!(!service.saw(shared.ticket.as_bytes()));
}

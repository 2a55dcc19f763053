//! One person's devices, each a home of its own, with the real binary and the real link service.

use std::os::unix::fs::PermissionsExt;

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::service::Service;
use crate::harness::{Machine, Piped, SIZE, Term, VIEWER, until};

/// A device that knows the service.
fn device(service: &Service) -> Machine {
    let machine = Machine::new();
    service.known_to(&machine);
    machine
}

/// What `pillion device link` printed to be run on the other device: its code.
fn invite(machine: &Machine, name: &str) -> (Piped, String) {
    let args = ["device", "link", "--name", name];
    let inviting = Piped::start_with_input(machine.pillion(&args));
    let printed = inviting
        .out
        .wait_until("the code", |out| out.ends_with('\n'));
    let code = printed.trim().strip_prefix("pillion device link ");
    let code = code.unwrap_or_else(|| panic!("{printed}")).to_owned();
    (inviting, code)
}

fn accept(machine: &Machine, name: &str, code: &str) -> Piped {
    let args = ["device", "link", code, "--name", name];
    Piped::start_with_input(machine.pillion(&args))
}

/// The digits a device shows to be compared.
fn shown(device: &Piped) -> String {
    let text = device
        .err
        .wait_until("the digits", |err| err.contains("[y/N]"));
    let line = text
        .lines()
        .find_map(|line| line.split_once("the same now: "));
    line.unwrap_or_else(|| panic!("{text}")).1.to_owned()
}

/// Links `new` with `old`, as people do.
fn link((old, old_name): (&Machine, &str), (new, new_name): (&Machine, &str)) {
    let (mut inviting, code) = invite(old, old_name);
    let mut accepting = accept(new, new_name, &code);
    assert_eq!(shown(&inviting), shown(&accepting));
    inviting.send("y\n");
    accepting.send("y\n");
    let accepted = accepting.wait();
    assert!(
        accepted.status.success(),
        "{}",
        String::from_utf8_lossy(&accepted.stderr)
    );
    let invited = inviting.wait();
    let said = String::from_utf8_lossy(&invited.stderr).into_owned();
    assert!(invited.status.success(), "{said}");
    assert!(said.contains(&format!("Linked with {new_name}")), "{said}");
}

/// A shared shell of this name.
fn share(machine: &Machine, name: &str) -> Term {
    let (host, _) = machine.share_shell(&["--name", name]);
    host
}

/// Waits until `pillion ls --all-devices` lists exactly these, `device/name` each.
fn lists(machine: &Machine, wanted: &[&str]) {
    let args = ["ls", "--all-devices", "--json"];
    machine.run_until(&args, &format!("{wanted:?}"), |out| {
        let all: Vec<serde_json::Value> = serde_json::from_str(out).unwrap_or_default();
        let text = |one: &serde_json::Value, field: &str| one[field].as_str().unwrap().to_owned();
        let mut all: Vec<String> = all
            .iter()
            .map(|one| format!("{}/{}", text(one, "device"), text(one, "name")))
            .collect();
        all.sort();
        all == wanted
    });
}

#[test]
fn two_linked_devices_find_each_others_sessions_by_name() {
    let service = Service::start();
    let (laptop, desk) = (device(&service), device(&service));
    link((&laptop, "laptop"), (&desk, "desk"));
    for (machine, other) in [(&laptop, "desk"), (&desk, "laptop")] {
        let all = machine.run(&["device", "ls"]);
        assert!(all.contains(other) && all.contains("this device"), "{all}");
        let file = machine.path("config/pillion/devices.json");
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    lists(&laptop, &[]);

    let mut build = share(&desk, "build");
    build.send("echo on-the-$((1+1))-desk\r");
    build.wait_for("on-the-2-desk");
    lists(&laptop, &["desk/build"]);
    lists(&desk, &[]);
    for name in ["build", "desk/build"] {
        let screen = laptop.run(&["join", "--text", name]);
        assert!(screen.contains("on-the-2-desk"), "{screen}");
    }
    let mut viewer = Term::start(laptop.pillion(&["join", "build"]), VIEWER);
    viewer.wait_for("on-the-2-desk");
    viewer.send(&format!("{}q", crate::harness::PREFIX));
    assert_eq!(viewer.wait_code(), Some(0));

    // Two of one name can't be told apart, and one of none is not there.
    let other = share(&desk, "build");
    lists(&laptop, &["desk/build", "desk/build"]);
    let said = laptop.fails(1, &["join", "build"]);
    assert!(said.contains("could be any of desk/build"), "{said}");
    let said = laptop.fails(4, &["join", "nothing"]);
    assert!(said.contains("pillion ls --all-devices"), "{said}");

    // What ends or is stopped is not listed any more, whichever goes first.
    build.send("exit\r");
    assert_eq!(build.wait_code(), Some(0));
    lists(&laptop, &["desk/build"]);
    desk.run(&["stop"]);
    lists(&laptop, &[]);
    drop(other);
}

#[test]
fn sessions_that_are_stuck_keep_the_others_of_their_device_from_nothing() {
    let service = Service::start();
    let (laptop, desk) = (device(&service), device(&service));
    link((&laptop, "laptop"), (&desk, "desk"));
    let stuck = ["one", "two"].map(|name| share(&desk, name));
    lists(&laptop, &["desk/one", "desk/two"]);
    for host in &stuck {
        let pid = Pid::from_raw(host.session_pid() as i32).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
    }
    let mut build = share(&desk, "build");
    lists(&laptop, &["desk/build"]);
    // Its last word is about them as well, and is not waited for long.
    build.send("exit\r");
    assert_eq!(build.wait_code(), Some(0));
    lists(&laptop, &[]);
}

#[test]
fn an_unlinked_device_finds_nothing_any_more_and_the_others_do() {
    let service = Service::start();
    let [laptop, desk, phone] = [(); 3].map(|()| device(&service));
    link((&laptop, "laptop"), (&desk, "desk"));
    link((&laptop, "laptop"), (&phone, "phone"));
    let _build = share(&desk, "build");
    // The desk and the phone know of each other only by the laptop.
    let _notes = share(&laptop, "notes");
    lists(&phone, &["desk/build", "laptop/notes"]);
    lists(&desk, &["laptop/notes"]);

    laptop.run(&["device", "unlink", "phone"]);
    lists(&desk, &["laptop/notes"]);
    lists(&laptop, &["desk/build"]);
    lists(&phone, &[]);
    for machine in [&laptop, &desk] {
        let all = machine.run(&["device", "ls"]);
        assert!(!all.contains("phone"), "{all}");
    }
    // It can be linked again, as anything can.
    phone.run(&["device", "unlink", "phone"]);
    link((&desk, "desk"), (&phone, "phone"));
    lists(&phone, &["desk/build", "laptop/notes"]);
}

/// The names of the devices that one knows, its own too.
fn knows(machine: &Machine) -> Vec<String> {
    let all: Vec<serde_json::Value> =
        serde_json::from_str(&machine.run(&["device", "ls", "--json"])).unwrap();
    let name = |one: &serde_json::Value| one["name"].as_str().unwrap().to_owned();
    let mut all: Vec<String> = all.iter().map(name).collect();
    all.sort();
    all
}

/// Waits until a device knows exactly these.
fn knows_in_the_end(machine: &Machine, wanted: &[&str]) {
    until(&format!("{wanted:?} to be known"), || {
        (knows(machine) == wanted).then_some(())
    });
}

/// Whether a device waits until another one was seen with the new secret.
fn waits_for(machine: &Machine, name: &str) -> bool {
    let all: Vec<serde_json::Value> =
        serde_json::from_str(&machine.run(&["device", "ls", "--json"])).unwrap();
    let one = all.iter().find(|one| one["name"] == name).unwrap();
    one["waits"].as_bool().unwrap()
}

/// `pillion ls --all-devices` once; what it said beside the list.
fn looks(machine: &Machine) -> String {
    let output = machine.output(&["ls", "--all-devices", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// A laptop linked with a desk, a phone and a tablet, all of which know each other.
fn four(service: &Service) -> [Machine; 4] {
    let [laptop, desk, phone, tablet] = [(); 4].map(|()| device(service));
    link((&laptop, "laptop"), (&desk, "desk"));
    link((&laptop, "laptop"), (&phone, "phone"));
    link((&laptop, "laptop"), (&tablet, "tablet"));
    for machine in [&laptop, &desk, &phone, &tablet] {
        knows_in_the_end(machine, &["desk", "laptop", "phone", "tablet"]);
    }
    [laptop, desk, phone, tablet]
}

#[test]
fn a_device_that_was_away_gets_the_new_secret_whenever_it_meets_the_one_that_made_it() {
    let mut service = Service::start();
    let [laptop, desk, phone, _tablet] = four(&service);
    laptop.run(&["device", "unlink", "phone"]);
    // Much later: nothing of what was left is there any more.
    service.forget_everything();
    let said = looks(&desk);
    assert!(said.contains("waits for the new secret"), "{said}");
    assert!(said.contains("laptop"), "{said}");
    assert_eq!(knows(&desk), ["desk", "laptop", "phone", "tablet"]);

    // Any command that asks the service leaves it again.
    assert!(waits_for(&laptop, "desk"));
    looks(&desk);
    assert_eq!(knows(&desk), ["desk", "laptop", "tablet"]);
    assert!(!waits_for(&laptop, "desk"), "it was seen");
    assert!(waits_for(&laptop, "tablet"), "it was not");
    let _build = share(&desk, "build");
    lists(&laptop, &["desk/build"]);
    assert!(!phone.run(&["ls", "--all-devices"]).contains("build"));
}

#[test]
fn every_device_that_knows_the_new_secret_leaves_it_for_those_that_do_not() {
    let mut service = Service::start();
    let [laptop, desk, phone, tablet] = four(&service);
    laptop.run(&["device", "unlink", "phone"]);
    looks(&tablet);
    assert_eq!(knows(&tablet), ["desk", "laptop", "tablet"]);
    service.forget_everything();
    // The laptop never comes back. A shared session of the other one is enough.
    let notes = share(&tablet, "notes");
    lists(&desk, &["tablet/notes"]);
    assert_eq!(knows(&desk), ["desk", "laptop", "tablet"]);
    until("the tablet to have seen the desk", || {
        looks(&desk);
        (!waits_for(&tablet, "desk")).then_some(())
    });
    assert!(!waits_for(&tablet, "laptop"), "it made the secret");
    assert!(!phone.run(&["ls", "--all-devices"]).contains("notes"));
    drop(notes);
    drop(laptop);
}

#[test]
fn of_two_unlinked_at_once_neither_finds_anything_any_more() {
    let mut service = Service::start();
    let [laptop, desk, phone, tablet] = four(&service);
    let watch = device(&service);
    link((&laptop, "laptop"), (&watch, "watch"));
    let all = ["desk", "laptop", "phone", "tablet", "watch"];
    for machine in [&desk, &tablet] {
        knows_in_the_end(machine, &all);
    }
    // Neither hears of what the other one does.
    laptop.run(&["device", "unlink", "phone"]);
    service.forget_everything();
    desk.run(&["device", "unlink", "tablet"]);

    let stay = ["desk", "laptop", "watch"];
    for machine in [&laptop, &desk, &watch] {
        looks(&laptop);
        knows_in_the_end(machine, &stay);
    }
    let _build = share(&laptop, "build");
    let _notes = share(&watch, "notes");
    lists(&desk, &["laptop/build", "watch/notes"]);
    lists(&watch, &["laptop/build"]);
    lists(&laptop, &["watch/notes"]);
    for machine in [&phone, &tablet] {
        let found = machine.run(&["ls", "--all-devices"]);
        assert!(
            !found.contains("build") && !found.contains("notes"),
            "{found}"
        );
    }
}

#[test]
fn a_device_that_left_comes_back_as_another_one() {
    let service = Service::start();
    let (laptop, desk) = (device(&service), device(&service));
    link((&laptop, "laptop"), (&desk, "desk"));
    let id = |machine: &Machine| {
        let all = machine.run(&["device", "ls", "--json"]);
        let all: Vec<serde_json::Value> = serde_json::from_str(&all).unwrap();
        let own = all.iter().find(|one| one["this"] == true).unwrap();
        own["id"].as_str().unwrap().to_owned()
    };
    let before = id(&desk);
    desk.run(&["device", "unlink", "desk"]);
    assert_eq!(desk.run(&["device", "ls", "--json"]).trim(), "[]");
    laptop.run(&["device", "unlink", "desk"]);
    link((&laptop, "laptop"), (&desk, "desk"));
    assert_ne!(id(&desk), before);
}

#[test]
fn nothing_is_linked_without_a_yes_on_both_or_by_a_wrong_code() {
    let service = Service::start();
    let (laptop, desk) = (device(&service), device(&service));
    for (first, second) in [("y\n", "n\n"), ("n\n", "y\n")] {
        let (mut inviting, code) = invite(&laptop, "laptop");
        let mut accepting = accept(&desk, "desk", &code);
        assert_eq!(shown(&inviting), shown(&accepting));
        inviting.send(first);
        accepting.send(second);
        assert_eq!(inviting.wait_exit().code(), Some(1));
        assert_eq!(accepting.wait_exit().code(), Some(1));
    }
    let (inviting, code) = invite(&laptop, "laptop");
    let (number, _) = code.split_once('-').unwrap();
    let words = if code.ends_with("guitar-lantern") {
        "lantern-guitar"
    } else {
        "guitar-lantern"
    };
    let mut accepting = accept(&desk, "desk", &format!("{number}-{words}"));
    shown(&accepting);
    accepting.send("y\n");
    let refused = inviting.wait();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && !said.contains("[y/N]"),
        "{said}"
    );
    assert_eq!(accepting.wait_exit().code(), Some(1));
    for machine in [&laptop, &desk] {
        assert_eq!(machine.run(&["device", "ls", "--json"]).trim(), "[]");
        let said = machine.fails(1, &["device", "unlink", "desk"]);
        assert!(said.contains("pillion device link"), "{said}");
    }
    // Without a link service it is said what is missing.
    let lone = Machine::new();
    let said = lone.fails(1, &["device", "link"]);
    assert!(said.contains("--signal"), "{said}");
    let said = Term::start(lone.pillion(&["join", "build", "--text"]), SIZE).wait_code();
    assert_eq!(said, Some(1));
}

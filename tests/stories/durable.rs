//! What stays of a session on disk: through kills, a full disk, and no longer than asked for.

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    harness::{Machine, SIZE, Term, request_and_grant, until},
    skip::skip,
};

fn unix_micros() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_micros() as u64
}

/// `line-N TIME` lines, in order; before the first of a terminal's is what pillion asked it.
fn numbered(text: &str) -> Vec<(u64, u64)> {
    let parse = |line: &str| {
        let (number, time) = line.trim().split_once("line-")?.1.split_once(' ')?;
        Some((number.parse().ok()?, time.parse().ok()?))
    };
    text.lines().filter_map(parse).collect()
}

/// A session that printed numbered lines and was killed amidst them; what its terminal got, and when.
fn killed(machine: &Machine) -> (String, u64) {
    // Nothing comes from the pipe: reading it is how bash waits without starting a program.
    let program = "mkfifo pipe; exec 9<>pipe; i=0; while :; do echo \"line-$i ${EPOCHREALTIME/./}\"; i=$((i+1)); read -t 0.004 -u 9; done";
    let (mut host, _) = machine.share(
        SIZE,
        &["-q", "--name", "killed", "--", "bash", "-c", program],
    );
    host.wait_for("line-600 ");
    let at = unix_micros();
    host.kill();
    (host.raw_text(), at)
}

#[test]
fn a_killed_hosts_session_is_there_to_the_last_moment() {
    let anna = Machine::new();
    let (seen, killed_at) = killed(&anna);
    let seen = numbered(&seen);
    assert!(seen.len() > 600);

    let session = anna.session();
    assert_eq!(
        (&session["state"], &session["name"]),
        (&"ended".into(), &"killed".into())
    );
    assert_eq!(
        anna.run(&["ls", "--json"]).trim(),
        "[]",
        "it does not run any more"
    );

    let kept = numbered(&anna.run(&["export", "--format", "txt"]));
    assert!(
        kept.iter()
            .zip(0..)
            .all(|((number, _), wanted)| *number == wanted),
        "in order, without a gap"
    );
    // 50 ms on a machine that gives the host its turn; this one may be busy with other tests.
    let due = seen
        .iter()
        .filter(|(_, time)| *time + 1_000_000 <= killed_at)
        .count();
    assert!(
        kept.len() >= due,
        "{} of {due} lines that are older than a second",
        kept.len()
    );
    assert!(
        seen.starts_with(&kept) || kept.starts_with(&seen),
        "what was printed"
    );

    // Commands say that it does not run, and another session can be started.
    let id = session["session"].as_str().unwrap();
    let said = anna.fails(4, &["who", "--session", id]);
    assert!(said.contains("pillion ls"), "{said}");
    let (_host, _) = anna.share_shell(&[]);
    anna.run(&["who"]);
}

/// `pillion share --restart`, with the ticket once it is there.
fn restart(machine: &Machine, id: &str) -> (Term, String) {
    let (host, ticket) = machine.share(SIZE, &["--restart", id]);
    host.wait_for("$ ");
    (host, ticket)
}

#[test]
fn a_killed_host_started_again_is_the_same_session() {
    let [anna, bert, carl, dora] = [(); 4].map(|()| Machine::new());
    let (mut host, ticket) = anna.share_shell(&["--name", "work"]);
    host.send("echo before-$((1+1))\r");
    host.wait_for("before-2");
    let token = anna.run(&["grant", "--link", "--edit", "--uses", "1"]);
    let mut viewer = bert.watch(&ticket, &["--name", "bert", "--grant", token.trim()]);
    viewer.wait_for("edit for");
    let mut kicked = carl.watch(&ticket, &["--name", "carl"]);
    anna.run(&["kick", "carl"]);
    assert_eq!(kicked.wait_code(), Some(3));
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    host.kill();
    let (mut host, again) = restart(&anna, &id);

    // The same session: its id, its name, the ticket's key and seed.
    let session = anna.session();
    assert_eq!(session["session"], id);
    assert_eq!(
        (&session["name"], &session["state"]),
        (&"work".into(), &"shared".into())
    );
    let keys = |ticket: &str| {
        let ticket: pillion::proto::Ticket = ticket.parse().unwrap();
        (ticket.addr.id, ticket.link)
    };
    assert_eq!(keys(&again), keys(&ticket));

    // Who was there comes back by themselves, with their right, to the program of now.
    viewer.wait_gone("before-2");
    viewer.send("echo bert-$((1+1))\r");
    host.wait_for("bert-2");
    // A used token is used, a barred key barred, and the ticket of before opens.
    let late = dora.watch(&ticket, &["--name", "dora", "--grant", token.trim()]);
    late.wait_for("used up");
    let mut back = carl.join(SIZE, &ticket, &["--name", "another"]);
    assert_eq!(back.wait_code(), Some(3));

    // Nothing that was recorded is lost, and what comes now is recorded behind it.
    host.send("exit\r");
    assert_eq!(host.wait_code(), Some(0));
    let text = anna.run(&["export"]);
    let at = |wanted: &str| {
        let found = text.lines().position(|line| line.contains(wanted));
        found.unwrap_or_else(|| panic!("{wanted} is missing: {text}"))
    };
    assert!(at("before-2") < at("started again"), "{text}");
    assert!(at("started again") < at("bert-2"), "{text}");
    let cast = anna.run(&["export", "--format", "cast"]);
    assert!(cast.contains("before-2") && cast.contains("bert-2"));
    assert!(
        cast.lines()
            .any(|line| line.contains("\"m\"") && line.contains("started again"))
    );

    // An ended one, too; and what was stopped stays closed to tickets of before.
    let (host, third) = restart(&anna, &id);
    assert_eq!(keys(&third), keys(&ticket));
    anna.run(&["stop"]);
    drop(host);
    let (_host, fourth) = restart(&anna, "work");
    assert_ne!(keys(&fourth), keys(&ticket));
    let mut stale = dora.join(SIZE, &third, &["--name", "dora"]);
    assert_eq!(stale.wait_code(), Some(3), "{}", stale.raw_text());
}

#[test]
fn only_a_session_that_ended_and_is_whole_is_started_again() {
    let anna = Machine::new();
    let (mut host, _) = anna.share_shell(&["--name", "work"]);
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    let again = |name: &str| ["--share", "-q", "--restart", name, "--", "true"].map(str::to_owned);
    let fails = |code: i32, name: &str| {
        let args = again(name);
        anna.fails(code, &args.each_ref().map(String::as_str))
    };
    let said = fails(1, &id);
    assert!(said.contains("still running"), "{said}");
    let said = fails(4, "nothing");
    assert!(said.contains("pillion ls --all"), "{said}");
    host.send("exit 3\r");
    assert_eq!(host.wait_code(), Some(3));

    // Refused, it stays what it was.
    let dir = anna.path("state/pillion/sessions").join(&id);
    let key = std::fs::read(dir.join("session-key.doc")).unwrap();
    std::fs::write(dir.join("session-key.doc"), &key[..31]).unwrap();
    let said = fails(1, &id);
    assert!(said.contains("damaged"), "{said}");
    std::fs::write(dir.join("session-key.doc"), [7; 32]).unwrap();
    let said = fails(1, &id);
    assert!(said.contains("no key of its own"), "{said}");
    std::fs::write(dir.join("session-key.doc"), &key).unwrap();
    let reason = anna.session()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("exit code 3"), "{reason}");

    let (host, _) = restart(&anna, &id);
    drop(host);
    anna.run(&["rm", &id]);
    fails(4, &id);
}

/// Where each entry of a ledger begins, and its end.
fn ledger_entries(bytes: &[u8]) -> Vec<usize> {
    let mut bounds = vec![0];
    while let Some(length) = bytes[bounds[bounds.len() - 1]..].first_chunk::<4>() {
        let length = u32::from_le_bytes(*length) as usize;
        bounds.push(bounds[bounds.len() - 1] + 8 + length);
    }
    bounds
}

#[test]
fn nothing_is_started_from_a_ledger_that_lost_an_event() {
    let [anna, carl, dora] = [(); 3].map(|()| Machine::new());
    let (mut host, ticket) = anna.share_shell(&["--name", "work"]);
    let mut kicked = carl.watch(&ticket, &["--name", "carl"]);
    anna.run(&["kick", "carl"]);
    assert_eq!(kicked.wait_code(), Some(3));
    let token = anna.run(&["grant", "--link", "--edit"]);
    let viewer = dora.watch(&ticket, &["--name", "dora", "--grant", token.trim()]);
    viewer.wait_for("edit for");
    anna.run(&["allow", "invited"]);
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    host.kill();

    let dir = anna.path("state/pillion/sessions").join(&id);
    let (log, count) = (dir.join("ledger.log"), dir.join("ledger.count"));
    let (whole, counted) = (std::fs::read(&log).unwrap(), std::fs::read(&count).unwrap());
    let meta = std::fs::read(dir.join("meta.json")).unwrap();
    let refused = || {
        let said = anna.fails(1, &["--share", "-q", "--restart", &id, "--", "true"]);
        assert!(
            said.contains("ledger") && said.contains("pillion share"),
            "{said}"
        );
        assert_eq!(anna.run(&["ls", "--json"]).trim(), "[]");
        assert_eq!(std::fs::read(dir.join("meta.json")).unwrap(), meta);
    };
    let at = ledger_entries(&whole);
    assert!(at.len() > 5, "{at:?}");
    for lost in 0..at.len() - 1 {
        std::fs::write(&log, [&whole[..at[lost]], &whole[at[lost + 1]..]].concat()).unwrap();
        refused();
        std::fs::write(&log, &whole[..at[lost]]).unwrap();
        refused();
    }
    std::fs::write(&log, &whole[..whole.len() - 1]).unwrap();
    refused();
    for file in [&log, &count] {
        let bytes = std::fs::read(file).unwrap();
        std::fs::write(&log, &whole).unwrap();
        std::fs::remove_file(file).unwrap();
        refused();
        std::fs::write(file, bytes).unwrap();
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    // As it was, it is started, and everything taken away stays away.
    std::fs::write(&log, &whole).unwrap();
    std::fs::write(&count, &counted).unwrap();
    let (_host, ticket) = restart(&anna, &id);
    let mut back = carl.join(SIZE, &ticket, &["--name", "another"]);
    assert_eq!(back.wait_code(), Some(3));
    assert!(anna.run(&["allow"]).contains("invited"));
}

#[test]
fn a_recording_is_an_asciicast() {
    let anna = Machine::new();
    killed(&anna);
    let file = anna.path("demo.cast");
    anna.run(&["export", "--format", "cast", "-o", file.to_str().unwrap()]);
    assert_eq!(mode(&file), 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    let later = anna.run(&["export", "--format", "cast3"]);
    let kept = numbered(&anna.run(&["export"]));
    let sizes = [
        (text, 2, ["/width", "/height"]),
        (later, 3, ["/term/cols", "/term/rows"]),
    ];
    let mut lasted = Vec::new();
    for (text, version, [cols, rows]) in sizes {
        let mut lines = text.lines();
        let header: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!(header["version"], version);
        assert_eq!(header.pointer(cols), Some(&80.into()));
        assert_eq!(header.pointer(rows), Some(&24.into()));

        // Played, it shows what was there.
        let mut player =
            vt100::Parser::new(crate::harness::cells(24), crate::harness::cells(80), 0);
        let mut at = 0.0;
        for line in lines {
            let (time, code, data): (f64, String, String) = serde_json::from_str(line).unwrap();
            let now = if version == 2 { time } else { at + time };
            assert!(now >= at, "time goes forward: {line}");
            at = now;
            assert!(["o", "r", "x", "m", "i"].contains(&code.as_str()), "{line}");
            if code == "o" {
                player.process(data.as_bytes());
            }
        }
        assert!((0.5..60.0).contains(&at), "{at} seconds");
        let shown = numbered(&player.screen().contents());
        assert_eq!(shown.last(), kept.last());
        lasted.push(at);
    }
    assert!((lasted[0] - lasted[1]).abs() < 0.01, "{lasted:?}");
}

#[test]
fn a_running_sessions_history_can_be_exported() {
    let anna = Machine::new();
    let (mut host, _) = anna.share_shell(&[]);
    host.send("seq -f number-%g 200\r");
    host.wait_for("number-200");
    let text = anna.run_until(&["export"], "the last line", |text| {
        text.contains("number-200")
    });
    for number in 1..=200 {
        assert!(
            text.lines().any(|line| line == format!("number-{number}")),
            "{number} is missing"
        );
    }
}

#[test]
fn who_came_and_what_they_did_is_written_down() {
    let [anna, bert, carl, dora] = [(); 4].map(|()| Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    request_and_grant(&mut viewer, &mut host);
    viewer.send("echo secret-$((1+1))\r");
    host.wait_for("secret-2");
    let mut kicked = carl.watch(&ticket, &["--name", "carl"]);
    anna.run(&["kick", "carl"]);
    assert_eq!(kicked.wait_code(), Some(3));
    anna.run(&["ticket", "--new"]);
    let mut late = dora.join(SIZE, &ticket, &["--name", "dora"]);
    assert_eq!(late.wait_code(), Some(3));
    let who = anna.who();
    let print = who[0]["fingerprint"].as_str().unwrap();

    // While it runs: that bert types is there before he stops.
    let running = anna.run(&["audit"]);
    let row = |text: &str, parts: &[&str]| {
        let found = text
            .lines()
            .find(|line| parts.iter().all(|part| line.contains(part)));
        found
            .unwrap_or_else(|| panic!("{parts:?} is missing: {text}"))
            .to_owned()
    };
    for parts in [
        &["the host", "began sharing"][..],
        &["bert", print, "joined"],
        &["bert", "asked for edit"],
        &["the host", "granted edit to", print],
        &["bert", "began to type"],
        &["the host, by command", "removed and blocked carl"],
        &["the host, by command", "replaced the ticket"],
        &["dora", "was turned away", "ticket"],
    ] {
        row(&running, parts);
    }
    host.send("exit\r");
    assert_eq!(host.wait_code(), Some(0));
    let ended = anna.run(&["audit"]);
    let typed = row(&ended, &["bert", "typed ", "bytes within"]);
    assert!(typed.contains(" typed 21 bytes "), "{typed}");
    assert!(!ended.contains("began to type"), "{ended}");

    let all: Vec<serde_json::Value> =
        serde_json::from_str(&anna.run(&["audit", "--json"])).unwrap();
    let one = |event: &str| {
        let mut found = all.iter().filter(|entry| entry["event"] == event);
        found
            .next()
            .unwrap_or_else(|| panic!("no {event}: {all:#?}"))
    };
    assert_eq!(
        (&one("typed")["name"], &one("typed")["fingerprint"]),
        (&"bert".into(), &print.into())
    );
    assert_eq!(one("typed")["grant"], one("granted")["grant"]);
    assert_eq!(
        (&one("granted")["by"], &one("kicked")["by"]),
        (&"host".into(), &"socket".into())
    );
    let times: Vec<u64> = all
        .iter()
        .map(|entry| entry["unix_ms"].as_u64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    // Neither what was typed nor what opens the session is in it.
    let text = format!("{ended}{all:?}");
    assert!(!text.contains("secret-") && !text.contains(&ticket));
}

#[test]
fn removing_removes() {
    let anna = Machine::new();
    assert_eq!(
        anna.output(&["--share", "-q", "--", "true"]).status.code(),
        Some(0)
    );
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    let dir = anna.path("state/pillion/sessions");
    assert_eq!(entries(&dir).len(), 1);
    anna.run(&["rm", &id]);
    assert_eq!(anna.run(&["ls", "--all", "--json"]).trim(), "[]");
    assert!(entries(&dir).is_empty(), "{:?}", entries(&dir));
    anna.fails(4, &["export", &id]);
    anna.fails(4, &["rm", &id]);

    // What runs is not removed under its feet.
    let (mut host, _) = anna.share_shell(&[]);
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    let said = anna.fails(1, &["rm", &id]);
    assert!(said.contains("running") || said.contains("live"), "{said}");
    anna.run(&["rm", "--all"]);
    host.send("echo on-$((1+1))\r");
    host.wait_for("on-2");
    assert_eq!(anna.session()["session"], id);
}

#[test]
fn nothing_is_kept_when_nothing_is_to_be_kept() {
    let anna = Machine::new();
    assert_eq!(
        anna.output(&["--share", "-q", "--", "echo", "kept"])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(anna.session()["state"], "ended");
    // It removes what older ones left, too.
    assert_eq!(
        anna.output(&["--share", "-q", "--keep", "none", "--", "echo", "secret"])
            .status
            .code(),
        Some(0)
    );
    assert_eq!(anna.run(&["ls", "--all", "--json"]).trim(), "[]");
    assert!(entries(&anna.path("state/pillion/sessions")).is_empty());
}

#[test]
fn only_the_owner_can_look() {
    let anna = Machine::new();
    let (mut host, _) = anna.share_shell(&[]);
    host.send("seq 100\r");
    host.wait_for("100");
    anna.run(&["export"]);
    for top in ["config/pillion", "state/pillion"] {
        let top = anna.path(top);
        assert_eq!(mode(&top), 0o700, "{}", top.display());
        for path in files(&top) {
            let wanted = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode(&path), wanted, "{}", path.display());
        }
    }
    for file in entries(&anna.path("")) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        assert!(
            !name.starts_with("ticket") || mode(&file) == 0o600,
            "{name}"
        );
    }
}

/// A disk of its own, small enough to be full.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and a word why, where a disk cannot be had.
    fn at(path: PathBuf) -> Option<SmallDisk> {
        std::fs::create_dir_all(&path).unwrap();
        let mut mount = Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=3m,mode=0700", "none"])
            .arg(&path);
        match mount.output() {
            Ok(output) if output.status.success() => Some(SmallDisk(path)),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr);
                skip(&format!("a small disk cannot be mounted ({})", why.trim()));
                None
            }
            Err(error) => {
                skip(&format!(
                    "there is no mount to make a small disk with ({error})"
                ));
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[test]
fn a_full_disk_is_said_and_the_session_goes_on() {
    let anna = Machine::new();
    let Some(disk) = SmallDisk::at(anna.path("state")) else {
        return;
    };
    let (mut host, _) = anna.share_shell(&["-q"]);
    host.send("echo kept-$((1+1)); seq -f early-%g 100\r");
    host.wait_for("early-100");
    anna.run_until(&["export"], "the last line", |text| {
        text.contains("early-100")
    });

    let filler = disk.0.join("filler");
    let full = std::fs::write(&filler, vec![1; 8 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    host.send("head -c 300000 /dev/urandom | base64; echo flooded\r");
    host.wait_for("\nflooded");
    host.wait_raw("history is not being written");
    host.send("echo on-$((1+1))\r");
    host.wait_for("on-2");

    std::fs::remove_file(&filler).unwrap();
    host.send("echo again-$((1+1))\r");
    host.wait_raw("is being written again");
    host.send("exit 5\r");
    assert_eq!(host.wait_code(), Some(5));
    let text = until("the history", || Some(anna.run(&["export"])));
    assert!(
        text.lines().any(|line| line == "kept-2"),
        "what was recorded before is there"
    );
    for number in 1..=100 {
        assert!(
            text.lines().any(|line| line == format!("early-{number}")),
            "{number} is missing"
        );
    }
}

/// Fills a disk to its last byte, so that not even a few bytes of an entry fit.
fn fill(disk: &SmallDisk) -> PathBuf {
    let filler = disk.0.join("filler");
    let full = std::fs::write(&filler, vec![1; 8 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    filler
}

fn ledger_bytes(anna: &Machine) -> u64 {
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    let sessions = anna.path("state/pillion/sessions");
    let ledger = std::fs::metadata(sessions.join(id).join("ledger.log"));
    ledger.unwrap().len()
}

/// Makes the session's ledger need another page of the disk soon, which a full one has not.
fn to_the_end_of_a_page(anna: &Machine) {
    let mut modes = ["team", "link"].into_iter().cycle();
    while 4096 - ledger_bytes(anna) % 4096 > 50 {
        anna.run(&["allow", modes.next().unwrap()]);
    }
    anna.run(&["allow", "link"]);
}

#[test]
fn what_a_full_disk_does_not_take_is_not_said_to_be_done() {
    let [anna, bert, carl] = [(); 3].map(|()| Machine::new());
    let Some(disk) = SmallDisk::at(anna.path("state")) else {
        return;
    };
    let (mut host, ticket) = anna.share_shell(&["-q", "--name", "work"]);
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    let token = anna.run(&["grant", "--link", "--edit"]);
    to_the_end_of_a_page(&anna);
    let before = anna.run(&["allow"]);
    let (filler, written) = (fill(&disk), ledger_bytes(&anna));

    let key = carl.run(&["id"]);
    let key = key.split_whitespace().next().unwrap();
    for args in [
        &["grant", "bert", "--edit"][..],
        &["grant", "--link", "--edit"],
        &["allow", key],
    ] {
        let said = anna.fails(1, args);
        assert!(
            said.contains("No space left") && said.contains("not done"),
            "{args:?}: {said}"
        );
    }
    assert_eq!(anna.run(&["allow"]), before);
    viewer.send("NO");
    viewer.wait_for("asks the host to let you type");
    let refused = carl.watch(&ticket, &["--name", "carl", "--grant", token.trim()]);
    refused.wait_for("could not write this down");

    // What is taken away is gone at once, and it is said that it was not written.
    let kick = anna.output(&["kick", "bert"]);
    assert!(kick.status.success(), "{kick:?}");
    let said =
        String::from_utf8_lossy(&kick.stderr).into_owned() + &String::from_utf8_lossy(&kick.stdout);
    assert!(said.contains("this run only"), "{said}");
    assert_eq!(viewer.wait_code(), Some(3));
    let mut back = bert.join(SIZE, &ticket, &["--name", "bert"]);
    assert_eq!(back.wait_code(), Some(3));

    // With room again it is, without anybody asking for it; a kill after that changes nothing.
    std::fs::remove_file(&filler).unwrap();
    until("what was taken away to be written", || {
        // The grants that were revoked, and the bar.
        (ledger_bytes(&anna) > written + 100).then_some(())
    });
    host.kill();
    let (_host, again) = restart(&anna, &id);
    let mut back = bert.join(SIZE, &again, &["--name", "another"]);
    assert_eq!(back.wait_code(), Some(3));
    let dora = Machine::new();
    let dora = dora.watch(&again, &["--name", "dora", "--grant", token.trim()]);
    dora.wait_for("edit for");
}

/// Killed right behind the answers: whatever a command reported as done is there.
#[test]
fn what_was_reported_as_done_is_there_after_a_kill() {
    let [anna, bert, carl, dora] = [(); 4].map(|()| Machine::new());
    let (mut host, _) = anna.share_shell(&["--name", "work"]);
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    let key = |machine: &Machine| {
        let text = machine.run(&["id"]);
        text.split_whitespace().next().unwrap().to_owned()
    };
    let mut tokens = Vec::new();
    for step in 0..3 {
        match step {
            0 => {
                anna.run(&["ban", &key(&bert)]);
                tokens.push(anna.run(&["grant", "--link", "--edit"]));
            }
            1 => {
                anna.run(&["allow", &key(&carl)]);
                anna.run(&["unban", &key(&bert)]);
                anna.run(&["allow", "invited"]);
            }
            _ => {
                anna.run(&["revoke", &key(&carl)]);
                anna.run(&["ban", &key(&bert)]);
                tokens.push(anna.run(&["grant", "--link", "--edit"]));
            }
        }
        host.kill();
        let (next, _) = restart(&anna, &id);
        host = next;
        let list = anna.run(&["allow"]);
        assert_eq!(list.contains("invited"), step > 0, "{list}");
        let carl_is_listed = list.contains(&key(&carl)[..16]);
        assert_eq!(carl_is_listed, step == 1, "{list}");
        assert_eq!(list.contains(&key(&bert)[..16]), step != 1, "{list}");
    }
    let ticket = anna.run(&["ticket"]);
    let mut out = bert.join(
        SIZE,
        ticket.trim(),
        &["--name", "bert", "--grant", tokens[0].trim()],
    );
    assert_eq!(out.wait_code(), Some(3));
    for (guest, token) in [&carl, &dora].into_iter().zip(&tokens) {
        let guest = guest.watch(ticket.trim(), &["--grant", token.trim()]);
        guest.wait_for("edit for");
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path)
        .unwrap()
        .permissions()
        .mode()
        & 0o777
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

/// Everything below a folder.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for path in entries(dir) {
        if path.is_dir() {
            all.extend(files(&path));
        }
        all.push(path);
    }
    all
}

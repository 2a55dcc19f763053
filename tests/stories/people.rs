//! People by what they already have: a key in a real ssh-agent, an address at a real OpenID Connect
//! provider, a team. The real binary on both sides.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
};

use crate::harness::{Machine, PREFIX, Piped, until};
use pillion::{
    caps::{SecretKey, UnixMillis},
    clock::unix_ms,
    identity::proving::{ProofKind, Prover},
    people::{Trust, verify},
    prove::ssh::Choice,
    settings::config::Config,
};

/// Something that runs beside the test, and ends with it.
struct Beside(Child);

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An ssh-agent with a fresh key; its socket, and the key's line.
fn agent(machine: &Machine) -> (Beside, PathBuf, String) {
    let (socket, key) = (machine.fresh("agent"), machine.fresh("key"));
    let mut command = Command::new("ssh-agent");
    command
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdout(Stdio::null());
    let agent = Beside(command.spawn().expect("tests/setup installs ssh-agent"));
    until("ssh-agent", || {
        std::os::unix::net::UnixStream::connect(&socket).ok()
    });
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-t", "ed25519", "-N", "", "-C", "bert@laptop", "-f"]);
    assert!(command.arg(&key).status().unwrap().success());
    let mut command = Command::new("ssh-add");
    command.arg(&key).env("SSH_AUTH_SOCK", &socket);
    assert!(command.stderr(Stdio::null()).status().unwrap().success());
    let line = std::fs::read_to_string(key.with_added_extension("pub")).unwrap();
    (agent, socket, line.trim().to_owned())
}

/// An OpenID Connect provider; its issuer.
fn provider(args: &[&str]) -> (Beside, BufReader<ChildStdout>, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc/provider.mjs");
    let mut command = Command::new("node");
    command.arg(script).args(args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut process = command.spawn().expect("Node.js is there");
    let mut out = BufReader::new(process.stdout.take().unwrap());
    let mut issuer = String::new();
    out.read_line(&mut issuer).unwrap();
    assert!(issuer.starts_with("http://"), "run tests/setup first");
    (Beside(process), out, issuer.trim().to_owned())
}

/// A forge on this machine, whose only user is bert; what it lists for him can change.
struct Forge {
    address: String,
    keys: Arc<Mutex<String>>,
}

impl Forge {
    fn start(keys: &str) -> Forge {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let keys = Arc::new(Mutex::new(keys.to_owned()));
        let shown = Arc::clone(&keys);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().and_then(Result::ok).unwrap_or_default();
                let head = lines.map_while(Result::ok);
                head.take_while(|line| !line.is_empty()).for_each(drop);
                let (status, body) = match first.starts_with("GET /bert.keys ") {
                    true => ("200 OK", shown.lock().unwrap().clone()),
                    false => ("404 Not Found", String::new()),
                };
                let len = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
                );
            }
        });
        Forge { address, keys }
    }

    /// Has this machine look for users there.
    fn is_of(&self, machine: &Machine) {
        let file = machine.path("config/pillion/config.toml");
        pillion::settings::paths::private_dir(file.parent().unwrap()).unwrap();
        std::fs::write(file, format!("forge = \"{}\"\n", self.address)).unwrap();
    }
}

/// A command with the settings of an issuer.
fn with_issuer(mut command: Command, issuer: &str) -> Command {
    command
        .env("PILLION_OIDC_ISSUER", issuer)
        .env("PILLION_OIDC_CLIENT_ID", "pillion");
    command
}

/// `pillion join ARGS`.
fn joins(machine: &Machine, ticket: &str, args: &[&str]) -> Command {
    let mut command = machine.pillion(&["join"]);
    command.args(args).env("PILLION_TICKET", ticket);
    command
}

/// What a viewer that stays is said to have proved, once it is here.
fn proof(host: &Machine, mut viewer: Command, name: &str) -> String {
    viewer.args(["--follow", "--name", name]);
    let _viewer = Piped::start(viewer);
    until(&format!("{name} to be here"), || {
        let who = host.who();
        let found = who.iter().find(|one| one["name"] == name)?;
        (found["state"] == "here").then(|| found["proof"].as_str().unwrap().to_owned())
    })
}

/// `join --text`, to its end.
fn ends(mut command: Command) -> std::process::Output {
    command.arg("--text");
    Piped::start(command).wait()
}

/// Let in; what was said.
fn enters(command: Command) -> String {
    let output = ends(command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("is being asked"), "{said}");
    said
}

/// Knocks, and nobody answers; what was said.
fn knocks(command: Command) -> String {
    let output = ends(command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("the host is being asked"), "{said}");
    assert!(output.stdout.is_empty());
    said
}

/// A shared shell with these settings, where a knock waits for two seconds only.
fn share(machine: &Machine, issuer: &str, args: &[&str]) -> (Piped, String) {
    let file = machine.fresh("ticket");
    let mut all = vec!["--share", "--tty", "--ticket-file", file.to_str().unwrap()];
    all.extend(args);
    all.extend(["--", "bash", "--norc", "--noprofile"]);
    let mut command = machine.pillion(&all);
    command.env("PILLION_KNOCK_WAIT", "2s");
    if !issuer.is_empty() {
        command = with_issuer(command, issuer);
    }
    let host = Piped::start_with_input(command);
    let ticket = crate::harness::wait_for_file(&file).trim().to_owned();
    (host, ticket)
}

#[test]
fn who_holds_an_allowed_ssh_key_enters_with_the_agent_and_another_knocks() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (_agent, socket, line) = agent(&bert);
    let (_other, other_socket, _) = agent(&carl);
    let (_host, ticket) = share(&anna, "", &["--allow", "invited"]);
    anna.run(&["allow", &line]);

    let with = |machine, socket: &Path| {
        let mut command = joins(machine, &ticket, &["--as", "ssh"]);
        command.env("SSH_AUTH_SOCK", socket);
        command
    };
    enters(with(&bert, &socket));
    let proof = proof(&anna, with(&bert, &socket), "bert");
    let key = line.rsplit_once(' ').unwrap().0;
    assert!(proof.contains(key), "{proof}");
    knocks(with(&carl, &other_socket));
    // Nor does bert without proving it.
    let dora = Machine::new();
    knocks(joins(&dora, &ticket, &[]));

    // Barred by the key, whatever identity and name come with it.
    anna.run(&["ban", &line]);
    let eve = Machine::new();
    let output = ends(with(&eve, &socket));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("removed you"), "{said}");
}

#[test]
fn a_file_of_keys_is_allowed_at_once_and_a_key_file_proves_one() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_agent, _, line) = agent(&bert);
    let list = anna.path("team_keys");
    std::fs::write(&list, format!("# team\n{line}\n")).unwrap();
    let (_host, ticket) = share(&anna, "", &["--allow", "invited"]);
    anna.run(&["allow", list.to_str().unwrap(), "--edit"]);
    let key = std::fs::read_dir(bert.path("")).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name()?.to_str()?;
        (name.starts_with("key-") && path.extension().is_none()).then_some(path)
    });
    let choice = format!("ssh:{}", key.unwrap().display());
    enters(joins(&bert, &ticket, &["--as", &choice]));
    let who = anna.who();
    assert_eq!(who[0]["right"], "edit", "{who:?}");
    let said = anna.fails(1, &["allow", "./nothing_keys"]);
    assert!(said.contains("nothing_keys"), "{said}");
}

#[test]
fn a_users_or_a_files_keys_are_barred_let_in_and_taken_off_like_one_person() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_agent, socket, line) = agent(&bert);
    let key = line.rsplit_once(' ').unwrap().0.to_owned();
    let (_other_agent, _, other) = agent(&anna);
    let forge = Forge::start(&format!("{key}\n{other}\nssh-rsa AAAA old\n"));
    forge.is_of(&anna);
    let list = anna.path("team_keys");
    std::fs::write(&list, format!("{line}\n")).unwrap();
    let (_host, ticket) = share(&anna, "", &["--allow", "invited"]);
    let with = || {
        let mut command = joins(&bert, &ticket, &["--as", "ssh"]);
        command.env("SSH_AUTH_SOCK", &socket);
        command
    };
    let (address, path) = (
        format!("{}/bert.keys", forge.address),
        list.to_str().unwrap(),
    );
    for named in ["forge:bert", &address, path] {
        anna.run(&["allow", named]);
        enters(with());
        anna.run(&["revoke", named]);
        assert_eq!(anna.run(&["allow"]), "invited\n");
        anna.run(&["ban", named]);
        assert!(anna.run(&["allow"]).contains(&format!("blocked {key}")));
        let output = ends(with());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("removed you"), "{said}");
        let said = anna.fails(1, &["allow", named]);
        assert!(said.contains("is blocked"), "{said}");
        anna.run(&["unban", named]);
        assert_eq!(anna.run(&["allow"]), "invited\n");
        for command in ["revoke", "unban"] {
            let said = anna.fails(1, &[command, named]);
            assert!(said.contains("pillion allow"), "{said}");
        }
    }
    for command in ["allow", "revoke", "ban", "unban"] {
        let said = anna.fails(1, &[command, "forge:nobody"]);
        assert!(said.contains("404 Not Found"), "{said}");
    }
}

#[test]
fn what_a_forge_lists_for_a_user_is_looked_at_again_when_somebody_comes() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (_agent, socket, line) = agent(&bert);
    let (_other, other_socket, other) = agent(&carl);
    let key = |line: &str| line.rsplit_once(' ').unwrap().0.to_owned();
    let forge = Forge::start(&key(&other));
    forge.is_of(&anna);
    let (host, ticket) = share(&anna, "", &["--allow", "invited"]);
    let said = anna.output(&["allow", "forge:bert", "--edit"]).stderr;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(said.contains("looked at again"), "{said}");
    let listed = || {
        let door = anna.run(&["allow"]);
        assert!(door.contains(&format!("list    {}/bert.keys", forge.address)));
        door
    };
    assert!(listed().contains(&key(&other)));

    // He has another key now, and the forge knows of it.
    *forge.keys.lock().unwrap() = key(&line);
    let with = |machine: &Machine, socket: &Path| {
        let mut command = joins(machine, &ticket, &["--as", "ssh"]);
        command.env("SSH_AUTH_SOCK", socket);
        command
    };
    enters(with(&bert, &socket));
    assert_eq!(anna.who()[0]["right"], "edit");
    let door = listed();
    assert!(
        door.contains(&key(&line)) && !door.contains(&key(&other)),
        "{door}"
    );
    knocks(with(&carl, &other_socket));

    // The session begins again and has asked nobody yet: what it knows holds, and it asks again.
    *forge.keys.lock().unwrap() = "<html>".to_owned();
    let host = restart(&anna, host, "");
    enters(with(&bert, &socket));
    assert!(listed().contains(&key(&line)), "a page says nothing");
    *forge.keys.lock().unwrap() = key(&other);
    let _host = restart(&anna, host, "");
    enters(with(&carl, &other_socket));
    assert!(!listed().contains(&key(&line)));
    anna.run(&["revoke", "forge:bert"]);
    assert_eq!(anna.run(&["allow"]), "invited\n");
}

#[test]
fn who_reads_the_mail_of_an_allowed_address_enters_and_another_knocks() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (_provider, _out, issuer) = provider(&["ES256"]);
    let (_host, ticket) = share(&anna, &issuer, &["--allow", "invited"]);
    anna.run(&["allow", "Bert@Example.org"]);

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc/browser.mjs");
    let with = |machine: &Machine, login: &str| {
        let mut command = with_issuer(joins(machine, &ticket, &["--as", "email"]), &issuer);
        command
            .env("BROWSER", format!("node {}", script.display()))
            .env("LOGIN", login);
        command
    };
    let said = enters(with(&bert, "bert"));
    assert!(said.contains("Signed in: bert@example.org"), "{said}");
    let proof = proof(&anna, with(&bert, ""), "bert");
    assert!(
        proof.contains(&format!("bert@example.org via {issuer}")),
        "{proof}"
    );
    // The token is kept: nobody signs in again, and what is kept is its owner's alone.
    let mut again = with(&bert, "");
    again.env("BROWSER", "false");
    assert!(!enters(again).contains("Sign in"));
    use std::os::unix::fs::MetadataExt;
    let kept = bert.path("config/pillion/id-token");
    assert_eq!(std::fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(&kept).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&token).unwrap();
    let token = kept["token"].as_str().unwrap();
    for machine in [&anna, &bert] {
        assert!(!machine.log().contains(token), "tokens are never logged");
    }

    knocks(with(&carl, "carl"));
    // An address that isn't verified gets nobody as far as the door.
    let dora = Machine::new();
    let output = ends(with(&dora, "unverified"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("email_verified"), "{said}");
}

#[test]
fn a_host_whose_issuer_is_down_lets_them_knock() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (provider, _out, issuer) = provider(&["EdDSA"]);
    let (_host, ticket) = share(&anna, &issuer, &["--allow", "invited"]);
    anna.run(&["allow", "bert@example.org"]);
    // He signs in for another session first, while the issuer is up.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc/browser.mjs");
    let other = Machine::new();
    let (_other_host, other_ticket) = share(&other, &issuer, &[]);
    let with = |ticket| {
        let mut command = with_issuer(joins(&bert, ticket, &["--as", "email"]), &issuer);
        command
            .env("BROWSER", format!("node {}", script.display()))
            .env("LOGIN", "bert");
        command
    };
    enters(with(&other_ticket));
    drop(provider);
    knocks(with(&ticket));
}

#[test]
fn a_teams_member_enters_until_the_team_takes_them_out() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let team = anna.run(&["team", "new", "core"]).trim().to_owned();
    let id = bert.run(&["id"]).trim().to_owned();
    let line = anna.run(&["team", "add", "core", "bert", &id, "--expires", "1d"]);
    bert.output(&["team", "join", line.trim()]);
    let said = carl.fails(1, &["team", "join", line.trim()]);
    assert!(said.contains("another Pillion key"), "{said}");
    let key = team.strip_prefix("team:").unwrap();
    let shown: serde_json::Value =
        serde_json::from_str(&anna.run(&["team", "show", "--json"])).unwrap();
    assert_eq!(shown["teams"][0]["members"][0]["member"], "bert");

    let (host, ticket) = share(&anna, "", &["--allow", "team", "--team", key]);
    enters(joins(&bert, &ticket, &["--as", "team"]));
    let proof = proof(&anna, joins(&bert, &ticket, &["--as", "team"]), "bert");
    assert!(proof.contains(&format!("{team}/bert")), "{proof}");
    let refused = |machine: &Machine, ticket: &str, args: &[&str]| {
        let output = ends(joins(machine, ticket, args));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        said
    };
    let said = refused(&carl, &ticket, &[]);
    assert!(said.contains("only members of a team"), "{said}");
    drop(host);

    anna.run(&["team", "remove", "core", "bert"]);
    let (_host, ticket) = share(&anna, "", &["--allow", "team", "--team", key]);
    let said = refused(&bert, &ticket, &["--as", "team"]);
    assert!(said.contains("took your membership back"), "{said}");
}

#[test]
fn a_member_who_is_taken_out_leaves_every_running_session_at_once() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let team = anna.run(&["team", "new", "core"]).trim().to_owned();
    let key = team.strip_prefix("team:").unwrap();
    for (machine, name) in [(&bert, "bert"), (&carl, "carl")] {
        let id = machine.run(&["id"]).trim().to_owned();
        let line = anna.run(&["team", "add", "core", name, &id]);
        machine.output(&["team", "join", line.trim()]);
    }
    let as_team = ["--as", "team"];
    let watch = |machine: &Machine, ticket: &str, name: &str| {
        machine.watch(ticket, &["--as", "team", "--name", name])
    };
    // One session of the team, and one that everybody who has the ticket may watch and members type in.
    let (host, ticket) = anna.share_shell(&["--name", "inner", "--allow", "team", "--team", key]);
    let (_open, open_ticket) = anna.share_shell(&["--name", "open"]);
    anna.run(&["allow", &team, "--edit", "--session", "open"]);
    let mut member = watch(&bert, &ticket, "bert");
    let other = watch(&carl, &ticket, "carl");
    let guest = watch(&bert, &open_ticket, "bert");
    guest.wait_for("edit for");

    let said = anna.output(&["team", "remove", "core", "bert"]);
    let line = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success());
    assert_eq!(member.wait_code(), Some(3));
    assert!(member.raw_text().contains("took back the membership"));
    host.wait_for("is out of their team");
    guest.wait_for("view only");
    other.wait_for("view only");
    let output = ends(joins(&bert, &ticket, &as_team));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("took your membership back"), "{said}");
    assert!(
        anna.run(&["audit", "inner"]).contains("was removed"),
        "the audit says so"
    );

    // Another host hears of it, and so do its sessions.
    let dora = Machine::new();
    let (_host, ticket) = dora.share_shell(&["--allow", "team", "--team", key]);
    let mut member = watch(&bert, &ticket, "bert");
    let heard = dora.output(&["team", "import", line.trim()]);
    let said = String::from_utf8_lossy(&heard.stderr).into_owned();
    assert!(
        heard.status.success() && said.contains("Imported"),
        "{said}"
    );
    assert_eq!(member.wait_code(), Some(3));
    assert!(member.raw_text().contains("took back the membership"));
    // Anybody who takes the file away brings nobody back.
    std::fs::remove_file(dora.path("config/pillion/removals")).unwrap();
    anna.run(&["team", "new", "other"]);
    let id = carl.run(&["id"]).trim().to_owned();
    anna.run(&["team", "add", "other", "carl", &id]);
    let line = anna.run(&["team", "remove", "other", "carl"]);
    assert!(
        dora.output(&["team", "import", line.trim()])
            .status
            .success()
    );
    assert_eq!(ends(joins(&bert, &ticket, &as_team)).status.code(), Some(3));
}

#[test]
fn a_session_that_cannot_be_told_is_named() {
    let anna = Machine::new();
    anna.run(&["team", "new", "core"]);
    let id = anna.run(&["id"]).trim().to_owned();
    anna.run(&["team", "add", "core", "bert", &id]);
    let (host, _) = anna.share_shell(&[]);
    let session = anna.session()["session"].as_str().unwrap().to_owned();
    let signal = |name: &str| {
        let mut command = Command::new("kill");
        command.args([name, &host.session_pid().to_string()]);
        assert!(command.status().unwrap().success());
    };
    signal("-STOP");
    let output = anna.output(&["team", "remove", "core", "bert"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&session), "{said}");
    // Said again, it is heard.
    signal("-CONT");
    let line = String::from_utf8(output.stdout).unwrap();
    let again = anna.output(&["team", "import", line.trim()]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.success() && said.contains("known"), "{said}");
}

#[test]
fn the_book_names_people_and_warns_of_a_known_name_with_another_key() {
    let (anna, bert, eve) = (Machine::new(), Machine::new(), Machine::new());
    let id: serde_json::Value = serde_json::from_str(&bert.run(&["id", "--json"])).unwrap();
    anna.run(&["people", "add", "bert", id["key"].as_str().unwrap()]);
    assert!(anna.run(&["people"]).starts_with("bert  "));
    let said = anna.fails(1, &["people", "add", "other", id["key"].as_str().unwrap()]);
    assert!(said.contains("bert already"), "{said}");

    let (host, ticket) = anna.share_shell(&["--allow", "invited"]);
    let _eve = eve.join(crate::harness::VIEWER, &ticket, &["--name", "bert"]);
    host.wait_for("NOT the bert you know");
    let who = anna.who();
    assert_eq!(who[0]["remark"], "NOT the bert you know");
    let (mut open, open_ticket) = anna.share_shell(&["--name", "open"]);
    let mut impostor = eve.watch(&open_ticket, &["--name", "bert"]);
    open.wait_for("“bert” (NOT the bert you know) is watching now");
    impostor.send(&format!("{PREFIX}e"));
    open.wait_until("the request to be shown with it", |screen| {
        let text = screen.contents();
        text.contains("“bert” (NOT the bert you know") && text.contains("asks to type")
    });
    open.kill();
    anna.run(&["allow", id["key"].as_str().unwrap()]);
    let _bert = bert.watch(&ticket, &["--name", "guest"]);
    let who = anna.who();
    let guest = who.iter().find(|one| one["name"] == "guest").unwrap();
    assert_eq!(guest["remark"], "is bert in your book");
    assert!(anna.run(&["who"]).contains("is bert in your book"));
}

/// The host dies as by a power cut and begins again; its viewers come back by themselves.
fn restart(machine: &Machine, mut host: Piped, issuer: &str) -> Piped {
    let session = machine.session()["session"].as_str().unwrap().to_owned();
    host.kill();
    share(machine, issuer, &["--restart", &session]).0
}

#[test]
fn a_viewer_comes_back_with_a_membership_it_was_given_meanwhile() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let team = anna.run(&["team", "new", "core"]).trim().to_owned();
    let key = team.strip_prefix("team:").unwrap();
    let id = bert.run(&["id"]).trim().to_owned();
    let member = |name: &str, life: &str| {
        let line = anna.run(&["team", "add", "core", name, &id, "--expires", life]);
        let added = unix_ms();
        assert!(bert.output(&["team", "join", line.trim()]).status.success());
        added
    };
    let added = member("bert", "20s");
    let (host, ticket) = share(&anna, "", &["--allow", "team", "--team", key]);
    let mut command = joins(&bert, &ticket, &["--as", "team", "--follow"]);
    command.env("PILLION_NAME", "bert");
    let viewer = Piped::start(command);
    let is_here = |member: &str| {
        until(&format!("{member} to be here"), || {
            let who = anna.who();
            let here = who.first().filter(|one| one["state"] == "here")?;
            let proof = here["proof"].as_str().unwrap();
            proof.contains(&format!("{team}/{member}")).then_some(())
        });
    };
    is_here("bert");
    let host = restart(&anna, host, "");
    // It ends, and there is no other: the person is told what to do.
    viewer.err.wait_for("keep it with `pillion team join`");
    is_here("bert");
    member("bertha", "1d");
    until("the first membership to end", || {
        (unix_ms() >= added + 20_000).then_some(())
    });
    let _host = restart(&anna, host, "");
    is_here("bertha");
}

#[test]
fn a_viewer_whose_sign_in_runs_out_says_what_to_do() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_provider, _out, issuer) = provider(&["ES256", "brief"]);
    let (host, ticket) = share(&anna, &issuer, &["--allow", "invited"]);
    anna.run(&["allow", "bert@example.org"]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc/browser.mjs");
    let args = ["--as", "email", "--follow", "--name", "bert"];
    let mut command = with_issuer(joins(&bert, &ticket, &args), &issuer);
    command
        .env("BROWSER", format!("node {}", script.display()))
        .env("LOGIN", "bert");
    let viewer = Piped::start(command);
    let is_here = || {
        until("bert to be here", || {
            let who = anna.who();
            who.iter().any(|one| one["state"] == "here").then_some(())
        });
    };
    is_here();
    let _host = restart(&anna, host, &issuer);
    viewer.err.wait_for("join again with --as email to sign in");
    // The host tolerates clocks that differ: he is still let in.
    is_here();
}

#[test]
fn a_claim_by_an_ssh_key_is_made_anew_without_the_person() {
    let bert = Machine::new();
    let (_agent, _, line) = agent(&bert);
    let key = std::fs::read_dir(bert.path("")).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name()?.to_str()?;
        (name.starts_with("key-") && path.extension().is_none()).then_some(path)
    });
    let key = key.unwrap();
    let [identity, session] = [1, 2].map(|seed| SecretKey::from_bytes(&[seed; 32]).public());
    let prover = Prover {
        dir: bert.path("config"),
        config: Config::load(&bert.path("no-settings")).unwrap(),
        identity,
        device: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let now = UnixMillis(unix_ms());
        let later = now.saturating_add(24 * 60 * 60 * 1000);
        let wanted = [ProofKind::Ssh(Choice::File(key.clone()))];
        let claims = prover.claims(&wanted, &session).await.unwrap();
        assert!(!claims.have_run_out(now) && claims.have_run_out(later));
        let old = claims.bytes();
        let (claims, said) = claims.renewed(later).await;
        assert!(said.is_empty(), "{said:?}");
        let new = claims.bytes();
        assert_ne!(new, old);
        let trust = Trust::default();
        let who = verify(&new[0], &identity, &session, later, &trust).unwrap();
        assert!(line.starts_with(&who.to_string()), "{who}");

        // The key is gone: the claim stays as it is, and the person is told.
        std::fs::remove_file(&key).unwrap();
        let last = later.saturating_add(24 * 60 * 60 * 1000);
        let (claims, said) = claims.renewed(last).await;
        assert_eq!(claims.bytes(), new);
        assert!(said[0].contains(&key.display().to_string()), "{said:?}");
        assert!(said[0].contains("an SSH key"), "{said:?}");
    });
}

#[test]
fn what_cannot_be_proved_says_what_to_do() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket) = share(&anna, "", &[]);
    for (what, word) in [
        ("ssh", "ssh-keygen -t ed25519"),
        ("ssh:SHA256:abc", "no ssh-agent runs here"),
        ("ssh:./gone", "gone"),
        ("email", "oidc_issuer"),
        ("team", "pillion team join"),
    ] {
        let output = ends(joins(&bert, &ticket, &["--as", what]));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(word), "{what}: {said}");
    }
    bert.fails(2, &["join", "--as", "gpg", &ticket]);
}

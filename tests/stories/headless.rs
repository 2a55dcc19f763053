//! Sharing and joining where there is no terminal: continuous integration, cron, pipes.

use std::{path::Path, process::Command};

use crate::harness::{Machine, SIZE, until};

/// Lines of what was printed, without the carriage returns of a terminal.
fn lines(printed: &str) -> Vec<&str> {
    printed
        .lines()
        .map(|line| line.trim_end_matches('\r'))
        .collect()
}

#[test]
fn output_goes_to_stdout_and_the_ticket_to_stderr_and_a_file() {
    let anna = Machine::new();
    let file = anna.path("ticket.json");
    let output = anna.output(&[
        "--share",
        "--json",
        "--ticket-file",
        file.to_str().unwrap(),
        "--name",
        "build",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2",
    ]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "out\n",
        "nothing but the program's output"
    );
    let said = String::from_utf8(output.stderr).unwrap();
    let [line, "err"] = &lines(&said)[..] else {
        panic!("not one line on stderr, and the program's: {said}")
    };
    let object: serde_json::Value = serde_json::from_str(line).unwrap();
    let kept: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!(object, kept);
    let ticket = object["ticket"].as_str().unwrap();
    assert_eq!(object["join"], format!("pillion join {ticket}"));
    assert!(object["session"].as_str().is_some_and(|id| !id.is_empty()));
    ticket.parse::<pillion::proto::Ticket>().unwrap();
}

#[test]
fn the_exit_code_is_the_programs() {
    let anna = Machine::new();
    for (script, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
    ] {
        let output = anna.output(&["--share", "-q", "--", "sh", "-c", script]);
        assert_eq!(output.status.code(), Some(code), "{script}");
        assert!(
            output.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_program_that_cannot_run_is_named() {
    let anna = Machine::new();
    let said = anna.fails(127, &["--share", "-q", "--", "no-such-program-here"]);
    assert!(said.contains("no-such-program-here"), "{said}");
    let file = anna.path("not-executable");
    std::fs::write(&file, "text").unwrap();
    let said = anna.fails(126, &["--share", "-q", "--", file.to_str().unwrap()]);
    assert!(said.contains("not-executable"), "{said}");
    // Nobody was told of a session.
    assert_eq!(anna.run(&["ls", "--all", "--json"]).trim(), "[]");
    // What can't be known before says so, too, and is no crash.
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(&file, "\x7fELF, or not").unwrap();
    let output = anna.output(&["--share", "-q", "--", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(126), "{output:?}");
    let session = anna.session();
    assert_eq!(session["state"], "ended");
    let reason = session["reason"].as_str().unwrap();
    assert!(reason.contains("did not start"), "{reason}");
}

#[test]
fn with_nothing_in_the_environment_but_two_folders_all_works() {
    let machine = Machine::new();
    let bare = |args: &[&str]| {
        let mut command = machine.pillion(args);
        command.env_clear();
        for (name, folder) in [("XDG_CONFIG_HOME", "config"), ("XDG_STATE_HOME", "state")] {
            command.env(name, machine.path(folder));
        }
        let output = command.output().unwrap();
        let (out, err) = (output.stdout, output.stderr);
        let texts = [out, err].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), texts)
    };
    let (code, [out, err]) = bare(&["--share", "--relay", "none", "--", "echo", "printed"]);
    assert_eq!((code, out.as_str()), (Some(0), "printed\n"), "{err}");
    assert!(err.contains("pillion join pillion"), "{err}");
    let (code, [out, err]) = bare(&["ls"]);
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert!(err.starts_with("No session is running."), "{err}");
    let (code, [_, err]) = bare(&["join", "--relay", "none", "no-ticket"]);
    assert_ne!(code, Some(0));
    assert!(err.starts_with("pillion: this is not a ticket: "), "{err}");
}

#[test]
fn a_shell_without_a_terminal_is_refused_with_what_to_do() {
    let anna = Machine::new();
    for args in [&["--share"][..], &[]] {
        let said = anna.fails(2, args);
        assert!(
            said.contains("no terminal here for a shell") && said.contains("--detach"),
            "{said}"
        );
    }
    assert_eq!(anna.run(&["ls", "--all", "--json"]).trim(), "[]");
}

#[test]
fn streams_are_what_they_are_without_pillion_and_viewers_see_them_together() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let script = "test -t 0 || test -t 1 || test -t 2 || echo no-terminal; printf 'one\\ntwo\\r\\n'; echo err >&2; \
                  read line; echo got-$line; cat; echo end >&2; exit 5";
    let (mut host, ticket) = anna.share_piped(&["-q", "--", "sh", "-c", script]);
    host.err.wait_for("err");
    host.out.wait_for("two");
    until("a viewer to see both", || {
        let output = bert.join_piped(&ticket, &["--text"]).wait();
        let text = String::from_utf8(output.stdout).unwrap();
        let all = ["no-terminal", "one", "two", "err"];
        all.iter()
            .all(|word| text.lines().any(|line| line == *word))
            .then_some(())
    });
    // Nobody can type into what is piped in.
    let said = anna.fails(1, &["grant", "--link", "--edit"]);
    assert!(
        said.contains("read-only") || said.contains("view"),
        "{said}"
    );
    host.send("first\nsecond\n\x03\x04third");
    host.end_input();
    let output = host.wait();
    assert_eq!(output.status.code(), Some(5));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "no-terminal\none\ntwo\r\ngot-first\nsecond\n\x03\x04third"
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\nend\n");
}

#[test]
fn a_program_in_a_pipeline_ends_as_it_would_alone() {
    let anna = Machine::new();
    let pillion = env!("CARGO_BIN_EXE_pillion");
    let run = |script: &str| {
        let mut command = Command::new("bash");
        command.args(["-c", script]);
        anna.set_env(&mut command);
        crate::harness::Piped::start(command).wait()
    };
    // Who reads no more ends who writes.
    let output = run(&format!(
        "{pillion} --share -q -- yes | head -n 2; echo ${{PIPESTATUS[0]}}"
    ));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "y\ny\n141\n");
    // All of it comes, however late it is read.
    let output = run(&format!(
        "{pillion} --share -q -- seq 300000 | {{ sleep 1; md5sum; }}; seq 300000 | md5sum"
    ));
    let text = String::from_utf8(output.stdout).unwrap();
    let sums: Vec<&str> = text.lines().collect();
    assert_eq!(sums[0], sums[1]);
    // What it leaves running keeps nobody.
    let output = run(&format!(
        "{pillion} -q -- sh -c 'sleep 1000 & echo left; kill $! && exit 3'"
    ));
    assert_eq!(
        (output.status.code(), &output.stdout[..]),
        (Some(3), &b"left\n"[..])
    );
}

#[test]
fn with_a_terminal_of_its_own_viewers_type_into_a_program_that_has_none_here() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) =
        anna.share_piped(&["--tty", "-q", "--", "bash", "--norc", "--noprofile"]);
    let token = anna.run(&["grant", "--link", "--edit"]);
    let mut viewer = bert.watch(&ticket, &["--grant", token.trim()]);
    viewer.wait_for("edit for");
    viewer.send("test -t 1 && echo a-terminal-$((1+1))\r");
    viewer.wait_for("a-terminal-2");
    host.out.wait_for("a-terminal-2");
    viewer.send("exit 6\r");
    assert_eq!(host.wait_exit().code(), Some(6));
}

#[test]
fn what_is_piped_in_reaches_the_program_to_its_end() {
    let anna = Machine::new();
    let (mut host, _) = anna.share_piped(&[
        "-q",
        "--",
        "sh",
        "-c",
        "read line; echo got-$line; cat; echo end",
    ]);
    host.send("first\n");
    host.out.wait_for("got-first");
    host.send("second\n");
    host.out.wait_for("second");
    host.end_input();
    let output = host.wait();
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(lines(&printed).last(), Some(&"end"), "{printed}");
}

#[test]
fn the_screen_as_text() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_piped(&[
        "--",
        "sh",
        "-c",
        "printf 'one\\n\\033[31mtwo\\033[m\\n'; read end",
    ]);
    host.out.wait_for("two");
    let text = until("the text", || {
        let output = bert.join_piped(&ticket, &["--text"]).wait();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.stderr.is_empty());
        Some(String::from_utf8(output.stdout).unwrap()).filter(|text| text.contains("two"))
    });
    assert_eq!(text.trim_end(), "one\ntwo");
    host.send("\n");
    assert_eq!(host.wait_exit().code(), Some(0));
}

#[test]
fn following_prints_every_line_once_till_the_end() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_piped(&["--", "sh", "-c", "read go; seq 1 5000; exit 3"]);
    let follower = bert.join_piped(&ticket, &["--follow", "--name", "log"]);
    until("the follower to be here", || {
        anna.run(&["who"]).contains("log").then_some(())
    });
    host.send("go\n");
    let output = follower.wait();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    let first_wrong = numbers
        .iter()
        .zip(1..)
        .find(|(seen, wanted)| **seen != *wanted);
    assert!(
        first_wrong.is_none() && numbers.len() == 5000,
        "{} lines, {first_wrong:?}",
        numbers.len()
    );
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("ended with code 3"), "{said}");
    assert_eq!(host.wait_exit().code(), Some(3));
}

#[test]
fn a_full_screen_join_without_a_terminal_names_what_works() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket) = anna.share_piped(&["--", "sh", "-c", "read end"]);
    let output = bert.join_piped(&ticket, &[]).wait();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("--text") && said.contains("--follow"),
        "{said}"
    );
}

#[test]
fn a_ticket_on_standard_input_is_in_no_argument_list() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share(SIZE, &["--", "sh", "-c", "echo here; read end"]);
    host.wait_for("here");
    let mut join = crate::harness::Piped::start_with_input(bert.pillion(&["join", "-", "--text"]));
    // As a mail program wraps it.
    let (head, tail) = ticket.split_at(40);
    join.send(&format!("{head}\n{tail}\n"));
    join.end_input();
    let output = join.wait();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(String::from_utf8_lossy(&output.stdout).contains("here"));
    host.send("\r");
    assert_eq!(host.wait_code(), Some(0));
}

#[test]
fn a_file_that_is_named_is_written_through_what_it_is() {
    let anna = Machine::new();
    let link = |name: &str, target: &str| {
        std::os::unix::fs::symlink(target, anna.path(name)).unwrap();
        anna.path(name)
    };
    let (to_file, to_null) = (link("to-file", "behind"), link("to-null", "/dev/null"));
    let pipe = anna.path("pipe");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let stdout = link("to-stdout", "/dev/stdout");
    let kind = |path: &Path| std::fs::symlink_metadata(path).unwrap().file_type();
    let devices = ["/dev/stdout", "/dev/null"].map(Path::new);
    let before = [&to_file, &to_null, &pipe, &stdout].map(|path| kind(path));
    let nodes = devices.map(kind);

    let share = |file: &Path| {
        anna.output(&[
            "--share",
            "-q",
            "--ticket-file",
            file.to_str().unwrap(),
            "--",
            "true",
        ])
    };
    let reader = pipe.clone();
    let reader = std::thread::spawn(move || std::fs::read_to_string(reader));
    let stay = || {
        let now = [&to_file, &to_null, &pipe, &stdout].map(|path| kind(path));
        assert_eq!(now, before);
    };
    for file in [&to_file, &to_null, &pipe] {
        let output = share(file);
        assert!(output.status.success(), "{output:?}");
        stay();
    }
    for text in [
        reader.join().unwrap().unwrap(),
        std::fs::read_to_string(anna.path("behind")).unwrap(),
    ] {
        assert!(
            text.starts_with("pillion") && text.ends_with('\n'),
            "{text}"
        );
    }
    for file in [&stdout, Path::new("/dev/stdout")] {
        let output = share(file);
        stay();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && text.starts_with("pillion"),
            "{output:?}"
        );
    }
    // So it is for what is exported.
    let all: Vec<serde_json::Value> =
        serde_json::from_str(&anna.run(&["ls", "--all", "--json"])).unwrap();
    let id = all[0]["session"].as_str().unwrap();
    for file in [&to_file, &to_null, &stdout] {
        let output = anna.output(&["export", id, "-o", file.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
    }
    stay();
    assert_eq!(devices.map(kind), nodes);
    let said = share(&anna.path("state"));
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(
        !said.status.success() && text.contains("is a directory"),
        "{text}"
    );
}

#[test]
fn a_running_viewer_shows_nobody_its_ticket_or_token() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (_host, ticket) = anna.share_piped(&["--tty", "--", "sh", "-c", "read end"]);
    let token = || anna.run(&["grant", "--link", "--edit"]).trim().to_owned();
    for (name, in_args, token) in [("one", true, token()), ("two", false, token())] {
        let mut command = bert.pillion(&["join", "--follow", "--name", name]);
        match in_args {
            true => command.arg(&ticket).arg(format!("--grant={token}")),
            false => command
                .env("PILLION_TICKET", &ticket)
                .env("PILLION_GRANT", &token),
        };
        let viewer = crate::harness::Piped::start(command);
        until("the viewer to be here, with the token", || {
            let who = anna.who();
            let one = who.iter().find(|one| one["name"] == name)?;
            (one["right"] == "edit" && one["state"] == "here").then_some(())
        });
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", viewer.pid());
            String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
        };
        for seen in [read("cmdline"), read("environ")] {
            assert!(!seen.contains(&ticket) && !seen.contains(&token), "{seen}");
        }
        assert!(read("cmdline").contains("--follow"), "the rest is shown");
        assert_eq!(read("comm").trim(), "pillion");
    }
}

#[test]
fn a_log_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let anna = Machine::new();
    let mode = || {
        std::fs::metadata(anna.path("log"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    anna.run(&["ls"]);
    assert_eq!(mode(), 0o600);
    // One that others could read until now.
    std::fs::set_permissions(anna.path("log"), PermissionsExt::from_mode(0o644)).unwrap();
    anna.run(&["ls"]);
    assert_eq!(mode(), 0o600);
    // Somebody else's is left alone, where the test may make one.
    std::fs::set_permissions(anna.path("log"), PermissionsExt::from_mode(0o666)).unwrap();
    if std::os::unix::fs::chown(anna.path("log"), Some(65534), None).is_ok() {
        let before = anna.log();
        let output = anna.output(&["ls"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success() && said.contains("another user's file"),
            "{said}"
        );
        assert_eq!((mode(), anna.log()), (0o666, before));
    }
}

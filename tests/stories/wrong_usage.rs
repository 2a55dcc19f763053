//! A table of command lines that are wrong, each with what is said to it and its exit code. Where more than one
//! session or a damaged file is needed to be wrong, a story of its own has it.

use std::os::unix::fs::DirBuilderExt;

use crate::harness::Machine;

/// The command line, the exit code, and a part of the sentence.
type Case = (&'static [&'static str], i32, &'static str);

const NO_SESSION: &str = "there is no running session on this machine; `pillion share` starts one";
const NO_SUCH: &str = "there is no running session \"nosuch\"; `pillion ls --all` lists";
const NO_SERVICE: &str =
    "give its URL with --signal, or as signal in the settings (pillion config edit)";
const A_KEY: &str = "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c";

const NO_SUCH_COMMAND: &[Case] = &[
    (&["jion", "abc"], 2, "did you mean `pillion join`?"),
    (&["shrae"], 2, "did you mean `pillion share`?"),
    (&["stpo"], 2, "did you mean `pillion stop`?"),
    (&["atach"], 2, "did you mean `pillion attach`?"),
    (
        &["nvim"],
        2,
        "To share a program of that name: `pillion share -- nvim`",
    ),
    (
        &["7-guitar-lantern"],
        2,
        "to join, write `pillion join` before it",
    ),
    (
        &["https://s.example/s/x#y"],
        2,
        "to join, write `pillion join` before it",
    ),
    (&["device", "lnk"], 2, "a similar subcommand exists: 'link'"),
    (
        &["config", "shwo"],
        2,
        "a similar subcommand exists: 'show'",
    ),
    (&["team", "ad"], 2, "a similar subcommand exists: 'add'"),
    (&["people", "renmae", "a", "b"], 2, "'rename'"),
];

const RUNS: &[Case] = &[
    (&["run"], 2, "--prompt <TEXT|@FILE|->"),
    (&["run", "--agent", "claude"], 2, "--prompt <TEXT|@FILE|->"),
    (&["run", "--prompt", "x"], 2, "--agent <AGENT>"),
    (
        &["run", "--agent", "nobody", "--prompt", "x"],
        2,
        "opencode, claude",
    ),
    (
        &["run", "--prompt", "x", "--max-cost", "free", "--", "true"],
        2,
        "\"free\" is no amount; write it like 2.50",
    ),
    (
        &[
            "run",
            "--prompt",
            "x",
            "--idle-timeout",
            "soon",
            "--",
            "true",
        ],
        2,
        "is not a length of time; write it like",
    ),
    (
        &["run", "--prompt", "x", "--permissions", "all", "--", "true"],
        2,
        "allow-all",
    ),
    (
        &["run", "--prompt", "x", "--", "no-such-agent"],
        127,
        "Is the agent installed",
    ),
    (&["fork"], 2, "<SESSION|FILE>"),
    (&["fork", "no-such-session"], 4, "no session"),
    (
        &["fork", "x", "--no-agent", "--agent", "claude"],
        2,
        "cannot be used with",
    ),
    (&["run", "--given"], 1, "--given is for pillion itself"),
];

const SHARING: &[Case] = &[
    (&["--shrae"], 2, "a similar argument exists: '--share'"),
    (&["--json"], 2, "write `pillion share --json`"),
    (&["--link"], 2, "write `pillion share --link`"),
    (&["--read-only"], 2, "write `pillion share --read-only`"),
    (&["--allow", "invited"], 2, "write `pillion share --allow`"),
    (
        &["--allow", "everyone"],
        2,
        "say \"link\" (everybody who has the ticket)",
    ),
    (
        &["share", "--lnk"],
        2,
        "a similar argument exists: '--link'",
    ),
    (
        &["share", "--relay", "nowhere"],
        2,
        "is not a relay: give its URL",
    ),
    (
        &["share", "--resolve", "phone"],
        2,
        "give records, dht or lan",
    ),
    (
        &["share", "--keep", "forever"],
        2,
        "is neither an age nor a size; write it like 30d",
    ),
    (
        &["share", "--signal", "not-a-url"],
        2,
        "it looks like https://signal.example",
    ),
    (
        &["share", "--team", "nokey"],
        2,
        "it should be 64 hexadecimal digits",
    ),
    (
        &["share", "--restart"],
        2,
        "a value is required for '--restart <SESSION>'",
    ),
    (
        &["share", "--restart", "", "--", "true"],
        2,
        "a value is required for '--restart <SESSION>'",
    ),
    (
        &["share", "--restart", "nosuch", "--", "true"],
        4,
        "there is no ended session \"nosuch\"",
    ),
    (&["share", "--link", "--", "true"], 1, NO_SERVICE),
    (&["share", "--code", "--", "true"], 1, NO_SERVICE),
    (
        &["share", "--", "nosuchcommand"],
        127,
        "\"nosuchcommand\" was not found: check its spelling",
    ),
    (
        &["share", "--", "/etc/passwd"],
        126,
        "can't be executed: check its permissions",
    ),
    (&["share", "--", "/etc"], 126, "can't be executed"),
    (
        &["share"],
        2,
        "there is no terminal here for a shell, and no command was given",
    ),
    (
        &["share", "--ticket-file", "/nosuch/file", "--", "true"],
        1,
        "the ticket was not written: /nosuch/file could not be",
    ),
    (&["share", "nosuch"], 4, NO_SUCH),
    (&["share", "--session", "nosuch"], 4, NO_SUCH),
    (
        &["share", "nosuch", "--session", "x"],
        2,
        "cannot be used with",
    ),
    (
        &["share", "nosuch", "--name", "x"],
        2,
        "--name starts a new session, and \"nosuch\" names one that runs",
    ),
    (
        &["share", "nosuch", "--", "true"],
        2,
        "-- COMMAND starts a new session",
    ),
    (
        &["share", "nosuch", "--detach"],
        2,
        "--detach starts a new session",
    ),
    (&["ticket"], 4, NO_SESSION),
    (&["ticket", "nosuch"], 4, NO_SUCH),
    (&["ticket", "--nwe"], 2, "unexpected argument '--nwe' found"),
    (&["link"], 4, NO_SESSION),
    (&["link", "--off", "--qr"], 2, "cannot be used with '--qr'"),
    (
        &["link", "--signal", "nope"],
        2,
        "it looks like https://signal.example",
    ),
    (&["code"], 4, NO_SESSION),
    (
        &["code", "--signal", "ftp://x"],
        2,
        "it looks like https://signal.example",
    ),
    (&["stop"], 4, NO_SESSION),
    (&["stop", "nosuch"], 4, NO_SUCH),
    (&["stop", "--all", "nosuch"], 2, "cannot be used with"),
    (&["attach"], 4, NO_SESSION),
    (&["attach", "nosuch"], 4, NO_SUCH),
];

const PEOPLE: &[Case] = &[
    (&["who"], 4, NO_SESSION),
    (&["who", "nosuch"], 4, NO_SUCH),
    (&["who", "--jsno"], 2, "a similar argument exists: '--json'"),
    (&["grant"], 2, "say what they can do: --edit lets them type"),
    (
        &["grant", "bert"],
        2,
        "say what they can do: --edit lets them type",
    ),
    (
        &["grant", "--edit"],
        2,
        "say who: a name or number from `pillion who`, or --link",
    ),
    (&["grant", "bert", "--edit"], 4, NO_SESSION),
    (
        &["grant", "bert", "--edit", "--json"],
        2,
        "--json prints a token, so it needs --link",
    ),
    (
        &["grant", "--link", "--edit", "--uses", "0"],
        2,
        "\"0\" is no number that can be meant here",
    ),
    (
        &["grant", "--link", "--edit", "--uses", "many"],
        2,
        "\"many\" is no number",
    ),
    (
        &["grant", "bert", "--edit", "--uses", "2"],
        2,
        "--uses is about a token, so it needs --link",
    ),
    (
        &["grant", "--link", "--edit", "--expires", "soon"],
        2,
        "\"soon\" is not a length of time; write it like 90s",
    ),
    (
        &["grant", "--link", "--edit", "--expires", "0s"],
        2,
        "a length of time must be longer than nothing",
    ),
    (
        &["grant", "--link", "--edit", "--expires", "100years"],
        2,
        "the longest span is ten years",
    ),
    (
        &["grant", "bert", "--link", "--edit"],
        2,
        "cannot be used with '--link'",
    ),
    (
        &["grant", "bert", "--edit", "--manage"],
        2,
        "cannot be used with '--manage'",
    ),
    (
        &["grant", "bert", "--can", "fly"],
        2,
        "\"fly\" is no right: say view, edit or manage",
    ),
    (&["revoke"], 2, "<NAME|ID|GRANT|PERSON|--link|--all>"),
    (&["revoke", "bert"], 4, NO_SESSION),
    (
        &["revoke", "bert", "--all"],
        2,
        "cannot be used with '--all'",
    ),
    (&["allow", "anna@example.org"], 4, NO_SESSION),
    (&["allow", "--edit"], 2, "<link|invited|team|PERSON>"),
    (
        &["allow", "anna", "--json"],
        2,
        "cannot be used with '--json'",
    ),
    (
        &["allow", "anna", "--view", "--edit"],
        2,
        "cannot be used with '--edit'",
    ),
    (&["admit"], 2, "<NAME|ID>"),
    (&["admit", "bert"], 4, NO_SESSION),
    (&["refuse", "bert"], 4, NO_SESSION),
    (&["kick"], 2, "<NAME|ID>"),
    (&["kick", "bert"], 4, NO_SESSION),
    (&["ban"], 2, "<PERSON>"),
    (&["unban", "bert"], 4, NO_SESSION),
    (&["people", "add", "anna"], 2, "<PERSON>"),
    (
        &["people", "add", "anna", "nokey"],
        1,
        "give a Pillion key (64 hexadecimal digits",
    ),
    (
        &["people", "rename", "nobody", "x"],
        1,
        "there is no contact \"nobody\"; `pillion people` lists them",
    ),
    (
        &["people", "remove", "nobody"],
        1,
        "there is no contact \"nobody\"",
    ),
    (&["team", "new"], 2, "<NAME>"),
    (
        &["team", "show", "nosuch"],
        1,
        "there is no team \"nosuch\"; `pillion team new nosuch` makes one",
    ),
    (
        &["team", "add", "nosuch", "anna", A_KEY],
        1,
        "there is no team \"nosuch\"",
    ),
    (
        &["team", "remove", "nosuch", "anna"],
        1,
        "there is no team \"nosuch\"",
    ),
    (
        &["team", "join", "hello"],
        1,
        "one starts with \"pillionmember\"",
    ),
    (
        &["team", "import", "hello"],
        1,
        "one starts with \"pillionremovals\"",
    ),
    (&["id", "extra"], 2, "unexpected argument 'extra'"),
];

const JOINING: &[Case] = &[
    (&["join"], 2, "no ticket was given: `pillion join TICKET`"),
    (&["join", "hello"], 1, "a ticket starts with \"pillion\""),
    (&["join", "7-guitar-lantern"], 1, NO_SERVICE),
    (
        &["join", "7-gitar-lantern"],
        1,
        "\"gitar\" is in no code (\"guitar\" would be)",
    ),
    (&["join", "7-guitar"], 1, "a code is a number and two words"),
    (
        &["join", "https://s.example/s/abc"],
        1,
        "the part from # on is missing",
    ),
    (
        &["join", "--text", "--follow", "ticket"],
        2,
        "cannot be used with '--follow'",
    ),
    (
        &["join", "hello", "--as", "password"],
        2,
        "say \"ssh\", \"ssh:FINGERPRINT\"",
    ),
    (
        &["join", "hello", "--terminal", "one"],
        2,
        "\"one\" is no number",
    ),
    (
        &["join", "hello", "--name"],
        2,
        "a value is required for '--name <NAME>'",
    ),
];

const KEPT: &[Case] = &[
    (&["new"], 4, NO_SESSION),
    (&["new", "ls"], 2, "unexpected argument 'ls' found"),
    (&["close"], 2, "<NUMBER|--all>"),
    (&["close", "one"], 2, "\"one\" is no number"),
    (&["close", "1", "--all"], 2, "cannot be used with '--all'"),
    (&["close", "1"], 4, NO_SESSION),
    (&["ls", "nosuch"], 4, NO_SUCH),
    (&["ls", "--al"], 2, "a similar argument exists: '--all'"),
    (&["ls", "--all", "x"], 2, "cannot be used with"),
    (&["ls", "--signal", "https://x.example"], 2, "--all-devices"),
    (&["ls", "--all-devices"], 1, NO_SERVICE),
    (&["export", "nosuch"], 4, "there is no session \"nosuch\""),
    (
        &["export", "--format", "gif"],
        2,
        "[possible values: txt, cast, cast3, pillion]",
    ),
    (
        &["export", "--terminal", "one"],
        2,
        "give a terminal's number",
    ),
    (
        &["export", "x", "--format", "cast", "--terminal", "all"],
        1,
        "a recording shows one terminal",
    ),
    (&["audit", "nosuch"], 4, "there is no session \"nosuch\""),
    (&["rm"], 2, "<SESSION|--all>"),
    (&["rm", "nosuch"], 4, "there is no session \"nosuch\""),
    (&["rm", "nosuch", "--all"], 2, "cannot be used with '--all'"),
    (&["device", "link"], 1, NO_SERVICE),
    (&["device", "unlink"], 2, "<NAME>"),
    (&["device", "unlink", "laptop"], 1, NO_SERVICE),
    (&["config"], 2, "Usage: pillion config <COMMAND>"),
    (
        &["config", "show", "prefixkey"],
        2,
        "there is no setting \"prefixkey\"; did you mean prefix_key?",
    ),
    (&["completions"], 2, "<SHELL>"),
    (
        &["completions", "fihs"],
        2,
        "a similar value exists: 'fish'",
    ),
    (&["man"], 2, "<DIR>"),
    (
        &["man", "/proc/nosuch"],
        1,
        "/proc/nosuch could not be made: No such file or directory",
    ),
];

#[test]
fn a_hundred_wrong_command_lines_are_answered_with_what_to_do() {
    let anna = Machine::new();
    let cases = [NO_SUCH_COMMAND, SHARING, RUNS, PEOPLE, JOINING, KEPT].concat();
    assert!(cases.len() >= 100, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for (args, code, part) in cases {
        let output = anna.output(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let fits = output.status.code() == Some(code) && said.contains(part);
        // A system's numbers and debug texts are nothing to show to people.
        let clean = !["os error", "Some(", "{\"", "in vain"]
            .iter()
            .any(|odd| said.contains(odd));
        if !fits || !clean {
            wrong.push(format!("pillion {args:?}: {} {said}", output.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn settings_that_are_wrong_are_shown_and_blamed_on_their_place() {
    let anna = Machine::new();
    let config = anna.path("config/pillion");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&config)
        .unwrap();
    std::fs::write(
        config.join("config.toml"),
        "keep = \"ever\"\nname = \"anna\"\n",
    )
    .unwrap();
    let output = anna.output(&["config", "show"]);
    let (shown, said) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(shown.contains("name = \"anna\"  # from: file"), "{shown}");
    assert!(
        shown.contains("keep = \"30days,1GiB\"  # from: default"),
        "{shown}"
    );
    assert!(
        said.contains("config.toml") && said.contains("\"keep\""),
        "{said}"
    );

    // In the environment it is not the file's.
    std::fs::write(config.join("config.toml"), "").unwrap();
    let mut share = anna.pillion(&["share", "--", "true"]);
    share.env("PILLION_KEEP", "ever");
    let output = share.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("the environment is not usable: PILLION_KEEP"),
        "{said}"
    );
    assert!(!said.contains("config.toml"), "{said}");
}

#[test]
fn a_session_that_runs_is_not_removed_and_how_it_ends_is_said() {
    let anna = Machine::new();
    let (_host, _) = anna.share_shell(&[]);
    let id = anna.session()["session"].as_str().unwrap().to_owned();
    let said = anna.fails(1, &["rm", &id]);
    let ends = format!("pillion close --all --session {id}");
    assert!(
        said.contains(&ends) && !said.contains("pillion stop"),
        "{said}"
    );
    // And so it does.
    anna.run(&["close", "--all", "--session", &id]);
    anna.run(&["rm", &id]);
}

#[test]
fn a_terminal_whose_locale_is_not_unicode_is_told_in_ascii() {
    let anna = Machine::new();
    let mut command = anna.pillion(&["people", "add", "anna", "nokey"]);
    let said = |output: std::process::Output| String::from_utf8(output.stderr).unwrap();
    let unicode = said(command.output().unwrap());
    let plain = said(command.env("LC_ALL", "C").output().unwrap());
    assert!(unicode.contains("AAAA…"), "{unicode}");
    assert!(plain.contains("AAAA...") && plain.is_ascii(), "{plain}");
}

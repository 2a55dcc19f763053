//! Names, titles and output made to reach somebody's terminal, and what reaches it.

use crate::harness::{Machine, PREFIX, Term, contains, until};

/// A clipboard write, an overriding of the reading direction, a line break, a C1 control, a bell, a
/// tag character.
const NAME: &str = "e\x1b]52;c;aGk=\x07v\u{202e}i\r\nl\u{9b}31m\u{e0041}\x1b[2J";

/// Nothing of [`NAME`] but letters.
fn assert_clean(what: &str, raw: &[u8]) {
    for part in [
        &b"52;c;aGk="[..],
        "\u{202e}".as_bytes(),
        "\u{9b}".as_bytes(),
        "\u{e0041}".as_bytes(),
    ] {
        // Without its escape the text of an escape sequence is harmless; its control bytes are gone.
        if part == b"52;c;aGk=" {
            assert!(
                !contains(raw, b"\x1b]52;c;aGk="),
                "{what} got a clipboard write"
            );
        } else {
            assert!(!contains(raw, part), "{what} got {}", part.escape_ascii());
        }
    }
}

#[test]
fn a_hostile_name_reaches_nobodys_terminal() {
    let (anna, bert, carl) = (Machine::new(), Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&[]);
    let mut hostile = bert.watch(&ticket, &["--name", NAME]);
    let mut viewer = carl.watch(&ticket, &["--name", "carl"]);
    until("both to be here", || (anna.who().len() == 2).then_some(()));

    hostile.send(&format!("{PREFIX}e"));
    host.wait_for("asks to type");
    host.send(&format!("{PREFIX}p"));
    host.wait_for("r stop typing");
    viewer.send(&format!("{PREFIX}w"));
    viewer.wait_for("Who is here");
    for (what, term) in [
        ("the host's terminal", &host),
        ("a viewer's", &viewer),
        ("their own", &hostile),
    ] {
        assert_clean(what, &term.raw());
    }

    // Commands print what a terminal shows, too.
    for args in [
        &["who"][..],
        &["ls"],
        &["grant", NAME, "--edit"],
        &["kick", "nobody\x1b[2J\u{202e}"],
    ] {
        let output = anna.output(args);
        for bytes in [&output.stdout, &output.stderr] {
            assert_clean("a command's reader", bytes);
            assert!(!bytes.contains(&0x1b), "{}", bytes.escape_ascii());
        }
    }
}

#[test]
fn a_hostile_session_name_reaches_nobodys_terminal() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let (mut host, ticket) = anna.share_shell(&["--name", NAME]);
    let viewer = bert.watch(&ticket, &[]);
    assert_clean("the viewer's terminal", &viewer.raw());
    assert_clean("the host's terminal", &host.raw());
    host.send("exit\r");
    host.wait_exit();
    for args in [&["ls", "--all"][..], &["export", "nothing\x1b[2J"]] {
        let output = anna.output(args);
        for bytes in [&output.stdout, &output.stderr] {
            assert_clean("a command's reader", bytes);
            assert!(!bytes.contains(&0x1b), "{}", bytes.escape_ascii());
        }
    }
}

/// Everything a program may say to a terminal that is not for the eyes of who watches.
const HOSTILE: &[&str] = &[
    "\x1b]52;c;aGFja2Vk\x07",
    "\x1b]52;c;?\x1b\\",
    "\x1b]0;title \u{202e}gnp.exe\x1b\\",
    "\x1b]2;t\x1b]52;c;aGFja2Vk\x07\x07",
    "\x1b]9;notify\x07\x1b]99;;notify\x1b\\\x1b]777;notify;a;b\x07",
    "\x1b]1337;File=inline=1:AAAA\x07",
    "\x1b]4;1;rgb:00/00/00\x07\x1b]4;1;?\x07\x1b]10;?\x07\x1b]11;#000000\x07\x1b]12;?\x07",
    "\x1b]7;file:///etc/passwd\x07",
    "\x1b]8;;file:///etc/passwd\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\",
    "\x1b]133;A\x07\x1b]633;E;rm\x07",
    "\x1bPtmux;\x1b\x1b]52;c;aGFja2Vk\x07\x1b\\",
    "\x1bPq#0;2;0;0;0~\x1b\\",
    "\x1bP$qm\x1b\\\x1bP+q544e\x1b\\\x1bP0;1|17/ab\x1b\\",
    "\x1b_Gf=32,s=1,v=1,t=f;L2V0Yy9wYXNzd2Q=\x1b\\",
    "\x1b^privacy\x1b\\\x1bXstart\x1b\\",
    "\x1b[21t\x1b[14t\x1b[8;1;1t\x1b[3;0;0t",
    "\x1b[6n\x1b[c\x1b[>c\x1b[>q\x1b[?2026$p\x1b[x\x05",
    "\x1b[5i\x1b[4i",
    "\x1b[?1000h\x1b[?1003h\x1b[?1004h\x1b[>1u\x1b[>4;2m\x1b[?1000l\x1b[?1003l\x1b[?1004l\x1b[<u\x1b[>4;0m",
    "\u{9b}2J\u{9d}52;c;dGV4dA==\u{9c}\u{90}q\u{9c}",
    "bidi \u{202e}txet \u{2066}isolated\u{2069}\u{200f} tag \u{e0041}\u{e0042}",
    "\x1b[1;1y\x1b[2;1y\x1b#8",
];

/// Shows a file whenever `!` is typed. What the host's terminal answers to it is read and forgotten.
const SHOW: &str = r#"
stty raw -echo
printf 'ready\r\n'
n=0
while IFS= read -r -d '!' answers; do
    cat "$1"
    printf '\033[0m\033[?25h\r\nafter-%d\r\n' $n
    n=$((n+1))
done
"#;

/// Control sequences: what introduces each, its parameters, its end.
fn controls(raw: &[u8]) -> Vec<(String, u8)> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(found) = raw[at..].windows(2).position(|pair| pair == b"\x1b[") {
        let start = at + found + 2;
        let Some(length) = raw[start..]
            .iter()
            .position(|byte| (0x40..=0x7e).contains(byte))
        else {
            break;
        };
        all.push((
            String::from_utf8_lossy(&raw[start..start + length]).into_owned(),
            raw[start + length],
        ));
        at = start + length + 1;
    }
    all
}

#[test]
fn program_output_reaches_the_viewers_eyes_and_nothing_else_of_them() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let file = anna.path("hostile");
    let (mut host, ticket) = anna.share(
        crate::harness::SIZE,
        &["--", "bash", "-c", SHOW, "show", file.to_str().unwrap()],
    );
    host.wait_for("ready");
    let mut viewer = bert.watch(&ticket, &["--name", "bert"]);
    crate::harness::request_and_grant(&mut viewer, &mut host);
    host.wait_gone("asks to type");
    for (number, text) in HOSTILE.iter().enumerate() {
        std::fs::write(&file, text).unwrap();
        host.send("!");
        viewer.wait_for(&format!("after-{number}"));
        assert_harmless(number, &viewer);
    }
    // What is allowed: a link that names its target, a title without tricks.
    std::fs::write(
        &file,
        "\x1b]8;;https://example.org/\x1b\\link\x1b]8;;\x1b\\",
    )
    .unwrap();
    host.send("!");
    viewer.wait_for(&format!("after-{}", HOSTILE.len()));
    assert!(contains(&viewer.raw(), b"https://example.org/"));

    viewer.send(&format!("{PREFIX}q"));
    assert_eq!(viewer.wait_code(), Some(0));
}

fn assert_harmless(number: usize, viewer: &Term) {
    let raw = viewer.raw();
    let sent = HOSTILE[number].escape_debug();
    let forbidden: &[&[u8]] = &[
        b"\x1b]52",
        b"\x1b]9;",
        b"\x1b]99",
        b"\x1b]777",
        b"\x1b]1337",
        b"\x1b]4;",
        b"\x1b]10",
        b"\x1b]11",
        b"\x1b]12",
        b"\x1b]7;",
        b"file:",
        b"javascript:",
        b"\x1b]133",
        b"\x1b]633",
        b"\x1bP",
        b"\x1b_",
        b"\x1b^",
        b"\x1bX",
        b"\x1bc",
        b"\x05",
        b"aGFja2Vk",
        b"\x1b#",
    ];
    for part in forbidden {
        assert!(
            !contains(&raw, part),
            "{sent} made the viewer's terminal get {}",
            part.escape_ascii()
        );
    }
    let text = String::from_utf8(raw.clone()).expect("what a viewer draws is UTF-8");
    let tricks = |ch: char| matches!(ch, '\u{80}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}');
    assert!(
        !text.contains(tricks),
        "{sent} made the viewer's terminal get {:?}",
        text.chars().find(|ch| tricks(*ch))
    );
    for (params, end) in controls(&raw) {
        let harmless = match end {
            // Saving and restoring the title is ours.
            b't' => params.starts_with("22") || params.starts_with("23"),
            b'n' | b'c' | b'i' | b'x' | b'y' => false,
            b'q' => !params.starts_with('>'),
            b'p' => !params.ends_with('$'),
            _ => true,
        };
        assert!(
            harmless,
            "{sent} made the viewer's terminal get CSI {params}{}",
            char::from(end)
        );
    }
}

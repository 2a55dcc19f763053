//! Real programs in real pseudo-terminals.

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

mod common;

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use common::{Run, soon};
use pillion_source::{
    AttachedTty, ExitStatus, HoldMode, INPUT_LIMIT, InputError, OUTSTANDING_LIMIT, Program, Pty,
    Size, SourceEvent, SpawnError, TtyWriter,
};
use rustix::process::{Pid, Signal, kill_process};

#[tokio::test(flavor = "current_thread")]
async fn output_comes_before_the_exit_code_and_the_exit_comes_once() {
    let mut run = Run::sh("printf 'one\\ntwo\\n'; exit 7");
    let (printed, status) = run.finish().await;
    assert_eq!(printed, b"one\r\ntwo\r\n");
    assert_eq!(status, ExitStatus::Code(7));
    assert_eq!(run.source.next().await, None);
    assert_eq!(run.source.try_next(), None);
    assert_eq!(run.pty.write("x".into()), Err(InputError::Ended));
}

#[tokio::test(flavor = "current_thread")]
async fn a_program_that_dies_at_once_or_by_a_signal_is_reported() {
    assert_eq!(
        Run::sh("exit 0").finish().await,
        (vec![], ExitStatus::Code(0))
    );
    let (printed, status) = Run::sh("printf last; kill -9 $$").finish().await;
    assert_eq!(
        (&printed[..], status),
        (&b"last"[..], ExitStatus::Signal(9))
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_flood_is_complete_in_order_and_bounded_for_a_slow_session() {
    let (tty, shown) = file_tty();
    let expected: Vec<u8> = (1..=600_000)
        .flat_map(|n| format!("{n}\r\n").into_bytes())
        .collect();
    let mut run = Run::program(&Program::new(["seq", "1", "600000"]), Some(tty));
    let mut slow = 30_u32;
    loop {
        // What the terminal has been shown and the session hasn't taken is what is outstanding.
        let outstanding = shown.metadata().unwrap().len() as usize - run.printed.len();
        assert!(
            outstanding <= OUTSTANDING_LIMIT,
            "{outstanding} bytes are outstanding"
        );
        slow = slow.saturating_sub(1);
        if slow > 0 {
            something_else().await;
        }
        if let SourceEvent::Exited(status) = run.next().await {
            assert_eq!(status, ExitStatus::Code(0));
            break;
        }
    }
    assert!(run.printed == expected, "the flood is not what was printed");
    assert!(
        std::fs::read(path(&shown)).unwrap() == expected,
        "the terminal saw something else"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn a_background_job_does_not_put_off_the_end() {
    // Both hold the terminal open, one of them printing for as long as it can.
    let mut run = Run::sh("trap '' HUP; sleep 1000 & echo $!; yes & echo started; exit 3");
    while !run.printed.contains(&b'\r') {
        run.next().await;
    }
    let (printed, status) = run.finish().await;
    assert_eq!(status, ExitStatus::Code(3));
    let text = b"started\r\n";
    assert!(printed.windows(text.len()).any(|window| window == text));
    let line = printed.split(|byte| *byte == b'\r').next().unwrap();
    let job = str::from_utf8(line).unwrap().parse().unwrap();
    kill_process(Pid::from_raw(job).unwrap(), Signal::KILL).unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn a_program_that_closes_its_terminal_is_waited_for() {
    let mut run = Run::sh("exec </dev/null >/dev/null 2>&1; echo late >/dev/tty; exit 4");
    assert_eq!(
        run.finish().await,
        (b"late\r\n".to_vec(), ExitStatus::Code(4))
    );
}

#[tokio::test(flavor = "current_thread")]
async fn every_size_reaches_the_program() {
    let mut program = Program::new([
        "/bin/sh",
        "-c",
        "stty size; while read x; do stty size; done",
    ]);
    program.size = Size::new(1, 1).unwrap();
    let mut run = Run::program(&program, None);
    run.prints("1 1\r\n").await;
    for (cols, rows) in [(1000, 500), (80, 24), (1, 500)] {
        run.pty.resize(Size::new(cols, rows).unwrap()).unwrap();
        run.type_in("\r");
        run.prints(&format!("{rows} {cols}\r\n")).await;
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_resize_is_signalled() {
    let mut run = Run::sh("trap 'stty size; exit' WINCH; sleep 1000 & echo ready; wait; wait");
    run.prints("ready").await;
    run.pty.resize(Size::new(44, 33).unwrap()).unwrap();
    run.prints("33 44").await;
    run.finish().await;
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_typed_is_echoed_and_read() {
    let mut run = Run::sh("read x; echo got $x; cat; exit 5");
    let accepted = run.pty.write("hello\r".into()).unwrap();
    assert_eq!((accepted.upto, accepted.written), (6, true));
    run.prints("hello\r\n").await;
    run.prints("got hello\r\n").await;
    run.pty.write_eof().unwrap();
    assert_eq!(run.finish().await.1, ExitStatus::Code(5));
}

#[tokio::test(flavor = "current_thread")]
async fn ctrl_c_interrupts_a_flood() {
    let mut run = Run::sh("yes");
    run.prints("y\r\n").await;
    run.type_in("\x03");
    assert_eq!(run.finish().await.1, ExitStatus::Signal(2));
}

#[tokio::test(flavor = "current_thread")]
async fn a_paste_that_nobody_reads_is_refused_and_blocks_nothing() {
    let mut run = Run::sh("stty raw -echo; echo ready; exec sleep 1000");
    run.prints("ready").await;
    let piece = Bytes::from(vec![b'x'; 64 * 1024]);
    let refused = loop {
        match run.pty.write(piece.clone()) {
            Ok(accepted) => assert!(accepted.upto < 1 << 20, "a whole megabyte was accepted"),
            Err(refused) => break refused,
        }
    };
    let InputError::Full { queued, room } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(queued + room, INPUT_LIMIT);
    assert!(room < piece.len());
    // What is said to fit, fits.
    let accepted = run.pty.write(piece.slice(..room)).unwrap().upto;
    let forgotten = run.pty.flush_input();
    assert_eq!(forgotten.end, accepted);
    assert!(forgotten.end - forgotten.start <= INPUT_LIMIT as u64 && !forgotten.is_empty());
    run.pty.terminate(Duration::from_secs(30)).unwrap();
    assert_eq!(run.finish().await.1, ExitStatus::Signal(1));
}

#[tokio::test(flavor = "current_thread")]
async fn ctrl_c_is_seen_behind_what_the_program_does_not_read() {
    let mut run = Run::sh("echo ready; exec sleep 1000");
    run.prints("ready\r\n").await;
    let paste = Bytes::from("a line\n".repeat(20_000));
    assert!(!run.pty.write(paste).unwrap().written);
    let keys = b"x\x03y\x03z";
    assert_eq!(run.pty.flush_before(keys), Some(3));
    let forgotten = run.pty.flush_input();
    assert!(!forgotten.is_empty());
    assert!(!run.pty.has_unread_input());
    assert!(run.pty.write(keys[3..].into()).unwrap().written);
    assert_eq!(run.finish().await.1, ExitStatus::Signal(2));
}

#[tokio::test(flavor = "current_thread")]
async fn what_ends_no_program_throws_nothing_away() {
    let mut run = Run::sh("stty raw; echo raw; read go; stty sane noflsh; echo kept; read go");
    run.prints("raw").await;
    assert_eq!(run.pty.flush_before(b"\x03"), None);
    run.type_in("\n");
    run.prints("kept").await;
    assert_eq!(run.pty.flush_before(b"\x03"), None);
    run.type_in("\n");
    run.finish().await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_paste_that_waited_is_written_in_order_and_said_to_be() {
    const SIZE: usize = 200_000;
    let directory = tempfile::tempdir().unwrap();
    let go = directory.path().join("go");
    let script = format!(
        "stty raw -echo; mkfifo '{0}'; echo ready; cat '{0}'; exec head -c {SIZE}",
        go.display()
    );
    let mut run = Run::sh(&script);
    run.prints("ready\n").await;
    let paste: Vec<u8> = (0..SIZE).map(|n| b' ' + (n % 89) as u8).collect();
    let accepted = run.pty.write(paste.clone().into()).unwrap();
    assert!(!accepted.written);
    tokio::task::spawn_blocking(move || File::options().write(true).open(go))
        .await
        .unwrap()
        .unwrap();
    let mut written = 0;
    loop {
        match run.next().await {
            SourceEvent::Written { upto } => {
                assert!(upto > written);
                written = upto;
            }
            SourceEvent::Exited(status) => {
                assert_eq!(status, ExitStatus::Code(0));
                break;
            }
            _ => {}
        }
    }
    assert_eq!(written, accepted.upto);
    assert!(run.printed == paste, "the paste changed on its way");
}

#[tokio::test(flavor = "current_thread")]
async fn a_program_that_ignores_the_hang_up_is_killed() {
    let mut run = Run::sh("trap '' HUP; echo ready; exec sleep 1000");
    run.prints("ready").await;
    run.pty.terminate(Duration::from_millis(20)).unwrap();
    assert_eq!(run.finish().await.1, ExitStatus::Signal(9));
    // Once it has ended there is nothing to end.
    run.pty.terminate(Duration::ZERO).unwrap();
}

#[tokio::test(flavor = "current_thread")]
async fn dropping_both_halves_hangs_up() {
    let directory = tempfile::tempdir().unwrap();
    let told = directory.path().join("told");
    let script = format!(
        "mkfifo '{0}'; trap \"echo hup >'{0}'\" HUP; echo ready; read x",
        told.display()
    );
    let mut run = Run::sh(&script);
    run.prints("ready").await;
    drop(run);
    let told = soon(tokio::task::spawn_blocking(move || std::fs::read(told))).await;
    assert_eq!(told.unwrap().unwrap(), b"hup\n");
}

#[tokio::test(flavor = "current_thread")]
async fn the_program_has_nothing_of_ours_but_its_terminal() {
    let mut run = Run::sh("ls -l /proc/self/fd/; stat -c mode=%a $(tty)");
    let printed = String::from_utf8(run.finish().await.0).unwrap();
    assert_eq!(printed.matches("/dev/pts/").count(), 3, "{printed}");
    assert!(!printed.contains("ptmx"), "{printed}");
    // Nobody else may read it; others of group tty may write to it where the system says so.
    let private = ["mode=600", "mode=620"];
    assert!(
        private.iter().any(|mode| printed.contains(mode)),
        "{printed}"
    );
}

#[tokio::test(flavor = "current_thread")]
async fn the_environment_fits_the_terminal() {
    let mut program = Program::new(["/bin/sh", "-c", "echo $TERM-$COLUMNS-$NEW-$OLD"]);
    program.env.push(("NEW".into(), "new".into()));
    program.env.push(("OLD".into(), "old".into()));
    program.env_remove.push("OLD".into());
    let mut run = Run::program(&program, None);
    assert_eq!(run.finish().await.0, b"xterm-256color--new-old\r\n");
}

/// Started again by a shell that ignores signals, this test is the host with those ignored.
#[tokio::test(flavor = "current_thread")]
async fn signals_that_we_ignore_work_in_the_program() {
    const ROLE: &str = "PILLION_TEST_IGNORES";
    if std::env::var_os(ROLE).is_some() {
        let mut run = Run::sh("kill -HUP $$; echo survived");
        assert_eq!(run.finish().await, (vec![], ExitStatus::Signal(1)));
        println!("<HUP WORKS>");
        return;
    }
    let name = "signals_that_we_ignore_work_in_the_program";
    let script = format!("trap '' HUP INT; exec \"$0\" --exact {name} --nocapture");
    let mut program = Program::new(["/bin/sh", "-c", &script]);
    program.argv.push(std::env::current_exe().unwrap().into());
    program.env.push((ROLE.into(), "1".into()));
    let mut host = Run::program(&program, None);
    host.prints("<HUP WORKS>").await;
}

#[tokio::test(flavor = "current_thread")]
async fn arguments_may_be_any_bytes() {
    let mut program = Program::new(["/usr/bin/printf", "%s"]);
    program
        .argv
        .push(OsString::from_vec(b"\xff\xfe\x80".to_vec()));
    let mut run = Run::program(&program, None);
    assert_eq!(
        run.finish().await,
        (b"\xff\xfe\x80".to_vec(), ExitStatus::Code(0))
    );
}

#[tokio::test(flavor = "current_thread")]
async fn echo_is_known() {
    let mut run = Run::sh("echo on; read x; stty -echo; echo off; read x");
    run.prints("on").await;
    assert!(run.pty.line_mode().unwrap().echo);
    run.type_in("\r");
    run.prints("off").await;
    let mode = run.pty.line_mode().unwrap();
    assert!(!mode.echo && mode.canonical);
}

#[test]
fn what_cannot_run_is_said() {
    let spawn = |program: &Program| Pty::spawn(program, None).map(drop).unwrap_err();
    let none: [&str; 0] = [];
    assert!(matches!(spawn(&Program::new(none)), SpawnError::NoCommand));
    let missing = spawn(&Program::new(["no-such-program-anywhere"]));
    assert!(matches!(missing, SpawnError::NotFound(_)));
    assert_eq!(missing.exit_code(), 127);
    let refused = spawn(&Program::new(["/etc/passwd"]));
    assert!(matches!(refused, SpawnError::NotExecutable(..)));
    assert_eq!(refused.exit_code(), 126);
    let mut lost = Program::new(["true"]);
    lost.cwd = Some("/no/such/directory".into());
    assert!(matches!(spawn(&lost), SpawnError::Directory(_)));
    assert!(matches!(
        spawn(&Program::new(["a\0b"])),
        SpawnError::Failed(..)
    ));
}

#[tokio::test(flavor = "current_thread")]
async fn output_behind_a_panel_is_kept_and_shown_after_it() {
    let (tty, shown) = file_tty();
    let mut run = Run::program(&Program::new(["cat"]), Some(tty.clone()));
    let hold = soon(tty.hold(HoldMode::Keep)).await;
    run.type_in("kept\r");
    run.prints("kept\r\nkept\r\n").await;
    assert_eq!(hold.kept(), "kept\r\nkept\r\n".len());
    assert_eq!(shown.metadata().unwrap().len(), 0);
    drop(hold);
    run.type_in("more\r");
    run.prints("more\r\nmore\r\n").await;
    let shown = std::fs::read(path(&shown)).unwrap();
    assert_eq!(shown, b"kept\r\nkept\r\nmore\r\nmore\r\n");
}

#[tokio::test(flavor = "current_thread")]
async fn kept_output_is_shown_without_further_output() {
    let (reader, writer) = std::io::pipe().unwrap();
    let tty = TtyWriter::plain(writer.into());
    let mut run = Run::program(&Program::new(["cat"]), Some(tty.clone()));
    let hold = soon(tty.hold(HoldMode::Keep)).await;
    run.type_in("kept");
    run.prints("kept").await;
    drop(hold);
    let shown = soon(tokio::task::spawn_blocking(move || {
        let (mut reader, mut shown) = (reader, [0; 4]);
        std::io::Read::read_exact(&mut reader, &mut shown).map(|()| shown)
    }));
    assert_eq!(&shown.await.unwrap().unwrap(), b"kept");
}

#[tokio::test(flavor = "current_thread")]
async fn who_holds_the_gate_and_drains_has_seen_what_the_terminal_has() {
    let (tty, shown) = file_tty();
    let mut run = Run::program(&Program::new(["seq", "1", "100000"]), Some(tty.clone()));
    let mut held_under_way = 0;
    let mut ended = false;
    while !ended {
        ended = matches!(run.next().await, SourceEvent::Exited(_));
        let hold = soon(tty.hold(HoldMode::Wait)).await;
        if held_under_way < 10 {
            let before = shown.metadata().unwrap().len();
            something_else().await;
            assert_eq!(shown.metadata().unwrap().len(), before);
        }
        while let Some(event) = run.source.try_next() {
            match event {
                SourceEvent::Output(bytes) => run.printed.extend_from_slice(&bytes),
                SourceEvent::Exited(_) => ended = true,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(shown.metadata().unwrap().len() as usize, run.printed.len());
        held_under_way += usize::from(!ended);
        drop(hold);
    }
    assert!(held_under_way > 0);
}

#[tokio::test(flavor = "current_thread")]
async fn a_terminal_that_is_gone_is_said_and_the_program_goes_on() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut run = Run::program(
        &Program::new(["cat"]),
        Some(TtyWriter::plain(writer.into())),
    );
    run.type_in("one");
    assert!(matches!(run.next().await, SourceEvent::Output(_)));
    assert_eq!(run.next().await, SourceEvent::TtyGone);
    run.type_in("two");
    run.prints("onetwo").await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_non_blocking_output_is_waited_for() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let tty = TtyWriter::plain(writer.into());
    let all = tokio::task::spawn_blocking(move || {
        let mut all = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut all).map(|_| all)
    });
    let mut run = Run::program(&Program::new(["seq", "1", "100000"]), Some(tty));
    let (printed, _) = run.finish().await;
    drop(run);
    assert!(soon(all).await.unwrap().unwrap() == printed);
}

/// Takes a while, in which a flood that nothing holds back would go on by megabytes.
async fn something_else() {
    Run::sh("exit 0").finish().await;
}

/// A file as the host's terminal: what it was shown can be looked at.
fn file_tty() -> (TtyWriter, File) {
    let shown = tempfile::tempfile().unwrap();
    let mut tty = shown.try_clone().unwrap();
    tty.flush().unwrap();
    (TtyWriter::plain(tty.into()), shown)
}

fn path(file: &File) -> impl AsRef<Path> + use<> {
    use std::os::fd::AsRawFd as _;
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[tokio::test(flavor = "current_thread")]
async fn a_flood_moves_from_terminal_to_terminal_and_each_shows_an_unbroken_part() {
    let (first, shown) = file_tty();
    let mut run = Run::program(&Program::new(["seq", "1", "400000"]), Some(first));
    // Each terminal, and where the output began that it shows.
    let mut terminals = vec![(shown, 0)];
    let mut ended = false;
    while !ended {
        for _ in 0..3 {
            ended = ended || matches!(run.next().await, SourceEvent::Exited(_));
            drain(&mut run, &mut ended);
        }
        let (tty, shown) = file_tty();
        let mut hold = soon(tty.hold(HoldMode::Skip)).await;
        run.pty.show_on(Some(tty));
        // It is shown nothing for a while, and then all from here on.
        if terminals.len() % 2 == 0 {
            ended = ended || matches!(run.next().await, SourceEvent::Exited(_));
        }
        hold.set_mode(HoldMode::Wait);
        drain(&mut run, &mut ended);
        terminals.push((shown, run.printed.len()));
        drop(hold);
    }
    assert!(terminals.len() > 10, "{} terminals", terminals.len());
    for (shown, from) in &terminals {
        let shown = std::fs::read(path(shown)).unwrap();
        let part = &run.printed[*from..];
        assert!(
            part.starts_with(&shown),
            "{} bytes from {from}",
            shown.len()
        );
    }
}

/// Takes what is there already.
fn drain(run: &mut Run, ended: &mut bool) {
    while let Some(event) = run.source.try_next() {
        match event {
            SourceEvent::Output(bytes) => run.printed.extend_from_slice(&bytes),
            SourceEvent::Exited(_) => *ended = true,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_terminal_that_takes_nothing_is_let_go() {
    let (_pty, pts) = pty_process::blocking::open().unwrap();
    let tty = std::os::fd::AsFd::as_fd(&pts).try_clone_to_owned().unwrap();
    rustix::io::ioctl_fionbio(&tty, true).unwrap();
    let tty = AttachedTty::new(tty).unwrap();
    let writer = tty.writer().unwrap();
    let mut run = Run::program(&Program::new(["yes"]), Some(writer.clone()));
    // The program waits once the terminal is full: the gate is never free then.
    while let Ok(hold) =
        tokio::time::timeout(Duration::from_millis(200), writer.hold(HoldMode::Wait)).await
    {
        drop(hold);
        while run.source.try_next().is_some() {}
    }
    run.pty.show_on(None);
    assert!(!writer.is_gone());
    while run.printed.len() < 1 << 20 {
        assert!(matches!(run.next().await, SourceEvent::Output(_)));
    }
}

#[tokio::test(flavor = "current_thread")]
async fn the_settings_of_a_terminal_whose_holder_was_killed_come_back_unless_somebody_has_it() {
    let (pty, pts) = pty_process::blocking::open().unwrap();
    let handle = || {
        let tty = std::os::fd::AsFd::as_fd(&pts).try_clone_to_owned().unwrap();
        rustix::io::ioctl_fionbio(&tty, true).unwrap();
        tty
    };
    let attached = AttachedTty::new(handle()).unwrap();
    let before = rustix::termios::tcgetattr(&pty).unwrap();
    let mut raw = before.clone();
    raw.make_raw();
    let set = |settings| {
        rustix::termios::tcsetattr(&pts, rustix::termios::OptionalActions::Now, settings).unwrap();
    };
    let modes = || rustix::termios::tcgetattr(&pty).unwrap().local_modes;
    set(&raw);
    attached.restore();
    assert_eq!(modes(), before.local_modes);
    // A shell's line editor.
    let mut edits = before.clone();
    edits.local_modes -= rustix::termios::LocalModes::ICANON;
    set(&edits);
    attached.restore();
    assert_eq!(modes(), edits.local_modes);
}

//! The host's own terminal: this test program starts itself in a pseudo-terminal, which is then the
//! terminal of a host, and looks at that terminal from the other side.

mod common;

use std::io::Write as _;

use common::Run;
use pillion_source::{
    ExitSignal, ExitSignals, ExitStatus, HoldMode, HostTty, LineMode, Program, Pty,
    RESTORE_SCREEN_MODES, Size, SourceEvent, isolate_panics, restore_host_terminal,
};
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::OptionalActions;

/// Names what [`host`] does. Unset, it does nothing.
const ROLE: &str = "PILLION_TEST_ROLE";

const RAW: LineMode = LineMode {
    echo: false,
    canonical: false,
};
const COOKED: LineMode = LineMode {
    echo: true,
    canonical: true,
};

/// Not a test: the program in the terminal.
#[tokio::test(flavor = "current_thread")]
async fn host() {
    let Ok(role) = std::env::var(ROLE) else {
        return;
    };
    let mut tty = HostTty::open().unwrap().expect("a terminal");
    say("OPEN");
    tty.enter_raw().unwrap();
    say("RAW");
    let mut keys = tty.keys().unwrap();
    assert_eq!(keys.read().await.unwrap().unwrap(), "k");
    match &role[..] {
        "drop" => drop(tty),
        "exit" => restore_host_terminal(),
        "panic" => {
            let panicked = std::thread::spawn(|| panic!("on purpose")).join();
            panicked.unwrap_err();
        }
        "signal" => {
            let mut signals = ExitSignals::new().unwrap();
            kill_process(getpid(), Signal::TERM).unwrap();
            assert_eq!(signals.next().await, ExitSignal::Terminate);
            drop(tty);
        }
        "isolated" => {
            isolate_panics(|| panic!("on purpose")).unwrap_err();
            say("CAUGHT");
            keys.read().await.unwrap();
            drop(tty);
        }
        "continue" => {
            // As a shell does while we are stopped.
            tty.leave_raw();
            tty.enter_raw().unwrap();
            let stdin = rustix::stdio::stdin();
            let mut modes = rustix::termios::tcgetattr(stdin).unwrap();
            modes.local_modes |= rustix::termios::LocalModes::ECHO;
            rustix::termios::tcsetattr(stdin, OptionalActions::Now, &modes).unwrap();
            kill_process(getpid(), Signal::CONT).unwrap();
            tty.size_changed().await.unwrap();
            say("CONTINUED");
            keys.read().await.unwrap();
            drop(tty);
        }
        "resize" => {
            say(&format!("SIZE {:?}", tty.size().unwrap()));
            let size = tty.size_changed().await.unwrap();
            say(&format!("SIZE {size:?}"));
            keys.read().await.unwrap();
            drop(tty);
        }
        "share" => {
            let mut program = Program::new([
                "/bin/sh",
                "-c",
                "stty -a; read x; echo got $x; echo $TERM; exit 9",
            ]);
            program.size = tty.size().unwrap();
            let (pty, mut source) = Pty::spawn(&program, Some(tty.writer())).unwrap();
            let status = loop {
                tokio::select! {
                    typed = keys.read() => {
                        pty.write(typed.unwrap().unwrap()).unwrap();
                    }
                    event = source.next() => match event.unwrap() {
                        SourceEvent::Exited(status) => break status,
                        _ => continue,
                    },
                }
                let mut hold = tty.writer().hold(HoldMode::Wait).await;
                hold.draw(b"DRAWN").await.unwrap();
            };
            assert_eq!(status, ExitStatus::Code(9));
            tty.restore_screen_modes();
            drop(tty);
        }
        other => panic!("no such role: {other}"),
    }
    say("BACK");
    // Stays until the other side has looked.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// Says a word the other side waits for. Without a terminal's newline translation nothing else is certain.
fn say(word: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "<{word}>").unwrap();
    out.flush().unwrap();
}

/// Starts [`host`] in a role, up to where its terminal is raw.
async fn host_as(role: &str) -> Run {
    let mut program = Program::new([std::env::current_exe().unwrap()]);
    program
        .argv
        .extend(["--exact", "host", "--nocapture"].map(Into::into));
    program.env.push((ROLE.into(), role.into()));
    let mut run = Run::program(&program, None);
    run.prints("<RAW>").await;
    assert_eq!(run.pty.line_mode().unwrap(), RAW);
    run.type_in("k");
    run
}

/// The terminal is as it was before, and the host ends well.
async fn is_given_back(mut run: Run) {
    run.prints("<BACK>").await;
    assert_eq!(run.pty.line_mode().unwrap(), COOKED);
    run.type_in("\r");
    let (printed, status) = run.finish().await;
    assert_eq!(
        status,
        ExitStatus::Code(0),
        "{}",
        String::from_utf8_lossy(&printed)
    );
}

#[tokio::test(flavor = "current_thread")]
async fn the_terminal_is_given_back_by_drop() {
    is_given_back(host_as("drop").await).await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_terminal_is_given_back_before_exit() {
    is_given_back(host_as("exit").await).await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_terminal_is_given_back_after_a_signal() {
    is_given_back(host_as("signal").await).await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_terminal_is_given_back_before_a_panic_is_reported() {
    let mut run = host_as("panic").await;
    run.prints(std::str::from_utf8(RESTORE_SCREEN_MODES).unwrap())
        .await;
    run.prints("on purpose").await;
    is_given_back(run).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_panic_that_is_isolated_leaves_the_terminal_alone() {
    let mut run = host_as("isolated").await;
    run.prints("<CAUGHT>").await;
    assert_eq!(run.pty.line_mode().unwrap(), RAW);
    run.type_in("k");
    is_given_back(run).await;
}

#[tokio::test(flavor = "current_thread")]
async fn the_terminal_is_raw_again_after_a_stop() {
    let mut run = host_as("continue").await;
    run.prints("<CONTINUED>").await;
    assert_eq!(run.pty.line_mode().unwrap(), RAW);
    run.type_in("k");
    is_given_back(run).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_change_of_size_is_told() {
    let mut run = host_as("resize").await;
    run.prints(&format!("<SIZE {:?}>", Size::DEFAULT)).await;
    let size = Size::new(132, 50).unwrap();
    run.pty.resize(size).unwrap();
    run.prints(&format!("<SIZE {size:?}>")).await;
    run.type_in("k");
    is_given_back(run).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_program_is_shown_untouched_and_drawn_over() {
    let mut run = host_as("share").await;
    // The program's terminal starts with the settings of the host's.
    run.prints("icanon").await;
    run.type_in("hello\r");
    run.prints("DRAWN").await;
    run.prints("got hello\r\n").await;
    run.prints("xterm-256color\r\n").await;
    run.prints(std::str::from_utf8(RESTORE_SCREEN_MODES).unwrap())
        .await;
    is_given_back(run).await;
}

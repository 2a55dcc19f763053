//! What viewers see is what the host's own terminal shows, cell by cell.
//!
//! The host's terminal gets the program's bytes untouched and is as large as the program's, so it is
//! the independent terminal to compare with; the viewer's is another one, drawn by pillion. A second
//! opinion comes from tmux, in which another viewer runs.

use std::process::Command;

use crate::harness::{Machine, SIZE, Term, assert_same, until};

/// Several viewers and a program of size 80×24.
struct Watched {
    host: Term,
    viewer: Term,
    tmux: Tmux,
    /// Their homes.
    machines: Vec<Machine>,
}

impl Watched {
    fn shell() -> Watched {
        let machines = vec![Machine::new(), Machine::new(), Machine::new()];
        // Without a greeting: what was on the terminal before the program is the host's alone.
        let (host, ticket) = machines[0].share_shell(&["-q"]);
        let viewer = machines[1].watch(&ticket, &["--name", "bert"]);
        let tmux = Tmux::join(&machines[2], &ticket);
        Watched {
            host,
            viewer,
            tmux,
            machines,
        }
    }

    fn run(&mut self, command: &str) {
        self.host.send(&format!("{command}\r"));
    }

    /// Waits until all show the same.
    fn same(&self) {
        assert_same(&self.host, &self.viewer, SIZE);
        self.tmux.assert_shows(&self.host);
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.machines[0].path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// A tmux server with one pane.
struct Tmux {
    socket: String,
}

impl Tmux {
    /// A pane in which a viewer runs.
    fn join(machine: &Machine, ticket: &str) -> Tmux {
        let tmux = Tmux::new(machine);
        let config = machine.path("tmux.conf");
        std::fs::write(&config, "set -g status off\nset -g remain-on-exit on\n").unwrap();
        let mut command = Command::new("tmux");
        machine.set_env(&mut command);
        command.env("PILLION_TICKET", ticket);
        command.args(["-S", &tmux.socket, "-f", config.to_str().unwrap()]);
        command.args([
            "new-session",
            "-d",
            "-x",
            "80",
            "-y",
            "25",
            env!("CARGO_BIN_EXE_pillion"),
            "join",
        ]);
        assert!(command.status().unwrap().success());
        tmux
    }

    fn new(machine: &Machine) -> Tmux {
        Tmux {
            socket: machine.path("tmux").to_str().unwrap().to_owned(),
        }
    }

    fn shown(&self) -> Vec<String> {
        let output = Command::new("tmux")
            .args(["-S", &self.socket, "capture-pane", "-p"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .map(|line| line.trim_end().to_owned())
            .collect()
    }

    fn assert_shows(&self, host: &Term) {
        let mut both = (Vec::new(), Vec::new());
        let end = std::time::Instant::now() + crate::harness::PATIENCE;
        until("tmux to show it", || {
            let rows = host
                .screen()
                .rows(0, SIZE.0)
                .map(|row| row.trim_end().to_owned())
                .collect();
            both = (rows, self.shown());
            let same = both.1.get(..usize::from(SIZE.1)) == Some(&both.0[..]);
            let close = std::time::Instant::now() + std::time::Duration::from_secs(1);
            assert!(
                same || close < end,
                "host:\n{}\ntmux:\n{}",
                both.0.join("\n"),
                both.1.join("\n")
            );
            same.then_some(())
        });
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        // Gone already if nothing runs in it.
        let _ = Command::new("tmux")
            .args(["-S", &self.socket, "kill-server"])
            .output();
    }
}

#[test]
fn vim() {
    let mut all = Watched::shell();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/args.rs");
    all.run(&format!(
        "vim -u NONE -i NONE -n -N -c 'syntax on' -c 'set number ruler' -R {source}"
    ));
    all.host.wait_for("//! The command line");
    all.same();
    for keys in [
        "\x04",
        "\x04",
        "/struct\r",
        ":set hlsearch\r",
        "VGkk",
        "\x1b:vsplit\r",
        "\x17w\x06",
        "gg",
        "\x05\x05",
    ] {
        all.host.send(keys);
        all.same();
    }
    all.host.send(":qa!\r");
    all.host.wait_gone("//!");
    all.same();
}

#[test]
fn less() {
    let mut all = Watched::shell();
    let numbered: String = (0..500)
        .map(|n| format!("\x1b[3{}mline {n}\x1b[m and the rest of it\n", n % 8))
        .collect();
    let file = all.file("numbered", &numbered);
    all.run(&format!("less -R {file}"));
    all.host.wait_for("line 22");
    for keys in [" ", " ", "jjj", "b", "/line 3\r", "n", "G", "g"] {
        all.host.send(keys);
        all.same();
    }
    all.host.send("q");
    all.host.wait_for("$");
    all.same();
}

#[test]
fn htop() {
    let mut all = Watched::shell();
    // Every ten seconds again: long enough to compare.
    all.run("htop -d 100");
    all.host.wait_for("F10");
    all.same();
    all.host.send("\x1b[B\x1b[B\x1b[B");
    all.same();
    // Setup: another screen of it.
    all.host.send("\x1bOQ");
    all.host.wait_for("Meters");
    all.same();
}

#[test]
fn tmux_as_a_full_screen_program() {
    let mut all = Watched::shell();
    let inner = Tmux {
        socket: all.machines[0].path("inner").to_str().unwrap().to_owned(),
    };
    all.run(&format!(
        "tmux -S {} -f /dev/null new-session 'bash --norc --noprofile'",
        inner.socket
    ));
    all.host.wait_for("[0]");
    for command in [
        "split-window -h 'seq 100; exec cat'",
        "split-window -v 'exec cat'",
        "select-pane -t 0",
        "set status-style bg=red,bold",
    ] {
        let status = Command::new("bash")
            .args(["-c", &format!("tmux -S {} {command}", inner.socket)])
            .status()
            .unwrap();
        assert!(status.success(), "{command}");
    }
    all.host
        .send("printf '\\e[38;2;10;200;30mcolour\\e[m\\n'\r");
    all.host.wait_for("100");
    all.same();
    drop(inner);
    all.host.wait_for("[server exited]");
    all.same();
}

#[test]
fn colours_attributes_and_scripts() {
    let mut all = Watched::shell();
    let mut text = String::from("\x1b[2J\x1b[H");
    for n in 0..256 {
        text.push_str(&format!("\x1b[48;5;{n}m \x1b[m"));
    }
    text.push_str("\r\n");
    for n in 0..70 {
        text.push_str(&format!(
            "\x1b[38;2;{};{};{}m#\x1b[m",
            n * 3,
            255 - n * 3,
            100
        ));
    }
    text.push_str("\r\n");
    for sgr in [
        "1", "2", "3", "4", "7", "1;31", "4;32", "7;33", "3;94", "1;4;7;35", "97;100",
    ] {
        text.push_str(&format!("\x1b[{sgr}mlook {sgr}\x1b[m "));
    }
    text.push_str("\r\n日本語 äöü ñ é → ✓ \ttab\r\n");
    text.push_str(&"long ".repeat(40));
    text.push_str("\r\n\x1b[44mblue to the end\x1b[K\x1b[m\r\n\x1b[7mA\x1b[3Cgap\x1b[m\x1b[5;10r\x1b[10;1H\n\n\x1b[r\x1b[20;5Hhere");
    let file = all.file("colours", &text);
    all.run(&format!("cat {file}; cat"));
    all.host.wait_for("here");
    all.same();
}

#[test]
fn line_drawing_characters() {
    let mut all = Watched::shell();
    all.run("clear; printf '\\e(0lqqk\\e(B plain %d\\n' 7");
    all.viewer.wait_for("┌──┐ plain 7");
    until("tmux to show it", || {
        all.tmux
            .shown()
            .iter()
            .any(|line| line == "┌──┐ plain 7")
            .then_some(())
    });
}

#[test]
fn a_flood_of_50_mb() {
    let mut all = Watched::shell();
    all.run(
        "seq -f 'a line of the flood, number %.0f' 1250000 | cat -n; printf '\\e[32mend\\e[m\\n'",
    );
    all.host.wait_for("number 1250000\n");
    all.host.wait_for("\nend");
    all.same();
    let sent = all.viewer.raw().len();
    assert!(
        sent < 20_000_000,
        "the viewer's terminal got {sent} bytes of 50 MB it had no time to show"
    );
}

/// What the emulator that stands in for the terminals here has no idea of.
#[test]
fn blinking_overlined_and_reversed_text_is_drawn_and_a_title_is_none_of_it() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let output = r"printf '\033[5mblinks\033[0;53mover\033[m\033kname\033\\ end\n'";
    let script = format!("{output}; read x; printf '\\033[?5h'; read x");
    let (mut host, ticket) = anna.share(SIZE, &["--", "sh", "-c", &script]);
    let viewer = bert.watch(&ticket, &["--name", "bert"]);
    viewer.wait_for("blinksover end");
    let drawn = viewer.raw_text();
    assert!(drawn.contains("5mblinks"), "{drawn:?}");
    assert!(drawn.contains("53mover"), "{drawn:?}");
    host.send("\r");
    viewer.wait_until("a reversed screen", |screen| {
        screen.cell(2, 70).is_some_and(vt100::Cell::inverse)
    });
    host.send("\r");
    assert_eq!(host.wait_code(), Some(0));
}

//! Every screen as people see it, at two sizes: compared with what is kept in `docs/screens`, with and without colours, on
//! the console and in ASCII. `PILLION_BLESS=1 cargo test --test stories pictures` keeps them again and makes the README's
//! moving picture; `tests/pictures` draws them in xterm.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

use crate::{
    harness::{Machine, PREFIX, Term, press, until},
    real_agents::{Model, opencode, opencode_environment},
    skip::skip,
};

/// What a person is given to read, and by which keys.
const SIZES: [(u16, u16); 2] = [(80, 24), (40, 10)];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn blesses() -> bool {
    std::env::var_os("PILLION_BLESS").is_some()
}

/// What differs from run to run is made the same: tickets, digits of keys, times.
fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut in_ticket = false;
    for line in text.lines() {
        let is_rest =
            in_ticket && !line.is_empty() && line.chars().all(|ch| ch.is_ascii_alphanumeric());
        if is_rest {
            continue;
        }
        in_ticket = false;
        let ticket = line.match_indices("pillion").find(|(at, _)| {
            line[*at..]
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .count()
                > 20
        });
        let line = match ticket {
            Some((at, _)) => {
                in_ticket = true;
                format!("{}pillion…", &line[..at])
            }
            None => line.to_owned(),
        };
        out += &digits(&line);
        out.push('\n');
    }
    out
}

/// Groups of a fingerprint, and numbers.
fn digits(line: &str) -> String {
    let chars: Vec<char> = line.chars().collect();
    let hex = |at: usize| chars.get(at).is_some_and(char::is_ascii_hexdigit);
    let group = |at: usize| {
        (at..at + 4).all(hex) && chars.get(at + 4) == Some(&'-') && (at + 5..at + 9).all(hex)
    };
    let mut out = String::new();
    let mut at = 0;
    while let Some(ch) = chars.get(at) {
        if group(at) {
            out += "KEY";
            at += 9;
            while chars.get(at) == Some(&'-') && (at + 1..at + 5).all(hex) {
                at += 5;
            }
        } else if ch.is_ascii_digit() {
            out.push('#');
            while chars
                .get(at)
                .is_some_and(|ch| ch.is_ascii_digit() || *ch == '.')
            {
                at += 1;
            }
        } else {
            out.push(*ch);
            at += 1;
        }
    }
    out
}

/// Without the room that a masked part takes more or less of.
fn comparable(text: &str) -> String {
    let mut out = String::new();
    for ch in text.chars() {
        match ch {
            ' ' | '─' if out.ends_with(ch) => {}
            ch => out.push(ch),
        }
    }
    let lines: Vec<&str> = out.lines().map(str::trim).collect();
    lines.join("\n").trim().to_owned()
}

fn text_of(screen: &vt100::Screen) -> String {
    let (_, cols) = screen.size();
    let rows = screen.rows(0, cols.get());
    let rows: Vec<String> = rows.map(|row| row.trim_end().to_owned()).collect();
    rows.join("\n")
}

/// What the screens are drawn for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Drawn {
    /// As they are kept.
    AsKept,
    /// Where nothing but ASCII can be shown.
    InAscii,
}

/// Waits until a screen is as the one that is kept, or keeps it. For `tests/pictures` what was written so far is put into
/// the folder that `PILLION_RAW` names.
fn picture(term: &Term, name: &str, (cols, rows): (u16, u16), drawn: Drawn) {
    let name = format!("{name}-{cols}x{rows}");
    let file = docs().join("screens").join(format!("{name}.txt"));
    if blesses() && drawn == Drawn::AsKept {
        // Nothing to compare with says when it is drawn.
        let mut before = String::new();
        until("a screen that stands", || {
            std::thread::sleep(std::time::Duration::from_millis(400));
            let now = term.text();
            (std::mem::replace(&mut before, now.clone()) == now).then_some(())
        });
        let text = masked(&text_of(&term.screen()));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text.trim_end().to_owned() + "\n").unwrap();
    } else {
        let kept = comparable(&std::fs::read_to_string(&file).unwrap_or_default());
        let what = format!(
            "the screen of {}; is another one wanted? PILLION_BLESS=1 cargo test --test stories pictures",
            file.display()
        );
        term.wait_until(&what, |screen| {
            let seen = comparable(&masked(&text_of(screen)));
            match drawn {
                Drawn::AsKept => seen == kept,
                Drawn::InAscii => text_of(screen).is_ascii() && says_as_much(&seen, &kept),
            }
        });
    }
    if let Some(folder) = std::env::var_os("PILLION_RAW") {
        let folder = PathBuf::from(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), term.raw()).unwrap();
    }
}

/// Whether nothing but what is kept is said, and most of it: some signs take more room in ASCII, so that a bar has a piece
/// less.
fn says_as_much(seen: &str, kept: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|ch: char| !ch.is_ascii_alphanumeric());
        words
            .filter(|word| word.len() > 1)
            .map(str::to_owned)
            .collect()
    };
    let (seen, kept) = (words(seen), words(kept));
    let is_kept = |word: &String| kept.iter().any(|one| one.starts_with(word.as_str()));
    seen.iter().all(is_kept) && 3 * seen.len() >= 2 * kept.len()
}

/// Rows of text, each in runs of one look.
struct Frame {
    rows: Vec<Vec<(usize, &'static str, String)>>,
}

impl Frame {
    fn of(screen: &vt100::Screen, cols: u16, rows: u16) -> Frame {
        let row = |y: u16| {
            let mut runs: Vec<(usize, &'static str, String)> = Vec::new();
            for x in 0..cols {
                let Some(cell) = screen.cell(y, x) else {
                    continue;
                };
                if cell.is_wide_continuation() {
                    continue;
                }
                let look = match (cell.inverse(), cell.bold(), cell.dim()) {
                    (true, true, _) => "ib",
                    (true, false, _) => "i",
                    (false, true, _) => "b",
                    (false, false, true) => "d",
                    (false, false, false) => "",
                };
                let text = match cell.contents() {
                    "" => " ",
                    text => text,
                };
                match runs.last_mut() {
                    Some((_, last, run)) if *last == look => run.push_str(text),
                    _ => runs.push((usize::from(x), look, text.to_owned())),
                }
            }
            runs
        };
        Frame {
            rows: (0..rows).map(row).collect(),
        }
    }

    /// Its drawing at a place, in cells of 8 by 17.
    fn draw(&self, left: usize, top: usize, out: &mut String) {
        for (y, runs) in self.rows.iter().enumerate() {
            for (x, look, text) in runs {
                let (px, py) = (left + x * 8, top + y * 17);
                let width = text.chars().count() * 8;
                if look.starts_with('i') {
                    let _ = writeln!(
                        out,
                        "<rect class=\"n\" x=\"{px}\" y=\"{py}\" width=\"{width}\" height=\"17\"/>"
                    );
                } else if text.trim().is_empty() {
                    continue;
                }
                let text = text
                    .replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .replace('>', "&gt;");
                let kept = text.trim_end();
                let length = kept.chars().count();
                if length > 0 {
                    let _ = writeln!(
                        out,
                        "<text class=\"t {look}\" x=\"{px}\" y=\"{}\" xml:space=\"preserve\">{kept}</text>",
                        py + 13
                    );
                }
            }
        }
    }
}

const STYLE: &str = "\
text{font:13.3px ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace}
.p{fill:#1c1f24}.t{fill:#d6d9de}.n{fill:#d6d9de}.i,.ib{fill:#1c1f24}.b,.ib{font-weight:bold}.d{opacity:.6}.h{fill:#8b929c}
@media (prefers-color-scheme:light){.p{fill:#fbfbfa}.t,.n{fill:#24292f}.i,.ib{fill:#fbfbfa}.h{fill:#6b7280}}
";

/// Two terminals side by side, as they were for so long each.
struct Film {
    title: &'static str,
    size: (u16, u16),
    frames: Vec<(f64, Frame, Frame)>,
}

const FILM: (u16, u16) = (58, 12);

impl Film {
    /// Of terminals with so many columns and rows; the viewer's may have a row more.
    fn new(title: &'static str, size: (u16, u16)) -> Film {
        Film {
            title,
            size,
            frames: Vec::new(),
        }
    }

    fn take(&mut self, seconds: f64, host: &Term, viewer: Option<&Term>) {
        let blank = vt100::Parser::<()>::new(
            crate::harness::cells(self.size.1 + 1),
            crate::harness::cells(self.size.0),
            0,
        );
        let other = viewer.map_or_else(|| blank.screen().clone(), Term::screen);
        self.frames.push((
            seconds,
            Frame::of(&host.screen(), self.size.0, self.size.1 + 1),
            Frame::of(&other, self.size.0, self.size.1 + 1),
        ));
    }

    fn svg(&self) -> String {
        let pane = usize::from(self.size.0) * 8 + 16;
        let (width, height) = (2 * pane + 12, (usize::from(self.size.1) + 1) * 17 + 16 + 22);
        let total: f64 = self.frames.iter().map(|(seconds, ..)| seconds).sum();
        let mut style = STYLE.to_owned();
        let mut body = String::new();
        let mut at = 0.0;
        for (number, (seconds, host, viewer)) in self.frames.iter().enumerate() {
            let (from, to) = (100.0 * at / total, 100.0 * (at + seconds) / total);
            at += seconds;
            let _ = writeln!(
                style,
                "@keyframes k{number}{{0%{{visibility:hidden}}{from:.2}%{{visibility:visible}}{to:.2}%{{visibility:hidden}}100%{{visibility:hidden}}}}\
                 .k{number}{{visibility:hidden;animation:k{number} {total:.1}s step-end infinite}}"
            );
            let _ = writeln!(body, "<g class=\"k{number}\">");
            host.draw(8, 30, &mut body);
            viewer.draw(pane + 20, 30, &mut body);
            body += "</g>\n";
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\">\n<style>{style}</style>\n\
             <text class=\"h\" x=\"8\" y=\"15\">you</text><text class=\"h\" x=\"{}\" y=\"15\">bert, somewhere else</text>\n\
             <rect class=\"p\" y=\"22\" width=\"{pane}\" height=\"{}\" rx=\"6\"/>\n\
             <rect class=\"p\" x=\"{}\" y=\"22\" width=\"{pane}\" height=\"{}\" rx=\"6\"/>\n{body}</svg>\n",
            pane + 20,
            height - 22,
            pane + 12,
            height - 22
        )
    }

    /// The same for asciinema.
    fn cast(&self) -> String {
        let (cols, rows) = (2 * self.size.0 + 3, self.size.1 + 1);
        let mut out = format!(
            "{}\n",
            serde_json::json!({"version": 2, "width": cols, "height": rows, "title": self.title,
                "env": {"TERM": "xterm-256color"}})
        );
        let mut at = 0.0;
        for (seconds, host, viewer) in &self.frames {
            let mut text = "\x1b[H".to_owned();
            for y in 0..usize::from(rows) {
                let _ = write!(text, "\x1b[{};1H\x1b[m\x1b[2K", y + 1);
                for (frame, left) in [(host, 0), (viewer, usize::from(self.size.0) + 3)] {
                    for (x, look, run) in &frame.rows[y] {
                        let sgr = match *look {
                            "ib" => "1;7",
                            "i" => "7",
                            "b" => "1",
                            "d" => "2",
                            _ => "",
                        };
                        let _ = write!(
                            text,
                            "\x1b[{};{}H\x1b[0;{sgr}m{run}\x1b[m",
                            y + 1,
                            left + x + 1
                        );
                    }
                }
                let _ = write!(text, "\x1b[{};{}H\x1b[m│", y + 1, self.size.0 + 2);
            }
            let _ = writeln!(out, "{}", serde_json::json!([at, "o", text]));
            at += seconds;
        }
        let _ = writeln!(out, "{}", serde_json::json!([at, "o", "\x1b[m"]));
        out
    }
}

/// A shell in which `pillion` is a command, as after its package is installed.
fn shell(machine: &Machine, name: &str, size: (u16, u16)) -> Term {
    let binary = Path::new(env!("CARGO_BIN_EXE_pillion"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    // The shell that is shared is started as people start it.
    std::fs::write(machine.path(".bashrc"), "PS1='$ '\n").unwrap();
    let mut shell = std::process::Command::new("bash");
    shell.args(["--norc", "--noprofile"]);
    machine.set_env(&mut shell);
    shell
        .env("PATH", path)
        .env("PILLION_NAME", name)
        .env("PS1", "$ ");
    let term = Term::start(shell, size);
    term.wait_for("$ ");
    term
}

/// The command that the host was shown, whole.
fn join_line(host: &Term) -> String {
    let text = until("the command to join", || {
        let text = host.raw_text();
        text.contains("Recorded here").then_some(text)
    });
    let from = text.rfind("pillion join pillion").unwrap();
    let line: String = text[from..]
        .chars()
        .take_while(|ch| !ch.is_control())
        .collect();
    line.trim_end().to_owned()
}

#[test]
fn from_a_clean_machine_to_typing_together_takes_few_keys() {
    let (anna, bert) = (Machine::new(), Machine::new());
    let mut film = Film::new("pillion: share, join, let type", FILM);
    let began = Instant::now();
    let mut keys = 0;
    let mut press_all = |term: &mut Term, text: &str| {
        keys += text.chars().count();
        term.send(text);
    };
    let size = (FILM.0, FILM.1 + 1);
    let mut host = shell(&anna, "anna", (FILM.0, FILM.1));
    film.take(0.8, &host, None);
    host.send("pillion share");
    host.wait_for("pillion share");
    film.take(0.8, &host, None);
    host.send("\x15");
    press_all(&mut host, "pillion share\r");
    let line = join_line(&host);
    host.wait_for("directly only");
    until("the shell's prompt", || {
        host.text()
            .lines()
            .last()
            .is_some_and(|line| line.ends_with('$'))
            .then_some(())
    });
    let mut viewer = shell(&bert, "bert", size);
    film.take(2.2, &host, Some(&viewer));
    // Pasted, which is one key, and Enter.
    viewer.send(&line);
    viewer.wait_for(&line[line.len() - 8..]);
    film.take(1.2, &host, Some(&viewer));
    let mut keys = keys + 1;
    let mut press_all = |term: &mut Term, text: &str| {
        keys += text.chars().count();
        term.send(text);
    };
    press_all(&mut viewer, "\r");
    viewer.wait_for("view only");
    host.wait_for("is watching now");
    film.take(2.4, &host, Some(&viewer));
    press_all(&mut viewer, &format!("{PREFIX}e"));
    host.wait_for("asks to type");
    film.take(2.2, &host, Some(&viewer));
    press_all(&mut host, PREFIX);
    host.wait_for("1 for 1 h");
    film.take(2.4, &host, Some(&viewer));
    press(&mut host, "1 for 1 h", "y", |_| {
        viewer.text().contains("edit for")
    });
    keys += 1;
    host.wait_gone("1 for 1 h");
    film.take(1.2, &host, Some(&viewer));
    for part in ["echo hello", " from bert", "\r"] {
        viewer.send(part);
        let seen = if part == "\r" {
            "\nhello from bert"
        } else {
            part
        };
        viewer.wait_for(seen);
        host.wait_for(seen);
        film.take(0.9, &host, Some(&viewer));
    }
    let seconds = began.elapsed().as_secs_f64();
    host.send("echo welcome, bert\r");
    viewer.wait_for("\nwelcome, bert");
    host.wait_for("\nwelcome, bert");
    film.take(3.0, &host, Some(&viewer));
    // What is pressed until bert may type: the two commands (one of them pasted), and two keys twice.
    assert_eq!(keys, 20, "keys until somebody else can type");
    println!("{keys} keys and {seconds:.1} s from a clean machine to typing together");
    assert!(seconds < 60.0, "{seconds} s");
    let svg = film.svg();
    assert!(svg.len() < 1 << 20, "{} bytes", svg.len());
    if blesses() {
        std::fs::write(docs().join("demo.svg"), svg).unwrap();
        std::fs::write(docs().join("demo.cast"), film.cast()).unwrap();
    }
}

/// A real agent, and somebody elsewhere who answers what it asks.
#[test]
fn an_agent_works_and_somebody_else_says_yes() {
    let Some(agent) = opencode() else {
        return skip("opencode is not installed: tests/setup does that");
    };
    const SIZE: (u16, u16) = (58, 19);
    let (anna, bert) = (Machine::new(), Machine::new());
    let model = Model::start();
    let mut film = Film::new("pillion: an agent, shared", SIZE);
    let site = anna.path("site");
    std::fs::create_dir(&site).unwrap();
    let mut command = anna.pillion(&[
        "agent", "--share", "--title", "opencode", "--", &agent, "acp",
    ]);
    command
        .current_dir(&site)
        .env("PILLION_NAME", "anna")
        .envs(opencode_environment(&model));
    let mut host = Term::start(command, SIZE);
    host.wait_for("Write to the agent");
    let ticket = anna.run(&["ticket"]);
    let mut join = bert.pillion(&["join"]);
    join.env("PILLION_TICKET", ticket.trim())
        .env("PILLION_NAME", "bert");
    let mut viewer = Term::start(join, (SIZE.0, SIZE.1 + 1));
    viewer.wait_for("You watch this conversation");
    until("the agent is idle", || {
        let standing = anna.output(&["conversation", "--json"]);
        String::from_utf8_lossy(&standing.stdout)
            .contains("\"activity\":\"idle\"")
            .then_some(())
    });
    film.take(2.0, &host, Some(&viewer));
    host.send("run: echo tested > result.txt");
    host.wait_for("> result.txt");
    film.take(1.5, &host, Some(&viewer));
    host.send("\r");
    host.wait_for("needs approval");
    viewer.wait_for("needs approval");
    viewer.wait_for("result.txt");
    film.take(2.5, &host, Some(&viewer));
    anna.run(&["grant", "bert", "--can", "approve"]);
    viewer.wait_for("gave you view, approve");
    film.take(2.5, &host, Some(&viewer));
    press(&mut viewer, "y/1", "y", |viewer| {
        viewer.text().contains("It returned")
    });
    host.wait_for("It returned");
    host.wait_for("idle");
    viewer.wait_for("idle");
    film.take(4.0, &host, Some(&viewer));
    assert!(site.join("result.txt").exists());
    // Where it ran is of no interest.
    let plain =
        |text: String| text.replace(anna.path("").to_str().unwrap().trim_end_matches('/'), "~");
    let svg = plain(film.svg());
    assert!(svg.len() < 1 << 20, "{} bytes", svg.len());
    if blesses() {
        std::fs::write(docs().join("agent.svg"), svg).unwrap();
        std::fs::write(docs().join("agent.cast"), plain(film.cast())).unwrap();
    }
}

#[test]
fn every_screen_is_as_it_is_kept() {
    screens(&[], Drawn::AsKept);
}

#[test]
fn every_screen_is_the_same_without_colours() {
    if !blesses() {
        screens(&[("NO_COLOR", "1")], Drawn::AsKept);
    }
}

#[test]
fn every_screen_is_the_same_on_the_console() {
    if !blesses() {
        screens(&[("TERM", "linux")], Drawn::AsKept);
    }
}

#[test]
fn every_screen_is_in_ascii_where_nothing_else_can_be_shown() {
    if !blesses() {
        screens(&[("LC_ALL", "C")], Drawn::InAscii);
    }
}

/// Every screen at both sizes, with this in the environment.
fn screens(env: &[(&str, &str)], drawn: Drawn) {
    for size in SIZES {
        let (anna, bert) = (Machine::new(), Machine::new());
        let named = |machine: &Machine, name: &str, args: &[&str]| {
            let mut command = machine.pillion(args);
            command.env("PILLION_NAME", name).envs(env.iter().copied());
            command
        };
        let share = [
            "share",
            "--name",
            "demo",
            "--",
            "bash",
            "--norc",
            "--noprofile",
        ];
        let mut host = Term::start(named(&anna, "anna", &share), size);
        host.wait_for("$ ");
        picture(&host, "host-greeting", size, drawn);
        let ticket = anna.run(&["ticket"]);
        host.send("clear\r");
        until("a clear screen", || {
            (host.text().trim() == "$").then_some(())
        });

        let mut join = named(&bert, "bert", &["join"]);
        join.env("PILLION_TICKET", ticket.trim());
        let mut viewer = Term::start(join, (size.0, size.1));
        viewer.wait_for("view only");
        picture(&viewer, "viewer-first-seconds", size, drawn);
        host.wait_for("is watching now");
        picture(&host, "host-notice", size, drawn);
        // A key ends the first seconds.
        viewer.send(PREFIX);
        viewer.wait_for(match drawn {
            Drawn::AsKept => "Ctrl-] …",
            Drawn::InAscii => "Ctrl-] ...",
        });
        picture(&viewer, "viewer-prefix", size, drawn);
        viewer.send("?");
        viewer.wait_for("Keys");
        picture(&viewer, "viewer-keys", size, drawn);
        viewer.send("q");
        viewer.wait_gone("Ctrl-] w");
        viewer.wait_until("the status line", |screen| {
            screen.contents().contains("view only │") || screen.contents().contains("view only |")
        });
        picture(&viewer, "viewer-watching", size, drawn);

        host.wait_gone("is watching now");
        host.send(PREFIX);
        host.wait_for("Space panel");
        picture(&host, "host-prefix", size, drawn);
        host.send(" ");
        host.wait_for("1 bert");
        picture(&host, "host-panel", size, drawn);
        host.send("q");
        host.wait_gone("1 bert");
        viewer.send(&format!("{PREFIX}e"));
        viewer.wait_for("asked to type");
        host.wait_for("asks to type");
        picture(&host, "host-request", size, drawn);
        host.send(PREFIX);
        host.wait_for("1 for 1 h");
        picture(&host, "host-question", size, drawn);
        press(&mut host, "1 for 1 h", "y", |_| {
            viewer.text().contains("edit")
        });
        viewer.wait_for("edit for");
        picture(&viewer, "viewer-typing", size, drawn);
        viewer.send(&format!("{PREFIX}q"));
        assert_eq!(viewer.wait_code(), Some(0));
        viewer.wait_for("You left");
        // A narrower terminal wraps it where the number before has its end.
        if size.0 == 80 {
            picture(&viewer, "viewer-farewell", size, drawn);
        }
    }
}

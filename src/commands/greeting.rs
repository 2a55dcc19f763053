//! What a session that is shared says first: how others join, and what is good to know.

use std::{fmt, io::IsTerminal};

use pillion::{
    proto::{AccessMode, Rights},
    session::verbs::AccessListed,
    sessions::retention::Retention,
    settings::span::Span,
    tui::{Prefix, words},
};

use crate::commands::{join_by_code, ticket_for_qr};

/// The ways to join.
pub struct Ways {
    /// The session's id.
    pub session: String,
    /// The ticket.
    pub ticket: String,
    /// The link, if there is one.
    pub link: Option<String>,
    /// A code, or why there is none, if one was asked for.
    pub code: Option<Result<String, String>>,
    /// The link service, if there is one.
    pub service: Option<String>,
    /// Who can join.
    pub access: AccessListed,
}

impl Ways {
    /// As programs read it. Of a session that runs already it is not known whether it is read-only.
    pub fn object(&self, read_only: Option<bool>) -> serde_json::Value {
        let mut object = serde_json::json!({
            "session": self.session,
            "ticket": self.ticket,
            "join": format!("pillion join {}", self.ticket),
            "allow": self.access.mode.as_str(),
        });
        if let Some(read_only) = read_only {
            object["read_only"] = read_only.into();
            object["pid"] = std::process::id().into();
        }
        for (name, value) in [("link", self.link.as_deref()), ("code", self.code())] {
            if let Some(value) = value {
                object[name] = value.into();
            }
        }
        object
    }

    /// The shortest command that others join by, and how it is called.
    pub fn shortest(&self) -> (String, &'static str) {
        match (self.by_code(), self.by_link()) {
            (Some(command), _) => (command, "Code"),
            (None, Some(command)) => (command, "Link"),
            (None, None) => (format!("pillion join {}", self.ticket), "Ticket"),
        }
    }

    /// What a QR code holds: the link, or else the ticket.
    pub fn for_qr(&self) -> String {
        let link = self.link.clone();
        link.unwrap_or_else(|| ticket_for_qr(&self.ticket))
    }

    fn code(&self) -> Option<&str> {
        self.code.as_ref()?.as_deref().ok()
    }

    fn by_code(&self) -> Option<String> {
        let service = self.service.as_deref().unwrap_or_default();
        self.code().map(|code| join_by_code(code, service))
    }

    fn by_link(&self) -> Option<String> {
        // Quoted: a shell would take a # after a blank for a comment, and people retype links.
        self.link
            .as_ref()
            .map(|link| format!("pillion join '{link}'"))
    }
}

/// How a terminal shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// In bold, dim and one colour.
    Styled,
    /// As text alone.
    Plain,
}

impl Looks {
    /// What standard error can show.
    pub fn of_stderr() -> Looks {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        match std::io::stderr().is_terminal() && !dumb && !set("NO_COLOR") {
            true => Looks::Styled,
            false => Looks::Plain,
        }
    }

    fn dress(self, sgr: &str, text: &str) -> String {
        match self {
            Looks::Styled => format!("\x1b[{sgr}m{text}\x1b[m"),
            Looks::Plain => text.to_owned(),
        }
    }
}

/// Fewer columns make it as short as it can be.
const NARROW: usize = 60;

const BOLD: &str = "1";
const ACCENT: &str = "32";
const DIM: &str = "2";

/// The first words of a session that is shared.
pub struct Greeting<'a> {
    /// The session's name.
    pub name: &'a str,
    /// The ways to join.
    pub ways: &'a Ways,
    /// Nobody can be given the right to type.
    pub read_only: bool,
    /// The key before Pillion's own, where there is a terminal to press it in.
    pub prefix: Option<Prefix>,
    /// What is kept of the session.
    pub keep: Retention,
    /// Whether it is found through a relay; nothing where there is to be none.
    pub has_relay: Option<bool>,
    /// The command was put on the clipboard.
    pub copied: bool,
    /// How it looks.
    pub looks: Looks,
    /// Columns there are.
    pub cols: usize,
}

impl Greeting<'_> {
    fn who_joins(&self) -> &'static str {
        let has_team = |(who, _): &(String, Rights)| who.starts_with("team:");
        match self.ways.access.mode {
            AccessMode::Link => "Anyone with this can watch:",
            AccessMode::Invited => {
                "People you allow (pillion allow) can join. Others who have this knock:"
            }
            AccessMode::Team if !self.ways.access.people.iter().any(has_team) => {
                "Members of a team can join. Name it (pillion allow team:KEY):"
            }
            AccessMode::Team => "Members of the team can join:",
        }
    }

    fn ways(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let looks = self.looks;
        let copied = |name: &str| match self.copied && self.ways.shortest().1 == name {
            true => looks.dress(DIM, " (copied, if your terminal allows it)"),
            false => String::new(),
        };
        let arrow = looks.dress(ACCENT, "➜");
        let (code, link) = (self.ways.by_code(), self.ways.by_link());
        let is_short = code.is_some() || link.is_some();
        if let Some(command) = code {
            let note = looks.dress(DIM, " for one person, ten minutes");
            writeln!(f, "  {arrow} {command}{note}{}", copied("Code"))?;
        }
        if let Some(command) = link {
            writeln!(f, "  {arrow} {command}{}", copied("Link"))?;
        }
        match is_short {
            true => {
                let note = looks.dress(
                    DIM,
                    "`pillion ticket` prints a ticket, which needs no link service.",
                );
                writeln!(f, "  {note}")
            }
            // At the margin and alone in its lines: it is copied whole by a mouse.
            false => {
                writeln!(f, "pillion join {}", self.ways.ticket)?;
                match self.copied {
                    true => writeln!(f, " {}", copied("Ticket")),
                    false => Ok(()),
                }
            }
        }
    }

    fn kept(&self) -> String {
        match self.keep {
            keep if keep == Retention::NOTHING => "nothing is kept".to_owned(),
            Retention {
                age: None,
                size: None,
            } => "kept until `pillion rm`".to_owned(),
            Retention { age: Some(age), .. } => format!("kept for {}", Span(age).said()),
            Retention { size: Some(_), .. } => format!("kept up to {}", self.keep),
        }
    }

    fn reach(&self) -> &'static str {
        match self.has_relay {
            None => "Reachable directly only (no relay).",
            Some(true) => "Others come directly or through a relay.",
            Some(false) => {
                "No relay was reached yet: until one is, only people who reach this machine directly can join."
            }
        }
    }

    /// A paragraph, in lines that are not torn inside of words.
    fn prose(&self, text: &str) -> String {
        words::folded(text, self.cols).join("\n")
    }
}

impl fmt::Display for Greeting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let looks = self.looks;
        let what = match self.read_only {
            true => "read-only",
            false => "view-only",
        };
        let sharing = format!("Sharing “{}”", self.name);
        let first = self.prose(&format!(
            "{sharing}, {what}, end-to-end encrypted. {}",
            self.who_joins()
        ));
        // On a small terminal all of it is to be seen at once.
        let between = match self.cols < NARROW {
            true => "",
            false => "\n",
        };
        writeln!(
            f,
            "{}{between}",
            first.replacen(&sharing, &looks.dress(BOLD, &sharing), 1)
        )?;
        self.ways(f)?;
        write!(f, "{between}")?;
        if let Some(prefix) = self.prefix {
            let types = match self.read_only {
                true => "",
                false => ", let someone type",
            };
            let key = format!("{prefix} Space");
            let also = prefix
                .also()
                .map_or_else(String::new, |also| format!(" (or {also} Space)"));
            let panel = match self.cols < NARROW {
                true => match prefix.also() {
                    Some(also) => format!("{prefix} or {also}, then Space: the panel."),
                    None => format!("{key}: the panel."),
                },
                false => format!("{key}{also}: who is here{types}, stop sharing."),
            };
            let panel = self.prose(&panel);
            writeln!(f, "{}", panel.replacen(&key, &looks.dress(BOLD, &key), 1))?;
        }
        let good_to_know = self.prose(&format!("Recorded here, {}. {}", self.kept(), self.reach()));
        write!(f, "{}", looks.dress(DIM, &good_to_know))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(link: bool, code: bool) -> Ways {
        Ways {
            session: "26ab213204".to_owned(),
            ticket: format!("pillion{}", "a".repeat(103)),
            link: link
                .then(|| format!("https://s.example/s/{}#{}", "A".repeat(43), "B".repeat(22))),
            code: code.then(|| Ok("7-guitar-lantern".to_owned())),
            service: Some("https://s.example".to_owned()),
            access: AccessListed {
                mode: AccessMode::Link,
                people: Vec::new(),
                banned: Vec::new(),
                followed: Vec::new(),
            },
        }
    }

    fn greeting(ways: &Ways, copied: bool, cols: usize) -> String {
        Greeting {
            name: "demo",
            ways,
            read_only: false,
            prefix: Some(Prefix::default()),
            keep: Retention::default(),
            has_relay: Some(true),
            copied,
            looks: Looks::Plain,
            cols,
        }
        .to_string()
    }

    #[test]
    fn six_lines_say_how_to_join_and_what_is_good_to_know() {
        let ticket = ways(false, false);
        let said = greeting(&ticket, false, 80);
        let join = format!("pillion join {}", ticket.ticket);
        let lines = [
            "Sharing “demo”, view-only, end-to-end encrypted. Anyone with this can watch:",
            "",
            &join,
            "",
            "Ctrl-] Space (or Ctrl-5 Space): who is here, let someone type, stop sharing.",
            "Recorded here, kept for 30 days. Others come directly or through a relay.",
        ];
        assert_eq!(said.lines().collect::<Vec<_>>(), lines);
        // The ticket's command takes two rows of 80 columns.
        assert!(join.chars().count() <= 2 * 80);
    }

    #[test]
    fn the_short_ways_come_first_and_what_was_copied_is_said() {
        let said = greeting(&ways(true, true), true, 80);
        let at = |part: &str| said.find(part).unwrap_or_else(|| panic!("{part}: {said}"));
        let code = "pillion join 7-guitar-lantern --signal https://s.example";
        assert!(
            at(code) < at("pillion join 'https://s.example/s/"),
            "{said}"
        );
        assert!(at("pillion join 'https") < at("`pillion ticket`"), "{said}");
        let copied = said.lines().find(|line| line.contains("copied")).unwrap();
        assert!(copied.contains("7-guitar-lantern"), "{said}");
        assert!(!said.contains(&"a".repeat(103)), "{said}");
    }

    #[test]
    fn no_word_is_torn_on_a_narrow_terminal() {
        let said = greeting(&ways(false, false), false, 40);
        for line in said.lines().filter(|line| !line.contains("join pillion")) {
            assert!(line.chars().count() <= 40, "{line}");
        }
        assert!(said.contains("end-to-end"), "{said}");
        // With the prompt below it.
        let rows = said
            .lines()
            .map(|line| line.chars().count().div_ceil(40).max(1));
        assert!(rows.sum::<usize>() < 10, "{said}");
    }
}

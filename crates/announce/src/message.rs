//! What is said.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run began.
    Began,
    /// The agent asks something.
    NeedsYou,
    /// The run's task is over.
    Finished,
}

/// Something that is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is about.
    pub event: Event,
    /// The run's name.
    pub run: String,
    /// Where it runs.
    pub host: String,
    /// The id of its session.
    pub session: String,
    /// The command that joins it.
    pub join: String,
    /// A link that joins it, if there is one.
    pub link: Option<String>,
    /// What the run is for, what the agent asks, or the end of what it said.
    pub text: String,
    /// What became of its task: a word for scripts, and what comes behind "it".
    pub outcome: Option<(String, String)>,
}

impl Event {
    /// As scripts have it.
    pub fn word(self) -> &'static str {
        match self {
            Event::Began => "began",
            Event::NeedsYou => "needs_you",
            Event::Finished => "finished",
        }
    }
}

impl Message {
    /// A line that says it.
    pub fn title(&self) -> String {
        let Message { run, host, .. } = self;
        match (self.event, &self.outcome) {
            (Event::Began, _) => format!("{run} is at work on {host}"),
            (Event::NeedsYou, _) => format!("{run} on {host} asks something"),
            (Event::Finished, Some((_, said))) => format!("{run} on {host} {said}"),
            (Event::Finished, None) => format!("{run} on {host} is over"),
        }
    }

    /// How one takes part.
    pub fn how(&self) -> String {
        match &self.link {
            Some(link) => format!("{link} or {}", self.join),
            None => self.join.clone(),
        }
    }

    /// As Markdown, with what others wrote in a block of its own, where it is text and nothing else.
    pub fn markdown(&self) -> String {
        let mut out = format!("**{}**\n", plain(&self.title()));
        if !self.text.trim().is_empty() {
            let fence = fence(&self.text);
            out.push_str(&format!("\n{fence}text\n{}\n{fence}\n", self.text.trim()));
        }
        if let Some(link) = &self.link {
            out.push_str(&format!("\n<{link}>\n"));
        }
        out.push_str(&format!("\n```sh\n{}\n```\n", self.join));
        out
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "event": self.event.word(),
            "run": self.run,
            "host": self.host,
            "session": self.session,
            "join": self.join,
            "link": self.link,
            "title": self.title(),
            "text": self.text,
            "outcome": self.outcome.as_ref().map(|(word, _)| word),
        })
    }
}

/// A row of backticks that the text does not have.
fn fence(text: &str) -> String {
    let longest = text
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    "`".repeat(longest.max(2) + 1)
}

/// A name in Markdown: nothing in it is more than text.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().filter(|c| !c.is_control()) {
        if c.is_ascii_punctuation() && !matches!(c, '.' | ',' | ':' | '-' | '/') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn message(event: Event, text: &str) -> Message {
        Message {
            event,
            run: "tidy *up*".into(),
            host: "ci-7".into(),
            session: "26ab31c0f2".into(),
            join: "pillion join pillionabc".into(),
            link: None,
            text: text.into(),
            outcome: None,
        }
    }

    #[test]
    fn what_others_wrote_is_text_in_markdown() {
        let said = message(
            Event::NeedsYou,
            "rm -rf `x` ```\n[click](http://evil) @everyone",
        );
        let markdown = said.markdown();
        assert!(
            markdown.starts_with("**tidy \\*up\\* on ci-7 asks something**"),
            "{markdown}"
        );
        assert!(markdown.contains("````text\nrm -rf"), "{markdown}");
        assert!(markdown.contains("@everyone\n````\n"), "{markdown}");
    }

    #[test]
    fn json_has_every_field() {
        let mut said = message(Event::Finished, "done");
        said.outcome = Some(("done".into(), "is done".into()));
        let json = said.json();
        assert_eq!(json["outcome"], "done");
        assert_eq!(json["title"], "tidy *up* on ci-7 is done");
        assert_eq!(json["event"], "finished");
    }
}

//! Agents that are known by name: how each is started, and what is known of its modes.

use pillion_conversation::Gate;
use pillion_session::verbs::AgentStart;

/// An agent that is known by name.
#[derive(Debug, Clone, Copy)]
pub struct KnownAgent {
    /// Its name.
    pub name: &'static str,
    command: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    /// The modes in which it asks before it does anything, the strictest first.
    strict: &'static [&'static str],
    /// It is set up so that it asks, and has no mode in which it doesn't.
    asks: bool,
}

/// Without a subagent that asks nobody over the protocol and would hang, and asking before it runs or changes
/// anything.
const OPENCODE: &str = r#"{"permission":{"bash":"ask","edit":"ask","task":"deny"}}"#;

/// Those that were tried, each as its own documentation starts it.
pub const KNOWN: [KnownAgent; 7] = [
    KnownAgent {
        name: "opencode",
        command: &["opencode", "acp"],
        environment: &[("OPENCODE_CONFIG_CONTENT", OPENCODE)],
        strict: &[],
        asks: true,
    },
    KnownAgent::with_modes("claude", &["claude-agent-acp"], &["default"]),
    KnownAgent::with_modes("codex", &["codex-acp"], &["read-only"]),
    KnownAgent::with_modes("gemini", &["gemini", "--experimental-acp"], &["default"]),
    KnownAgent::with_modes("qwen", &["qwen", "--acp"], &["default"]),
    KnownAgent::with_modes("vibe", &["vibe-acp"], &["ask"]),
    KnownAgent::with_modes("copilot", &["copilot", "--acp"], &["agent"]),
];

/// Modes that other agents may have, in which one would expect them to ask.
const USUAL: [&str; 3] = ["read-only", "ask", "default"];

impl KnownAgent {
    const fn with_modes(
        name: &'static str,
        command: &'static [&'static str],
        strict: &'static [&'static str],
    ) -> KnownAgent {
        KnownAgent {
            name,
            command,
            environment: &[],
            strict,
            asks: false,
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<KnownAgent> {
        KNOWN.into_iter().find(|known| known.name == name)
    }

    /// How it is started, in the session's directory.
    pub fn start(&self) -> AgentStart {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        // What is set already is the user's own.
        let is_unset = |(name, _): &&(&str, &str)| std::env::var_os(name).is_none();
        AgentStart {
            command: self.command.iter().map(|word| (*word).to_owned()).collect(),
            cwd: String::new(),
            environment: self.environment.iter().filter(is_unset).map(pair).collect(),
        }
    }

    /// What is known of its modes.
    pub fn gate(&self) -> Gate {
        Gate {
            strict: self.strict.iter().map(|mode| (*mode).to_owned()).collect(),
            // What the user set may not ask.
            asks: self.asks && self.environment.len() == self.start().environment.len(),
            ..Gate::default()
        }
    }
}

/// What is known of an agent that isn't: perhaps it has a mode that others have, too.
pub fn unknown() -> Gate {
    Gate {
        strict: USUAL.map(str::to_owned).to_vec(),
        ..Gate::default()
    }
}

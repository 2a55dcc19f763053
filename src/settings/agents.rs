//! Agents that are known by name: how each is started, and what is known of its modes. Those of the settings come
//! before those that are built in.

use std::collections::BTreeMap;

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
            ..AgentStart::default()
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

/// An agent of the settings: a table under `agents`, by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnAgent {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Variables that are set for it, unless they are set already.
    pub environment: BTreeMap<String, String>,
    /// Variables without which it is not started.
    pub needs: Vec<String>,
    /// The modes in which it asks before it does anything, the strictest first.
    pub strict_modes: Option<Vec<String>>,
    /// It asks before it does anything, in every mode.
    pub asks: bool,
}

/// The settings of one, as they are named.
const OF_AGENT: [&str; 5] = ["command", "environment", "needs", "strict_modes", "asks"];

impl OwnAgent {
    /// Reads the table of one.
    ///
    /// # Errors
    /// What is wrong with it, as the rest of a sentence.
    pub fn read(name: &str, table: &toml::Value) -> Result<OwnAgent, String> {
        let is_word = |ch: char| ch.is_ascii_alphanumeric() || "-_.".contains(ch);
        if name.is_empty() || name.len() > 32 || !name.chars().all(is_word) {
            return Err(
                "an agent's name has letters, digits, -, _ and . in it, 32 at most".to_owned(),
            );
        }
        let table = table
            .as_table()
            .ok_or("it is no table: write [agents.NAME] and command = [\"program\", \"argument\"] below it")?;
        if let Some(key) = table.keys().find(|key| !OF_AGENT.contains(&key.as_str())) {
            return Err(format!(
                "there is no \"{key}\" of an agent: there are {}",
                OF_AGENT.join(", ")
            ));
        }
        let command = texts(table, "command")?.unwrap_or_default();
        if command.first().is_none_or(String::is_empty) {
            return Err(
                "it has no command: write command = [\"program\", \"argument\"]".to_owned(),
            );
        }
        let mut environment = BTreeMap::new();
        if let Some(given) = table.get("environment") {
            let given = given
                .as_table()
                .ok_or("environment is names and values: { NAME = \"value\" }")?;
            for (name, value) in given {
                let value = value
                    .as_str()
                    .ok_or_else(|| format!("environment.{name} is no text"))?;
                environment.insert(variable(name)?, value.to_owned());
            }
        }
        let needs = texts(table, "needs")?.unwrap_or_default();
        let needs = needs
            .iter()
            .map(|name| variable(name))
            .collect::<Result<_, _>>()?;
        let asks = match table.get("asks") {
            None => false,
            Some(value) => value.as_bool().ok_or("asks is true or false")?,
        };
        Ok(OwnAgent {
            command,
            environment,
            needs,
            strict_modes: texts(table, "strict_modes")?,
            asks,
        })
    }

    /// How it is started, in the session's directory.
    ///
    /// # Errors
    /// A variable that it needs is not set: its name.
    pub fn start(&self) -> Result<AgentStart, String> {
        let is_set = |name: &str| std::env::var_os(name).is_some();
        let missing = self
            .needs
            .iter()
            .find(|name| !is_set(name) && !self.environment.contains_key(*name));
        if let Some(missing) = missing {
            return Err(missing.clone());
        }
        let environment = self.environment.iter();
        let environment = environment.filter(|(name, _)| !is_set(name));
        Ok(AgentStart {
            command: self.command.clone(),
            cwd: String::new(),
            environment: environment
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            ..AgentStart::default()
        })
    }

    /// What is known of its modes.
    pub fn gate(&self) -> Gate {
        Gate {
            strict: self
                .strict_modes
                .clone()
                .unwrap_or_else(|| USUAL.map(str::to_owned).to_vec()),
            asks: self.asks,
            ..Gate::default()
        }
    }
}

/// A list of texts of a table.
fn texts(table: &toml::Table, key: &str) -> Result<Option<Vec<String>>, String> {
    let Some(value) = table.get(key) else {
        return Ok(None);
    };
    let list = value.as_array().map(|list| {
        let texts = list.iter().map(|one| one.as_str().map(str::to_owned));
        texts.collect::<Option<Vec<String>>>()
    });
    match list.flatten() {
        Some(list) => Ok(Some(list)),
        None => Err(format!("{key} is a list of texts: [\"one\", \"two\"]")),
    }
}

/// The name of a variable.
fn variable(name: &str) -> Result<String, String> {
    match name.is_empty() || name.contains(['=', '\0']) {
        true => Err(format!("\"{name}\" is no name of a variable")),
        false => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<OwnAgent, String> {
        let table: toml::Table = text.parse().unwrap();
        OwnAgent::read("acme", &toml::Value::Table(table))
    }

    #[test]
    fn an_agent_of_the_settings_is_read_whole() {
        let agent = read(
            r#"
            command = ["acme-agent", "--acp"]
            environment = { ACME_MODEL = "big" }
            needs = ["ACME_MODEL", "PATH"]
            strict_modes = ["plan"]
            asks = true
            "#,
        )
        .unwrap();
        let start = agent.start().unwrap();
        assert_eq!(start.command, ["acme-agent", "--acp"]);
        assert_eq!(
            start.environment,
            [("ACME_MODEL".to_owned(), "big".to_owned())]
        );
        assert_eq!(agent.gate().strict, ["plan"]);
        assert!(agent.gate().asks);
        let plain = read(r#"command = ["acme-agent"]"#).unwrap();
        assert_eq!(plain.gate(), unknown());
        let needs = read("command = [\"a\"]\nneeds = [\"PILLION_NO_SUCH_VARIABLE\"]").unwrap();
        assert_eq!(needs.start(), Err("PILLION_NO_SUCH_VARIABLE".to_owned()));
    }

    #[test]
    fn what_is_wrong_with_one_is_said() {
        for (text, why) in [
            ("", "it has no command"),
            ("command = []", "it has no command"),
            ("command = \"acme\"", "command is a list of texts"),
            ("command = [1]", "command is a list of texts"),
            (
                "command = [\"a\"]\nargs = [\"b\"]",
                "there is no \"args\" of an agent",
            ),
            (
                "command = [\"a\"]\nenvironment = [\"A\"]",
                "environment is names and values",
            ),
            (
                "command = [\"a\"]\nenvironment = { A = 1 }",
                "environment.A is no text",
            ),
            (
                "command = [\"a\"]\nenvironment = { \"A=B\" = \"\" }",
                "\"A=B\" is no name of a variable",
            ),
            (
                "command = [\"a\"]\nneeds = \"A\"",
                "needs is a list of texts",
            ),
            ("command = [\"a\"]\nasks = \"yes\"", "asks is true or false"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
        assert!(
            OwnAgent::read("acme", &toml::Value::Boolean(true))
                .unwrap_err()
                .contains("no table")
        );
        assert!(
            OwnAgent::read("a b", &toml::Value::Boolean(true))
                .unwrap_err()
                .contains("name")
        );
    }
}

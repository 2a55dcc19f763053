//! Settings: flag > `PILLION_*` > file > default, for every key alike.

use std::{collections::BTreeMap, fmt::Display, path::Path, str::FromStr};

use anyhow::{Error, Result, anyhow};

use crate::{
    identity::proving::ProofKinds,
    net::{RelayChoice, Resolve, signal::SignalUrl},
    people::Issuer,
    proto::AccessMode,
    sessions::retention::Retention,
    settings::{agents::OwnAgent, span::Span},
    tui::{Notify, Prefix},
};

/// One setting: its key, what it means, its default, and how it is checked.
struct Key {
    name: &'static str,
    help: &'static str,
    default: fn() -> String,
    check: fn(&str) -> Result<(), String>,
}

/// Every key there is. `config show`, `config edit`, the environment and the file all read this.
const KEYS: [Key; 22] = [
    Key {
        name: "name",
        help: "What to call you. Others see it; it proves nothing.",
        default: user_name,
        check: |text| one_line(text, 64),
    },
    Key {
        name: "relay",
        help: "How to be found beyond the local network: \"default\" (public relays and address records),\na relay's URL, or \"none\" (direct addresses only).",
        default: || "default".to_owned(),
        check: check::<RelayChoice>,
    },
    Key {
        name: "relay_ca",
        help: "A PEM or DER file with the certificate authority of your own relay; empty for the system's.",
        default: String::new,
        check: |text| one_line(text, 4096),
    },
    Key {
        name: "relay_secret_file",
        help: "A file (0600) with the secret your own relay asks for; empty where it asks for none.",
        default: String::new,
        check: |text| one_line(text, 4096),
    },
    Key {
        name: "publish_addresses",
        help: "Whether a host publishes its IP addresses in its address record (true), or only its relay\n(false), so that the addresses are known only to who holds a ticket.",
        default: || "false".to_owned(),
        check: yes_or_no,
    },
    Key {
        name: "signal",
        help: "A link service (https://signal.example): sharing prints a link then, and addresses are looked up\nthere instead of in the public records. Empty for none.",
        default: String::new,
        check: |text| match text {
            "" => Ok(()),
            text => check::<SignalUrl>(text),
        },
    },
    Key {
        name: "signal_ca",
        help: "A PEM or DER file with a certificate authority to trust for your own link service, beside the\npublic ones.",
        default: String::new,
        check: |text| one_line(text, 4096),
    },
    Key {
        name: "resolve",
        help: "Where a host whose addresses have changed is looked for, and says where it is: \"records\" (of the\nlink service, or public ones), \"dht\" (the mainline DHT), \"lan\" (multicast DNS), several with\ncommas, or \"none\".",
        default: || Resolve::default().to_string(),
        check: check::<Resolve>,
    },
    Key {
        name: "prefix_key",
        help: "The key that opens pillion's own commands: \"ctrl-]\", \"ctrl-a\", \"f12\", …",
        default: || "ctrl-]".to_owned(),
        check: check::<Prefix>,
    },
    Key {
        name: "edit_expires",
        help: "How long a granted right to type lasts unless --expires says otherwise.",
        default: || "8h".to_owned(),
        check: check::<Span>,
    },
    Key {
        name: "keep",
        help: "What ended sessions keep on this machine: an age, a size, both (\"30d,1GiB\"), \"all\" or \"none\".",
        default: || Retention::default().to_string(),
        check: check::<Retention>,
    },
    Key {
        name: "stay",
        help: "Whether a session goes on when its terminal is closed, as with --detach (true), or ends with it.",
        default: || "false".to_owned(),
        check: yes_or_no,
    },
    Key {
        name: "clipboard",
        help: "Whether sharing puts the command to join by on the clipboard, over what was there (OSC 52).",
        default: || "false".to_owned(),
        check: yes_or_no,
    },
    Key {
        name: "notify",
        help: "How your terminal tells your desktop that somebody asks to type or knocks, or an agent\nasks you something, beside its bell: \"osc9\",\n\"osc777\" (which of them a terminal knows differs) or \"off\".",
        default: || "off".to_owned(),
        check: check::<Notify>,
    },
    Key {
        name: "allow",
        help: "Who may come into a session you share: \"link\" (everybody who has the ticket), \"invited\" (people you\nallow; others who have the ticket knock) or \"team\" (members of a team named with --team).",
        default: || "link".to_owned(),
        check: check::<AccessMode>,
    },
    Key {
        name: "knock_wait",
        help: "How long somebody who knocks waits for your answer before they are refused.",
        default: || "2m".to_owned(),
        check: check::<Span>,
    },
    Key {
        name: "join_as",
        help: "How to prove who you are when you join, unless --as says otherwise: \"ssh\", \"email\", \"team\",\nseveral with commas, or empty.",
        default: String::new,
        check: check::<ProofKinds>,
    },
    Key {
        name: "oidc_issuer",
        help: "The OpenID Connect issuer (https://…) that proves e-mail addresses: whose word a host takes, and\nwhere one signs in for `join --as email`. Empty for none.",
        default: String::new,
        check: |text| {
            if text.is_empty() {
                Ok(())
            } else {
                check::<Issuer>(text)
            }
        },
    },
    Key {
        name: "oidc_client_id",
        help: "The client that is registered there, with a loopback redirect. Hosts and viewers have the same.",
        default: String::new,
        check: |text| one_line(text, 255),
    },
    Key {
        name: "oidc_client_secret_file",
        help: "A file (0600) with the client's secret, for an issuer that gives one to desktop clients and asks for it\nwhen one signs in (Google's does). Empty for a public client. Hosts need none.",
        default: String::new,
        check: |text| one_line(text, 4096),
    },
    Key {
        name: "forge",
        help: "Where forge:USER finds somebody's SSH keys, as FORGE/USER.keys.",
        default: || "https://github.com".to_owned(),
        check: |text| one_line(text, 255),
    },
    Key {
        name: "shell",
        help: "The shell to run; empty for $SHELL.",
        default: String::new,
        check: |text| one_line(text, 4096),
    },
];

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// The configuration file.
    File,
    /// The environment.
    Environment,
}

impl Origin {
    /// For people and scripts.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::File => "file",
            Origin::Environment => "environment",
        }
    }
}

/// The settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    values: BTreeMap<&'static str, (String, Origin)>,
    agents: BTreeMap<String, OwnAgent>,
}

/// The table of the user's own agents.
const AGENTS: &str = "agents";

impl Config {
    /// Reads the file (if there is one) and the environment.
    ///
    /// # Errors
    /// Unreadable, not TOML, an unknown key (the nearest is named), or a value that cannot be.
    pub fn load(file: &Path) -> Result<Config> {
        let (config, unusable) = Config::read(file);
        match unusable {
            None => Ok(config),
            Some(why) => Err(why),
        }
    }

    /// The same with what is usable of them, and what is not: in place of that the defaults stand.
    pub fn read(file: &Path) -> (Config, Option<Error>) {
        let env = |name: &str| std::env::var(name).ok();
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                let why =
                    Error::from(error).context(format!("{} could not be read", file.display()));
                return (Config::from_parts("", env).0, Some(why));
            }
        };
        let (config, Unusable { in_file, in_env }) = Config::from_parts(&text, env);
        let why = match (in_file.is_empty(), in_env.is_empty()) {
            (true, true) => None,
            (false, _) => {
                let all = [in_file, in_env].concat().join("; also ");
                let file = file.display();
                Some(anyhow!(
                    "the configuration ({file}) is not usable: {all}. `pillion config show` shows what counts, and \
                     `pillion config edit` corrects it"
                ))
            }
            (true, false) => Some(anyhow!(
                "the environment is not usable: {}. `pillion config show` shows what counts",
                in_env.join("; also ")
            )),
        };
        (config, why)
    }

    fn from_parts(file: &str, env: impl Fn(&str) -> Option<String>) -> (Config, Unusable) {
        let mut unusable = Unusable::default();
        let table: toml::Table = file.parse().unwrap_or_else(|error| {
            unusable
                .in_file
                .push(format!("it is not valid TOML: {error}"));
            toml::Table::new()
        });
        for name in table.keys().filter(|name| *name != AGENTS) {
            if !KEYS.iter().any(|key| key.name == name) {
                let near = KEYS
                    .iter()
                    .max_by(|a, b| similarity(name, a.name).total_cmp(&similarity(name, b.name)))
                    .map_or("name", |key| key.name);
                unusable.in_file.push(format!(
                    "there is no setting \"{name}\"; did you mean \"{near}\"?"
                ));
            }
        }
        let mut values = BTreeMap::new();
        for key in &KEYS {
            let from_file = table.get(key.name).map(plain).transpose();
            let from_file = from_file.unwrap_or_else(|error| {
                unusable
                    .in_file
                    .push(format!("\"{}\" takes one plain value: {error}", key.name));
                None
            });
            let variable = format!("PILLION_{}", key.name.to_uppercase());
            let default = ((key.default)(), Origin::Default);
            let value = match (env(&variable), from_file) {
                (Some(value), _) => (value, Origin::Environment),
                (None, Some(value)) => (value, Origin::File),
                (None, None) => default.clone(),
            };
            let value = match ((key.check)(&value.0), value.1) {
                (Ok(()), _) => value,
                (Err(error), Origin::Environment) => {
                    unusable.in_env.push(format!("{variable}: {error}"));
                    default
                }
                (Err(error), _) => {
                    unusable.in_file.push(format!("\"{}\": {error}", key.name));
                    default
                }
            };
            values.insert(key.name, value);
        }
        let (agents, wrong) = own_agents(table.get(AGENTS));
        unusable.in_file.extend(wrong);
        (Config { values, agents }, unusable)
    }

    /// `(key, value, origin, help)` of every setting, in the order of the documentation.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str, Origin, &'static str)> {
        KEYS.iter().map(|key| {
            let (value, origin) = &self.values[key.name];
            (key.name, value.as_str(), *origin, key.help)
        })
    }

    /// The user's own agents, by name.
    pub fn agents(&self) -> &BTreeMap<String, OwnAgent> {
        &self.agents
    }

    /// Every setting's name and what it means.
    pub fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
        KEYS.iter().map(|key| (key.name, key.help))
    }

    /// The file as `config edit` first shows it: every key explained and commented out.
    pub fn template() -> String {
        let mut out = String::from(
            "# Pillion's settings. A flag wins over PILLION_<KEY> in the environment, which wins over\n# this file. Remove a # to set a value.\n",
        );
        for key in &KEYS {
            out.push('\n');
            for line in key.help.lines() {
                out.push_str(&format!("# {line}\n"));
            }
            let value = (key.default)();
            let quoted = if matches!(value.as_str(), "true" | "false") {
                value
            } else {
                toml::Value::String(value).to_string()
            };
            out.push_str(&format!("# {} = {quoted}\n", key.name));
        }
        out.push_str(AGENTS_TEMPLATE);
        out
    }

    /// What to call this person.
    pub fn name(&self) -> &str {
        self.text("name")
    }

    /// Relay.
    pub fn relay(&self) -> RelayChoice {
        self.parsed("relay")
    }

    /// The relay's own certificate authority.
    pub fn relay_ca(&self) -> Option<&Path> {
        Some(self.text("relay_ca"))
            .filter(|path| !path.is_empty())
            .map(Path::new)
    }

    /// The file with the relay's own secret.
    pub fn relay_secret_file(&self) -> Option<&Path> {
        Some(self.text("relay_secret_file"))
            .filter(|path| !path.is_empty())
            .map(Path::new)
    }

    /// Whether IP addresses are published.
    pub fn publish_addresses(&self) -> bool {
        self.parsed("publish_addresses")
    }

    /// The link service.
    pub fn signal(&self) -> Option<SignalUrl> {
        match self.text("signal") {
            "" => None,
            _ => Some(self.parsed("signal")),
        }
    }

    /// The link service's own certificate authority.
    pub fn signal_ca(&self) -> Option<&Path> {
        Some(self.text("signal_ca"))
            .filter(|path| !path.is_empty())
            .map(Path::new)
    }

    /// Where to look for hosts.
    pub fn resolve(&self) -> Resolve {
        self.parsed("resolve")
    }

    /// Prefix key.
    pub fn prefix(&self) -> Prefix {
        self.parsed("prefix_key")
    }

    /// Life of an edit grant.
    pub fn edit_expires(&self) -> Span {
        self.parsed("edit_expires")
    }

    /// Whether sessions go on without their terminal.
    pub fn stay(&self) -> bool {
        self.parsed("stay")
    }

    /// What ended sessions keep.
    pub fn keep(&self) -> Retention {
        self.parsed("keep")
    }

    /// Whether to use the clipboard.
    pub fn clipboard(&self) -> bool {
        self.parsed("clipboard")
    }

    /// How requests and knocks are told to the desktop.
    pub fn notify(&self) -> Notify {
        self.parsed("notify")
    }

    /// Who may come in.
    pub fn allow(&self) -> AccessMode {
        self.parsed("allow")
    }

    /// How long somebody who knocks waits.
    pub fn knock_wait(&self) -> Span {
        self.parsed("knock_wait")
    }

    /// How to prove who one is.
    pub fn join_as(&self) -> ProofKinds {
        self.parsed("join_as")
    }

    /// Who vouches for e-mail addresses.
    pub fn oidc_issuer(&self) -> Option<Issuer> {
        let text = self.text("oidc_issuer");
        (!text.is_empty()).then(|| self.parsed("oidc_issuer"))
    }

    /// The client at that issuer.
    pub fn oidc_client_id(&self) -> Option<&str> {
        Some(self.text("oidc_client_id")).filter(|id| !id.is_empty())
    }

    /// The file with that client's secret.
    pub fn oidc_client_secret_file(&self) -> Option<&Path> {
        Some(self.text("oidc_client_secret_file"))
            .filter(|path| !path.is_empty())
            .map(Path::new)
    }

    /// Where users' SSH keys are.
    pub fn forge(&self) -> &str {
        self.text("forge")
    }

    /// The shell, when set.
    pub fn shell(&self) -> Option<&str> {
        Some(self.text("shell")).filter(|shell| !shell.is_empty())
    }

    fn text(&self, key: &str) -> &str {
        &self.values[key].0
    }

    fn parsed<T: FromStr>(&self, key: &str) -> T
    where
        T::Err: Display,
    {
        match self.text(key).parse() {
            Ok(value) => value,
            Err(error) => unreachable!("{key} was checked when it was read: {error}"),
        }
    }
}

/// What the file says at first of the user's own agents.
const AGENTS_TEMPLATE: &str = "
# An agent of your own, for `pillion agent acme`: its command, variables to set for it unless they are set already,
# and those it can't do without; modes in which it asks before it does anything, the strictest first, or that it
# always asks. One that is called as a known agent is used in its place.
# [agents.acme]
# command = [\"acme-agent\", \"--acp\"]
# environment = { ACME_MODEL = \"big\" }
# needs = [\"ACME_KEY\"]
# strict_modes = [\"plan\"]
# asks = false
";

/// The user's own agents, and what is wrong with others.
fn own_agents(table: Option<&toml::Value>) -> (BTreeMap<String, OwnAgent>, Vec<String>) {
    let (mut agents, mut wrong) = (BTreeMap::new(), Vec::new());
    let Some(table) = table else {
        return (agents, wrong);
    };
    let Some(table) = table.as_table() else {
        wrong.push("\"agents\" takes a table for each agent: [agents.NAME]".to_owned());
        return (agents, wrong);
    };
    for (name, of) in table {
        match OwnAgent::read(name, of) {
            Ok(agent) => {
                agents.insert(name.clone(), agent);
            }
            Err(why) => wrong.push(format!("\"agents.{name}\": {why}")),
        }
    }
    (agents, wrong)
}

fn check<T: FromStr>(text: &str) -> Result<(), String>
where
    T::Err: Display,
{
    text.parse::<T>()
        .map(drop)
        .map_err(|error| match error.to_string() {
            said if said.contains(&format!("\"{text}\"")) => said,
            said => format!("\"{text}\" is not a valid value: {said}"),
        })
}

fn yes_or_no(text: &str) -> Result<(), String> {
    match text {
        "true" | "false" => Ok(()),
        _ => Err(format!(
            "\"{text}\" is not a valid value; use true or false"
        )),
    }
}

/// What is wrong with the settings, sentence by sentence.
#[derive(Debug, Default, PartialEq, Eq)]
struct Unusable {
    in_file: Vec<String>,
    in_env: Vec<String>,
}

fn one_line(text: &str, max: usize) -> Result<(), String> {
    if text.chars().any(char::is_control) {
        Err("it must be one line of text".to_owned())
    } else if text.chars().count() > max {
        Err(format!("it may have {max} characters at most"))
    } else {
        Ok(())
    }
}

/// A TOML value as the text it would be on the command line.
fn plain(value: &toml::Value) -> Result<String, &'static str> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Boolean(yes) => Ok(yes.to_string()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        _ => Err("it is a list or a table"),
    }
}

fn similarity(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}

fn user_name() -> String {
    ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|name| !name.is_empty() && one_line(name, 64).is_ok())
        .unwrap_or_else(|| "somebody".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, env: &[(&str, &str)]) -> Result<Config, String> {
        let (config, unusable) = read(file, env);
        match unusable == Unusable::default() {
            true => Ok(config),
            false => Err([unusable.in_file, unusable.in_env].concat().join("; ")),
        }
    }

    fn read(file: &str, env: &[(&str, &str)]) -> (Config, Unusable) {
        Config::from_parts(file, |name| {
            env.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn what_is_usable_counts_and_each_mistake_is_blamed_on_its_place() {
        let (config, unusable) = read(
            "keep = \"1d\"\nstay = \"yes\"\nnmae = \"x\"",
            &[("PILLION_EDIT_EXPIRES", "soon"), ("PILLION_NAME", "anna")],
        );
        assert_eq!(config.keep(), "1d".parse().unwrap());
        assert_eq!((config.name(), config.stay()), ("anna", false));
        assert_eq!(
            unusable.in_file,
            [
                "there is no setting \"nmae\"; did you mean \"name\"?",
                "\"stay\": \"yes\" is not a valid value; use true or false",
            ]
        );
        assert_eq!(
            unusable.in_env,
            [
                "PILLION_EDIT_EXPIRES: \"soon\" is not a length of time; write it like 90s, 20m, 1h or 2d"
            ]
        );
    }

    #[test]
    fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
        let config = load("keep = \"1d\"", &[]).unwrap();
        assert_eq!(config.keep(), "1d".parse().unwrap());
        let config = load("keep = \"1d\"", &[("PILLION_KEEP", "2d")]).unwrap();
        assert_eq!(config.keep(), "2d".parse().unwrap());
        assert_eq!(load("", &[]).unwrap().keep(), Retention::default());
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let text = load("prefixkey = \"ctrl-a\"", &[]).unwrap_err();
        assert!(text.contains("\"prefix_key\""), "{text}");
    }

    #[test]
    fn a_bad_value_names_its_key_or_variable() {
        let text = load("edit_expires = \"soon\"", &[]).unwrap_err();
        assert!(text.contains("edit_expires"), "{text}");
        let text = load("", &[("PILLION_KEEP", "x")]).unwrap_err();
        assert!(text.contains("PILLION_KEEP"), "{text}");
        assert!(load("name = [1]", &[]).is_err());
        assert!(load("name = ", &[]).is_err());
    }

    #[test]
    fn agents_are_named_in_a_table_and_a_wrong_one_is_left_out() {
        let file =
            "keep = \"1d\"\n[agents.acme]\ncommand = [\"acme\"]\n[agents.other]\nargs = []\n";
        let (config, unusable) = read(file, &[]);
        assert_eq!(config.agents()["acme"].command, ["acme"]);
        assert!(!config.agents().contains_key("other"));
        assert_eq!(config.keep(), "1d".parse().unwrap());
        let [wrong] = &unusable.in_file[..] else {
            panic!("{unusable:?}")
        };
        assert!(
            wrong.starts_with("\"agents.other\": there is no \"args\""),
            "{wrong}"
        );
        let said = load("agents = [\"acme\"]", &[]).unwrap_err();
        assert!(said.contains("[agents.NAME]"), "{said}");
        // As the template writes it, once a # is taken away.
        let template: String = AGENTS_TEMPLATE
            .lines()
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| line.contains(" = ") || line.starts_with('['))
            .fold(String::new(), |all, line| all + line + "\n");
        assert_eq!(
            load(&template, &[]).unwrap().agents()["acme"].needs,
            ["ACME_KEY"]
        );
    }

    #[test]
    fn the_template_is_valid_and_sets_the_defaults() {
        let uncommented: String = Config::template()
            .lines()
            .skip(2)
            .filter_map(|line| line.strip_prefix("# "))
            .filter(|line| {
                KEYS.iter()
                    .any(|key| line.starts_with(&format!("{} = ", key.name)))
            })
            .fold(String::new(), |all, line| all + line + "\n");
        let config = load(&uncommented, &[]).unwrap();
        let default = load("", &[]).unwrap();
        assert!(
            config
                .all()
                .map(|(_, value, ..)| value)
                .eq(default.all().map(|(_, value, ..)| value))
        );
        assert!(config.all().all(|(_, _, origin, _)| origin == Origin::File));
    }
}

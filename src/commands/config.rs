//! `pillion config path|show|edit`.

use std::{ffi::OsString, io::Write, os::unix::fs::OpenOptionsExt, process::Command};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use pillion::settings::{
    config::Config,
    paths::{Paths, private_dir},
};

use crate::{completion, usage};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion config show                    every setting, its value and where that came from
  pillion config show keep               one value, for scripts
  pillion config edit                    in $EDITOR, with every key explained
  PILLION_KEEP=7d pillion share          the environment wins over the file, and a flag over both";

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCmd {
    /// Where the file is (or would be).
    #[command(after_long_help = "\
Example:
  cat \"$(pillion config path)\"")]
    Path,
    /// Every setting, its value and where that came from.
    #[command(after_long_help = "\
Examples:
  pillion config show
  pillion config show prefix_key
  pillion config show --json")]
    Show {
        /// Only this one's value.
        #[arg(value_name = "SETTING", add = completion::settings())]
        key: Option<String>,
        /// Print an array of {"key","value","from"}.
        #[arg(long)]
        json: bool,
    },
    /// Open the file in $VISUAL or $EDITOR, with every key explained in it.
    #[command(after_long_help = "\
Example:
  EDITOR=nano pillion config edit")]
    Edit,
}

/// Runs it.
pub fn run(paths: &Paths, command: &ConfigCmd) -> Result<()> {
    let file = paths.config_file();
    match command {
        ConfigCmd::Path => pillion::output!("{}", file.display())?,
        ConfigCmd::Show { key, json } => {
            let (config, unusable) = Config::read(&file);
            show(&config, key.as_deref(), *json)?;
            if let Some(why) = unusable {
                return Err(why);
            }
        }
        ConfigCmd::Edit => {
            private_dir(&paths.config)?;
            let made = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&file);
            match made {
                Ok(mut new) => new.write_all(Config::template().as_bytes())?,
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("{} could not be made", file.display()));
                }
            }
            edit(&file)?;
            Config::load(&file)
                .context("saved, but not usable until it is corrected (`pillion config edit`)")?;
        }
    }
    Ok(())
}

fn show(config: &Config, key: Option<&str>, json: bool) -> Result<()> {
    if let Some(key) = key
        && !Config::keys().any(|(name, _)| name == key)
    {
        let near = usage::nearest(key, Config::keys().map(|(name, _)| name));
        let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        usage::error(&format!("there is no setting \"{key}\"{near}"));
    }
    let shown = |name: &str| key.is_none_or(|key| key == name);
    if json {
        let all: Vec<_> = config
            .all()
            .filter(|(key, ..)| shown(key))
            .map(|(key, value, origin, _)| {
                serde_json::json!({ "key": key, "value": value, "from": origin.as_str() })
            })
            .collect();
        pillion::output!("{}", serde_json::Value::Array(all))?;
        return Ok(());
    }
    if key.is_some() {
        for (_, value, ..) in config.all().filter(|(key, ..)| shown(key)) {
            pillion::output!("{value}")?;
        }
        return Ok(());
    }
    for (key, value, origin, help) in config.all() {
        for line in help.lines() {
            pillion::output!("# {line}")?;
        }
        pillion::output!("{key} = {value:?}  # from: {}\n", origin.as_str())?;
    }
    for (name, agent) in config.agents() {
        pillion::output!(
            "[agents.{name}]\ncommand = {:?}  # from: file\n",
            agent.command
        )?;
    }
    Ok(())
}

fn edit(file: &std::path::Path) -> Result<()> {
    let editor = ["VISUAL", "EDITOR"]
        .iter()
        .find_map(std::env::var_os)
        .filter(|editor| !editor.is_empty())
        .unwrap_or_else(|| OsString::from("vi"));
    // $EDITOR may carry arguments ("code --wait"), so a shell splits it, as git does.
    let status = Command::new("sh")
        .arg("-c")
        .arg(format!("{} \"$1\"", editor.to_string_lossy()))
        .arg("sh")
        .arg(file)
        .status()
        .with_context(|| {
            format!(
                "{} could not be started; set EDITOR",
                editor.to_string_lossy()
            )
        })?;
    if !status.success() {
        bail!(
            "the editor {} ended with {status}; the settings are as it left them",
            editor.to_string_lossy()
        );
    }
    Ok(())
}

//! `pillion config path|show|edit`.

use std::{ffi::OsString, io::Write, os::unix::fs::OpenOptionsExt, process::Command};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use pillion::settings::{
    config::Config,
    paths::{Paths, private_dir},
};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCmd {
    /// Where the file is (or would be).
    Path,
    /// Every setting, its value and where that came from.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Open the file in $VISUAL or $EDITOR, with every key explained in it.
    Edit,
}

/// Runs it.
pub fn run(paths: &Paths, command: &ConfigCmd) -> Result<()> {
    let file = paths.config_file();
    match command {
        ConfigCmd::Path => pillion::output!("{}", file.display())?,
        ConfigCmd::Show { json } => {
            let (config, unusable) = Config::read(&file);
            show(&config, *json)?;
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

fn show(config: &Config, json: bool) -> Result<()> {
    if json {
        let all: Vec<_> = config
            .all()
            .map(|(key, value, origin, _)| {
                serde_json::json!({ "key": key, "value": value, "from": origin.as_str() })
            })
            .collect();
        pillion::output!("{}", serde_json::Value::Array(all))?;
        return Ok(());
    }
    for (key, value, origin, help) in config.all() {
        for line in help.lines() {
            pillion::output!("# {line}")?;
        }
        pillion::output!("{key} = {value:?}  # from: {}\n", origin.as_str())?;
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

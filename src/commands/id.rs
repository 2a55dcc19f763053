//! `pillion id`.

use anyhow::Result;
use clap::Args;
use pillion::{
    net::load_or_create_identity,
    people::Name,
    settings::{
        config::Config,
        paths::{Paths, private_dir},
    },
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion id                   for a host: pillion allow KEY
  pillion id --json | jq -r .fingerprint";

/// Flags of `id`.
#[derive(Debug, Args)]
pub struct IdArgs {
    /// Print {"key","fingerprint","name"}.
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub fn run(paths: &Paths, config: &Config, args: &IdArgs) -> Result<()> {
    private_dir(&paths.config)?;
    let name = Name::of(config.name());
    let key = load_or_create_identity(&paths.config)?.public();
    if args.json {
        pillion::output!(
            "{}",
            serde_json::json!({
                "key": key, "fingerprint": key.fingerprint(), "name": name.as_str(),
            })
        )?;
    } else {
        pillion::output!("{key}")?;
        pillion::say!(
            "This is your Pillion key; its fingerprint is {}, and others see you as {}.",
            key.fingerprint(),
            name
        );
    }
    Ok(())
}

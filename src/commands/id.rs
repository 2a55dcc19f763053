//! `pillion id`.

use anyhow::Result;
use pillion::{
    config::Config,
    net::load_or_create_identity,
    paths::{Paths, private_dir},
    people::Name,
};

use crate::args::IdArgs;

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

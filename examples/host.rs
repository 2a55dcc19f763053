//! Shares a program and prints the ticket, view-only.
//!
//! ```sh
//! cargo run --example host -- top
//! ```

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

use std::process::ExitCode;

use anyhow::Result;
use pillion::{
    caps::SecretKey,
    hosting::{Hosting, Options},
    net::{RelayChoice, random_bytes},
    settings::paths::Paths,
    source::Program,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode> {
    let program = Program::new(std::env::args_os().skip(1));
    // A key for this run only; `pillion::net::load_or_create_identity` keeps one.
    let identity = SecretKey::from_bytes(&random_bytes()?);
    let options = Options {
        name: "an example".to_owned(),
        // Direct connections only. Without this line, hosts are found through public relays.
        relay: RelayChoice::None,
        ..Options::new(program, identity)
    };
    let mut hosting = Hosting::prepare(options, &Paths::from_env()?)?;
    eprintln!("{}", hosting.share().await?);
    let status = hosting.run().await?;
    Ok(ExitCode::from(status.code()))
}

//! `pillion prompt`.

use std::io::{self, Read};

use anyhow::{Context, Result, bail};
use clap::Args;
use pillion::{
    proto::{ConversationRequest, limits::MAX_PROMPT},
    settings::{config::Config, paths::Paths},
};

use crate::commands::conversation::{Place, find};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion prompt \"run the tests\"                   the agent of the session on this machine
  pillion prompt --session TICKET \"and fix them\"   of another machine's, if you may prompt there
  git diff | pillion prompt -                      what is piped in";

/// Flags of `prompt`.
#[derive(Debug, Args)]
pub struct PromptArgs {
    /// Which conversation.
    #[command(flatten)]
    pub place: Place,

    /// Stop what the agent does, and ask this in its place.
    #[arg(long)]
    pub amend: bool,

    /// What to ask; "-" reads it from standard input.
    pub text: String,
}

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: PromptArgs) -> Result<u8> {
    let text = given(&args.text)?;
    let mut found = match find(paths, config, &args.place).await? {
        Ok(found) => found,
        Err(code) => return Ok(code),
    };
    let request = match args.amend {
        true => ConversationRequest::Amend { text },
        false => ConversationRequest::Prompt { text },
    };
    let done = found.converse(paths, request).await;
    found.leave().await;
    done
}

/// A prompt as a command line gives it: the text, or "-" for what is piped in.
pub fn given(text: &str) -> Result<String> {
    match text {
        "-" => read(io::stdin().lock(), "standard input"),
        text => read(text.as_bytes(), "the command line"),
    }
}

/// All of a prompt.
pub fn read(from: impl Read, place: &str) -> Result<String> {
    let mut text = String::new();
    let mut from = from.take(MAX_PROMPT as u64 + 1);
    let read = from.read_to_string(&mut text);
    read.with_context(|| format!("the prompt can't be read from {place}"))?;
    if text.len() > MAX_PROMPT {
        bail!(
            "the prompt is longer than {} KiB, which is all that one can have: put it into a file, and ask the agent to \
             read that",
            MAX_PROMPT / 1024
        );
    }
    Ok(text)
}

//! `pillion people`.

use anyhow::Result;
use clap::{Args, Subcommand};
use pillion::{
    identity::contacts::Contacts,
    prove::keys::invited,
    settings::{
        config::Config,
        paths::{Paths, private_dir},
    },
};

use crate::completion;

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion people add anna 8a88e3dd…            by the key that `pillion id` prints for anna
  pillion people add anna \"ssh-ed25519 AAAA…\"
  pillion people add anna forge:anna           by the SSH keys of a forge's user
  pillion people rename anna \"Anna M.\"

If someone using the name anna has a different key, you are warned.";

/// Flags of `people`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct PeopleArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<PeopleCmd>,

    /// Print an array of {"name","who"}.
    #[arg(long)]
    pub json: bool,
}

/// What to do with the contact book.
#[derive(Debug, Subcommand)]
pub enum PeopleCmd {
    /// Add a contact.
    #[command(after_long_help = "\
Examples:
  pillion people add anna 8a88e3dd…
  pillion people add anna forge:anna")]
    Add {
        /// What you call them.
        name: String,
        /// A Pillion key, an SSH key, a file of them, forge:USER, an e-mail address or a team.
        person: String,
    },
    /// Rename a contact.
    #[command(after_long_help = "\
Example:
  pillion people rename anna \"Anna M.\"")]
    Rename {
        /// The name in the book.
        #[arg(add = completion::contacts())]
        old: String,
        /// The new one.
        new: String,
    },
    /// Remove a contact, or one of their keys.
    #[command(after_long_help = "\
Example:
  pillion people remove anna")]
    Remove {
        /// The name in the book, or a key.
        #[arg(value_name = "NAME|PERSON", add = completion::contacts())]
        who: String,
    },
}

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: PeopleArgs) -> Result<()> {
    private_dir(&paths.config)?;
    let mut book = Contacts::open(&paths.config)?;
    match args.command {
        None => list(&book, args.json),
        Some(PeopleCmd::Add { name, person }) => {
            for who in invited(&person, config.forge()).await? {
                book.add(&name, who)?;
            }
            Ok(())
        }
        Some(PeopleCmd::Rename { old, new }) => book.rename(&old, &new),
        Some(PeopleCmd::Remove { who }) => book.remove(&who),
    }
}

fn list(book: &Contacts, json: bool) -> Result<()> {
    if json {
        pillion::output!("{}", serde_json::to_string(book.entries())?)?;
    } else if book.entries().is_empty() {
        pillion::say!("No contacts yet. Add one with `pillion people add NAME PERSON`.");
    } else {
        for entry in book.entries() {
            pillion::output!("{:<20} {}", entry.name.as_str(), entry.who)?;
        }
    }
    Ok(())
}

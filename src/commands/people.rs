//! `pillion people`.

use anyhow::Result;
use pillion::{
    config::Config,
    contacts::Contacts,
    paths::{Paths, private_dir},
    prove::keys::invited,
};

use crate::args::{PeopleArgs, PeopleCmd};

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
        pillion::say!(
            "Nobody is in the book. `pillion people add NAME PERSON` writes somebody down."
        );
    } else {
        for entry in book.entries() {
            pillion::output!("{:<20} {}", entry.name.as_str(), entry.who)?;
        }
    }
    Ok(())
}

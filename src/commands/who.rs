//! `pillion who`.

use anyhow::Result;
use clap::Args;
use pillion::{
    clock,
    identity::contacts::Contacts,
    proto::PathKind,
    session::{ParticipantStatus, Reply, verbs},
    settings::paths::Paths,
    terminal::table::{Side, Table},
    tui::words,
};

use crate::{args::OnlySession, commands::ask};

/// Flags of commands that list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Which session.
    #[command(flatten)]
    pub session: OnlySession,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs it.
pub async fn run(paths: &Paths, args: &ListArgs) -> Result<()> {
    let done = ask(paths, args.session.wanted().as_deref(), verbs::Who {}).await?;
    let Reply::Who(people) = done.reply else {
        return Ok(());
    };
    let book = Contacts::open(&paths.config)?;
    if args.json {
        pillion::output!(
            "{}",
            serde_json::Value::Array(people.iter().map(|one| json(one, &book)).collect())
        )?;
    } else if people.is_empty() {
        let status = ask(paths, args.session.wanted().as_deref(), verbs::Status {}).await?;
        match status.reply {
            Reply::Status(status) if !status.shared => {
                pillion::say!("Nobody is here: the session is private. `pillion share` shares it.");
            }
            _ => pillion::say!("Nobody is here. `pillion ticket` prints what to join with."),
        }
    } else {
        table(&people, &book)?;
    }
    Ok(())
}

/// How somebody is known.
fn proof(person: &ParticipantStatus) -> String {
    match person.knocking {
        true => words::knocker(&person.proof, &person.identity),
        false => words::proved(&person.proof),
    }
}

fn json(person: &ParticipantStatus, book: &Contacts) -> serde_json::Value {
    serde_json::json!({
        "id": person.id.0,
        "name": person.name,
        "fingerprint": person.identity.fingerprint(),
        "right": person.rights,
        "until_unix_ms": person.until_unix_ms,
        "here": person.here,
        "asking": person.asking,
        "state": state(person),
        "proof": proof(person),
        "remark": book.remark(&person.name, &person.identity, &person.proof.claims),
        "path": path(person.path),
        "rtt_ms": person.rtt_us.map(|us| f64::from(us) / 1000.0),
        "lag_frames": person.lag_frames,
    })
}

fn table(people: &[ParticipantStatus], book: &Contacts) -> Result<()> {
    let mut table = Table::new([
        ("ID", Side::Right),
        ("NAME", Side::Left),
        ("KEY", Side::Left),
        ("RIGHT", Side::Left),
        ("PATH", Side::Left),
        ("RTT", Side::Right),
        ("NOTE", Side::Left),
    ]);
    for person in people {
        let rtt = person.rtt_us.map_or_else(String::new, |us| {
            format!("{:.1} ms", f64::from(us) / 1000.0)
        });
        let remark = book.remark(&person.name, &person.identity, &person.proof.claims);
        let mut notes: Vec<String> = remark.into_iter().collect();
        if person.asking {
            notes.push(format!(
                "asks to type: pillion grant {} --edit",
                person.id.0
            ));
        }
        if person.knocking {
            notes.push(format!(
                "knocks ({}): pillion admit {id}, or pillion refuse {id}",
                proof(person),
                id = person.id.0
            ));
        } else if !person.here {
            notes.push("not connected now".to_owned());
        } else if person.silent {
            notes.push("silent: nothing was heard of them for a few seconds".to_owned());
        }
        if let Some(until) = person.until_unix_ms {
            notes.push(format!("until {}", clock::local(until)));
        }
        table.row([
            person.id.0.to_string(),
            person.name.clone(),
            person.identity.fingerprint(),
            match person.knocking {
                true => String::new(),
                false => person.rights.to_string(),
            },
            path(person.path).to_owned(),
            rtt,
            notes.join("; "),
        ]);
    }
    table.print()?;
    Ok(())
}

fn state(person: &ParticipantStatus) -> &'static str {
    match (person.knocking, person.here) {
        (true, _) => "knocking",
        (false, true) if person.silent => "silent",
        (false, true) => "here",
        (false, false) => "away",
    }
}

fn path(path: PathKind) -> &'static str {
    match path {
        PathKind::Unknown => "unknown",
        PathKind::Direct => "direct",
        PathKind::Relayed => "relayed",
    }
}

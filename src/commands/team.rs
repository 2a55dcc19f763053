//! `pillion team`.

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use pillion::{
    caps::{PublicKey, UnixMillis},
    clock::{local, unix_ms},
    identity::teams::{self, Team},
    net::load_or_create_identity,
    people::{Membership, Removals},
    settings::{
        paths::{Paths, private_dir},
        span::Span,
    },
};

use crate::completion;
use serde_json::json;

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion team new core                        prints team:KEY, for hosts: pillion allow team:KEY
  pillion team add core anna 8a88e3dd…         prints a line for anna
  pillion team join pillionmember…             anna keeps it, and joins with --as team
  pillion team remove core anna                prints a line for other hosts
  pillion team import pillionremovals…         they keep to it";

/// What to do with teams.
#[derive(Debug, Subcommand)]
pub enum TeamCmd {
    /// Make a team: a key on this machine.
    #[command(after_long_help = "\
Example:
  pillion team new core")]
    New {
        /// What you call it.
        name: String,
        /// Print {"name","key"}.
        #[arg(long)]
        json: bool,
    },
    /// Add a member, or renew a membership; prints a line for them.
    #[command(after_long_help = "\
Examples:
  pillion team add core anna 8a88e3dd…              KEY is what `pillion id` prints for anna
  pillion team add core anna 8a88e3dd… --expires 7d")]
    Add {
        /// The team.
        #[arg(add = completion::teams())]
        team: String,
        /// What the team calls them.
        member: String,
        /// Their Pillion key (`pillion id`).
        key: String,
        /// For how long; 400 days at most.
        #[arg(long, value_name = "SPAN", default_value = "30d")]
        expires: Span,
        /// Print {"membership","team","member","expires_unix_ms"}.
        #[arg(long)]
        json: bool,
    },
    /// Remove a member before their time; prints a line for the team's hosts.
    #[command(after_long_help = "\
Example:
  pillion team remove core anna     prints a line for `pillion team import` on other hosts")]
    Remove {
        /// The team.
        #[arg(add = completion::teams())]
        team: String,
        /// Their name in the team, or their Pillion key.
        member: String,
        /// Print {"removals"}.
        #[arg(long)]
        json: bool,
    },
    /// The teams whose key is here with their members, and the teams you are a member of.
    #[command(after_long_help = "\
Examples:
  pillion team show
  pillion team show core --json")]
    Show {
        /// Only this one.
        #[arg(add = completion::teams())]
        team: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Keep a membership you were given.
    #[command(after_long_help = "\
Examples:
  pillion team join pillionmember…
  pbpaste | pillion team join -")]
    Join {
        /// The line; "-" reads it from standard input.
        #[arg(value_name = "LINE")]
        membership: String,
    },
    /// Apply a team's removals, on this machine and in its sessions.
    #[command(after_long_help = "\
Example:
  pillion team import pillionremovals…")]
    Import {
        /// The line; "-" reads it from standard input.
        #[arg(value_name = "LINE")]
        removals: String,
    },
}

/// Runs it.
pub async fn run(paths: &Paths, command: TeamCmd) -> Result<()> {
    let (config, now) = (&paths.config, UnixMillis(unix_ms()));
    private_dir(config)?;
    match command {
        TeamCmd::New { name, json } => {
            let team = Team::create(config, &name)?;
            match json {
                true => pillion::output!("{}", json!({"name": name, "key": team.key()}))?,
                false => {
                    pillion::output!("team:{}", team.key())?;
                    pillion::say!(
                        "This is the team \"{name}\"; its key is on this machine alone, so keep a copy of {}. \
                         Make somebody a member: pillion team add {name} MEMBER KEY",
                        config.join("teams").display()
                    );
                }
            }
        }
        TeamCmd::Add {
            team,
            member,
            key,
            expires,
            json,
        } => {
            let key: PublicKey = key
                .parse()
                .context("KEY is the Pillion key that `pillion id` prints for the member")?;
            let life = expires.0.as_millis() as u64;
            let membership = Team::add(config, &team, &member, key, now, life)?;
            print_membership(&membership, json)?;
        }
        TeamCmd::Remove { team, member, json } => {
            let removals = Team::remove(config, &team, &member, now)?;
            match json {
                true => pillion::output!("{}", json!({"removals": removals.to_string()}))?,
                false => {
                    pillion::output!("{removals}")?;
                    pillion::say!(
                        "{member} is taken out, and of the sessions that run on this machine, too. Other hosts \
                         need this line: pillion team import LINE"
                    );
                }
            }
            tell_sessions(paths).await?;
        }
        TeamCmd::Show { team, json } => show(paths, team.as_deref(), now, json)?,
        TeamCmd::Join { membership } => join(paths, &given(membership)?, now)?,
        TeamCmd::Import { removals } => {
            let removals: Removals = given(removals)?.parse()?;
            let is_news = teams::import(config, &removals)?;
            // Whether or not it is news to the file, it may be to a session that could not be told then.
            tell_sessions(paths).await?;
            match is_news {
                true => {
                    pillion::say!(
                        "Imported. The sessions that run on this machine keep to it, too."
                    )
                }
                false => pillion::say!("This was known already."),
            }
        }
    }
    Ok(())
}

/// What a team took back ends in running sessions, too.
async fn tell_sessions(paths: &Paths) -> Result<()> {
    let untold = teams::tell_sessions(paths).await?;
    if !untold.is_empty() {
        bail!(
            "it is written down, but these sessions could not be told and keep to what they knew: {}. Say it \
             again, or keep the member out of them by themselves: pillion ban team:KEY/NAME --session SESSION",
            untold.join(", ")
        );
    }
    Ok(())
}

fn print_membership(membership: &Membership, json: bool) -> Result<()> {
    let until = membership.expires();
    if json {
        pillion::output!(
            "{}",
            json!({
                "membership": membership.to_string(), "team": membership.team(),
                "member": membership.member(), "expires_unix_ms": until.0,
            })
        )?;
    } else {
        pillion::output!("{membership}")?;
        pillion::say!(
            "Good until {}, for that key alone, so it is no secret. {} keeps it with: pillion team join LINE",
            local(until.0),
            membership.member()
        );
    }
    Ok(())
}

fn show(paths: &Paths, wanted: Option<&str>, now: UnixMillis, json: bool) -> Result<()> {
    let names = match wanted {
        Some(name) => vec![name.to_owned()],
        None => Team::names(&paths.config)?,
    };
    let mut teams = Vec::new();
    for name in &names {
        teams.push(Team::open(&paths.config, name)?);
    }
    let mine = match wanted {
        Some(_) => Vec::new(),
        None => teams::memberships(&paths.config)?,
    };
    if json {
        let own: Vec<_> = teams
            .iter()
            .map(|team| {
                let members: Vec<_> = team.issued(now).collect();
                let removals = team.removals(now).map(|list| list.to_string());
                json!({"name": team.name(), "key": team.key(), "members": members, "removals": removals})
            })
            .collect();
        let mine: Vec<_> = mine
            .iter()
            .map(|one| {
                json!({
                    "team": one.team(), "member": one.member(), "expires_unix_ms": one.expires().0,
                })
            })
            .collect();
        pillion::output!("{}", json!({"teams": own, "memberships": mine}))?;
        return Ok(());
    }
    if teams.is_empty() && mine.is_empty() {
        pillion::say!("There is no team here. `pillion team new NAME` makes one.");
    }
    for team in &teams {
        pillion::output!("{}  team:{}", team.name(), team.key())?;
        for one in team.issued(now) {
            let note = if one.removed { "  taken out" } else { "" };
            pillion::output!(
                "  {:<20} {}  until {}{note}",
                one.member.as_str(),
                one.identity.fingerprint(),
                local(one.expires_unix_ms)
            )?;
        }
    }
    for one in &mine {
        pillion::output!(
            "you are {} of team:{} until {}",
            one.member(),
            one.team(),
            local(one.expires().0)
        )?;
    }
    Ok(())
}

fn join(paths: &Paths, text: &str, now: UnixMillis) -> Result<()> {
    let membership: Membership = text.parse()?;
    let identity = load_or_create_identity(&paths.config)?.public();
    membership.verify(&identity, now, &[])?;
    let (member, until) = (membership.member().clone(), local(membership.expires().0));
    teams::keep(&paths.config, membership)?;
    pillion::say!(
        "You are {member} until {until}. Join the team's sessions with: pillion join TICKET --as team"
    );
    Ok(())
}

/// A long line from the argument, or from standard input for "-".
fn given(text: String) -> Result<String> {
    if text != "-" {
        return Ok(text);
    }
    let mut text = String::new();
    let stdin = std::io::Read::take(std::io::stdin().lock(), 256 * 1024);
    std::io::Read::read_to_string(&mut { stdin }, &mut text)?;
    match text.trim().is_empty() {
        true => bail!("nothing came from standard input"),
        false => Ok(text),
    }
}

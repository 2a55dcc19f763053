//! The command line, as clap sees it. What each flag means is said here once: `--help`, the man
//! pages and the completions are made from it.

use std::{ffi::OsString, num::NonZeroU32, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum, builder::NonEmptyStringValueParser};
use pillion::{
    caps::PublicKey,
    net::{RelayChoice, Resolve, signal::SignalUrl},
    proto::{AccessMode, Rights},
    proving::ProofKinds,
    retention::Retention,
    span::Span,
};

/// Share a live terminal straight from your machine.
///
/// `pillion --share` runs your shell and prints a ticket; anybody who runs `pillion join TICKET` sees
/// your terminal live, end-to-end encrypted, through NATs. They can type once you say so.
#[derive(Debug, Parser)]
#[command(
    name = "pillion",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true,
    after_long_help = EXAMPLES
)]
pub struct Cli {
    /// What to do; without a command, run a shell under pillion.
    #[command(subcommand)]
    pub command: Option<Cmd>,

    /// How to run the shell.
    #[command(flatten)]
    pub run: RunArgs,
}

const EXAMPLES: &str = "\
Examples:
  pillion --share                      share a new shell, view-only
  pillion --share -- cargo test        share one command; the exit code is the command's
  pillion --share --link --qr          print a link too, and the link as a QR code
  pillion --share --code               print a code to say aloud, like 7-guitar-lantern
  pillion join TICKET|LINK|CODE        ride along
  pillion grant anna --edit            let anna type (for 8 hours unless --expires says otherwise)
  pillion grant --link --edit          a token for one person who is not here yet
  pillion --share --restart SESSION    after a reboot: the same session, the same ticket
  pillion revoke anna                  take that back, at once
  pillion link; pillion code           a link, or a code to say aloud, for a session that runs
  pillion stop                         end sharing; the shell goes on

Inside a session the prefix key (Ctrl-] by default) opens a panel with the same.

Exit codes:
  0    done; of a shared command: its own exit code is passed on
  1    it did not work; the message says why and what to do
  2    the command line is wrong
  3    the host refused: a wrong, expired or replaced ticket or token, or you are barred
  4    no such session, or nobody by that name
  5    the session could not be reached (join --text, which does not wait), or the link service not
  126  the program to share could not be run
  127  the program to share was not found
  128+n  the shared program was ended by signal n

Environment:
  PILLION_TICKET, PILLION_GRANT   what `join` uses when no argument is given
  PILLION_SESSION                 the session commands are about; set inside each session
  PILLION_NAME, PILLION_RELAY, …  as in the configuration file (`pillion config show`)
  NO_COLOR                        draw without colours";

/// Flags of `pillion` itself.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Share the session from its beginning and print the ticket.
    #[arg(long)]
    pub share: bool,

    /// The session's name, shown to those who join.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Start a session that ended again (see `pillion ls --all`), with a new shell or COMMAND: tickets
    /// and grants of before hold, who was put out stays out, and its history goes on.
    #[arg(long, value_name = "SESSION", value_parser = NonEmptyStringValueParser::new())]
    pub restart: Option<String>,

    /// Nobody can be given the right to type in this session.
    #[arg(long, requires = "share")]
    pub read_only: bool,

    /// Who may come in: "link" (everybody who has the ticket), "invited" (people you allow; others who have
    /// the ticket knock, and you are asked) or "team" (members of a --team).
    #[arg(long, value_name = "link|invited|team", requires = "share")]
    pub allow: Option<AccessMode>,

    /// A team whose members may come in, by its key; can be given several times.
    #[arg(long, value_name = "KEY", requires = "share")]
    pub team: Vec<PublicKey>,

    /// Also write the ticket to FILE (0600; a pipe, device or link that is there stays); with --json, the
    /// whole object.
    #[arg(long, value_name = "FILE", requires = "share")]
    pub ticket_file: Option<PathBuf>,

    /// Print {"session","ticket","join",…} as one line on stderr instead of the greeting.
    #[arg(long, requires = "share")]
    pub json: bool,

    /// Print no greeting.
    #[arg(short, long)]
    pub quiet: bool,

    /// Print a link too, which works like the ticket; it needs a link service (--signal, or signal in
    /// the settings, which prints one by itself).
    #[arg(long, requires = "share")]
    pub link: bool,

    /// Print a code to say aloud, good for one person and ten minutes; needs a link service.
    #[arg(long, requires = "share")]
    pub code: bool,

    /// Draw the link, or the ticket, as a QR code.
    #[arg(long, requires = "share")]
    pub qr: bool,

    /// The link service's URL.
    #[arg(long, value_name = "URL")]
    pub signal: Option<SignalUrl>,

    /// How to be found beyond the local network: a relay's URL, "none", or "default".
    #[arg(long, value_name = "URL|none|default")]
    pub relay: Option<RelayChoice>,

    /// Where to say where this host is: "records", "dht", "lan", several with commas, or "none".
    #[arg(long, value_name = "WHERE")]
    pub resolve: Option<Resolve>,

    /// What to keep of ended sessions: an age, a size, both ("30d,1GiB"), or "none".
    #[arg(long, value_name = "AGE,SIZE")]
    pub keep: Option<Retention>,

    /// The program to run instead of your shell.
    #[arg(last = true, value_name = "COMMAND")]
    pub program: Vec<OsString>,
}

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Cmd {
    /// Ride along in a session.
    ///
    /// Keys, after the prefix (Ctrl-] by default): e asks for the right to type, [ scrolls back,
    /// w shows who is here, ? helps, q leaves. The wheel scrolls back too.
    #[command(after_long_help = "\
Examples:
  pillion join pillionab3…              watch
  pillion join https://…/s/…#…          the same with a link
  pillion join 7-guitar-lantern         the same with a code the host told you
  pbpaste | pillion join -              the ticket from a pipe: it is in no argument list
  pillion join TICKET --grant TOKEN     come with the right to type
  pillion join TICKET --as ssh          prove who you are with your SSH key (ssh-agent)
  pillion join TICKET --as email        by signing in with your e-mail address
  pillion join TICKET --text            print the screen once and exit, no terminal needed
  pillion join TICKET --follow          print new lines as they come, until the session ends")]
    Join(JoinArgs),

    /// Start sharing a session that is already running, from what is on its screen now.
    Share(ShareArgs),

    /// End sharing. The shell goes on; viewers are told.
    Stop(StopArgs),

    /// Print the ticket again, or replace it.
    Ticket(TicketArgs),

    /// Print the session's link, which works like the ticket; without one, publish it first.
    #[command(after_long_help = "\
Examples:
  pillion link                                  of the session you are in, or the only one there is
  pillion link --qr                             for a phone
  pillion link --signal https://signal.example  where the session has no link service
  pillion link --off                            end it; the ticket holds, and who is here stays")]
    Link(LinkArgs),

    /// Print a code to say aloud, good for one person and ten minutes.
    Code(CodeArgs),

    /// Who is here.
    Who(ListArgs),

    /// Let somebody type.
    #[command(after_long_help = "\
Examples:
  pillion grant anna --edit                    anna, who is here, may type for 8 hours
  pillion grant 3 --edit --expires 20m         participant 3 of `pillion who`, for 20 minutes
  pillion grant --link --edit                  prints a token that one person can use:
                                               pillion join TICKET --grant TOKEN
  pillion grant --link --edit --uses 5         the same for five people

To type in your shell is to act as you: an editor can read your files and run any program.")]
    Grant(GrantArgs),

    /// Take the right to type away, at once, and the token somebody came with; or an entry off the list
    /// of `pillion allow`.
    Revoke(RevokeArgs),

    /// Say who may come in, or put somebody on the list.
    #[command(after_long_help = "\
Examples:
  pillion allow                      who may come in, and the list
  pillion allow invited              people on the list; others who have the ticket knock
  pillion allow anna@example.org     put somebody on the list, who may watch
  pillion allow \"ssh-ed25519 AAAA…\" --edit
  pillion allow forge:anna           by the SSH keys that a forge lists for a user, now and later
  pillion allow team:KEY             every member of a team
  pillion allow 3 --manage           participant 3 of `pillion who` manages the session with you

PERSON is somebody who is here (number, key's fingerprint from four digits on, name), a Pillion key as
`pillion id` prints it, an SSH key, a file of them or the address of such a list, an e-mail address, or a
team. What reads as anything else is never looked up as a name. `pillion revoke PERSON` takes an entry off the list. The list at an address (forge:USER is one) is looked at again when
somebody comes with an SSH key, every five minutes at most; a file is read once.")]
    Allow(AllowArgs),

    /// Let somebody in who knocks, and from now on.
    Admit(AdmitArgs),

    /// Turn somebody away who knocks, or say no to a request to type.
    Refuse(RefuseArgs),

    /// Put somebody out and bar their key, and what else they proved to be. The token they came with ends,
    /// too.
    Kick(KickArgs),

    /// Keep somebody out who need not be here: by a key, an address, a team.
    #[command(after_long_help = "\
Examples:
  pillion ban eve@example.org        no matter who vouches for the address
  pillion ban forge:eve              by each SSH key that the forge lists for that user now
  pillion ban ./lost_keys            by each SSH key in a file
  pillion unban forge:eve            undoes it, for the keys listed now; `pillion allow` prints who is barred")]
    Ban(BanArgs),

    /// Let somebody come in again who was barred.
    Unban(BanArgs),

    /// Print your Pillion key, by which others can let you in.
    #[command(after_long_help = "\
Examples:
  pillion id                   for a host: pillion allow KEY
  pillion id --json | jq -r .fingerprint")]
    Id(IdArgs),

    /// The contact book: what you call people. Without a command, list it.
    #[command(after_long_help = "\
Examples:
  pillion people add anna 8a88e3dd…            by the key that `pillion id` prints for anna
  pillion people add anna \"ssh-ed25519 AAAA…\"
  pillion people add anna forge:anna           by the SSH keys of a forge's user
  pillion people rename anna \"Anna M.\"

Anybody who then calls themselves anna with another key is shown with a warning.")]
    People(PeopleArgs),

    /// Teams: make one, take people in and out, show, join.
    #[command(
        subcommand,
        after_long_help = "\
Examples:
  pillion team new core                        prints team:KEY, for hosts: pillion allow team:KEY
  pillion team add core anna 8a88e3dd…         prints a line for anna
  pillion team join pillionmember…             anna keeps it, and joins with --as team
  pillion team remove core anna                prints a line for other hosts
  pillion team import pillionremovals…         they keep to it"
    )]
    Team(TeamCmd),

    /// List sessions of this machine.
    Ls(LsArgs),

    /// Link your own devices, so that each finds the others' sessions.
    #[command(subcommand)]
    Device(DeviceCmd),

    /// Write a session's history as text or as a recording.
    #[command(after_long_help = "\
Examples:
  pillion export 7f3a91c204 --format txt > session.txt
  pillion export 7f3a91c204 --format cast -o demo.cast && asciinema play demo.cast")]
    Export(ExportArgs),

    /// Who came, what they were given and by whom, and when they typed.
    #[command(after_long_help = "\
Examples:
  pillion audit                     of the session you are in, or the only one there is
  pillion audit 7f3a91c204 --json   every entry, for programs

What was typed is never written down here, only when, by whom and how much.")]
    Audit(AuditArgs),

    /// Remove ended sessions and their history from this machine.
    Rm(RmArgs),

    /// Show or edit the configuration.
    #[command(subcommand)]
    Config(ConfigCmd),

    /// Print a completion script for a shell.
    #[command(after_long_help = "\
Examples:
  pillion completions bash > ~/.local/share/bash-completion/completions/pillion
  pillion completions zsh  > \"${fpath[1]}/_pillion\"
  pillion completions fish > ~/.config/fish/completions/pillion.fish")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },

    /// Write the man pages into a folder.
    #[command(after_long_help = "\
Example:
  pillion man ~/.local/share/man/man1 && man pillion")]
    Man {
        /// Where to; it is made if it is not there.
        dir: PathBuf,
    },
}

/// Flags of `join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// The ticket, link or code; "-" reads it from standard input. Without it, PILLION_TICKET, or you
    /// are asked.
    pub ticket: Option<String>,

    /// A grant token, as `pillion grant --link` prints it. The list of processes doesn't show it, nor the
    /// ticket.
    #[arg(long, value_name = "TOKEN")]
    pub grant: Option<String>,

    /// What to call you.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Prove who you are: "ssh" (or ssh:FINGERPRINT, ssh:FILE), "email", "team" (or team:NAME); several
    /// with commas. Your Pillion key is proved anyway.
    #[arg(long = "as", value_name = "ssh|email|team")]
    pub prove: Option<ProofKinds>,

    /// Sign in for --as email on another device, where this one has no browser.
    #[arg(long)]
    pub device: bool,

    /// Never send a keystroke, whatever you are granted.
    #[arg(long)]
    pub read_only: bool,

    /// Print the current screen as text and exit.
    #[arg(long, conflicts_with = "follow")]
    pub text: bool,

    /// Print new lines as they come, until the session ends.
    #[arg(long)]
    pub follow: bool,

    /// A relay's URL, "none", or "default".
    #[arg(long, value_name = "URL|none|default")]
    pub relay: Option<RelayChoice>,

    /// The link service a code is from.
    #[arg(long, value_name = "URL")]
    pub signal: Option<SignalUrl>,

    /// Where to look for a host whose addresses have changed: "records", "dht", "lan", several with
    /// commas, or "none".
    #[arg(long, value_name = "WHERE")]
    pub resolve: Option<Resolve>,
}

/// Which session a command is about.
#[derive(Debug, Args)]
pub struct SessionArg {
    /// The session (see `pillion ls`); the one you are in, or the only one, by default.
    #[arg(long, value_name = "SESSION", env = "PILLION_SESSION", global = false)]
    pub session: Option<String>,
}

/// Flags of `share`.
#[derive(Debug, Args)]
pub struct ShareArgs {
    /// The session; the one you are in, or the only one, by default.
    #[arg(value_name = "SESSION", env = "PILLION_SESSION")]
    pub session: Option<String>,

    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `stop`.
#[derive(Debug, Args)]
pub struct StopArgs {
    /// The session; the one you are in, or the only one, by default.
    #[arg(value_name = "SESSION", env = "PILLION_SESSION")]
    pub session: Option<String>,

    /// Every session of yours on this machine.
    #[arg(long)]
    pub all: bool,
}

/// Flags of `ticket`.
#[derive(Debug, Args)]
pub struct TicketArgs {
    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,

    /// Make a new ticket; the old one stops working, and the old link. Who is here stays.
    #[arg(long)]
    pub new: bool,

    /// Draw it, or the link if there is one, as a QR code too, on standard error.
    #[arg(long)]
    pub qr: bool,
}

/// Flags of `link`.
#[derive(Debug, Args)]
pub struct LinkArgs {
    /// The session; the one you are in, or the only one, by default.
    #[arg(value_name = "SESSION", env = "PILLION_SESSION")]
    pub session: Option<String>,

    /// The link service's URL; the one the session has, by default. A link at another one ends.
    #[arg(long, value_name = "URL", conflicts_with = "off")]
    pub signal: Option<SignalUrl>,

    /// Draw the link as a QR code too, on standard error.
    #[arg(long, conflicts_with = "off")]
    pub qr: bool,

    /// End the link; the session and its ticket stay.
    #[arg(long)]
    pub off: bool,
}

/// Flags of `code`.
#[derive(Debug, Args)]
pub struct CodeArgs {
    /// The session; the one you are in, or the only one, by default.
    #[arg(value_name = "SESSION", env = "PILLION_SESSION")]
    pub session: Option<String>,

    /// The link service's URL; the one the session has, by default.
    #[arg(long, value_name = "URL")]
    pub signal: Option<SignalUrl>,
}

/// Flags of commands that list.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,

    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Flags of `grant`.
#[derive(Debug, Args)]
pub struct GrantArgs {
    /// A name, number or key fingerprint from `pillion who`.
    #[arg(
        value_name = "NAME|ID",
        required_unless_present = "link",
        conflicts_with = "link"
    )]
    pub who: Option<String>,

    /// Print a token for somebody who is not here yet.
    #[arg(long)]
    pub link: bool,

    /// The right to type.
    #[arg(long, required_unless_present_any = ["manage", "can"])]
    pub edit: bool,

    /// Every right, and to say who else has which.
    #[arg(long, conflicts_with = "edit")]
    pub manage: bool,

    /// Some rights, with commas between them: "type", "type,manage,delegate". (prompt, approve, open, fork,
    /// record, files and forward can be given too; nothing asks for them yet.)
    #[arg(long, value_name = "RIGHTS", conflicts_with_all = ["edit", "manage"])]
    pub can: Option<Rights>,

    /// For how long: "20m", "1h", "2d"; 8h unless the configuration says otherwise.
    #[arg(long, value_name = "SPAN")]
    pub expires: Option<Span>,

    /// How many people may use the token; one unless said otherwise. Reconnecting is no new use.
    #[arg(long, value_name = "N", requires = "link")]
    pub uses: Option<NonZeroU32>,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Flags of `revoke`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("whose").required(true).args(["who", "link", "all"]))]
pub struct RevokeArgs {
    /// A name, number or key fingerprint from `pillion who`, a grant's id, or whatever `pillion allow` takes.
    #[arg(value_name = "NAME|ID|GRANT|PERSON")]
    pub who: Option<String>,

    /// Every token made with `grant --link`, and who came with one.
    #[arg(long)]
    pub link: bool,

    /// Everyone's.
    #[arg(long)]
    pub all: bool,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Flags of `kick`.
#[derive(Debug, Args)]
pub struct KickArgs {
    /// A name, number or key fingerprint from `pillion who`.
    #[arg(value_name = "NAME|ID")]
    pub who: String,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Flags of `allow`.
#[derive(Debug, Args)]
pub struct AllowArgs {
    /// "link", "invited" or "team" say who may come in; anything else is a person.
    #[arg(value_name = "link|invited|team|PERSON")]
    pub what: Option<String>,

    /// They may watch; the default.
    #[arg(long, requires = "what", conflicts_with_all = ["edit", "manage"])]
    pub view: bool,

    /// They may type, for as long as a grant lasts each time they come.
    #[arg(long, requires = "what", conflicts_with = "manage")]
    pub edit: bool,

    /// They may do everything, and say who else may do what.
    #[arg(long, requires = "what")]
    pub manage: bool,

    /// They have some rights, with commas between them: "type", "type,manage,delegate". (prompt, approve, open,
    /// fork, record, files and forward can be given too; nothing asks for them yet.)
    #[arg(long, value_name = "RIGHTS", requires = "what", conflicts_with_all = ["view", "edit", "manage"])]
    pub can: Option<Rights>,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Flags of `admit`.
#[derive(Debug, Args)]
pub struct AdmitArgs {
    /// A name, number or key fingerprint from `pillion who`.
    #[arg(value_name = "NAME|ID")]
    pub who: String,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Flags of `refuse`.
#[derive(Debug, Args)]
pub struct RefuseArgs {
    /// A name, number or key fingerprint from `pillion who`.
    #[arg(value_name = "NAME|ID")]
    pub who: String,

    /// Bar them, too.
    #[arg(long)]
    pub for_good: bool,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Flags of `ban` and `unban`.
#[derive(Debug, Args)]
pub struct BanArgs {
    /// A name, number or fingerprint from `pillion who`, or whatever `pillion allow` takes: a Pillion key, an
    /// SSH key, a file of them or forge:USER, an e-mail address or a team.
    #[arg(value_name = "PERSON")]
    pub who: String,

    /// Which session.
    #[command(flatten)]
    pub session: SessionArg,
}

/// Flags of `id`.
#[derive(Debug, Args)]
pub struct IdArgs {
    /// Print {"key","fingerprint","name"}.
    #[arg(long)]
    pub json: bool,
}

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
    /// Write somebody down.
    Add {
        /// What you call them.
        name: String,
        /// A Pillion key, an SSH key, a file of them, forge:USER, an e-mail address or a team.
        person: String,
    },
    /// Call somebody otherwise.
    Rename {
        /// The name in the book.
        old: String,
        /// The new one.
        new: String,
    },
    /// Take somebody out, or one of their keys.
    Remove {
        /// The name in the book, or a key.
        #[arg(value_name = "NAME|PERSON")]
        who: String,
    },
}

/// What to do with teams.
#[derive(Debug, Subcommand)]
pub enum TeamCmd {
    /// Make a team: a key on this machine.
    New {
        /// What you call it.
        name: String,
        /// Print {"name","key"}.
        #[arg(long)]
        json: bool,
    },
    /// Make somebody a member, or again one; prints a line for them.
    Add {
        /// The team.
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
    /// Take a member out before their time; prints a line for the team's hosts.
    Remove {
        /// The team.
        team: String,
        /// Their name in the team, or their Pillion key.
        member: String,
        /// Print {"removals"}.
        #[arg(long)]
        json: bool,
    },
    /// The teams whose key is here with their members, and the teams you are a member of.
    Show {
        /// Only this one.
        team: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Keep a membership you were given.
    Join {
        /// The line; "-" reads it from standard input.
        #[arg(value_name = "LINE")]
        membership: String,
    },
    /// Keep to what a team took back, on this machine and in its sessions.
    Import {
        /// The line; "-" reads it from standard input.
        #[arg(value_name = "LINE")]
        removals: String,
    },
}

/// Flags of `ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Ended sessions too.
    #[arg(long)]
    pub all: bool,

    /// The shared sessions of your other devices (`pillion device link`); `pillion join NAME` enters one.
    #[arg(long, conflicts_with = "all")]
    pub all_devices: bool,

    /// Print an array of {"session","name","state","viewers","started"}.
    #[arg(long)]
    pub json: bool,
}

/// What to do with your devices.
#[derive(Debug, Subcommand)]
pub enum DeviceCmd {
    /// Link another device with this one: run it here, and what it prints there.
    ///
    /// Both show the same digits and ask whether they are the same. After that each finds the other's
    /// shared sessions: `pillion ls --all-devices`, `pillion join NAME`.
    Link(DeviceLinkArgs),
    /// The devices that are linked with this one.
    Ls {
        /// Print an array of {"name","id","this"}.
        #[arg(long)]
        json: bool,
    },
    /// Take a device out: the others get a new secret, which it does not learn. With this device's own
    /// name, leave the group.
    Unlink {
        /// The device's name, or the beginning of its id.
        #[arg(value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
        name: String,
        /// A link service's URL, instead of that of the settings.
        #[arg(long, value_name = "URL")]
        signal: Option<SignalUrl>,
    },
}

/// Flags of `device link`.
#[derive(Debug, Args)]
pub struct DeviceLinkArgs {
    /// What `pillion device link` printed on the other device.
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
    /// What to call this device; what the machine is called, by default.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// A link service's URL, instead of that of the settings.
    #[arg(long, value_name = "URL")]
    pub signal: Option<SignalUrl>,
}

/// Flags of `export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The session; the one you are in, or the only one, by default.
    #[arg(value_name = "SESSION", env = "PILLION_SESSION")]
    pub session: Option<String>,

    /// Plain text, or an asciicast v3 recording.
    #[arg(long, value_enum, default_value_t = ExportFormat::Txt)]
    pub format: ExportFormat,

    /// Write to FILE instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Flags of `audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The session; the one you are in, or the only one, by default.
    #[arg(value_name = "SESSION", env = "PILLION_SESSION")]
    pub session: Option<String>,

    /// Print an array of {"at","event","name","identity","fingerprint","by",…}, oldest first.
    #[arg(long)]
    pub json: bool,
}

/// What `export` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// Text, a line each.
    Txt,
    /// asciicast v3.
    Cast,
}

/// Flags of `rm`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).args(["sessions", "all"]))]
pub struct RmArgs {
    /// Sessions, as `pillion ls --all` lists them.
    #[arg(value_name = "SESSION")]
    pub sessions: Vec<String>,

    /// Every ended session.
    #[arg(long)]
    pub all: bool,
}

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

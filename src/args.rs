//! The command line, as clap sees it: the commands and what each is for. Their flags stand beside their code in
//! `commands/`; `--help`, the man pages and the completions are made from both.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    commands::{
        acp, admit, agent, allow, answer, attach, audit, ban, close, code, config, conversation,
        device, export, fork, grant, host, id, join, kick, link, ls, new, people, prompt, refuse,
        revoke, rm, run, share, stop, team, ticket, trust, who,
    },
    completion,
};

/// Share a live terminal straight from your machine.
///
/// `pillion share` runs your shell and prints a ticket; anyone who runs `pillion join TICKET` sees
/// your terminal live, end-to-end encrypted, through NATs. They can type once you allow it.
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
    pub run: host::RunArgs,
}

const EXAMPLES: &str = "\
Examples:
  pillion share                        share a new shell, view-only
  pillion share -- cargo test          share one command; the exit code is the command's
  pillion share --link --qr            print a link too, and the link as a QR code
  pillion share --code                 print a code to say aloud, like 7-guitar-lantern
  pillion join TICKET|LINK|CODE        join and watch
  pillion grant anna --edit            let anna type (for 8 hours unless --expires says otherwise)
  pillion grant --link --edit          a token for one person who is not here yet
  pillion share --detach               start it in the background; Ctrl-] d leaves a terminal
  pillion attach                       open it in this terminal, or in another one later
  pillion share --restart SESSION      after a reboot: the same session, the same ticket
  pillion revoke anna                  stop anna typing, at once
  pillion link; pillion code           a link, or a code to say aloud, for a session that runs
  pillion stop                         stop sharing; your shell keeps running
  pillion close --all                  end the session, also one in the background

Inside a session the prefix key (Ctrl-] by default) and Space open a panel with the same. The prefix and c
open another terminal in the session, n and p go round, 0 to 9 go to one by its number.

Exit codes:
  0    done; of a shared command: its own exit code is passed on
  1    it did not work; the message says why and what to do
  2    the command line is wrong
  3    the host refused: a wrong, expired or replaced ticket or token, or you are blocked
  4    no such session or terminal, or nobody by that name
  5    the session could not be reached (join --text, which does not wait), or the link service not
  126  the program to share could not be run
  127  the program to share was not found
  128+n  the shared program was ended by signal n

Environment:
  PILLION_TICKET, PILLION_GRANT   what `join` uses when no argument is given
  PILLION_SESSION                 the session commands are about; set inside each session
  PILLION_NAME, PILLION_RELAY, …  as in the configuration file (`pillion config show`)
  NO_COLOR                        draw without colours";

/// Commands.
#[derive(Debug, Subcommand)]
pub enum Cmd {
    /// Join a session.
    ///
    /// Keys, after the prefix (Ctrl-] by default): e asks for the right to type, [ scrolls back,
    /// w shows who is here, ? helps, q leaves. The wheel scrolls back too.
    #[command(after_long_help = join::EXAMPLES)]
    Join(join::JoinArgs),

    /// Open a running session in this terminal, in place of the one it has.
    ///
    /// The prefix key (Ctrl-] by default) and d leave it again; the session goes on.
    #[command(after_long_help = attach::EXAMPLES)]
    Attach(attach::AttachArgs),

    /// Start a session that is shared, or share one that runs.
    #[command(after_long_help = share::EXAMPLES)]
    Share(Box<share::ShareArgs>),

    /// Stop sharing. Your shell keeps running; viewers are notified.
    #[command(after_long_help = "\
Examples:
  pillion stop             the session you are in, or the only one
  pillion stop 26ab        this one
  pillion stop --all       every session of yours on this machine")]
    Stop(stop::StopArgs),

    /// Print the ticket again, or replace it.
    #[command(after_long_help = "\
Examples:
  pillion ticket           print it again
  pillion ticket --new     replace it: the old one and its link stop working
  pillion ticket --qr      as a QR code, too")]
    Ticket(ticket::TicketArgs),

    /// Print the session's link, which works like the ticket; without one, publish it first.
    #[command(after_long_help = link::EXAMPLES)]
    Link(link::LinkArgs),

    /// Print a code to say aloud, good for one person and ten minutes.
    #[command(after_long_help = "\
Examples:
  pillion code                                  of the session you are in, or the only one
  pillion code --signal https://signal.example  where the session has no link service")]
    Code(code::CodeArgs),

    /// Who is here.
    #[command(after_long_help = "\
Examples:
  pillion who              by number, name and key, and what they can do
  pillion who --json | jq -r \".[].name\"")]
    Who(who::ListArgs),

    /// Allow someone to type.
    #[command(after_long_help = grant::EXAMPLES)]
    Grant(grant::GrantArgs),

    /// Stop someone typing, at once, and end the token they came with; or remove an entry from the list of
    /// `pillion allow`.
    #[command(after_long_help = "\
Examples:
  pillion revoke bert      bert can only watch from now on
  pillion revoke 2         the same by the number that `pillion who` shows
  pillion revoke --link    every token of `pillion grant --link`
  pillion revoke --all     what everybody was given")]
    Revoke(revoke::RevokeArgs),

    /// Set who can join, or add someone to the list.
    #[command(after_long_help = allow::EXAMPLES)]
    Allow(allow::AllowArgs),

    /// Let in someone who is knocking, and remember them.
    #[command(after_long_help = "\
Examples:
  pillion admit carla      who knocks under this name
  pillion admit 3          by the number that `pillion who` shows")]
    Admit(admit::AdmitArgs),

    /// Decline a knock or a request to type.
    #[command(after_long_help = "\
Examples:
  pillion refuse 3             not now
  pillion refuse 3 --for-good  and block their key")]
    Refuse(refuse::RefuseArgs),

    /// Open another terminal in a session, and print its number.
    #[command(after_long_help = new::EXAMPLES)]
    New(new::NewArgs),

    /// End a terminal of a session, or all of them and the session. One that ended is no longer listed.
    #[command(after_long_help = close::EXAMPLES)]
    Close(close::CloseArgs),

    /// Begin a conversation with a coding agent, which others can watch, prompt and approve with you.
    ///
    /// AGENT is one of opencode, claude, codex, gemini, qwen, vibe or copilot, which has to be installed, or one that
    /// your settings name (`pillion config edit`). Any other program that speaks the Agent Client Protocol on its
    /// standard input and output is given behind `--`.
    #[command(after_long_help = agent::EXAMPLES)]
    Agent(agent::AgentArgs),

    /// Have an agent do something where nobody sits: in CI, on a server, in the background.
    ///
    /// A ticket is printed at once, the result at the end. Others can join, answer what the agent asks, and ask it for
    /// more once its task is done.
    #[command(after_long_help = run::EXAMPLES)]
    Run(Box<run::RunArgs>),
    /// Go on with an agent's conversation in a folder of its own, with its code as it lies there.
    #[command(after_long_help = fork::EXAMPLES)]
    Fork(fork::ForkArgs),

    /// Say how far somebody's prompts to an agent are trusted.
    #[command(after_long_help = trust::EXAMPLES)]
    Trust(trust::TrustArgs),

    /// Ask an agent for something.
    #[command(after_long_help = prompt::EXAMPLES)]
    Prompt(prompt::PromptArgs),

    /// Answer a question of an agent's.
    #[command(after_long_help = answer::EXAMPLES)]
    Answer(answer::AnswerArgs),

    /// Print an agent's conversation.
    #[command(after_long_help = conversation::EXAMPLES)]
    Conversation(conversation::ConversationArgs),

    /// Be an agent for an editor (Zed, JetBrains, Neovim): the shared conversation, on standard input and output.
    ///
    /// The editor starts it as it starts any agent that speaks the Agent Client Protocol. What was said is shown there,
    /// what is written there waits in the shared queue, and the agent's questions are answered there by who may.
    #[command(after_long_help = acp::EXAMPLES)]
    Acp(acp::AcpArgs),

    /// Remove someone and block their key and proven identities. The token they came with ends, too.
    #[command(after_long_help = "\
Examples:
  pillion kick 2           by the number that `pillion who` shows
  pillion kick bert        by name, where only one is called so")]
    Kick(kick::KickArgs),

    /// Block someone by key, e-mail address or team, even if they are not connected.
    #[command(after_long_help = ban::EXAMPLES)]
    Ban(ban::BanArgs),

    /// Unblock someone.
    #[command(after_long_help = ban::EXAMPLES)]
    Unban(ban::BanArgs),

    /// Print your Pillion key, which others can let you in by.
    #[command(after_long_help = id::EXAMPLES)]
    Id(id::IdArgs),

    /// The contact book: names for people by their keys. Without a command, list it.
    #[command(after_long_help = people::EXAMPLES)]
    People(people::PeopleArgs),

    /// Teams: make one, add and remove members, show, join.
    #[command(
        subcommand,
        after_long_help = team::EXAMPLES
    )]
    Team(team::TeamCmd),

    /// List sessions of this machine.
    #[command(after_long_help = "\
Examples:
  pillion ls               sessions that run
  pillion ls --all         ended ones too
  pillion ls 26ab          the terminals of one session
  pillion ls --all-devices what your other devices share
  pillion ls --json | jq -r \".[].session\"")]
    Ls(ls::LsArgs),

    /// Link your own devices, so that each finds the others' sessions.
    #[command(subcommand, after_long_help = device::EXAMPLES)]
    Device(device::DeviceCmd),

    /// Write a session's history as text or as a recording.
    #[command(after_long_help = export::EXAMPLES)]
    Export(export::ExportArgs),

    /// Show who joined, what they were given and by whom, and when they typed.
    #[command(after_long_help = audit::EXAMPLES)]
    Audit(audit::AuditArgs),

    /// Remove ended sessions and their history from this machine.
    #[command(after_long_help = "\
Examples:
  pillion rm 26ab 7f3a     these two and their history
  pillion rm --all         every ended session")]
    Rm(rm::RmArgs),

    /// Show or edit the configuration.
    #[command(subcommand, after_long_help = config::EXAMPLES)]
    Config(config::ConfigCmd),

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

/// Which session a command is about that has other arguments, too.
#[derive(Debug, Args)]
pub struct SessionArg {
    /// The session (see `pillion ls`); the one you are in, or the only one, by default.
    #[arg(long, value_name = "SESSION", env = "PILLION_SESSION", hide_env_values = true, add = completion::running())]
    pub session: Option<String>,
}

/// A session that is the only thing a command is about. It is named like anywhere else, or by itself.
macro_rules! only_session {
    ($(#[$doc:meta])* $name:ident, $candidates:path) => {
        $(#[$doc])*
        #[derive(Debug, Args)]
        pub struct $name {
            /// The session (see `pillion ls`); the one you are in, or the only one, by default.
            #[arg(value_name = "SESSION", conflicts_with = "session", add = $candidates())]
            pub place: Option<String>,

            /// The same.
            #[arg(long, value_name = "SESSION", add = $candidates())]
            pub session: Option<String>,
        }

        impl $name {
            /// What was given, or the session that this process runs in.
            pub fn wanted(&self) -> Option<String> {
                let given = self.place.clone().or_else(|| self.session.clone());
                given.or_else(|| std::env::var("PILLION_SESSION").ok())
            }
        }
    };
}

only_session! {
    /// One that runs.
    OnlySession, completion::running
}

only_session! {
    /// One that runs or ended.
    AnySession, completion::any
}

impl OnlySession {
    /// What was given.
    pub fn given(&self) -> Option<&str> {
        self.place.as_deref().or(self.session.as_deref())
    }
}

//! `pillion acp`.

use std::ffi::OsString;

use anyhow::{Result, bail};
use clap::Args;
use pillion::{
    caps::SecretKey,
    net::random_bytes,
    proto::TrackId,
    session::{CommandError, Reply, verbs},
    sessions::{
        control,
        select::{self, NoSuchSession},
    },
    settings::{config::Config, paths::Paths},
    tui::words::Refusal,
    viewing::viewer_loop::ViewerLoop,
};

use crate::commands::{
    agent::{self, AgentArgs, Started},
    conversation::Place,
    join,
};

/// What `--help` shows at its end.
pub const EXAMPLES: &str = "\
Examples:
  pillion acp pillionab3…      what an editor starts as its agent: the conversation that the ticket leads to
  pillion acp 26ab             one of this machine's, as its host
  pillion acp --conversation 1 26ab
  pillion acp --wrap -- claude-agent-acp       an agent of the editor's own, which can be shared while it runs
  pillion acp --wrap --share -- opencode acp   the same, shared from the start

In Zed's settings.json:
  \"agent_servers\": {
    \"Shared\": {\"type\": \"custom\", \"command\": \"pillion\", \"args\": [\"acp\", \"TICKET\"]}
  }";

/// Flags of `acp`.
#[derive(Debug, Args)]
pub struct AcpArgs {
    /// The session: the ticket, link or code of somebody else's, or one of this machine.
    #[arg(
        value_name = "SESSION|TICKET",
        required_unless_present_any = ["named", "wrap"],
        conflicts_with_all = ["named", "wrap"]
    )]
    pub session: Option<String>,

    /// The same.
    #[arg(long = "session", value_name = "SESSION|TICKET")]
    pub named: Option<String>,

    /// Which conversation of the session, by its number in `pillion ls SESSION`; the first, by default.
    #[arg(long = "conversation", value_name = "N")]
    pub track: Option<u32>,

    /// Begin a conversation with the agent behind `--`, in a session of its own that ends with the editor's thread, and be
    /// that agent to the editor. It is recorded, and `pillion share SESSION` shares it while it runs.
    #[arg(long, requires = "command", conflicts_with = "track")]
    pub wrap: bool,

    /// With --wrap: share it with everybody who has the ticket, from the start. The ticket is printed on standard
    /// error, and `pillion ticket` prints it again.
    #[arg(long, requires = "wrap")]
    pub share: bool,

    /// The agent's command.
    #[arg(last = true, value_name = "AGENT COMMAND")]
    pub command: Vec<String>,
}

impl AcpArgs {
    /// The agent that is wrapped.
    fn agent(&self) -> AgentArgs {
        AgentArgs {
            agent: None,
            share: self.share,
            title: String::new(),
            cwd: None,
            worktree: false,
            earlier: None,
            session: None,
            detach: true,
            json: false,
            relay: None,
            command: self.command.clone(),
        }
    }

    fn given(&self) -> Option<&str> {
        self.session.as_deref().or(self.named.as_deref())
    }

    fn place(&self) -> Place {
        Place {
            session: self.given().map(str::to_owned),
            track: self.track,
        }
    }

    /// What should not be seen in a list of processes.
    pub fn ticket(&self) -> Option<&str> {
        self.place()
            .ticket()
            .is_some()
            .then_some(self.given())
            .flatten()
    }
}

/// Runs it.
pub async fn run(paths: &Paths, config: &Config, args: AcpArgs) -> Result<u8> {
    if args.wrap {
        return wrap(paths, config, &args).await;
    }
    let viewer = match viewer(paths, config, &args).await? {
        Ok(viewer) => viewer,
        Err(code) => return Ok(code),
    };
    serve(viewer, args.track).await
}

/// Begins a conversation with the editor's own agent, and is that agent to it. It ends with the editor.
async fn wrap(paths: &Paths, config: &Config, args: &AcpArgs) -> Result<u8> {
    let owner = SecretKey::from_bytes(&random_bytes()?);
    let mut words = vec!["agent", "--detach"];
    words.extend(args.share.then_some("--share"));
    words.push("--");
    words.extend(args.command.iter().map(String::as_str));
    let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    let begun = agent::begin_for_editor(config, &args.agent(), &words, &owner.public()).await?;
    let Started {
        session: id,
        ticket,
        ..
    } = match begun {
        Ok(begun) => begun,
        Err(code) => return Ok(code),
    };
    match args.share {
        true => {
            pillion::say!("Sharing the conversation. Others watch it with: pillion join {ticket}")
        }
        false => pillion::say!("Session {id} records it. `pillion share {id}` shares it."),
    }
    let code = match owner_at(config, &ticket, owner) {
        Ok(viewer) => serve(viewer, None).await,
        Err(error) => Err(error),
    };
    let end = verbs::CloseTrack { track: TrackId(0) };
    // It may have ended by itself.
    let _ = control::command(&paths.socket(&id), end.into()).await;
    code
}

/// Serves the editor, and says how it ended.
pub async fn serve(viewer: ViewerLoop, track: Option<u32>) -> Result<u8> {
    let outcome = viewer.serve_editor(track.map(TrackId)).await?;
    Ok(join::said(outcome, None))
}

/// A viewer of the conversation.
async fn viewer(
    paths: &Paths,
    config: &Config,
    args: &AcpArgs,
) -> Result<std::result::Result<ViewerLoop, u8>> {
    let given = args.given().unwrap_or_default();
    if args.ticket().is_none() {
        match select::running(paths, Some(given)) {
            Ok(session) => return as_host(paths, config, &session.meta.id).await.map(Ok),
            // It may be the name of a session on another device.
            Err(error) if error.is::<NoSuchSession>() => {}
            Err(error) => return Err(error),
        }
    }
    join::headless(paths, config, given).await
}

/// A viewer of a session on this machine, as its host where nobody else is that.
pub async fn as_host(paths: &Paths, config: &Config, id: &str) -> Result<ViewerLoop> {
    let socket = paths.socket(id);
    let done = control::command(&socket, verbs::Ticket { new: false }.into()).await?;
    let Reply::Ticket(ticket) = done.reply else {
        bail!("the session gave no ticket; this is a defect of pillion");
    };
    let owner = SecretKey::from_bytes(&random_bytes()?);
    let key = owner.public();
    match control::command(&socket, verbs::Own { key }.into()).await {
        Ok(_) => {}
        Err(error) => {
            let refusal = error.downcast_ref::<Refusal>();
            if !matches!(refusal, Some(Refusal(CommandError::OpenElsewhere))) {
                return Err(error);
            }
            pillion::say!(
                "pillion: the conversation is open as its host's in a terminal, so you are a viewer here by your own key: \
                 `pillion grant YOU --can prompt,approve` says what you may do"
            );
            let joined = join::headless(paths, config, &ticket).await?;
            return joined.map_err(|code| anyhow::anyhow!("it can't be joined (exit code {code})"));
        }
    }
    owner_at(config, &ticket, owner)
}

/// A viewer who is the host of a session on this machine.
fn owner_at(config: &Config, ticket: &str, owner: SecretKey) -> Result<ViewerLoop> {
    ViewerLoop::start(agent::owner_options(config, ticket, owner)?)
}

//! Links, codes and relay tokens across simulated routers: the real service with its relay stands on the
//! open network, the command shares behind one router and joins behind another.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use patchbay::{Lab, Nat};
use pillion_proto::Ticket;
use pillion_signal::{Config, Service, Tls};
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::{Ended, behind, on_the_open_network, soon};

/// The one port of address discovery that hosts ask.
const DISCOVERY: u16 = 7842;

/// The link service and its relay, which keeps out who shows it no token.
struct Signal {
    url: String,
    relay: String,
    ca: PathBuf,
    _files: TempDir,
}

async fn signal_on_the_open_network(lab: &Lab) -> Result<Signal> {
    let machine = on_the_open_network(lab, "signal").await?;
    let ip = machine.ip().context("the service's address")?;
    let files = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(vec![ip.to_string()])?;
    let (ca, key) = (files.path().join("ca.pem"), files.path().join("key.pem"));
    std::fs::write(&ca, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let mut config = Config::new((ip, 0).into(), files.path().join("data"));
    config.tls = Some(Tls::from_files(&ca, &key)?);
    config.relay = Some(pillion_signal::RelayConfig {
        listen: (ip, 0).into(),
        quic: Some((ip, DISCOVERY).into()),
        secret: None,
        max_connections: 1000,
    });
    let (tell, told) = oneshot::channel();
    machine.spawn(move |_| async move {
        let service = Service::start(config).await.expect("the service");
        let relay = service.relay_addr().expect("its relay");
        let _ = tell.send((service.addr(), relay));
        std::future::pending::<()>().await;
    })?;
    let (service, relay) = told.await.context("the service did not start")?;
    Ok(Signal {
        url: format!("https://{service}"),
        relay: format!("https://{relay}"),
        ca,
        _files: files,
    })
}

/// What a command prints, if it succeeds.
fn said(mut command: Command) -> Option<String> {
    let done = command.stdout(Stdio::piped()).output().ok()?;
    done.status.success().then_some(())?;
    String::from_utf8(done.stdout).ok()
}

/// Shares with a link; who has the link, the ticket or a code gets in by the relay or past it, and who
/// has the ticket without the relay's token does not.
pub async fn story(nat: Nat, path: &'static str) -> Result<String> {
    let lab = Lab::new()
        .await
        .context("the simulated network (are nft and tc installed?)")?;
    let signal = signal_on_the_open_network(&lab).await?;
    let (host, _) = behind(&lab, "host", nat).await?;
    let (viewer, _) = behind(&lab, "viewer", nat).await?;
    let home = tempfile::tempdir()?;
    // A viewer's settings know nothing of the host's relay. They name the service for the code alone; the
    // certificates are there because no public authority vouches for this network.
    let pillion = |who: &str| -> Result<Command> {
        let mut command = super::pillion(home.path(), who)?;
        command
            .env("PILLION_SIGNAL", &signal.url)
            .env("PILLION_SIGNAL_CA", &signal.ca)
            .env("PILLION_RELAY_CA", &signal.ca);
        Ok(command)
    };
    let hosting = |args: &[&str]| -> Result<Command> {
        let mut command = pillion("host")?;
        command.env("PILLION_RELAY", &signal.relay).args(args);
        Ok(command)
    };

    let file = home.path().join("shared");
    let mut share = hosting(&["--share", "--link", "--json", "-q", "--ticket-file"])?;
    share.arg(&file).args(["--", "cat"]).stdin(Stdio::piped());
    let mut share = Ended(host.spawn_command_sync(share).context("the host")?);
    let typing = share.0.stdin.take().context("the host's input")?;
    let shared: serde_json::Value = soon("the ticket", || {
        serde_json::from_str(&std::fs::read_to_string(&file).ok()?).ok()
    })
    .await?;
    let text = |name: &str| {
        shared[name]
            .as_str()
            .context("no such way in")
            .map(str::to_owned)
    };
    let (ticket, link) = (text("ticket")?, text("link")?);
    let code = soon("a code", || {
        let code = said(hosting(&["code"]).ok()?)?;
        Some(code.trim().to_owned())
    })
    .await?;

    // Symmetric routers let nobody through but by the relay, which wants the token.
    let bare = {
        let mut ticket: Ticket = ticket.parse()?;
        ensure!(ticket.relay.take().is_some(), "a ticket without the token");
        ticket.to_string()
    };
    let join = |who: &str, what: &str, how: &str| -> Result<Ended> {
        let mut command = pillion(who)?;
        command
            .args(["join", how, "--name", who])
            .env("PILLION_TICKET", what)
            .stdout(std::fs::File::create(home.path().join(who).join("out"))?);
        Ok(Ended(
            viewer.spawn_command_sync(command).context("a viewer")?,
        ))
    };
    let mut kept_out = match path {
        "relayed" => Some(join("without", &bare, "--text")?),
        _ => None,
    };
    let ways = [
        ("by-link", &link),
        ("by-ticket", &ticket),
        ("by-code", &code),
    ];
    let mut viewers = Vec::new();
    for (who, what) in ways {
        viewers.push((who, join(who, what, "--follow")?));
    }
    soon("three viewers on such a path", || {
        let who = said(hosting(&["who", "--json"]).ok()?)?;
        let who: serde_json::Value = serde_json::from_str(&who).ok()?;
        let here = who.as_array()?.iter();
        let on_it = here.filter(|one| one["path"].as_str() == Some(path));
        (on_it.count() == ways.len()).then_some(())
    })
    .await?;
    if let Some(kept_out) = &mut kept_out {
        let status = soon("who has no token to give up", || {
            kept_out.0.try_wait().ok().flatten()
        })
        .await?;
        ensure!(!status.success(), "let through without the relay's token");
    }

    // The session's end reaches them all, and with it the link ends.
    drop(typing);
    soon("the host's end", || share.0.try_wait().ok().flatten()).await?;
    for (who, viewer) in &mut viewers {
        let status = soon("a viewer's end", || viewer.0.try_wait().ok().flatten()).await?;
        ensure!(status.success(), "{who}: {status}");
    }
    let mut late = join("late", &link, "--text")?;
    let status = soon("the late one's end", || late.0.try_wait().ok().flatten()).await?;
    ensure!(
        status.code() == Some(4),
        "a dead link was followed: {status}"
    );
    Ok(format!("link, ticket and code: {path}"))
}

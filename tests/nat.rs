//! A host and a viewer behind simulated routers, with a relay of our own on the open network.
//!
//! Every machine is a network namespace inside a user namespace of this process (`patchbay`), so the
//! kernel's own address translation is what stands in the way. Needs `nft` and `tc`; where user
//! namespaces can't be had, says so and passes. Not under the usual test harness: the namespace must
//! be entered before there is a second thread.

#![allow(clippy::disallowed_macros)] // What it prints is for who runs it.

#[path = "nat/links.rs"]
mod links;
#[path = "../crates/net/tests/common/relay.rs"]
mod relay;
#[path = "common/skip.rs"]
mod skip;

use std::{
    io::Write,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use iroh::EndpointAddr;
use patchbay::{Device, IpSupport, Lab, Nat, Router};
use pillion_caps::SecretKey;
use pillion_net::{HostNet, NetOptions, RelayCa, RelayChoice, ViewerNet, random_bytes};
use pillion_proto::PathKind;
use pillion_session::{HostInput, HostOutput, Stream, ViewerInput, ViewerOutput};
use relay::Relay;
use tokio::sync::oneshot;

/// How long a direct path may take to be found; it takes a fraction of a second.
const PUNCHED: Duration = Duration::from_secs(20);
/// How long anything else may take: far beyond what it takes on a loaded machine.
const SOON: Duration = Duration::from_secs(60);
/// How long two ends are watched that must not find one: past the transport's second attempt (5 s).
const WATCHED: Duration = Duration::from_secs(6);

fn main() -> ExitCode {
    // As `cargo test` and its relatives ask.
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    if let Err(why) = patchbay::init_userns() {
        skip::skip(&format!("user namespaces can't be had here ({why:#})"));
        return ExitCode::SUCCESS;
    }
    let wanted = |name: &str| {
        let mut filters = args.iter().filter(|arg| !arg.starts_with('-')).peekable();
        filters.peek().is_none() || filters.any(|filter| name.contains(filter.as_str()))
    };
    let cases: [(&str, Nat, End, Who); 9] = [
        (
            "two_behind_home_routers_become_direct",
            Nat::Moderate,
            End::Direct,
            Who::Drivers,
        ),
        (
            "two_behind_symmetric_routers_stay_relayed",
            Nat::Strict,
            End::Relayed,
            Who::Drivers,
        ),
        (
            "a_direct_path_that_dies_gives_way_to_the_relay",
            Nat::Moderate,
            End::DirectThenCut,
            Who::Drivers,
        ),
        (
            "the_command_behind_home_routers_becomes_direct",
            Nat::Moderate,
            End::Direct,
            Who::Command,
        ),
        (
            "the_command_behind_symmetric_routers_stays_relayed",
            Nat::Strict,
            End::Relayed,
            Who::Command,
        ),
        (
            "the_command_goes_on_when_its_path_is_cut",
            Nat::Moderate,
            End::DirectThenCut,
            Who::Command,
        ),
        (
            "a_host_on_the_same_network_is_found_by_its_key_alone",
            Nat::Moderate,
            End::Direct,
            Who::Neighbours,
        ),
        (
            "links_tickets_and_codes_lead_through_home_routers",
            Nat::Moderate,
            End::Direct,
            Who::Links,
        ),
        (
            "links_tickets_and_codes_carry_the_relays_token",
            Nat::Strict,
            End::Relayed,
            Who::Links,
        ),
    ];
    let mut failed = false;
    for (name, nat, end, who) in cases.into_iter().filter(|(name, ..)| wanted(name)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let result = runtime.map_err(Into::into).and_then(|runtime| match who {
            Who::Drivers => runtime.block_on(story(nat, end)),
            Who::Command => runtime.block_on(commands(nat, end)),
            Who::Neighbours => runtime.block_on(neighbours(nat)),
            Who::Links if end == End::Direct => runtime.block_on(links::story(nat, "direct")),
            Who::Links => runtime.block_on(links::story(nat, "relayed")),
        });
        match result {
            Ok(told) => println!("test {name} ... ok ({told})"),
            Err(error) => {
                println!("test {name} ... FAILED\n{error:#}");
                failed = true;
            }
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// How a story is to end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Direct,
    Relayed,
    /// Direct; then the two routers no longer let each other's packets through, and it goes on through
    /// the relay.
    DirectThenCut,
}

/// What shares and joins.
#[derive(Clone, Copy)]
enum Who {
    /// The network's two ends by themselves.
    Drivers,
    /// `pillion`, twice.
    Command,
    /// The network's two ends behind one router, with a ticket that says no address.
    Neighbours,
    /// `pillion` with a link service and its relay.
    Links,
}

/// Shares behind one router and joins behind another, with the ticket as it is at the start.
async fn story(nat: Nat, end: End) -> Result<String> {
    let lab = Lab::new()
        .await
        .context("the simulated network (are nft and tc installed?)")?;
    let Open { relay, ca, .. } = relay_on_the_open_network(&lab).await?;
    let (host, host_router) = behind(&lab, "host", nat).await?;
    let (viewer, viewer_router) = behind(&lab, "viewer", nat).await?;

    let (tell, ticket) = oneshot::channel();
    let options = NetOptions {
        relay_ca: Some(ca),
        ..NetOptions::default()
    };
    let sharing = {
        let (relay, options) = (relay.clone(), options.clone());
        host.spawn(move |_| share(relay, options, tell))?
    };
    let ticket = tokio::select! {
        ticket = ticket => ticket.context("the host ended")?,
        () = tokio::time::sleep(PUNCHED) => bail!("no ticket"),
    };
    let cut = move || cut(&host_router, &viewer_router);
    let joining = viewer.spawn(move |_| join(relay, options, ticket, end, cut))?;
    let told = joining.await.context("the viewer ended")?;
    sharing.abort();
    told
}

/// Two machines in one home, without a relay: multicast DNS is all there is to find each other by.
async fn neighbours(nat: Nat) -> Result<String> {
    let lab = Lab::new()
        .await
        .context("the simulated network (are nft and tc installed?)")?;
    let router = lab
        .add_router("home")
        .nat(nat)
        .ip_support(IpSupport::V4Only)
        .build()
        .await?;
    let host = lab.add_device("host").uplink(router.id()).build().await?;
    let viewer = lab.add_device("viewer").uplink(router.id()).build().await?;
    let options = NetOptions {
        resolve: "lan".parse()?,
        ..NetOptions::default()
    };
    let (tell, ticket) = oneshot::channel();
    let sharing = {
        let options = options.clone();
        host.spawn(move |_| share(RelayChoice::None, options, tell))?
    };
    let ticket = ticket.await.context("the host ended")?;
    let bare = EndpointAddr::new(ticket.id);
    let joining = viewer.spawn(move |_| async move {
        let begun = Instant::now();
        let mut viewer = Typist::new(ViewerNet::new(RelayChoice::None, options), bare);
        tokio::time::timeout(SOON, viewer.echo_on(PathKind::Direct))
            .await
            .with_context(|| format!("no key came back: {}", viewer.failed))?;
        Ok(format!("found after {:.1?}", begun.elapsed()))
    })?;
    let told = joining.await.context("the viewer ended")?;
    sharing.abort();
    told
}

/// A relay that everybody reaches.
struct Open {
    relay: RelayChoice,
    ca: RelayCa,
    url: String,
    ca_pem: String,
}

async fn relay_on_the_open_network(lab: &Lab) -> Result<Open> {
    let machine = on_the_open_network(lab, "relay").await?;
    let ip = machine.ip().context("the relay's address")?;
    let (tell, told) = oneshot::channel();
    machine.spawn(move |_| async move {
        let relay = Relay::on(ip.into()).await;
        let _ = tell.send(Open {
            relay: relay.choice.clone(),
            ca: relay.ca.clone(),
            url: relay.url.clone(),
            ca_pem: relay.ca_pem.clone(),
        });
        std::future::pending::<()>().await;
    })?;
    told.await.context("the relay did not start")
}

/// A machine that everybody reaches.
async fn on_the_open_network(lab: &Lab, name: &str) -> Result<Device> {
    let datacenter = lab
        .add_router("datacenter")
        .ip_support(IpSupport::V4Only)
        .build()
        .await?;
    lab.add_device(name).uplink(datacenter.id()).build().await
}

/// The command, in a home of its own under `home`.
fn pillion(home: &Path, who: &str) -> Result<Command> {
    let at = home.join(who);
    std::fs::create_dir_all(at.join("run"))?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_pillion"));
    command
        .env("HOME", &at)
        .env("XDG_CONFIG_HOME", at.join("config"))
        .env("XDG_STATE_HOME", at.join("state"))
        .env("XDG_RUNTIME_DIR", at.join("run"))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    Ok(command)
}

/// The same with the command itself: a program is shared behind one router and followed behind another.
async fn commands(nat: Nat, end: End) -> Result<String> {
    let lab = Lab::new()
        .await
        .context("the simulated network (are nft and tc installed?)")?;
    let open = relay_on_the_open_network(&lab).await?;
    let (host, host_router) = behind(&lab, "host", nat).await?;
    let (viewer, viewer_router) = behind(&lab, "viewer", nat).await?;
    let home = tempfile::tempdir()?;
    std::fs::write(home.path().join("ca.pem"), &open.ca_pem)?;
    let pillion = |who: &str| -> Result<Command> {
        let mut command = self::pillion(home.path(), who)?;
        command
            .env("PILLION_RELAY", &open.url)
            .env("PILLION_RELAY_CA", home.path().join("ca.pem"));
        Ok(command)
    };

    let file = home.path().join("ticket");
    let mut share = pillion("host")?;
    share
        .args(["--share", "-q", "--ticket-file"])
        .arg(&file)
        .args(["--", "cat"])
        .stdin(Stdio::piped());
    let mut share = Ended(host.spawn_command_sync(share).context("the host")?);
    let mut typing = share.0.stdin.take().context("the host's input")?;
    let ticket = soon("a ticket", || std::fs::read_to_string(&file).ok()).await?;

    let printed = home.path().join("printed");
    let mut follow = pillion("viewer")?;
    follow
        .args(["join", "--follow", "--name", "viewer"])
        .env("PILLION_TICKET", ticket.trim())
        .stdout(std::fs::File::create(&printed)?);
    let mut follow = Ended(viewer.spawn_command_sync(follow).context("the viewer")?);
    let path = || -> Option<String> {
        let who = pillion("host")
            .ok()?
            .args(["who", "--json"])
            .stdout(Stdio::piped())
            .output()
            .ok()?;
        let who: serde_json::Value = serde_json::from_slice(&who.stdout).ok()?;
        Some(who.get(0)?.get("path")?.as_str()?.to_owned())
    };
    let is = |wanted: &'static str| move || path().filter(|path| path == wanted);

    let begun = Instant::now();
    let told = match end {
        End::Relayed => {
            soon("a relayed viewer", is("relayed")).await?;
            while begun.elapsed() < WATCHED {
                let now = path();
                ensure!(
                    now.as_deref() != Some("direct"),
                    "direct through two symmetric routers"
                );
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            format!("relayed for {WATCHED:?}")
        }
        End::Direct | End::DirectThenCut => {
            soon("a direct path", is("direct")).await?;
            let direct = begun.elapsed();
            if end == End::DirectThenCut {
                cut(&host_router, &viewer_router)?;
                let cut_at = Instant::now();
                typing.write_all(b"under way\n")?;
                soon("the relay instead of the dead path", is("relayed")).await?;
                format!("relayed {:.1?} after the cut", cut_at.elapsed())
            } else {
                format!("direct after {direct:.1?}")
            }
        }
    };
    // What is printed now arrives, and the end with it.
    typing.write_all(b"last words\n\x04")?;
    drop(typing);
    soon("the host's end", || share.0.try_wait().ok().flatten()).await?;
    let status = soon("the viewer's end", || follow.0.try_wait().ok().flatten()).await?;
    let printed = std::fs::read_to_string(&printed)?;
    ensure!(
        status.success(),
        "the viewer: {status}; it printed {printed}"
    );
    ensure!(printed.contains("last words"), "it printed {printed:?}");
    ensure!(
        end != End::DirectThenCut || printed.contains("under way"),
        "it printed {printed:?}"
    );
    Ok(told)
}

/// A process that does not outlive its story.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Looks until there is something.
async fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let end = Instant::now() + SOON;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        ensure!(Instant::now() < end, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A machine behind a router of its own.
async fn behind(lab: &Lab, name: &str, nat: Nat) -> Result<(Device, Router)> {
    let router = lab
        .add_router(&format!("{name}-router"))
        .nat(nat)
        .ip_support(IpSupport::V4Only)
        .build()
        .await?;
    drop_unsolicited(&router)?;
    let machine = lab.add_device(name).uplink(router.id()).build().await?;
    Ok((machine, router))
}

/// Real routers ignore packets to themselves that nobody asked for. Linux would remember each as a
/// flow of its own and then give the port away under the machine that is about to use it, so that no
/// hole could be punched whenever the other side was first.
fn drop_unsolicited(router: &Router) -> Result<()> {
    let rules = "add table inet lab; \
                 add chain inet lab input { type filter hook input priority 0; }; \
                 add rule inet lab input udp dport >= 1024 drop";
    nft(router, rules)
}

/// From now on the two routers lose what they send each other.
fn cut(one: &Router, other: &Router) -> Result<()> {
    let ip = other.uplink_ip().context("the router's address")?;
    let rules = format!(
        "add table inet cut; \
         add chain inet cut forward {{ type filter hook forward priority -10; }}; \
         add rule inet cut forward ip saddr {ip} drop; add rule inet cut forward ip daddr {ip} drop"
    );
    nft(one, &rules)
}

fn nft(router: &Router, rules: &str) -> Result<()> {
    let mut nft = Command::new("nft");
    nft.arg(rules).stdin(Stdio::null());
    let done = router.spawn_command_sync(nft).context("nft")?.wait()?;
    ensure!(done.success(), "nft does not take the router's rules");
    Ok(())
}

/// A host that answers every key with itself.
async fn share(
    relay: RelayChoice,
    options: NetOptions,
    ticket: oneshot::Sender<EndpointAddr>,
) -> Result<()> {
    let key = SecretKey::from_bytes(&random_bytes()?);
    let mut net = HostNet::bind(&key, relay, options).await?;
    let _ = ticket.send(net.addr());
    loop {
        if let HostInput::Received {
            conn,
            stream: Stream::Input { epoch },
            bytes,
        } = net.next_input().await
        {
            let stream = Stream::Track { id: epoch };
            net.apply(HostOutput::Send {
                to: (conn, stream).into(),
                bytes,
            });
        }
    }
}

/// A viewer that types until its story ends, and says how it went.
async fn join(
    relay: RelayChoice,
    options: NetOptions,
    ticket: EndpointAddr,
    end: End,
    cut: impl Fn() -> Result<()>,
) -> Result<String> {
    let mut viewer = Typist::new(ViewerNet::new(relay, options), ticket);
    let begun = Instant::now();
    let limit = if end == End::Relayed {
        WATCHED
    } else {
        PUNCHED
    };
    let direct = tokio::time::timeout(limit, viewer.echo_on(PathKind::Direct))
        .await
        .is_ok();
    ensure!(viewer.echoes > 0, "no key came back: {}", viewer.failed);
    ensure!(
        viewer.begins == Some(PathKind::Relayed),
        "it begins through the relay, not {:?}",
        viewer.begins
    );
    let keys = viewer.echoes;
    match (end, direct) {
        (End::Relayed, true) => bail!(
            "direct after {:?}, through two symmetric routers",
            begun.elapsed()
        ),
        (End::Relayed, false) => Ok(format!("{keys} keys through the relay in {limit:?}")),
        (_, false) => bail!("no direct path in {limit:?}; {keys} keys"),
        (End::Direct, true) => Ok(format!("direct after {:.1?}", begun.elapsed())),
        (End::DirectThenCut, true) => {
            cut()?;
            let cut_at = Instant::now();
            viewer.press();
            let relayed = tokio::time::timeout(PUNCHED, viewer.path_becomes(PathKind::Relayed));
            relayed.await.context("the dead path is still used")?;
            let noticed = cut_at.elapsed();
            // What was under way on the dead path may take long; what is opened now does not.
            viewer.input += 1;
            viewer.press();
            let echo = tokio::time::timeout(PUNCHED, viewer.echo_on(PathKind::Relayed));
            echo.await.context("no key comes back through the relay")?;
            Ok(format!(
                "through the relay {noticed:.1?} after the cut, a key {:.1?} after",
                cut_at.elapsed()
            ))
        }
    }
}

/// A viewer that types one key after the other.
struct Typist {
    net: ViewerNet,
    /// The input stream typed on.
    input: u32,
    path: PathKind,
    begins: Option<PathKind>,
    echoes: usize,
    failed: String,
}

impl Typist {
    fn new(mut net: ViewerNet, ticket: EndpointAddr) -> Typist {
        net.set_host(ticket);
        net.apply(ViewerOutput::Connect);
        let (path, begins) = (PathKind::Unknown, None);
        Typist {
            net,
            input: 0,
            path,
            begins,
            echoes: 0,
            failed: String::new(),
        }
    }

    fn press(&mut self) {
        let stream = Stream::Input { epoch: self.input };
        self.net.apply(ViewerOutput::Send {
            stream,
            bytes: Bytes::from_static(b"k"),
        });
    }

    /// Until a key comes back on a path of this kind, on the newest stream.
    async fn echo_on(&mut self, path: PathKind) {
        while self.next().await != Some(self.input) || self.path != path {}
    }

    async fn path_becomes(&mut self, path: PathKind) {
        while self.path != path {
            self.next().await;
        }
    }

    /// Takes one input; the number of the stream a key came back on. The next key is pressed then.
    async fn next(&mut self) -> Option<u32> {
        match self.net.next_input().await {
            ViewerInput::Connected(_) => self.press(),
            ViewerInput::Disconnected { why } => {
                self.failed = why;
                self.net.apply(ViewerOutput::Connect);
            }
            ViewerInput::Path { kind, .. } => {
                self.path = kind;
                self.begins.get_or_insert(kind);
            }
            ViewerInput::Received {
                stream: Stream::Track { id: epoch },
                ..
            } => {
                self.echoes += 1;
                self.press();
                return Some(epoch);
            }
            _ => {}
        }
        None
    }
}

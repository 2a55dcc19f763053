//! Pillion: the host runs `pillion --share` in its terminal, viewers run `pillion join`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Child,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{PATIENCE, Right, Running, SIZE, host_terminal};
use crate::{
    net::{HOST, Side, World},
    terminal::{Call, Look, Terminal},
};

/// A row more than is shared, for the status line.
const VIEWER_SIZE: (u16, u16) = (SIZE.0, SIZE.1 + 1);

/// A shared session.
pub struct Pillion {
    binary: PathBuf,
    dir: PathBuf,
    host: Terminal,
    /// The process that holds the session.
    pid: u32,
    session: String,
    /// What one joins with: the ticket, or a link.
    way: String,
    _service: Option<Service>,
}

/// The link service, on the host's side. Killed when dropped.
pub struct Service {
    child: Child,
    url: String,
}

impl Service {
    /// Starts the one beside `binary`.
    pub fn start(binary: &Path, world: &World, dir: &Path) -> Result<Service> {
        let service = binary.with_file_name("pillion-signal");
        if !service.is_file() {
            bail!(
                "there is no {}: `cargo build --release --workspace` makes it",
                service.display()
            );
        }
        let at = format!("{HOST}:8080");
        let log = dir.join("service");
        let call = Call::new(service, dir)
            .args(["--listen", &at, "--data"])
            .arg(dir.join("records"));
        let child = call.start(world, Side::Host, &log)?;
        let service = Service {
            child,
            url: format!("http://{at}"),
        };
        let end = Instant::now() + PATIENCE;
        while !fs::read_to_string(&log).is_ok_and(|said| said.contains("listening on")) {
            if Instant::now() > end {
                bail!("pillion-signal does not listen");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(service)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Pillion {
    /// Shares `program`; with a service, viewers join by its link.
    pub fn share(
        binary: &Path,
        world: &World,
        dir: &Path,
        program: &Call,
        service: Option<Service>,
    ) -> Result<Pillion> {
        let file = dir.join("ticket");
        let mut call = call(binary, dir, "host")?
            .args([
                "--share",
                "--quiet",
                "--json",
                "--name",
                "bench",
                "--ticket-file",
            ])
            .arg(&file);
        if let Some(service) = &service {
            call = call.args(["--link", "--signal", &service.url]);
        }
        call = call.arg("--");
        call = call.args(super::ssh_tmux::as_words(program));
        let host = host_terminal(world, &call)?;
        let end = Instant::now() + PATIENCE;
        let object = loop {
            if let Ok(text) = fs::read_to_string(&file) {
                break text;
            }
            if Instant::now() > end {
                let what =
                    host.wait_for(crate::terminal::What::Bytes(b"\0".to_vec()), Duration::ZERO);
                bail!(
                    "pillion wrote no ticket: {}",
                    what.err().map_or_else(String::new, |e| e.to_string())
                );
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let object: serde_json::Value =
            serde_json::from_str(&object).context("the ticket file holds no JSON")?;
        let field = |name: &str| {
            let value = object.get(name).and_then(serde_json::Value::as_str);
            value
                .map(str::to_owned)
                .with_context(|| format!("the ticket file holds no {name}"))
        };
        Ok(Pillion {
            binary: binary.to_owned(),
            dir: dir.to_owned(),
            host,
            pid: object
                .get("pid")
                .and_then(serde_json::Value::as_u64)
                .and_then(|pid| u32::try_from(pid).ok())
                .context("the ticket file holds no pid")?,
            session: field("session")?,
            way: field(if service.is_some() { "link" } else { "ticket" })?,
            _service: service,
        })
    }

    /// A command about the session, on the host's side.
    fn about(&self, verb: &[&str]) -> Result<Call> {
        Ok(call(&self.binary, &self.dir, "host")?
            .args(verb.iter().copied())
            .arg("--session")
            .arg(&self.session))
    }
}

/// `pillion`, with a home of its own for each of those who use it.
fn call(binary: &Path, dir: &Path, who: &str) -> Result<Call> {
    let home = dir.join(who);
    let runtime = home.join("run");
    fs::create_dir_all(&runtime)?;
    Ok(Call::new(binary, &home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_RUNTIME_DIR", runtime)
        .env("PILLION_RELAY", "none"))
}

impl Running for Pillion {
    fn join(&mut self, world: &World, seat: usize, right: Right, look: Look) -> Result<Terminal> {
        let mut call = call(&self.binary, &self.dir, &format!("viewer{seat}"))?
            .args(["join", "--name", &format!("viewer{seat}")])
            .env("PILLION_TICKET", &self.way);
        if right == Right::Edit {
            let output = self
                .about(&["grant", "--link", "--edit"])?
                .run(world, Side::Host)?;
            call = call.env("PILLION_GRANT", String::from_utf8(output.stdout)?.trim());
        }
        Terminal::start(world, Side::Viewer, &call, VIEWER_SIZE, look)
    }

    fn main_process(&self, _world: &World) -> Option<u32> {
        Some(self.pid)
    }

    fn kept(&self) -> Option<Call> {
        let call = call(&self.binary, &self.dir, "host").ok()?;
        Some(call.args(["export", "--format", "txt"]).arg(&self.session))
    }

    fn who(&self) -> Option<Call> {
        self.about(&["who", "--json"]).ok()
    }

    fn ticket(&self) -> Option<String> {
        Some(self.way.clone())
    }

    fn host(&self) -> Option<&Terminal> {
        Some(&self.host)
    }
}

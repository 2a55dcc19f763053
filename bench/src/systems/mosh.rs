//! mosh, unpredicted: alone for one viewer, or attaching to tmux where a session is shared.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{
    Right, Running, SIZE,
    ssh_tmux::{Tmux, as_words},
    sshd::Sshd,
};
use crate::{
    net::{Side, World},
    processes,
    terminal::{Call, Look, Terminal},
};

/// mosh, with the sshd it starts by.
pub struct Mosh {
    tmux: Option<Tmux>,
    command: Vec<std::ffi::OsString>,
    sshd: Sshd,
    dir: PathBuf,
}

impl Mosh {
    /// `program` will run under the first viewer's mosh-server.
    pub fn alone(world: &World, dir: &Path, program: &Call) -> Result<Mosh> {
        Ok(Mosh {
            tmux: None,
            command: as_words(program),
            sshd: Sshd::start(world, dir)?,
            dir: dir.to_owned(),
        })
    }

    /// `program` runs under tmux.
    pub fn with_tmux(world: &World, dir: &Path, program: &Call) -> Result<Mosh> {
        let sshd = Sshd::start(world, dir)?;
        let tmux = Tmux::start(world, dir, program)?;
        Ok(Mosh {
            command: tmux.attach().into_iter().map(Into::into).collect(),
            tmux: Some(tmux),
            sshd,
            dir: dir.to_owned(),
        })
    }
}

impl Running for Mosh {
    fn join(&mut self, world: &World, _seat: usize, _right: Right, look: Look) -> Result<Terminal> {
        let ssh = format!("ssh -F {}", self.sshd.client_config().display());
        let call = Call::new("mosh", &self.dir)
            .args(["--predict=never", "--ssh", &ssh, "host", "--"])
            .args(self.command.iter().cloned());
        Terminal::start(world, Side::Viewer, &call, SIZE, look)
    }

    fn main_process(&self, world: &World) -> Option<u32> {
        if self.tmux.is_some() {
            return Tmux::server(world);
        }
        let is_server = |pid: &u32| processes::name(*pid).as_deref() == Some("mosh-server");
        // It forks: the one that took the most time is the one that serves.
        let servers = world.host_processes().into_iter().filter(is_server);
        servers.max_by_key(|pid| processes::cpu(*pid))
    }
}

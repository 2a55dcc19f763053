//! A tmux session in the host's own terminal; viewers run `ssh -tt host tmux attach`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

use super::{Right, Running, SIZE, host_terminal, sshd::Sshd};
use crate::{
    net::{Side, World},
    processes,
    terminal::{Call, Look, Terminal},
};

/// tmux in the host's terminal.
pub struct Tmux {
    _terminal: Terminal,
    socket: PathBuf,
}

impl Tmux {
    /// Runs `program` in a new session.
    pub fn start(world: &World, dir: &Path, program: &Call) -> Result<Tmux> {
        // Without the status line it sends less, and the whole screen is the program's.
        let config = dir.join("tmux.conf");
        fs::write(
            &config,
            "set -g status off\nset -g default-terminal screen-256color\n",
        )?;
        let socket = dir.join("tmux");
        let call = Call::new("tmux", dir)
            .arg("-S")
            .arg(&socket)
            .arg("-f")
            .arg(&config)
            .args(["new-session", "-s", "bench"])
            .args(as_words(program));
        Ok(Tmux {
            _terminal: host_terminal(world, &call)?,
            socket,
        })
    }

    /// What attaches to it, as words of a command line.
    pub fn attach(&self) -> Vec<String> {
        ["tmux", "-S", &self.socket.to_string_lossy(), "attach"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Its server.
    pub fn server(world: &World) -> Option<u32> {
        let is_server =
            |pid: &u32| processes::name(*pid).is_some_and(|name| name.starts_with("tmux: server"));
        world.host_processes().into_iter().find(is_server)
    }
}

/// `env NAME=VALUE… PROGRAM ARG…`: the variables of a call as part of its command.
pub fn as_words(call: &Call) -> Vec<std::ffi::OsString> {
    let mut words = vec!["env".into()];
    let command = call.command();
    for (name, value) in command.get_envs() {
        // What is of the terminal is for the one in between to say.
        if let Some(value) = value.filter(|_| name != "TERM") {
            let mut word = name.to_owned();
            word.push("=");
            word.push(value);
            words.push(word);
        }
    }
    words.extend(call.argv().iter().cloned());
    words
}

/// tmux, with an sshd beside it.
pub struct SshTmux {
    tmux: Tmux,
    sshd: Sshd,
    dir: PathBuf,
}

impl SshTmux {
    /// Runs `program` under tmux.
    pub fn share(world: &World, dir: &Path, program: &Call) -> Result<SshTmux> {
        let sshd = Sshd::start(world, dir)?;
        Ok(SshTmux {
            tmux: Tmux::start(world, dir, program)?,
            sshd,
            dir: dir.to_owned(),
        })
    }
}

impl Running for SshTmux {
    fn join(&mut self, world: &World, _seat: usize, _right: Right, look: Look) -> Result<Terminal> {
        let call = Call::new("ssh", &self.dir)
            .arg("-F")
            .arg(self.sshd.client_config())
            .args(["-tt", "host"])
            .args(self.tmux.attach());
        Terminal::start(world, Side::Viewer, &call, SIZE, look)
    }

    fn main_process(&self, world: &World) -> Option<u32> {
        Tmux::server(world)
    }
}

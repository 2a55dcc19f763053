//! What is measured: each system shares a program on the host's side and lets viewers join it.

mod mosh;
mod pillion;
mod ssh_tmux;
mod sshd;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    net::{Side, Wire, World},
    processes,
    programs::{Actor, Program, Stage},
    terminal::{Call, Look, Terminal},
};

/// The size of the shared terminal.
pub const SIZE: (u16, u16) = (80, 24);

/// How long anything but a measured program may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum System {
    /// This repository's, and where its binary is.
    Pillion(PathBuf),
    /// The same, joined by a link that a `pillion-signal` beside it on the host's side resolves.
    PillionByLink(PathBuf),
    /// A tmux session in the host's terminal; viewers attach to it by ssh.
    SshTmux,
    /// mosh, which shares nothing by itself: the program runs under mosh-server, for one viewer.
    Mosh,
    /// A tmux session in the host's terminal; viewers attach to it by mosh.
    MoshTmux,
}

impl System {
    /// Its name in reports. Both ways to use mosh are one column.
    pub fn name(&self) -> &'static str {
        match self {
            System::Pillion(_) | System::PillionByLink(_) => "pillion",
            System::SshTmux => "ssh+tmux",
            System::Mosh | System::MoshTmux => "mosh",
        }
    }

    /// Whether the others are measured against it.
    pub fn is_ours(&self) -> bool {
        matches!(self, System::Pillion(_) | System::PillionByLink(_))
    }

    /// What it needs that is not here, as Debian packages.
    pub fn missing(&self) -> Vec<&'static str> {
        let needs: &[(&str, &str)] = match self {
            System::Pillion(_) | System::PillionByLink(_) => &[],
            System::SshTmux => &[
                ("ssh", "openssh-client"),
                ("sshd", "openssh-server"),
                ("tmux", "tmux"),
            ],
            System::Mosh | System::MoshTmux => &[
                ("ssh", "openssh-client"),
                ("sshd", "openssh-server"),
                ("tmux", "tmux"),
                ("mosh", "mosh"),
                ("mosh-server", "mosh"),
            ],
        };
        let absent = needs.iter().filter(|(program, _)| which(program).is_none());
        absent.map(|(_, package)| *package).collect()
    }

    /// The way to use it where more than one person sees the same.
    pub fn shared(&self) -> System {
        match self {
            System::Mosh => System::MoshTmux,
            other => other.clone(),
        }
    }

    /// Shares what `shared` says. `dir` is for its files.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn share(&self, wire: Wire, seed: u64, dir: &Path, shared: Shared) -> Result<Session> {
        let dir = tempfile::Builder::new().prefix("s").tempdir_in(dir)?;
        let stage = Stage::new(dir.path())?;
        let program = match shared {
            Shared::Shell => shell(dir.path()),
            Shared::Echo => Program::Echo {
                stage: stage.path(),
                history: 0,
            }
            .call(dir.path())?,
            Shared::EchoBelow { history } => Program::Echo {
                stage: stage.path(),
                history,
            }
            .call(dir.path())?,
            Shared::Flood { bytes } => Program::Flood {
                stage: stage.path(),
                bytes,
            }
            .call(dir.path())?,
            Shared::Tick { hertz, seconds } => Program::Tick {
                stage: stage.path(),
                hertz,
                seconds,
            }
            .call(dir.path())?,
        };
        let world = World::new(wire, seed)?;
        let running: Box<dyn Running> = match self {
            System::Pillion(binary) => Box::new(pillion::Pillion::share(
                binary,
                &world,
                dir.path(),
                &program,
                None,
            )?),
            System::PillionByLink(binary) => {
                let service = pillion::Service::start(binary, &world, dir.path())?;
                Box::new(pillion::Pillion::share(
                    binary,
                    &world,
                    dir.path(),
                    &program,
                    Some(service),
                )?)
            }
            System::SshTmux => Box::new(ssh_tmux::SshTmux::share(&world, dir.path(), &program)?),
            System::Mosh => Box::new(mosh::Mosh::alone(&world, dir.path(), &program)?),
            System::MoshTmux => Box::new(mosh::Mosh::with_tmux(&world, dir.path(), &program)?),
        };
        Ok(Session {
            running,
            world,
            stage,
            dir,
        })
    }
}

/// What is shared.
#[derive(Debug, Clone, Copy)]
pub enum Shared {
    /// bash, with [`PROMPT`].
    Shell,
    /// Repeats keys.
    Echo,
    /// Prints so many bytes, then repeats keys.
    EchoBelow {
        /// How many.
        history: usize,
    },
    /// Prints so many bytes when told to.
    Flood {
        /// How many.
        bytes: usize,
    },
    /// Changes the screen at a pace when told to.
    Tick {
        /// Changes a second.
        hertz: u32,
        /// For so long.
        seconds: u32,
    },
}

/// The shell's prompt: characters nothing else shows.
pub const PROMPT: &str = "@%#>";

/// What a viewer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Look.
    View,
    /// Type.
    Edit,
}

/// A system that shares a program.
trait Running: Send + Sync {
    /// One more viewer; `seat` tells them apart, each has a home of its own.
    fn join(&mut self, world: &World, seat: usize, right: Right, look: Look) -> Result<Terminal>;

    /// The process on the host's side that holds the session.
    fn main_process(&self, world: &World) -> Option<u32>;

    /// The session, if it keeps what it showed.
    fn kept(&self) -> Option<Call> {
        None
    }

    /// Who is here, as JSON, if the system can tell.
    fn who(&self) -> Option<Call> {
        None
    }

    /// What viewers of the bench's own join with.
    fn ticket(&self) -> Option<String> {
        None
    }

    /// The host's own terminal, if the session is in one.
    fn host(&self) -> Option<&Terminal> {
        None
    }
}

/// A shared program in a world of its own. Dropping it ends all of it.
pub struct Session {
    // In this order: viewers' and host's programs, then all that is left on the machines, then files.
    running: Box<dyn Running>,
    world: World,
    stage: Stage,
    dir: tempfile::TempDir,
}

impl Session {
    /// One more viewer.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn join(&mut self, seat: usize, right: Right, look: Look) -> Result<Terminal> {
        self.running.join(&self.world, seat, right, look)
    }

    /// Waits for the shared program to say that it is there.
    ///
    /// # Errors
    /// It does not come.
    pub fn actor(&self) -> Result<Actor> {
        self.stage.enter(PATIENCE)
    }

    /// The machines.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Processor time of everything on the host's side but `program`, by process.
    pub fn host_cpu(&self, program: u32) -> Cpu {
        let mut all = self.world.host_processes();
        all.retain(|pid| *pid != program);
        Cpu(all
            .into_iter()
            .filter_map(|pid| Some((pid, processes::cpu(pid)?)))
            .collect())
    }

    /// The process that holds the session.
    ///
    /// # Errors
    /// It is not there.
    pub fn main_process(&self) -> Result<u32> {
        self.running
            .main_process(&self.world)
            .context("the host's process is not there")
    }

    /// Where everybody's files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Memory of the process that holds the session.
    ///
    /// # Errors
    /// It is not there.
    pub fn host_memory(&self) -> Result<processes::Memory> {
        let pid = self.main_process()?;
        processes::memory(pid).context("the host's process ended")
    }

    /// Memory of everything on the host's side but `program`, in bytes, shared pages shared out.
    pub fn host_memory_share(&self, program: u32) -> u64 {
        let mut all = self.world.host_processes();
        all.retain(|pid| *pid != program);
        all.into_iter().filter_map(processes::memory_share).sum()
    }

    /// What prints all that was kept of the output, if anything is.
    pub fn kept(&self) -> Option<Call> {
        self.running.kept()
    }

    /// What prints who is here.
    pub fn who(&self) -> Option<Call> {
        self.running.who()
    }

    /// What viewers of the bench's own join with.
    pub fn ticket(&self) -> Option<String> {
        self.running.ticket()
    }

    /// The host's own terminal.
    pub fn host(&self) -> Option<&Terminal> {
        self.running.host()
    }
}

/// Processor time by process.
#[derive(Debug, Default)]
pub struct Cpu(HashMap<u32, Duration>);

impl Cpu {
    /// What was taken since `before`, in seconds.
    pub fn since(&self, before: &Cpu) -> f64 {
        let one = |(pid, now): (&u32, &Duration)| {
            now.saturating_sub(before.0.get(pid).copied().unwrap_or_default())
        };
        self.0.iter().map(one).sum::<Duration>().as_secs_f64()
    }
}

fn shell(home: &Path) -> Call {
    Call::new("bash", home)
        .args(["--norc", "--noprofile", "-i"])
        .env("PS1", format!("{PROMPT} "))
}

/// The host's own terminal, drained.
fn host_terminal(world: &World, call: &Call) -> Result<Terminal> {
    Terminal::start(world, Side::Host, call, SIZE, Look::Bytes)
}

/// Where a program is.
fn which(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // sshd is where only administrators look.
    let more = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
    std::env::split_paths(&path)
        .chain(more)
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_counts_from_the_snapshot_and_whole_for_the_new() {
        let ms = Duration::from_millis;
        let before = Cpu(HashMap::from([(1, ms(100)), (2, ms(50))]));
        let after = Cpu(HashMap::from([(1, ms(300)), (3, ms(40))]));
        assert!((after.since(&before) - 0.24).abs() < 1e-9);
    }

    #[test]
    fn what_is_not_installed_is_not_found() {
        assert!(which("sh").is_some());
        assert!(which("no-such-program-anywhere").is_none());
    }
}

//! Two machines and a link, on one machine: network namespaces.
//!
//! The namespaces have no names and belong to processes of this program: however it ends, the kernel
//! removes them, with their interfaces.

pub mod calibrate;
mod forward;
pub mod shaper;
mod tun;

use std::{
    fs::File,
    net::Ipv4Addr,
    process::{Child, Command, Stdio},
    sync::{OnceLock, atomic::Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use self::{forward::Link, shaper::Profile};
use crate::processes;

/// The host's address.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

/// The viewer's address.
pub const VIEWER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Round trips that [`own_time`] is the median of.
const CALIBRATE: usize = 40;

/// How the two machines are connected.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wire {
    /// By a pair of virtual network cards: what a LAN is at its best. Bytes are not counted.
    Direct,
    /// Through the link emulator.
    Emulated(Profile),
}

impl Wire {
    /// Through the emulator with a round trip of 50 ms.
    pub const FAR: Wire = Wire::Emulated(Profile::rtt(Duration::from_millis(50)));

    /// As [`Wire::FAR`], at 10 Mbit/s.
    pub const FAR_AND_NARROW: Wire =
        Wire::Emulated(Profile::rtt(Duration::from_millis(50)).at_rate(10_000_000));
}

/// One of the two machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Where sessions are hosted.
    Host,
    /// Where viewers are.
    Viewer,
}

/// Two machines and a link. Dropping it ends every process on them.
pub struct World {
    host: NameSpace,
    viewer: NameSpace,
    link: Option<Link>,
}

impl World {
    /// Makes the machines and connects them.
    ///
    /// # Errors
    /// Not root, no `ip`, no TUN devices.
    pub fn new(wire: Wire, seed: u64) -> Result<World> {
        let mut world = World {
            host: NameSpace::new()?,
            viewer: NameSpace::new()?,
            link: None,
        };
        match wire {
            Wire::Direct => {
                let peer = world.viewer.holder.id().to_string();
                world.run(
                    Side::Host,
                    &[
                        "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns",
                        &peer,
                    ],
                )?;
            }
            Wire::Emulated(profile) => {
                let host = world.within(Side::Host, || tun::open("wire"))?;
                let viewer = world.within(Side::Viewer, || tun::open("wire"))?;
                world.link = Some(Link::start(
                    host.context("no TUN device on the host's side")?,
                    viewer.context("no TUN device on the viewer's side")?,
                    profile,
                    seed,
                )?);
            }
        }
        for (side, address) in [(Side::Host, HOST), (Side::Viewer, VIEWER)] {
            // One address on each side: what is measured is the link, not the choice of a path.
            world.within(side, || {
                std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").ok()
            })?;
            world.run(side, &["link", "set", "lo", "up"])?;
            world.run(
                side,
                &["address", "add", &format!("{address}/24"), "dev", "wire"],
            )?;
            world.run(side, &["link", "set", "wire", "up"])?;
        }
        if let (Wire::Emulated(profile), Some(link)) = (wire, &world.link)
            && !profile.delay.is_zero()
        {
            link.take_off(own_time(&world, profile)?);
        }
        Ok(world)
    }

    /// Runs `what` on one of the machines: sockets and processes made in it are there.
    ///
    /// # Errors
    /// The machine cannot be entered.
    pub fn within<T: Send>(&self, side: Side, what: impl FnOnce() -> T + Send) -> Result<T> {
        let namespace = match side {
            Side::Host => &self.host.file,
            Side::Viewer => &self.viewer.file,
        };
        // A thread of its own: the namespace is the thread's, and nobody has to find the way back.
        std::thread::scope(|scope| {
            let there = scope.spawn(|| -> Result<T> {
                use std::os::fd::AsFd;
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
                Ok(what())
            });
            match there.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Takes the viewer's side off the network, or puts it back.
    ///
    /// # Errors
    /// No `ip`.
    pub fn set_link(&self, up: bool) -> Result<()> {
        let state = if up { "up" } else { "down" };
        self.run(Side::Viewer, &["link", "set", "wire", state])
    }

    /// Bytes that went from the host to the viewer over the emulated link, IP headers included.
    pub fn bytes_to_viewer(&self) -> u64 {
        self.link
            .as_ref()
            .map_or(0, |link| link.forth().bytes.load(Relaxed))
    }

    /// Packets the emulator carried, and how late they left on average.
    pub fn link_lateness(&self) -> (u64, Duration) {
        let Some(link) = &self.link else {
            return (0, Duration::ZERO);
        };
        let (mut packets, mut late) = (0, 0);
        for counters in [link.forth(), link.back()] {
            packets += counters.packets.load(Relaxed);
            late += counters.late_us.load(Relaxed);
        }
        (packets, Duration::from_micros(late / packets.max(1)))
    }

    /// Processes on the host's side, without the one that holds the namespace.
    pub fn host_processes(&self) -> Vec<u32> {
        self.host.processes()
    }

    fn run(&self, side: Side, ip: &[&str]) -> Result<()> {
        let output = self.within(side, || {
            Command::new("ip").args(ip).stdin(Stdio::null()).output()
        })?;
        let output = output.context("`ip` (Debian: iproute2) could not be run")?;
        if !output.status.success() {
            bail!(
                "ip {}: {}",
                ip.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for side in [&self.host, &self.viewer] {
            // Those who are killed may just have started others.
            for _ in 0..10 {
                let left = side.processes();
                if left.is_empty() {
                    break;
                }
                left.into_iter().for_each(processes::kill);
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// What the emulator costs each way beside the delay it was asked for: threads that wake up and copy. Measured
/// once in a run, over the first link with a delay.
fn own_time(world: &World, profile: Profile) -> Result<Duration> {
    static MEASURED: OnceLock<Duration> = OnceLock::new();
    if let Some(measured) = MEASURED.get() {
        return Ok(*measured);
    }
    let round_trip_ms = calibrate::round_trips(world, CALIBRATE)?.median();
    let excess_ms = round_trip_ms.unwrap_or_default() - 2e3 * profile.delay.as_secs_f64();
    let own_time = Duration::from_secs_f64(excess_ms.max(0.0) / 2e3).min(profile.delay);
    Ok(*MEASURED.get_or_init(|| own_time))
}

/// A network namespace, held by a process that does nothing.
struct NameSpace {
    holder: Child,
    file: File,
    inode: u64,
}

impl NameSpace {
    fn new() -> Result<NameSpace> {
        // `cat` says that it is there by what it repeats, and ends with our end of the pipe.
        let mut holder = Command::new("unshare")
            .args(["--net", "cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("`unshare` (Debian: util-linux) could not be run")?;
        let answered = (|| {
            use std::io::{Read, Write};
            holder.stdin.as_mut()?.write_all(b"?").ok()?;
            holder.stdout.as_mut()?.read_exact(&mut [0]).ok()
        })();
        if answered.is_none() {
            let _ = holder.kill();
            let _ = holder.wait();
            bail!("no network namespace could be made (that takes root)");
        }
        let file = File::open(format!("/proc/{}/ns/net", holder.id()))?;
        let inode = processes::net_namespace(holder.id()).context("the namespace has no number")?;
        Ok(NameSpace {
            holder,
            file,
            inode,
        })
    }

    fn processes(&self) -> Vec<u32> {
        let mut all = processes::in_net_namespace(self.inode);
        all.retain(|pid| *pid != self.holder.id());
        all
    }
}

impl Drop for NameSpace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

//! The link emulator: two threads that carry packets between two TUN devices, shaped.

use std::{
    collections::VecDeque,
    io,
    num::NonZeroU64,
    os::fd::{AsFd, OwnedFd},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::shaper::{Fate, Profile, Shaper};

/// The largest packet; the devices' MTU is 1500.
const MAX_PACKET: usize = 2048;

/// Packets read before those that are due are looked at again.
const BATCH: usize = 64;

/// How long a thread sleeps at most, so that it notices that it is to end.
const IDLE: Duration = Duration::from_millis(100);

/// What passed in one direction.
#[derive(Debug, Default)]
pub struct Counters {
    /// Packets that arrived.
    pub packets: AtomicU64,
    /// Their bytes, IP headers included.
    pub bytes: AtomicU64,
    /// Packets lost by chance.
    pub lost: AtomicU64,
    /// Packets dropped by a full queue.
    pub overflowed: AtomicU64,
    /// How much later than due packets left, altogether, in microseconds.
    pub late_us: AtomicU64,
}

/// A running link. Dropping it ends the threads.
pub struct Link {
    counters: [Arc<Counters>; 2],
    own_time_ns: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Link {
    /// Carries packets between `a` and `b`, each way like `profile`.
    ///
    /// # Errors
    /// No threads, no descriptors.
    pub fn start(a: OwnedFd, b: OwnedFd, profile: Profile, seed: u64) -> io::Result<Link> {
        let (a, b) = (Arc::new(a), Arc::new(b));
        let stop = Arc::new(AtomicBool::new(false));
        let own_time_ns = Arc::<AtomicU64>::default();
        let counters = [Arc::<Counters>::default(), Arc::default()];
        let mut threads = Vec::new();
        for (way, from, to) in [(0, &a, &b), (1, &b, &a)] {
            let carrier = Carrier {
                from: Arc::clone(from),
                to: Arc::clone(to),
                shaper: Shaper::new(profile, seed ^ way as u64),
                counters: Arc::clone(&counters[way]),
                stop: Arc::clone(&stop),
                own_time_ns: Arc::clone(&own_time_ns),
                start: Instant::now(),
                waiting: VecDeque::new(),
                spare: Vec::new(),
            };
            let thread = std::thread::Builder::new().name("link".into());
            threads.push(thread.spawn(move || carrier.run())?);
        }
        Ok(Link {
            counters,
            own_time_ns,
            stop,
            threads,
        })
    }

    /// Takes what carrying a packet costs by itself off the delay of each way, so that a link that was asked
    /// for 50 ms takes 50 ms.
    pub fn take_off(&self, own_time: Duration) {
        let own_time = u64::try_from(own_time.as_nanos()).unwrap_or(u64::MAX);
        self.own_time_ns.store(own_time, Relaxed);
    }

    /// What passed from `a` to `b`.
    pub fn forth(&self) -> &Counters {
        &self.counters[0]
    }

    /// What passed from `b` to `a`.
    pub fn back(&self) -> &Counters {
        &self.counters[1]
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            // It has said what it had to say when it panicked.
            let _ = thread.join();
        }
    }
}

/// Makes the calling thread a real-time one.
fn before_all_others() -> io::Result<()> {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let mut chrt = Command::new("chrt");
    chrt.args(["--fifo", "--pid", "10", &thread])
        .stderr(Stdio::null());
    chrt.status().map(drop)
}

struct Carrier {
    from: Arc<OwnedFd>,
    to: Arc<OwnedFd>,
    shaper: Shaper,
    counters: Arc<Counters>,
    stop: Arc<AtomicBool>,
    own_time_ns: Arc<AtomicU64>,
    start: Instant,
    waiting: VecDeque<(Duration, Vec<u8>)>,
    spare: Vec<Vec<u8>>,
}

impl Carrier {
    fn run(mut self) {
        // As near to the time that is due as can be had. Without these the link is only less exact, and
        // the calibration shows it.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let _ = before_all_others();
        while !self.stop.load(Relaxed) {
            if self.deliver().and_then(|()| self.take_in()).is_err() {
                // The device is gone, or its interface down: nothing to carry.
                std::thread::sleep(IDLE);
            }
        }
    }

    /// Sends what is due.
    fn deliver(&mut self) -> io::Result<()> {
        while let Some((due, _)) = self.waiting.front() {
            let now = self.start.elapsed();
            if *due > now {
                break;
            }
            let late = now - *due;
            self.counters
                .late_us
                .fetch_add(late.as_micros() as u64, Relaxed);
            if let Some((_, packet)) = self.waiting.pop_front() {
                self.send(packet)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, packet: Vec<u8>) -> io::Result<()> {
        match rustix::io::write(&*self.to, &packet) {
            // A full device drops, as a network card does.
            Ok(_) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::NOBUFS) => {}
            Err(error) => return Err(error.into()),
        }
        self.spare.push(packet);
        Ok(())
    }

    /// Waits for packets or for the next to be due.
    fn take_in(&mut self) -> io::Result<()> {
        let now = self.start.elapsed();
        let due = self.waiting.front().map(|(due, _)| *due);
        let wait = due.map_or(IDLE, |due| due.saturating_sub(now).min(IDLE));
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: wait.as_nanos() as _,
        };
        let mut ready = [PollFd::from_borrowed_fd(self.from.as_fd(), PollFlags::IN)];
        match poll(&mut ready, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        for _ in 0..BATCH {
            let mut packet = self.spare.pop().unwrap_or_default();
            packet.resize(MAX_PACKET, 0);
            match rustix::io::read(&*self.from, &mut packet) {
                Ok(size) => packet.truncate(size),
                Err(rustix::io::Errno::AGAIN) => {
                    self.spare.push(packet);
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            self.arrived(packet)?;
        }
        Ok(())
    }

    fn arrived(&mut self, packet: Vec<u8>) -> io::Result<()> {
        self.counters.packets.fetch_add(1, Relaxed);
        self.counters.bytes.fetch_add(packet.len() as u64, Relaxed);
        let now = self.start.elapsed();
        let own_time = Duration::from_nanos(self.own_time_ns.load(Relaxed));
        let fate = match self.shaper.arrive(now, packet.len()) {
            Fate::Leaves(at) => Fate::Leaves(at.saturating_sub(own_time)),
            other => other,
        };
        match fate {
            Fate::Leaves(at) if at <= now && self.waiting.is_empty() => self.send(packet)?,
            Fate::Leaves(at) => self.waiting.push_back((at, packet)),
            Fate::Lost => {
                self.counters.lost.fetch_add(1, Relaxed);
                self.spare.push(packet);
            }
            Fate::Overflowed => {
                self.counters.overflowed.fetch_add(1, Relaxed);
                self.spare.push(packet);
            }
        }
        Ok(())
    }
}

//! What the links themselves take: no session can be faster.

use std::time::Duration;

use anyhow::Result;

use super::Bench;
use crate::{
    net::{Wire, World, calibrate, shaper::Profile},
    report::{BASELINE, Line, Row},
};

/// Round trips of a datagram over each of the links the other rows use.
pub fn run(bench: &Bench) -> Result<Row> {
    let count = bench.choose(200, 50);
    let mut row = Row::default();
    for (name, wire, expected) in [
        ("link: LAN, a datagram's round trip", Wire::Direct, 0.0),
        (
            "link: emulator without delay",
            Wire::Emulated(Profile::NONE),
            0.0,
        ),
        ("link: emulator at 50 ms", Wire::FAR, 50.0),
    ] {
        let world = World::new(wire, bench.seed)?;
        let samples = calibrate::round_trips(&world, count)?;
        for (percent, label) in [(50.0, "p50"), (99.0, "p99")] {
            let mut line = Line::new(format!("{name}, {label}"), "ms", None);
            line.percentile(BASELINE, &samples, percent);
            row.lines.push(line);
        }
        if let (Wire::Emulated(_), Some(median)) = (wire, samples.median()) {
            let (packets, late) = world.link_lateness();
            row.notes.push(format!(
                "{name}: {:+.3} ms from what was asked for; {packets} packets left {} µs late on average",
                median - expected,
                late.as_micros()
            ));
        }
    }
    let narrow = World::new(Wire::FAR_AND_NARROW, bench.seed)?;
    row.notes.push(rate_note(&narrow)?);
    Ok(row)
}

/// How fast a narrow link really is: a burst that fits its queue, from first to last arrival.
fn rate_note(world: &World) -> Result<String> {
    use std::{net::UdpSocket, time::Instant};

    use crate::net::{HOST, Side, VIEWER};
    const PACKETS: u32 = 30;
    const BYTES: usize = 1372;
    let host = world.within(Side::Host, || UdpSocket::bind((HOST, 0)))??;
    let viewer = world.within(Side::Viewer, || UdpSocket::bind((VIEWER, 7008)))??;
    viewer.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut packet = [0; 2048];
    // One ahead, for ARP.
    host.send_to(&[0], (VIEWER, 7008))?;
    viewer.recv(&mut packet)?;
    for _ in 0..PACKETS {
        host.send_to(&[0; BYTES], (VIEWER, 7008))?;
    }
    viewer.recv(&mut packet)?;
    let first = Instant::now();
    for _ in 1..PACKETS {
        viewer.recv(&mut packet)?;
    }
    let bits = f64::from(PACKETS - 1) * (BYTES + 28) as f64 * 8.0;
    Ok(format!(
        "link: at 10 Mbit/s a burst arrived with {:.2} Mbit/s",
        bits / first.elapsed().as_secs_f64() / 1e6
    ))
}

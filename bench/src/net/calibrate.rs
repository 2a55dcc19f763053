//! What the link itself takes: a datagram there and back, answered by a thread that does nothing else.
//! Figures of a session can't be better than this; what they are above it is the session's.

use std::{
    net::UdpSocket,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{HOST, Side, VIEWER, World};
use crate::stats::Samples;

/// The echo's port.
const PORT: u16 = 7007;

/// Sends `count` datagrams, one every 10 ms or round trip; their round trips in milliseconds.
///
/// # Errors
/// No sockets, or nothing comes back.
pub fn round_trips(world: &World, count: usize) -> Result<Samples> {
    let host = world.within(Side::Host, || UdpSocket::bind((HOST, PORT)))??;
    let viewer = world.within(Side::Viewer, || UdpSocket::bind((VIEWER, PORT)))??;
    host.set_read_timeout(Some(Duration::from_secs(2)))?;
    viewer.set_read_timeout(Some(Duration::from_secs(2)))?;
    viewer.connect((HOST, PORT))?;
    std::thread::scope(|scope| {
        let echo = scope.spawn(move || {
            let mut packet = [0; 64];
            // The first that is empty is the last.
            while let Ok((size @ 1.., from)) = host.recv_from(&mut packet) {
                let _ = host.send_to(&packet[..size], from);
            }
        });
        let result = ping(&viewer, count);
        let _ = viewer.send(&[]);
        let _ = echo.join();
        result
    })
}

fn ping(socket: &UdpSocket, count: usize) -> Result<Samples> {
    let mut samples = Samples::default();
    let mut packet = [0; 64];
    // The first one pays for ARP.
    for number in 0..=count {
        let sent = Instant::now();
        socket.send(&[1; 40])?;
        socket
            .recv(&mut packet)
            .context("the link does not answer")?;
        if number > 0 {
            samples.add(sent.elapsed());
        }
        std::thread::sleep(Duration::from_millis(10).saturating_sub(sent.elapsed()));
    }
    Ok(samples)
}

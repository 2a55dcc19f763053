//! A connection's bytes on their way: delayed, paced, cut, stalled, in chunks of any size.
//!
//! As in QUIC, order holds within a stream and not across streams, and nothing is lost but by a
//! reset: what was on a path that died is sent again when there is one.

use std::collections::BTreeMap;

use bytes::Bytes;
use pillion_session::Stream;

use crate::rng::Dice;

/// How a viewer's path to the host is at a moment; both directions alike.
#[derive(Debug, Clone)]
pub struct Weather {
    /// One way, in microseconds.
    pub latency_us: u64,
    /// Added to it at random, in microseconds.
    pub jitter_us: u64,
    /// Bytes a second; unlimited when `None`.
    pub rate: Option<u64>,
    /// Nothing gets through otherwise.
    pub up: bool,
}

impl Weather {
    /// A good path.
    pub fn fair(latency_us: u64) -> Weather {
        Weather {
            latency_us,
            jitter_us: latency_us / 8,
            rate: None,
            up: true,
        }
    }
}

/// What travels on one stream.
#[derive(Debug)]
pub enum Piece {
    /// Bytes from an offset on.
    Data(Bytes),
    /// The stream ends at that offset.
    Fin,
    /// The stream was given up.
    Reset,
}

/// One packet.
#[derive(Debug)]
pub struct Packet {
    /// As its sender calls it.
    pub stream: Stream,
    /// Position within the stream.
    pub offset: u64,
    /// The content.
    pub piece: Piece,
}

#[derive(Default)]
struct Outbound {
    waiting: BTreeMap<u64, Bytes>,
    end: u64,
    /// The stream ends here; told or not.
    fin: Option<bool>,
    stalled_until_us: u64,
    lost: bool,
}

#[derive(Default)]
struct Inbound {
    next: u64,
    held: BTreeMap<u64, Bytes>,
    fin: Option<u64>,
    over: bool,
}

/// What a receiver notices.
#[derive(Debug)]
pub enum Heard {
    /// Bytes, in order.
    Bytes(Bytes),
    /// No more come.
    Ended,
}

/// One direction of one connection.
#[derive(Default)]
pub struct Pipe {
    outbound: BTreeMap<Stream, Outbound>,
    resets: Vec<Stream>,
    inbound: BTreeMap<Stream, Inbound>,
    /// The line is taken until then.
    pub busy_until_us: u64,
    /// A look at the line is planned for then.
    pub pump_at_us: Option<u64>,
}

impl Pipe {
    /// Puts bytes on a stream.
    pub fn send(&mut self, stream: Stream, bytes: Bytes) {
        let outbound = self.outbound.entry(stream).or_default();
        if outbound.fin.is_none() && !bytes.is_empty() {
            let at = outbound.end;
            outbound.end += bytes.len() as u64;
            outbound.waiting.insert(at, bytes);
        }
    }

    /// Ends a stream.
    pub fn finish(&mut self, stream: Stream) {
        self.outbound
            .entry(stream)
            .or_default()
            .fin
            .get_or_insert(false);
    }

    /// Gives a stream up: what is unsent goes nowhere.
    pub fn reset(&mut self, stream: Stream) {
        let over = Outbound {
            fin: Some(true),
            ..Outbound::default()
        };
        self.outbound.insert(stream, over);
        self.resets.push(stream);
    }

    /// Lets nothing through on one of the streams; which one, or `None` if there is none.
    pub fn stall(&mut self, dice: &mut Dice, until_us: u64) -> Option<Stream> {
        let streams: Vec<Stream> = self.outbound.keys().copied().collect();
        if streams.is_empty() {
            return None;
        }
        let stream = *dice.pick(&streams);
        let outbound = self.outbound.get_mut(&stream)?;
        outbound.stalled_until_us = until_us;
        Some(stream)
    }

    /// The path is back. What was lost with it may take its time (noq issue 516): until when, if
    /// it does.
    pub fn recovered(&mut self, dice: &mut Dice, now_us: u64, stalls: bool) -> Option<u64> {
        let mut last = None;
        for outbound in self.outbound.values_mut().filter(|outbound| outbound.lost) {
            outbound.lost = false;
            if stalls {
                outbound.stalled_until_us = now_us + dice.range(1_000_000, 20_000_000);
                last = last.max(Some(outbound.stalled_until_us));
            }
        }
        last
    }

    /// Nothing holds a stream back any more.
    pub fn heal(&mut self) {
        for outbound in self.outbound.values_mut() {
            outbound.stalled_until_us = 0;
        }
    }

    /// Bytes that wait to be sent.
    pub fn waiting(&self) -> usize {
        self.outbound
            .values()
            .flat_map(|outbound| outbound.waiting.values())
            .map(Bytes::len)
            .sum()
    }

    /// When a stalled stream goes on.
    pub fn goes_on_at_us(&self) -> Option<u64> {
        let stalled = self
            .outbound
            .values()
            .filter(|outbound| has_something(outbound));
        stalled.map(|outbound| outbound.stalled_until_us).min()
    }

    /// The next packet to put on the line.
    pub fn next_packet(&mut self, dice: &mut Dice, now_us: u64) -> Option<Packet> {
        if let Some(stream) = self.resets.pop() {
            return Some(Packet {
                stream,
                offset: 0,
                piece: Piece::Reset,
            });
        }
        let ready: Vec<Stream> = self
            .outbound
            .iter()
            .filter(|(_, outbound)| has_something(outbound) && outbound.stalled_until_us <= now_us)
            .map(|(stream, _)| *stream)
            .collect();
        if ready.is_empty() {
            return None;
        }
        let stream = *dice.pick(&ready);
        let outbound = self.outbound.get_mut(&stream)?;
        let Some((offset, mut bytes)) = outbound.waiting.pop_first() else {
            outbound.fin = Some(true);
            return Some(Packet {
                stream,
                offset: outbound.end,
                piece: Piece::Fin,
            });
        };
        let most = match dice.below(16) {
            0 => dice.range(1, 40),
            1..4 => dice.range(1, 1500),
            _ => 16 * 1024,
        };
        if bytes.len() as u64 > most {
            let rest = bytes.split_off(most as usize);
            outbound.waiting.insert(offset + most, rest);
        }
        Some(Packet {
            stream,
            offset,
            piece: Piece::Data(bytes),
        })
    }

    /// A packet did not arrive.
    pub fn lost(&mut self, packet: Packet) {
        let Some(outbound) = self.outbound.get_mut(&packet.stream) else {
            return;
        };
        match packet.piece {
            Piece::Reset => self.resets.push(packet.stream),
            // Given up since.
            _ if outbound.end < packet.offset || outbound.end == 0 => {}
            Piece::Fin => {
                outbound.fin = Some(false);
                outbound.lost = true;
            }
            Piece::Data(bytes) => {
                outbound.waiting.insert(packet.offset, bytes);
                outbound.lost = true;
            }
        }
    }

    /// A packet arrived: what the receiver can read now.
    pub fn arrive(&mut self, packet: Packet) -> Vec<Heard> {
        let inbound = self.inbound.entry(packet.stream).or_default();
        let mut heard = Vec::new();
        if inbound.over {
            return heard;
        }
        match packet.piece {
            Piece::Reset => {
                inbound.held.clear();
                inbound.over = true;
                // A stream the sender opened and never wrote to was never noticed.
                if inbound.next > 0 || matches!(packet.stream, Stream::History { .. }) {
                    heard.push(Heard::Ended);
                }
                return heard;
            }
            Piece::Fin => inbound.fin = Some(packet.offset),
            Piece::Data(bytes) => {
                inbound.held.insert(packet.offset, bytes);
            }
        }
        while let Some(bytes) = inbound.held.remove(&inbound.next) {
            inbound.next += bytes.len() as u64;
            heard.push(Heard::Bytes(bytes));
        }
        if inbound.fin == Some(inbound.next) {
            inbound.over = true;
            heard.push(Heard::Ended);
        }
        heard
    }
}

fn has_something(outbound: &Outbound) -> bool {
    !outbound.waiting.is_empty() || outbound.fin == Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_holds_within_a_stream_whatever_is_lost() {
        let mut dice = Dice::new(1);
        let mut pipe = Pipe::default();
        let text: Vec<u8> = (0..10_000u32).flat_map(u32::to_be_bytes).collect();
        for part in text.chunks(700) {
            pipe.send(Stream::Control, Bytes::copy_from_slice(part));
        }
        pipe.finish(Stream::Control);
        let (mut read, mut ended, mut flying) = (Vec::new(), false, Vec::new());
        while !ended {
            while let Some(packet) = pipe.next_packet(&mut dice, 0) {
                flying.push(packet);
            }
            let packet = flying.swap_remove(dice.below(flying.len() as u64) as usize);
            if dice.one_in(3) {
                pipe.lost(packet);
                continue;
            }
            for heard in pipe.arrive(packet) {
                match heard {
                    Heard::Bytes(bytes) => read.extend_from_slice(&bytes),
                    Heard::Ended => ended = true,
                }
            }
        }
        assert_eq!(read, text);
    }
}

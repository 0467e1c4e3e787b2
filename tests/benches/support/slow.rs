//! A reader of 20 MB/s that probes the liveness of the sender.

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use bytes::{Buf as _, BytesMut};
use samanea_core::{
    base::ProtocolId,
    proto::{
        Protocol,
        block_fetch::{self, BlockFetch},
        handshake::{self, Handshake, Mode},
        keep_alive::{self, KeepAlive},
    },
};
use socket2::{Domain, Socket, Type};

use super::{chain::point, support::now};

/// How fast it reads.
const BYTES_PER_MICROSECOND: u64 = 20;

/// How long the answers to `probes` probes take that are sent, one after another, beside one
/// range of blocks from `server`; in milliseconds, one each. A probe's answer waits behind all
/// that the server has given to its kernel and all that this end's kernel holds; the latter is
/// kept to `receive_bytes` unless
/// that is 0.
pub(crate) fn probe(server: SocketAddr, probes: usize, receive_bytes: usize) -> Vec<f64> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    if receive_bytes > 0 {
        socket.set_recv_buffer_size(receive_bytes).unwrap();
    }
    socket.connect(&server.into()).unwrap();
    socket.set_tcp_nodelay(true).unwrap();
    let mut wire = Wire {
        socket: socket.into(),
        held: BytesMut::new(),
        began: now(),
        got: 0,
    };
    let mut offer = handshake::Config::new(super::ours::MAGIC);
    offer.mode = Mode::InitiatorOnly;
    let message = handshake::Message::ProposeVersions(offer.table());
    wire.say::<Handshake>(ProtocolId::HANDSHAKE, &message);
    while wire.next() != ProtocolId::HANDSHAKE {}
    let message = block_fetch::Message::RequestRange {
        from: point(1),
        to: point(2),
    };
    wire.say::<BlockFetch>(ProtocolId::BLOCK_FETCH, &message);
    // Until the queues on the way are full.
    wire.began = now();
    wire.got = 0;
    while wire.got < 10_000_000 {
        wire.next();
    }
    let mut took = Vec::new();
    for cookie in (0..u16::MAX).take(probes) {
        let asked = now();
        let message = keep_alive::Message::KeepAlive(cookie);
        wire.say::<KeepAlive>(ProtocolId::KEEP_ALIVE, &message);
        while wire.next() != ProtocolId::KEEP_ALIVE {}
        took.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    took
}

#[expect(
    clippy::disallowed_methods,
    reason = "a slow reader is one that sleeps"
)]
fn pause(span: Duration) {
    thread::sleep(span);
}

struct Wire {
    socket: std::net::TcpStream,
    held: BytesMut,
    began: Instant,
    got: u64,
}

impl Wire {
    /// One message in a segment of its own, as the initiator.
    fn say<P: Protocol>(&mut self, protocol: ProtocolId, message: &P::Message) {
        let mut payload = BytesMut::new();
        let rest = P::encode(message, &mut payload);
        payload.extend_from_slice(&rest);
        let mut segment = vec![0; 4];
        segment.extend_from_slice(&protocol.0.to_be_bytes());
        let length = u16::try_from(payload.len()).unwrap();
        segment.extend_from_slice(&length.to_be_bytes());
        segment.extend_from_slice(&payload);
        self.socket.write_all(&segment).unwrap();
    }

    /// The next segment's protocol, its payload dropped; reads 16 KiB at a time, no faster than
    /// allowed.
    fn next(&mut self) -> ProtocolId {
        loop {
            if let Some(header) = self.held.first_chunk::<8>() {
                let [_, _, _, _, p0, p1, l0, l1] = *header;
                let whole = 8 + usize::from(u16::from_be_bytes([l0, l1]));
                if self.held.len() >= whole {
                    self.held.advance(whole);
                    return ProtocolId(u16::from_be_bytes([p0, p1]) & 0x7fff);
                }
            }
            let mut buffer = [0; 16 << 10];
            let count = self.socket.read(&mut buffer).unwrap();
            assert_ne!(count, 0);
            self.held.extend_from_slice(&buffer[..count]);
            self.got += u64::try_from(count).unwrap();
            let due = Duration::from_micros(self.got / BYTES_PER_MICROSECOND);
            if let Some(early) = due.checked_sub(self.began.elapsed()) {
                pause(early);
            }
        }
    }
}

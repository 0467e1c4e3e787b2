//! What the stack costs without sockets: multiplexer, codecs, reassembly.

#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use pallas_codec::minicbor;
use pallas_network::miniprotocols::{
    Point as RivalPoint,
    chainsync::{HeaderContent, Message as RivalChainSync, Tip as RivalTip},
    keepalive::Message as RivalKeepAlive,
    txsubmission::{EraTxBody, EraTxId, Message as RivalTx},
};
use samanea_core::{
    base::{
        Cx, First, Hash32, Instant, Machine as _, NoRules, Point, ProtocolId, Role, State, Tip,
        TxId,
    },
    mux::{self, HalfId, Mux},
    proto::{
        Protocol,
        chain_sync::{self, ChainSync},
        keep_alive::{self, KeepAlive},
        tx_submission::{self, TxSubmission},
    },
    wire::{Batch, Encoded, reassembly::Reassembly},
};

use support::{Job, for_real, now, rounds, wanted};

fn main() {
    let times = if for_real() { 2_000 } else { 2 };
    multiplexer(times);
    roll_forward(times * 50);
    keep_alive(times * 100);
    reassembly(times.div_ceil(200));
}

/// 64 KiB messages from one multiplexer to another, found and put together at the far end.
fn multiplexer(times: u32) {
    if !wanted("mux") {
        return;
    }
    let payload = Bytes::from(vec![7; 80 << 10]).slice(2_048..2_048 + (64 << 10));
    let mut buffer = vec![0; payload.len()];
    let (mut plain, mut copied) = (Link::new(), Link::new());
    Job::new("mux, 64 KiB messages", "ns")
        .anchor("memcpy of the payload", || {
            nanos(times, || {
                buffer.copy_from_slice(black_box(&payload));
                black_box(&mut buffer);
            })
        })
        .case("memcpy into a new buffer", || {
            nanos(times, || {
                black_box(black_box(&payload).to_vec());
            })
        })
        .case("mux to mux, parts handed over", || {
            nanos(times, || plain.carry(&payload, Handing::Parts))
        })
        .case("mux to mux, through one read buffer", || {
            nanos(times, || copied.carry(&payload, Handing::Copy))
        })
        .report(rounds());
}

/// How the bytes get from one end to the other.
#[derive(Clone, Copy)]
enum Handing {
    /// The parts of each batch as they are.
    Parts,
    /// Each batch copied into a new buffer, as a kernel would.
    Copy,
}

/// Two multiplexers and what stands between the far one and its messages.
struct Link {
    near: Mux,
    far: Mux,
    stream: Reassembly,
    actions: Vec<mux::Action>,
    batches: Vec<Batch>,
    /// Bytes of all messages.
    sent: usize,
    got: usize,
}

const SENDS: HalfId = HalfId {
    protocol: ProtocolId::BLOCK_FETCH,
    role: Role::Responder,
};
const TAKES: HalfId = HalfId {
    protocol: ProtocolId::BLOCK_FETCH,
    role: Role::Initiator,
};

impl Link {
    fn new() -> Self {
        let max = mux::ingress_bytes_max(ProtocolId::BLOCK_FETCH).unwrap();
        let config = mux::Config::default();
        let (mut near, mut far) = (Mux::new(&config), Mux::new(&config));
        near.register(SENDS, max);
        far.register(TAKES, max);
        Self {
            near,
            far,
            stream: Reassembly::new(),
            actions: Vec::new(),
            batches: Vec::new(),
            sent: 0,
            got: 0,
        }
    }

    /// Sends one block message and waits until it is there.
    fn carry(&mut self, payload: &Bytes, handing: Handing) {
        // [4, 24(bytes of 65,536)]
        let head = Bytes::from_static(&[0x82, 0x04, 0xd8, 0x18, 0x5a, 0x00, 0x01, 0x00, 0x00]);
        let message = Encoded {
            head,
            body: payload.clone(),
        };
        let half = SENDS;
        step(
            &mut self.near,
            &mut self.actions,
            mux::Event::Send { half, message },
        );
        while self.near.pending() > 0 || self.near.in_flight() > 0 {
            step(&mut self.near, &mut self.actions, mux::Event::Turn);
            for action in self.actions.drain(..) {
                if let mux::Action::Write(batch) = action {
                    self.batches.push(batch);
                }
            }
            for batch in std::mem::take(&mut self.batches) {
                let bytes: usize = batch.iter().map(Bytes::len).sum();
                self.deliver(batch, handing);
                step(
                    &mut self.near,
                    &mut self.actions,
                    mux::Event::Flushed(bytes),
                );
            }
        }
        self.sent += payload.len() + 9;
        assert_eq!(self.got, self.sent);
    }

    fn deliver(&mut self, batch: Batch, handing: Handing) {
        match handing {
            Handing::Parts => batch.into_iter().for_each(|part| self.receive(part)),
            Handing::Copy => {
                let mut read = BytesMut::with_capacity(128 << 10);
                batch.iter().for_each(|part| read.extend_from_slice(part));
                self.receive(read.freeze());
            }
        }
    }

    /// What a connection does with what was read: takes it, and the messages that are whole.
    fn receive(&mut self, bytes: Bytes) {
        step(
            &mut self.far,
            &mut self.actions,
            mux::Event::Received(bytes),
        );
        for piece in self.far.take(TAKES) {
            self.stream.push(piece);
        }
        if let Some(message) = self.stream.next(1 << 20).unwrap() {
            self.got += message.len();
            black_box(message);
        }
    }
}

fn step(mux: &mut Mux, actions: &mut Vec<mux::Action>, event: mux::Event) {
    let mut choice = First;
    let mut cx = Cx::new(Instant::ZERO, &mut choice, &NoRules, actions);
    mux.step(&mut cx, event);
}

/// One header of 860 bytes.
fn roll_forward(times: u32) {
    if !wanted("RollForward") {
        return;
    }
    let inner = vec![7; 860];
    let mut header = BytesMut::from([0x82, 0x06, 0xd8, 0x18, 0x59, 0x03, 0x5c].as_slice());
    header.extend_from_slice(&inner);
    let hash = Hash32([9; 32]);
    let point = Point::Block {
        slot: 39_679_163,
        hash,
    };
    let message = chain_sync::Message::RollForward {
        header: header.freeze(),
        tip: Tip {
            point,
            block_no: 7_000_000,
        },
    };
    let rival = RivalChainSync::RollForward(
        HeaderContent {
            variant: 6,
            byron_prefix: None,
            cbor: inner,
        },
        RivalTip(RivalPoint::new(39_679_163, hash.0.to_vec()), 7_000_000),
    );
    codec::<ChainSync, _>(
        "RollForward of 860 B",
        times,
        chain_sync::CAN_AWAIT,
        &message,
        &rival,
    );
}

fn keep_alive(times: u32) {
    if wanted("KeepAlive") {
        let message = keep_alive::Message::KeepAlive(4_711);
        let rival = RivalKeepAlive::KeepAlive(4_711);
        codec::<KeepAlive, _>("KeepAlive", times, State(0), &message, &rival);
    }
}

/// Both codecs on the same message, whose bytes must agree.
fn codec<P: Protocol, R>(title: &str, times: u32, state: State, message: &P::Message, rival: &R)
where
    R: minicbor::Encode<()> + for<'b> minicbor::Decode<'b, ()>,
{
    let mut out = BytesMut::with_capacity(4 << 10);
    let rest = P::encode(message, &mut out);
    out.extend_from_slice(&rest);
    let bytes = out.clone().freeze();
    assert_eq!(bytes, minicbor::to_vec(rival).unwrap());
    let mut reused = Vec::with_capacity(4 << 10);
    Job::new(format!("encode {title}"), "ns")
        .anchor("pallas, new buffer", || {
            nanos(times, || {
                drop(black_box(minicbor::to_vec(black_box(rival))));
            })
        })
        .case("pallas, reused buffer", || {
            nanos(times, || {
                reused.clear();
                minicbor::encode(black_box(rival), &mut reused).unwrap();
                black_box(&reused);
            })
        })
        .case("ours", || {
            nanos(times, || {
                out.clear();
                black_box(P::encode(black_box(message), &mut out));
                black_box(&out);
            })
        })
        .report(rounds());
    Job::new(format!("decode {title}"), "ns")
        .anchor("pallas", || {
            nanos(times, || {
                let message: R = minicbor::decode(black_box(&bytes)).unwrap();
                black_box(message);
            })
        })
        .case("ours", || {
            nanos(times, || {
                black_box(P::decode(state, black_box(&bytes)))
                    .map(drop)
                    .unwrap();
            })
        })
        .report(rounds());
}

/// 20,000 transaction ids, 800 KB, in segments of 12,288 bytes.
fn reassembly(times: u32) {
    if !wanted("ReplyTxIds") {
        return;
    }
    let ids = (0..20_000_u32)
        .map(|n| {
            let mut id = vec![0x82, 0x05, 0x58, 0x20];
            id.extend_from_slice(&n.to_be_bytes());
            id.resize(36, 7);
            (TxId(id.into()), 300)
        })
        .collect();
    let mut out = BytesMut::new();
    TxSubmission::encode(&tx_submission::Message::ReplyTxIds(ids), &mut out);
    let bytes = out.freeze();
    let state = tx_submission::TX_IDS_NON_BLOCKING;
    assert!(TxSubmission::decode(state, &bytes).is_ok());
    Job::new(format!("ReplyTxIds of {} B", bytes.len()), "µs")
        .anchor("one decode", || {
            nanos(times, || {
                black_box(TxSubmission::decode(state, black_box(&bytes)))
                    .map(drop)
                    .unwrap();
            }) / 1e3
        })
        .case("put together from 12,288 B pieces", || {
            nanos(times, || drop(black_box(together(&bytes)))) / 1e3
        })
        .case("put together and decoded", || {
            nanos(times, || {
                let message = together(&bytes);
                black_box(TxSubmission::decode(state, &message))
                    .map(drop)
                    .unwrap();
            }) / 1e3
        })
        .case("pallas, one decode", || {
            nanos(times, || {
                let message: RivalTx<EraTxId, EraTxBody> = minicbor::decode(&bytes).unwrap();
                black_box(message);
            }) / 1e3
        })
        .case("pallas, decode tried again at each piece", || {
            nanos(1, || {
                let mut held = Vec::new();
                let mut message = None;
                for piece in bytes.chunks(12_288) {
                    held.extend_from_slice(piece);
                    let tried: Result<RivalTx<EraTxId, EraTxBody>, _> = minicbor::decode(&held);
                    message = tried.ok();
                }
                assert!(black_box(message).is_some());
            }) / 1e3
        })
        .report(rounds());
}

fn together(bytes: &Bytes) -> Bytes {
    let mut stream = Reassembly::new();
    let mut from = 0;
    loop {
        let end = bytes.len().min(from + 12_288);
        stream.push(bytes.slice(from..end));
        if let Some(message) = stream.next(2_500_000).unwrap() {
            return message;
        }
        from = end;
    }
}

/// Nanoseconds of one of `times` calls.
fn nanos(times: u32, mut call: impl FnMut()) -> f64 {
    let begin = now();
    for _ in 0..times {
        call();
    }
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(times)
}

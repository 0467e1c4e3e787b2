//! The hand-made inputs of the fuzz targets, from our own encoders.
//!
//! `sim corpus` writes them; what a fuzzer finds later stands beside them under its own name.

use bytes::BytesMut;
use samanea_core::{
    base::{Choice as _, ProtocolId, Role, Seeded},
    proto::{
        block_fetch::BlockFetch,
        chain_sync::ChainSync,
        handshake::Handshake,
        keep_alive::KeepAlive,
        peer_sharing::PeerSharing,
        rain_link::{RainBulk, RainLink},
        tip_sample::TipSample,
        tx_submission::TxSubmission,
    },
    wire::frame::Header,
};

use crate::{speak::Speak, tape::site};

/// One input: its target, its name, its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The target.
    pub target: &'static str,
    /// The file's name.
    pub name: String,
    /// The content.
    pub bytes: Vec<u8>,
}

/// All of them.
pub fn inputs() -> Vec<Input> {
    let mut all = Vec::new();
    frames(&mut all);
    each_protocol(&mut all);
    rain::<RainLink>(&mut all, 0);
    rain::<RainBulk>(&mut all, 1);
    streams(&mut all);
    tapes(&mut all);
    all
}

fn add(all: &mut Vec<Input>, target: &'static str, name: impl Into<String>, bytes: Vec<u8>) {
    let name = name.into();
    all.push(Input {
        target,
        name,
        bytes,
    });
}

fn segment(protocol: ProtocolId, sender: Role, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        time_us: 0x0102_0304,
        sender,
        protocol,
        len: u16::try_from(payload.len()).unwrap_or(u16::MAX),
    };
    [&header.encode()[..], payload].concat()
}

fn frames(all: &mut Vec<Input>) {
    let cuts = [1_u8, 3, 8, 200];
    let one = segment(ProtocolId::KEEP_ALIVE, Role::Initiator, &[0x82, 0, 1]);
    let two = segment(ProtocolId::CHAIN_SYNC, Role::Responder, &[7; 300]);
    let none = segment(ProtocolId::HANDSHAKE, Role::Initiator, &[]);
    let inputs = [
        ("one", one.clone()),
        ("two", [one.clone(), two.clone()].concat()),
        ("empty-segment", [one.clone(), none, two.clone()].concat()),
        ("half-a-header", one[..5].to_vec()),
        ("half-a-payload", two[..40].to_vec()),
    ];
    for (name, stream) in inputs {
        add(all, "frame", name, [&cuts[..], &stream].concat());
    }
}

fn each_protocol(all: &mut Vec<Input>) {
    protocol::<Handshake>(all, 0);
    protocol::<ChainSync>(all, 1);
    protocol::<BlockFetch>(all, 2);
    protocol::<TxSubmission>(all, 3);
    protocol::<KeepAlive>(all, 4);
    protocol::<PeerSharing>(all, 5);
    protocol::<TipSample>(all, 6);
}

/// Every message of a table as it travels, in its state; and one tape that draws them all.
fn protocol<P: Speak>(all: &mut Vec<Input>, number: u8) {
    let mut choice = Seeded::new(u64::from(number));
    for edge in P::SPEC.edges {
        let message = P::bytes(&P::speak(edge.from, edge.kind, &mut choice));
        let name = format!("{}-{}-{}", P::SPEC.name, edge.from.0, edge.message);
        add(
            all,
            "messages",
            name,
            [&[number, edge.from.0], &message[..]].concat(),
        );
    }
    // 133 is 0 modulo 7 and has the bit that asks for drawn messages.
    let drawn = [&[133 + number][..], &noise(u64::from(number), 60)].concat();
    add(all, "messages", format!("{}-drawn", P::SPEC.name), drawn);
}

/// Every message of a lane as it travels, and one tape that draws them.
fn rain<P: Speak>(all: &mut Vec<Input>, number: u8) {
    let mut choice = Seeded::new(u64::from(number));
    for edge in P::SPEC.edges {
        let message = P::bytes(&P::speak(edge.from, edge.kind, &mut choice));
        let name = format!("{}-{}", P::SPEC.name, edge.message);
        let bytes = [&[number], &message[..]].concat();
        add(all, "rain_messages", name, bytes);
    }
    let drawn = [&[2 + number][..], &noise(u64::from(number), 400)].concat();
    add(
        all,
        "rain_messages",
        format!("{}-drawn", P::SPEC.name),
        drawn,
    );
}

fn streams(all: &mut Vec<Input>) {
    let mut choice = Seeded::new(7);
    let mut stream = BytesMut::new();
    for edge in <ChainSync as samanea_core::proto::Protocol>::SPEC.edges {
        stream.extend_from_slice(&ChainSync::bytes(&ChainSync::speak(
            edge.from,
            edge.kind,
            &mut choice,
        )));
    }
    let inputs: [(&str, u16, &[u8]); 6] = [
        ("chain-sync", 5_760, &stream),
        ("tight-limit", 70, &stream),
        (
            "indefinite",
            5_760,
            &[
                0x82, 0x01, 0x9f, 0x82, 0x01, 0x5f, 0x41, 7, 0xff, 0xff, 0x81, 0,
            ],
        ),
        ("long-string", 100, &[0x82, 0x04, 0x5a, 0, 1, 0, 0, 1, 2, 3]),
        ("not-an-array", 100, &[0x81, 0x00, 0x00]),
        ("reserved", 100, &[0x82, 0x00, 0x1c]),
    ];
    for (name, limit, stream) in inputs {
        let head = [1, 5, 64];
        add(
            all,
            "reassembly",
            name,
            [&head[..], &limit.to_be_bytes(), stream].concat(),
        );
    }
}

fn tapes(all: &mut Vec<Input>) {
    for case in 0..16_u8 {
        let tape = [&[case], &noise(u64::from(case), 24)[..]].concat();
        add(all, "handshake", format!("case-{case:02}"), tape);
    }
    for case in 0..24_u8 {
        for (size, len) in [("short", 40), ("long", 200)] {
            let tape = [&[case], &noise(u64::from(case), len)[..]].concat();
            add(all, "session", format!("case-{case:02}-{size}"), tape);
        }
    }
    for (seed, len) in (0..8).zip([50_usize, 100, 150, 200, 300, 400, 500, 800]) {
        add(all, "mux", format!("tape-{len:03}"), noise(seed, len));
        add(
            all,
            "node",
            format!("tape-{len:03}"),
            noise(seed + 100, len / 2),
        );
    }
    for (seed, len) in (200..).zip([30_usize, 60, 100, 200, 300, 400, 600, 900]) {
        let name = format!("tape-{len:03}");
        add(all, "manager", &*name, noise(seed, len));
        add(all, "accept", &*name, noise(seed + 100, len));
        add(all, "governor", &*name, noise(seed + 200, len));
        add(all, "rain", name, noise(seed + 300, len));
    }
}

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut choice = Seeded::new(seed);
    (0..len)
        .map(|_| u8::try_from(choice.below(site::SESSION, 0, 256)).unwrap_or(0))
        .collect()
}

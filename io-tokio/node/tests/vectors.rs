//! Headers, blocks and transactions of the wire vectors against the rules.

mod support;

use std::fs;

use minicbor::{Decoder, Encoder};
use samanea::rules::{BlockFault, Eras, check_block, wrapped_header};
use samanea_core::base::Rules;
use serde_json::Value;
use support::{say, shared};

fn vectors(protocol: &str) -> Vec<(String, Vec<u8>)> {
    let Some(file) = shared("the vectors of rules", "vectors/wire.json") else {
        return Vec::new();
    };
    let all: Vec<Value> = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    all.iter()
        .filter(|vector| vector["protocol"] == protocol && vector["expect"] == "valid")
        .map(|vector| {
            let name = vector["message"].as_str().unwrap();
            let name = name.split(':').next().unwrap().to_owned();
            (name, bytes(vector["hex"].as_str().unwrap()))
        })
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn golden_headers_are_the_ones_of_their_golden_blocks() {
    let headers = vectors("header-payload");
    let mut read = 0;
    for (name, header) in &headers {
        let view = Eras.header(header);
        if name == "Header_Dijkstra" {
            assert!(view.is_err());
        } else {
            assert!(view.is_ok(), "{name}: {view:?}");
            read += 1;
        }
    }
    let mut checked = 0;
    for (name, payload) in vectors("block-payload") {
        // Behind tag 24 and the head of the byte string, which is two or three bytes long here.
        let block = payload
            .get(if payload[2] == 0x58 { 4 } else { 5 }..)
            .unwrap();
        let of = name.replace("Block", "Header");
        let Some((_, header)) = headers.iter().find(|(name, _)| *name == of) else {
            continue;
        };
        if name == "Block_Dijkstra" {
            continue;
        }
        assert_eq!(
            wrapped_header(block).as_deref(),
            Some(&header[..]),
            "{name}"
        );
        let check = check_block(&Eras.header(header).unwrap(), block);
        if name.starts_with("Block_Byron") {
            assert_eq!(check, Ok(()), "{name}");
        } else {
            // These headers are stubs that state a size of their own.
            let wrong_size = matches!(check, Err(BlockFault::BodySize { stated: 2345, .. }));
            assert!(wrong_size, "{name}: {check:?}");
        }
        checked += 1;
    }
    say(&format!(
        "{read} golden headers read, {checked} found in their blocks"
    ));
    assert!(headers.is_empty() || (read == 8 && checked == 8));
}

#[test]
fn golden_transactions_have_their_golden_ids() {
    let ids = vectors("txid-payload");
    let mut same = 0;
    for (name, tx) in vectors("tx-payload") {
        let Some(id) = Eras.tx_id(&tx) else {
            assert_eq!(name, "GenTx_Dijkstra", "an era that is not known here");
            continue;
        };
        let of = name.replace("GenTx", "GenTxId");
        let (_, golden) = ids.iter().find(|(of_id, _)| *of_id == of).unwrap();
        assert_eq!(id.0.len(), golden.len(), "{name}");
        // The golden Byron id is not the one of the golden Byron transaction but of its input.
        if name != "GenTx_Byron" {
            assert_eq!(id.0[..], golden[..], "{name}");
            same += 1;
        }
    }
    say(&format!("{same} golden transactions have their golden ids"));
    assert!(ids.is_empty() || same == 6);
}

#[test]
fn hostile_bytes_are_answered_and_never_harm() {
    let (mut headers, mut others) = (0_u32, 0_u32);
    for (_, header) in vectors("header-payload") {
        // The envelope stays whole, so that its content reaches the reader of its era.
        let tag = header.windows(2).position(|two| two == TAG_24).unwrap();
        let (envelope, mut content) = (&header[..tag + 2], Decoder::new(&header[tag + 2..]));
        for_each_hostile(content.bytes().unwrap(), 1, |bytes| {
            let mut wrapped = Encoder::new(envelope.to_vec());
            wrapped.bytes(bytes).unwrap();
            let _ = Eras.header(wrapped.writer());
            headers += 1;
        });
    }
    for (_, input) in ["tx-payload", "block-payload"]
        .into_iter()
        .flat_map(vectors)
    {
        let tag = input.windows(2).position(|two| two == TAG_24).unwrap();
        let content = Decoder::new(&input[tag + 2..]).bytes().unwrap().to_vec();
        for whole in [input, content] {
            for_each_hostile(&whole, 5, |bytes| {
                let _ = Eras.tx_id(bytes);
                let _ = wrapped_header(bytes);
                others += 1;
            });
        }
    }
    say(&format!(
        "{headers} hostile headers, {others} transactions and blocks answered"
    ));
    let here = headers + others > 0;
    assert!(
        !here || (headers > 100_000 && others > 100_000),
        "{headers} {others}"
    );
}

/// Shows `look` the bytes cut at each `step`th place, and with each hostile head there: instead
/// of the byte, and inserted with the largest and with a large length behind it.
fn for_each_hostile(whole: &[u8], step: usize, mut look: impl FnMut(&[u8])) {
    for at in (0..whole.len()).step_by(step) {
        look(&whole[..at]);
        for head in HEADS {
            let mut bytes = whole.to_vec();
            bytes[at] = *head;
            look(&bytes);
            if *head & 0x1f == 0x1b {
                bytes.splice(at..at, [&[*head][..], &[0xff; 8]].concat());
                look(&bytes);
                bytes[at + 1..at + 5].fill(0);
                look(&bytes);
            }
        }
    }
}

const TAG_24: &[u8] = &[0xd8, 0x18];
/// The heads that lead decoders astray: indefinite, with large lengths, tags, other types.
const HEADS: &[u8] = &[
    0x00, 0x1b, 0x3b, 0x5b, 0x5f, 0x7b, 0x80, 0x9b, 0x9f, 0xbb, 0xbf, 0xc2, 0xdb, 0xf6, 0xfb, 0xff,
];

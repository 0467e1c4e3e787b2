use alloc::{collections::VecDeque, vec, vec::Vec};

use bytes::Bytes;
use quickcheck::quickcheck;

use super::{
    IDLE, INIT, Message, SPEC, TX_ID_BYTES_MAX, TX_IDS_BLOCKING, TX_IDS_NON_BLOCKING, TXS,
    TxSubmission, Violation,
    message::{made_up_id, made_up_tx},
};
use crate::{
    base::{HeaderFault, HeaderView, Rules, State, TxId},
    proto::{
        Action, Fault, Protocol as _,
        testing::{codec_laws, encode, total},
    },
    wire::codec::{DecodeError, Reader},
};

mod client;
mod server;

/// The id of transaction `n`.
fn id(n: u8) -> TxId {
    made_up_id(&[n; 32])
}

/// Transaction `n`, `more` bytes longer than the shortest.
fn tx(n: u8, more: usize) -> Bytes {
    made_up_tx(&[&[n; 32][..], &vec![0; more]].concat())
}

fn size(n: u8) -> u32 {
    u32::try_from(tx(n, 0).len()).unwrap()
}

fn ids(numbers: &[u8]) -> Vec<TxId> {
    numbers.iter().map(|n| id(*n)).collect()
}

fn sized(numbers: &[u8]) -> Vec<(TxId, u32)> {
    numbers.iter().map(|n| (id(*n), size(*n))).collect()
}

fn request(blocking: bool, acked: u16, wanted: u16) -> Message {
    Message::RequestTxIds {
        blocking,
        acked,
        wanted,
    }
}

fn violation<F>(actions: &[Action<F>]) -> Option<Violation> {
    actions.iter().find_map(|action| match action {
        Action::Failed(Fault::Tx(violation)) => Some(*violation),
        _ => None,
    })
}

/// The id of a made-up transaction is its first 32 bytes.
struct TxRules;

impl Rules for TxRules {
    fn name(&self) -> &'static str {
        "made up"
    }

    fn header(&self, _: &[u8]) -> Result<HeaderView, HeaderFault> {
        Err(HeaderFault::Malformed)
    }

    fn tx_id(&self, wrapped: &[u8]) -> Option<TxId> {
        let wrapped = Bytes::copy_from_slice(wrapped);
        let mut reader = Reader::new(&wrapped);
        reader.array(2).ok()?;
        reader.u8().ok()?;
        let content = reader.wrapped().ok()?;
        Some(made_up_id(content.get(..32)?.try_into().ok()?))
    }
}

fn read(state: State, bytes: &[u8]) -> Result<Message, DecodeError> {
    TxSubmission::decode(state, &Bytes::copy_from_slice(bytes))
}

#[test]
fn the_table_makes_sense_and_has_the_limits_of_running_nodes() {
    assert_eq!(SPEC.check(), Ok(()));
    let got: Vec<usize> = SPEC.states.iter().map(|row| row.bytes_max).collect();
    assert_eq!(got, [65_535, 65_535, 2_500_000, 2_500_000, 2_500_000, 0]);
    let pipelined: Vec<&str> = SPEC
        .edges
        .iter()
        .filter(|edge| edge.pipelined)
        .map(|edge| edge.message)
        .collect();
    assert_eq!(
        pipelined,
        ["MsgRequestTxIds (non-blocking)", "MsgRequestTxs"]
    );
}

#[test]
fn lists_are_indefinite_only() {
    for (state, label, item) in [
        (TX_IDS_BLOCKING, 1, &[0x82, 0x05, 0x18, 0x64][..]),
        (TX_IDS_NON_BLOCKING, 1, &[0x82, 0x05, 0x18, 0x64]),
        (IDLE, 2, &[0x05]),
        (TXS, 3, &[0x05]),
    ] {
        let indefinite = [&[0x82, label, 0x9f], item, &[0xff]].concat();
        assert!(read(state, &indefinite).is_ok(), "{label}");
        let definite = [&[0x82, label, 0x81], item].concat();
        let wrong = Err(DecodeError::ListForm { at: 2 });
        assert_eq!(read(state, &definite), wrong, "{label}");
        assert_eq!(read(state, &[0x82, label, 0x80]), wrong, "{label}");
    }
}

#[test]
fn a_blocking_answer_has_an_id_and_the_others_need_none() {
    let empty = [0x82, 0x01, 0x9f, 0xff];
    assert_eq!(read(TX_IDS_BLOCKING, &empty), Err(DecodeError::Empty));
    assert_eq!(
        read(TX_IDS_NON_BLOCKING, &empty),
        Ok(Message::ReplyTxIds(vec![]))
    );
    assert_eq!(
        encode::<TxSubmission>(&Message::ReplyTxIds(vec![])).as_ref(),
        empty
    );
    assert_eq!(
        read(IDLE, &[0x82, 0x02, 0x9f, 0xff]),
        Ok(Message::RequestTxs(vec![]))
    );
    assert_eq!(
        read(TXS, &[0x82, 0x03, 0x9f, 0xff]),
        Ok(Message::ReplyTxs(vec![]))
    );
}

#[test]
fn ids_and_transactions_travel_verbatim() {
    // A Byron id and a Byron transaction, neither of them wrapped in tag 24, with a wide head.
    let byron = [&[0x82, 0x00, 0x82, 0x18, 0x00, 0x58, 0x20][..], &[9; 32]].concat();
    let bytes = [
        &[0x82, 0x01, 0x9f, 0x82],
        byron.as_slice(),
        &[0x18, 0x7b, 0xff],
    ]
    .concat();
    let message = read(TX_IDS_BLOCKING, &bytes).unwrap();
    let want = vec![(TxId(byron.as_slice().into()), 123)];
    assert_eq!(message, Message::ReplyTxIds(want));
    assert_eq!(encode::<TxSubmission>(&message), bytes);

    let tx = [
        0x82, 0x00, 0x82, 0x00, 0x82, 0x83, 0x9f, 0xff, 0x9f, 0xff, 0xa0, 0x80,
    ];
    let bytes = Bytes::from([&[0x82, 0x03, 0x9f], &tx[..], &[0xff]].concat());
    let message = TxSubmission::decode(TXS, &bytes).unwrap();
    assert_eq!(
        message,
        Message::ReplyTxs(vec![Bytes::copy_from_slice(&tx)])
    );
    let Message::ReplyTxs(txs) = message else {
        panic!("bodies")
    };
    assert_eq!(
        txs[0].as_ptr(),
        bytes[3..].as_ptr(),
        "shared with the message"
    );
}

#[test]
fn an_id_of_more_than_its_limit_is_refused() {
    for (len, legal) in [(TX_ID_BYTES_MAX, true), (TX_ID_BYTES_MAX + 1, false)] {
        let content = len - 2;
        let head = [0x58, u8::try_from(content).unwrap()];
        let bytes = [&[0x82, 0x02, 0x9f][..], &head, &vec![0; content], &[0xff]].concat();
        assert_eq!(read(IDLE, &bytes).is_ok(), legal, "{len}");
    }
}

#[test]
fn numbers_keep_their_range() {
    assert_eq!(
        read(IDLE, &[0x84, 0, 0xf5, 0x19, 0xff, 0xff, 3]),
        Ok(request(true, 65_535, 3))
    );
    let range = |at| Err(DecodeError::Range { at });
    assert_eq!(read(IDLE, &[0x84, 0, 0xf5, 0x1a, 0, 1, 0, 0, 3]), range(3));
    assert_eq!(read(IDLE, &[0x84, 0, 0xf4, 0, 0x1a, 0, 1, 0, 0]), range(4));
    let size = [0x82, 1, 0x9f, 0x82, 5, 0x1b, 0, 0, 0, 1, 0, 0, 0, 0, 0xff];
    assert_eq!(read(TX_IDS_BLOCKING, &size), range(5));
    assert_eq!(
        read(INIT, &[0x82, 6, 0]),
        Err(DecodeError::Items { want: 1, got: 2 })
    );
}

/// Numbers of transactions as bytes, for laws about any number of them.
fn made_up(numbers: &[(u8, u32)]) -> Vec<Message> {
    let ids: Vec<TxId> = numbers.iter().map(|(n, _)| id(*n)).collect();
    let sized = ids
        .iter()
        .cloned()
        .zip(numbers.iter().map(|(_, size)| *size));
    let txs = numbers.iter().map(|(n, size)| tx(*n, *size as usize % 300));
    vec![
        Message::RequestTxs(ids.clone()),
        Message::ReplyTxIds(sized.chain([(id(0), 0)]).collect()),
        Message::ReplyTxs(txs.collect()),
        Message::Init,
        Message::Done,
    ]
}

quickcheck! {
    /// Codec laws, for every message but those of the label that two kinds share.
    fn messages_come_back(numbers: Vec<(u8, u32)>) -> bool {
        made_up(&numbers).iter().all(codec_laws::<TxSubmission>)
    }

    /// Requests for ids come back, blocking or not.
    fn requests_come_back(blocking: bool, acked: u16, wanted: u16) -> bool {
        codec_laws::<TxSubmission>(&request(blocking, acked, wanted))
    }

    /// Decoding is total.
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) -> bool {
        total::<TxSubmission>(&bytes)
    }
}

/// A queue of what one half sent and the other has not yet read.
type Pipe = VecDeque<Bytes>;

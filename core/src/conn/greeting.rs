//! The handshake on the naked bearer, before the multiplexer exists.
//!
//! Bytes are read segment by segment: what follows the handshake's last segment belongs to the
//! multiplexer; what follows the message inside that segment is dropped.
//! src: Ouroboros network specification, "Handshake mini-protocol"

use alloc::vec::Vec;
use bytes::{Buf, Bytes, BytesMut};

use super::{Cause, Fault};
use crate::{
    base::{Cx, Instant, Machine, ProtocolId, Role, Serial},
    mux,
    proto::{
        self, Half,
        handshake::{self, Agreed, Failure, VersionTable},
    },
    wire::{
        Batch, Encoded,
        frame::{HEADER_BYTES, Header},
        reassembly::Reassembly,
    },
};

/// What the handshake can be told.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Start,
    Received(Bytes),
    Tick,
}

/// What came of an event.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Nothing yet.
    Waiting,
    /// Both agreed; `rest` belongs to the multiplexer.
    Agreed {
        agreed: Agreed,
        rest: Bytes,
        greeted: u64,
    },
    /// We told the peer that it comes to nothing; it gets a while to read that.
    Refusing(Fault),
    /// The peer answered our query.
    Queried(VersionTable),
    /// It came to nothing.
    Failed(Fault),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Side {
    Client(handshake::Client),
    Server(handshake::Server),
}

/// The handshake of one connection.
///
/// Limits: unread bytes are at most what one `Received` brought and one segment; the message at
/// most what the table allows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Greeting {
    side: Side,
    unread: BytesMut,
    message: Reassembly,
    written: u64,
}

impl Greeting {
    pub(super) fn new(serial: Serial, role: Role, offer: &handshake::Config) -> Self {
        let side = match role {
            Role::Initiator => Side::Client(handshake::Client::new(serial.0, offer)),
            Role::Responder => Side::Server(handshake::Server::new(serial.0, offer)),
        };
        Self {
            side,
            unread: BytesMut::new(),
            message: Reassembly::default(),
            written: 0,
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match &self.side {
            Side::Client(half) => half.next_deadline(),
            Side::Server(half) => half.next_deadline(),
        }
    }

    /// The kernel has taken bytes of ours.
    pub(super) const fn flushed(&mut self, bytes: u64) {
        self.written = self.written.saturating_sub(bytes);
    }

    /// What the end of the socket means here: a reset while an answer is due is a refusal whose
    /// reason was lost.
    pub(super) const fn closed(&self, cause: Cause) -> Fault {
        match (&self.side, cause) {
            (Side::Client(_), Cause::Eof | Cause::Reset) => Fault::Handshake(Failure::Closed),
            _ => Fault::Lost(cause),
        }
    }

    pub(super) fn step<A>(&mut self, cx: &mut Cx<'_, A>, event: Event, out: &mut Batch) -> Outcome {
        match event {
            Event::Start => self.feed(cx, Input::Start, out),
            Event::Tick => self.feed(cx, Input::Tick, out),
            Event::Received(bytes) => {
                self.unread.extend_from_slice(&bytes);
                self.read(cx, out)
            }
        }
    }

    /// Reads segments while they are whole.
    fn read<A>(&mut self, cx: &mut Cx<'_, A>, out: &mut Batch) -> Outcome {
        loop {
            let Some(header) = self.unread.first_chunk::<HEADER_BYTES>() else {
                return Outcome::Waiting;
            };
            let header = Header::decode(*header);
            if header.protocol != ProtocolId::HANDSHAKE {
                return Outcome::Failed(Fault::Mux(mux::Error::UnknownMiniProtocol(
                    header.protocol,
                )));
            }
            let len = usize::from(header.len);
            if len == 0 {
                return Outcome::Failed(Fault::Mux(mux::Error::SduDecodeError));
            }
            if self.unread.len() < HEADER_BYTES.saturating_add(len) {
                return Outcome::Waiting;
            }
            self.unread.advance(HEADER_BYTES);
            self.message.push(self.unread.split_to(len).freeze());
            let awaits = match &self.side {
                Side::Client(half) => half.awaits(),
                Side::Server(half) => half.awaits(),
            };
            let failed = |fault| Outcome::Failed(Fault::Handshake(Failure::Protocol(fault)));
            let outcome = match self.message.next(awaits.unwrap_or(0)) {
                Ok(Some(message)) => self.feed(cx, Input::Message(message), out),
                Ok(None) => Outcome::Waiting,
                Err(error) => failed(error.into()),
            };
            match outcome {
                Outcome::Waiting => {}
                Outcome::Agreed {
                    agreed, greeted, ..
                } => {
                    let rest = core::mem::take(&mut self.unread).freeze();
                    return Outcome::Agreed {
                        agreed,
                        rest,
                        greeted,
                    };
                }
                end => return end,
            }
        }
    }

    fn feed<A>(&mut self, cx: &mut Cx<'_, A>, input: Input, out: &mut Batch) -> Outcome {
        let mut outcome = Outcome::Waiting;
        match &mut self.side {
            Side::Client(half) => {
                let mut acts = Vec::new();
                half.step(&mut cx.child(&mut acts), input.into());
                for action in acts {
                    match action {
                        proto::Action::Send(message) => {
                            self.written += send(cx.now, Role::Initiator, &message, out);
                        }
                        proto::Action::Fact(fact) => {
                            outcome = match fact {
                                handshake::client::Fact::Agreed(agreed) => {
                                    let rest = Bytes::new();
                                    Outcome::Agreed {
                                        agreed,
                                        rest,
                                        greeted: self.written,
                                    }
                                }
                                handshake::client::Fact::Refused(failure) => {
                                    Outcome::Failed(Fault::Handshake(failure))
                                }
                                handshake::client::Fact::Queried(table) => Outcome::Queried(table),
                            };
                        }
                        proto::Action::Ended => {}
                        proto::Action::Failed(fault) => {
                            outcome = Outcome::Failed(Fault::Handshake(Failure::Protocol(fault)));
                        }
                    }
                }
            }
            Side::Server(half) => {
                let mut acts = Vec::new();
                half.step(&mut cx.child(&mut acts), input.into());
                for action in acts {
                    match action {
                        proto::Action::Send(message) => {
                            self.written += send(cx.now, Role::Responder, &message, out);
                        }
                        proto::Action::Fact(fact) => {
                            outcome = match fact {
                                handshake::server::Fact::Agreed(agreed) => {
                                    let rest = Bytes::new();
                                    Outcome::Agreed {
                                        agreed,
                                        rest,
                                        greeted: self.written,
                                    }
                                }
                                handshake::server::Fact::Refusing(failure) => {
                                    Outcome::Refusing(Fault::Handshake(failure))
                                }
                                handshake::server::Fact::Queried => {
                                    Outcome::Refusing(Fault::Handshake(Failure::Query))
                                }
                            };
                        }
                        proto::Action::Ended => {}
                        proto::Action::Failed(fault) => {
                            outcome = Outcome::Failed(Fault::Handshake(Failure::Protocol(fault)));
                        }
                    }
                }
            }
        }
        outcome
    }
}

enum Input {
    Start,
    Message(Bytes),
    Tick,
}

impl<O> From<Input> for proto::Event<O> {
    fn from(input: Input) -> Self {
        match input {
            Input::Start => Self::Start,
            Input::Message(message) => Self::Received(message),
            Input::Tick => Self::Tick,
        }
    }
}

/// One message in one segment, as everybody expects it in the handshake.
fn send(now: Instant, role: Role, message: &Encoded, out: &mut Batch) -> u64 {
    let mut bytes = BytesMut::with_capacity(HEADER_BYTES.saturating_add(message.len()));
    let header = Header {
        time_us: u32::try_from(now.as_micros() & 0xffff_ffff).unwrap_or(0),
        sender: role,
        protocol: ProtocolId::HANDSHAKE,
        len: u16::try_from(message.len()).unwrap_or(u16::MAX),
    };
    bytes.extend_from_slice(&header.encode());
    bytes.extend_from_slice(&message.head);
    bytes.extend_from_slice(&message.body);
    let written = bytes.len() as u64;
    out.push(bytes.freeze());
    written
}

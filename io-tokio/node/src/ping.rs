//! A short conversation with a node over one blocking socket: handshake, probes, its tip.
//!
//! Initiator only, so the other end starts nothing of its own. Codecs and tables are the core's;
//! the little that is here sends a message as one segment and waits for the answer to it.

use std::{
    fmt,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use samanea_core::{
    base::{Cx, Instant, Machine, NoRules, ProtocolId, Role, Seeded, State, Tip},
    proto::{
        Action, Event, Protocol,
        chain_sync::{self, ChainSync},
        handshake::{self, Agreed, Mode, VersionTable, client::Fact},
        keep_alive::{self, KeepAlive},
    },
    wire::{
        Encoded,
        codec::DecodeError,
        frame::{self, Deframer, EmptySegment},
        scan::Scan,
    },
};
use samanea_std::Clock;

/// Why a conversation ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer closed the connection.
    #[error("closed by the peer")]
    Closed,
    /// The peer was silent for too long.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The handshake came to nothing.
    #[error("handshake refused: {0}")]
    Refused(handshake::Failure),
    /// The peer's bytes are no message that is due.
    #[error("{protocol}: {fault}")]
    Decode {
        /// The mini-protocol.
        protocol: &'static str,
        /// What is wrong.
        fault: DecodeError,
    },
    /// The peer's segments mean nothing.
    #[error(transparent)]
    Segment(#[from] EmptySegment),
    /// An answer that is no answer to what was asked, or a longer one than is due.
    #[error("{0}: not the answer that is due")]
    Unexpected(&'static str),
}

/// What came of the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// Both ends agreed.
    Agreed(Agreed),
    /// The peer's versions, when only those were asked for.
    Versions(VersionTable),
}

/// A connection to a node.
#[derive(Debug)]
pub struct Conversation {
    stream: TcpStream,
    clock: Clock,
    timeout: Duration,
    deframer: Deframer,
    /// What was read and not yet cut.
    input: Bytes,
}

/// The longest answer in bytes, inclusive.
/// src: Ouroboros network specification, byte limits of the states asked in
const ANSWER_BYTES_MAX: usize = 65_535;

impl Conversation {
    /// Connects; `timeout` bounds this and the wait for each answer.
    pub fn connect(remote: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&remote, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self {
            stream,
            clock: Clock::starting_at(Instant::ZERO),
            timeout,
            deframer: Deframer::new(),
            input: Bytes::new(),
        })
    }

    /// Proposes our versions for the network with this magic number; with `query` only asks for
    /// the other's, and the conversation is over.
    pub fn greet(&mut self, magic: u32, query: bool) -> Result<Greeting, Error> {
        let mut offer = handshake::Config::new(magic);
        offer.mode = Mode::InitiatorOnly;
        offer.query = query;
        let mut client = handshake::Client::new(0, &offer);
        let mut chance = Seeded::new(0);
        let mut event = Event::Start;
        loop {
            let mut actions = Vec::new();
            let now = self.clock.now();
            client.step(
                &mut Cx::new(now, &mut chance, &NoRules, &mut actions),
                event,
            );
            for action in actions {
                match action {
                    Action::Send(message) => self.send(ProtocolId::HANDSHAKE, &message)?,
                    Action::Fact(Fact::Agreed(agreed)) => return Ok(Greeting::Agreed(agreed)),
                    Action::Fact(Fact::Queried(table)) => return Ok(Greeting::Versions(table)),
                    Action::Fact(Fact::Refused(failure)) => return Err(Error::Refused(failure)),
                    Action::Failed(fault) => {
                        return Err(Error::Refused(handshake::Failure::Protocol(fault)));
                    }
                    Action::Ended => return Err(Error::Closed),
                }
            }
            event = Event::Received(self.receive(ProtocolId::HANDSHAKE, "handshake")?);
        }
    }

    /// Sends a probe and waits until it comes back.
    pub fn probe(&mut self, cookie: u16) -> Result<Duration, Error> {
        let began = self.clock.now();
        self.say::<KeepAlive>(&keep_alive::Message::KeepAlive(cookie))?;
        match self.hear::<KeepAlive>(keep_alive::SERVER)? {
            keep_alive::Message::Response(back) if back == cookie => {
                Ok(self.clock.now().since(began))
            }
            _ => Err(Error::Unexpected(KeepAlive::SPEC.name)),
        }
    }

    /// Asks for the tip: no point is offered, so none is found, and nothing follows.
    pub fn tip(&mut self) -> Result<Tip, Error> {
        self.say::<ChainSync>(&chain_sync::Message::FindIntersect(Vec::new()))?;
        match self.hear::<ChainSync>(chain_sync::INTERSECT)? {
            chain_sync::Message::IntersectNotFound { tip } => Ok(tip),
            _ => Err(Error::Unexpected(ChainSync::SPEC.name)),
        }
    }

    /// Says goodbye and closes in order.
    pub fn close(mut self) -> Result<(), Error> {
        self.say::<ChainSync>(&chain_sync::Message::Done)?;
        self.say::<KeepAlive>(&keep_alive::Message::Done)?;
        self.stream.shutdown(Shutdown::Write)?;
        Ok(())
    }

    fn say<P: Protocol>(&mut self, message: &P::Message) -> Result<(), Error> {
        let mut head = BytesMut::new();
        let body = P::encode(message, &mut head);
        let head = head.freeze();
        self.send(P::SPEC.protocol, &Encoded { head, body })
    }

    fn send(&mut self, protocol: ProtocolId, message: &Encoded) -> Result<(), Error> {
        let time = self.clock.now().as_micros() & u64::from(u32::MAX);
        let time = u32::try_from(time).unwrap_or(0);
        let segment = frame::segment(time, Role::Initiator, protocol, message)
            .ok_or(Error::Unexpected("a message of ours"))?;
        self.stream.write_all(&segment)?;
        Ok(())
    }

    fn hear<P: Protocol>(&mut self, state: State) -> Result<P::Message, Error> {
        let protocol = P::SPEC.name;
        let bytes = self.receive(P::SPEC.protocol, protocol)?;
        P::decode(state, &bytes).map_err(|fault| Error::Decode { protocol, fault })
    }

    /// One whole message of this mini-protocol. Nothing else is due, so anything else ends it.
    fn receive(&mut self, protocol: ProtocolId, name: &'static str) -> Result<Bytes, Error> {
        let until = self.clock.now().after(self.timeout);
        let (mut scan, mut answer) = (Scan::new(), BytesMut::new());
        loop {
            while let Some(piece) = self.deframer.next(&mut self.input)? {
                let from_responder = piece.header.sender == Role::Responder;
                if !from_responder || piece.header.protocol != protocol {
                    return Err(Error::Unexpected(name));
                }
                let end = scan.feed(&piece.bytes).map_err(|fault| Error::Decode {
                    protocol: name,
                    fault,
                })?;
                let bytes = piece.bytes.get(..end.unwrap_or(piece.bytes.len()));
                answer.extend_from_slice(bytes.unwrap_or_default());
                if answer.len() > ANSWER_BYTES_MAX {
                    return Err(Error::Unexpected(name));
                }
                if end.is_some() {
                    return Ok(answer.freeze());
                }
            }
            self.read(until)?;
        }
    }

    fn read(&mut self, until: Instant) -> Result<(), Error> {
        let left = self.clock.until(until);
        if left.is_zero() {
            return Err(Error::Silent(self.timeout));
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut buffer = BytesMut::zeroed(READ_BYTES);
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(Error::Closed),
            Ok(read) => {
                buffer.truncate(read);
                self.input = buffer.freeze();
                Ok(())
            }
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => Ok(()),
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    Err(Error::Silent(self.timeout))
                }
                _ => Err(error.into()),
            },
        }
    }
}

/// What is read at a time.
const READ_BYTES: usize = 4_096;

impl fmt::Display for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agreed(agreed) => line(f, agreed.version, Some(&agreed.data)),
            Self::Versions(table) => {
                for (at, (version, data)) in table.0.iter().enumerate() {
                    if at > 0 {
                        f.write_str("\n")?;
                    }
                    let data = handshake::VersionData::decode(*version, data);
                    line(f, *version, data.as_ref().ok())?;
                }
                Ok(())
            }
        }
    }
}

fn line(
    f: &mut fmt::Formatter<'_>,
    version: handshake::Version,
    data: Option<&handshake::VersionData>,
) -> fmt::Result {
    write!(f, "version {version}")?;
    if handshake::is_ours(version) {
        write!(
            f,
            " ({} with our own protocols)",
            version & !handshake::OURS
        )?;
    }
    let Some(data) = data else {
        return f.write_str(", settings cannot be read");
    };
    let mode = match data.mode {
        Mode::InitiatorOnly => "initiator only",
        Mode::InitiatorAndResponder => "initiator and responder",
    };
    let sharing = if data.peer_sharing { "on" } else { "off" };
    write!(f, ", magic {}, {mode}, peer sharing {sharing}", data.magic)
}

//! The jobs done by our own stack.

use std::time::Duration;

use bytes::Bytes;
use samanea_core::{
    conn::{self, Profile},
    node::{Command, Config, Engine},
    proto::handshake::{self, Mode},
};

use super::{
    chain::header,
    host::{News, Running},
    hosted::Driver,
    pipe::{Load, Pipe},
    support::now,
};

pub(crate) const MAGIC: u32 = 42;

/// Two ends over a bare connection: from the order to the last message.
pub(crate) fn pipe(driver: Driver, load: &Load) -> Duration {
    let start = |serves| end(driver, load, serves);
    let (server, client) = (start(true), start(false));
    client.command(Command::AddPeer(server.addr()));
    client.wait_for(News::Up);
    let begin = now();
    client.command(Command::Extend {
        header: Bytes::new(),
    });
    client.wait_for(News::Over) - begin
}

/// One end of a bare connection.
pub(crate) fn end(driver: Driver, load: &Load, serves: bool) -> Running {
    let profile = Profile {
        offer: handshake::Config {
            magic: MAGIC,
            mode: Mode::InitiatorAndResponder,
            peer_sharing: false,
            query: false,
            own_versions: true,
            experimental: false,
        },
        config: conn::Config::default(),
    };
    let machine = Pipe::new(load.clone(), profile);
    Running::start(driver, machine, Bytes::new(), serves)
}

/// Two whole nodes: one has a chain of `count` blocks with headers of `header_bytes` bytes, the
/// other follows it and fetches all bodies; from the handshake to its last block.
pub(crate) fn node(driver: Driver, count: usize, header_bytes: usize, body: &Bytes) -> Duration {
    let start = |serves| {
        let mut config = Config::new(MAGIC);
        config.chain.k = 1_000_000;
        let engine = Engine::new(config);
        Running::start(driver, engine, body.clone(), serves)
    };
    let (server, client) = (start(true), start(false));
    for number in 0..count {
        let header = header(number as u64, header_bytes);
        server.command(Command::Extend { header });
    }
    let last = News::Tip(count as u64 - 1);
    server.wait_for(last);
    client.command(Command::AddPeer(server.addr()));
    let begin = client.wait_for(News::Up);
    client.wait_for(last) - begin
}

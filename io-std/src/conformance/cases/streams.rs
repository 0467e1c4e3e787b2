//! Bytes come back as they were sent.

use std::{io::Read, sync::Arc};

use samanea_core::{conn::Cause, node::Command};

use super::{
    super::{Driver, Plan, Seen, pattern},
    Stage, TEN_MB, listening,
};
use crate::{NoApplication, Options};

pub(super) fn echo(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            echoes: true,
            ..Plan::default()
        },
    );
    let client = Stage::new(
        driver,
        Plan {
            sends: TEN_MB,
            wants: TEN_MB,
            closes: Some(false),
            ..Plan::default()
        },
    );
    client.dial(server.addr());
    client.wait_for(&Seen::Complete);
    server.wait_for(&Seen::Closed(Cause::Eof));
    assert_eq!(server.read(|script| script.received), TEN_MB);
    assert_eq!(server.read(|script| script.flushed), TEN_MB);
    server.end();
    client.end();
}

pub(super) fn many(driver: &dyn Driver) {
    const CONNS: usize = 40;
    let server = Stage::new(
        driver,
        Plan {
            accepts: 40,
            echoes: true,
            window_bytes: 4_096,
            ..Plan::default()
        },
    );
    let client = Stage::new(
        driver,
        Plan {
            sends: 100_000,
            wants: 100_000,
            piece_bytes: 700,
            window_bytes: 10_000,
            closes: Some(false),
            ..Plan::default()
        },
    );
    for _ in 0..CONNS {
        client.dial(server.addr());
    }
    for _ in 0..CONNS {
        client.wait_for(&Seen::Complete);
    }
    for _ in 0..CONNS {
        server.wait_for(&Seen::Closed(Cause::Eof));
    }
    assert_eq!(client.read(|script| script.received), 4_000_000);
    server.end();
    client.end();
}

pub(super) fn one_byte_window(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            echoes: true,
            window_bytes: 1,
            ..Plan::default()
        },
    );
    let client = Stage::new(
        driver,
        Plan {
            sends: 300,
            wants: 300,
            window_bytes: 1,
            ..Plan::default()
        },
    );
    client.dial(server.addr());
    client.wait_for(&Seen::Complete);
    server.end();
    client.end();
}

pub(super) fn pieces(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            wants: 30_000,
            ..Plan::default()
        },
    );
    let client = Stage::new(
        driver,
        Plan {
            sends: 30_000,
            piece_bytes: 7,
            pieces: 5_000,
            ..Plan::default()
        },
    );
    client.dial(server.addr());
    server.wait_for(&Seen::Complete);
    server.end();
    client.end();
}

pub(super) fn crowd(driver: &dyn Driver) {
    const ROUNDS: u64 = 100;
    const THREADS: u64 = 3;
    const BYTES: u16 = 60_000;
    let all = ROUNDS * THREADS * 2 * u64::from(BYTES);
    // Little room, so that the socket is full again and again.
    let options = Options {
        unsent_bytes: 4_096,
        ..listening()
    };
    let plan = Plan {
        accepts: 1,
        window_bytes: 64 << 20,
        ..Plan::default()
    };
    let server = Stage::with(driver, plan, Arc::new(NoApplication), options);
    let mut raw = server.raw();
    server.wait_for(&Seen::Offered(raw.local_addr().unwrap()));
    let node = &*server.node;
    let more = || {
        node.command(Command::SampleTips {
            count: BYTES,
            slot: 0,
        });
    };
    let (mut at, mut piece) = (0, vec![0; 1 << 16]);
    for round in 1..=ROUNDS {
        std::thread::scope(|scope| {
            // Half of it fills the socket; the other half comes while the peer reads.
            (0..THREADS).for_each(|_| more());
            for _ in 0..THREADS {
                scope.spawn(more);
            }
            // The round ends when all has come: nothing else would set it going again.
            while at < all / ROUNDS * round {
                let wanted = 1 + usize::try_from(at * 7 % 65_000).unwrap();
                let bytes = raw.read(&mut piece[..wanted]).unwrap();
                assert!(bytes > 0, "ended after {at} bytes");
                for byte in &piece[..bytes] {
                    assert_eq!(*byte, pattern(at), "at {at}");
                    at += 1;
                }
            }
        });
    }
    while server.read(|script| script.flushed) < all {
        server.wait_for(&Seen::Sent);
    }
    server.end();
}

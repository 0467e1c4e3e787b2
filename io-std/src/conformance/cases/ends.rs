//! Ends of connections and of nodes.

use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::Arc,
    time::Duration,
};

use samanea_core::{conn::Cause, node::Command};

use super::{
    super::{Driver, PATIENCE, Plan, Seen},
    Stage, TEN_MB, expected, listening,
};
use crate::{Application, NoApplication, Options, socket};

/// Nodes that are stopped just when they have closed a connection.
const RACES: u32 = 100;

pub(super) fn reset_by_peer(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            ..Plan::default()
        },
    );
    let raw = server.raw();
    server.wait_for(&Seen::Offered(raw.local_addr().unwrap()));
    socket::reset_on_close(&raw);
    drop(raw);
    assert_eq!(server.next(), Seen::Closed(Cause::Reset));
    server.end();
}

pub(super) fn ended_by_peer(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            wants: 200_000,
            ..Plan::default()
        },
    );
    let mut raw = server.raw();
    raw.write_all(&expected(200_000)).unwrap();
    drop(raw);
    server.wait_for(&Seen::Complete);
    assert_eq!(server.next(), Seen::Closed(Cause::Eof));
    server.end();
}

pub(super) fn answered_by_reset(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            echoes: true,
            ..Plan::default()
        },
    );
    let mut raw = server.raw();
    raw.write_all(&expected(10)).unwrap();
    raw.read_exact(&mut [0; 10]).unwrap();
    socket::close_in_order(&raw).unwrap();
    let error = raw.read(&mut [0; 16]).expect_err("no orderly end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    server.wait_for(&Seen::Closed(Cause::Eof));
    server.end();
}

pub(super) fn answered_in_order(driver: &dyn Driver) {
    const ALL: u64 = 40 << 20;
    let options = Options {
        close_timeout: PATIENCE,
        ..listening()
    };
    let plan = Plan {
        accepts: 1,
        sends: ALL,
        // More than the kernel takes.
        window_bytes: ALL,
        ..Plan::default()
    };
    let server = Stage::with(driver, plan, Arc::new(NoApplication), options);
    let mut raw = server.raw();
    server.wait_for(&Seen::Full);
    socket::close_in_order(&raw).unwrap();
    server.wait_for(&Seen::Closed(Cause::Eof));
    let mut all = Vec::new();
    raw.read_to_end(&mut all).expect("an orderly end");
    assert!(all == expected(ALL), "all bytes in order");
    server.end();
}

pub(super) fn reset_by_node(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            ..Plan::default()
        },
    );
    let mut raw = server.raw();
    let remote = raw.local_addr().unwrap();
    server.wait_for(&Seen::Offered(remote));
    server.node.command(Command::RemovePeer(remote));
    let error = raw.read(&mut [0; 16]).expect_err("no orderly end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    server.end();
}

pub(super) fn orderly(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            sends: 3_000_000,
            // All of it is asked for at once, and the close with it.
            window_bytes: 4_000_000,
            closes: Some(false),
            ..Plan::default()
        },
    );
    let mut raw = server.raw();
    // Unread bytes at the other end must not destroy what is on its way.
    raw.write_all(&[1; 1_000]).unwrap();
    let mut all = Vec::new();
    raw.read_to_end(&mut all).expect("an orderly end");
    assert!(all == expected(3_000_000), "all bytes in order");
    drop(raw);
    server.end();
}

pub(super) fn orderly_timeout(driver: &dyn Driver) {
    let options = Options {
        close_timeout: Duration::from_millis(20),
        ..listening()
    };
    let plan = Plan {
        accepts: 1,
        sends: 40 << 20,
        // More than the kernel takes.
        window_bytes: 40 << 20,
        closes: Some(false),
        ..Plan::default()
    };
    let server = Stage::with(driver, plan, Arc::new(NoApplication), options);
    let mut raw = server.raw();
    server.wait_for(&Seen::Offered(raw.local_addr().unwrap()));
    // Whoever does not read is reset: `end` waits for the connection to be gone.
    server.end();
    let mut all = Vec::new();
    let error = raw.read_to_end(&mut all).expect_err("no orderly end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(all.len() < 40 << 20);
}

/// The thread that has just ended a connection may not have told others of it when the node stops.
pub(super) fn orderly_at_shutdown(driver: &dyn Driver) {
    for _ in 0..RACES {
        let options = Options {
            close_timeout: Duration::from_millis(2),
            ..listening()
        };
        let plan = Plan {
            accepts: 1,
            wants: 1,
            sends: 100,
            closes: Some(false),
            ..Plan::default()
        };
        let server = Stage::with(driver, plan, Arc::new(NoApplication), options);
        let mut raw = server.raw();
        raw.write_all(&expected(1)).unwrap();
        let mut all = Vec::new();
        raw.read_to_end(&mut all).expect("an orderly end");
        assert_eq!(all, expected(100));
        // Which never ends its own half.
        server.end();
        drop(raw);
    }
}

pub(super) fn shutdown(driver: &dyn Driver) {
    let app = Arc::new(NoApplication);
    let server = Stage::with(
        driver,
        Plan {
            accepts: 5,
            sends: TEN_MB,
            wakes: Some(Duration::from_hours(1)),
            ..Plan::default()
        },
        Arc::clone(&app) as Arc<dyn Application>,
        listening(),
    );
    // One is idle, one does not read, one dials, and the listener waits.
    let idle = server.raw();
    let mut full = server.raw();
    full.read_exact(&mut [0; 1_000]).unwrap();
    server.dial(server.addr());
    server.wait_for(&Seen::Full);
    let addr = server.addr();
    server.end();
    assert_eq!(Arc::strong_count(&app), 1, "nobody holds the application");
    assert!(TcpStream::connect(addr).is_err(), "nobody listens");
    drop(idle);
}

/// Says never that it has stopped.
pub(super) fn stubborn(driver: &dyn Driver) {
    let options = Options {
        shutdown_timeout: Duration::ZERO,
        ..listening()
    };
    let plan = Plan {
        accepts: 2,
        ..Plan::default()
    };
    let server = Stage::with(driver, plan, Arc::new(NoApplication), options);
    let mut raw = server.raw();
    server.wait_for(&Seen::Offered(raw.local_addr().unwrap()));
    server.end();
    assert!(raw.read(&mut [0; 16]).is_err(), "it is reset");
}

/// Neither the node nor its peers are told.
pub(super) fn killed(driver: &dyn Driver) {
    let app = Arc::new(NoApplication);
    let plan = Plan {
        accepts: 2,
        sends: TEN_MB,
        ..Plan::default()
    };
    let server = Stage::with(
        driver,
        plan,
        Arc::clone(&app) as Arc<dyn Application>,
        listening(),
    );
    let mut raw = server.raw();
    server.wait_for(&Seen::Full);
    let addr = server.addr();
    server.node.kill();
    assert!(server.node.wait(), "all of it ends");
    let mut rest = Vec::new();
    assert!(raw.read_to_end(&mut rest).is_err(), "it is reset");
    assert!((rest.len() as u64) < TEN_MB, "nothing is written first");
    assert!(TcpStream::connect(addr).is_err(), "nobody listens");
    // A node that is gone takes no orders, and can be ended once more.
    server.dial(addr);
    server.end();
    assert_eq!(Arc::strong_count(&app), 1, "nobody holds the application");
}

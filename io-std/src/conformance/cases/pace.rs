//! Accepting, reading and waking at the right time.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use bytes::Bytes;
use samanea_core::{base::Instant, conn::Cause, node::Command};

use super::{
    super::{Driver, Plan, Seen},
    QUIET, Stage, expected, poke,
};

pub(super) fn accepts(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 2,
            echoes: true,
            ..Plan::default()
        },
    );
    let mut raws: Vec<TcpStream> = (0..4).map(|_| server.raw()).collect();
    for raw in &mut raws {
        raw.write_all(&expected(1)).unwrap();
    }
    let mut back = [0];
    for raw in raws.iter_mut().take(2) {
        raw.read_exact(&mut back).unwrap();
    }
    assert_eq!(server.read(|script| script.offered), 2);
    server.node.command(Command::Extend {
        header: Bytes::new(),
    });
    raws[2].read_exact(&mut back).unwrap();
    assert_eq!(server.read(|script| script.offered), 3);
    server.end();
}

pub(super) fn not_adopted(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            adopts: false,
            ..Plan::default()
        },
    );
    let error = server.raw().read(&mut [0; 16]).expect_err("no orderly end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    server.end();
}

pub(super) fn slow_reader(driver: &dyn Driver) {
    const ALL: u64 = 40 << 20;
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            sends: ALL,
            ..Plan::default()
        },
    );
    let mut raw = server.raw();
    server.wait_for(&Seen::Full);
    // Until the kernel takes no more; a wait that is too short only makes the case easier.
    while server.seen.recv_timeout(QUIET).is_ok() {}
    assert!(server.read(|script| script.flushed) < ALL);
    let mut all = vec![0; usize::try_from(ALL).unwrap()];
    raw.read_exact(&mut all).unwrap();
    assert!(all == expected(ALL), "all bytes in order");
    server.wait_for(&Seen::Sent);
    assert_eq!(server.read(|script| script.flushed), ALL);
    assert_eq!(
        server.read(|script| script.in_flight_max),
        Plan::default().window_bytes
    );
    server.end();
}

pub(super) fn paused(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            reads: false,
            ..Plan::default()
        },
    );
    let mut raw = server.raw();
    server.wait_for(&Seen::Offered(raw.local_addr().unwrap()));
    // The step that adopts also pauses, so not one byte gets through.
    raw.set_nonblocking(true).unwrap();
    let all = expected(64 << 20);
    let mut sent = 0;
    while let Ok(bytes) = raw.write(&all[sent..]) {
        sent += bytes;
    }
    assert!(sent < all.len(), "the kernel's buffers are bounded");
    assert_eq!(server.read(|script| script.received), 0);
    server.node.command(Command::Extend {
        header: Bytes::new(),
    });
    raw.set_nonblocking(false).unwrap();
    raw.write_all(&all[sent..]).unwrap();
    drop(raw);
    server.wait_for(&Seen::Closed(Cause::Eof));
    assert_eq!(server.read(|script| script.received), 64 << 20);
    server.end();
}

pub(super) fn deadline(driver: &dyn Driver) {
    let wakes = Duration::from_millis(20);
    let due = Some(Instant::ZERO.after(wakes));
    let node = Stage::new(
        driver,
        Plan {
            wakes: Some(wakes),
            ..Plan::default()
        },
    );
    let Seen::Ticked { now, due: told } = node.next() else {
        panic!("a tick comes first");
    };
    assert_eq!(told, due);
    assert!(Some(now) >= due, "never early");
    assert!(node.seen.try_recv().is_err(), "once");
    node.end();
}

pub(super) fn earlier(driver: &dyn Driver) {
    let node = Stage::new(
        driver,
        Plan {
            wakes: Some(Duration::from_hours(1)),
            ..Plan::default()
        },
    );
    node.node.command(poke());
    loop {
        if let Seen::Ticked { now, due } = node.next() {
            assert!(due.is_some_and(|due| due <= now && due < Instant::from_secs(3_600)));
            break;
        }
    }
    node.end();
}

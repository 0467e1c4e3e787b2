//! The table of connections on a real kernel, under both drivers.

#[path = "support/live.rs"]
mod live;

use std::{
    io::{ErrorKind, Read as _},
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use live::{DRIVERS, Driver, Live, MAGIC, PATIENCE, idle, probe, raw};
use samanea_core::{
    manager::{Limits, Provenance, State},
    node::{Command, Config, Notice},
};
use samanea_std::Options;

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn start(driver: Driver) -> Live {
    Live::start(driver, Config::new(MAGIC), &[free()])
}

fn limits(soft: u32, hard: u32) -> Limits {
    Limits {
        soft,
        hard,
        delay: Duration::from_millis(10),
    }
}

/// The state of the only connection with this peer, and who dialled.
fn only(node: &Live, remote: SocketAddr) -> (State, Provenance) {
    let explained = node.with_engine(|engine| engine.explain(remote));
    let [conn] = &explained.conns[..] else {
        panic!("{explained}");
    };
    (conn.state, conn.provenance)
}

/// Waits until both use one connection: each has the other's hot protocols running, and probes come
/// back to each.
fn used_both_ways(ends: [&Live; 2]) {
    for node in ends {
        node.told.wait_for("used both ways", |notice| {
            matches!(notice, Notice::Connections(counters)
                if (counters.full_duplex, counters.remote_hot) == (1, 1))
        });
        node.told.wait_for("a probe", |notice| {
            matches!(notice, Notice::RoundTrip { .. })
        });
    }
}

/// The first segment of one dial is dropped, because the other has no room and its queue is full;
/// so that dial still waits when the other's arrives. Being used by its peer then makes it one too
/// many, and the stranger goes.
#[cfg(target_os = "linux")]
#[test]
fn a_simultaneous_open_of_two_listening_nodes_ends_in_one_connection_used_both_ways() {
    for driver in DRIVERS {
        let one = start(driver);
        let mut config = Config::new(MAGIC);
        config.manager.limits = limits(1, 1);
        let mut options = Options::default();
        options.listen = vec![free()];
        options.backlog = 0;
        let other = Live::with(driver, config, options);
        let mut stranger = raw(other.addr());
        await_offer(&other, 1);
        let in_queue = raw(other.addr());

        one.command(Command::AddPeer(other.addr()));
        while !is_dialling(one.addr(), other.addr()) {
            std::thread::yield_now();
        }
        other.command(Command::AddPeer(one.addr()));
        used_both_ways([&one, &other]);

        for (node, peer) in [(&one, &other), (&other, &one)] {
            let state = only(node, peer.addr());
            assert_eq!(state, (State::Duplex, Provenance::Outbound));
            assert_eq!(node.sockets.dialled(), 1);
        }
        assert_eq!(one.sockets.offered(), 0, "nobody accepted");
        let error = stranger.read(&mut [0; 64]).expect_err("a reset");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(other.sockets.offered(), 1);
        drop(in_queue);
        one.stop();
        other.stop();
    }
}

/// Whether the kernel has a connection in the state `SYN_SENT` between these.
#[cfg(target_os = "linux")]
fn is_dialling(from: SocketAddr, to: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let [from, to] = [from, to].map(|addr| format!(":{:04X}", addr.port()));
    table.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words[..], [_, near, far, "02", ..] if near.ends_with(&from) && far.ends_with(&to))
    })
}

#[test]
fn an_inbound_connection_is_used_the_other_way_without_a_second_dial() {
    for driver in DRIVERS {
        let (one, other) = (start(driver), start(driver));
        one.command(Command::AddPeer(other.addr()));
        other.told.wait_for(
            "the peer uses it",
            |notice| matches!(notice, Notice::Connections(counters) if counters.remote_hot == 1),
        );
        // The dial left from the address on which the other listens, so that is its name.
        let state = only(&other, one.addr());
        assert_eq!(state, (State::InboundDup, Provenance::Inbound));

        other.command(Command::AddPeer(one.addr()));
        used_both_ways([&one, &other]);
        let ours = only(&one, other.addr());
        assert_eq!(ours, (State::Duplex, Provenance::Outbound));
        let theirs = only(&other, one.addr());
        assert_eq!(theirs, (State::Duplex, Provenance::Inbound));
        assert_eq!((one.sockets.dialled(), one.sockets.offered()), (1, 0));
        assert_eq!((other.sockets.dialled(), other.sockets.offered()), (0, 1));
        one.stop();
        other.stop();
    }
}

#[test]
fn two_nodes_that_add_each_other_at_once_come_to_use_one_connection() {
    for driver in DRIVERS {
        let (one, other) = (start(driver), start(driver));
        one.command(Command::AddPeer(other.addr()));
        other.command(Command::AddPeer(one.addr()));
        used_both_ways([&one, &other]);
        assert_eq!(only(&one, other.addr()).0, State::Duplex);
        assert_eq!(only(&other, one.addr()).0, State::Duplex);
        one.stop();
        other.stop();
    }
}

/// Two listeners, one for each family, each ask for one connection while there is room for one.
#[test]
fn a_connection_beyond_the_hard_limit_is_reset_without_a_byte() {
    for driver in DRIVERS {
        let mut config = Config::new(MAGIC);
        config.manager.limits = limits(1, 1);
        let listen = [free(), "[::1]:0".parse().unwrap()];
        let node = Live::start(driver, config, &listen);
        let [four, six] = *node.listening() else {
            panic!("two listeners");
        };
        let mut first = idle(four);
        let mut second = raw(six);
        let error = second
            .read(&mut [0; 64])
            .expect_err("no byte and no orderly end");
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(node.sockets.offered(), 2);

        // Later ones wait in the kernel's queue, and the first is served as before.
        let third = raw(six);
        probe(&mut first);
        assert_eq!(node.sockets.offered(), 2);
        assert_eq!(
            node.with_engine(|engine| engine.manager().counters().inbound),
            1
        );
        drop(first);
        await_offer(&node, 3);
        drop(third);
        node.stop();
    }
}

/// Waits until so many were offered: a connection of the kernel's queue is told by nothing else.
fn await_offer(node: &Live, offered: u32) {
    let began = samanea_std::Clock::starting_at(samanea_core::base::Instant::ZERO);
    while node.sockets.offered() < offered {
        assert!(began.now().since(samanea_core::base::Instant::ZERO) < PATIENCE);
        std::thread::yield_now();
    }
}

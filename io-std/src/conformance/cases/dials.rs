//! Dials.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use samanea_core::{conn::Cause, node::Command};

use super::{
    super::{Driver, Plan, Seen},
    Stage, listening,
};
use crate::{NoApplication, Options};

pub(super) fn refused(driver: &dyn Driver) {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let client = Stage::new(driver, Plan::default());
    client.dial(nobody);
    assert_eq!(client.next(), Seen::ConnectFailed(Cause::Refused));
    client.end();
}

pub(super) fn bound(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            ..Plan::default()
        },
    );
    let client = bound_stage(driver, Plan::default(), listening());
    client.dial(server.addr());
    server.wait_for(&Seen::Offered(client.addr()));
    client.wait_for(&Seen::Connected(client.addr()));
    server.end();
    client.end();
}

/// A node that binds the address on which it listens.
fn bound_stage(driver: &dyn Driver, plan: Plan, options: Options) -> Stage {
    let free = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let options = Options {
        listen: vec![free],
        ..options
    };
    let plan = Plan {
        bind: Some(free),
        ..plan
    };
    Stage::with(driver, plan, Arc::new(NoApplication), options)
}

pub(super) fn beside(driver: &dyn Driver) {
    let plan = Plan {
        accepts: 1,
        sends: 1,
        wants: 1,
        ..Plan::default()
    };
    let one = bound_stage(driver, plan, listening());
    let other = bound_stage(driver, plan, listening());
    one.dial(other.addr());
    one.wait_for(&Seen::Complete);
    other.wait_for(&Seen::Complete);
    for (from, to) in [(&one, &other), (&other, &one)] {
        from.dial(to.addr());
        from.wait_for(&Seen::ConnectFailed(Cause::AddressInUse));
    }
    one.end();
    other.end();
}

/// The first segment of one dial is dropped, because the other's queue is full.
pub(super) fn crossed(driver: &dyn Driver) {
    // What a queue holds, and what happens when it is full, differs elsewhere.
    if !cfg!(target_os = "linux") {
        return;
    }
    let plan = Plan {
        sends: 1,
        wants: 1,
        ..Plan::default()
    };
    let full = Options {
        backlog: 0,
        ..listening()
    };
    let one = bound_stage(driver, plan, listening());
    let other = bound_stage(driver, plan, full);
    let _in_queue = other.raw();
    one.dial(other.addr());
    while !is_dialling(one.addr(), other.addr()) {
        std::thread::yield_now();
    }
    other.dial(one.addr());
    for node in [one, other] {
        node.wait_for(&Seen::Connected(node.addr()));
        node.wait_for(&Seen::Complete);
        assert_eq!(node.read(|script| script.offered), 0);
        node.end();
    }
}

pub(super) fn given_up(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 8,
            ..Plan::default()
        },
    );
    let client = Stage::new(driver, Plan::default());
    for _ in 0..8 {
        client.dial(server.addr());
        client.node.command(Command::RemovePeer(server.addr()));
    }
    // `end` finds events of connections that the node has closed.
    client.end();
    server.end();
}

/// Whether the kernel has a connection in the state `SYN_SENT` between these.
fn is_dialling(from: SocketAddr, to: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let [from, to] = [from, to].map(|addr| format!(":{:04X}", addr.port()));
    table.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words[..], [_, near, far, "02", ..] if near.ends_with(&from) && far.ends_with(&to))
    })
}

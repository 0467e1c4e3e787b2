//! A process without descriptors.

use std::{fs::File, net::TcpListener, sync::Arc};

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use samanea_core::{conn::Cause, node::Command};

use super::{
    Driver, Plan, Seen,
    cases::{Stage, listening},
};
use crate::{NoApplication, descriptors};

/// Dials and accepts fail one by one when the process has no descriptors left, and work again when
/// it has. To be the only test of its process, whose limit it changes.
///
/// # Panics
///
/// When the case fails.
pub fn without_descriptors(driver: &dyn Driver) {
    let before = getrlimit(Resource::Nofile);
    let few = Rlimit {
        current: Some(FEW),
        ..before
    };
    setrlimit(Resource::Nofile, few).expect("less is allowed");
    assert_eq!(descriptors::limit(), Some(FEW));

    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let elsewhere = (elsewhere.local_addr().unwrap(), elsewhere);
    let node = Stage::with(
        driver,
        Plan::default(),
        Arc::new(NoApplication),
        listening(),
    );
    // It waits in the kernel's queue.
    let raw = node.raw();
    let mut all = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        all.push(file);
    }

    node.dial(elsewhere.0);
    assert_eq!(node.next(), Seen::ConnectFailed(Cause::Resources));
    for _ in 0..2 {
        node.node.command(accept_one());
        assert_eq!(node.next(), Seen::AcceptFailed(Cause::Resources));
    }

    drop(all);
    node.dial(elsewhere.0);
    assert!(matches!(node.next(), Seen::Connected(_)));
    node.node.command(accept_one());
    assert_eq!(node.next(), Seen::Offered(raw.local_addr().unwrap()));
    node.end();

    assert_eq!(descriptors::raise(FEW + 1), Some(FEW + 1));
    assert_eq!(descriptors::raise(FEW), Some(FEW + 1), "never lower");
    let current = before.current.unwrap_or(FEW + 2);
    assert_eq!(descriptors::raise(current), Some(current));
}

fn accept_one() -> Command {
    Command::Extend {
        header: Bytes::new(),
    }
}

const FEW: u64 = 64;

//! Thousands of idle inbound connections on a real kernel, and the memory of each.

use std::{
    fs,
    io::{self, Write as _},
    net::TcpStream,
    time::Duration,
};

use samanea_core::{
    manager::{Counters, Limits},
    node::{Command, Config, Notice},
};
use samanea_std::descriptors;

use crate::live::{Driver, Live, MAGIC, idle, probe};

/// Idle connections, where the process may have as many descriptors.
const CONNS: u32 = 5_000;
/// Connections that are there before memory is looked at, so that nothing is counted that all of
/// them share.
const BEFORE: u32 = 100;

/// Holds idle connections at a node, tells what each takes, and ends them. For a process that does
/// nothing else: the memory is the process's.
pub(crate) fn hold(driver: Driver, aim_bytes: u64) {
    let conns = affordable();
    let all = conns + BEFORE;
    let mut config = Config::new(MAGIC);
    config.manager.entries_max = 2 * CONNS as usize;
    config.manager.limits = Limits {
        soft: all,
        hard: all,
        delay: Duration::from_millis(1),
    };
    let node = Live::start(driver, config, &[([127, 0, 0, 1], 0).into()]);

    let mut raws: Vec<TcpStream> = (0..BEFORE).map(|_| idle(node.addr())).collect();
    let before = resident_bytes();
    raws.extend((0..conns).map(|_| idle(node.addr())));
    let each = resident_bytes().saturating_sub(before) / u64::from(conns);
    let mut out = io::stderr();
    writeln!(
        out,
        "{driver:?}: {conns} idle inbound connections, {each} bytes of process memory each \
         (aim: {aim_bytes})"
    )
    .unwrap();
    let counters = node.with_engine(|engine| engine.manager().counters());
    assert_eq!((counters.inbound, counters.remote_warm), (all, all));
    // The aim is for a node that was built to run; there is some room for one that was not.
    assert!(each <= aim_bytes * 3, "{each} bytes each");

    // Each of them still answers.
    raws.iter_mut().for_each(probe);
    drop(raws);
    node.told.wait_until("all are gone", |notices| {
        let downs = notices
            .iter()
            .filter(|notice| matches!(notice, Notice::Down { .. }));
        downs.count() == usize::try_from(all).unwrap()
    });
    node.with_engine(|engine| {
        assert_eq!(engine.manager().counters(), Counters::default());
        assert_eq!(engine.manager().conns().count(), 0);
        assert_eq!(engine.conns().count(), 0);
    });
    // And there is room for others.
    drop(idle(node.addr()));
    node.command(Command::Limit(Limits::default()));
    node.stop();
}

/// As many connections as both ends of them find descriptors, which are ours.
fn affordable() -> u32 {
    let needed = 2 * u64::from(CONNS + BEFORE) + descriptors::RESERVE;
    let Some(granted) = descriptors::raise(needed).filter(|granted| *granted < needed) else {
        return CONNS;
    };
    let all = granted.saturating_sub(descriptors::RESERVE) / 2;
    let conns = u32::try_from(all).unwrap().saturating_sub(BEFORE);
    let mut out = io::stderr();
    writeln!(
        out,
        "REDUCED to {conns} connections: the process may have {granted} descriptors"
    )
    .unwrap();
    assert!(conns > 0);
    conns
}

/// What the process has in memory.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1_024
}

//! Writing topologies, in the current format.

use std::path::Path;

use samanea_core::{
    governor::{LocalGroup, PublicGroup, Relay, Topology, UseLedger},
    proto::handshake::Mode,
};
use serde_json::{Value, json};

/// A topology file in the current format, indented. What was read and is written reads the same.
pub fn to_json(topology: &Topology, snapshot: Option<&Path>) -> String {
    let slot = match topology.use_ledger {
        UseLedger::Never => json!(-1),
        UseLedger::Always => json!(0),
        UseLedger::After(slot) => json!(slot),
    };
    let mut file = json!({
        "bootstrapPeers": topology.bootstrap.as_deref().map(points),
        "localRoots": topology.local.iter().map(local).collect::<Vec<_>>(),
        "publicRoots": topology.public.iter().map(public).collect::<Vec<_>>(),
        "useLedgerAfterSlot": slot,
    });
    if let (Some(path), Value::Object(file)) = (snapshot, &mut file) {
        let path = path.to_string_lossy();
        file.insert("peerSnapshotFile".into(), json!(path));
    }
    format!("{file:#}\n")
}

fn local(group: &LocalGroup) -> Value {
    let mode = match group.traits.mode {
        Mode::InitiatorOnly => "InitiatorOnly",
        Mode::InitiatorAndResponder => "InitiatorAndResponder",
    };
    json!({
        "accessPoints": points(&group.access_points),
        "hotValency": group.hot,
        "warmValency": group.warm,
        "advertise": group.traits.advertise,
        "trustable": group.traits.trustable,
        "behindFirewall": group.traits.behind_firewall,
        "diffusionMode": mode,
    })
}

fn public(group: &PublicGroup) -> Value {
    json!({ "accessPoints": points(&group.access_points), "advertise": group.advertise })
}

fn points(relays: &[Relay]) -> Value {
    relays.iter().map(point).collect()
}

/// An access point as it is read.
pub(super) fn point(relay: &Relay) -> Value {
    match relay {
        Relay::Addr(addr) => json!({ "address": addr.ip().to_string(), "port": addr.port() }),
        Relay::Host { name, port } => json!({ "address": name, "port": port }),
        Relay::Service { name } => json!({ "address": name }),
    }
}

//! How long news of a peer is waited for.

use alloc::{boxed::Box, vec};

use super::*;
use crate::{
    base::ProtocolId,
    governor::{LocalGroup, Relay, Topology, Traits},
    proto::{self, chain_sync::MUST_REPLY},
};

/// The longest wait for news that may be drawn.
const NEWS: Duration = Duration::from_secs(911);

/// Node 0 follows node 1, a local root whose chain never grows.
fn following(trustable: bool) -> Net {
    let mut net = Net::pair();
    let traits = Traits {
        trustable,
        ..Traits::default()
    };
    let group = LocalGroup {
        hot: 1,
        warm: 1,
        traits,
        access_points: vec![Relay::Addr(addr(1))],
    };
    let topology = Topology {
        local: vec![group],
        ..Topology::default()
    };
    net.command(0, Command::Topology(Box::new(topology)));
    net.pass(SECOND);
    assert_eq!(net.stage(0, 1), Some(Stage::Hot));
    assert_eq!(net.downs(0), []);
    net
}

#[test]
fn only_a_trustable_local_root_may_have_no_news_for_ever() {
    let mut net = following(false);
    net.pass(NEWS);
    let late = Fault::Protocol {
        protocol: ProtocolId::CHAIN_SYNC,
        role: Role::Initiator,
        fault: proto::Fault::TimedOut {
            state: MUST_REPLY.0,
        },
    };
    assert_eq!(net.downs(0), [late]);
    let mut net = following(true);
    net.pass(NEWS * 20);
    assert_eq!((net.downs(0), net.downs(1)), (vec![], vec![]));
    assert_eq!(net.stage(0, 1), Some(Stage::Hot));
    // One that is kept by command counts as such.
    let mut net = Net::pair();
    net.add(0, 1);
    net.pass(NEWS * 2);
    assert_eq!((net.downs(0), net.stage(0, 1)), (vec![], Some(Stage::Hot)));
}

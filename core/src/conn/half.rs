//! All mini-protocol halves behind one type.

use alloc::{boxed::Box, vec::Vec};

use bytes::Bytes;

use super::{Config, Fact, Order, Temperature};
use crate::{
    base::{Cx, Instant, ProtocolId, Role, Scratch, Serial, Violated},
    mux::HalfId,
    proto::{
        Action, Event, Half, block_fetch, chain_sync,
        handshake::{Agreed, is_ours},
        keep_alive, peer_sharing,
        rain_link::{self, RainBulk, RainLink},
        tip_sample, tx_submission,
    },
};

/// A half with the list its actions go to; the list is empty between steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(
        serialize = "H: serde::Serialize",
        deserialize = "H: serde::Deserialize<'de>"
    ))
)]
pub(super) struct Runner<H: Half> {
    half: H,
    acts: Scratch<Acts<H>>,
}

/// The actions of one step.
struct Acts<H: Half>(Vec<Action<H::Fact>>);

impl<H: Half> Default for Acts<H> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<H: Half> Runner<H> {
    fn boxed(half: H) -> Box<Self> {
        Box::new(Self {
            half,
            acts: Scratch::default(),
        })
    }

    fn step(
        &mut self,
        cx: &mut Cx<'_, Action<Fact>>,
        event: Event<H::Order>,
        wrap: impl Fn(H::Fact) -> Fact,
    ) {
        let Acts(mut acts) = core::mem::take(&mut *self.acts);
        self.half.step(&mut cx.child(&mut acts), event);
        for action in acts.drain(..) {
            cx.act(match action {
                Action::Send(message) => Action::Send(message),
                Action::Fact(fact) => Action::Fact(wrap(fact)),
                Action::Ended => Action::Ended,
                Action::Failed(fault) => Action::Failed(fault),
            });
        }
        *self.acts = Acts(acts);
    }
}

/// One running half of any mini-protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum AnyHalf {
    KeepAliveClient(Box<Runner<keep_alive::Client>>),
    KeepAliveServer(Box<Runner<keep_alive::Server>>),
    ChainSyncClient(Box<Runner<chain_sync::Client>>),
    ChainSyncServer(Box<Runner<chain_sync::Server>>),
    BlockFetchClient(Box<Runner<block_fetch::Client>>),
    BlockFetchServer(Box<Runner<block_fetch::Server>>),
    TxSubmissionClient(Box<Runner<tx_submission::Client>>),
    TxSubmissionServer(Box<Runner<tx_submission::Server>>),
    PeerSharingClient(Box<Runner<peer_sharing::Client>>),
    PeerSharingServer(Box<Runner<peer_sharing::Server>>),
    TipSampleClient(Box<Runner<tip_sample::Client>>),
    TipSampleServer(Box<Runner<tip_sample::Server>>),
    RainLinkClient(Box<Runner<rain_link::Client<RainLink>>>),
    RainLinkServer(Box<Runner<rain_link::Server<RainLink>>>),
    RainBulkClient(Box<Runner<rain_link::Client<RainBulk>>>),
    RainBulkServer(Box<Runner<rain_link::Server<RainBulk>>>),
}

/// Runs `$body` with `$run` bound to the runner and `$wrap` to the constructor of its facts.
macro_rules! with_half {
    ($any:expr, $run:ident, $wrap:ident, $body:expr) => {
        match $any {
            AnyHalf::KeepAliveClient($run) => {
                let $wrap = Fact::KeepAlive;
                $body
            }
            AnyHalf::KeepAliveServer($run) => {
                let $wrap = |fact: keep_alive::server::Fact| match fact {};
                $body
            }
            AnyHalf::ChainSyncClient($run) => {
                let $wrap = Fact::ChainSync;
                $body
            }
            AnyHalf::ChainSyncServer($run) => {
                let $wrap = Fact::ChainServe;
                $body
            }
            AnyHalf::BlockFetchClient($run) => {
                let $wrap = Fact::BlockFetch;
                $body
            }
            AnyHalf::BlockFetchServer($run) => {
                let $wrap = Fact::BlockServe;
                $body
            }
            AnyHalf::TxSubmissionClient($run) => {
                let $wrap = Fact::TxSupply;
                $body
            }
            AnyHalf::TxSubmissionServer($run) => {
                let $wrap = Fact::TxPull;
                $body
            }
            AnyHalf::PeerSharingClient($run) => {
                let $wrap = Fact::PeerAsk;
                $body
            }
            AnyHalf::PeerSharingServer($run) => {
                let $wrap = Fact::PeerShare;
                $body
            }
            AnyHalf::TipSampleClient($run) => {
                let $wrap = Fact::TipAsk;
                $body
            }
            AnyHalf::TipSampleServer($run) => {
                let $wrap = Fact::TipTell;
                $body
            }
            AnyHalf::RainLinkClient($run) => {
                let $wrap = Fact::RainSay;
                $body
            }
            AnyHalf::RainLinkServer($run) => {
                let $wrap = Fact::RainHear;
                $body
            }
            AnyHalf::RainBulkClient($run) => {
                let $wrap = Fact::RainSay;
                $body
            }
            AnyHalf::RainBulkServer($run) => {
                let $wrap = Fact::RainHear;
                $body
            }
        }
    };
}

impl AnyHalf {
    /// A half in its initial state; `None` when no such mini-protocol is built.
    pub(super) fn new(id: HalfId, conn: Serial, config: &Config) -> Option<Self> {
        let of = conn.0;
        let half = match (id.protocol, id.role) {
            (ProtocolId::KEEP_ALIVE, Role::Initiator) => Self::KeepAliveClient(Runner::boxed(
                keep_alive::Client::with_period(of, config.probe_period),
            )),
            (ProtocolId::KEEP_ALIVE, Role::Responder) => {
                Self::KeepAliveServer(Runner::boxed(keep_alive::Server::new(of)))
            }
            (ProtocolId::CHAIN_SYNC, Role::Initiator) => {
                Self::ChainSyncClient(Runner::boxed(chain_sync::Client::new(of)))
            }
            (ProtocolId::CHAIN_SYNC, Role::Responder) => {
                let server = chain_sync::Server::new(of).with_idle(config.chain_sync_idle);
                Self::ChainSyncServer(Runner::boxed(server))
            }
            (ProtocolId::BLOCK_FETCH, Role::Initiator) => {
                Self::BlockFetchClient(Runner::boxed(block_fetch::Client::new(of)))
            }
            (ProtocolId::BLOCK_FETCH, Role::Responder) => {
                Self::BlockFetchServer(Runner::boxed(block_fetch::Server::new(of)))
            }
            (ProtocolId::TX_SUBMISSION, Role::Initiator) => {
                Self::TxSubmissionClient(Runner::boxed(tx_submission::Client::new(of)))
            }
            (ProtocolId::TX_SUBMISSION, Role::Responder) => Self::TxSubmissionServer(
                Runner::boxed(tx_submission::Server::new(of, config.tx_delay)),
            ),
            (ProtocolId::PEER_SHARING, Role::Initiator) => {
                Self::PeerSharingClient(Runner::boxed(peer_sharing::Client::new(of)))
            }
            (ProtocolId::PEER_SHARING, Role::Responder) => {
                Self::PeerSharingServer(Runner::boxed(peer_sharing::Server::new(of)))
            }
            (ProtocolId::TIP_SAMPLE, Role::Initiator) => {
                Self::TipSampleClient(Runner::boxed(tip_sample::Client::new(of)))
            }
            (ProtocolId::TIP_SAMPLE, Role::Responder) => {
                Self::TipSampleServer(Runner::boxed(tip_sample::Server::new(of)))
            }
            (ProtocolId::RAIN_LINK, Role::Initiator) => {
                Self::RainLinkClient(Runner::boxed(rain_link::Client::new(of)))
            }
            (ProtocolId::RAIN_LINK, Role::Responder) => {
                Self::RainLinkServer(Runner::boxed(rain_link::Server::new(of)))
            }
            (ProtocolId::RAIN_BULK, Role::Initiator) => {
                Self::RainBulkClient(Runner::boxed(rain_link::Client::new(of)))
            }
            (ProtocolId::RAIN_BULK, Role::Responder) => {
                Self::RainBulkServer(Runner::boxed(rain_link::Server::new(of)))
            }
            _ => return None,
        };
        Some(half)
    }

    pub(super) fn start(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        with_half!(self, run, wrap, run.step(cx, Event::Start, wrap));
    }

    pub(super) fn received(&mut self, cx: &mut Cx<'_, Action<Fact>>, message: Bytes) {
        with_half!(
            self,
            run,
            wrap,
            run.step(cx, Event::Received(message), wrap)
        );
    }

    pub(super) fn stop(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        with_half!(self, run, wrap, run.step(cx, Event::Stop, wrap));
    }

    pub(super) fn tick(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        with_half!(self, run, wrap, run.step(cx, Event::Tick, wrap));
    }

    /// Passes on an order that is for this half; another one is ignored.
    pub(super) fn order(&mut self, cx: &mut Cx<'_, Action<Fact>>, order: Order) {
        match (self, order) {
            (Self::ChainSyncClient(run), Order::ChainSync(order)) => {
                run.step(cx, Event::Order(order), Fact::ChainSync);
            }
            (Self::ChainSyncServer(run), Order::ChainServe(order)) => {
                run.step(cx, Event::Order(order), Fact::ChainServe);
            }
            (Self::BlockFetchClient(run), Order::BlockFetch(order)) => {
                run.step(cx, Event::Order(order), Fact::BlockFetch);
            }
            (Self::BlockFetchServer(run), Order::BlockServe(order)) => {
                run.step(cx, Event::Order(order), Fact::BlockServe);
            }
            (Self::TxSubmissionClient(run), Order::TxSupply(order)) => {
                run.step(cx, Event::Order(order), Fact::TxSupply);
            }
            (Self::TxSubmissionServer(run), Order::TxPull(order)) => {
                run.step(cx, Event::Order(order), Fact::TxPull);
            }
            (Self::PeerSharingClient(run), Order::PeerAsk(order)) => {
                run.step(cx, Event::Order(order), Fact::PeerAsk);
            }
            (Self::PeerSharingServer(run), Order::PeerShare(order)) => {
                run.step(cx, Event::Order(order), Fact::PeerShare);
            }
            (Self::TipSampleClient(run), Order::TipAsk(order)) => {
                run.step(cx, Event::Order(order), Fact::TipAsk);
            }
            (Self::TipSampleServer(run), Order::TipTell(order)) => {
                run.step(cx, Event::Order(order), Fact::TipTell);
            }
            (Self::RainLinkClient(run), Order::RainSay(order)) => {
                run.step(cx, Event::Order(order), Fact::RainSay);
            }
            (Self::RainBulkClient(run), Order::RainSay(order)) => {
                run.step(cx, Event::Order(order), Fact::RainSay);
            }
            _ => {}
        }
    }

    /// See [`Half::awaits`].
    pub(super) fn awaits(&self) -> Option<usize> {
        with_half!(self, run, _wrap, run.half.awaits())
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        with_half!(
            self,
            run,
            _wrap,
            crate::base::Machine::next_deadline(&run.half)
        )
    }

    pub(super) fn check_invariants(&self) -> Result<(), Violated> {
        with_half!(
            self,
            run,
            _wrap,
            crate::base::Machine::check_invariants(&run.half)
        )
    }
}

/// The half that an order is for.
pub(super) fn target(order: &Order) -> Option<HalfId> {
    let (protocol, role) = match order {
        Order::ChainSync(_) => (ProtocolId::CHAIN_SYNC, Role::Initiator),
        Order::ChainServe(_) => (ProtocolId::CHAIN_SYNC, Role::Responder),
        Order::BlockFetch(_) => (ProtocolId::BLOCK_FETCH, Role::Initiator),
        Order::BlockServe(_) => (ProtocolId::BLOCK_FETCH, Role::Responder),
        Order::TxSupply(_) => (ProtocolId::TX_SUBMISSION, Role::Initiator),
        Order::TxPull(_) => (ProtocolId::TX_SUBMISSION, Role::Responder),
        Order::PeerAsk(_) => (ProtocolId::PEER_SHARING, Role::Initiator),
        Order::PeerShare(_) => (ProtocolId::PEER_SHARING, Role::Responder),
        Order::TipAsk(_) => (ProtocolId::TIP_SAMPLE, Role::Initiator),
        Order::TipTell(_) => (ProtocolId::TIP_SAMPLE, Role::Responder),
        Order::RainSay(rain_link::client::Order::Say(frame)) => {
            let bulk = frame.is_bulk();
            let lane = if bulk {
                ProtocolId::RAIN_BULK
            } else {
                ProtocolId::RAIN_LINK
            };
            (lane, Role::Initiator)
        }
        Order::Link
        | Order::Unlink
        | Order::Start(_)
        | Order::Stop(_)
        | Order::Reset(_)
        | Order::Close => return None,
    };
    Some(HalfId { protocol, role })
}

/// The bundle of a mini-protocol. src: Ouroboros network specification, "Connection Manager",
/// protocol temperatures
pub const fn temperature(protocol: ProtocolId) -> Temperature {
    match protocol {
        ProtocolId::KEEP_ALIVE | ProtocolId::PEER_SHARING => Temperature::Established,
        ProtocolId::TIP_SAMPLE | ProtocolId::RAIN_LINK | ProtocolId::RAIN_BULK => Temperature::Warm,
        _ => Temperature::Hot,
    }
}

/// The mini-protocols that run on a connection with this agreement: peer-sharing only when both
/// share, tip-sample only on our own versions. The link of structured gossip is no part of a bundle
/// and not among them.
pub fn protocols(agreed: &Agreed) -> impl Iterator<Item = ProtocolId> + use<> {
    [
        (ProtocolId::CHAIN_SYNC, true),
        (ProtocolId::BLOCK_FETCH, true),
        (ProtocolId::TX_SUBMISSION, true),
        (ProtocolId::KEEP_ALIVE, true),
        (ProtocolId::PEER_SHARING, agreed.data.peer_sharing),
        (ProtocolId::TIP_SAMPLE, is_ours(agreed.version)),
    ]
    .into_iter()
    .filter_map(|(protocol, runs)| runs.then_some(protocol))
}

/// The mini-protocols of the link of structured gossip: words, then payloads.
pub(super) const LINK: [ProtocolId; 2] = [ProtocolId::RAIN_LINK, ProtocolId::RAIN_BULK];

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::base::{First, NoRules};

    #[test]
    fn a_follower_is_waited_for_as_long_as_configured() {
        let now = Instant::from_secs(5);
        for idle in [
            None,
            Some(Duration::from_secs(50)),
            Config::default().chain_sync_idle,
        ] {
            let config = Config {
                chain_sync_idle: idle,
                ..Config::default()
            };
            let id = HalfId {
                protocol: ProtocolId::CHAIN_SYNC,
                role: Role::Responder,
            };
            let mut half = AnyHalf::new(id, Serial(1), &config).unwrap();
            let (mut choice, mut out) = (First, Vec::new());
            half.start(&mut Cx::new(now, &mut choice, &NoRules, &mut out));
            assert_eq!(half.next_deadline(), idle.map(|idle| now.after(idle)));
        }
    }
}

//! Every name, what it means, and where its number is.

use samanea_core::governor::Count;

use super::Figures;

/// What all names but that of the build begin with.
pub const PREFIX: &str = "cardano_node_metrics_";
/// The name of the build's metric.
pub(super) const BUILD: &str = "cardano_build_info";

/// What a number may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Rise and fall.
    Gauge,
    /// Rise only.
    Counter,
}

/// One name.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    /// Without the prefix.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// What its number may do.
    pub kind: Kind,
    /// Its number.
    pub value: fn(&Figures) -> f64,
}

pub(super) const fn gauge(
    name: &'static str,
    help: &'static str,
    value: fn(&Figures) -> f64,
) -> Name {
    Name {
        name,
        help,
        kind: Kind::Gauge,
        value,
    }
}

pub(super) const fn counter(
    name: &'static str,
    help: &'static str,
    value: fn(&Figures) -> f64,
) -> Name {
    Name {
        name,
        help,
        kind: Kind::Counter,
        value,
    }
}

/// A large count as Prometheus takes numbers: exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "every number of this format is a double"
)]
pub(super) const fn real(n: u64) -> f64 {
    n as f64
}

fn cold(count: &Count) -> f64 {
    count.cold().into()
}

fn warm(count: &Count) -> f64 {
    count.warm().into()
}

fn delays_within(f: &Figures, seconds: usize) -> f64 {
    f.measured.within.get(seconds).copied().unwrap_or_default()
}

/// All names, in the order of the text. Where tools read either of two spellings, both are here.
// deviates: the reference shows the active local roots as warm and the rest as hot, and leaves a
// dot out of the names of the churn's durations; these are as its documentation has them.
pub const ALL: &[Name] = &[
    // The tip.
    gauge("blockNum_int", "Number of the last block", |f| {
        real(f.tip.block_no)
    }),
    gauge("slotNum_int", "Slot of the last block", |f| {
        real(f.tip.point.slot().unwrap_or_default())
    }),
    gauge(
        "slotInEpoch_int",
        "Slot of the last block within its epoch; 0 in an unknown network",
        |f| real(f.measured.epoch.map_or(0, |(_, slot)| slot)),
    ),
    gauge(
        "epoch_int",
        "Epoch of the last block; 0 in an unknown network",
        |f| real(f.measured.epoch.map_or(0, |(epoch, _)| epoch)),
    ),
    gauge("density_real", "Blocks to a slot, lately", |f| {
        f.measured.density
    }),
    // Transactions: nothing of them is kept in order or judged.
    gauge("txsInMempool_int", "Transactions in the mempool", |_| 0.0),
    gauge("mempoolBytes_int", "Bytes in the mempool", |_| 0.0),
    gauge(
        "txsProcessedNum_int",
        "Transactions taken into blocks",
        |_| 0.0,
    ),
    counter(
        "txsProcessedNum_counter",
        "Transactions taken into blocks",
        |_| 0.0,
    ),
    // Blocks.
    gauge("forks_int", "Times the chain went back", |f| {
        real(f.measured.forks)
    }),
    counter("forks_counter", "Times the chain went back", |f| {
        real(f.measured.forks)
    }),
    gauge(
        "blockfetchclient_blockdelay_s",
        "Seconds from the slot of the last block to its body",
        |f| f.measured.delay,
    ),
    gauge(
        "blockfetchclient_blockdelay_real",
        "Seconds from the slot of the last block to its body",
        |f| f.measured.delay,
    ),
    gauge(
        "blockfetchclient_lateblocks",
        "Blocks that came more than five seconds after their slot",
        |f| real(f.measured.late),
    ),
    counter(
        "blockfetchclient_lateblocks_counter",
        "Blocks that came more than five seconds after their slot",
        |f| real(f.measured.late),
    ),
    gauge(
        "blockfetchclient_blockdelay_cdfOne",
        "Share of blocks that came within one second",
        |f| delays_within(f, 0),
    ),
    gauge(
        "blockfetchclient_blockdelay_cdfOne_real",
        "Share of blocks that came within one second",
        |f| delays_within(f, 0),
    ),
    gauge(
        "blockfetchclient_blockdelay_cdfThree",
        "Share of blocks that came within three seconds",
        |f| delays_within(f, 1),
    ),
    gauge(
        "blockfetchclient_blockdelay_cdfThree_real",
        "Share of blocks that came within three seconds",
        |f| delays_within(f, 1),
    ),
    gauge(
        "blockfetchclient_blockdelay_cdfFive",
        "Share of blocks that came within five seconds",
        |f| delays_within(f, 2),
    ),
    gauge(
        "blockfetchclient_blockdelay_cdfFive_real",
        "Share of blocks that came within five seconds",
        |f| delays_within(f, 2),
    ),
    counter("served_block_counter", "Blocks given to peers", |f| {
        real(f.served.blocks)
    }),
    gauge("served_block_count_int", "Blocks given to peers", |f| {
        real(f.served.blocks)
    }),
    counter("served_header_counter", "Headers given to peers", |f| {
        real(f.served.headers)
    }),
    // Connections.
    gauge(
        "connectionManager_fullDuplexConns",
        "Connections used both ways",
        |f| f.conns.full_duplex.into(),
    ),
    gauge(
        "connectionManager_fullDuplexConns_int",
        "Connections used both ways",
        |f| f.conns.full_duplex.into(),
    ),
    gauge(
        "connectionManager_duplexConns",
        "Connections that may be used both ways",
        |f| f.conns.duplex.into(),
    ),
    gauge(
        "connectionManager_duplexConns_int",
        "Connections that may be used both ways",
        |f| f.conns.duplex.into(),
    ),
    gauge(
        "connectionManager_unidirectionalConns",
        "Connections that may be used one way",
        |f| f.conns.unidirectional.into(),
    ),
    gauge(
        "connectionManager_unidirectionalConns_int",
        "Connections that may be used one way",
        |f| f.conns.unidirectional.into(),
    ),
    gauge(
        "connectionManager_inboundConns",
        "Connections that count against the accept limits",
        |f| f.conns.inbound.into(),
    ),
    gauge(
        "connectionManager_inboundConns_int",
        "Connections that count against the accept limits",
        |f| f.conns.inbound.into(),
    ),
    gauge(
        "connectionManager_outboundConns",
        "Connections that we use, dial or have just released",
        |f| f.conns.outbound.into(),
    ),
    gauge(
        "connectionManager_outboundConns_int",
        "Connections that we use, dial or have just released",
        |f| f.conns.outbound.into(),
    ),
    gauge(
        "inboundGovernor_idle",
        "Peers that run nothing here and may still",
        |f| f.conns.remote_idle.into(),
    ),
    gauge(
        "inboundGovernor_idle_int",
        "Peers that run nothing here and may still",
        |f| f.conns.remote_idle.into(),
    ),
    gauge(
        "inboundGovernor_cold",
        "Peers that run nothing on a connection that we use",
        |f| f.conns.remote_cold.into(),
    ),
    gauge(
        "inboundGovernor_cold_int",
        "Peers that run nothing on a connection that we use",
        |f| f.conns.remote_cold.into(),
    ),
    gauge(
        "inboundGovernor_warm",
        "Peers that run responders, none of them hot",
        |f| f.conns.remote_warm.into(),
    ),
    gauge(
        "inboundGovernor_warm_int",
        "Peers that run responders, none of them hot",
        |f| f.conns.remote_warm.into(),
    ),
    gauge(
        "inboundGovernor_hot",
        "Peers that run hot responders",
        |f| f.conns.remote_hot.into(),
    ),
    gauge(
        "inboundGovernor_hot_int",
        "Peers that run hot responders",
        |f| f.conns.remote_hot.into(),
    ),
    // Peers by temperature.
    gauge(
        "peerSelection_Cold",
        "Cold peers but for big ledger peers",
        |f| cold(&f.peers.ordinary),
    ),
    gauge(
        "peerSelection_Cold_int",
        "Cold peers but for big ledger peers",
        |f| cold(&f.peers.ordinary),
    ),
    gauge(
        "peerSelection_Warm",
        "Warm peers but for big ledger peers",
        |f| warm(&f.peers.ordinary),
    ),
    gauge(
        "peerSelection_Warm_int",
        "Warm peers but for big ledger peers",
        |f| warm(&f.peers.ordinary),
    ),
    gauge(
        "peerSelection_Hot",
        "Hot peers but for big ledger peers",
        |f| f.peers.ordinary.active.into(),
    ),
    gauge(
        "peerSelection_Hot_int",
        "Hot peers but for big ledger peers",
        |f| f.peers.ordinary.active.into(),
    ),
    gauge(
        "peerSelection_ColdBigLedgerPeers_int",
        "Cold big ledger peers",
        |f| cold(&f.peers.big),
    ),
    gauge(
        "peerSelection_WarmBigLedgerPeers_int",
        "Warm big ledger peers",
        |f| warm(&f.peers.big),
    ),
    gauge(
        "peerSelection_HotBigLedgerPeers_int",
        "Hot big ledger peers",
        |f| f.peers.big.active.into(),
    ),
    gauge(
        "peerSelection_WarmLocalRoots_int",
        "Warm local roots",
        |f| warm(&f.peers.local),
    ),
    gauge("peerSelection_HotLocalRoots_int", "Hot local roots", |f| {
        f.peers.local.active.into()
    }),
    // Peers but for big ledger peers.
    gauge(
        "peerSelection_RootPeers_int",
        "Roots of every source",
        |f| f.peers.roots.into(),
    ),
    gauge(
        "peerSelection_KnownPeers_int",
        "Known peers but for big ledger peers",
        |f| f.peers.ordinary.known.into(),
    ),
    gauge(
        "peerSelection_ColdPeersPromotions_int",
        "Cold peers but for big ledger peers being made warm",
        |f| f.peers.ordinary.cold_promotions.into(),
    ),
    gauge(
        "peerSelection_EstablishedPeers_int",
        "Warm and hot peers but for big ledger peers",
        |f| f.peers.ordinary.established.into(),
    ),
    gauge(
        "peerSelection_WarmPeersDemotions_int",
        "Warm peers but for big ledger peers being made cold",
        |f| f.peers.ordinary.warm_demotions.into(),
    ),
    gauge(
        "peerSelection_WarmPeersPromotions_int",
        "Warm peers but for big ledger peers being made hot",
        |f| f.peers.ordinary.warm_promotions.into(),
    ),
    gauge(
        "peerSelection_ActivePeers_int",
        "Hot peers but for big ledger peers",
        |f| f.peers.ordinary.active.into(),
    ),
    gauge(
        "peerSelection_ActivePeersDemotions_int",
        "Hot peers but for big ledger peers being made warm",
        |f| f.peers.ordinary.active_demotions.into(),
    ),
    // Big ledger peers.
    gauge(
        "peerSelection_KnownBigLedgerPeers_int",
        "Known big ledger peers",
        |f| f.peers.big.known.into(),
    ),
    gauge(
        "peerSelection_ColdBigLedgerPeersPromotions_int",
        "Cold big ledger peers being made warm",
        |f| f.peers.big.cold_promotions.into(),
    ),
    gauge(
        "peerSelection_EstablishedBigLedgerPeers_int",
        "Warm and hot big ledger peers",
        |f| f.peers.big.established.into(),
    ),
    gauge(
        "peerSelection_WarmBigLedgerPeersDemotions_int",
        "Warm big ledger peers being made cold",
        |f| f.peers.big.warm_demotions.into(),
    ),
    gauge(
        "peerSelection_WarmBigLedgerPeersPromotions_int",
        "Warm big ledger peers being made hot",
        |f| f.peers.big.warm_promotions.into(),
    ),
    gauge(
        "peerSelection_ActiveBigLedgerPeers_int",
        "Hot big ledger peers",
        |f| f.peers.big.active.into(),
    ),
    gauge(
        "peerSelection_ActiveBigLedgerPeersDemotions_int",
        "Hot big ledger peers being made warm",
        |f| f.peers.big.active_demotions.into(),
    ),
    // Local roots.
    gauge(
        "peerSelection_KnownLocalRootPeers_int",
        "Known local roots",
        |f| f.peers.local.known.into(),
    ),
    gauge(
        "peerSelection_EstablishedLocalRootPeers_int",
        "Warm and hot local roots",
        |f| f.peers.local.established.into(),
    ),
    gauge(
        "peerSelection_WarmLocalRootPeersPromotions_int",
        "Warm local roots being made hot",
        |f| f.peers.local.warm_promotions.into(),
    ),
    gauge(
        "peerSelection_ActiveLocalRootPeers_int",
        "Hot local roots",
        |f| f.peers.local.active.into(),
    ),
    gauge(
        "peerSelection_ActiveLocalRootPeersDemotions_int",
        "Hot local roots being made warm",
        |f| f.peers.local.active_demotions.into(),
    ),
    // Peers that are no roots.
    gauge(
        "peerSelection_KnownNonRootPeers_int",
        "Known peers that are no roots",
        |f| f.peers.non_root.known.into(),
    ),
    gauge(
        "peerSelection_ColdNonRootPeersPromotions_int",
        "Cold peers that are no roots being made warm",
        |f| f.peers.non_root.cold_promotions.into(),
    ),
    gauge(
        "peerSelection_EstablishedNonRootPeers_int",
        "Warm and hot peers that are no roots",
        |f| f.peers.non_root.established.into(),
    ),
    gauge(
        "peerSelection_WarmNonRootPeersDemotions_int",
        "Warm peers that are no roots being made cold",
        |f| f.peers.non_root.warm_demotions.into(),
    ),
    gauge(
        "peerSelection_WarmNonRootPeersPromotions_int",
        "Warm peers that are no roots being made hot",
        |f| f.peers.non_root.warm_promotions.into(),
    ),
    gauge(
        "peerSelection_ActiveNonRootPeers_int",
        "Hot peers that are no roots",
        |f| f.peers.non_root.active.into(),
    ),
    gauge(
        "peerSelection_ActiveNonRootPeersDemotions_int",
        "Hot peers that are no roots being made warm",
        |f| f.peers.non_root.active_demotions.into(),
    ),
    // Bootstrap peers.
    gauge(
        "peerSelection_KnownBootstrapPeers_int",
        "Known bootstrap peers",
        |f| f.peers.bootstrap.known.into(),
    ),
    gauge(
        "peerSelection_ColdBootstrapPeersPromotions_int",
        "Cold bootstrap peers being made warm",
        |f| f.peers.bootstrap.cold_promotions.into(),
    ),
    gauge(
        "peerSelection_EstablishedBootstrapPeers_int",
        "Warm and hot bootstrap peers",
        |f| f.peers.bootstrap.established.into(),
    ),
    gauge(
        "peerSelection_WarmBootstrapPeersDemotions_int",
        "Warm bootstrap peers being made cold",
        |f| f.peers.bootstrap.warm_demotions.into(),
    ),
    gauge(
        "peerSelection_WarmBootstrapPeersPromotions_int",
        "Warm bootstrap peers being made hot",
        |f| f.peers.bootstrap.warm_promotions.into(),
    ),
    gauge(
        "peerSelection_ActiveBootstrapPeers_int",
        "Hot bootstrap peers",
        |f| f.peers.bootstrap.active.into(),
    ),
    gauge(
        "peerSelection_ActiveBootstrapPeersDemotions_int",
        "Hot bootstrap peers being made warm",
        |f| f.peers.bootstrap.active_demotions.into(),
    ),
    // How long the steps of the last churn took.
    gauge(
        "peerSelection_churn_DecreasedActiveBigLedgerPeers_duration",
        "Seconds that step 1 of the last churn took",
        |f| f.measured.churned.step(1),
    ),
    gauge(
        "peerSelection_churn_IncreasedActiveBigLedgerPeers_duration",
        "Seconds that step 2 of the last churn took",
        |f| f.measured.churned.step(2),
    ),
    gauge(
        "peerSelection_churn_DecreasedEstablishedBigLedgerPeers_duration",
        "Seconds that step 3 of the last churn took",
        |f| f.measured.churned.step(3),
    ),
    gauge(
        "peerSelection_churn_DecreasedKnownBigLedgerPeers_duration",
        "Seconds that step 4 of the last churn took",
        |f| f.measured.churned.step(4),
    ),
    gauge(
        "peerSelection_churn_IncreasedKnownBigLedgerPeers_duration",
        "Seconds that step 5 of the last churn took",
        |f| f.measured.churned.step(5),
    ),
    gauge(
        "peerSelection_churn_IncreasedEstablishedBigLedgerPeers_duration",
        "Seconds that step 6 of the last churn took",
        |f| f.measured.churned.step(6),
    ),
    gauge(
        "peerSelection_churn_DecreasedActivePeers_duration",
        "Seconds that step 7 of the last churn took",
        |f| f.measured.churned.step(7),
    ),
    gauge(
        "peerSelection_churn_IncreasedActivePeers_duration",
        "Seconds that step 8 of the last churn took",
        |f| f.measured.churned.step(8),
    ),
    gauge(
        "peerSelection_churn_DecreasedEstablishedPeers_duration",
        "Seconds that step 9 of the last churn took",
        |f| f.measured.churned.step(9),
    ),
    gauge(
        "peerSelection_churn_DecreasedKnownPeers_duration",
        "Seconds that step 10 of the last churn took",
        |f| f.measured.churned.step(10),
    ),
    gauge(
        "peerSelection_churn_IncreasedKnownPeers_duration",
        "Seconds that step 11 of the last churn took",
        |f| f.measured.churned.step(11),
    ),
    gauge(
        "peerSelection_churn_IncreasedEstablishedPeers_duration",
        "Seconds that step 12 of the last churn took",
        |f| f.measured.churned.step(12),
    ),
];

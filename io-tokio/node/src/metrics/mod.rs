//! What a node tells of itself in numbers, under the names that operators of a Cardano node know;
//! what such a node does not have, structured gossip, under names of our own.
//!
//! ```text
//!  notices ──▶ Measures ──┐
//!  engine, looked at ─────┴─▶ Figures ─▶ names::ALL ─▶ text ─▶ HTTP, /metrics
//!  when someone asks
//! ```
//! What the engine counts itself is copied when it is asked for: a few hundred bytes under the
//! node's lock, so that a node that nobody asks pays nothing, and the numbers are those of one
//! moment. Only what is over when one looks (delays, rollbacks) is measured along the way.
//!
//! src: cardano-node documentation, "Prometheus metrics"

mod measures;
mod names;
mod rain;
mod serve;

use prometheus::{Encoder, TextEncoder, proto};
use samanea_core::{base::Tip, chain::Served, governor, manager};

pub use measures::{Churned, Measured, Measures};
pub use names::{ALL, Kind, Name, PREFIX};
pub use rain::{RAIN, RAIN_PREFIX, Rain};
pub use serve::{Bind, Server, scrape};

/// The numbers of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Peers.
    pub peers: governor::Counters,
    /// Connections.
    pub conns: manager::Counters,
    /// The end of our chain.
    pub tip: Tip,
    /// What followers were given.
    pub served: Served,
    /// What was measured along the way.
    pub measured: Measured,
    /// Structured gossip, where the node has a part in it.
    pub rain: Option<Rain>,
}

/// The text of a scrape.
pub fn to_text(figures: &Figures) -> Result<String, prometheus::Error> {
    let mut families: Vec<_> = ALL
        .iter()
        .map(|name| family(PREFIX, name, figures))
        .collect();
    if figures.rain.is_some() {
        families.extend(RAIN.iter().map(|name| family(RAIN_PREFIX, name, figures)));
    }
    families.push(build());
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text)?;
    String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
}

/// The content type of that text.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;

fn family(prefix: &str, name: &Name, figures: &Figures) -> proto::MetricFamily {
    let value = (name.value)(figures);
    let mut metric = proto::Metric::default();
    let kind = match name.kind {
        Kind::Gauge => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
            proto::MetricType::GAUGE
        }
        Kind::Counter => {
            let mut counter = proto::Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
            proto::MetricType::COUNTER
        }
    };
    named(&format!("{prefix}{}", name.name), name.help, kind, metric)
}

/// What was built: always 1, with labels.
fn build() -> proto::MetricFamily {
    let label = |name: &str, value: &str| {
        let mut pair = proto::LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    let mut gauge = proto::Gauge::default();
    gauge.set_value(1.0);
    let mut metric = proto::Metric::default();
    metric.set_gauge(gauge);
    metric.set_label(vec![
        label("version", env!("CARGO_PKG_VERSION")),
        label("revision", REVISION),
    ]);
    let help = "What this program was built from";
    named(names::BUILD, help, proto::MetricType::GAUGE, metric)
}

fn named(
    name: &str,
    help: &str,
    kind: proto::MetricType,
    metric: proto::Metric,
) -> proto::MetricFamily {
    let mut family = proto::MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(vec![metric]);
    family
}

/// The commit, when whoever built it has said so in `SAMANEA_REVISION`.
const REVISION: &str = match option_env!("SAMANEA_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use samanea_core::{
        base::{Hash32, Point},
        governor::Count,
    };

    use super::*;

    fn figures() -> Figures {
        let count = |n: u32| Count {
            known: n + 50,
            available: n + 40,
            cold_promotions: n + 1,
            established: n + 20,
            warm_demotions: n + 2,
            warm_promotions: n + 3,
            active: n + 5,
            active_demotions: n + 4,
            cooling: 0,
        };
        Figures {
            peers: governor::Counters {
                roots: 9,
                ordinary: count(1_000),
                big: count(2_000),
                local: count(3_000),
                non_root: count(4_000),
                bootstrap: count(5_000),
                config: count(6_000),
                ledger: count(7_000),
                members: count(8_000),
            },
            tip: Tip {
                point: Point::Block {
                    slot: 77,
                    hash: Hash32([0; 32]),
                },
                block_no: 66,
            },
            ..Figures::default()
        }
    }

    fn value(text: &str, name: &str) -> f64 {
        let line = text.lines().find_map(|line| {
            line.strip_prefix(PREFIX)?
                .strip_prefix(name)?
                .strip_prefix(' ')
        });
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse()
            .unwrap()
    }

    #[test]
    fn every_name_stands_once_in_the_text_with_its_kind() {
        let text = to_text(&figures()).unwrap();
        let mut seen = BTreeSet::new();
        for name in ALL {
            assert!(seen.insert(name.name), "{} twice", name.name);
            value(&text, name.name);
            let kind = match name.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
            };
            let said = format!("# TYPE {PREFIX}{} {kind}\n", name.name);
            assert!(text.contains(&said), "{said}");
        }
        let build = format!(
            "cardano_build_info{{version=\"{}\",revision=\"",
            env!("CARGO_PKG_VERSION")
        );
        assert!(text.contains(&build), "{text}");
    }

    #[test]
    fn warm_and_hot_roots_are_not_mistaken_for_each_other() {
        let text = to_text(&figures()).unwrap();
        for (name, expected) in [
            ("peerSelection_WarmLocalRoots_int", 15.0),
            ("peerSelection_HotLocalRoots_int", 3_005.0),
            ("peerSelection_Cold_int", 30.0),
            ("peerSelection_Warm_int", 15.0),
            ("peerSelection_Hot_int", 1_005.0),
            ("peerSelection_Hot", 1_005.0),
            ("peerSelection_HotBigLedgerPeers_int", 2_005.0),
            ("peerSelection_KnownNonRootPeers_int", 4_050.0),
            ("peerSelection_ActiveBootstrapPeersDemotions_int", 5_004.0),
            ("peerSelection_RootPeers_int", 9.0),
            ("blockNum_int", 66.0),
            ("slotNum_int", 77.0),
            ("txsInMempool_int", 0.0),
        ] {
            assert!((value(&text, name) - expected).abs() < 1e-9, "{name}");
        }
    }
}

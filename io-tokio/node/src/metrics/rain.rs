//! Names of structured gossip.

use samanea_core::rain::Stats;

use super::{
    Figures,
    names::{Name, counter, gauge, real},
};

/// What all names of structured gossip begin with.
pub const RAIN_PREFIX: &str = "samanea_rain_";

/// Structured gossip at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rain {
    /// Counts since the start.
    pub stats: Stats,
    /// Groups with a view.
    pub groups: u64,
    /// Messages that are held.
    pub held: u64,
    /// Members to whom groups want connections.
    pub wanted: u64,
    /// Those of them that can be reached.
    pub linked: u64,
}

fn of(figures: &Figures) -> Rain {
    figures.rain.unwrap_or_default()
}

/// All names of structured gossip, in the order of the text; only a node with a part in it has
/// them.
pub const RAIN: &[Name] = &[
    gauge("groups", "Groups with a view", |f| real(of(f).groups)),
    gauge("held", "Messages that are held", |f| real(of(f).held)),
    gauge(
        "members_wanted",
        "Members to whom groups want connections",
        |f| real(of(f).wanted),
    ),
    gauge(
        "members_linked",
        "Wanted members that can be reached",
        |f| real(of(f).linked),
    ),
    gauge(
        "peers_known",
        "Members that are kept as peers because groups want them",
        |f| f.peers.members.known.into(),
    ),
    gauge(
        "peers_established",
        "Those of them that are connected",
        |f| f.peers.members.established.into(),
    ),
    gauge("peers_active", "Those of them that are hot", |f| {
        f.peers.members.active.into()
    }),
    counter("published_total", "Messages published", |f| {
        real(of(f).stats.published)
    }),
    counter("delivered_total", "Messages delivered", |f| {
        real(of(f).stats.delivered)
    }),
    counter(
        "by_chain_total",
        "Messages delivered over a clean-up chain",
        |f| real(of(f).stats.by_chain),
    ),
    counter(
        "by_pull_total",
        "Messages delivered that were pulled",
        |f| real(of(f).stats.by_pull),
    ),
    counter(
        "duplicates_total",
        "Payloads of messages that were known",
        |f| real(of(f).stats.duplicates),
    ),
    counter("payloads_total", "Payloads sent", |f| {
        real(of(f).stats.payloads)
    }),
    counter("payload_bytes_total", "Bytes of payloads sent", |f| {
        real(of(f).stats.payload_bytes)
    }),
    counter("controls_total", "Frames without payload sent", |f| {
        real(of(f).stats.controls)
    }),
    counter(
        "adopted_total",
        "Duties of silent children taken over",
        |f| real(of(f).stats.adopted),
    ),
    counter(
        "delegated_total",
        "Duties of silent children given on",
        |f| real(of(f).stats.delegated),
    ),
    counter(
        "rearmed_total",
        "Clean-up chains that went on because one they counted was lost",
        |f| real(of(f).stats.rearmed),
    ),
    counter(
        "hops_total",
        "Hops that delivered messages came over, added up",
        |f| real(of(f).stats.hops),
    ),
    counter(
        "evicted_total",
        "Messages dropped before their time because there were too many",
        |f| real(of(f).stats.evicted),
    ),
    counter(
        "stale_total",
        "Events about members or messages that are gone",
        |f| real(of(f).stats.stale),
    ),
    counter(
        "old_views_total",
        "Views ignored because their epoch was known or old",
        |f| real(of(f).stats.old_views),
    ),
    counter(
        "misdeeds_total",
        "Frames from members that broke a rule",
        |f| real(of(f).stats.misdeeds),
    ),
];

#[cfg(test)]
mod tests {
    use super::{super::to_text, *};

    #[test]
    fn only_a_member_has_these_names_and_each_stands_once() {
        let mut figures = Figures::default();
        let text = to_text(&figures).unwrap();
        assert!(!text.contains(RAIN_PREFIX), "{text}");
        let mut rain = Rain {
            wanted: 5,
            linked: 4,
            ..Rain::default()
        };
        rain.stats.payloads = 7;
        rain.stats.misdeeds = 8;
        figures.rain = Some(rain);
        let text = to_text(&figures).unwrap();
        for name in RAIN {
            let line = format!("\n{RAIN_PREFIX}{} ", name.name);
            assert_eq!(text.matches(&line).count(), 1, "{line}");
        }
        for line in [
            "members_wanted 5",
            "members_linked 4",
            "payloads_total 7",
            "misdeeds_total 8",
            "published_total 0",
        ] {
            assert!(text.contains(&format!("\nsamanea_rain_{line}\n")), "{line}");
        }
    }

    #[test]
    fn every_count_has_a_name() {
        let words = format!("{:?}", Stats::default());
        let counts = words.matches(": 0").count();
        let names = RAIN.iter().filter(|name| name.name.ends_with("_total"));
        assert_eq!(names.count(), counts, "{words}");
        assert!(counts > 10);
    }
}

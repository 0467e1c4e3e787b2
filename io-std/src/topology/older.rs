//! Formats that cardano-node does not write any more.

use samanea_core::governor::{LocalGroup, PublicGroup, Relay, Topology, Traits, UseLedger};

use super::{
    File, Format, access,
    json::{Error, Value},
    read::{Points, limit, reachable, use_ledger, valency},
};

/// The first format of P2P nodes.
///
/// ```json
/// { "LocalRoots": { "groups": [ { "localRoots": { "accessPoints": [ … ], "advertise": false },
///                                 "valency": 1 } ] },
///   "PublicRoots": [ { "publicRoots": { "accessPoints": [ … ], "advertise": false } } ],
///   "useLedgerAfterSlot": -1 }
/// ```
pub(super) fn first(top: &Value<'_>) -> Result<File, Error> {
    let object = top.object(&["LocalRoots", "PublicRoots", "useLedgerAfterSlot"])?;
    object.warn_of_others();
    let (mut locals, mut publics) = (Points::default(), Points::default());
    let mut topology = Topology::default();
    let groups = object.need("LocalRoots")?.object(&["groups"])?;
    groups.warn_of_others();
    for group in groups.need("groups")?.list()? {
        let group = group.object(&["localRoots", "valency"])?;
        group.warn_of_others();
        let (advertise, access_points) = roots(group.need("localRoots")?, &mut locals)?;
        let at = group.need("valency")?;
        let hot = valency(at)?;
        reachable(at, hot, hot, &access_points);
        topology.local.push(LocalGroup {
            hot,
            warm: hot,
            traits: Traits {
                advertise,
                ..Traits::default()
            },
            access_points,
        });
    }
    for group in object.need("PublicRoots")?.list()? {
        let group = group.object(&["publicRoots"])?;
        group.warn_of_others();
        let (advertise, access_points) = roots(group.need("publicRoots")?, &mut publics)?;
        topology.public.push(PublicGroup {
            advertise,
            access_points,
        });
    }
    topology.use_ledger = use_ledger(&object)?;
    limit(top, &topology, locals.count + publics.count)?;
    Ok(File {
        format: Format::First,
        topology,
        snapshot: None,
        warnings: Vec::new(),
    })
}

fn roots(value: &Value<'_>, points: &mut Points) -> Result<(bool, Vec<Relay>), Error> {
    let roots = value.object(&["accessPoints", "advertise"])?;
    roots.warn_of_others();
    let advertise = roots.flag("advertise")?;
    Ok((advertise, points.read(roots.need("accessPoints")?)?))
}

/// The format before P2P: `{ "Producers": [ { "addr": …, "port": …, "valency": … } ] }`.
///
/// Each producer becomes a group of its own: of a name so many addresses are used as its valency
/// says, of an address one; with valency 0 it is left out, as it was then.
pub(super) fn legacy(top: &Value<'_>) -> Result<File, Error> {
    let object = top.object(&["Producers"])?;
    object.warn_of_others();
    top.warn("format of nodes before P2P: each producer becomes a local root; no ledger peers");
    let mut points = Points::default();
    let mut topology = Topology {
        use_ledger: UseLedger::Never,
        ..Topology::default()
    };
    for value in object.need("Producers")?.list()? {
        // Lists that were made by explorers say where a producer is.
        let producer = value.object(&["addr", "continent", "port", "state", "valency"])?;
        producer.warn_of_others();
        let relay = access::named(producer.need("addr")?, Some(producer.need("port")?))?;
        let hot = producer.some("valency").map_or(Ok(1), valency)?;
        points.count += 1;
        if hot == 0 {
            value.warn("valency 0: not used");
            continue;
        }
        if !points.is_new(&value, &relay) {
            continue;
        }
        let hot = match relay {
            Relay::Addr(_) => 1,
            Relay::Host { .. } | Relay::Service { .. } => hot,
        };
        topology.local.push(LocalGroup {
            hot,
            warm: hot,
            traits: Traits::default(),
            access_points: vec![relay],
        });
    }
    limit(top, &topology, points.count)?;
    Ok(File {
        format: Format::Legacy,
        topology,
        snapshot: None,
        warnings: Vec::new(),
    })
}

//! The current format.

use std::collections::BTreeMap;

use samanea_core::{
    governor::{LocalGroup, PublicGroup, Relay, Topology, Traits, UseLedger},
    proto::handshake::Mode,
};

use super::{
    File, Format, access,
    json::{Error, Object, Value},
    older,
};

const KEYS: &[&str] = &[
    "bootstrapPeers",
    "localRoots",
    "peerSnapshotFile",
    "publicRoots",
    "useLedgerAfterSlot",
];
const LOCAL_KEYS: &[&str] = &[
    "accessPoints",
    "advertise",
    "behindFirewall",
    "diffusionMode",
    "hotValency",
    "trustable",
    "valency",
    "warmValency",
];
const PUBLIC_KEYS: &[&str] = &["accessPoints", "advertise"];
/// The largest valency; nobody can have more hot peers.
const VALENCY_MAX: u32 = 10_000;

/// Reads a topology of any format.
pub(super) fn topology(top: &Value<'_>) -> Result<File, Error> {
    let object = top.object(KEYS)?;
    let has = |key| object.find(key).is_some();
    if !has("localRoots") {
        if has("LocalRoots") {
            return older::first(top);
        }
        if has("Producers") {
            return older::legacy(top);
        }
    }
    object.warn_of_others();
    let mut points = Points::default();
    let mut topology = Topology::default();
    for group in object.need("localRoots")?.list()? {
        topology.local.push(local(&group, &mut points)?);
    }
    let mut public = Points::default();
    for group in object.need("publicRoots")?.list()? {
        let group = group.object(PUBLIC_KEYS)?;
        group.warn_of_others();
        topology.public.push(PublicGroup {
            advertise: group.flag("advertise")?,
            access_points: public.read(group.need("accessPoints")?)?,
        });
    }
    let mut bootstrap = Points::default();
    if let Some(peers) = object.some("bootstrapPeers") {
        let relays = bootstrap.read(peers)?;
        let trusts = |group: &LocalGroup| group.traits.trustable && !group.access_points.is_empty();
        if relays.is_empty() && !topology.local.iter().any(trusts) {
            return Err(peers.refuse(
                "an empty list and no local root that is trustable",
                "null, a list of access points, or [] beside a group of localRoots with \
                 `\"trustable\": true` and access points",
            ));
        }
        topology.bootstrap = Some(relays);
    }
    topology.use_ledger = use_ledger(&object)?;
    let count = points.count + public.count + bootstrap.count;
    limit(top, &topology, count)?;
    let snapshot = object.some("peerSnapshotFile");
    let snapshot = snapshot.map(|path| path.text("the path of a file"));
    Ok(File {
        format: Format::Current,
        topology,
        snapshot: snapshot.transpose()?.map(Into::into),
        warnings: Vec::new(),
    })
}

/// Refuses more groups, or more access points as they were written, than a topology may have.
pub(super) fn limit(top: &Value<'_>, topology: &Topology, points: usize) -> Result<(), Error> {
    let max = Topology::ACCESS_POINTS_MAX;
    let groups = topology.local.len() + topology.public.len();
    for (count, what) in [(groups, "groups"), (points, "access points")] {
        if count > max {
            let found = format_args!("{count} {what} in all");
            return Err(top.refuse(found, format_args!("at most {max}")));
        }
    }
    Ok(())
}

fn local(value: &Value<'_>, points: &mut Points) -> Result<LocalGroup, Error> {
    let group = value.object(LOCAL_KEYS)?;
    group.warn_of_others();
    let access_points = points.read(group.need("accessPoints")?)?;
    let hot_at = match (group.some("valency"), group.some("hotValency")) {
        (Some(first), Some(second)) => {
            if valency(first)? != valency(second)? {
                second.warn("differs from `valency`, which counts");
            }
            first
        }
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => group.need("hotValency")?,
    };
    let hot = valency(hot_at)?;
    let warm = match group.some("warmValency") {
        Some(value) => {
            let warm = valency(value)?;
            if warm < hot {
                let allowed = format_args!("at least {hot}, the hot valency");
                return Err(value.refuse(warm, allowed));
            }
            warm
        }
        None => hot,
    };
    reachable(hot_at, hot, warm, &access_points);
    let mode = match group.some("diffusionMode") {
        Some(value) => mode(value)?,
        None => Mode::InitiatorAndResponder,
    };
    Ok(LocalGroup {
        hot,
        warm,
        traits: Traits {
            advertise: group.flag("advertise")?,
            trustable: group.flag("trustable")?,
            behind_firewall: group.flag("behindFirewall")?,
            mode,
        },
        access_points,
    })
}

/// Reads a number of peers.
pub(super) fn valency(value: &Value<'_>) -> Result<u32, Error> {
    value.whole(0, VALENCY_MAX)
}

/// Reads whether responders run.
pub(super) fn mode(value: &Value<'_>) -> Result<Mode, Error> {
    let allowed = r#""InitiatorOnly" or "InitiatorAndResponder""#;
    match value.text(allowed)?.as_str() {
        "InitiatorOnly" => Ok(Mode::InitiatorOnly),
        "InitiatorAndResponder" => Ok(Mode::InitiatorAndResponder),
        _ => Err(value.refuse_it(allowed)),
    }
}

/// Warns of valencies that mean nothing.
pub(super) fn reachable(at: &Value<'_>, hot: u32, warm: u32, members: &[Relay]) {
    if members.is_empty() {
        // How files are shipped that are meant to be filled in.
        return;
    }
    if hot == 0 {
        at.warn("nobody of this group is wanted, so none is used");
    }
    let addresses_only = members.iter().all(|relay| matches!(relay, Relay::Addr(_)));
    let many = u32::try_from(members.len()).unwrap_or(u32::MAX);
    if addresses_only && warm > many {
        at.warn(format!(
            "more than the {many} access points of this group; {many} is used"
        ));
    }
}

/// Reads `useLedgerAfterSlot`; absent is never.
pub(super) fn use_ledger(object: &Object<'_>) -> Result<UseLedger, Error> {
    let Some(value) = object.some("useLedgerAfterSlot") else {
        return Ok(UseLedger::Never);
    };
    // Larger than any slot of 64 bits in both directions, so that what is refused is no number.
    let slot: i128 = value.whole(-(1 << 64), u64::MAX.into())?;
    Ok(match u64::try_from(slot) {
        Err(_) => UseLedger::Never,
        Ok(0) => UseLedger::Always,
        Ok(slot) => UseLedger::After(slot),
    })
}

/// Access points as they are read, each remembered.
#[derive(Default)]
pub(super) struct Points {
    seen: BTreeMap<Relay, String>,
    pub(super) count: usize,
}

impl Points {
    /// Reads a list of access points; one that was read before is warned of and left out.
    pub(super) fn read(&mut self, list: &Value<'_>) -> Result<Vec<Relay>, Error> {
        let mut relays = Vec::new();
        for value in list.list()? {
            let relay = access::point(&value)?;
            self.count += 1;
            if let Relay::Service { name } = &relay
                && !name.starts_with('_')
            {
                value.warn(format!(
                    "no port, so `{name}` is looked up as a service exactly as written; is \
                     `port` missing, or `_cardano._tcp.` in front?"
                ));
            }
            if self.is_new(&value, &relay) {
                relays.push(relay);
            }
        }
        Ok(relays)
    }

    /// Whether an access point was not seen before; else it is warned of.
    pub(super) fn is_new(&mut self, value: &Value<'_>, relay: &Relay) -> bool {
        let path = value.place().path;
        if let Some(first) = self.seen.get(relay) {
            value.warn(format!("{relay} is at {first} already, which counts"));
            return false;
        }
        self.seen.insert(relay.clone(), path);
        true
    }
}

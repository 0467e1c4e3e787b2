//! The part of a cardano-node configuration that concerns peers, in JSON (not YAML).
//!
//! Everything else in the file is ignored without a word: a node's configuration has hundreds of
//! keys. A key that begins like one of these and is none of them is warned of.
//!
//! | key | value |
//! |---|---|
//! | `TargetNumberOf…` | see [`TARGETS`]; absent ones are those of a relay |
//! | `SyncTargetNumberOf…` | the same for Genesis mode while the chain is old |
//! | `PeerSharing` | true or false (or `"PeerSharingEnabled"`, `"PeerSharingDisabled"`) |
//! | `ConsensusMode` | `"PraosMode"` or `"GenesisMode"` |
//! | `MinBigLedgerPeersForTrustedState` | a number of peers |
//! | `AcceptedConnectionsLimit` | `{ "hardLimit", "softLimit", "delay" }`, the delay in seconds |
//! | `ChainSyncIdleTimeout` | seconds, 0 for no limit |
//! | `ProtocolIdleTimeout`, `TimeWaitTimeout` | seconds |
//! | `ShelleyGenesisFile` | the file that says when slots begin, relative to this one |
//! | `TestShelleyHardForkAtEpoch` | 0 where slots begin as that file says from the first on |
//! | `DiffusionMode` | `"InitiatorOnly"` or `"InitiatorAndResponder"` |
//!
//! src: cardano-node configuration

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use samanea_core::{
    conn,
    governor::{self, ConsensusMode, Targets},
    manager::{self, Limits},
    proto::handshake::Mode,
};

use super::{
    Error, Warning,
    json::{self, Object, Value},
    read::mode,
};

/// Bytes of a configuration file at most, inclusive.
pub const BYTES_MAX: u64 = 4 << 20;

/// What the keys of targets begin with; `Sync` comes before it.
const PREFIX: &str = "TargetNumberOf";
/// The ends of the keys of targets, in the order of [`Targets`].
pub const TARGETS: [&str; 7] = [
    "RootPeers",
    "KnownPeers",
    "EstablishedPeers",
    "ActivePeers",
    "KnownBigLedgerPeers",
    "EstablishedBigLedgerPeers",
    "ActiveBigLedgerPeers",
];

const KEYS: &[&str] = &[
    "AcceptedConnectionsLimit",
    "ChainSyncIdleTimeout",
    "ConsensusMode",
    "DiffusionMode",
    "EnableP2P",
    "MinBigLedgerPeersForTrustedState",
    "PeerSharing",
    "ProtocolIdleTimeout",
    "ShelleyGenesisFile",
    "SyncTargetNumberOfActiveBigLedgerPeers",
    "SyncTargetNumberOfActivePeers",
    "SyncTargetNumberOfEstablishedBigLedgerPeers",
    "SyncTargetNumberOfEstablishedPeers",
    "SyncTargetNumberOfKnownBigLedgerPeers",
    "SyncTargetNumberOfKnownPeers",
    "SyncTargetNumberOfRootPeers",
    "TargetNumberOfActiveBigLedgerPeers",
    "TargetNumberOfActivePeers",
    "TargetNumberOfEstablishedBigLedgerPeers",
    "TargetNumberOfEstablishedPeers",
    "TargetNumberOfKnownBigLedgerPeers",
    "TargetNumberOfKnownPeers",
    "TargetNumberOfRootPeers",
    "TestShelleyHardForkAtEpoch",
    "TimeWaitTimeout",
];

/// What a configuration says; `None` is what it does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Targets near the tip; where nothing is said those of a relay.
    pub deadline: Targets,
    /// Targets in Genesis mode while the chain is old.
    pub sync: Targets,
    /// `PeerSharing`.
    pub sharing: Option<bool>,
    /// `ConsensusMode`.
    pub consensus: Option<ConsensusMode>,
    /// `MinBigLedgerPeersForTrustedState`.
    pub big_for_trust: Option<u32>,
    /// `AcceptedConnectionsLimit`.
    pub limits: Option<Limits>,
    /// `ChainSyncIdleTimeout`; zero stands for no limit.
    pub chain_sync_idle: Option<Duration>,
    /// `ProtocolIdleTimeout`.
    pub idle: Option<Duration>,
    /// `TimeWaitTimeout`.
    pub time_wait: Option<Duration>,
    /// `DiffusionMode`.
    pub mode: Option<Mode>,
    /// `ShelleyGenesisFile`, as a path that can be opened, if slots begin as it says from the first
    /// on: `TestShelleyHardForkAtEpoch` is 0.
    pub genesis: Option<PathBuf>,
    /// What is probably not meant.
    pub warnings: Vec<Warning>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deadline: Targets::RELAY,
            sync: Targets::SYNC,
            sharing: None,
            consensus: None,
            big_for_trust: None,
            limits: None,
            chain_sync_idle: None,
            idle: None,
            time_wait: None,
            mode: None,
            genesis: None,
            warnings: Vec::new(),
        }
    }
}

impl Settings {
    /// Changes what is said here, and nothing else.
    pub fn apply(
        &self,
        governor: &mut governor::Config,
        manager: &mut manager::Config,
        conn: &mut conn::Config,
    ) {
        if let Some(idle) = self.chain_sync_idle {
            conn.chain_sync_idle = (!idle.is_zero()).then_some(idle);
        }
        governor.deadline = self.deadline;
        governor.sync = self.sync;
        governor.sharing = self.sharing.unwrap_or(governor.sharing);
        governor.consensus = self.consensus.unwrap_or(governor.consensus);
        governor.big_for_trust = self.big_for_trust.unwrap_or(governor.big_for_trust);
        manager.limits = self.limits.unwrap_or(manager.limits);
        manager.idle = self.idle.or(manager.idle);
        manager.time_wait = self.time_wait.unwrap_or(manager.time_wait);
        manager.mode = self.mode.unwrap_or(manager.mode);
    }
}

/// Reads a configuration file.
pub fn read(file: &Path) -> Result<Settings, Error> {
    parse(file, &json::load(file, BYTES_MAX)?)
}

/// Reads the bytes of a configuration file, whose name is for messages only.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Settings, Error> {
    json::fits(file, bytes, BYTES_MAX)?;
    let document = json::Document::new(file, bytes)?;
    let mut settings = settings(&document.top()?)?;
    if let (Some(genesis), Some(dir)) = (&mut settings.genesis, file.parent()) {
        *genesis = dir.join(&genesis);
    }
    settings.warnings = document.into_warnings();
    Ok(settings)
}

fn settings(top: &Value<'_>) -> Result<Settings, Error> {
    let object = top.object(KEYS)?;
    for (key, value) in object.members() {
        if !KEYS.contains(&key) && key.contains(PREFIX) {
            value.warn(match json::similar(key, KEYS.iter().copied()) {
                Some(near) => format!("unknown target, ignored; is `{near}` meant?"),
                None => "unknown target, ignored".into(),
            });
        }
    }
    if let Some(on) = object.some("EnableP2P")
        && !on.boolean()?
    {
        on.warn("ignored: there is no other way to run");
    }
    let deadline = targets(&object, PREFIX, Targets::RELAY)?;
    let sync = targets(&object, &format!("Sync{PREFIX}"), Targets::SYNC)?;
    let some = |key| object.some(key);
    Ok(Settings {
        deadline,
        sync,
        sharing: some("PeerSharing").map(sharing).transpose()?,
        consensus: some("ConsensusMode").map(consensus).transpose()?,
        big_for_trust: some("MinBigLedgerPeersForTrustedState")
            .map(|value| value.whole(0, governor::ACTIVE_MAX))
            .transpose()?,
        limits: some("AcceptedConnectionsLimit").map(limits).transpose()?,
        chain_sync_idle: some("ChainSyncIdleTimeout").map(seconds).transpose()?,
        idle: some("ProtocolIdleTimeout").map(seconds).transpose()?,
        time_wait: some("TimeWaitTimeout").map(seconds).transpose()?,
        mode: some("DiffusionMode").map(mode).transpose()?,
        genesis: genesis(&object)?,
        warnings: Vec::new(),
    })
}

fn targets(object: &Object<'_>, prefix: &str, usual: Targets) -> Result<Targets, Error> {
    let mut targets = usual;
    let mut last = None;
    let fields = [
        &mut targets.root,
        &mut targets.known,
        &mut targets.established,
        &mut targets.active,
        &mut targets.known_big,
        &mut targets.established_big,
        &mut targets.active_big,
    ];
    for (end, field) in TARGETS.into_iter().zip(fields) {
        if let Some(value) = object.some(&format!("{prefix}{end}")) {
            *field = value.whole(0, governor::KNOWN_MAX)?;
            last = Some(value);
        }
    }
    if let Err(insane) = targets.check() {
        let at = last.unwrap_or(object.whole());
        let allowed = "active up to established up to known, and root up to known, where what is \
                       not said is that of a relay";
        return Err(at.refuse(format_args!("{prefix}…: {insane}"), allowed));
    }
    Ok(targets)
}

/// The genesis file, if it says when all slots begin.
fn genesis(object: &Object<'_>) -> Result<Option<PathBuf>, Error> {
    let fork = object.some("TestShelleyHardForkAtEpoch");
    let fork = fork.map(|value| value.whole(0, u64::MAX)).transpose()?;
    let file = object
        .some("ShelleyGenesisFile")
        .filter(|_| fork == Some(0));
    let path = |value: &Value<'_>| value.text("the path of a file").map(PathBuf::from);
    file.map(path).transpose()
}

fn sharing(value: &Value<'_>) -> Result<bool, Error> {
    if !value.is_text() {
        return value.boolean();
    }
    match value.text("")?.as_str() {
        "PeerSharingEnabled" => Ok(true),
        "PeerSharingDisabled" => Ok(false),
        _ => Err(value.refuse_it("true or false")),
    }
}

fn consensus(value: &Value<'_>) -> Result<ConsensusMode, Error> {
    let allowed = r#""PraosMode" or "GenesisMode""#;
    match value.text(allowed)?.as_str() {
        "PraosMode" => Ok(ConsensusMode::Praos),
        "GenesisMode" => Ok(ConsensusMode::Genesis),
        _ => Err(value.refuse_it(allowed)),
    }
}

fn limits(value: &Value<'_>) -> Result<Limits, Error> {
    let object = value.object(&["delay", "hardLimit", "softLimit"])?;
    object.warn_of_others();
    let hard = object.need("hardLimit")?.whole(0, CONNECTIONS_MAX)?;
    let soft_at = object.need("softLimit")?;
    let soft = soft_at.whole(0, CONNECTIONS_MAX)?;
    if soft > hard {
        let allowed = format_args!("at most {hard}, the hard limit");
        return Err(soft_at.refuse(soft, allowed));
    }
    let delay = seconds(object.need("delay")?)?;
    Ok(Limits { soft, hard, delay })
}

const CONNECTIONS_MAX: u32 = 1_000_000;

/// Reads a time in seconds, up to a year.
fn seconds(value: &Value<'_>) -> Result<Duration, Error> {
    let number = value.number().and_then(|number| number.parse::<f64>().ok());
    let time = number.and_then(|number| Duration::try_from_secs_f64(number).ok());
    let year = Duration::from_secs(365 * 86_400);
    let time = time.filter(|time| *time <= year);
    time.ok_or_else(|| value.refuse_it("seconds, from 0 to 31536000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Settings {
        parse(Path::new("c.json"), text.as_bytes()).unwrap_or_else(|error| panic!("{error}"))
    }

    fn refused(text: &str) -> String {
        match parse(Path::new("c.json"), text.as_bytes()) {
            Err(error) => error.to_string(),
            Ok(settings) => panic!("accepted: {settings:?}"),
        }
    }

    #[test]
    fn an_empty_configuration_is_that_of_a_relay() {
        let settings = parsed(r#"{ "AlonzoGenesisFile": "a.json", "TraceMempool": true }"#);
        assert_eq!(settings, Settings::default());
        let mut governor = governor::Config::default();
        let mut manager = manager::Config::default();
        let mut conn = conn::Config::default();
        settings.apply(&mut governor, &mut manager, &mut conn);
        assert_eq!(governor.deadline, Targets::RELAY);
        assert_eq!(manager, manager::Config::default());
    }

    #[test]
    fn a_genesis_file_counts_where_it_says_when_all_slots_begin() {
        let genesis = |more: &str| {
            let text = format!(r#"{{ "ShelleyGenesisFile": "shelley.json"{more} }}"#);
            let file = Path::new("etc/config.json");
            parse(file, text.as_bytes()).unwrap().genesis
        };
        assert_eq!(
            genesis(r#", "TestShelleyHardForkAtEpoch": 0"#),
            Some(PathBuf::from("etc/shelley.json"))
        );
        for byron in [r#", "TestShelleyHardForkAtEpoch": 2"#, ""] {
            assert_eq!(genesis(byron), None);
        }
        let line = refused(r#"{ "TestShelleyHardForkAtEpoch": 0, "ShelleyGenesisFile": 7 }"#);
        assert!(line.contains("ShelleyGenesisFile: found 7"), "{line}");
    }

    #[test]
    fn every_key_reaches_its_setting() {
        let settings = parsed(
            r#"{ "AcceptedConnectionsLimit": { "delay": 2.5, "hardLimit": 100, "softLimit": 50 },
                "ChainSyncIdleTimeout": 3373, "ConsensusMode": "GenesisMode",
                "DiffusionMode": "InitiatorOnly", "EnableP2P": true,
                "MinBigLedgerPeersForTrustedState": 7, "PeerSharing": false,
                "ProtocolIdleTimeout": 6, "TimeWaitTimeout": 61,
                "TargetNumberOfRootPeers": 61, "TargetNumberOfKnownPeers": 151,
                "TargetNumberOfEstablishedPeers": 31, "TargetNumberOfActivePeers": 21,
                "TargetNumberOfKnownBigLedgerPeers": 16,
                "TargetNumberOfEstablishedBigLedgerPeers": 11,
                "TargetNumberOfActiveBigLedgerPeers": 6,
                "SyncTargetNumberOfRootPeers": 1, "SyncTargetNumberOfKnownPeers": 152,
                "SyncTargetNumberOfEstablishedPeers": 12, "SyncTargetNumberOfActivePeers": 0,
                "SyncTargetNumberOfKnownBigLedgerPeers": 102,
                "SyncTargetNumberOfEstablishedBigLedgerPeers": 42,
                "SyncTargetNumberOfActiveBigLedgerPeers": 32 }"#,
        );
        assert_eq!(settings.warnings, []);
        let mut governor = governor::Config::default();
        let mut manager = manager::Config::default();
        let mut conn = conn::Config::default();
        settings.apply(&mut governor, &mut manager, &mut conn);
        let targets = |[
            root,
            known,
            established,
            active,
            known_big,
            established_big,
            active_big,
        ]: [u32; 7]| Targets {
            root,
            known,
            established,
            active,
            known_big,
            established_big,
            active_big,
        };
        assert_eq!(governor.deadline, targets([61, 151, 31, 21, 16, 11, 6]));
        assert_eq!(governor.sync, targets([1, 152, 12, 0, 102, 42, 32]));
        assert_eq!(governor.consensus, ConsensusMode::Genesis);
        assert_eq!((governor.big_for_trust, governor.sharing), (7, false));
        let limits = Limits {
            soft: 50,
            hard: 100,
            delay: Duration::from_millis(2_500),
        };
        assert_eq!(manager.limits, limits);
        assert_eq!(manager.idle, Some(Duration::from_secs(6)));
        assert_eq!(manager.time_wait, Duration::from_secs(61));
        assert_eq!(manager.mode, Mode::InitiatorOnly);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, error) in [
            (
                r#"{ "TargetNumberOfActivePeers": 31 }"#,
                "c.json:1: TargetNumberOfActivePeers: found TargetNumberOf…: target of active \
                 peers is 31, more than the 30 of established, allowed is active up to established \
                 up to known, and root up to known, where what is not said is that of a relay",
            ),
            (
                r#"{ "TargetNumberOfKnownPeers": -1 }"#,
                "c.json:1: TargetNumberOfKnownPeers: found -1, allowed is a whole number from 0 to \
                 2000000",
            ),
            (
                r#"{ "PeerSharing": "on" }"#,
                "c.json:1: PeerSharing: found \"on\", allowed is true or false",
            ),
            (
                r#"{ "ConsensusMode": "Praos" }"#,
                "c.json:1: ConsensusMode: found \"Praos\", allowed is \"PraosMode\" or \
                 \"GenesisMode\"",
            ),
            (
                "{\n\"AcceptedConnectionsLimit\": { \"hardLimit\": 5, \"softLimit\": 6 } }",
                "c.json:2: AcceptedConnectionsLimit.softLimit: found 6, allowed is at most 5, the \
                 hard limit",
            ),
            (
                r#"{ "TimeWaitTimeout": -1 }"#,
                "c.json:1: TimeWaitTimeout: found -1, allowed is seconds, from 0 to 31536000",
            ),
        ] {
            assert_eq!(refused(text), error);
        }
    }

    #[test]
    fn no_limit_of_chain_sync_is_written_as_zero() {
        for (text, limit) in [
            (r#"{ "ChainSyncIdleTimeout": 0 }"#, None),
            (r#"{ "ChainSyncIdleTimeout": 7.5 }"#, Some(7_500)),
            ("{}", Some(3_373_000)),
        ] {
            let mut governor = governor::Config::default();
            let mut manager = manager::Config::default();
            let mut conn = conn::Config::default();
            parsed(text).apply(&mut governor, &mut manager, &mut conn);
            assert_eq!(
                conn.chain_sync_idle,
                limit.map(Duration::from_millis),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_odd_is_warned_of() {
        let settings = parsed(r#"{ "TargetNumberOfActivPeers": 5, "EnableP2P": false }"#);
        let warnings: Vec<_> = settings.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "c.json:1: TargetNumberOfActivPeers: unknown target, ignored; is \
                 `TargetNumberOfActivePeers` meant?",
                "c.json:1: EnableP2P: ignored: there is no other way to run",
            ]
        );
    }
}

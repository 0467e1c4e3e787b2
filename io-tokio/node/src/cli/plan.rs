//! What a node will do with an operator's files: reading them, and `--dry-run`.

use std::path::PathBuf;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use indicatif::HumanCount;
use samanea_core::{
    governor::{ConsensusMode, Kind, Ledger, LocalGroup, Relay, Targets, UseLedger},
    proto::handshake::Mode,
};
use samanea_std::topology::{
    self, Format, Loaded, Warning,
    configuration::{self, Settings},
    snapshot,
};
use tracing::warn;

use super::{Failure, args, say};

/// The topology of a node, and from which files.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    pub(super) file: PathBuf,
    pub(super) magic: Option<u32>,
    pub(super) consensus: ConsensusMode,
    pub(super) loaded: Loaded,
}

impl Roots {
    /// Whether bootstrap peers are used while the chain is old.
    pub(super) const fn have_bootstrap_peers(&self) -> bool {
        self.loaded.topology.topology.bootstrap.is_some()
    }
}

/// The configuration as given, or that of a relay.
pub(super) fn settings(args: &args::Run) -> Result<Settings, Failure> {
    let Some(file) = &args.config else {
        return Ok(Settings::default());
    };
    let failed = |error| Failure::input(format!("--config: {error}"));
    configuration::read(file).map_err(failed)
}

/// The topology as given.
pub(super) fn roots(args: &args::Run, settings: &Settings) -> Result<Option<Roots>, Failure> {
    let Some(file) = args.topology.clone() else {
        return Ok(None);
    };
    let consensus = settings.consensus.unwrap_or_default();
    let failed = |error| Failure::input(format!("--topology: {error}"));
    let loaded = topology::load(&file, args.magic, consensus).map_err(failed)?;
    Ok(Some(Roots {
        file,
        magic: args.magic,
        consensus,
        loaded,
    }))
}

/// Puts what is odd into the log.
pub(super) fn log_warnings(warnings: &[Warning]) {
    for warning in warnings {
        warn!("{warning}");
    }
}

/// Prints the whole plan.
pub(super) fn tell(roots: &Roots, settings: &Settings) {
    let mut facts = table(&[]);
    for (what, fact) in facts_of(roots, settings) {
        facts.add_row([what, &fact]);
    }
    say(facts);
    if let Some(groups) = groups(roots) {
        say(format_args!("\nroots\n{groups}"));
    }
    if let Some(read) = &roots.loaded.snapshot {
        say(format_args!(
            "\nthe ten largest pools, and how probable each is when one relay is drawn\n{}",
            pools(&read.snapshot.pools)
        ));
    }
    say(format_args!("\ntargets\n{}", targets(roots, settings)));
    let warnings: Vec<&Warning> = [&settings.warnings, &roots.loaded.warnings]
        .into_iter()
        .flatten()
        .collect();
    if warnings.is_empty() {
        say("\nno warnings");
    } else {
        say("\nwarnings");
    }
    for warning in warnings {
        say(format_args!("  {warning}"));
    }
}

fn facts_of(roots: &Roots, settings: &Settings) -> Vec<(&'static str, String)> {
    let Loaded {
        topology, snapshot, ..
    } = &roots.loaded;
    let format = match topology.format {
        Format::Current => "current format",
        Format::First => "first format of P2P nodes",
        Format::Legacy => "format before P2P",
    };
    let mut facts = vec![("topology", format!("{}, {format}", roots.file.display()))];
    facts.push((
        "snapshot",
        match (snapshot, &topology.snapshot) {
            (Some(read), Some(path)) => format!("{}, {}", path.display(), snapshot_facts(read)),
            (None, Some(path)) => format!("{}, not used", path.display()),
            (_, None) => "none".into(),
        },
    ));
    let ledger = topology.topology.use_ledger;
    let mut when = topology::when(ledger);
    if let Some(slot) = snapshot
        .as_ref()
        .and_then(|read| read.snapshot.point.slot())
    {
        when = format!("{when}; the snapshot until the ledger is past slot {slot}");
    }
    facts.push(("ledger peers", when));
    let (mode, protects) = match roots.consensus {
        ConsensusMode::Praos => ("Praos", "trusted peers only while the chain is old"),
        ConsensusMode::Genesis => ("Genesis", "many big ledger peers while the chain is old"),
    };
    let bootstrap = &topology.topology.bootstrap;
    let protects = match (roots.consensus, bootstrap) {
        (ConsensusMode::Praos, None) => "no bootstrap peers, so any peer while the chain is old",
        _ => protects,
    };
    facts.push(("consensus mode", format!("{mode}: {protects}")));
    let sharing = settings.sharing.unwrap_or(true);
    let sharing = if sharing { "yes" } else { "no" };
    facts.push(("peer sharing", sharing.into()));
    let responds = match settings.mode.unwrap_or(Mode::InitiatorAndResponder) {
        Mode::InitiatorAndResponder => "dials and accepts",
        Mode::InitiatorOnly => "dials only",
    };
    facts.push(("diffusion mode", responds.into()));
    facts
}

fn snapshot_facts(read: &snapshot::File) -> String {
    let count = |n: usize| HumanCount(u64::try_from(n).unwrap_or(u64::MAX));
    let pools = &read.snapshot.pools;
    let network = match read.magic {
        Some(magic) => format!("network {magic}"),
        None => "no network named".into(),
    };
    let stake = pools.pools().iter();
    let stake = stake.fold(0_u64, |sum, pool| sum.saturating_add(pool.stake));
    let kind = if read.snapshot.big_only { "big" } else { "" };
    format!(
        "version {}, {network}, slot {}: {} {kind} pools, {} relays, {} of the stake",
        read.version,
        read.snapshot.point.slot().unwrap_or_default(),
        count(pools.pools().len()),
        count(read.relays()),
        percent(u32::try_from(stake >> 32).unwrap_or(u32::MAX)),
    )
    .replace("  ", " ")
}

/// Parts of 2^32 in per cent.
fn percent(parts: u32) -> String {
    format!("{:.3} %", f64::from(parts) / f64::from(u32::MAX) * 100.0)
}

pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if !header.is_empty() {
        table.set_header(header.iter().copied());
    }
    table
}

fn right(table: &mut Table, columns: std::ops::Range<usize>) {
    for (at, column) in table.column_iter_mut().enumerate() {
        if columns.contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn groups(roots: &Roots) -> Option<Table> {
    let topology = &roots.loaded.topology.topology;
    let mut table = table(&["group", "hot", "warm", "what is said of them", "roots"]);
    for (at, group) in topology.local.iter().enumerate() {
        let empty = group.access_points.is_empty();
        table.add_row([
            format!("local {at}"),
            group.hot.to_string(),
            group.warm.to_string(),
            said(group),
            if empty {
                "none, so not used".into()
            } else {
                list(&group.access_points)
            },
        ]);
    }
    let publics = topology.public.iter().enumerate();
    for (at, group) in publics.filter(|(_, group)| !group.access_points.is_empty()) {
        let advertise = if group.advertise { "advertise; " } else { "" };
        let said = match topology.use_ledger {
            UseLedger::Never => "used",
            UseLedger::Always | UseLedger::After(_) => "used while the ledger names nobody",
        };
        table.add_row([
            format!("public {at}"),
            String::new(),
            String::new(),
            format!("{advertise}{said}"),
            list(&group.access_points),
        ]);
    }
    if let Some(peers) = &topology.bootstrap {
        table.add_row([
            "bootstrap".into(),
            String::new(),
            String::new(),
            "trusted; used while the chain is old".into(),
            list(peers),
        ]);
    }
    right(&mut table, 1..3);
    (table.row_count() > 0).then_some(table)
}

fn said(group: &LocalGroup) -> String {
    let traits = group.traits;
    let mut said = Vec::new();
    for (on, what) in [
        (traits.advertise, "advertise"),
        (traits.trustable, "trustable"),
        (traits.behind_firewall, "behind a firewall: never dialled"),
        (traits.mode == Mode::InitiatorOnly, "InitiatorOnly"),
    ] {
        if on {
            said.push(what);
        }
    }
    said.join(", ")
}

fn list(relays: &[Relay]) -> String {
    let relays: Vec<String> = relays.iter().map(ToString::to_string).collect();
    relays.join("\n")
}

fn pools(ledger: &Ledger) -> Table {
    let mut table = table(&["", "stake", "drawn as big", "drawn as any", "relays"]);
    let (big, any) = (
        ledger.probabilities(Kind::Big),
        ledger.probabilities(Kind::All),
    );
    let probable = |of: &[u32], at: usize| of.get(at).map_or_else(String::new, |p| percent(*p));
    for (at, pool) in ledger.pools().iter().take(POOLS_SHOWN).enumerate() {
        table.add_row([
            at.saturating_add(1).to_string(),
            percent(u32::try_from(pool.stake >> 32).unwrap_or(u32::MAX)),
            probable(&big, at),
            probable(&any, at),
            list(&pool.relays),
        ]);
    }
    right(&mut table, 0..4);
    table
}

const POOLS_SHOWN: usize = 10;

fn targets(roots: &Roots, settings: &Settings) -> Table {
    let mut table = table(&[
        "",
        "roots",
        "known",
        "established",
        "active",
        "known big",
        "established big",
        "active big",
    ]);
    let mut row = |name: &str, of: &Targets| {
        let numbers = [
            of.root,
            of.known,
            of.established,
            of.active,
            of.known_big,
            of.established_big,
            of.active_big,
        ];
        let numbers = numbers.iter().map(ToString::to_string);
        table.add_row(std::iter::once(name.to_owned()).chain(numbers));
    };
    match roots.consensus {
        ConsensusMode::Praos => row("always", &settings.deadline),
        ConsensusMode::Genesis => {
            row("near the tip", &settings.deadline);
            row("while the chain is old", &settings.sync);
        }
    }
    right(&mut table, 1..8);
    table
}

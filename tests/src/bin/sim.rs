//! Runs seeded worlds and renders the protocol tables.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand};
use samanea_core::proto::handshake::Mode;
use samanea_sim::{
    corpus, engines,
    explore::{
        Bound, Model, explore, governor,
        managers::{Scope, Trouble},
        rain,
    },
    governor as governor_laws, nodes,
    oracle::Seen,
    play,
    rain::{
        page,
        table::{self, Table},
    },
    scripts::{self, Script},
    tables,
};

/// Deterministic worlds of Samanea nodes.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs one scenario a seed; exit code 1 when a law is broken.
    Run {
        /// `7` or `A..B`, the end not included.
        #[arg(long, value_parser = seeds, default_value = "0..20")]
        seeds: Range<u64>,
        /// Hosts of a world at most, 2 to 50.
        #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=50))]
        hosts: u32,
        /// Runs each seed a second time, with a snapshot after every step: the runs must be equal.
        #[arg(long)]
        twice: bool,
    },
    /// Explores every order of events among the connection tables of a few nodes, or around one
    /// governor; exit code 1 when a property does not hold.
    Explore(Scoped),
    /// Plays one script a seed, even ones with faults, odd ones with small limits; exit code 1
    /// when a rule of connections is broken, after the shortest script that still breaks one.
    Scripts {
        /// `7` or `A..B`, the end not included.
        #[arg(long, value_parser = seeds, default_value = "0..100")]
        seeds: Range<u64>,
    },
    /// Plays one scenario a seed of a few whole nodes that select their own peers; exit code 1 when
    /// a law is broken, after the shortest scenario that still breaks one, or when one saw nothing.
    Nodes {
        /// `7` or `A..B`, the end not included.
        #[arg(long, value_parser = seeds, default_value = "0..60")]
        seeds: Range<u64>,
    },
    /// Measures structured gossip among members of whom some are dead, die, lie, are cut off or
    /// know of different members, beside other ways to spread a message; prints tables.
    Rain(Measure),
    /// Walks once a seed through random orders of events among four to seven members that clean up
    /// after a message; exit code 1 when a law is broken, after the shortest walk that still breaks
    /// one.
    Chains {
        /// `7` or `A..B`, the end not included.
        #[arg(long, value_parser = seeds, default_value = "0..10000")]
        seeds: Range<u64>,
    },
    /// Writes the hand-made inputs of the fuzz targets.
    Corpus {
        /// Where the directories of the targets are.
        #[arg(long, default_value = "fuzz/corpus")]
        into: PathBuf,
    },
    /// Writes the protocol tables into the documentation of the core.
    Tables {
        /// Only checks that the committed page is what would be written.
        #[arg(long)]
        check: bool,
        /// The page.
        #[arg(long, default_value = "core/docs/protocols.md")]
        file: PathBuf,
    },
}

/// What `rain` measures.
#[derive(Debug, Args)]
struct Measure {
    /// Sizes of the group, with commas between. Of more than a thousand members only the first
    /// table is made.
    #[arg(long, value_delimiter = ',', default_value = "27,243,1000,10000")]
    members: Vec<u32>,
    /// Only these tables: any of dead, dying, liars, views, partitions, with commas between.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "dead,dying,liars,views,partitions",
        value_parser = table_named
    )]
    tables: Vec<Table>,
    /// Writes the tables into the page.
    #[arg(long, conflicts_with_all = ["check", "isolation"])]
    write: bool,
    /// Only checks that the tables of the page are what is measured.
    #[arg(long, conflicts_with = "isolation")]
    check: bool,
    /// The page.
    #[arg(long, default_value = "core/docs/rain.md")]
    file: PathBuf,
    /// Instead: whether ten thousand servicers change a byte or a timer among a hundred
    /// validators; exit code 1 if so.
    #[arg(long)]
    isolation: bool,
}

/// What `explore` explores.
#[derive(Debug, Args)]
struct Scoped {
    /// A scope of the tests: alone, crowding, failing, leaf, meeting, stopping or three; of one
    /// governor: big, bootstrap, changes, failures, genesis, governor (all of it), lies, sharing or
    /// trustable; of clean-up chains: batches, both, breaks, crash, crashes, everything, hangs,
    /// hasty, publishes or unwary, with the number of members and of holders to find, as in
    /// crashes-4-2. Of the other options only the bounds matter then.
    #[arg(long, value_parser = named)]
    scope: Option<Named>,
    /// Nodes, each of which wants each other.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=4))]
    nodes: u8,
    /// How many of them only dial.
    #[arg(long, default_value_t = 0)]
    leaves: u8,
    /// States at most.
    #[arg(long, default_value_t = 1_000_000)]
    states: u32,
    /// Acts from the beginning at most.
    #[arg(long, default_value_t = u32::MAX)]
    depth: u32,
    /// The hard limit on inbound connections.
    #[arg(long, default_value_t = 1)]
    hard: u32,
    /// The soft limit; as the hard one when left out.
    #[arg(long)]
    soft: Option<u32>,
    /// Initiators that a user runs.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=2))]
    initiators: u8,
    /// Requests of one node for another at a time.
    #[arg(long, default_value_t = 1)]
    waiting: usize,
    /// Connections that wait to be accepted by one node.
    #[arg(long, default_value_t = 1)]
    backlog: usize,
    /// How many units an ended connection is remembered.
    #[arg(long, default_value_t = 1)]
    time_wait: u32,
    /// Nodes never dial from a port of their own.
    #[arg(long)]
    duplex_only: bool,
    /// What may go wrong: any of lost, failed, refused, aborted, cancelled, late, stopped, with commas
    /// between.
    #[arg(long, value_delimiter = ',', value_parser = trouble)]
    troubles: Vec<Trouble>,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run {
            seeds,
            hosts,
            twice,
        } => run(seeds, hosts, twice),
        Command::Explore(scoped) => explore_tables(&scoped),
        Command::Scripts { seeds } => play_scripts(seeds),
        Command::Nodes { seeds } => judge_nodes(seeds),
        Command::Rain(measure) => measure_rain(&measure),
        Command::Chains { seeds } => walk_chains(seeds),
        Command::Corpus { into } => write_corpus(&into),
        Command::Tables { check, file } => write_tables(check, &file),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            say(&mut std::io::stderr(), &format!("error: {text}"));
            ExitCode::FAILURE
        }
    }
}

fn run(seeds: Range<u64>, hosts: u32, twice: bool) -> Result<(), String> {
    let (mut worlds, mut steps, mut broken) = (0_u64, 0, 0_u64);
    for seed in seeds {
        worlds += 1;
        let outcome = engines::scenario(seed, hosts, 0).and_then(|first| {
            let second = twice
                .then(|| engines::scenario(seed, hosts, 1))
                .transpose()?;
            Ok((first, second))
        });
        match outcome {
            Ok((first, second)) => {
                steps += first.steps;
                say(&mut std::io::stdout(), &first.to_string());
                if second.is_some_and(|second| second.hash != first.hash) {
                    broken += 1;
                    say(
                        &mut std::io::stdout(),
                        &format!("seed {seed}: a snapshot changed the run"),
                    );
                }
            }
            Err(law) => {
                broken += 1;
                say(&mut std::io::stdout(), &format!("seed {seed}: {law}"));
            }
        }
    }
    say(
        &mut std::io::stdout(),
        &format!("simulator: {worlds} worlds, {steps} steps, {broken} broken"),
    );
    if broken == 0 && worlds > 0 {
        Ok(())
    } else {
        Err(format!("{broken} of {worlds} worlds broken"))
    }
}

fn explore_tables(scoped: &Scoped) -> Result<(), String> {
    let mut scope = Scope::full(scoped.nodes);
    scope.leaves = scoped.leaves;
    scope.hard = scoped.hard;
    scope.soft = scoped.soft.unwrap_or(scoped.hard);
    scope.initiators = scoped.initiators;
    scope.waiting = scoped.waiting;
    scope.backlog = scoped.backlog;
    scope.time_wait = scoped.time_wait;
    scope.troubles.clone_from(&scoped.troubles);
    if scoped.duplex_only {
        scope.wishes.retain(|wish| wish.mode != Mode::InitiatorOnly);
    }
    let bound = Bound {
        states: scoped.states,
        depth: scoped.depth,
    };
    match &scoped.scope {
        Some(Named::Governor(scope)) => explored(scope, bound),
        Some(Named::Tables(scope)) => explored(scope, bound),
        Some(Named::Rain(scope)) => explored(scope, bound),
        None => explored(&scope, bound),
    }
}

fn measure_rain(measure: &Measure) -> Result<(), String> {
    if measure.isolation {
        let (same, steps) = table::isolated(100, 10_000, 1);
        let text = format!("isolation: {steps} steps of 100 validators, 10,000 servicers around");
        say(&mut std::io::stdout(), &text);
        return if same {
            Ok(())
        } else {
            Err("something has changed".into())
        };
    }
    let read = || fs::read_to_string(&measure.file).map_err(|error| error.to_string());
    let page = measure.check || measure.write;
    let mut page = if page { read()? } else { String::new() };
    let mut told = |line: &str| say(&mut std::io::stderr(), line);
    let (mut tables, mut wrong) = (0_u32, Vec::new());
    for table in &measure.tables {
        for members in &measure.members {
            if *members > table.members_max() {
                continue;
            }
            tables += 1;
            let text = table.measure(*members, &mut told);
            if measure.check {
                wrong.extend(page::check(&page, *table, *members, &text).err());
            } else if measure.write {
                page::put(&mut page, *table, *members, &text)?;
                fs::write(&measure.file, &page).map_err(|error| error.to_string())?;
            } else {
                say(&mut std::io::stdout(), &text);
            }
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    if measure.check {
        say(
            &mut std::io::stdout(),
            &format!("rain: {tables} tables as written"),
        );
    }
    Ok(())
}

fn table_named(text: &str) -> Result<Table, String> {
    let named = Table::ALL.into_iter().find(|table| table.name() == text);
    named.ok_or_else(|| "not one of dead, dying, liars, views, partitions".into())
}

fn explored<M: Model>(scope: &M, bound: Bound) -> Result<(), String> {
    let report = explore(scope, bound);
    say(&mut std::io::stdout(), &report.to_string());
    if report.verdict.held() {
        Ok(())
    } else {
        Err("a property does not hold".into())
    }
}

/// A scope of the tests.
#[derive(Clone, Debug)]
enum Named {
    Tables(Scope),
    Governor(governor::Scope),
    Rain(rain::Scope),
}

fn named(text: &str) -> Result<Named, String> {
    let tables = Scope::named(text).map(Named::Tables);
    let any = tables.or_else(|| governor::Scope::named(text).map(Named::Governor));
    let any = any.or_else(|| rain::Scope::named(text).map(Named::Rain));
    any.ok_or_else(|| {
        let (tables, governor) = (Scope::NAMES.join(", "), governor::Scope::NAMES.join(", "));
        let rain = rain::Scope::NAMES.join(", ");
        format!("not one of {tables}, {governor}, {rain}")
    })
}

fn trouble(text: &str) -> Result<Trouble, String> {
    let mut all = Trouble::ALL.into_iter();
    all.find(|trouble| trouble.name() == text)
        .ok_or_else(|| "not one of lost, failed, refused, aborted, cancelled, late, stopped".into())
}

fn play_scripts(seeds: Range<u64>) -> Result<(), String> {
    let (mut played, mut steps, mut met, mut pruning) = (0_u64, 0, 0, 0_u64);
    let mut seen = Seen::default();
    for seed in seeds {
        let script = play::script(seed);
        match play::judge(&script, seed) {
            Ok(run) => {
                played += 1;
                steps += run.steps;
                met += run.met;
                pruning += u64::from(run.oracle.seen.pruned > 0);
                seen.add(&run.oracle.seen);
            }
            Err(text) => {
                let fails = |script: &Script| play::judge(script, seed).is_err();
                let (smallest, tries) = scripts::shortest(script, fails);
                let why = play::judge(&smallest, seed).err().unwrap_or_default();
                return Err(format!(
                    "script {seed}: {text}\nafter {tries} tries: {why}\n{smallest:#?}"
                ));
            }
        }
    }
    let line = format!(
        "scripts: {played} played, {steps} steps, {met} dials met, {pruning} pruned: {seen}"
    );
    say(&mut std::io::stdout(), &line);
    for ((from, to), count) in &seen.transitions {
        say(
            &mut std::io::stdout(),
            &format!("{count:>8}  {from:?} to {to:?}"),
        );
    }
    for ((from, to), count) in &seen.remote {
        say(
            &mut std::io::stdout(),
            &format!("{count:>8}  {from:?} to {to:?}"),
        );
    }
    Ok(())
}

fn judge_nodes(seeds: Range<u64>) -> Result<(), String> {
    let mut seen = governor_laws::Seen::default();
    for seed in seeds {
        let scenario = nodes::scenario(seed);
        match nodes::judge(&scenario, seed) {
            Ok(played) => seen.add(&played.seen),
            Err(text) => {
                let (smallest, why) = nodes::shortest(&scenario, seed, 200);
                return Err(format!(
                    "scenario {seed}: {text}\nthe shortest: {why}\n{smallest:#?}"
                ));
            }
        }
    }
    say(&mut std::io::stdout(), &format!("nodes: {seen}"));
    let unseen = nodes::unseen(&seen);
    if unseen.is_empty() {
        Ok(())
    } else {
        Err(format!("hardly seen: {unseen:?}"))
    }
}

fn walk_chains(seeds: Range<u64>) -> Result<(), String> {
    let mut tally = rain::Tally::default();
    for seed in seeds {
        rain::walk(seed, &mut tally)?;
    }
    say(&mut std::io::stdout(), &format!("chains: {tally}"));
    Ok(())
}

fn write_corpus(into: &Path) -> Result<(), String> {
    let fail = |e: std::io::Error| format!("{}: {e}", into.display());
    let inputs = corpus::inputs();
    for input in &inputs {
        let dir = into.join(input.target);
        fs::create_dir_all(&dir).map_err(fail)?;
        fs::write(dir.join(&input.name), &input.bytes).map_err(fail)?;
    }
    say(
        &mut std::io::stdout(),
        &format!("corpus: {} inputs", inputs.len()),
    );
    Ok(())
}

fn write_tables(check: bool, file: &Path) -> Result<(), String> {
    let page = tables::page();
    let fail = |e: std::io::Error| format!("{}: {e}", file.display());
    if !check {
        return fs::write(file, page).map_err(fail);
    }
    if fs::read_to_string(file).map_err(fail)? == page {
        Ok(())
    } else {
        Err(format!("{} is stale: run `sim tables`", file.display()))
    }
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|e| format!("{text}: {e}"));
    match text.split_once("..") {
        Some((from, to)) => Ok(number(from)?..number(to)?),
        None => number(text).map(|seed| seed..seed.saturating_add(1)),
    }
}

/// A closed pipe is nobody's loss.
fn say(to: &mut dyn std::io::Write, line: &str) {
    let _ = writeln!(to, "{line}");
}

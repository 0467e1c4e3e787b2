//! What operators see and keep: `samanea peers`, `samanea explain`, and the options of
//! `samanea run` that make a node answer.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use samanea_core::governor::{Count, Saved};
use tracing::{info, warn};

use super::{Failure, say};
use crate::{
    app::App,
    control::{self, Answer, Goals, Refused, Request},
    driver::Handle,
    map,
    memory::StateDir,
    metrics::{Bind, Server},
    office::{Desk, figures, saved},
    peers::{Explained, Row},
    slots::SlotClock,
};

/// Options of `samanea run`.
#[derive(Clone, Debug, Args)]
pub(super) struct Options {
    /// Tell numbers to Prometheus at `http://ADDR/metrics`; `none`: nowhere
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:12798")]
    metrics: Bind,
    /// Remember peers over restarts, in this directory; made if it is not there
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Answer `samanea peers`, `explain`, `groups` and `publish` at this Unix domain socket; by default
    /// samanea.socket in --state
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// When slot 0 began, in seconds since 1970, for delays of blocks and the age of the chain; known
    /// of mainnet, preprod and preview, and of others from the genesis file that --config names
    #[arg(long, value_name = "SECONDS")]
    slot_zero: Option<u64>,
    /// How long a slot takes
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1_000, requires = "slot_zero", value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    slot_length: u64,
}

impl Options {
    /// Takes the state directory and recalls what was saved in it.
    pub(super) fn open(&self) -> Result<Office, Failure> {
        if self.socket.is_some() && !cfg!(unix) {
            let error = control::Error::Unsupported;
            return Err(Failure::input(format!("--socket: {error}")));
        }
        let (mut state, mut saved) = (None, None);
        if let Some(dir) = &self.state {
            let opened =
                StateDir::open(dir).map_err(|error| Failure::input(format!("--state {error}")))?;
            saved = recall(&opened);
            state = Some(opened);
        }
        let in_state = || Some(state.as_ref()?.file(control::NAME));
        let socket = self
            .socket
            .clone()
            .or_else(|| in_state().filter(|_| cfg!(unix)));
        Ok(Office {
            socket,
            state,
            saved,
            metrics: self.metrics,
        })
    }

    /// When slots of the network with this magic begin: as said, as known, or as its genesis file
    /// has it.
    pub(super) fn slots(&self, magic: u32, genesis: Option<&Path>) -> Option<SlotClock> {
        let length = Duration::from_millis(self.slot_length);
        let given = self.slot_zero.map(Duration::from_secs);
        let clock = given.map(|zero| SlotClock::since(zero, length));
        let clock = clock.or_else(|| SlotClock::of_network(magic));
        clock.or_else(|| {
            let genesis = genesis?;
            let read = SlotClock::of_genesis(genesis);
            read.inspect_err(|why| warn!("{}: {why}; slots have no known times", genesis.display()))
                .ok()
        })
    }
}

/// What was saved, if it can be read.
fn recall(state: &StateDir) -> Option<Saved> {
    match state.recall() {
        Ok(saved) => saved,
        Err(aside) => {
            let (path, why) = (aside.path.display(), &aside.why);
            match &aside.to {
                Ok(to) => {
                    warn!(
                        "{path}: {why}; set aside as {}, no peer is remembered",
                        to.display()
                    );
                }
                Err(error) => {
                    warn!("{path}: {why}; not set aside: {error}; no peer is remembered");
                }
            }
            None
        }
    }
}

/// What is there before the node is.
pub(super) struct Office {
    metrics: Bind,
    socket: Option<PathBuf>,
    state: Option<StateDir>,
    /// What was known before.
    pub(super) saved: Option<Saved>,
}

impl Office {
    /// Whether what the peer selection does is measured.
    pub(super) fn traces(&self) -> bool {
        self.metrics != Bind::None
    }

    /// Answers about the node from now on, until the result is dropped.
    pub(super) async fn work(self, handle: &Handle, app: &App) -> Result<Working, Failure> {
        let mut working = Working {
            state: self.state.map(Arc::new),
            ..Working::default()
        };
        if let Bind::Addr(addr) = self.metrics {
            let (handle, measures) = (handle.clone(), Arc::clone(app.measures()));
            let look = move || figures(&handle, &measures);
            let server = Server::start(addr, look)
                .await
                .map_err(|error| no_metrics(addr, &error))?;
            info!(address = %server.local_addr(), "metrics");
            working.metrics = Some(server);
        }
        if let Some(path) = self.socket {
            let server = control::Server::start(&path, Desk::new(handle, app.outbox()))
                .map_err(|error| Failure::input(format!("--socket {error}")))?;
            info!(path = %server.path().display(), "control socket");
            working.socket = Some(server);
        }
        Ok(working)
    }
}

fn no_metrics(addr: SocketAddr, error: &io::Error) -> Failure {
    let help = match error.kind() {
        io::ErrorKind::AddrInUse => ": another node? --metrics takes another address, or `none`",
        _ => "",
    };
    Failure::input(format!("--metrics {addr}: {error}{help}"))
}

/// What is there while the node runs.
#[derive(Default)]
pub(super) struct Working {
    metrics: Option<Server>,
    socket: Option<control::Server>,
    state: Option<Arc<StateDir>>,
}

impl Working {
    /// Saves what the node knows, if it is to be remembered.
    pub(super) async fn save(&self, handle: &Handle) {
        let Some(state) = self.state.clone() else {
            return;
        };
        let handle = handle.clone();
        let saving = tokio::task::spawn_blocking(move || {
            let saved = saved(&handle);
            state.keep(&saved).map(|()| saved.peers.len())
        });
        match saving.await {
            Ok(Ok(peers)) => info!(peers, "saved"),
            Ok(Err(error)) => warn!("peers are not saved: {error}"),
            Err(error) => warn!("peers are not saved: {error}"),
        }
    }
}

/// How a running node is found.
#[derive(Clone, Debug, Args)]
pub(super) struct Node {
    /// The control socket of the node; by default samanea.socket in --state, or here
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// The state directory of the node
    #[arg(long, value_name = "DIR", conflicts_with = "socket")]
    state: Option<PathBuf>,
}

impl Node {
    pub(super) fn ask(&self, request: &Request) -> Result<Answer, Failure> {
        let path = match (&self.socket, &self.state) {
            (Some(path), _) => path.clone(),
            (None, Some(dir)) => dir.join(control::NAME),
            (None, None) => control::NAME.into(),
        };
        control::ask(&path, request).map_err(|error| match error {
            Refused::Node(word) => Failure::run(word),
            error => Failure::input(format!("--socket {}: {error}", path.display())),
        })
    }
}

/// Of `samanea peers`.
#[derive(Clone, Debug, Args)]
pub(super) struct Peers {
    #[command(flatten)]
    node: Node,
    /// Print JSON, a line for each peer
    #[arg(long)]
    json: bool,
    /// Draw the node's peers by temperature and distance, and who told of whom
    #[arg(long, value_name = "FILE.svg")]
    map: Option<PathBuf>,
}

/// Of `samanea explain`.
#[derive(Clone, Debug, Args)]
pub(super) struct Explain {
    /// The peer, IP:PORT
    #[arg(value_name = "ADDR")]
    peer: SocketAddr,
    #[command(flatten)]
    node: Node,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn peers(args: &Peers) -> Result<(), Failure> {
    let Answer::Peers(table) = args.node.ask(&Request::Peers)? else {
        return Err(misled());
    };
    if let Some(path) = &args.map {
        draw(path, &map::to_svg(&table))?;
    }
    if args.json {
        for row in &table.rows {
            say(serde_json::to_string(row).map_err(Failure::run)?);
        }
        return Ok(());
    }
    say(rows(&table.rows));
    if table.left_out > 0 {
        say(format_args!("{} more are not shown", table.left_out));
    }
    if let Answer::Targets(goals) = args.node.ask(&Request::Targets)? {
        say(totals(&goals));
    }
    if let Some(path) = &args.map {
        say(format_args!("drawn: {}", path.display()));
    }
    Ok(())
}

pub(super) fn explain(args: &Explain) -> Result<(), Failure> {
    let request = Request::Explain { peer: args.peer };
    let Answer::Explained(told) = args.node.ask(&request)? else {
        return Err(misled());
    };
    if args.json {
        say(serde_json::to_string(&told).map_err(Failure::run)?);
    } else {
        say(in_words(&told));
    }
    Ok(())
}

pub(super) fn misled() -> Failure {
    Failure::run("the node answers another question")
}

fn draw(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text)
        .map_err(|error| Failure::input(format!("--map {}: {error}", path.display())))
}

fn rows(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header([
            "address",
            "source",
            "state",
            "score",
            "RTT",
            "hops",
            "used",
            "since",
            "waits for",
            "in",
        ]);
    for row in rows {
        let or_dash = |word: Option<String>| word.unwrap_or_else(|| "–".into());
        table.add_row([
            row.peer.to_string(),
            or_dash(row.source.as_deref().map(String::from)),
            row.status.to_string(),
            format!("{:.1}", row.score),
            or_dash(row.rtt_us.map(Duration::from_micros).map(span)),
            or_dash(row.hops.map(|hops| hops.to_string())),
            or_dash(row.direction.as_deref().map(String::from)),
            span(Duration::from_millis(row.since_ms)),
            row.next.to_string(),
            or_dash(row.next_ms.map(Duration::from_millis).map(span)),
        ]);
    }
    for (at, column) in table.column_iter_mut().enumerate() {
        if [3, 4, 5, 7, 9].contains(&at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A span with two or three digits.
fn span(span: Duration) -> String {
    let (us, s) = (span.as_micros(), span.as_secs());
    match s {
        0 if us < 1_000 => format!("{us} µs"),
        0 if us < 10_000 => format!("{:.1} ms", span.as_secs_f64() * 1e3),
        0 => format!("{} ms", us / 1_000),
        1..=9 => format!("{:.1} s", span.as_secs_f64()),
        10..=119 => format!("{s} s"),
        120..=7_199 => format!("{} min", s / 60),
        7_200..=172_799 => format!("{} h", s / 3_600),
        _ => format!("{} d", s / 86_400),
    }
}

fn totals(goals: &Goals) -> String {
    let (targets, counters) = (&goals.targets, &goals.counters);
    let of = |count: &Count, known: u32, established: u32, active: u32| {
        format!(
            "known {}/{known}, established {}/{established}, active {}/{active}",
            count.known, count.established, count.active
        )
    };
    format!(
        "{}; big ledger peers: {}; roots {}/{}",
        of(
            &counters.ordinary,
            targets.known,
            targets.established,
            targets.active
        ),
        of(
            &counters.big,
            targets.known_big,
            targets.established_big,
            targets.active_big
        ),
        counters.roots,
        targets.root
    )
}

fn in_words(told: &Explained) -> String {
    let since = span(Duration::from_millis(told.row.since_ms));
    let mut lines = vec![
        format!("{}: {} since {since} ago", told.row.peer, told.row.status),
        format!("  why            {}", told.why),
        format!("  promoted by    {}", told.promotion),
        format!("  waits for      {}", told.waits),
    ];
    if !told.facts.is_empty() {
        lines.push(format!("  held of it     {}", told.facts.join("; ")));
    }
    for (n, line) in told.connections.iter().enumerate() {
        let head = if n == 0 { "connections" } else { "" };
        lines.push(format!("  {head:<14} {}", line.trim_start()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short() {
        let shown = |us| span(Duration::from_micros(us));
        for (us, expected) in [
            (0, "0 µs"),
            (999, "999 µs"),
            (1_500, "1.5 ms"),
            (250_000, "250 ms"),
            (1_500_000, "1.5 s"),
            (119_000_000, "119 s"),
            (120_000_000, "2 min"),
            (7_200_000_000, "2 h"),
            (200_000_000_000, "2 d"),
        ] {
            assert_eq!(shown(us), expected);
        }
    }
}

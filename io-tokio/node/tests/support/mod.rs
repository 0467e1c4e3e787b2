//! What the tests of the node share.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

use std::{
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader, Lines, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

use samanea::{Block, peers::Row};
use samanea_core::base::{Hash32, Instant, Point};
use samanea_std::clock::Clock;

/// A file or directory of the shared data, or a loud word that the test `who` does without.
pub fn shared(who: &str, path: &str) -> Option<PathBuf> {
    let root = env::var_os("SAMANEA_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    say(&format!("SKIPPED {who}: no {}", found.display()));
    None
}

/// A line on standard error, past the capture of the test runner.
pub fn say(line: &str) {
    let mut out = io::stderr();
    writeln!(out, "{line}").unwrap();
}

/// Writes blocks as chunk `number` of an `ImmutableDB` directory, laid out in slots from
/// `first_slot`.
pub fn write_chunk(dir: &Path, number: u64, first_slot: u64, blocks: &[Block]) {
    let (mut chunk, mut primary, mut secondary) = (Vec::new(), vec![1_u8], Vec::new());
    let mut slots = first_slot.checked_sub(1).map_or(-1, u64::cast_signed);
    let mut offset = |slot: i64, offset: usize| {
        while slots < slot {
            primary.extend(u32::try_from(offset).unwrap().to_be_bytes());
            slots += 1;
        }
        primary.extend(u32::try_from(offset).unwrap().to_be_bytes());
        slots += 1;
    };
    for block in blocks {
        let Point::Block {
            slot,
            hash: Hash32(hash),
        } = block.view.point
        else {
            panic!("a block has a slot");
        };
        offset(slot.cast_signed(), secondary.len());
        secondary.extend(u64::try_from(chunk.len()).unwrap().to_be_bytes());
        secondary.extend([0; 4]);
        secondary.extend(crc32fast::hash(&block.body).to_be_bytes());
        secondary.extend(hash);
        secondary.extend(slot.to_be_bytes());
        chunk.extend_from_slice(&block.body);
    }
    primary.extend(u32::try_from(secondary.len()).unwrap().to_be_bytes());
    fs::create_dir_all(dir).unwrap();
    let path = |part: &str| dir.join(format!("{number:05}.{part}"));
    fs::write(path("chunk"), chunk).unwrap();
    fs::write(path("primary"), primary).unwrap();
    fs::write(path("secondary"), secondary).unwrap();
}

/// The program with these arguments.
pub fn samanea<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_samanea"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the program to its end: exit code, standard output, standard error.
pub fn output<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> (i32, String, String) {
    let output = samanea(args).output().unwrap();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// The longest that anything may take: far longer than it does.
const PATIENCE: Instant = Instant::from_secs(120);

/// The answer of `samanea peers`.
pub fn peers(socket: &Path) -> BTreeMap<SocketAddr, Row> {
    let args = ["peers", "--json", "--socket", socket.to_str().unwrap()];
    let (code, out, err) = output(args);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    let rows = out.lines().map(|line| serde_json::from_str(line).unwrap());
    rows.map(|row: Row| (row.peer, row)).collect()
}

/// Asks until the answer is as it should be.
pub fn until(
    what: &str,
    socket: &Path,
    reached: impl Fn(&BTreeMap<SocketAddr, Row>) -> bool,
) -> BTreeMap<SocketAddr, Row> {
    let clock = Clock::starting_at(Instant::ZERO);
    loop {
        let rows = peers(socket);
        if reached(&rows) {
            return rows;
        }
        assert!(clock.now() < PATIENCE, "{what}: {rows:#?}");
    }
}

/// Whether a peer is so hot.
pub fn is(row: Option<&Row>, temperature: &str) -> bool {
    row.and_then(|row| row.temperature.as_deref()) == Some(temperature)
}

/// A node that `run`s until it is told to stop, or dropped.
pub struct Node {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    /// What it said before it listened.
    before: String,
    /// Where it listens.
    pub addr: String,
}

impl Node {
    /// Starts a node on a port of its own and waits until it listens; without metrics unless
    /// they are asked for.
    pub fn run(args: &[&str]) -> Self {
        let mut command = samanea(["run", "--listen", "127.0.0.1:0"]);
        if !args.contains(&"--metrics") {
            command.args(["--metrics", "none"]);
        }
        command.args(args);
        Self::start(command)
    }

    /// Starts a node by this command and waits until it listens.
    pub fn start(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut node = Self {
            child,
            log,
            before: String::new(),
            addr: String::new(),
        };
        let line;
        (line, node.before) = node.logs_after("listening");
        let at = line.find("127.0.0.1:").unwrap();
        node.addr = line[at..]
            .chars()
            .take_while(|c| c.is_ascii_digit() || ".:".contains(*c))
            .collect();
        node
    }

    /// Reads the log up to a line with these words.
    pub fn logs(&mut self, words: &str) -> String {
        self.logs_after(words).0
    }

    /// Whether it said these words before it listened.
    pub fn said(&self, words: &str) -> bool {
        self.before.contains(words)
    }

    /// The line, and what was said before it.
    fn logs_after(&mut self, words: &str) -> (String, String) {
        let mut seen = String::new();
        for line in &mut self.log {
            let line = line.unwrap();
            if line.contains(words) {
                return (line, seen);
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        panic!("the log ended without {words:?}:\n{seen}");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let kill = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(kill.success());
    }

    /// Sends a signal and waits for the end: the exit code.
    pub fn stop(mut self, signal: &str) -> i32 {
        self.signal(signal);
        for line in &mut self.log {
            line.unwrap();
        }
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Gone already when it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! What can be said on the command line.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use samanea_core::base::{Hash32, Point};

use super::{groups, office};
use crate::driver::Driver;

/// A node of a block-diffusing network.
#[derive(Clone, Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(super) struct Cli {
    /// Tell more; twice: still more
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub(super) verbose: u8,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(super) enum Command {
    /// Several nodes on loopback carry a chain hop by hop
    Devnet(Devnet),
    /// One node follows its peers and serves what it has
    Run(Box<Run>),
    /// Asks a node for its versions and its tip, and measures round trips
    Ping(Ping),
    /// Runs a tape again and compares all that the node did
    Replay(Replay),
    /// Shows the peers of a running node
    Peers(office::Peers),
    /// Explains one peer of a running node: why it is what it is, and what is waited for
    Explain(office::Explain),
    /// Shows the groups of structured gossip that a running node knows
    Groups(groups::Shown),
    /// Broadcasts through a running node over structured gossip, and tells the id of the message
    Publish(groups::Publish),
    /// Makes the key of a member of structured gossip and tells its public half
    GossipKey(GossipKey),
}

#[derive(Clone, Debug, Args)]
pub(super) struct Devnet {
    /// How many nodes
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(super) nodes: u16,
    /// Serve the blocks of this directory (chunk, primary and secondary files)
    #[arg(long, value_name = "DIR", conflicts_with = "blocks")]
    pub(super) chain: Option<PathBuf>,
    /// Generate this many blocks
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) blocks: u64,
    /// What runs the nodes
    #[arg(long, value_enum, default_value_t)]
    pub(super) driver: Mix,
    /// Decides the generated chain, who knows whom, and every draw of the nodes
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Record one node
    #[arg(long, value_name = "FILE")]
    pub(super) tape: Option<PathBuf>,
    /// Which node is recorded; by default the first that both follows and serves
    #[arg(long, value_name = "NODE", default_value_t = 1, requires = "tape")]
    pub(super) tape_node: usize,
    /// The longest that the chain may take to reach everyone; in a line, the longest of each
    /// phase; with --rain, the longest of all, 60 at most
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) timeout: u32,
    /// Who knows whom at the start
    #[arg(long, value_enum, default_value_t)]
    pub(super) topology: Shape,
    /// In a line: how many others each node knows at the start
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=10))]
    pub(super) roots: u16,
    /// In a line: how many times shorter than usual the times of peer selection are
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) scale: u32,
    #[command(flatten)]
    pub(super) rain: Rain,
}

/// A devnet of structured gossip.
#[derive(Clone, Debug, Args)]
pub(super) struct Rain {
    /// Members of one group instead: one broadcasts, some are killed, and all that live must get
    /// it. Takes a minute at most
    #[arg(long = "rain", id = "rain", conflicts_with_all = ["nodes", "chain", "blocks", "tape", "topology", "roots", "scale"])]
    pub(super) on: bool,
    /// With --rain: how many members
    #[arg(long, value_name = "N", default_value_t = 27, requires = "rain", value_parser = clap::value_parser!(u16).range(2..=200))]
    pub(super) members: u16,
    /// With --rain: how many are killed, half of them before and half of them during the
    /// broadcast, but never who broadcasts; by default three in ten
    #[arg(long, value_name = "N", requires = "rain")]
    pub(super) kill: Option<u16>,
    /// With --rain: the size of each message
    #[arg(long, value_name = "BYTES", default_value_t = 1_024, requires = "rain", value_parser = clap::value_parser!(u32).range(1..=4_194_304))]
    pub(super) payload: u32,
    /// With --rain: how many messages are broadcast
    #[arg(long, value_name = "N", default_value_t = 1, requires = "rain", value_parser = clap::value_parser!(u16).range(1..=200))]
    pub(super) messages: u16,
    /// With --rain: draw the way of the first message
    #[arg(long = "rain-svg", value_name = "FILE.svg", requires = "rain")]
    pub(super) svg: Option<PathBuf>,
}

/// Who knows whom in a devnet at the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Shape {
    /// One or two of the three before it, and they are kept: blocks travel several hops
    #[default]
    Hops,
    /// Those right before it in a line; the others are found, and peers change
    Line,
}

/// What runs the nodes of a devnet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Mix {
    /// Tasks on tokio
    #[default]
    Tokio,
    /// Plain threads
    Std,
    /// Both, in turn
    Mixed,
}

impl Mix {
    pub(super) fn of(self, node: usize) -> Driver {
        match self {
            Self::Mixed if node.is_multiple_of(2) => Driver::Tokio,
            Self::Tokio => Driver::Tokio,
            Self::Std | Self::Mixed => Driver::Std,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(super) struct Run {
    /// Where to listen, IP:PORT; may be given again
    #[arg(long, value_name = "ADDR", required_unless_present = "only_plan")]
    pub(super) listen: Vec<SocketAddr>,
    /// The network's magic number
    #[arg(long, value_name = "N", required_unless_present = "only_plan")]
    pub(super) magic: Option<u32>,
    /// The roots and, in a file that it names, the big ledger peers: topology.json of
    /// cardano-node. Read again on SIGHUP and when it changes
    #[arg(long, value_name = "FILE", group = "files")]
    pub(super) topology: Option<PathBuf>,
    /// Targets, limits and modes: the configuration of cardano-node
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Read all files, tell what would be done with them, and end
    #[arg(long = "dry-run", requires = "files")]
    pub(super) only_plan: bool,
    /// A peer to follow, HOST:PORT; may be given again
    #[arg(long, value_name = "ADDR")]
    pub(super) peer: Vec<Remote>,
    /// Begin with the blocks of this directory (chunk, primary and secondary files)
    #[arg(long, value_name = "DIR")]
    pub(super) chain: Option<PathBuf>,
    /// The chain begins behind this block: SLOT.HASH
    #[arg(long, value_name = "POINT", value_parser = point)]
    pub(super) anchor: Option<Point>,
    /// The chain begins with the first block that is offered
    #[arg(long, conflicts_with = "anchor")]
    pub(super) trust_first: bool,
    /// What runs the node
    #[arg(long, value_enum, default_value_t)]
    pub(super) driver: Driver,
    /// Decides every draw of the node; by default another one each time
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
    /// Look names up with this name server, IP:PORT; may be given again; by default with those of
    /// the system
    #[arg(long, value_name = "ADDR")]
    pub(super) resolver: Vec<SocketAddr>,
    /// Record the node
    #[arg(long, value_name = "FILE")]
    pub(super) tape: Option<PathBuf>,
    /// Take part in structured gossip as the member with this key, as gossip-key or openssl
    /// writes it. Its numbers are told as `samanea_rain_*`. A member is not recorded: a tape could
    /// not be replayed without its key
    #[arg(long, value_name = "FILE", conflicts_with = "tape")]
    pub(super) gossip_key: Option<PathBuf>,
    /// The groups of structured gossip: who is in which, and where members live. Read again on
    /// SIGHUP. Without --gossip-key only for --dry-run
    #[arg(long, value_name = "FILE", group = "files")]
    pub(super) groups: Option<PathBuf>,
    /// From this many inbound connections on accepting slows down; by default three quarters of
    /// --hard-limit
    #[arg(long, value_name = "N")]
    pub(super) soft_limit: Option<u32>,
    /// Inbound connections at most; by default as --config says, else 512
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    pub(super) hard_limit: Option<u32>,
    /// The longest wait before accepting, near the hard limit; by default as --config says, else
    /// 5000
    #[arg(long, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u64).range(..=3_600_000))]
    pub(super) accept_delay: Option<u64>,
    /// Accepted connections from one /24 or /48 at most; 0 for any number. Loopback and peers are
    /// not counted
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(super) per_prefix: u32,
    #[command(flatten)]
    pub(super) office: office::Options,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Ping {
    /// The node
    #[arg(value_name = "HOST:PORT")]
    pub(super) remote: Remote,
    /// The network's magic number
    #[arg(long, value_name = "N")]
    pub(super) magic: u32,
    /// Only ask which versions it speaks
    #[arg(long)]
    pub(super) query: bool,
    /// How many round trips
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) count: u32,
    /// The longest that any one answer may take
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(super) timeout: u32,
}

#[derive(Clone, Debug, Args)]
pub(super) struct GossipKey {
    /// Where the key is written: a new file, never one that is there, in PEM (PKCS #8)
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Write the seed as 64 hexadecimal digits instead
    #[arg(long)]
    pub(super) hex: bool,
    /// Make no key: tell the public half of the one in the file
    #[arg(long, conflicts_with = "hex")]
    pub(super) show: bool,
}

#[derive(Clone, Debug, Args)]
pub(super) struct Replay {
    /// The tape
    #[arg(value_name = "FILE")]
    pub(super) file: PathBuf,
    /// Check every invariant after every event
    #[arg(long)]
    pub(super) check: bool,
    /// After this event go on from a snapshot of the state
    #[arg(long, value_name = "EVENT")]
    pub(super) restore_after: Option<u64>,
}

/// The other end of a connection: a name or an address, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remote(pub(super) String);

impl FromStr for Remote {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = text.rsplit_once(':').ok_or("no port: HOST:PORT")?;
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err("no host: HOST:PORT");
        }
        if host.contains(':') && text.parse::<SocketAddr>().is_err() {
            return Err("malformed address: [IPV6]:PORT");
        }
        match port.parse::<u16>() {
            Ok(1..) => Ok(Self(text.to_owned())),
            _ => Err("port is not a number from 1 to 65535"),
        }
    }
}

/// Reads SLOT.HASH, as points are printed, or `origin`.
fn point(text: &str) -> Result<Point, &'static str> {
    if text == "origin" {
        return Ok(Point::Origin);
    }
    let (slot, hash) = text.split_once('.').ok_or("not SLOT.HASH")?;
    let slot = slot.parse().map_err(|_| "slot is not a number")?;
    if hash.len() != 64 || !hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err("hash is not 64 hexadecimal digits");
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(hash.as_bytes().as_chunks::<2>().0) {
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        *byte = u8::from_str_radix(digits, 16).map_err(|_| "hash is not hexadecimal")?;
    }
    Ok(Point::Block {
        slot,
        hash: Hash32(bytes),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn points_are_read_as_they_are_printed() {
        let text = "39679163.53af88680ff3380814fdddc148caa1c6dbb89e5a30a5f6a439ee313424a14c55";
        assert_eq!(point(text).unwrap().to_string(), text);
        assert_eq!(point("origin"), Ok(Point::Origin));
        for wrong in ["", "1", "1.", "x.53", &text[..72], "1.zz"] {
            assert!(point(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for right in ["127.0.0.1:3001", "relay.example:3001", "[::1]:3001"] {
            assert!(right.parse::<Remote>().is_ok(), "{right}");
        }
        for wrong in [
            "",
            "localhost",
            ":3001",
            "a:b",
            "a:0",
            "a:65536",
            "::1:3001",
            "a b:1",
        ] {
            assert!(wrong.parse::<Remote>().is_err(), "{wrong}");
        }
    }
}

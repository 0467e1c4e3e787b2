//! `samanea run`.

use std::{io, net::SocketAddr, sync::Arc};

use samanea_core::{
    base::{Point, Rules},
    chain::Start,
    node::{Command, Config, Engine, Node},
};
use samanea_std::Options;
use tracing::info;

use super::{Failure, Signals, args, read_chain, runtime};
use crate::{Block, app::App, driver::Handle, rules::Eras, tape::TapeFile};

pub(super) fn main(args: &args::Run) -> Result<(), Failure> {
    let chain = match &args.chain {
        Some(dir) => read_chain(dir)?,
        None => Vec::new(),
    };
    let mut config = Config::new(args.magic);
    config.chain.start = start(args, chain.first())?;
    if chain.len() > config.chain.headers_max {
        config.chain.headers_max = chain.len();
    }
    runtime()?.block_on(run(args, config, chain))
}

/// Where the chain begins; what was read from a directory is trusted like an anchor.
fn start(args: &args::Run, first: Option<&Block>) -> Result<Start, Failure> {
    let parent = first.and_then(|first| first.view.prev);
    match (args.anchor, first) {
        (Some(anchor), Some(_)) if anchor.hash() != parent => Err(Failure::input(format!(
            "--anchor {anchor}: the blocks of --chain do not begin behind it"
        ))),
        (Some(Point::Origin), _) => Ok(Start::Genesis),
        (Some(anchor), _) => Ok(Start::Anchor(anchor)),
        (None, _) if args.trust_first || parent.is_some() => Ok(Start::TrustFirst),
        (None, _) => Ok(Start::Genesis),
    }
}

async fn run(args: &args::Run, config: Config, chain: Vec<Block>) -> Result<(), Failure> {
    let mut stop = Signals::new()?;
    let mut peers = Vec::new();
    for args::Remote(peer) in &args.peer {
        let failed = |error: io::Error| Failure::input(format!("--peer {peer}: {error}"));
        let found = tokio::net::lookup_host(peer).await.map_err(failed)?.next();
        peers.push(found.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?);
    }

    let app = Arc::new(App::new(config.chain.headers_max));
    let node = Node::new(Engine::new(config), args.seed.unwrap_or_else(any_seed));
    let mut options = Options::default();
    options.listen.clone_from(&args.listen);
    let mut tape = None;
    if let Some(path) = &args.tape {
        let file = TapeFile::create(path, &node, Eras.name())
            .map_err(|error| Failure::input(format!("--tape: {error}")))?;
        options.tap = Some(file.tap());
        tape = Some(file);
    }
    let handle = Handle::start(args.driver, node, Arc::clone(&app) as _, options)
        .await
        .map_err(|error| Failure::input(format!("--listen {}: {error}", list(&args.listen))))?;
    info!(addresses = list(handle.listening()), "listening");
    for block in &chain {
        app.keep(block);
        let header = block.header.clone();
        handle.command(Command::Extend { header });
    }
    if let Some(last) = chain.last() {
        info!(blocks = chain.len(), tip = %last.view.point, "serving");
    }
    drop(chain);
    for peer in peers {
        handle.command(Command::AddPeer(peer));
    }

    info!("{}", stop.recv().await);
    handle.stop().await;
    if let Some(tape) = tape {
        let tape = tape.finish().map_err(Failure::run)?;
        info!(events = tape.events, digest = %tape.digest, "tape");
    }
    info!("stopped");
    Ok(())
}

fn list(addrs: &[SocketAddr]) -> String {
    let addrs: Vec<String> = addrs.iter().map(ToString::to_string).collect();
    addrs.join(", ")
}

/// Another seed each time: the standard library keys its hashers from the system's entropy.
fn any_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

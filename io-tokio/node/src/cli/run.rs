//! `samanea run`.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

use samanea_core::{
    base::{MemberKey, Point, Rules, Tip},
    chain::Start,
    governor::Targets,
    manager::Limits,
    node::{Command, Config, Engine, Gossip, Node},
};
use samanea_std::{
    Options, clock, descriptors,
    gossip::{SecretKey, Voice},
};
use samanea_tokio::Dns;
use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    Failure, args, gossip_key,
    groups::Told,
    judging::Judging,
    office::Working,
    plan, read_chain,
    reload::Watched,
    runtime,
    signals::{Signal, Signals},
};
use crate::{
    Block,
    app::{App, Progress},
    driver::Handle,
    metrics::Measures,
    rules::Eras,
    slots::SlotClock,
    tape::TapeFile,
};

pub(super) fn main(args: &args::Run) -> Result<(), Failure> {
    let settings = plan::settings(args)?;
    let roots = plan::roots(args, &settings)?;
    let key = args.gossip_key.as_deref().map(gossip_key::load).transpose();
    let key = key.map_err(|error| Failure::input(format!("--gossip-key {error}")))?;
    let told = Told::load(args.groups.as_deref())?;
    if args.only_plan {
        if let Some(roots) = &roots {
            plan::tell(roots, &settings);
        }
        if let Some(told) = &told {
            told.tell(key.as_ref().map(SecretKey::member).as_ref());
        }
        return Ok(());
    }
    if told.is_some() && key.is_none() {
        return Err(Failure::input(
            "--groups: needs --gossip-key, the key of a member",
        ));
    }
    let chain = match &args.chain {
        Some(dir) => read_chain(dir)?,
        None => Vec::new(),
    };
    // The command line asks for it unless nothing is run.
    let mut config = Config::new(args.magic.unwrap_or_default());
    config.chain.start = start(args, chain.first())?;
    let voice = key.map(Voice::of);
    config.gossip = voice.as_ref().and_then(Voice::member).map(member);
    if chain.len() > config.chain.headers_max {
        config.chain.headers_max = chain.len();
    }
    if roots.is_some() || args.config.is_some() {
        settings.apply(&mut config.governor, &mut config.manager, &mut config.conn);
        config.peer_sharing = config.governor.sharing;
    }
    limit(args, &mut config)?;
    fit(&mut config, args.peer.len());
    plan::log_warnings(&settings.warnings);
    if let Some(roots) = &roots {
        plan::log_warnings(&roots.loaded.warnings);
    }
    let genesis = settings.genesis.as_deref();
    let slots = args.office.slots(config.magic, genesis);
    if slots.is_none()
        && roots
            .as_ref()
            .is_some_and(plan::Roots::have_bootstrap_peers)
    {
        warn!(
            "when slots begin is not known: the chain counts as old, and only bootstrap peers and \
             trustable local roots are used; --slot-zero says it"
        );
    }
    let files = Files { roots, told };
    runtime()?.block_on(run(args, config, (chain, voice), files, slots))
}

/// A member in a life of its own: later than those before it, unless the clock was set back.
fn member(key: MemberKey) -> Gossip {
    let boot = u32::try_from(clock::wall().as_secs()).unwrap_or(u32::MAX);
    Gossip::new(key, boot)
}

/// The accept limits as given.
fn limit(args: &args::Run, config: &mut Config) -> Result<(), Failure> {
    // The command line wins over the configuration, which wins over the defaults.
    let given = config.manager.limits;
    let hard = args.hard_limit.unwrap_or(given.hard);
    let usual = if args.hard_limit.is_some() {
        hard / 4 * 3
    } else {
        given.soft
    };
    let soft = args.soft_limit.unwrap_or(usual);
    if soft > hard {
        return Err(Failure::input(format!(
            "--soft-limit {soft}: more than --hard-limit {hard}"
        )));
    }
    let delay = args.accept_delay.map_or(given.delay, Duration::from_millis);
    let limits = Limits { soft, hard, delay };
    let manager = &mut config.manager;
    manager.limits = limits;
    manager.prefixes.max = args.per_prefix;
    let entries = usize::try_from(limits.hard).unwrap_or(usize::MAX);
    manager.entries_max = manager.entries_max.max(entries.saturating_mul(8));
    Ok(())
}

/// Limits that the process cannot hold beside so many dials are lowered, with a warning.
fn fit(config: &mut Config, dials: usize) {
    let limits = config.manager.limits;
    let Targets {
        established,
        established_big,
        ..
    } = config.governor.deadline;
    let wanted = usize::try_from(established.saturating_add(established_big));
    let dials = dials
        .saturating_add(wanted.unwrap_or(usize::MAX))
        .saturating_add(config.manager.lingering_max);
    let granted = descriptors::raise(descriptors::needed(limits, dials));
    let fitted = descriptors::fit(limits, dials, granted);
    if let Some(shortfall) = fitted.shortfall {
        warn!("{shortfall}");
        config.manager.limits = fitted.limits;
    }
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

async fn run(
    args: &args::Run,
    mut config: Config,
    (chain, voice): (Vec<Block>, Option<Voice>),
    files: Files,
    slots: Option<SlotClock>,
) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let seed = args.seed.unwrap_or_else(any_seed);
    let me = config.gossip.as_ref().map(|gossip| gossip.member);
    let mut minder = Minder {
        watched: files.roots.map(Watched::new),
        told: me.zip(files.told),
        judging: slots.map(|slots| Judging::new(slots, seed)),
    };
    let mut peers = Vec::new();
    for args::Remote(peer) in &args.peer {
        let failed = |error: io::Error| Failure::input(format!("--peer {peer}: {error}"));
        let found = tokio::net::lookup_host(peer).await.map_err(failed)?.next();
        peers.push(found.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?);
    }

    let mut office = args.office.open()?;
    config.governor.trace |= office.traces();
    let measures = Measures::new(slots);
    let mut app = App::new(config.chain.headers_max).measuring(measures);
    if let Some(voice) = voice {
        app = app.speaking(voice);
    }
    let app = Arc::new(app);
    if let Some(gossip) = &config.gossip {
        info!(member = %gossip.member, boot = gossip.boot, "structured gossip");
    }
    let node = Node::new(Engine::new(config), seed);
    let mut options = Options::default();
    options.listen.clone_from(&args.listen);
    let mut tape = None;
    if let Some(path) = &args.tape {
        let file = TapeFile::create(path, &node, Eras.name())
            .map_err(|error| Failure::input(format!("--tape: {error}")))?;
        options.tap = Some(file.tap());
        tape = Some(file);
    }
    if !args.resolver.is_empty() {
        let runtime = tokio::runtime::Handle::current();
        options.resolver = Some(Arc::new(Dns::at(runtime, &args.resolver)));
    }
    let handle = Handle::start(args.driver, Box::new(node), Arc::clone(&app) as _, options)
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

    if let Some(watched) = &minder.watched {
        for command in watched.all() {
            handle.command(command);
        }
    }
    minder.introduce(&handle);
    // Behind the topology: it says whether others than bootstrap peers are wanted.
    if let Some(saved) = office.saved.take() {
        info!(peers = saved.peers.len(), "remembered");
        handle.command(Command::Restore(Box::new(saved)));
    }

    let ended = match office.work(&handle, &app).await {
        Ok(office) => {
            let ended = attend(&handle, &mut signals, app.watch(), &office, &mut minder).await;
            office.save(&handle).await;
            ended
        }
        Err(failure) => Err(failure),
    };
    handle.stop().await;
    if let Some(tape) = tape {
        let tape = tape.finish().map_err(Failure::run)?;
        info!(events = tape.events, digest = %tape.digest, "tape");
    }
    info!("stopped");
    ended
}

/// What an operator has written down.
struct Files {
    roots: Option<plan::Roots>,
    told: Option<Told>,
}

/// What looks after a node from outside.
#[derive(Default)]
struct Minder {
    watched: Option<Watched>,
    judging: Option<Judging>,
    /// Who the node is in structured gossip, and its groups.
    told: Option<(MemberKey, Told)>,
}

impl Minder {
    /// Tells the node of its groups.
    fn introduce(&self, handle: &Handle) {
        let Some((me, told)) = &self.told else {
            return;
        };
        told.log_warnings();
        told.warn_of_stranger(me);
        for command in told.all(me, handle.listening().first().copied()) {
            handle.command(command);
        }
    }

    /// Waits until a file of the topology has changed; without one for ever.
    async fn changed(watched: &mut Option<Watched>) {
        match watched {
            Some(watched) => watched.changed().await,
            None => std::future::pending().await,
        }
    }

    /// Waits until the chain is to be judged; where slots have no known times for ever.
    async fn due(judging: &mut Option<Judging>) {
        match judging {
            Some(judging) => judging.due().await,
            None => std::future::pending().await,
        }
    }

    /// Reads the topology and the groups again and tells the node what changed.
    fn reload_all(&mut self, handle: &Handle) {
        if self.watched.is_none() && self.told.is_none() {
            warn!("there is no --topology and no --groups to read again");
        }
        self.reload(handle);
        if let Some((me, told)) = &mut self.told {
            for command in told.reload(me, handle.listening().first().copied()) {
                handle.command(command);
            }
        }
    }

    /// Reads the topology again and tells the node what changed.
    fn reload(&mut self, handle: &Handle) {
        let Some(watched) = &mut self.watched else {
            return;
        };
        for command in watched.reload() {
            handle.command(command);
        }
    }

    /// Judges the chain.
    fn judge(&mut self, handle: &Handle, tip: &Tip) {
        if let Some(judging) = &mut self.judging {
            judging.look(handle, tip);
        }
    }
}

/// Does what is said until it is time to end; a bad end when the node can no longer be reached.
async fn attend(
    handle: &Handle,
    signals: &mut Signals,
    mut progress: watch::Receiver<Progress>,
    office: &Working,
    minder: &mut Minder,
) -> Result<(), Failure> {
    let listeners = handle.listening().len();
    let mut memory = progress.clone();
    let mut saved = 0;
    loop {
        tokio::select! {
            signal = signals.recv() => match signal {
                Signal::Dump => dump(handle),
                Signal::Reload => minder.reload_all(handle),
                Signal::End(word) => {
                    info!("{word}");
                    return Ok(());
                }
            },
            () = Minder::changed(&mut minder.watched) => minder.reload(handle),
            () = Minder::due(&mut minder.judging) => {
                let tip = memory.borrow().tip;
                minder.judge(handle, &tip);
            }
            Ok(_) = progress.wait_for(|progress| progress.listeners_lost >= listeners) => {
                return Err(Failure::run("no listening socket is left"));
            }
            due = save_due(&mut memory, saved) => {
                saved = due;
                office.save(handle).await;
            }
        }
    }
}

/// Waits until saving is due for more than so many times: how often it was.
async fn save_due(progress: &mut watch::Receiver<Progress>, saved: u64) -> u64 {
    match progress
        .wait_for(|progress| progress.saves_due > saved)
        .await
    {
        Ok(progress) => progress.saves_due,
        // Only without the application, which outlives us.
        Err(_) => std::future::pending().await,
    }
}

/// Tells why every peer and connection is as it is.
fn dump(handle: &Handle) {
    let all = handle.with(|node| node.machine().explain_all());
    for line in all.iter().flat_map(lines) {
        info!("{line}");
    }
    let connections: usize = all.iter().map(|peer| peer.conns.len()).sum();
    info!(peers = all.len(), connections, "explained");
}

fn lines(text: impl fmt::Display) -> Vec<String> {
    text.to_string().lines().map(String::from).collect()
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

#[cfg(test)]
mod tests {
    use samanea_core::{base::Instant, base::ListenerId, node::Notice};
    use samanea_std::Application;

    use super::*;

    #[tokio::test]
    async fn a_node_ends_badly_when_its_last_listener_is_lost_and_not_before() {
        let app = Arc::new(App::new(1));
        let mut options = Options::default();
        options.listen = vec![([127, 0, 0, 1], 0).into(); 2];
        let node = Node::new(Engine::new(Config::new(1)), 1);
        let handle = Handle::start(
            crate::driver::Driver::Tokio,
            Box::new(node),
            Arc::clone(&app) as _,
            options,
        )
        .await
        .unwrap();
        let mut signals = Signals::new().unwrap();
        let office = Working::default();
        let lose = |id| app.notice(Instant::ZERO, &Notice::ListenerLost(ListenerId(id)));

        lose(0);
        let mut minder = Minder::default();
        let running = attend(&handle, &mut signals, app.watch(), &office, &mut minder);
        let mut ended = Box::pin(running);
        tokio::select! {
            biased;
            _ = &mut ended => panic!("one is left"),
            () = std::future::ready(()) => {}
        }
        lose(1);
        let failure = ended.await.unwrap_err();
        assert_eq!(
            (failure.code, failure.line.as_str()),
            (1, "no listening socket is left")
        );
        handle.stop().await;
    }
}

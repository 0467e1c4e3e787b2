//! What tests against `pallas-network` share: its halves of each mini-protocol at work on toy blocks.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use pallas_codec::minicbor;
use pallas_network::{
    miniprotocols::{
        PROTOCOL_N2N_BLOCK_FETCH, PROTOCOL_N2N_CHAIN_SYNC, PROTOCOL_N2N_HANDSHAKE,
        PROTOCOL_N2N_KEEP_ALIVE, PROTOCOL_N2N_PEER_SHARING, PROTOCOL_N2N_TX_SUBMISSION, Point,
        blockfetch, chainsync,
        chainsync::{ClientRequest, HeaderContent, NextResponse},
        handshake::{self, Confirmation, n2n::VersionData, n2n::VersionTable},
        keepalive,
        peersharing::{self, PeerAddress},
        txsubmission::{self, EraTxBody, EraTxId, Reply, Request, TxIdAndSize},
    },
    multiplexer::{Bearer, Plexer, RunningPlexer},
};
use samanea_core::{
    base::{self, Tip, TxId},
    chain,
    node::{Config, Engine, Node, Notice},
    proto::handshake::Mode,
};
use samanea_sim::toy;
use samanea_std::Options;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};

use super::{
    host::{Driver, Hosted},
    shelf::Shelf,
};

pub(crate) const MAGIC: u32 = 42;
pub(crate) const BLOCKS: usize = 40;
pub(crate) const TXS: u64 = 25;

/// The longest that a test waits for anything; reached only when it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A pallas client with all protocols over one plexer, peer sharing agreed.
pub(crate) struct Client {
    pub(crate) plexer: RunningPlexer,
    pub(crate) chain_sync: chainsync::N2NClient,
    pub(crate) block_fetch: blockfetch::Client,
    pub(crate) tx_submission: txsubmission::Client,
    pub(crate) keep_alive: keepalive::Client,
    pub(crate) peer_sharing: peersharing::Client,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let bearer = Bearer::connect_tcp(addr).await.unwrap();
        let mut plexer = Plexer::new(bearer);
        let greeting = plexer.subscribe_client(PROTOCOL_N2N_HANDSHAKE);
        let chain_sync = plexer.subscribe_client(PROTOCOL_N2N_CHAIN_SYNC);
        let block_fetch = plexer.subscribe_client(PROTOCOL_N2N_BLOCK_FETCH);
        let tx_submission = plexer.subscribe_client(PROTOCOL_N2N_TX_SUBMISSION);
        let keep_alive = plexer.subscribe_client(PROTOCOL_N2N_KEEP_ALIVE);
        let peer_sharing = plexer.subscribe_client(PROTOCOL_N2N_PEER_SHARING);
        let plexer = plexer.spawn();
        let data = VersionData::new(MAGIC.into(), true, Some(1), Some(false));
        let values = [(13, data.clone()), (14, data.clone())]
            .into_iter()
            .collect();
        let mut greeting = handshake::N2NClient::new(greeting);
        let answer = greeting.handshake(VersionTable { values }).await.unwrap();
        match answer {
            Confirmation::Accepted(14, agreed) => assert_eq!(agreed, data),
            other => panic!("{other:?}"),
        }
        Self {
            plexer,
            chain_sync: chainsync::Client::new(chain_sync),
            block_fetch: blockfetch::Client::new(block_fetch),
            tx_submission: txsubmission::Client::new(tx_submission),
            keep_alive: keepalive::Client::new(keep_alive),
            peer_sharing: peersharing::Client::new(peer_sharing),
        }
    }

    /// From the origin to the tip, and once more from the middle.
    pub(crate) async fn follow(&mut self, blocks: &[toy::Block], tip: Tip) {
        let unknown = Point::new(7, vec![7; 32]);
        let (found, at) = self
            .chain_sync
            .find_intersect(vec![unknown.clone()])
            .await
            .unwrap();
        assert_eq!((found, at), (None, to_tip(tip)));
        let middle = to_point(blocks[BLOCKS / 2].view.point);
        let points = vec![unknown, middle.clone(), Point::Origin];
        let (found, _) = self.chain_sync.find_intersect(points).await.unwrap();
        assert_eq!(found, Some(middle.clone()));
        match self.chain_sync.request_next().await.unwrap() {
            NextResponse::RollBackward(point, _) => assert_eq!(point, middle),
            other => panic!("{other:?}"),
        }
        let next = self.chain_sync.request_next().await.unwrap();
        expect_header(&next, &blocks[BLOCKS / 2 + 1], tip);

        let (found, _) = self
            .chain_sync
            .find_intersect(vec![Point::Origin])
            .await
            .unwrap();
        assert_eq!(found, Some(Point::Origin));
        let back = self.chain_sync.request_next().await.unwrap();
        assert!(matches!(back, NextResponse::RollBackward(Point::Origin, _)));
        for block in blocks {
            let next = self.chain_sync.request_next().await.unwrap();
            expect_header(&next, block, tip);
        }
    }

    pub(crate) async fn fetch(&mut self, blocks: &[toy::Block]) {
        let ends = (&blocks[0], &blocks[BLOCKS - 1]);
        let range = (to_point(ends.0.view.point), to_point(ends.1.view.point));
        let bodies = self.block_fetch.fetch_range(range).await.unwrap();
        assert!(bodies.iter().eq(blocks.iter().map(|block| &block.body[..])));
        let unknown = Point::new(7, vec![7; 32]);
        let none = self
            .block_fetch
            .request_range((unknown.clone(), unknown))
            .await
            .unwrap();
        assert!(none.is_none());
    }

    /// Answers our node's requests until it has all transactions.
    pub(crate) async fn give_transactions(&mut self, taker: &Shelf) {
        let txs: Vec<(TxId, Bytes)> = (100..100 + TXS).map(|n| toy::transaction(n, 700)).collect();
        let (mut announced, mut acked, mut given) = (0, 0, 0);
        self.tx_submission.send_init().await.unwrap();
        loop {
            let (ack, wanted) = match self.tx_submission.next_request().await.unwrap() {
                Request::TxIds(ack, wanted) => {
                    acked += usize::from(ack);
                    assert_eq!(acked, announced, "blocking with ids outstanding");
                    if announced == txs.len() {
                        break;
                    }
                    (ack, wanted)
                }
                Request::TxIdsNonBlocking(ack, wanted) => {
                    acked += usize::from(ack);
                    (ack, wanted)
                }
                Request::Txs(ids) => {
                    let bodies = ids.iter().map(|id| {
                        let wanted = |(own, _): &&(TxId, Bytes)| decoded::<EraTxId>(&own.0) == *id;
                        let (_, tx) = txs.iter().find(wanted).unwrap();
                        decoded::<EraTxBody>(tx)
                    });
                    given += ids.len();
                    self.tx_submission
                        .reply_txs(bodies.collect())
                        .await
                        .unwrap();
                    continue;
                }
            };
            assert!(ack > 0 || wanted > 0);
            let next = txs.iter().skip(announced).take(usize::from(wanted).min(4));
            let ids: Vec<TxIdAndSize<EraTxId>> = next
                .map(|(id, tx)| TxIdAndSize(decoded(&id.0), u32::try_from(tx.len()).unwrap()))
                .collect();
            announced += ids.len();
            self.tx_submission.reply_tx_ids(ids).await.unwrap();
        }
        assert_eq!(given, txs.len());
        self.tx_submission.send_done().await.unwrap();
        let got = taker.offered(txs.len()).await;
        assert!(got == txs.into_iter().collect());
    }

    pub(crate) async fn ask_for_peers(&mut self, expected: SocketAddr) {
        self.peer_sharing.send_share_request(10).await.unwrap();
        let peers = self.peer_sharing.recv_peer_addresses().await.unwrap();
        // 127.0.0.1 reads as 1.0.0.127 in pallas.
        let [PeerAddress::V4(reversed, port)] = peers.as_slice() else {
            panic!("{peers:?}");
        };
        let mut octets = reversed.octets();
        octets.reverse();
        let port = u16::try_from(*port).unwrap();
        assert_eq!(SocketAddr::from((octets, port)), expected);
    }
}

/// Serves one follower from the origin until it waits at the tip.
pub(crate) async fn serve_headers(
    server: &mut chainsync::N2NServer,
    blocks: &[toy::Block],
    tip: Tip,
) {
    let mut next = None;
    loop {
        match server.recv_while_idle().await.unwrap().unwrap() {
            ClientRequest::Intersect(points) => {
                assert!(points.contains(&Point::Origin), "{points:?}");
                server
                    .send_intersect_found(Point::Origin, to_tip(tip))
                    .await
                    .unwrap();
            }
            ClientRequest::RequestNext => match next {
                None => {
                    server
                        .send_roll_backward(Point::Origin, to_tip(tip))
                        .await
                        .unwrap();
                    next = Some(0);
                }
                Some(at) if at < blocks.len() => {
                    let header: HeaderContent = decoded(&blocks[at].header);
                    server.send_roll_forward(header, to_tip(tip)).await.unwrap();
                    next = Some(at + 1);
                }
                Some(_) => {
                    server.send_await_reply().await.unwrap();
                    return;
                }
            },
        }
    }
}

/// Serves ranges until the connection ends.
pub(crate) async fn serve_bodies(server: &mut blockfetch::Server, blocks: &[toy::Block]) {
    while let Ok(Some(request)) = server.recv_while_idle().await {
        let (from, to) = request.0;
        let at = |point: &Point| {
            let found = blocks
                .iter()
                .position(|block| to_point(block.view.point) == *point);
            found.unwrap()
        };
        let range = &blocks[at(&from)..=at(&to)];
        let bodies = range.iter().map(|block| block.body.to_vec()).collect();
        server.send_block_range(bodies).await.unwrap();
    }
}

/// Pulls all transactions of our node, window by window.
pub(crate) async fn pull_transactions(server: &mut txsubmission::Server) -> BTreeMap<TxId, Bytes> {
    let mut pulled = BTreeMap::new();
    let mut ack = 0;
    server.wait_for_init().await.unwrap();
    while pulled.len() < usize::try_from(TXS).unwrap() {
        server
            .acknowledge_and_request_tx_ids(true, ack, 4)
            .await
            .unwrap();
        let Reply::TxIds(ids) = server.receive_next_reply().await.unwrap() else {
            panic!("not ids");
        };
        assert!(!ids.is_empty() && ids.len() <= 4);
        ack = u16::try_from(ids.len()).unwrap();
        let wanted: Vec<EraTxId> = ids.iter().map(|TxIdAndSize(id, _)| id.clone()).collect();
        server.request_txs(wanted.clone()).await.unwrap();
        let Reply::Txs(bodies) = server.receive_next_reply().await.unwrap() else {
            panic!("not transactions");
        };
        assert_eq!(bodies.len(), ids.len());
        for (TxIdAndSize(id, size), body) in ids.iter().zip(bodies) {
            let tx = minicbor::to_vec(body).unwrap();
            assert_eq!(usize::try_from(*size).unwrap(), tx.len());
            let id = minicbor::to_vec(id).unwrap();
            pulled.insert(TxId(id.into()), Bytes::from(tx));
        }
    }
    pulled
}

pub(crate) fn expect_header(next: &NextResponse<HeaderContent>, block: &toy::Block, tip: Tip) {
    match next {
        NextResponse::RollForward(header, at) => {
            assert_eq!(minicbor::to_vec(header).unwrap(), block.header);
            assert_eq!(*at, to_tip(tip));
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn decoded<T: for<'b> minicbor::Decode<'b, ()>>(bytes: &[u8]) -> T {
    minicbor::decode(bytes).unwrap()
}

pub(crate) fn to_point(point: base::Point) -> Point {
    match point {
        base::Point::Origin => Point::Origin,
        base::Point::Block { slot, hash } => Point::new(slot, hash.0.to_vec()),
    }
}

pub(crate) fn to_tip(tip: Tip) -> chainsync::Tip {
    chainsync::Tip(to_point(tip.point), tip.block_no)
}

pub(crate) fn is_tip(notice: &Notice, wanted: Tip) -> bool {
    matches!(notice, Notice::Chain(chain::Notice::TipChanged { tip, .. }) if *tip == wanted)
}

/// A node of ours that listens on loopback.
pub(crate) fn node(driver: Driver, mode: Mode) -> (Hosted, Arc<Shelf>) {
    let mut config = Config::new(MAGIC);
    config.manager.mode = mode;
    config.conn.probe_period = Duration::from_millis(20);
    config.conn.tx_delay = Duration::from_millis(1);
    config.conn.linger = Duration::from_millis(50);
    let mut options = Options::default();
    options.listen.push(SocketAddr::from(([127, 0, 0, 1], 0)));
    options.shutdown_timeout = Duration::ZERO;
    let shelf = Arc::new(Shelf::new(PATIENCE / 2));
    let node = Node::new(Engine::new(config), 5);
    let app = Arc::clone(&shelf);
    (Hosted::start(driver, node, app, options), shelf)
}

pub(crate) fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ended = runtime.block_on(async { timeout(PATIENCE, test).await });
    assert!(ended.is_ok(), "nothing more within {PATIENCE:?}");
}

pub(crate) fn say(what: &str) {
    let _ = writeln!(
        io::stderr(),
        "interoperability with pallas-network 1.4: {what}"
    );
}

/// A pallas peer that runs both halves of every protocol over one connection.
pub(crate) struct Both {
    /// Its own end.
    pub(crate) local: SocketAddr,
    pub(crate) client: Client,
    pub(crate) server: Servers,
}

/// The responder halves of a pallas peer.
pub(crate) struct Servers {
    pub(crate) chain_sync: chainsync::N2NServer,
    pub(crate) block_fetch: blockfetch::Server,
    pub(crate) tx_submission: txsubmission::Server,
    pub(crate) keep_alive: keepalive::Server,
    pub(crate) peer_sharing: peersharing::Server,
}

/// What a duplex peer of our network says of itself.
pub(crate) fn duplex() -> VersionData {
    VersionData::new(MAGIC.into(), false, Some(1), Some(false))
}

impl Both {
    /// Dials.
    pub(crate) async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let local = stream.local_addr().unwrap();
        let mut plexer = Plexer::new(Bearer::Tcp(stream));
        let greeting = plexer.subscribe_client(PROTOCOL_N2N_HANDSHAKE);
        let both = Self::over(plexer, local);
        let mut greeting = handshake::N2NClient::new(greeting);
        let values = [(14, duplex())].into_iter().collect();
        match greeting.handshake(VersionTable { values }).await.unwrap() {
            Confirmation::Accepted(14, agreed) => assert_eq!(agreed, duplex()),
            other => panic!("{other:?}"),
        }
        both
    }

    /// Accepts.
    pub(crate) async fn accept(listener: &TcpListener) -> Self {
        let local = listener.local_addr().unwrap();
        let (bearer, _) = Bearer::accept_tcp(listener).await.unwrap();
        let mut plexer = Plexer::new(bearer);
        let greeting = plexer.subscribe_server(PROTOCOL_N2N_HANDSHAKE);
        let both = Self::over(plexer, local);
        let mut greeting = handshake::N2NServer::new(greeting);
        let proposed = greeting.receive_proposed_versions().await.unwrap();
        assert_eq!(proposed.values.get(&14), Some(&duplex()));
        greeting.accept_version(14, duplex()).await.unwrap();
        both
    }

    fn over(mut plexer: Plexer, local: SocketAddr) -> Self {
        let [
            chain_sync,
            block_fetch,
            tx_submission,
            keep_alive,
            peer_sharing,
        ] = N2N.map(|protocol| plexer.subscribe_server(protocol));
        let server = Servers {
            chain_sync: chainsync::Server::new(chain_sync),
            block_fetch: blockfetch::Server::new(block_fetch),
            tx_submission: txsubmission::Server::new(tx_submission),
            keep_alive: keepalive::Server::new(keep_alive),
            peer_sharing: peersharing::Server::new(peer_sharing),
        };
        let [
            chain_sync,
            block_fetch,
            tx_submission,
            keep_alive,
            peer_sharing,
        ] = N2N.map(|protocol| plexer.subscribe_client(protocol));
        let client = Client {
            plexer: plexer.spawn(),
            chain_sync: chainsync::Client::new(chain_sync),
            block_fetch: blockfetch::Client::new(block_fetch),
            tx_submission: txsubmission::Client::new(tx_submission),
            keep_alive: keepalive::Client::new(keep_alive),
            peer_sharing: peersharing::Client::new(peer_sharing),
        };
        Self {
            local,
            client,
            server,
        }
    }
}

const N2N: [u16; 5] = [
    PROTOCOL_N2N_CHAIN_SYNC,
    PROTOCOL_N2N_BLOCK_FETCH,
    PROTOCOL_N2N_TX_SUBMISSION,
    PROTOCOL_N2N_KEEP_ALIVE,
    PROTOCOL_N2N_PEER_SHARING,
];

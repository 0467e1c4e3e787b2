//! Our node and `pallas-network` over one connection that both use, initiators and responders at
//! both ends, on both drivers.

#[path = "support/host.rs"]
mod host;
#[expect(dead_code, reason = "some of it is for another test")]
#[path = "support/pallas.rs"]
mod pallas;
#[expect(dead_code, reason = "some of it is for another test")]
#[path = "support/shelf.rs"]
mod shelf;

use pallas_network::miniprotocols::{
    Point,
    chainsync::{self, NextResponse},
    keepalive, peersharing,
    txsubmission::Reply,
};
use samanea_core::{
    base::Tip,
    conn::Fault,
    manager::Counters,
    node::{Command, Notice},
    proto::handshake::Mode,
};
use samanea_sim::toy;
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

use host::{DRIVERS, Driver};
use pallas::{
    BLOCKS, Both, Servers, block_on, decoded, expect_header, is_tip, node, say, serve_bodies,
    serve_headers, to_tip,
};

#[test]
fn a_duplex_connection_that_pallas_dialled_serves_our_own_use_too() {
    for (driver, name) in DRIVERS {
        block_on(reused_by_us(driver));
        say(&format!(
            "dialled by pallas, used both ways, released by us, on {name}"
        ));
    }
}

async fn reused_by_us(driver: Driver) {
    let blocks = toy::chain(Tip::ORIGIN, BLOCKS + 1, 3, 3_000);
    let (ours, theirs) = (&blocks[..BLOCKS / 2], &blocks[..BLOCKS]);
    let (node, shelf) = node(driver, Mode::InitiatorAndResponder);
    for block in ours {
        shelf.put(block);
        let header = block.header.clone();
        node.command(Command::Extend { header });
    }
    let tip = ours.last().unwrap().tip();
    shelf.wait(|notice| is_tip(notice, tip)).await;

    // It uses us.
    let Both {
        local,
        mut client,
        server,
    } = Both::connect(node.addr()).await;
    let up = shelf
        .wait(|notice| matches!(notice, Notice::Up { .. }))
        .await;
    assert!(matches!(up, Notice::Up { remote, dialled: false, .. } if remote == local));
    client.keep_alive.keepalive_roundtrip().await.unwrap();
    follow_from_origin(&mut client.chain_sync, ours).await;
    let next = client.chain_sync.request_next().await.unwrap();
    assert!(matches!(next, NextResponse::Await));
    shelf
        .counted(|c| c.inbound == 1 && c.full_duplex == 0)
        .await;

    // We use it, and nobody listens where it came from: only this connection can serve.
    node.command(Command::AddPeer(local));
    let longest = theirs.last().unwrap().tip();
    let served = Served::start(server, theirs, &blocks[BLOCKS]);
    shelf.wait(|notice| is_tip(notice, longest)).await;
    shelf
        .counted(|c| c.full_duplex == 1 && c.outbound == 1)
        .await;
    // What we got from it, it is told.
    let next = client.chain_sync.recv_while_must_reply().await.unwrap();
    expect_header(&next, &theirs[ours.len()], theirs[ours.len()].tip());

    // We release it; it goes on using us.
    node.command(Command::RemovePeer(local));
    let _sharing = served.end().await;
    shelf
        .counted(|c| c.full_duplex == 0 && c.inbound == 1 && c.outbound == 0)
        .await;
    client.keep_alive.keepalive_roundtrip().await.unwrap();
    assert_eq!(shelf.ups(), 1, "one connection");
    client.plexer.abort().await;
    shelf
        .wait(|notice| matches!(notice, Notice::Down { .. }))
        .await;
    shelf.counted(|c| *c == Counters::default()).await;
}

#[test]
fn a_duplex_connection_that_we_dialled_serves_pallas_too() {
    for (driver, name) in DRIVERS {
        block_on(used_by_pallas(driver));
        say(&format!(
            "dialled by us, used both ways, left by pallas, on {name}"
        ));
    }
}

async fn used_by_pallas(driver: Driver) {
    let blocks = toy::chain(Tip::ORIGIN, BLOCKS + 1, 4, 3_000);
    let theirs = &blocks[..BLOCKS];
    let longest = theirs.last().unwrap().tip();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (node, shelf) = node(driver, Mode::InitiatorAndResponder);
    node.command(Command::AddPeer(listener.local_addr().unwrap()));
    let Both {
        mut client, server, ..
    } = Both::accept(&listener).await;
    let served = Served::start(server, theirs, &blocks[BLOCKS]);
    shelf.wait(|notice| is_tip(notice, longest)).await;

    client.keep_alive.keepalive_roundtrip().await.unwrap();
    follow_from_origin(&mut client.chain_sync, theirs).await;
    shelf
        .counted(|c| c.full_duplex == 1 && c.inbound == 1)
        .await;
    client.chain_sync.send_done().await.unwrap();
    let done = keepalive::Message::Done;
    client.keep_alive.send_message(&done).await.unwrap();
    shelf
        .counted(|c| c.full_duplex == 0 && c.outbound == 1 && c.remote_idle == 1)
        .await;

    // A responder answers again after its first life.
    client.peer_sharing.send_share_request(3).await.unwrap();
    client.peer_sharing.recv_peer_addresses().await.unwrap();
    shelf.counted(|c| c.full_duplex == 1).await;
    shelf
        .wait(|notice| matches!(notice, Notice::RoundTrip { .. }))
        .await;
    assert_eq!(shelf.ups(), 1, "one connection");
    node.command(Command::RemovePeer(listener.local_addr().unwrap()));
    let _sharing = served.end().await;
    client.plexer.abort().await;
    let down = shelf
        .wait(|notice| matches!(notice, Notice::Down { .. }))
        .await;
    assert!(
        matches!(
            down,
            Notice::Down {
                fault: Fault::Lost(_) | Fault::Ended(_),
                ..
            }
        ),
        "{down:?}"
    );
}

/// The responder halves of pallas at work.
struct Served {
    end: oneshot::Sender<()>,
    halves: JoinSet<()>,
    tx_submission: JoinHandle<()>,
    peer_sharing: peersharing::Server,
}

impl Served {
    /// Serves a chain; `more` is the block that comes when we want to stop, because the client may
    /// only say so when it has the word.
    fn start(server: Servers, blocks: &[toy::Block], more: &toy::Block) -> Self {
        let Servers {
            mut chain_sync,
            mut block_fetch,
            mut tx_submission,
            mut keep_alive,
            peer_sharing,
        } = server;
        let mut halves = JoinSet::new();
        let (end, ended) = oneshot::channel();
        let (headers, more) = (blocks.to_vec(), more.clone());
        halves.spawn(async move {
            let tip = headers.last().unwrap().tip();
            serve_headers(&mut chain_sync, &headers, tip).await;
            ended.await.unwrap();
            let tip = to_tip(more.tip());
            let header = decoded(&more.header);
            chain_sync.send_roll_forward(header, tip).await.unwrap();
            assert!(chain_sync.recv_while_idle().await.unwrap().is_none());
        });
        let bodies = blocks.to_vec();
        halves.spawn(async move { serve_bodies(&mut block_fetch, &bodies).await });
        halves.spawn(async move {
            let mut rounds = 0;
            while !keep_alive.is_done() {
                keep_alive.keepalive_roundtrip().await.unwrap();
                rounds += 1;
            }
            assert!(rounds > 1);
        });
        let tx_submission = tokio::spawn(async move {
            tx_submission.wait_for_init().await.unwrap();
            let ask = tx_submission.acknowledge_and_request_tx_ids(true, 0, 1);
            ask.await.unwrap();
            let reply = tx_submission.receive_next_reply().await.unwrap();
            assert!(matches!(reply, Reply::Done));
        });
        Self {
            end,
            halves,
            tx_submission,
            peer_sharing,
        }
    }

    /// Our node stops: every half hears that it is done.
    async fn end(mut self) -> peersharing::Server {
        self.end.send(()).unwrap();
        while let Some(ended) = self.halves.join_next().await {
            ended.unwrap();
        }
        self.tx_submission.await.unwrap();
        self.peer_sharing
    }
}

/// All headers of a chain, one at a time.
async fn follow_from_origin(client: &mut chainsync::N2NClient, blocks: &[toy::Block]) {
    let tip = blocks.last().unwrap().tip();
    let (found, _) = client.find_intersect(vec![Point::Origin]).await.unwrap();
    assert_eq!(found, Some(Point::Origin));
    let back = client.request_next().await.unwrap();
    assert!(matches!(back, NextResponse::RollBackward(Point::Origin, _)));
    for block in blocks {
        let next = client.request_next().await.unwrap();
        expect_header(&next, block, tip);
    }
}

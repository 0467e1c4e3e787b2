//! Our node and `pallas-network` over real sockets, each as client and as server of the other,
//! with all mini-protocols on one connection.
//!
//! What that crate does differently from the field, and what the tests do about it:
//! - Its server accepts only settings equal to its own (initiator only, no peer sharing) and
//!   refuses every duplex node. Shown once; then the test answers the proposal itself.
//! - It reads and writes IPv4 addresses with their octets reversed. The test reverses them back.
//! - It writes IPv6 addresses with a head of eight items before six, which is no whole message.
//!   Our node ends the connection with a fault of peer-sharing; a test shows it.
//! - It writes the list of points in `MsgFindIntersect` with a length; both forms are legal.
//! - It knows versions up to 14 and reads the settings of all others as it reads those.

#[path = "support/host.rs"]
mod host;
#[expect(dead_code, reason = "some of it is for another test")]
#[path = "support/pallas.rs"]
mod pallas;
#[expect(dead_code, reason = "some of it is for another test")]
#[path = "support/shelf.rs"]
mod shelf;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use bytes::{Bytes, BytesMut};
use pallas_codec::minicbor;
use pallas_network::{
    facades::{PeerClient, PeerServer},
    miniprotocols::{
        chainsync::NextResponse,
        handshake::{self, n2n::VersionData, n2n::VersionTable},
        peersharing::PeerAddress,
    },
    multiplexer::Bearer,
};
use samanea_core::{
    base::{self, Tip, TxId},
    conn::Fault,
    node::{Command, Notice},
    proto::{
        Protocol,
        handshake::{self as ours, Failure, Handshake, Mode, OURS, V15},
    },
};
use samanea_sim::toy;
use tokio::net::TcpListener;

use host::{DRIVERS, Driver};
use pallas::{
    BLOCKS, Client, MAGIC, TXS, block_on, expect_header, is_tip, node, pull_transactions, say,
    serve_bodies, serve_headers,
};

#[test]
fn pallas_as_client_uses_every_protocol_of_our_node_over_one_connection() {
    for (driver, name) in DRIVERS {
        block_on(client_of_ours(driver));
        say(&format!("client of our node on {name}: every protocol"));
    }
}

async fn client_of_ours(driver: Driver) {
    let blocks = toy::chain(Tip::ORIGIN, BLOCKS + 1, 1, 30_000);
    let (last, blocks) = blocks.split_last().unwrap();
    let (other, _) = node(driver, Mode::InitiatorAndResponder);
    let (node, shelf) = node(driver, Mode::InitiatorAndResponder);
    for block in blocks {
        shelf.put(block);
        let header = block.header.clone();
        node.command(Command::Extend { header });
    }
    let tip = blocks.last().unwrap().tip();
    shelf.wait(|notice| is_tip(notice, tip)).await;
    node.command(Command::AddPeer(other.addr()));
    shelf
        .wait(|notice| matches!(notice, Notice::Up { .. }))
        .await;

    let mut client = Client::connect(node.addr()).await;
    client.keep_alive.keepalive_roundtrip().await.unwrap();
    client.follow(blocks, tip).await;
    client.fetch(blocks).await;
    client.give_transactions(&shelf).await;
    client.ask_for_peers(other.addr()).await;

    // The server says that it waits, then that its chain grew.
    let next = client.chain_sync.request_next().await.unwrap();
    assert!(matches!(next, NextResponse::Await));
    shelf.put(last);
    let header = last.header.clone();
    node.command(Command::Extend { header });
    let next = client.chain_sync.recv_while_must_reply().await.unwrap();
    expect_header(&next, last, last.tip());
    client.keep_alive.keepalive_roundtrip().await.unwrap();

    client.chain_sync.send_done().await.unwrap();
    client.block_fetch.send_done().await.unwrap();
    client.peer_sharing.send_done().await.unwrap();
    client.plexer.abort().await;
}

#[test]
fn our_node_uses_every_protocol_of_pallas_as_server_over_one_connection() {
    for (driver, name) in DRIVERS {
        block_on(server_of_ours(driver));
        say(&format!("server of our node on {name}: every protocol"));
    }
}

async fn server_of_ours(driver: Driver) {
    let blocks = toy::chain(Tip::ORIGIN, BLOCKS, 2, 30_000);
    let tip = blocks.last().unwrap().tip();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (node, shelf) = node(driver, Mode::InitiatorAndResponder);
    let txs: Vec<(TxId, Bytes)> = (0..TXS).map(|salt| toy::transaction(salt, 500)).collect();
    for (id, tx) in &txs {
        shelf.put_tx(id, tx);
        let (id, bytes) = (id.clone(), u32::try_from(tx.len()).unwrap());
        node.command(Command::Submit { id, bytes });
    }
    node.command(Command::AddPeer(listener.local_addr().unwrap()));

    let (bearer, _) = Bearer::accept_tcp(&listener).await.unwrap();
    let mut server = PeerServer::new(bearer);
    let proposed = server.handshake.receive_proposed_versions().await.unwrap();
    let data = proposed.values.get(&14).unwrap().clone();
    assert_eq!(
        data,
        VersionData::new(u64::from(MAGIC), false, Some(1), Some(false))
    );
    server.handshake.accept_version(14, data).await.unwrap();
    let up = shelf
        .wait(|notice| matches!(notice, Notice::Up { .. }))
        .await;
    assert!(matches!(up, Notice::Up { agreed, .. } if agreed.version == 14));

    let PeerServer {
        plexer,
        mut chainsync,
        mut blockfetch,
        mut txsubmission,
        mut keepalive,
        mut peersharing,
        ..
    } = server;
    let alive = tokio::spawn(async move {
        for _ in 0..3 {
            keepalive.keepalive_roundtrip().await.unwrap();
        }
        keepalive
    });
    let bodies = blocks.clone();
    let fetched = tokio::spawn(async move { serve_bodies(&mut blockfetch, &bodies).await });
    let headers = blocks.clone();
    let synced = tokio::spawn(async move {
        serve_headers(&mut chainsync, &headers, tip).await;
        chainsync
    });
    let pulled = tokio::spawn(async move {
        let pulled = pull_transactions(&mut txsubmission).await;
        (txsubmission, pulled)
    });

    // Octets reversed: what pallas writes for 4.3.2.1 is 1.2.3.4 to everybody else.
    node.command(Command::AskPeers { amount: 7 });
    let asked = peersharing.recv_share_request().await.unwrap();
    assert_eq!(asked, Some(7));
    let peers = vec![PeerAddress::V4(Ipv4Addr::new(4, 3, 2, 1), 3001)];
    peersharing.send_peer_addresses(peers).await.unwrap();
    let shared = shelf
        .wait(|notice| matches!(notice, Notice::Shared { .. }))
        .await;
    let expected = SocketAddr::from(([1, 2, 3, 4], 3001));
    assert!(matches!(shared, Notice::Shared { peers, .. } if peers == [expected]));

    let _chain_sync = synced.await.unwrap();
    shelf.wait(|notice| is_tip(notice, tip)).await;
    for block in &blocks {
        assert_eq!(shelf.body(block.view.point).unwrap(), block.body);
    }
    let (_tx_submission, pulled) = pulled.await.unwrap();
    let expected: BTreeMap<TxId, Bytes> = txs.into_iter().collect();
    assert_eq!(pulled, expected);
    shelf
        .wait(|notice| matches!(notice, Notice::RoundTrip { .. }))
        .await;
    let _keep_alive = alive.await.unwrap();
    assert!(!fetched.is_finished());
    plexer.abort().await;
    shelf
        .wait(|notice| {
            matches!(
                notice,
                Notice::Down {
                    fault: Fault::Lost(_),
                    ..
                }
            )
        })
        .await;
}

#[test]
fn a_default_pallas_server_refuses_duplex_and_accepts_a_node_that_only_dials() {
    for (driver, _) in DRIVERS {
        block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let addr = listener.local_addr().unwrap();
            let (duplex, shelf) = node(driver, Mode::InitiatorAndResponder);
            duplex.command(Command::AddPeer(addr));
            // Not by `PeerServer::accept`, which resets the connection before its refusal is out.
            let (bearer, _) = Bearer::accept_tcp(&listener).await.unwrap();
            let mut server = PeerServer::new(bearer);
            let settings = VersionTable::v7_and_above(MAGIC.into());
            let refused = server.handshake.handshake(settings).await.unwrap();
            assert!(refused.is_none());
            let down = shelf
                .wait(|notice| matches!(notice, Notice::Down { .. }))
                .await;
            let refusal = Fault::Handshake(Failure::Refused(14));
            assert!(
                matches!(down, Notice::Down { fault, .. } if fault == refusal),
                "{down:?}"
            );
            drop(duplex);

            let (dialler, shelf) = node(driver, Mode::InitiatorOnly);
            dialler.command(Command::AddPeer(addr));
            let server = PeerServer::accept(&listener, MAGIC.into()).await.unwrap();
            let (version, data) = server.accepted_version().unwrap();
            assert_eq!(*version, 14);
            assert_eq!(
                *data,
                VersionData::new(MAGIC.into(), true, Some(0), Some(false))
            );
            shelf
                .wait(|notice| matches!(notice, Notice::Up { .. }))
                .await;
            server.abort().await;
        });
    }
}

#[test]
fn another_network_is_refused_and_both_ends_know() {
    for (driver, _) in DRIVERS {
        block_on(async {
            let (node, shelf) = node(driver, Mode::InitiatorAndResponder);
            let refused = PeerClient::connect(node.addr(), 43).await;
            assert!(refused.is_err());
            let down = shelf
                .wait(|notice| matches!(notice, Notice::Down { .. }))
                .await;
            let magic = Failure::Magic {
                want: MAGIC,
                got: 43,
            };
            assert!(
                matches!(down, Notice::Down { fault: Fault::Handshake(failure), .. } if failure == magic),
                "{down:?}"
            );
        });
    }
}

#[test]
fn pallas_reads_our_whole_table_in_answer_to_a_query() {
    for (driver, _) in DRIVERS {
        block_on(async {
            let (node, _shelf) = node(driver, Mode::InitiatorAndResponder);
            let table = PeerClient::handshake_query(node.addr(), MAGIC.into())
                .await
                .unwrap();
            let versions: BTreeMap<u64, VersionData> = table.values.into_iter().collect();
            let expected = [14, 15, 0x200f];
            assert!(versions.keys().copied().eq(expected), "{versions:?}");
        });
    }
}

#[test]
fn our_proposal_reads_the_same_to_pallas_and_to_a_reader_of_four_fields() {
    let mut tables = 0;
    for bits in 0..16 {
        let mut offer = ours::Config::new(MAGIC);
        offer.mode = if bits & 1 == 0 {
            Mode::InitiatorOnly
        } else {
            Mode::InitiatorAndResponder
        };
        (offer.peer_sharing, offer.query) = (bits & 2 != 0, bits & 4 != 0);
        offer.own_versions = bits & 8 != 0;
        let bytes = proposal(&offer);
        let strict = four_fields(&bytes).unwrap();
        let message: handshake::Message<VersionData> = minicbor::decode(&bytes).unwrap();
        let handshake::Message::Propose(read) = message else {
            panic!("{message:?}");
        };
        let read: BTreeMap<u64, VersionData> = read.values.into_iter().collect();
        assert_eq!(read, strict);
        let mut expected = vec![14, 15];
        if offer.own_versions {
            expected.push(u64::from(OURS | V15));
        }
        assert!(read.keys().copied().eq(expected));
        let duplex = offer.mode == Mode::InitiatorAndResponder;
        let sharing = u8::from(offer.peer_sharing && duplex);
        let data = VersionData::new(MAGIC.into(), !duplex, Some(sharing), Some(offer.query));
        assert!(read.values().all(|read| *read == data), "{read:?}");
        tables += 1;
    }
    assert_eq!(tables, 16);
}

#[test]
fn the_experimental_version_is_misread_by_others_and_so_is_off_unless_configured() {
    let mut offer = ours::Config::new(MAGIC);
    offer.experimental = true;
    let bytes = proposal(&offer);
    assert!(four_fields(&bytes).is_err());
    let read: Result<handshake::Message<VersionData>, _> = minicbor::decode(&bytes);
    assert!(read.is_err(), "{read:?}");
    // Last in the table it is passed over.
    offer.own_versions = false;
    let read: Result<handshake::Message<VersionData>, _> = minicbor::decode(&proposal(&offer));
    assert!(read.is_ok());
}

#[test]
fn an_ipv6_address_as_pallas_writes_it_ends_the_connection_not_the_node() {
    for (driver, _) in DRIVERS {
        block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            let (node, shelf) = node(driver, Mode::InitiatorAndResponder);
            node.command(Command::AddPeer(listener.local_addr().unwrap()));
            let (bearer, _) = Bearer::accept_tcp(&listener).await.unwrap();
            let mut server = PeerServer::new(bearer);
            let proposed = server.handshake.receive_proposed_versions().await.unwrap();
            let data = proposed.values.get(&14).unwrap().clone();
            server.handshake.accept_version(14, data).await.unwrap();
            shelf
                .wait(|notice| matches!(notice, Notice::Up { .. }))
                .await;
            node.command(Command::AskPeers { amount: 3 });
            server.peersharing.recv_share_request().await.unwrap();
            let peers = vec![PeerAddress::V6(Ipv6Addr::LOCALHOST, 3001); 2];
            server.peersharing.send_peer_addresses(peers).await.unwrap();
            let down = shelf
                .wait(|notice| matches!(notice, Notice::Down { .. }))
                .await;
            let Notice::Down { fault, .. } = down else {
                panic!("{down:?}");
            };
            let peer_sharing = base::ProtocolId::PEER_SHARING;
            assert!(
                matches!(fault, Fault::Protocol { protocol, .. } if protocol == peer_sharing),
                "{fault:?}"
            );
        });
    }
}

/// What the proposal of this offer looks like on the wire.
fn proposal(offer: &ours::Config) -> Vec<u8> {
    let mut out = BytesMut::new();
    let message = ours::Message::ProposeVersions(offer.table());
    let rest = Handshake::encode(&message, &mut out);
    out.extend_from_slice(&rest);
    out.to_vec()
}

/// Reads a proposal as strictly as anybody does: `[0, {* rising version => [magic, flag, 0 / 1,
/// flag]}]` with exactly four fields and nothing behind.
fn four_fields(bytes: &[u8]) -> Result<BTreeMap<u64, VersionData>, minicbor::decode::Error> {
    let bad = |what| Err(minicbor::decode::Error::message(what));
    let mut d = minicbor::Decoder::new(bytes);
    if d.array()? != Some(2) || d.u8()? != 0 {
        return bad("no proposal");
    }
    let Some(count) = d.map()? else {
        return bad("no definite map");
    };
    let mut table = BTreeMap::new();
    for _ in 0..count {
        let version = d.u64()?;
        if table
            .last_key_value()
            .is_some_and(|(last, _)| *last >= version)
        {
            return bad("versions do not rise");
        }
        if d.array()? != Some(4) {
            return bad("not four fields");
        }
        let magic = u64::from(d.u32()?);
        let (dials_only, sharing, query) = (d.bool()?, d.u8()?, d.bool()?);
        if sharing > 1 {
            return bad("peer sharing is neither 0 nor 1");
        }
        let data = VersionData::new(magic, dials_only, Some(sharing), Some(query));
        table.insert(version, data);
    }
    if d.position() != bytes.len() {
        return bad("something behind");
    }
    Ok(table)
}

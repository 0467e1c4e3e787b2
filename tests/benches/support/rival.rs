//! The same jobs by `pallas-network`: each end on a thread and a current-thread runtime of its
//! own, its agents over its plexer, no handshake.

use std::{sync::mpsc, thread, time::Duration};

use pallas_network::{
    miniprotocols::{
        PROTOCOL_N2N_BLOCK_FETCH, PROTOCOL_N2N_CHAIN_SYNC, Point, blockfetch,
        chainsync::{self, HeaderContent, Message, NextResponse, Tip},
    },
    multiplexer::{AgentChannel, Bearer, ChannelBuffer, Plexer, RunningPlexer},
};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};

use super::support::now;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs `serve` at one end and `ask` at the other, and tells how long `ask` took once both ends
/// are up.
fn both<S, A>(protocol: u16, serve: S, ask: A) -> Duration
where
    S: AsyncFnOnce(AgentChannel) + Send + 'static,
    A: AsyncFnOnce(AgentChannel),
{
    let (told, port) = mpsc::channel();
    let (done, over) = tokio::sync::oneshot::channel::<()>();
    let server = thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            let (bearer, _) = Bearer::accept_tcp(&listener).await.unwrap();
            let (channel, plexer) = channel(bearer, protocol, true);
            serve(channel).await;
            let _ = over.await;
            plexer.abort().await;
        });
    });
    let addr = port.recv().unwrap();
    let took = runtime().block_on(async move {
        let bearer = Bearer::connect_tcp(addr).await.unwrap();
        let (channel, plexer) = channel(bearer, protocol, false);
        let begin = now();
        ask(channel).await;
        let took = begin.elapsed();
        plexer.abort().await;
        took
    });
    let _ = done.send(());
    server.join().unwrap();
    took
}

fn channel(bearer: Bearer, protocol: u16, serves: bool) -> (AgentChannel, RunningPlexer) {
    let mut plexer = Plexer::new(bearer);
    let channel = if serves {
        plexer.subscribe_server(protocol)
    } else {
        plexer.subscribe_client(protocol)
    };
    (channel, plexer.spawn())
}

/// One range of `count` blocks of `bytes` bytes.
pub(crate) fn blocks(count: usize, bytes: usize) -> Duration {
    let point = || Point::new(1, vec![7; 32]);
    both(
        PROTOCOL_N2N_BLOCK_FETCH,
        async move |channel| {
            let body = vec![7; bytes];
            let mut server = blockfetch::Server::new(channel);
            server.recv_while_idle().await.unwrap();
            server.send_start_batch().await.unwrap();
            for _ in 0..count {
                server.send_block(body.clone()).await.unwrap();
            }
            server.send_batch_done().await.unwrap();
        },
        async move |channel| {
            let mut client = blockfetch::Client::new(channel);
            client.request_range((point(), point())).await.unwrap();
            let mut got = 0;
            while let Some(body) = client.recv_while_streaming().await.unwrap() {
                assert_eq!(body.len(), bytes);
                got += 1;
            }
            assert_eq!(got, count);
        },
    )
}

/// `count` headers of `bytes` bytes with `ahead` questions under way; its client knows only one,
/// so that for more the questions are written by hand over its channel.
pub(crate) fn headers(count: usize, bytes: usize, ahead: usize) -> Duration {
    both(
        PROTOCOL_N2N_CHAIN_SYNC,
        async move |channel| {
            let mut server = chainsync::N2NServer::new(channel);
            for _ in 0..count {
                server.recv_while_idle().await.unwrap();
                let header = HeaderContent {
                    variant: 6,
                    byron_prefix: None,
                    cbor: vec![7; bytes],
                };
                let tip = Tip(Point::new(1, vec![7; 32]), 1);
                server.send_roll_forward(header, tip).await.unwrap();
            }
        },
        async move |channel| {
            if ahead > 1 {
                pipelined(channel, count, bytes, ahead).await;
                return;
            }
            let mut client = chainsync::N2NClient::new(channel);
            for _ in 0..count {
                match client.request_next().await.unwrap() {
                    NextResponse::RollForward(header, _) => assert_eq!(header.cbor.len(), bytes),
                    other => panic!("{other:?}"),
                }
            }
        },
    )
}

async fn pipelined(channel: AgentChannel, count: usize, bytes: usize, ahead: usize) {
    let mut channel = ChannelBuffer::new(channel);
    let (mut asked, mut got) = (0, 0);
    while got < count {
        // As many as the window takes, once a third of it is free.
        if asked - got <= ahead * 2 / 3 {
            while asked < count && asked - got < ahead {
                let message: Message<HeaderContent> = Message::RequestNext;
                channel.send_msg_chunks(&message).await.unwrap();
                asked += 1;
            }
        }
        let message: Message<HeaderContent> = channel.recv_full_msg().await.unwrap();
        match message {
            Message::RollForward(header, _) => assert_eq!(header.cbor.len(), bytes),
            other => panic!("{other:?}"),
        }
        got += 1;
    }
}

/// `count` raw chunks of `bytes` bytes, without a codec.
pub(crate) fn chunks(count: usize, bytes: usize) -> Duration {
    both(
        PROTOCOL_N2N_BLOCK_FETCH,
        async move |mut channel| {
            for _ in 0..count {
                channel.enqueue_chunk(vec![7; bytes]).await.unwrap();
            }
        },
        async move |mut channel| {
            for _ in 0..count {
                assert_eq!(channel.dequeue_chunk().await.unwrap().len(), bytes);
            }
        },
    )
}

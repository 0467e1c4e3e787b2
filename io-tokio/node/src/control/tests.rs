use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    sync::Arc,
};

use samanea_core::{
    base::Instant,
    governor::{self, Next, Score, Status},
};
use tokio::task::spawn_blocking;

use super::*;
use crate::peers;

fn addr(n: u8) -> SocketAddr {
    ([192, 0, 2, n], 3001).into()
}

fn known(n: u8) -> governor::Explanation {
    governor::Explanation {
        peer: addr(n),
        source: governor::Source::Local,
        status: Status::Hot,
        since: Instant::ZERO,
        group: Some(0),
        valencies: None,
        traits: None,
        kept: false,
        told_by: None,
        failures: 0,
        reached: true,
        tepid: false,
        advertise: true,
        sharing: None,
        score: Score::whole(1),
        round_trip: None,
        hops: None,
        next: Next::Answer,
    }
}

/// Three peers.
struct Three;

impl Source for Three {
    fn peers(&self) -> Table {
        Table {
            rows: peers::rows(Instant::ZERO, [1, 2, 3].map(known), []),
            left_out: 4,
        }
    }

    fn explain(&self, peer: SocketAddr) -> Option<Explained> {
        let engine = samanea_core::node::Engine::new(samanea_core::node::Config::new(1));
        let known = [1, 2, 3].map(known).into_iter().find(|k| k.peer == peer)?;
        let mut node = engine.explain(peer);
        node.selected = Some(known);
        peers::explained(Instant::ZERO, &node)
    }

    fn goals(&self) -> Goals {
        Goals {
            targets: Targets::RELAY,
            counters: Counters::default(),
        }
    }

    fn groups(&self) -> Vec<GroupRow> {
        let row = GroupRow {
            group: "validator".into(),
            epoch: 7,
            members: 3,
            member: true,
            linked: 2,
            wanted: 2,
            held: 1,
        };
        vec![row]
    }

    fn publish(&self, audience: Audience, payload: Vec<u8>) -> Result<MessageId, String> {
        match (audience, payload.as_slice()) {
            (Audience::Block, [0xca, 0xfe]) => Ok(MessageId::default()),
            (audience, _) => Err(format!("{audience:?}: not a member")),
        }
    }
}

fn start(path: &Path) -> Result<Server, Error> {
    Server::start(path, Arc::new(Three))
}

/// Runs what waits beside the server.
async fn beside<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    spawn_blocking(f).await.unwrap()
}

#[tokio::test]
async fn every_question_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let server = start(&path).unwrap();
    let at = server.path().to_owned();
    beside(move || {
        let Ok(Answer::Peers(table)) = ask(&at, &Request::Peers) else {
            panic!("no peers");
        };
        assert_eq!(table, Three.peers());
        let Ok(Answer::Explained(told)) = ask(&at, &Request::Explain { peer: addr(2) }) else {
            panic!("not explained");
        };
        assert_eq!(*told, Three.explain(addr(2)).unwrap());
        let Ok(Answer::Targets(goals)) = ask(&at, &Request::Targets) else {
            panic!("no targets");
        };
        assert_eq!(*goals, Three.goals());
        let Ok(Answer::Groups(groups)) = ask(&at, &Request::Groups) else {
            panic!("no groups");
        };
        assert_eq!(groups, Three.groups());
        let publish = |to: &str, payload: &str| {
            let (to, payload) = (to.into(), payload.into());
            ask(&at, &Request::Publish { to, payload })
        };
        let Ok(Answer::Published(id)) = publish("block", "CAfe") else {
            panic!("not published");
        };
        assert_eq!(id, "0".repeat(64));
        let long = "00".repeat(PAYLOAD_BYTES_MAX + 1);
        for (to, payload, why) in [
            ("block", "cafe00", "Block: not a member"),
            ("nobody", "cafe", "nobody: no audience"),
            ("block", "caf", "payload: not hexadecimal"),
            ("block", "cäfe", "payload: not hexadecimal"),
            ("block", &long, "payload: more than 262144 bytes"),
        ] {
            let refused = publish(to, payload).unwrap_err();
            assert_eq!(refused.to_string(), why);
        }
        let refused = ask(&at, &Request::Explain { peer: addr(9) }).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "192.0.2.9:3001: not known and not connected"
        );
    })
    .await;
    drop(server);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn one_connection_may_ask_several_times_and_wrongly() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let _server = start(&path).unwrap();
    beside(move || {
        let stream = UnixStream::connect(path).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut ask = |line: &str| {
            (&stream).write_all(line.as_bytes()).unwrap();
            lines.next().unwrap().unwrap()
        };
        for wrong in [
            "\n",
            "{}\n",
            "peers\n",
            "{\"ask\":\"stop\"}\n",
            "{\"ask\":\"explain\"}\n",
            "{\"ask\":\"explain\",\"peer\":\"nobody\"}\n",
        ] {
            let told = ask(wrong);
            assert!(told.starts_with("{\"error\":\"not a question"), "{told}");
        }
        let told = ask("{\"ask\":\"targets\"}\n");
        assert!(told.starts_with("{\"targets\":"), "{told}");
    })
    .await;
}

#[tokio::test]
async fn a_question_that_is_too_long_ends_the_conversation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let _server = start(&path).unwrap();
    beside(move || {
        let mut stream = UnixStream::connect(&path).unwrap();
        let bytes = usize::try_from(REQUEST_BYTES_MAX).unwrap() + 1;
        stream.write_all(&vec![b' '; bytes]).unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        assert!(told.contains("at most 1048576 bytes"), "{told}");
        assert_eq!(told.lines().count(), 1);
        assert!(ask(&path, &Request::Targets).is_ok());
    })
    .await;
}

#[tokio::test]
async fn only_the_user_may_connect() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    let _server = start(&path).unwrap();
    let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = start(&path).unwrap();
    let other = {
        let path = path.clone();
        start(&path)
    };
    assert!(matches!(other, Err(Error::InUse(_))), "{other:?}");
    drop(server);
    start(&path).unwrap();
}

#[tokio::test]
async fn a_file_in_its_place_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(NAME);
    fs::write(&path, "precious").unwrap();
    assert!(matches!(start(&path), Err(Error::NotASocket(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let missing = dir.path().join("missing").join(NAME);
    assert!(matches!(start(&missing), Err(Error::Io { .. })));
    let refused = ask(&missing, &Request::Peers).unwrap_err();
    assert!(matches!(refused, Refused::Io(_)), "{refused:?}");
}

//! Against a real name server on loopback.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
};

use async_trait::async_trait;
use hickory_server::{
    Server,
    net::runtime::Time,
    proto::{
        op::{Header, HeaderCounts, Metadata, ResponseCode},
        rr::{
            Record,
            rdata::{CNAME, SOA, SRV},
        },
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    zone_handler::MessageResponseBuilder,
};
use samanea_core::{
    base::{Instant, NoRules, Rules, Ticket},
    chain,
    governor::{LocalGroup, Relay, Topology},
    node::{Command, Config, Engine, Node, Notice},
};
use samanea_std::{Application, NoApplication, Options};
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::{mpsc, oneshot},
};

use super::*;

/// The longest that a test waits; reached only when it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the server says to a question.
#[derive(Clone)]
enum Says {
    Records(Vec<Record>),
    /// No such record, or (`true`) no such name, for so long.
    Nothing(bool, Option<u32>),
    Fails,
    Silence,
}

/// The zone, by name without the last dot and kind. What is not there does not exist.
#[derive(Clone, Default)]
struct Zone(BTreeMap<(String, RecordType), Says>);

impl Zone {
    fn with(mut self, name: &str, kind: RecordType, says: Says) -> Self {
        self.0.insert((name.into(), kind), says);
        self
    }

    fn v4(self, name: &str, ttl: u32, last: &[u8]) -> Self {
        let record = |n: &u8| {
            let data = RData::A(Ipv4Addr::new(192, 0, 2, *n).into());
            Record::from_rdata(absolute(name).unwrap(), ttl, data)
        };
        let records = last.iter().map(record).collect();
        self.with(name, RecordType::A, Says::Records(records))
    }

    fn v6(self, name: &str, ttl: u32, last: &[u16]) -> Self {
        let record = |n: &u16| {
            let data = RData::AAAA(v6(*n).into());
            Record::from_rdata(absolute(name).unwrap(), ttl, data)
        };
        let records = last.iter().map(record).collect();
        self.with(name, RecordType::AAAA, Says::Records(records))
    }
}

fn v6(n: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, n)
}

#[async_trait]
impl RequestHandler for Zone {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut response: R,
    ) -> ResponseInfo {
        let query = request.request_info().unwrap().query;
        let name = query.original().name().to_ascii().to_lowercase();
        let key = (name.trim_end_matches('.').into(), query.query_type());
        let nothing = Says::Nothing(true, None);
        let says = self.0.get(&key).unwrap_or(&nothing);
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.recursion_available = true;
        let (mut answers, mut soa) = (Vec::new(), Vec::new());
        match says {
            Says::Records(records) => answers.clone_from(records),
            Says::Nothing(is_name, minimum) => {
                if *is_name {
                    metadata.response_code = ResponseCode::NXDomain;
                }
                if let Some(minimum) = minimum {
                    let zone = Name::from_ascii("example.").unwrap();
                    let data = SOA::new(zone.clone(), zone.clone(), 1, 1, 1, 1, *minimum);
                    soa.push(Record::from_rdata(zone, 3_600, RData::SOA(data)));
                }
            }
            Says::Fails => metadata.response_code = ResponseCode::ServFail,
            Says::Silence => {
                let counts = HeaderCounts::default();
                return Header { metadata, counts }.into();
            }
        }
        let builder = MessageResponseBuilder::from_message_request(request);
        let message = builder.build(metadata, &answers, [], &soa, []);
        response.send_response(message).await.unwrap()
    }
}

/// A server of this zone, and a resolver that asks it.
struct Rig {
    dns: Dns,
    _server: Server<Zone>,
}

impl Rig {
    async fn new(zone: Zone, limit: Duration) -> Self {
        let mut server = Server::new(zone);
        let (udp, tcp) = both_at_one_port().await;
        let addr = udp.local_addr().unwrap();
        server.register_socket(udp);
        server.register_listener(tcp, PATIENCE, 64);
        let dns = Dns::at(runtime::Handle::current(), &[addr]).limit(limit);
        Self {
            dns,
            _server: server,
        }
    }

    async fn ask(&self, question: Question) -> Result<Answer, NotFound> {
        let (tx, rx) = oneshot::channel();
        let reply = Reply::new(move |answer| tx.send(answer).unwrap());
        self.dns.resolve(question, reply);
        timeout(PATIENCE, rx).await.unwrap().unwrap()
    }

    async fn addresses(&self, name: &str) -> Result<Answer, NotFound> {
        let (name, v4, v6) = (name.into(), true, true);
        self.ask(Question::Addresses { name, v4, v6 }).await
    }
}

async fn both_at_one_port() -> (UdpSocket, TcpListener) {
    for _ in 0..50 {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        // It may be somebody's already.
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both");
}

async fn rig(zone: Zone) -> Rig {
    Rig::new(zone, PATIENCE).await
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what was answered")]
fn found(addrs: &[&str], ttl: u64) -> Result<Answer, NotFound> {
    let addrs = addrs.iter().map(|addr| addr.parse().unwrap()).collect();
    let ttl = Duration::from_secs(ttl);
    Ok(Answer::Addresses { addrs, ttl })
}

fn no_record(ttl: Option<u64>) -> Result<Answer, NotFound> {
    let ttl = ttl.map(Duration::from_secs);
    Err(NotFound::NoRecord { ttl })
}

#[tokio::test]
async fn both_kinds_of_addresses_are_found_v6_first_with_the_least_time_to_live() {
    let zone = Zone::default()
        .v4("both.example", 300, &[1, 2])
        .v6("both.example", 200, &[7])
        .v4("four.example", 100, &[3])
        .v6("six.example", 50, &[8, 9]);
    let rig = rig(zone).await;
    let both = rig.addresses("both.example").await;
    assert_eq!(both, found(&["2001:db8::7", "192.0.2.1", "192.0.2.2"], 200));
    let four = rig.addresses("four.example").await;
    assert_eq!(four, found(&["192.0.2.3"], 100));
    let six = rig.addresses("six.example").await;
    assert_eq!(six, found(&["2001:db8::8", "2001:db8::9"], 50));
}

#[tokio::test]
async fn only_the_kinds_that_are_wanted_are_asked_for() {
    let zone = Zone::default().v4("a.example", 300, &[1]).with(
        "a.example",
        RecordType::AAAA,
        Says::Silence,
    );
    let rig = rig(zone).await;
    let ask = |v4, v6| {
        let name = "a.example".into();
        rig.ask(Question::Addresses { name, v4, v6 })
    };
    assert_eq!(ask(true, false).await, found(&["192.0.2.1"], 300));
    assert_eq!(ask(false, false).await, no_record(None));
}

#[tokio::test]
async fn one_kind_that_fails_does_not_hide_the_other() {
    let zone = Zone::default()
        .v4("four.example", 300, &[1])
        .with("four.example", RecordType::AAAA, Says::Fails)
        .v6("six.example", 300, &[1])
        .with("six.example", RecordType::A, Says::Silence);
    let rig = Rig::new(zone, Duration::from_secs(3)).await;
    let four = rig.addresses("four.example").await;
    assert_eq!(four, found(&["192.0.2.1"], 300));
    let six = rig.addresses("six.example").await;
    assert_eq!(six, found(&["2001:db8::1"], 300));
}

#[tokio::test]
async fn an_alias_is_followed_and_its_time_to_live_counts() {
    let alias = absolute("alias.example").unwrap();
    let target = absolute("target.example").unwrap();
    let to = RData::CNAME(CNAME(target.clone()));
    let addr = RData::A(Ipv4Addr::new(192, 0, 2, 5).into());
    let records = vec![
        Record::from_rdata(alias, 70, to),
        Record::from_rdata(target, 700, addr),
    ];
    let says = Says::Records(records);
    let rig = rig(Zone::default().with("alias.example", RecordType::A, says)).await;
    let answer = rig.addresses("alias.example").await;
    assert_eq!(answer, found(&["192.0.2.5"], 70));
}

#[tokio::test]
async fn the_servers_of_a_service_come_with_all_that_the_zone_says() {
    let name = "_cardano._tcp.pool.example";
    let record = |priority, weight, port, target: &str, ttl| {
        let data = SRV::new(priority, weight, port, Name::from_ascii(target).unwrap());
        Record::from_rdata(absolute(name).unwrap(), ttl, RData::SRV(data))
    };
    let records = vec![
        record(20, 1, 3_001, "b.example.", 400),
        record(10, 60, 3_002, "a.example.", 500),
        record(30, 0, 0, ".", 300),
    ];
    let rig = rig(Zone::default().with(name, RecordType::SRV, Says::Records(records))).await;
    let answer = rig.ask(Question::Services { name: name.into() }).await;
    let service = |priority, weight, port, target: &str| Service {
        priority,
        weight,
        port,
        target: target.into(),
    };
    let Ok(Answer::Services { mut services, ttl }) = answer else {
        panic!("{answer:?}");
    };
    services.sort();
    let expected = [
        service(10, 60, 3_002, "a.example"),
        service(20, 1, 3_001, "b.example"),
        service(30, 0, 0, ""),
    ];
    assert_eq!(
        (&services[..], ttl),
        (&expected[..], Duration::from_secs(300))
    );
    let name = "_cardano._tcp.other.example".into();
    assert_eq!(rig.ask(Question::Services { name }).await, no_record(None));
}

#[tokio::test]
async fn what_does_not_exist_holds_as_long_as_the_zone_says() {
    let nothing = |is_name, minimum| Says::Nothing(is_name, minimum);
    let zone = Zone::default()
        .with("gone.example", RecordType::A, nothing(true, Some(120)))
        .with("gone.example", RecordType::AAAA, nothing(true, Some(150)))
        .with("empty.example", RecordType::A, nothing(false, Some(90)))
        .with("empty.example", RecordType::AAAA, nothing(false, None));
    let rig = rig(zone).await;
    assert_eq!(rig.addresses("gone.example").await, no_record(Some(120)));
    assert_eq!(rig.addresses("empty.example").await, no_record(Some(90)));
    assert_eq!(rig.addresses("unheard.example").await, no_record(None));
    let long = "x".repeat(64);
    for name in ["", "a..b", &long] {
        assert!(
            matches!(rig.addresses(name).await, Err(NotFound::NoRecord { .. })),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_server_that_fails_or_is_silent_gives_no_answer() {
    let both = |zone: Zone, name: &str, says: Says| {
        zone.with(name, RecordType::A, says.clone())
            .with(name, RecordType::AAAA, says)
    };
    let zone = both(Zone::default(), "bad.example", Says::Fails);
    let zone = both(zone, "dumb.example", Says::Silence);
    let zone = zone
        .with(
            "half.example",
            RecordType::A,
            Says::Nothing(false, Some(60)),
        )
        .with("half.example", RecordType::AAAA, Says::Fails);
    let rig = Rig::new(zone, Duration::from_millis(300)).await;
    for name in ["bad.example", "dumb.example", "half.example"] {
        let answer = rig.addresses(name).await;
        assert_eq!(answer, Err(NotFound::NoAnswer), "{name}");
    }
}

#[tokio::test]
async fn an_answer_too_long_for_a_datagram_comes_whole_up_to_the_limit() {
    let all: Vec<u16> = (0..300).collect();
    let rig = rig(Zone::default().v6("many.example", 60, &all)).await;
    let answer = rig.addresses("many.example").await;
    let Ok(Answer::Addresses { addrs, .. }) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(addrs.len(), ANSWERS_MAX);
}

#[tokio::test]
async fn more_lookups_than_the_maximum_are_answered_at_once() {
    let zone = Zone::default().with("dumb.example", RecordType::A, Says::Silence);
    let rig = rig(zone).await;
    let (tx, mut rx) = mpsc::channel(Dns::LOOKUPS_MAX + 1);
    for n in 0..=Dns::LOOKUPS_MAX {
        let tx = tx.clone();
        let reply = Reply::new(move |answer| _ = tx.try_send((n, answer)));
        let (name, v4, v6) = ("dumb.example".into(), true, false);
        rig.dns.resolve(Question::Addresses { name, v4, v6 }, reply);
    }
    let first = timeout(PATIENCE, rx.recv()).await.unwrap();
    assert_eq!(first, Some((Dns::LOOKUPS_MAX, Err(NotFound::NoAnswer))));
}

#[tokio::test]
async fn the_system_is_asked_when_no_server_is_given() {
    // Whatever is configured here, there is exactly one answer: the hosts file knows this name, or
    // there is no configuration.
    let dns = Dns::system(runtime::Handle::current()).limit(Duration::from_millis(300));
    let (tx, rx) = oneshot::channel();
    let reply = Reply::new(move |answer| tx.send(answer).unwrap());
    let (name, v4, v6) = ("localhost".into(), true, true);
    dns.resolve(Question::Addresses { name, v4, v6 }, reply);
    match timeout(PATIENCE, rx).await.unwrap().unwrap() {
        Ok(Answer::Addresses { addrs, .. }) => assert!(addrs.iter().all(IpAddr::is_loopback)),
        other => assert!(other.is_err(), "{other:?}"),
    }
}

/// Tells whom it is connected to.
struct Watch(mpsc::Sender<SocketAddr>);

impl Application for Watch {
    fn rules(&self) -> &dyn Rules {
        &NoRules
    }

    fn ask(&self, _: Ticket, _: chain::Question) -> Option<chain::Answer> {
        None
    }

    fn notice(&self, _: Instant, notice: &Notice) {
        if let Notice::Up { remote, .. } = notice {
            // The first is enough.
            let _ = self.0.try_send(*remote);
        }
    }
}

#[tokio::test]
async fn a_node_finds_a_local_root_by_its_service_although_the_first_server_is_gone() {
    let engine = || Engine::new(Config::new(42));
    let mut options = Options::default();
    options.listen = vec![([127, 0, 0, 1], 0).into()];
    let node = Node::new(engine(), 1);
    let root = crate::start(node, Arc::new(NoApplication), options);
    let root = root.await.unwrap();
    let at = root.listening()[0];

    let name = "_peers._tcp.example";
    let record = |priority, port, target| {
        let data = SRV::new(priority, 1, port, absolute(target).unwrap());
        Record::from_rdata(absolute(name).unwrap(), 300, RData::SRV(data))
    };
    let records = vec![
        record(2, at.port(), "here.example"),
        record(1, 9, "gone.example"),
    ];
    let loopback = RData::A(Ipv4Addr::LOCALHOST.into());
    let loopback = Record::from_rdata(absolute("here.example").unwrap(), 300, loopback);
    let zone = Zone::default()
        .with(name, RecordType::SRV, Says::Records(records))
        .with("here.example", RecordType::A, Says::Records(vec![loopback]));
    let rig = rig(zone).await;

    let (up, mut ups) = mpsc::channel(1);
    let mut options = Options::default();
    options.resolver = Some(Arc::new(rig.dns));
    let node = Node::new(engine(), 2);
    let seeker = crate::start(node, Arc::new(Watch(up)), options);
    let seeker = seeker.await.unwrap();
    let group = LocalGroup {
        hot: 1,
        warm: 1,
        access_points: vec![Relay::Service { name: name.into() }],
        ..LocalGroup::default()
    };
    let topology = Topology {
        local: vec![group],
        ..Topology::default()
    };
    seeker.command(Command::Topology(Box::new(topology)));
    let found = timeout(PATIENCE, ups.recv()).await.unwrap();
    assert_eq!(found, Some(at));
    for node in [seeker, root] {
        node.shutdown();
        timeout(PATIENCE, node.wait()).await.unwrap();
    }
}

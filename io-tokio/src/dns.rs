//! Names looked up by hickory: with the servers of the system, or with given ones.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hickory_resolver::{
    ResolverBuilder, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::rr::{Name, RData, RecordType},
};
use samanea_core::governor::{ANSWERS_MAX, Answer, NotFound, Question, Service};
use samanea_std::{Reply, Resolver};
use tokio::{runtime, sync::Semaphore, time::timeout};

/// A resolver of names: addresses (A and AAAA side by side) and services (SRV), each with its time
/// to live.
///
/// Nothing is kept from one lookup to the next: the node remembers what it needs. At most
/// [`LOOKUPS_MAX`](Self::LOOKUPS_MAX) run at a time; more are answered by
/// [`NotFound::NoAnswer`] at once.
pub struct Dns {
    runtime: runtime::Handle,
    shared: Arc<Shared>,
}

struct Shared {
    servers: Servers,
    limit: Duration,
    room: Arc<Semaphore>,
    built: Mutex<Option<Built>>,
}

enum Servers {
    System,
    These(Vec<SocketAddr>),
}

/// A resolver, and the state of the file that it was made from.
struct Built {
    from: Option<Stamp>,
    resolver: Arc<TokioResolver>,
}

/// Tells one state of a file from another.
type Stamp = [i128; 4];

impl Dns {
    /// Lookups at a time, at most, inclusive; a node has ten at a time.
    pub const LOOKUPS_MAX: usize = 64;

    /// Asks the servers of the system's configuration, which is read again when it changes. While
    /// it cannot be read there is [no resolver](NotFound::NoResolver).
    pub fn system(runtime: runtime::Handle) -> Self {
        Self::new(runtime, Servers::System)
    }

    /// Asks these servers, over UDP and where that is too short over TCP.
    pub fn at(runtime: runtime::Handle, servers: &[SocketAddr]) -> Self {
        Self::new(runtime, Servers::These(servers.to_vec()))
    }

    /// How long one query may take. Default 3 s. src: ouroboros-network, DNS timeout
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        let servers = match &self.shared.servers {
            Servers::System => Servers::System,
            Servers::These(servers) => Servers::These(servers.clone()),
        };
        self.shared = Arc::new(Shared::new(servers, limit));
        self
    }

    fn new(runtime: runtime::Handle, servers: Servers) -> Self {
        let shared = Arc::new(Shared::new(servers, Duration::from_secs(3)));
        Self { runtime, shared }
    }
}

impl Resolver for Dns {
    fn resolve(&self, question: Question, reply: Reply) {
        let Ok(permit) = Arc::clone(&self.shared.room).try_acquire_owned() else {
            return reply.answer(Err(NotFound::NoAnswer));
        };
        let shared = Arc::clone(&self.shared);
        self.runtime.spawn(async move {
            let answer = shared.look_up(&question).await;
            drop(permit);
            reply.answer(answer);
        });
    }
}

impl Shared {
    fn new(servers: Servers, limit: Duration) -> Self {
        Self {
            servers,
            limit,
            room: Arc::new(Semaphore::new(Dns::LOOKUPS_MAX)),
            built: Mutex::default(),
        }
    }

    async fn look_up(&self, question: &Question) -> Result<Answer, NotFound> {
        let resolver = self.resolver().map_err(|_| NotFound::NoResolver)?;
        match question {
            Question::Addresses { name, v4, v6 } => {
                let name = absolute(name)?;
                let records = |kind, wanted| {
                    let (resolver, name) = (&resolver, &name);
                    async move {
                        if wanted {
                            self.records(resolver, name, kind).await
                        } else {
                            Err(NotFound::NoRecord { ttl: None })
                        }
                    }
                };
                let (six, four) =
                    tokio::join!(records(RecordType::AAAA, *v6), records(RecordType::A, *v4));
                let (records, ttl) = either(six, four)?;
                let mut addrs: Vec<IpAddr> = records.iter().filter_map(RData::ip_addr).collect();
                addrs.truncate(ANSWERS_MAX);
                Ok(Answer::Addresses { addrs, ttl })
            }
            Question::Services { name } => {
                let name = absolute(name)?;
                let (records, ttl) = self.records(&resolver, &name, RecordType::SRV).await?;
                let services = records.iter().filter_map(service);
                let services = services.take(ANSWERS_MAX).collect();
                Ok(Answer::Services { services, ttl })
            }
        }
    }

    /// All records of this kind, at least one, and the least time to live of all that led there.
    async fn records(
        &self,
        resolver: &TokioResolver,
        name: &Name,
        kind: RecordType,
    ) -> Result<(Vec<RData>, Duration), NotFound> {
        let lookup = timeout(self.limit, resolver.lookup(name.clone(), kind))
            .await
            .map_err(|_| NotFound::NoAnswer)?
            .map_err(|error| failure(&error))?;
        let answers = lookup.answers();
        let ttl = answers.iter().map(|record| record.ttl).min();
        let ttl = ttl.map(|s| Duration::from_secs(s.into()));
        let of_kind = answers.iter().map(|record| &record.data);
        let of_kind: Vec<RData> = of_kind
            .filter(|data| data.record_type() == kind)
            .cloned()
            .collect();
        match ttl {
            Some(ttl) if !of_kind.is_empty() => Ok((of_kind, ttl)),
            ttl => Err(NotFound::NoRecord { ttl }),
        }
    }

    /// The resolver, made anew when what it is made from has changed.
    fn resolver(&self) -> Result<Arc<TokioResolver>, NetError> {
        let from = match &self.servers {
            Servers::System => system_stamp(),
            Servers::These(_) => Some(Stamp::default()),
        };
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = &*built
            && from.is_some()
            && built.from == from
        {
            return Ok(Arc::clone(&built.resolver));
        }
        let resolver = Arc::new(self.build()?);
        *built = Some(Built {
            from,
            resolver: Arc::clone(&resolver),
        });
        Ok(resolver)
    }

    fn build(&self) -> Result<TokioResolver, NetError> {
        let mut builder: ResolverBuilder<TokioRuntimeProvider> = match &self.servers {
            Servers::System => TokioResolver::builder_tokio()?,
            Servers::These(servers) => {
                let servers = servers.iter().map(server).collect();
                let config = ResolverConfig::from_name_servers(servers);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        options.timeout = self.limit;
        options.cache_size = 0;
        options.preserve_intermediates = true;
        builder.build()
    }
}

fn server(addr: &SocketAddr) -> NameServerConfig {
    let at = |mut connection: ConnectionConfig| {
        connection.port = addr.port();
        connection
    };
    let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
    NameServerConfig::new(addr.ip(), true, connections)
}

/// The state of the system's configuration; `None` where it cannot be told cheaply.
fn system_stamp() -> Option<Stamp> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::metadata("/etc/resolv.conf").ok()?;
        Some([
            file.ino().into(),
            file.size().into(),
            file.mtime().into(),
            file.mtime_nsec().into(),
        ])
    }
    #[cfg(not(unix))]
    None
}

/// A whole name, so that no suffix of the system is tried.
fn absolute(name: &str) -> Result<Name, NotFound> {
    // One that is no name has no record either.
    let mut name = Name::from_utf8(name).map_err(|_| NotFound::NoRecord { ttl: None })?;
    name.set_fqdn(true);
    Ok(name)
}

fn service(data: &RData) -> Option<Service> {
    let RData::SRV(srv) = data else {
        return None;
    };
    let target = srv.target.to_ascii();
    Some(Service {
        priority: srv.priority,
        weight: srv.weight,
        port: srv.port,
        target: target.trim_end_matches('.').into(),
    })
}

/// What both have; one of them may have failed.
fn either(
    a: Result<(Vec<RData>, Duration), NotFound>,
    b: Result<(Vec<RData>, Duration), NotFound>,
) -> Result<(Vec<RData>, Duration), NotFound> {
    match (a, b) {
        (Ok((mut a, a_ttl)), Ok((b, b_ttl))) => {
            a.extend(b);
            Ok((a, a_ttl.min(b_ttl)))
        }
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
        (Err(NotFound::NoRecord { ttl: a }), Err(NotFound::NoRecord { ttl: b })) => {
            let ttl = a.into_iter().chain(b).min();
            Err(NotFound::NoRecord { ttl })
        }
        // That of which we know less may be back sooner.
        (Err(NotFound::NoRecord { .. }), Err(failure)) | (Err(failure), Err(_)) => Err(failure),
    }
}

fn failure(error: &NetError) -> NotFound {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => NotFound::NoRecord {
            ttl: none.negative_ttl.map(|s| Duration::from_secs(s.into())),
        },
        _ => NotFound::NoAnswer,
    }
}

#[cfg(test)]
mod tests;

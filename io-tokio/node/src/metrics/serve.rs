//! The endpoint: one answer a connection, so many connections at a time, each only so long.

use std::{
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    str::FromStr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
    serve::Listener,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
    time::{Sleep, sleep},
};

use super::{CONTENT_TYPE, Figures, to_text};

/// Connections at a time, inclusive; others wait. Guess, not measured.
const CONNECTIONS_MAX: usize = 16;
/// How long one may last: well beyond a scraper's own patience, which is ten seconds by default.
const LASTS: Duration = Duration::from_secs(30);

/// Where numbers are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bind {
    /// Nowhere.
    None,
    /// There.
    Addr(SocketAddr),
}

impl FromStr for Bind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" {
            return Ok(Self::None);
        }
        let addr = text.parse().map_err(|_| "neither IP:PORT nor `none`")?;
        Ok(Self::Addr(addr))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Addr(addr) => addr.fmt(f),
        }
    }
}

/// An endpoint that answers until it is dropped.
#[derive(Debug)]
pub struct Server {
    local: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Binds the address and answers from now on with what `look` sees. Needs a runtime.
    pub async fn start(
        addr: SocketAddr,
        look: impl Fn() -> Figures + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let local = listener.local_addr()?;
        let look = Arc::new(look);
        let answer = move || {
            let look = Arc::clone(&look);
            async move { answered(&look()) }
        };
        let router = Router::new().route("/metrics", get(answer));
        let listener = Limited {
            listener,
            places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        };
        let serve = axum::serve(listener, router);
        let task = tokio::spawn(async move {
            // It never ends by itself.
            let _ = serve.await;
        });
        Ok(Self { local, task })
    }

    /// Where it answers.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answered(figures: &Figures) -> impl IntoResponse + use<> {
    let (status, text) = match to_text(figures) {
        Ok(text) => (StatusCode::OK, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let headers = [
        (header::CONTENT_TYPE, CONTENT_TYPE),
        (header::CONNECTION, "close"),
    ];
    (status, headers, text)
}

/// A listener that holds connections back while all places are taken.
struct Limited {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Listener for Limited {
    type Io = Conn;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Conn, SocketAddr) {
        // Fails only when closed, which it never is.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, addr) = Listener::accept(&mut self.listener).await;
        let conn = Conn {
            stream,
            ends: Box::pin(sleep(LASTS)),
            _place: place,
        };
        (conn, addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with its place, that fails when it lasts too long.
struct Conn {
    stream: TcpStream,
    ends: Pin<Box<Sleep>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Conn {
    /// The stream while there is time.
    fn stream(&mut self, cx: &mut Context<'_>) -> io::Result<Pin<&mut TcpStream>> {
        match self.ends.as_mut().poll(cx) {
            Poll::Pending => Ok(Pin::new(&mut self.stream)),
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl AsyncRead for Conn {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.stream(cx) {
            Ok(stream) => stream.poll_read(cx, buf),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for Conn {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.stream(cx) {
            Ok(stream) => stream.poll_write(cx, bytes),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Reads the numbers of an endpoint: the body of its answer.
pub async fn scrape(addr: SocketAddr) -> io::Result<String> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = TcpStream::connect(addr).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(1 << 20).read_to_string(&mut answer).await?;
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::InvalidData)?;
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use samanea_core::base::Tip;
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn loopback() -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    #[test]
    fn an_address_or_none_is_read_as_it_is_shown() {
        for text in ["none", "127.0.0.1:12798", "[::1]:80"] {
            assert_eq!(text.parse::<Bind>().unwrap().to_string(), text);
        }
        assert!("localhost".parse::<Bind>().is_err());
    }

    #[tokio::test]
    async fn each_scrape_looks_anew() {
        let looks = AtomicU64::new(0);
        let look = move || Figures {
            tip: Tip {
                block_no: looks.fetch_add(1, Ordering::Relaxed),
                ..Tip::ORIGIN
            },
            ..Figures::default()
        };
        let server = Server::start(loopback(), look).await.unwrap();
        for block in 0..3 {
            let text = scrape(server.local_addr()).await.unwrap();
            let line = format!("\ncardano_node_metrics_blockNum_int {block}\n");
            assert!(text.contains(&line), "{text}");
        }
    }

    #[tokio::test]
    async fn connections_that_say_nothing_take_places_and_give_them_back() {
        let server = Server::start(loopback(), Figures::default).await.unwrap();
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
            stream.write_all(b"GET /met").await.unwrap();
            silent.push(stream);
        }
        let scraped = scrape(server.local_addr());
        silent.pop();
        assert!(scraped.await.unwrap().contains("slotNum_int 0"));
    }

    #[tokio::test]
    async fn an_address_in_use_is_an_error() {
        let first = Server::start(loopback(), Figures::default).await.unwrap();
        let second = Server::start(first.local_addr(), Figures::default).await;
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }
}

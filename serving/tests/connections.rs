//! Connections over real sockets, spoken to without a client library that would tidy up what is sent.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use sealpost_serving::tls::TlsIdentity;
use sealpost_serving::{
    ConnectionLimits, Listener, Peer, Standing, Stays, TlsListeners, bind_private_socket, serve,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// Far longer than any limit under test.
const BOUND: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);
const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
const SLOW: &[u8] = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";

struct Server {
    address: SocketAddr,
    /// Lets requests for `/slow` go on.
    release: Arc<Notify>,
    /// Says when a request for `/slow` has arrived.
    arrived: Arc<Notify>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(limits: ConnectionLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (release, arrived) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (stop, stopped) = oneshot::channel();
        let service = service(Arc::clone(&release), Arc::clone(&arrived));
        let task = tokio::spawn(serve(Listener::tcp(listener), service, limits, async {
            let _ = stopped.await;
        }));
        Self { address, release, arrived, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Answers with who asks, under `/slow` only when it is told to.
fn service(
    release: Arc<Notify>,
    arrived: Arc<Notify>,
) -> impl tower::Service<
    Request<Incoming>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send,
> + Clone
+ Send
+ 'static {
    tower::service_fn(move |request: Request<Incoming>| {
        let (release, arrived) = (Arc::clone(&release), Arc::clone(&arrived));
        async move {
            if request.uri().path() == "/slow" {
                arrived.notify_one();
                release.notified().await;
            }
            let peer = request.extensions().get::<Peer>().map(Peer::source).unwrap_or_default();
            Ok(Response::new(Full::from(format!("from {peer}"))))
        }
    })
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWriteExt + Unpin)) -> String {
    stream.write_all(GET).await.unwrap();
    let mut answer = vec![0; 4096];
    let count = tokio::time::timeout(BOUND, stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer[..count].to_vec()).unwrap()
}

/// Reads until the server ends the connection; a reset is an end as well.
async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(BOUND, stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the server kept the connection");
    answer
}

#[tokio::test]
async fn a_request_carries_the_address_that_it_came_from() {
    let server = Server::start(ConnectionLimits::default()).await;
    let answer = ask(&mut server.connect().await).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("from 127.0.0.1"), "{answer}");
}

#[tokio::test]
async fn a_request_over_a_unix_socket_carries_the_account_that_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let listener = Listener::unix(bind_private_socket(&path).unwrap());
    let service = service(Arc::default(), Arc::default());
    let task =
        tokio::spawn(serve(listener, service, ConnectionLimits::default(), std::future::pending::<()>()));
    let answer = ask(&mut UnixStream::connect(&path).await.unwrap()).await;
    let account = answer.rsplit("from ").next().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && !account.is_empty() && account != "127.0.0.1", "{answer}");
    task.abort();
}

#[tokio::test]
async fn beyond_the_limit_a_connection_is_closed_unless_an_idle_one_can_make_way() {
    let one = ConnectionLimits {
        connections: 1,
        makes_way_after: Some(Duration::ZERO),
        stays: Stays::WhileAnswering,
        ..ConnectionLimits::default()
    };
    let server = Server::start(one).await;
    let mut busy = server.connect().await;
    busy.write_all(SLOW).await.unwrap();
    server.arrived.notified().await;
    assert!(read_to_end(&mut server.connect().await).await.is_empty());
    server.release.notify_one();
    let mut start = [0; 12];
    tokio::time::timeout(BOUND, busy.read_exact(&mut start)).await.unwrap().unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");

    // Its answer was read, so the connection is idle, or will be at once.
    let until = tokio::time::Instant::now() + BOUND;
    loop {
        let mut next = server.connect().await;
        next.write_all(GET).await.unwrap();
        if next.read_exact(&mut start).await.is_ok() {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "the idle connection keeps its place");
    }
    read_to_end(&mut busy).await;
}

#[tokio::test]
async fn listeners_of_one_server_share_their_places() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("server.crt"), folder.path().join("server.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    // Nothing but the limit ends a connection here in time.
    let hour = Duration::from_secs(3600);
    let one = ConnectionLimits { connections: 1, handshake_within: hour, ..ConnectionLimits::default() };
    let listeners = TlsListeners::of(TlsIdentity::load(&certificate, &key, None).unwrap(), &one).unwrap();
    let mut callers = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        callers.push(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        let service = service(Arc::default(), Arc::default());
        tokio::spawn(serve(listeners.over(listener), service, one, std::future::pending::<()>()));
    }
    let [first, second] = callers.as_mut_slice() else { panic!("there are two") };
    tokio::select! {
        answer = read_to_end(first) => assert!(answer.is_empty() && second.try_read(&mut [0]).is_err()),
        answer = read_to_end(second) => assert!(answer.is_empty() && first.try_read(&mut [0]).is_err()),
    }
}

#[tokio::test]
async fn a_head_that_never_ends_and_a_connection_that_lasts_too_long_are_cut_off() {
    let hour = Duration::from_secs(3600);
    let head = ConnectionLimits { head_within: SHORT, ..ConnectionLimits::default() };
    let server = Server::start(head).await;
    let mut slow = server.connect().await;
    slow.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    read_to_end(&mut slow).await;

    let life =
        ConnectionLimits { connection_within: Some(SHORT), head_within: hour, ..ConnectionLimits::default() };
    let server = Server::start(life).await;
    let mut busy = server.connect().await;
    busy.write_all(SLOW).await.unwrap();
    assert!(read_to_end(&mut busy).await.is_empty());
}

#[tokio::test]
async fn on_a_stop_idle_connections_end_and_a_request_under_way_is_answered() {
    let server = Server::start(ConnectionLimits::default()).await;
    let mut idle = server.connect().await;
    ask(&mut idle).await;
    let mut busy = server.connect().await;
    busy.write_all(SLOW).await.unwrap();
    server.arrived.notified().await;
    server.stop.send(()).unwrap();
    read_to_end(&mut idle).await;
    server.release.notify_one();
    let answer = String::from_utf8(read_to_end(&mut busy).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    tokio::time::timeout(BOUND, server.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_does_not_end_holds_a_stop_up_for_a_bounded_time_only() {
    let server = Server::start(ConnectionLimits { drain_within: SHORT, ..ConnectionLimits::default() }).await;
    let mut busy = server.connect().await;
    busy.write_all(SLOW).await.unwrap();
    server.arrived.notified().await;
    server.stop.send(()).unwrap();
    tokio::time::timeout(BOUND, server.task).await.unwrap().unwrap();
    assert!(read_to_end(&mut busy).await.is_empty());
}

#[tokio::test]
async fn what_is_hidden_behind_a_body_of_two_ends_is_never_answered() {
    let limits = ConnectionLimits { head_within: Duration::from_millis(200), ..ConnectionLimits::default() };
    let server = Server::start(limits).await;
    let hidden = "GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n";
    let length = hidden.len();
    for (headers, body) in [
        (format!("content-length: {length}\r\ntransfer-encoding: chunked"), "0\r\n\r\n"),
        (format!("transfer-encoding: chunked\r\ncontent-length: {length}"), "0\r\n\r\n"),
        (format!("content-length: 0\r\ncontent-length: {length}"), ""),
        (format!("content-length: {length}\r\ncontent-length: 0"), ""),
        (format!("content-length: 0, {length}"), ""),
        ("content-length: +0".to_owned(), ""),
        ("content-length: -1".to_owned(), ""),
        ("content-length : 0".to_owned(), ""),
        ("transfer-encoding: chunked".to_owned(), "0\r\n\r\n"),
        ("transfer-encoding: xchunked".to_owned(), "0\r\n\r\n"),
        ("transfer-encoding: chunked, identity".to_owned(), "0\r\n\r\n"),
        ("transfer-encoding: chunked\r\ntransfer-encoding: identity".to_owned(), "0\r\n\r\n"),
        ("transfer-encoding:\u{b}chunked".to_owned(), "0\r\n\r\n"),
        ("x: y\r\n transfer-encoding: chunked".to_owned(), "0\r\n\r\n"),
        ("transfer-encoding: chunked".to_owned(), "0;x=\"\r\n\r\n"),
        ("transfer-encoding: chunked".to_owned(), "ffffffffffffffff1\r\n\r\n"),
        ("transfer-encoding: chunked".to_owned(), "-1\r\n\r\n"),
        ("transfer-encoding: chunked".to_owned(), "0x0\r\n\r\n"),
    ] {
        let mut stream = server.connect().await;
        let request = format!("POST / HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n{body}{hidden}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = String::from_utf8(read_to_end(&mut stream).await).unwrap();
        let answers = answer.matches("HTTP/1.1 ").count();
        assert!(answers <= 1, "{headers:?} {body:?}: {answer}");
    }
}

#[tokio::test]
async fn garbage_in_place_of_a_request_ends_the_connection_and_nothing_else() {
    let server = Server::start(ConnectionLimits::default()).await;
    for garbage in
        [&[0; 512][..], &[0xff; 512], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"SSH-2.0-x\r\n", b"GET /\r\n\r\n"]
    {
        let mut stream = server.connect().await;
        stream.write_all(garbage).await.unwrap();
        let answer = String::from_utf8_lossy(&read_to_end(&mut stream).await).into_owned();
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    ask(&mut server.connect().await).await;
}

#[tokio::test]
async fn a_connection_that_shows_whose_it_is_leaves_its_sources_share() {
    let limits = ConnectionLimits { per_source: 2, ..ConnectionLimits::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Each request says whose it is by its path.
    let service = tower::service_fn(|request: Request<Incoming>| async move {
        let standing = request.extensions().get::<Standing>().unwrap();
        let is_proven = standing.prove(request.uri().path());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(format!("{is_proven}"))))
    });
    let task = tokio::spawn(serve(Listener::tcp(listener), service, limits, std::future::pending::<()>()));
    let mut held = Vec::new();
    for number in 0..3_000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /{number} HTTP/1.1\r\nhost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut start = [0; 12];
        tokio::time::timeout(BOUND, stream.read_exact(&mut start)).await.unwrap().unwrap();
        assert_eq!(&start, b"HTTP/1.1 200", "connection {number}");
        held.push(stream);
    }
    let mut strangers = Vec::new();
    for _ in 0..3 {
        strangers.push(TcpStream::connect(address).await.unwrap());
    }
    assert!(read_to_end(&mut strangers[2]).await.is_empty(), "the share of what has shown nothing is two");
    task.abort();
}

/// Begins a handshake from an address of this computer, as somebody who never goes on with it.
async fn half_a_handshake(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let mut stream = socket.connect(to).await.unwrap();
    let config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut hello = Vec::new();
    rustls::ClientConnection::new(Arc::new(config), name).unwrap().write_tls(&mut hello).unwrap();
    stream.write_all(&hello).await.unwrap();
    stream
}

#[tokio::test]
async fn a_flood_of_handshakes_from_one_source_holds_up_no_other_source() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.path().join("server.crt"), folder.path().join("server.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hour = Duration::from_secs(3600);
    let limits = ConnectionLimits {
        handshakes_of_strangers: 2,
        handshake_within: hour,
        ..ConnectionLimits::default()
    };
    let tls = Listener::tls(listener, TlsIdentity::load(&certificate, &key, None).unwrap()).unwrap();
    let service = service(Arc::default(), Arc::default());
    let task = tokio::spawn(serve(tls, service, limits, std::future::pending::<()>()));
    let mut flood = Vec::new();
    for _ in 0..100 {
        flood.push(half_a_handshake([127, 0, 0, 2], address).await);
    }
    // The first of the flood have their answer, so the server has begun with it.
    let mut some = [0; 5];
    tokio::time::timeout(BOUND, flood[0].read_exact(&mut some)).await.unwrap().unwrap();
    let mut other = half_a_handshake([127, 0, 0, 3], address).await;
    tokio::time::timeout(BOUND, other.read_exact(&mut some)).await.unwrap().unwrap();
    let answered = flood[1..].iter().filter(|stream| stream.try_read(&mut [0]).is_ok()).count();
    assert!(answered < 50, "{answered} of the flood went first");
    task.abort();
}

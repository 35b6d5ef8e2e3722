//! Connections and answers.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HeaderName, HeaderValue, LOCATION, RANGE, RETRY_AFTER,
};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::body::{Body, cut, dripping, endless, stalled, whole};
use super::fault::{Fault, Faults, Times};

/// A request, as the function that answers it sees it.
#[derive(Debug)]
pub struct Request {
    /// The path, with the slash that it begins with.
    pub path: String,
    /// The body, which has come whole.
    pub body: Bytes,
    /// How it says that it is packed.
    pub coding: Option<String>,
}

impl Request {
    /// The path, without the slash that it begins with.
    #[must_use]
    pub fn relative(&self) -> &str {
        self.path.trim_start_matches('/')
    }
}

/// An answer. Of a good one the server sends the range that was asked for.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    bytes: Vec<u8>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// These bytes, under status 200.
    #[must_use]
    pub const fn content(bytes: Vec<u8>) -> Self {
        Self { status: StatusCode::OK, bytes, headers: Vec::new() }
    }

    /// These bytes under another status.
    #[must_use]
    pub fn with_status(status: u16, bytes: Vec<u8>) -> Self {
        Self { status: StatusCode::from_u16(status).unwrap(), bytes, headers: Vec::new() }
    }

    /// With a header more.
    #[must_use]
    pub fn saying(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((HeaderName::from_static(name), value.parse().unwrap()));
        self
    }

    /// The file or answer is not there.
    #[must_use]
    pub fn not_found() -> Self {
        Self::with_status(404, Vec::new())
    }
}

/// What is in a file, if it is there.
#[must_use]
pub fn file(path: &Path) -> Reply {
    fs::read(path).map_or_else(|_| Reply::not_found(), Reply::content)
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running server; it ends with the test's runtime.
#[derive(Clone)]
pub struct Web {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    handler: Mutex<Arc<Handler>>,
    faults: Mutex<Faults>,
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
}

/// The path of a request, and the first byte of the range that it asked for.
struct Asked {
    path: String,
    first_byte: Option<u64>,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Web {
    /// Serves what a function answers.
    pub async fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(None, Arc::new(handler)).await
    }

    /// Serves what a function answers, over TLS.
    pub async fn start_tls(
        tls: Arc<ServerConfig>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(TlsAcceptor::from(tls)), Arc::new(handler)).await
    }

    /// Serves the files of a folder.
    pub async fn of_folder(folder: &Path) -> Self {
        Self::listen(None, files_of(folder)).await
    }

    /// Serves the files of this folder from now on.
    pub fn serve_folder(&self, folder: &Path) {
        *self.shared.handler.lock().unwrap() = files_of(folder);
    }

    async fn listen(tls: Option<TlsAcceptor>, handler: Arc<Handler>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            handler: Mutex::new(handler),
            faults: Mutex::default(),
            asked: Mutex::default(),
            connections: AtomicUsize::default(),
        });
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                let (tls, shared) = (tls.clone(), Arc::clone(&accepting));
                tokio::spawn(async move {
                    match tls {
                        None => shared.talk(stream).await,
                        Some(tls) => {
                            // A client that refuses the certificate is what some tests are about.
                            let Ok(stream) = tls.accept(stream).await else { return };
                            shared.talk(stream).await;
                        }
                    }
                });
            }
        });
        Self { address, shared }
    }

    /// Where it listens, without a slash at the end. Without TLS.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.address.port()
    }

    /// Makes this fault for the next request whose path has this part. Faults for the same path come in the order in
    /// which they were ordered.
    pub fn once(&self, path_part: &str, fault: Fault) {
        self.fail(path_part, fault, Times::Next(1));
    }

    /// How many connections came so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Makes this fault for requests whose path has this part.
    pub fn fail(&self, path_part: &str, fault: Fault, times: Times) {
        self.shared.faults.lock().unwrap().order(path_part, fault, times);
    }

    /// Makes no fault any more.
    pub fn make_no_faults(&self) {
        self.shared.faults.lock().unwrap().clear();
    }

    /// The requests so far whose path has this part: the first byte of the range that each asked for, if it asked for
    /// one.
    #[must_use]
    pub fn asked(&self, path_part: &str) -> Vec<Option<u64>> {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.path.contains(path_part)).map(|asked| asked.first_byte).collect()
    }

    /// Forgets the requests so far.
    pub fn forget_asked(&self) {
        self.shared.asked.lock().unwrap().clear();
    }
}

impl Shared {
    async fn talk(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = service_fn(move |request| Arc::clone(&self).answer(request));
        // A connection that is cut ends with an error, as the test intends.
        let _ =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    }

    async fn answer(self: Arc<Self>, request: hyper::Request<Incoming>) -> io::Result<Response<Body>> {
        let path = request.uri().path().to_owned();
        let range = request.headers().get(RANGE).and_then(|value| value.to_str().ok());
        let first_byte = range.and_then(|text| text.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        let coding = request.headers().get(CONTENT_ENCODING).map(|value| value.to_str().unwrap().to_owned());
        let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        let fault = self.faults.lock().unwrap().take(&path);
        self.asked.lock().unwrap().push(Asked { path: path.clone(), first_byte });
        let reply = match &fault {
            Some(Fault::Answer(status, bytes)) => Reply::with_status(*status, bytes.clone()),
            Some(Fault::Later(_)) => Reply::with_status(503, Vec::new()),
            Some(Fault::Content(bytes)) => Reply::content(bytes.clone()),
            Some(Fault::Packed(bytes)) => Reply::content(bytes.clone()).saying("content-encoding", "gzip"),
            _ => {
                let handler = Arc::clone(&self.handler.lock().unwrap());
                handler(&Request { path, body, coding })
            }
        };
        respond(reply, first_byte, fault)
    }
}

fn files_of(folder: &Path) -> Arc<Handler> {
    let folder = folder.to_owned();
    Arc::new(move |request| file(&folder.join(request.relative())))
}

/// The part of the reply that was asked for, as the fault leaves it.
fn respond(mut reply: Reply, first_byte: Option<u64>, fault: Option<Fault>) -> io::Result<Response<Body>> {
    let (total, headers) = (reply.bytes.len(), std::mem::take(&mut reply.headers));
    let first = first_byte.filter(|_| reply.status == StatusCode::OK);
    let skip = first.map_or(0, |first| usize::try_from(first).unwrap());
    let Some(part) = reply.bytes.get(skip..) else {
        return Ok(with_status(StatusCode::RANGE_NOT_SATISFIABLE, whole(Vec::new())));
    };
    let length = part.len();
    let later = match fault {
        Some(Fault::Later(seconds)) => Some(seconds),
        _ => None,
    };
    let body = match fault {
        Some(Fault::LoseTheAnswer) => return Err(io::ErrorKind::ConnectionReset.into()),
        Some(Fault::Redirect(to)) => {
            let mut response = with_status(StatusCode::TEMPORARY_REDIRECT, whole(Vec::new()));
            response.headers_mut().insert(LOCATION, to.parse().unwrap());
            return Ok(response);
        }
        Some(Fault::Endless) => return Ok(with_status(reply.status, endless())),
        Some(Fault::CutAfter(after)) => cut(part, after),
        Some(Fault::StallAfter(after)) => stalled(part, after),
        Some(Fault::Drip) => dripping(part.to_vec()),
        Some(Fault::Answer(..) | Fault::Later(_) | Fault::Content(_) | Fault::Packed(_)) | None => {
            whole(part.to_vec())
        }
    };
    let mut response = with_status(reply.status, body);
    response.headers_mut().extend(headers);
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(seconds) = later {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if first.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {skip}-{}/{total}", total.saturating_sub(1));
        response.headers_mut().insert(CONTENT_RANGE, range.parse().unwrap());
    }
    Ok(response)
}

fn with_status(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

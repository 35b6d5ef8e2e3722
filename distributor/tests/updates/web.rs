//! A small static web server on the loopback, with faults to order.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures_util::stream;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

type Body = BoxBody<Bytes, io::Error>;

/// Faults that the server makes.
#[derive(Default)]
pub(crate) struct Faults {
    /// Cut the connection after so many bytes of a payload, so often.
    pub(crate) cut_payload_after: Option<usize>,
    pub(crate) cuts_left: u32,
    /// Answer with these bytes instead, by the end of the file's name.
    pub(crate) replaced: BTreeMap<String, Vec<u8>>,
    /// Answer 404, by the end of the file's name.
    pub(crate) missing: Vec<String>,
    /// Answer 503 to everything.
    pub(crate) down: bool,
}

struct Shared {
    folder: PathBuf,
    faults: Faults,
    /// Every request: path and first byte asked for.
    asked: Vec<(String, u64)>,
}

/// A running server; ends with the test's runtime.
pub(crate) struct Web {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
}

impl Web {
    pub(crate) async fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared { folder: folder.to_owned(), faults: Faults::default(), asked: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        let state = Arc::clone(&shared);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let state = Arc::clone(&state);
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = answer(&state, &request);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    // A cut connection is what some tests want.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn serve(&self, folder: &Path) {
        self.shared.lock().unwrap().folder = folder.to_owned();
    }

    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.lock().unwrap().faults);
    }

    /// What was asked for since the last call: path and first byte.
    pub(crate) fn asked(&self) -> Vec<(String, u64)> {
        std::mem::take(&mut self.shared.lock().unwrap().asked)
    }
}

fn answer(state: &Mutex<Shared>, request: &Request<Incoming>) -> Response<Body> {
    let mut shared = state.lock().unwrap();
    let path = request.uri().path().to_owned();
    let range = request.headers().get(RANGE).and_then(|value| value.to_str().ok());
    let first: u64 =
        range.and_then(|text| text.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()).unwrap_or(0);
    shared.asked.push((path.clone(), first));
    if shared.faults.down {
        return empty(StatusCode::SERVICE_UNAVAILABLE);
    }
    if shared.faults.missing.iter().any(|end| path.ends_with(end)) {
        return empty(StatusCode::NOT_FOUND);
    }
    let replaced =
        shared.faults.replaced.iter().find(|(end, _)| path.ends_with(*end)).map(|(_, bytes)| bytes.clone());
    let Some(bytes) = replaced.or_else(|| fs::read(shared.folder.join(path.trim_start_matches('/'))).ok())
    else {
        return empty(StatusCode::NOT_FOUND);
    };
    let cut =
        shared.faults.cut_payload_after.filter(|_| path.ends_with(".tar.gz") && shared.faults.cuts_left > 0);
    if cut.is_some() {
        shared.faults.cuts_left -= 1;
    }
    let skip = usize::try_from(first).unwrap();
    let Some(rest) = bytes.get(skip..) else { return empty(StatusCode::RANGE_NOT_SATISFIABLE) };
    let response = Response::builder().header(CONTENT_LENGTH, rest.len());
    let response = if first > 0 {
        let range = format!("bytes {first}-{}/{}", bytes.len() - 1, bytes.len());
        response.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, range)
    } else {
        response
    };
    let body = match cut {
        Some(after) if after < rest.len() => {
            let piece = Bytes::copy_from_slice(&rest[..after]);
            BodyExt::boxed(StreamBody::new(stream::unfold(Some(Some(piece)), cut_after)))
        }
        _ => whole(Bytes::copy_from_slice(rest)),
    };
    response.body(body).unwrap()
}

/// One piece, time for it to go out, then the cut.
async fn cut_after(
    state: Option<Option<Bytes>>,
) -> Option<(io::Result<Frame<Bytes>>, Option<Option<Bytes>>)> {
    match state? {
        Some(piece) => Some((Ok(Frame::data(piece)), Some(None))),
        None => {
            tokio::task::yield_now().await;
            Some((Err(io::Error::other("cut")), None))
        }
    }
}

fn empty(status: StatusCode) -> Response<Body> {
    Response::builder().status(status).body(whole(Bytes::new())).unwrap()
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed()
}

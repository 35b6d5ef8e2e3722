//! The HTTP transport against a server that answers as a test tells it to.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use futures_util::StreamExt;
use sealpost_repository::{
    DownloadError, Downloaded, HttpTransport, Reader, Refusal, Resume, TargetPath, Timeouts, Transport,
    TransportError,
};
use sealpost_test_support::names::target;

use crate::{Vendor, now};

type Respond = dyn Fn(&str, Option<u64>) -> Vec<u8> + Send + Sync;

/// Answers each request on its own connection; keeps the heads of the requests.
struct Server {
    base: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `respond` gets the path and the first byte of the range, and returns the raw answer.
    fn start(respond: impl Fn(&str, Option<u64>) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (respond, kept): (Arc<Respond>, _) = (Arc::new(respond), Arc::clone(&heads));
        thread::spawn(move || {
            for connection in listener.incoming() {
                let (respond, kept) = (Arc::clone(&respond), Arc::clone(&kept));
                thread::spawn(move || serve(connection.unwrap(), &*respond, &kept));
            }
        });
        Self { base, heads }
    }

    fn transport(&self) -> HttpTransport {
        // Another test may have installed it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let (metadata, targets) = (format!("{}/metadata", self.base), format!("{}/targets/", self.base));
        HttpTransport::new(client, &metadata, &targets).unwrap()
    }
}

fn serve(connection: TcpStream, respond: &Respond, kept: &Mutex<Vec<String>>) {
    let mut head = String::new();
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    while reader.read_line(&mut head).unwrap() > 2 {}
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let range = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("range: bytes=").map(str::to_owned));
    let first = range.and_then(|range| range.trim_end_matches('-').parse().ok());
    kept.lock().unwrap().push(head);
    let mut connection = connection;
    // The client may have hung up, which is what some tests are about.
    let _ = connection.write_all(&respond(&path, first));
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", body.len())
            .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

fn not_found() -> Vec<u8> {
    answer("404 Not Found", "", b"")
}

/// Serves a published folder, with ranges.
fn static_files(vendor: &Vendor) -> Server {
    let root = vendor.path().to_owned();
    Server::start(move |path, first| match std::fs::read(root.join(path.trim_start_matches('/'))) {
        Err(_) => not_found(),
        Ok(bytes) => match first.and_then(|first| usize::try_from(first).ok()) {
            None => answer("200 OK", "", &bytes),
            Some(first) if first < bytes.len() => {
                let range = format!("Content-Range: bytes {first}-{}/{}\r\n", bytes.len() - 1, bytes.len());
                answer("206 Partial Content", &range, &bytes[first..])
            }
            Some(_) => answer("416 Range Not Satisfiable", "", b""),
        },
    })
}

#[tokio::test]
async fn a_repository_is_read_and_a_download_resumed_over_http() {
    let vendor = Vendor::with_release();
    let server = static_files(&vendor);
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let transport = server.transport().with_bearer(Arc::new(|| Some("secret-token".to_owned())));
    assert!(!format!("{transport:?}").contains("secret-token"));
    let mut reader = Reader::open(&vendor.root_bytes, &store, Arc::new(transport)).unwrap();
    reader.refresh(now()).await.unwrap();
    let info = reader.target(&target("acme-av_1.0.0_any.tar.gz"), now()).await.unwrap().unwrap();
    let destination = folder.path().join("payload");
    std::fs::write(folder.path().join("payload.part"), b"payl").unwrap();
    let result = reader.download(info.listed(), &destination, Resume::Continue, &mut |_| {}).await;
    assert_eq!(result.unwrap(), Downloaded::Fetched { resumed_at: 4 });
    let heads = server.heads.lock().unwrap();
    assert!(
        heads.iter().all(|head| head.to_ascii_lowercase().contains("authorization: bearer secret-token"))
    );
    assert!(heads.last().unwrap().to_ascii_lowercase().contains("range: bytes=4-"));
}

#[tokio::test]
async fn a_connection_that_is_cut_in_the_body_is_an_interruption_and_resumes() {
    let vendor = Vendor::with_release();
    let root = vendor.path().to_owned();
    let server = Server::start(move |path, first| {
        let Ok(bytes) = std::fs::read(root.join(path.trim_start_matches('/'))) else { return not_found() };
        match (path.contains("/targets/"), first) {
            (true, None) => {
                let whole = answer("200 OK", "", &bytes);
                whole[..whole.len() - 5].to_vec()
            }
            (true, Some(6)) => answer("206 Partial Content", "Content-Range: bytes 6-10/11\r\n", &bytes[6..]),
            _ => answer("200 OK", "", &bytes),
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let mut reader = Reader::open(&vendor.root_bytes, &store, Arc::new(server.transport())).unwrap();
    reader.refresh(now()).await.unwrap();
    let info = reader.target(&target("acme-av_1.0.0_any.tar.gz"), now()).await.unwrap().unwrap();
    let destination = folder.path().join("payload");
    let cut = reader.download(info.listed(), &destination, Resume::Continue, &mut |_| {}).await;
    assert!(matches!(cut, Err(DownloadError::Interrupted { received: 6, total: 11, .. })), "{cut:?}");
    let resumed = reader.download(info.listed(), &destination, Resume::Continue, &mut |_| {}).await;
    assert_eq!(resumed.unwrap(), Downloaded::Fetched { resumed_at: 6 });
    assert_eq!(std::fs::read(&destination).unwrap(), b"payload one");
}

#[tokio::test]
async fn only_404_and_410_mean_absent() {
    let server = Server::start(|path, _| {
        let status = path.trim_start_matches("/metadata/").trim_end_matches(".json");
        answer(&format!("{status} Whatever"), "", b"body")
    });
    let transport = server.transport();
    for status in [404, 410] {
        assert!(transport.metadata(&format!("{status}.json"), 100).await.unwrap().is_none());
    }
    assert_eq!(transport.metadata("200.json", 100).await.unwrap().unwrap(), b"body");
    for status in [201, 204, 206, 304, 400, 401, 403, 407, 429, 500, 503] {
        let error = transport.metadata(&format!("{status}.json"), 100).await.unwrap_err();
        assert!(matches!(error, TransportError::Status { status: seen, .. } if seen == status), "{error:?}");
    }
}

#[tokio::test]
async fn a_target_that_is_to_be_asked_for_later_says_when_and_only_seconds_with_503_count() {
    for (status, header, later) in [
        ("503 Busy", "Retry-After: 7\r\n", Some(7)),
        ("503 Busy", "Retry-After: 0\r\n", Some(1)),
        ("503 Busy", "Retry-After: 99999999999999999999999\r\n", Some(3_600)),
        ("503 Busy", "Retry-After: -1\r\n", None),
        ("503 Busy", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT\r\n", None),
        ("503 Busy", "", None),
        ("429 Slow down", "Retry-After: 7\r\n", None),
    ] {
        let server = Server::start(move |_, _| answer(status, header, b""));
        let path = TargetPath::new("a.tar.gz", None).unwrap();
        let error = server.transport().target(&path, 0).await.unwrap_err();
        match (later, error) {
            (Some(secs), TransportError::Later { after, .. }) => {
                assert_eq!(after.as_secs(), secs, "{header}")
            }
            (None, TransportError::Status { .. }) => {}
            (_, error) => panic!("{status} {header}: {error:?}"),
        }
    }
}

/// Serves a published folder as an object store does that nobody may list: what it does not have is forbidden.
fn object_store(vendor: &Vendor, forbidden: &'static str) -> Server {
    let root = vendor.path().to_owned();
    Server::start(move |path, _| match std::fs::read(root.join(path.trim_start_matches('/'))) {
        Ok(bytes) if !path.ends_with(forbidden) => {
            answer("200 OK", "Content-Type: binary/octet-stream\r\n", &bytes)
        }
        _ => answer(
            "403 Forbidden",
            "Content-Type: application/xml\r\n",
            b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>",
        ),
    })
}

#[tokio::test]
async fn an_object_store_that_forbids_the_absent_next_root_is_read_and_a_renewed_root_is_followed() {
    let vendor = Vendor::with_release();
    let server = object_store(&vendor, "nothing");
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    let mut reader = Reader::open(&vendor.root_bytes, &store, Arc::new(server.transport())).unwrap();
    assert_eq!(reader.refresh(now()).await.unwrap().root_version, 1);
    let info = reader.target(&target("acme-av_1.0.0_any.tar.gz"), now()).await.unwrap().unwrap();
    let destination = folder.path().join("payload");
    reader.download(info.listed(), &destination, Resume::Continue, &mut |_| {}).await.unwrap();
    vendor.renew_root();
    assert_eq!(reader.refresh(now()).await.unwrap().root_version, 2);
    reader.all_roles(now()).await.unwrap();
}

#[tokio::test]
async fn a_listed_file_that_is_forbidden_is_an_error_that_names_it() {
    let vendor = Vendor::with_release();
    let store = tempfile::tempdir().unwrap();
    let refresh = async |forbidden, store: &str, path: &std::path::Path| {
        let server = object_store(&vendor, forbidden);
        let transport = Arc::new(server.transport());
        let mut reader = Reader::open(&vendor.root_bytes, &path.join(store), transport).unwrap();
        (reader.refresh(now()).await, reader)
    };
    for (number, forbidden) in ["timestamp.json", "snapshot.json", "targets.json"].into_iter().enumerate() {
        let (refreshed, _) = refresh(forbidden, &number.to_string(), store.path()).await;
        assert_eq!(refreshed.unwrap_err().refusal(), Some(Refusal::Unreachable), "{forbidden}");
    }
    let (refreshed, mut reader) = refresh(".tar.gz", "payload", store.path()).await;
    refreshed.unwrap();
    let info = reader.target(&target("acme-av_1.0.0_any.tar.gz"), now()).await.unwrap().unwrap();
    let destination = store.path().join("file");
    let error =
        reader.download(info.listed(), &destination, Resume::Continue, &mut |_| {}).await.unwrap_err();
    let DownloadError::Transport { source, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(source, TransportError::Status { status: 403, .. }), "{error:?}");
    assert!(source.to_string().contains("acme-av_1.0.0_any.tar.gz"), "{source}");
}

#[tokio::test]
async fn other_bytes_than_are_signed_are_named_with_their_address() {
    let vendor = Vendor::with_release();
    let root = vendor.path().to_owned();
    let server = Server::start(move |path, _| match std::fs::read(root.join(path.trim_start_matches('/'))) {
        Ok(_) if path.contains(".tar.gz") => answer("200 OK", "", b"other bytes"),
        Ok(_) if path.contains(".channels") => not_found(),
        Ok(bytes) => answer("200 OK", "", &bytes),
        Err(_) => not_found(),
    });
    let folder = tempfile::tempdir().unwrap();
    let (store, destination) = (folder.path().join("store"), folder.path().join("file"));
    let mut reader = Reader::open(&vendor.root_bytes, &store, Arc::new(server.transport())).unwrap();
    reader.refresh(now()).await.unwrap();
    for name in ["acme-av_1.0.0_any.tar.gz", "acme-av.channels"] {
        let info = reader.target(&target(name), now()).await.unwrap().unwrap();
        let error = reader.download(info.listed(), &destination, Resume::Continue, &mut |_| {}).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(&format!("{}/targets/", server.base)) && error.contains(name), "{error}");
    }
}

#[tokio::test]
async fn a_web_page_or_compressed_bytes_in_the_place_of_a_file_are_named_with_the_address() {
    let page = b"\n<!DOCTYPE html><html>log in</html>".as_slice();
    let server = Server::start(move |path, _| match path {
        "/metadata/page.json" => answer("200 OK", "Content-Type: text/html; charset=utf-8\r\n", page),
        "/metadata/zipped.json" => answer("200 OK", "Content-Encoding: gzip\r\n", b"{}"),
        "/metadata/silently.json" => answer("200 OK", "", &[0x1f, 0x8b, 8, 0]),
        "/metadata/plain.json" => answer("200 OK", "Content-Encoding: identity\r\n", b"{}"),
        "/targets/page.gz" => answer("200 OK", "Content-Type: text/html\r\n", page),
        "/targets/page.html" => answer("200 OK", "Content-Type: text/html\r\n", page),
        "/targets/zipped.gz" => answer("200 OK", "Content-Encoding: br\r\n", b"bytes"),
        _ => not_found(),
    });
    let transport = server.transport();
    for (name, words) in [
        ("page.json", "web page"),
        ("zipped.json", "content encoding gzip"),
        ("silently.json", "content encoding gzip"),
    ] {
        let error = transport.metadata(name, 1000).await.unwrap_err().to_string();
        let address = format!("{}/metadata/{name}", server.base);
        assert!(error.contains(&address) && error.contains(words), "{error}");
    }
    transport.metadata("plain.json", 1000).await.unwrap().unwrap();
    for (name, words) in [("page.gz", "web page"), ("zipped.gz", "content encoding br")] {
        let path = TargetPath::new(name, None).unwrap();
        let error = transport.target(&path, 0).await.unwrap_err().to_string();
        let address = format!("{}/targets/{name}", server.base);
        assert!(error.contains(&address) && error.contains(words), "{error}");
    }
    transport.target(&TargetPath::new("page.html", None).unwrap(), 0).await.unwrap().unwrap();
}

#[tokio::test]
async fn metadata_that_is_too_large_is_refused_by_its_announced_and_by_its_real_length() {
    let server = Server::start(|path, _| match path {
        "/metadata/announced.json" => b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n".to_vec(),
        _ => {
            let mut endless = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_vec();
            endless.resize(1_000_000, b'x');
            endless
        }
    });
    let transport = server.transport();
    for name in ["announced.json", "endless.json"] {
        let error = transport.metadata(name, 1000).await.unwrap_err();
        assert!(matches!(error, TransportError::TooLarge { max_bytes: 1000, .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_that_answers_with_another_range_is_refused() {
    let server = Server::start(|_, first| match first {
        Some(4) => answer("206 Partial Content", "Content-Range: bytes 0-10/11\r\n", b"payload one"),
        Some(5) => answer("206 Partial Content", "", b"payload one"),
        Some(_) => answer("416 Range Not Satisfiable", "", b""),
        None => answer("206 Partial Content", "Content-Range: bytes 0-10/11\r\n", b"payload one"),
    });
    let (transport, path) = (server.transport(), TargetPath::new("x", None).unwrap());
    assert!(matches!(transport.target(&path, 4).await, Err(TransportError::WrongRange { .. })));
    assert!(matches!(transport.target(&path, 5).await, Err(TransportError::WrongRange { .. })));
    assert!(matches!(transport.target(&path, 6).await, Err(TransportError::NoSuchRange { .. })));
    assert!(matches!(transport.target(&path, 0).await, Err(TransportError::Status { status: 206, .. })));
}

#[tokio::test]
async fn a_silent_server_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let short = Duration::from_millis(20);
    let timeouts = Timeouts { answer: short, idle: short, metadata: short };
    let transport = HttpTransport::new(client, &base, &base).unwrap().with_timeouts(timeouts);
    assert!(matches!(transport.metadata("x.json", 10).await, Err(TransportError::Silent { .. })));
    let path = TargetPath::new("x", None).unwrap();
    assert!(matches!(transport.target(&path, 0).await, Err(TransportError::Silent { .. })));
}

#[tokio::test]
async fn names_are_encoded_and_cannot_leave_the_base() {
    let server = Server::start(|path, _| answer("200 OK", "", path.as_bytes()));
    let transport = server.transport();
    let path = TargetPath::new("a b/ü?#%2e/x+1", Some("00ff")).unwrap();
    let mut body = transport.target(&path, 0).await.unwrap().unwrap();
    let seen = body.chunks.next().await.unwrap().unwrap();
    assert_eq!(String::from_utf8(seen).unwrap(), "/targets/a%20b/%C3%BC%3F%23%252e/00ff.x%2B1");
    for bad in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a\\b", "a\nb"] {
        assert!(TargetPath::new(bad, None).is_none(), "{bad:?}");
    }
    for bad in ["../x.json", "a/b.json", "x.json?y", "x", "ü.json"] {
        assert!(matches!(transport.metadata(bad, 10).await, Err(TransportError::Name { .. })), "{bad:?}");
    }
}

#[tokio::test]
async fn a_base_with_credentials_is_refused_without_repeating_them() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    for base in
        ["http://user:secret@host/", "ftp://host/", "http://host/?token=secret", "host", "http://host/#x"]
    {
        let error = HttpTransport::new(reqwest::Client::new(), base, base).unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

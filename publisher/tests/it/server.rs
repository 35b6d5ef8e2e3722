//! The server over TCP, spoken to without a client library that would tidy up what is sent.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sealpost_keys::{SigningKey, TrustedComment};
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::grant::{Grant, LicenseModel, Registration, RegistrationReason};
use sealpost_manifests::ids::{SerialNumber, ServerId, TargetName};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::sync::{RegisterAnswer, RegisterRequest};
use sealpost_manifests::word::Word;
use sealpost_publisher::authority::{Authority, Terms};
use sealpost_publisher::server::{Carrier, Licenses, Licensing, connection_limits, router};
use sealpost_repository::{Downloaded, HttpTransport, Reader, Resume};
use sealpost_serving::{AnswerPace, ConnectionLimits, CountedBy, Listener, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::support::{Home, now, register_request, registration};

pub(crate) struct Running {
    pub(crate) home: Home,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn problem(&self) -> Problem {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Running {
    pub(crate) async fn start(limits: ConnectionLimits) -> Self {
        let home = Home::new();
        let (vendor, keyring) = (home.vendor(), home.keyring());
        let licensing = Licensing {
            vendor: "Acme".to_owned(),
            key: keyring.license().unwrap(),
            authority: Authority::open(&vendor.license_database()).unwrap(),
            grant_days: 366,
            time_zone: vendor.time_zone(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(&vendor.repository(), &Licenses::new(licensing, Carrier::PlainHttp));
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(Listener::tcp(listener), router, limits, async {
            let _ = stopped.await;
        }));
        Self { home, address, stop: Some(stop), task }
    }

    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        let split = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let headers = String::from_utf8(bytes[..split].to_vec()).unwrap();
        let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, headers, body: bytes[split + 4..].to_vec() }
    }

    /// Tries until it is answered: without room a connection is closed at once.
    async fn comes_to_have_room(&self) {
        let until = tokio::time::Instant::now() + Duration::from_secs(60);
        while !begins_to_answer(&mut TcpStream::connect(self.address).await.unwrap(), "/healthz").await {
            assert!(tokio::time::Instant::now() < until, "the place did not become free");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn get(&self, path: &str, header: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{header}\r\n").as_bytes())
            .await
    }

    pub(crate) async fn register(&self, request: &RegisterRequest) -> Answer {
        let body = serde_json::to_string(request).unwrap();
        self.post(&body).await
    }

    async fn post(&self, body: &str) -> Answer {
        let head = format!(
            "POST /license/v1/register HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.raw(format!("{head}{body}").as_bytes()).await
    }

    pub(crate) fn sell(&self) -> SerialNumber {
        let mut authority = Authority::open(&self.home.vendor().license_database()).unwrap();
        let terms = Terms { seats: 10, model: LicenseModel::Named, packages: Vec::new() };
        authority.new_serial(&terms, now()).unwrap()
    }
}

pub(crate) fn request(serial: &SerialNumber, key: &SigningKey) -> RegisterRequest {
    register_request(&registration(serial, key), key)
}

#[tokio::test]
async fn files_are_served_whole_and_in_parts() {
    let server = Running::start(connection_limits()).await;
    server.home.release("acme-av", "1.0", "one").unwrap();
    let file = server.home.target_file("acme-av_1.0_any.tar.gz");
    let bytes = fs::read(&file).unwrap();
    let path = format!("/targets/{}", file.file_name().unwrap().to_str().unwrap());

    let whole = server.get(&path, "").await;
    assert_eq!((whole.status, &whole.body), (200, &bytes));
    assert_eq!(whole.header("content-length"), Some(bytes.len().to_string().as_str()));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));

    let rest = server.get(&path, "Range: bytes=10-\r\n").await;
    assert_eq!((rest.status, rest.body.as_slice()), (206, &bytes[10..]));
    let length = bytes.len();
    assert_eq!(rest.header("content-range"), Some(format!("bytes 10-{}/{length}", length - 1).as_str()));

    let beyond = server.get(&path, &format!("Range: bytes={length}-\r\n")).await;
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, Some(format!("bytes */{length}").as_str()))
    );

    let head =
        server.raw(format!("HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(length.to_string().as_str()));
}

#[tokio::test]
async fn a_site_reads_the_repository_and_resumes_a_download_over_http() {
    let server = Running::start(connection_limits()).await;
    server.home.release("acme-av", "1.0", "one").unwrap();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let base = format!("http://{}", server.address);
    let client = reqwest::Client::new();
    let transport =
        HttpTransport::new(client, &format!("{base}/metadata/"), &format!("{base}/targets/")).unwrap();
    let store = tempfile::tempdir().unwrap();
    let mut reader =
        Reader::open(&server.home.root(), &store.path().join("trusted"), Arc::new(transport)).unwrap();
    reader.refresh(now()).await.unwrap();
    let name = TargetName::new("acme-av_1.0_any.tar.gz").unwrap();
    let info = reader.target(&name, now()).await.unwrap().unwrap();
    let (destination, part) = (store.path().join("payload"), store.path().join("payload.part"));
    let published = fs::read(server.home.target_file(name.as_str())).unwrap();
    fs::write(&part, &published[..20]).unwrap();
    let downloaded =
        reader.download(info.listed(), &destination, Resume::Continue, &mut |_| {}).await.unwrap();
    assert_eq!(downloaded, Downloaded::Fetched { resumed_at: 20 });
    assert_eq!(fs::read(&destination).unwrap(), published);
}

#[tokio::test]
async fn a_release_made_by_another_process_is_served_at_once() {
    let server = Running::start(connection_limits()).await;
    let before = server.get("/metadata/timestamp.json", "").await;
    server.home.release("acme-av", "1.0", "one").unwrap();
    let after = server.get("/metadata/timestamp.json", "").await;
    assert_eq!((before.status, after.status), (200, 200));
    assert_ne!(before.body, after.body);
    assert_eq!(after.header("cache-control"), Some("no-cache"));
    assert_eq!(server.get("/metadata/1.acme-av.json", "").await.status, 200);
}

#[tokio::test]
async fn nothing_outside_of_the_two_folders_is_served() {
    let server = Running::start(connection_limits()).await;
    let targets = server.home.repository().join("targets");
    std::os::unix::fs::symlink(server.home.path().join("vendor.toml"), targets.join("link")).unwrap();
    fs::create_dir(targets.join("folder")).unwrap();
    fs::write(targets.join(".unfinished-x"), "secret").unwrap();
    for path in [
        "/metadata/../../vendor.toml",
        "/metadata/..%2f..%2fvendor.toml",
        "/metadata/%2e%2e/%2e%2e/vendor.toml",
        "/metadata/..%5c..%5cvendor.toml",
        "/metadata/%2fetc%2fpasswd",
        "/metadata//etc/passwd",
        "/targets/../license.db",
        "/targets/..",
        "/targets/.",
        "/targets/",
        "/targets",
        "/targets/.unfinished-x",
        "/targets/link",
        "/targets/folder",
        "/targets/a%00b",
        "/targets/%ff",
        "/../keys/license.key",
        "/keys/license.key",
        "/",
    ] {
        let answer = server.get(path, "").await;
        assert!(matches!(answer.status, 400 | 404 | 500), "{path}: {}", answer.status);
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            !text.contains("secret") && !text.contains("lifetime_days") && !text.contains("root:"),
            "{path}: {text}"
        );
    }
}

#[tokio::test]
async fn absent_files_and_other_methods_are_refused_with_a_code() {
    let server = Running::start(connection_limits()).await;
    let absent = server.get("/metadata/99.root.json", "").await;
    assert_eq!((absent.status, absent.problem().code), (404, ProblemCode::NotFound));
    let put = server.raw(b"PUT /metadata/1.root.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!((put.status, put.problem().code), (405, ProblemCode::BadRequest));
}

#[tokio::test]
async fn a_registration_is_answered_identically_and_a_second_server_is_refused() {
    let server = Running::start(connection_limits()).await;
    let (serial, site) = (server.sell(), SigningKey::generate().unwrap());
    let asked = request(&serial, &site);
    let first = server.register(&asked).await;
    assert_eq!(first.status, 200, "{}", String::from_utf8_lossy(&first.body));
    for again in [asked, request(&serial, &site)] {
        assert_eq!(server.register(&again).await.body, first.body);
    }
    let answer: RegisterAnswer = serde_json::from_slice(&first.body).unwrap();
    let license_key = server.home.keyring().license().unwrap().public();
    let grant = answer.grant.verify::<Grant>(&[license_key]).unwrap();
    assert_eq!((grant.seats, grant.generation, &grant.site_key), (10, 1, &site.public()));

    let other = server.register(&request(&serial, &SigningKey::generate().unwrap())).await;
    assert_eq!((other.status, other.problem().code), (409, ProblemCode::SerialBound));
    let key = SigningKey::generate().unwrap();
    let server_id = ServerId::of_site_key(&site.public());
    let named = Registration { server_id: server_id.clone(), ..registration(&serial, &key) };
    let other_key = server.register(&register_request(&named, &key)).await;
    assert_eq!((other_key.status, other_key.problem().code), (409, ProblemCode::SerialBound));
    let text = String::from_utf8_lossy(&other.body).into_owned();
    assert!(!text.contains(server_id.as_str()), "the bound server is not told to others: {text}");
}

#[tokio::test]
async fn of_many_servers_that_register_one_serial_at_once_exactly_one_gets_it() {
    let server = Running::start(connection_limits()).await;
    let serial = server.sell();
    let requests: Vec<_> = (1..=8).map(|_| request(&serial, &SigningKey::generate().unwrap())).collect();
    let answers =
        futures_util::future::join_all(requests.iter().map(|request| server.register(request))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn a_restored_server_gets_a_higher_epoch_and_its_retry_the_same_bytes() {
    let server = Running::start(connection_limits()).await;
    let (serial, site) = (server.sell(), SigningKey::generate().unwrap());
    let license_key = server.home.keyring().license().unwrap().public();
    let grant = |answer: &Answer| {
        let answer: RegisterAnswer = serde_json::from_slice(&answer.body).unwrap();
        answer.grant.verify::<Grant>(std::slice::from_ref(&license_key)).unwrap().into_inner()
    };
    let first = grant(&server.register(&request(&serial, &site)).await);
    let restored = Registration { reason: RegistrationReason::Restored, ..registration(&serial, &site) };
    let restored = register_request(&restored, &site);
    let confirmed = server.register(&restored).await;
    assert!(grant(&confirmed).epoch > first.epoch);
    assert_eq!(server.register(&restored).await.body, confirmed.body);
}

#[tokio::test]
async fn a_registration_that_the_vendor_does_not_understand_is_refused_with_what_to_do() {
    let server = Running::start(connection_limits()).await;
    let (serial, site) = (server.sell(), SigningKey::generate().unwrap());
    let reason = RegistrationReason::Other(Word::new("merged").unwrap());
    let unknown = Registration { reason, ..registration(&serial, &site) };
    let claimed = Registration { server_id: ServerId::from_random([9; 16]), ..registration(&serial, &site) };
    for (asked, word) in [(unknown, "the reason merged"), (claimed, "not the one of the site key")] {
        let answer = server.register(&register_request(&asked, &site)).await;
        assert_eq!((answer.status, answer.problem().code), (400, ProblemCode::BadRequest));
        assert!(answer.problem().message.contains(word), "{}", answer.problem());
    }
    let mut old = request(&serial, &site);
    old.registration.document = old.registration.document.replace("\"version\":2", "\"version\":1");
    old.registration = SignedDocument {
        minisig: site.sign(old.registration.document.as_bytes(), &TrustedComment::new("x").unwrap()),
        ..old.registration
    };
    let problem = server.register(&old).await.problem();
    assert_eq!(problem.code, ProblemCode::BadRequest);
    assert!(problem.message.contains("no site ever used"), "{problem}");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_good_registrations_cost_nothing() {
    let server = Running::start(connection_limits()).await;
    let (serial, site) = (server.sell(), SigningKey::generate().unwrap());
    for _ in 0..20 {
        assert_eq!(server.register(&request(&serial, &site)).await.status, 200);
    }
    let mut codes = Vec::new();
    for guess in 0..12 {
        let serial = SerialNumber::from_random([guess; 19]);
        codes.push(server.register(&request(&serial, &site)).await.problem().code);
    }
    assert_eq!(codes[..10], [ProblemCode::SerialUnknown; 10]);
    assert_eq!(codes[10..], [ProblemCode::Busy; 2]);
    let neighbor = SigningKey::generate().unwrap();
    let (bought, good) = (server.sell(), 200);
    assert_eq!(
        server.register(&request(&bought, &neighbor)).await.status,
        good,
        "a site behind the same address"
    );
}

#[tokio::test]
async fn a_forged_a_malformed_and_an_oversized_registration_are_refused() {
    let server = Running::start(connection_limits()).await;
    let (serial, site) = (server.sell(), SigningKey::generate().unwrap());
    let mut forged = request(&serial, &site);
    let server_id = ServerId::of_site_key(&site.public());
    forged.registration.document = forged.registration.document.replace(server_id.as_str(), &"02".repeat(16));
    let answer = server.register(&forged).await;
    assert_eq!((answer.status, answer.problem().code), (400, ProblemCode::BadSignature));
    for body in ["", "{}", "null", "\u{0}"] {
        let answer = server.post(body).await;
        assert_eq!((answer.status, answer.problem().code), (400, ProblemCode::BadRequest), "{body:?}");
    }
    // The answer may come before the whole body was sent, so only the status line is looked at.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /license/v1/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![b' '; 300 * 1024];
    let _ = stream.write_all(&chunk).await;
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_client_that_never_finishes_its_header_loses_the_connection() {
    let limits = ConnectionLimits { head_within: Duration::from_millis(50), ..connection_limits() };
    let server = Running::start(limits).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut rest = Vec::new();
    // Ends because the server closes; a reset is as good as an end.
    let _ = stream.read_to_end(&mut rest).await;
}

#[tokio::test]
async fn a_client_that_takes_no_bytes_of_its_answer_loses_the_connection() {
    let limits =
        ConnectionLimits { connections: 1, write_within: Duration::from_millis(50), ..connection_limits() };
    let server = Running::start(limits).await;
    // Far more than the system's buffers hold; nothing of it takes space.
    let large = fs::File::create(server.home.repository().join("targets/large")).unwrap();
    large.set_len(1 << 30).unwrap();
    let mut greedy = TcpStream::connect(server.address).await.unwrap();
    greedy.write_all(b"GET /targets/large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut start = [0; 12];
    greedy.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200");
    // The only place is free again although the first client is still there.
    server.comes_to_have_room().await;
    drop(greedy);
}

#[tokio::test]
async fn a_header_of_too_many_lines_or_bytes_is_refused() {
    let server = Running::start(connection_limits()).await;
    let lines: String = (0..100).map(|number| format!("x-{number}: y\r\n")).collect();
    assert_eq!(server.get("/healthz", &lines).await.status, 431);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let long = format!("GET /healthz HTTP/1.1\r\nHost: {}", "x".repeat(1 << 20));
    // The server need not read it all, so both may fail.
    let _ = stream.write_all(long.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200"));
    assert_eq!(server.get("/healthz", "").await.status, 200);
}

#[tokio::test]
async fn one_customer_behind_the_reverse_proxy_cannot_lock_the_others_out() {
    let server = Running::start(connection_limits()).await;
    let (serial, site) = (server.sell(), SigningKey::generate().unwrap());
    let post = async |from: &str, request: &RegisterRequest| {
        let body = serde_json::to_string(request).unwrap();
        let head = format!(
            "POST /license/v1/register HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Forwarded-For: {from}\r\n\
             X-Forwarded-Proto: https\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        );
        server.raw(format!("{head}{body}").as_bytes()).await
    };
    for guess in 0..12 {
        let wrong = request(&SerialNumber::from_random([guess; 19]), &site);
        // What the guesser claims himself stands before what the proxy adds.
        post(&format!("192.0.2.{guess}, 198.51.100.1"), &wrong).await;
    }
    let (good, wrong) = (request(&serial, &site), request(&SerialNumber::from_random([99; 19]), &site));
    assert_eq!(post("198.51.100.1", &wrong).await.problem().code, ProblemCode::Busy);
    assert_eq!(post("198.51.100.2", &wrong).await.problem().code, ProblemCode::SerialUnknown);
    assert_eq!(post("198.51.100.1", &good).await.status, 200, "a good one waits for nobody's wrong ones");
}

#[tokio::test]
async fn one_byte_now_and_then_is_not_enough_to_keep_a_connection() {
    let pace = AnswerPace { bytes_per_second: 1 << 20, window: Duration::from_millis(100) };
    let limits = ConnectionLimits { connections: 1, answer_pace: Some(pace), ..connection_limits() };
    let server = Running::start(limits).await;
    let large = fs::File::create(server.home.repository().join("targets/large")).unwrap();
    large.set_len(1 << 30).unwrap();
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"GET /targets/large HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let reader = tokio::spawn(async move {
        let mut some = vec![0; 4096];
        while slow.read(&mut some).await.is_ok_and(|count| count > 0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    server.comes_to_have_room().await;
    reader.abort();
}

/// The limits of the product with fewer places, where each address of this computer counts as another one does.
fn limits_of_strangers(connections: usize, per_source: usize) -> ConnectionLimits {
    ConnectionLimits {
        connections,
        unproven: connections,
        per_source,
        counted_by: CountedBy::Network,
        ..connection_limits()
    }
}

async fn connected(from: u8, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, from], 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

async fn begins_to_answer(stream: &mut TcpStream, path: &str) -> bool {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut start = [0; 12];
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_exact(&mut start).await.is_ok_and(|_| start == *b"HTTP/1.1 200")
}

#[tokio::test]
async fn eight_sources_that_keep_all_connections_alive_lock_no_other_customer_out() {
    let server = Running::start(limits_of_strangers(32, 4)).await;
    let mut held = Vec::new();
    for number in 0..32 {
        let mut stream = connected(2 + number % 8, server.address).await;
        assert!(begins_to_answer(&mut stream, "/healthz").await);
        held.push(stream);
    }
    for customer in 100..110 {
        assert!(begins_to_answer(&mut connected(customer, server.address).await, "/healthz").await);
    }
}

#[tokio::test]
async fn eight_sources_with_a_slow_download_on_each_connection_lock_no_other_customer_out() {
    let server = Running::start(limits_of_strangers(32, 4)).await;
    let large = fs::File::create(server.home.repository().join("targets/large")).unwrap();
    large.set_len(1 << 30).unwrap();
    let mut held = Vec::new();
    for number in 0..32 {
        let mut stream = connected(2 + number % 8, server.address).await;
        assert!(begins_to_answer(&mut stream, "/targets/large").await);
        held.push(stream);
    }
    for customer in 100..110 {
        assert!(begins_to_answer(&mut connected(customer, server.address).await, "/targets/large").await);
    }
    // A download that is under way is not cut off by those who have more.
    let mut download = connected(150, server.address).await;
    assert!(begins_to_answer(&mut download, "/targets/large").await);
    for number in 0..32 {
        let _ = begins_to_answer(&mut connected(2 + number % 8, server.address).await, "/healthz").await;
    }
    let mut bytes = vec![0; 8 << 20];
    download.read_exact(&mut bytes).await.unwrap();
}

#[tokio::test]
async fn shutdown_ends_idle_connections() {
    let mut server = Running::start(connection_limits()).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut start = [0; 12];
    idle.read_exact(&mut start).await.unwrap();
    server.stop.take().unwrap().send(()).unwrap();
    (&mut server.task).await.unwrap();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn a_serial_that_a_proxy_passes_on_in_the_clear_is_not_answered_whatever_headers_it_adds() {
    let server = Running::start(connection_limits()).await;
    let (serial, site) = (server.sell(), SigningKey::generate().unwrap());
    let request = request(&serial, &site);
    let body = serde_json::to_string(&request).unwrap();
    let post = async |headers: &str| {
        let head = format!(
            "POST /license/v1/register HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        server.raw(format!("{head}{body}").as_bytes()).await
    };
    for headers in [
        "Host: updates.acme.example\r\n",
        "Host: localhost\r\nX-Real-IP: 192.0.2.7\r\n",
        "Host: localhost\r\nX-Forwarded-Host: updates.acme.example\r\n",
        "Host: localhost\r\nForwarded: for=192.0.2.7;proto=https\r\n",
    ] {
        let answer = post(headers).await;
        assert_eq!((answer.status, answer.problem().code), (403, ProblemCode::Forbidden), "{headers:?}");
    }
    assert_eq!(post("Host: localhost\r\n").await.status, 200);
}

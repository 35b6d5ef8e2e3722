//! The log on its way to real receivers.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sealpost_keys::SigningKey;
use sealpost_ledger::LedgerSettings;
use sealpost_ledger::sqlite::{self, SqliteStore};
use sealpost_manifests::ids::ServerId;
use sealpost_site::changes::{Actor, ServerOperation};
use sealpost_site::commands::tokens::OperateServer;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixDatagram};
use tokio::task::JoinHandle;

use super::*;

/// Longest that a test waits for what must come.
const SOON: Duration = Duration::from_secs(30);

struct Server {
    folder: TempDir,
    ledger: Arc<Ledger>,
    progress: Arc<SyslogProgress>,
}

impl Server {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let key = SigningKey::generate().unwrap().public();
        sqlite::create(&path, ServerId::of_site_key(&key), key, Timestamp::UNIX_EPOCH).unwrap();
        let store = SqliteStore::open(&path).unwrap();
        let ledger = Arc::new(Ledger::start(Box::new(store), LedgerSettings::default()).unwrap());
        Self { folder, ledger, progress: Arc::default() }
    }

    async fn happens(&self, times: u32) {
        for _ in 0..times {
            let operate =
                OperateServer { actor: Actor::socket("alice"), operation: ServerOperation::MakeBackup };
            self.ledger.execute(Timestamp::UNIX_EPOCH, operate).await.unwrap();
        }
    }

    fn follow(&self, target: &str) -> (JoinHandle<()>, watch::Sender<Option<SyslogTarget>>) {
        let (sender, targets) = watch::channel(crate::config::parse_syslog(target).unwrap());
        let log = self.folder.path().join("log");
        let task = tokio::spawn(keep(Arc::clone(&self.ledger), log, targets, Arc::clone(&self.progress)));
        (task, sender)
    }

    fn noted(&self) -> u64 {
        self.position().sent
    }

    fn position(&self) -> Position {
        position::read(&self.folder.path().join("log")).unwrap()
    }

    async fn stopped(&self) -> PathBuf {
        self.ledger.close().await.unwrap();
        self.folder.path().join("ledger.db")
    }

    fn started(self) -> Self {
        let store = SqliteStore::open(&self.folder.path().join("ledger.db")).unwrap();
        let ledger = Arc::new(Ledger::start(Box::new(store), LedgerSettings::default()).unwrap());
        Self { ledger, progress: Arc::default(), ..self }
    }

    async fn until_failed(&self) {
        let failed = async {
            while self.progress.behind(u64::MAX).is_none_or(|behind| behind.error.is_none()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, failed).await.unwrap();
    }

    async fn until_noted(&self, entry: u64) {
        let reached = async {
            while self.noted() < entry {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(SOON, reached).await.unwrap();
    }
}

async fn ended(task: JoinHandle<()>) {
    task.abort();
    let _ = task.await;
}

fn sequence(message: &[u8]) -> u64 {
    let text = std::str::from_utf8(message).unwrap();
    assert!(text.starts_with("<110>1 "), "{text}");
    let json: serde_json::Value = serde_json::from_str(&text[text.find('{').unwrap()..]).unwrap();
    assert_eq!(json["entry"]["sequence"], json["sequence"]);
    json["sequence"].as_u64().unwrap()
}

/// The whole messages of a stream, as RFC 6587 counts them.
fn counted(mut bytes: &[u8]) -> Vec<u64> {
    let mut found = Vec::new();
    while let Some(space) = bytes.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        let Some(message) = bytes.get(space + 1..space + 1 + length) else { break };
        found.push(sequence(message));
        bytes = &bytes[space + 1 + length..];
    }
    found
}

async fn read_all(mut stream: TcpStream) -> Vec<u64> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    counted(&bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_comes_over_tcp_in_order_also_over_several_connections_and_a_restart() {
    let server = Server::new();
    server.happens(10).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    let (task, _targets) = server.follow(&target);
    let (stream, _) = listener.accept().await.unwrap();
    server.happens(5).await;
    assert_eq!(
        read_all(stream).await,
        (1..=16).collect::<Vec<_>>(),
        "those that come soon, on the same connection"
    );
    server.until_noted(16).await;
    ended(task).await;
    server.happens(3).await;
    let (task, _targets) = server.follow(&target);
    let (stream, _) = listener.accept().await.unwrap();
    assert_eq!(read_all(stream).await, [17, 18, 19]);
    server.until_noted(19).await;
    // The position is on the disk before anybody hears of it.
    let heard = async {
        while server.progress.behind(19).is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, heard).await.unwrap();
    server.ledger.close().await.unwrap();
    tokio::time::timeout(SOON, task).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_receiver_lost_by_going_away_is_sent_again() {
    let server = Server::new();
    server.happens(40).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (task, _targets) = server.follow(&format!("tcp://{address}"));
    // It takes a few messages and goes away without reading the rest: the rest is in the system's hands, and lost.
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut taken = vec![0; 1_000];
    stream.read_exact(&mut taken).await.unwrap();
    let before = counted(&taken);
    drop((stream, listener));
    assert!(!before.is_empty() && before.len() < 41);
    let failed = async {
        while server.progress.behind(41).is_none_or(|behind| behind.error.is_none()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, failed).await.unwrap();
    assert_eq!(server.noted(), 0, "nothing of it is known to have arrived");
    let listener = TcpListener::bind(address).await.unwrap();
    let (stream, _) = tokio::time::timeout(SOON, listener.accept()).await.unwrap().unwrap();
    assert_eq!(read_all(stream).await, (1..=41).collect::<Vec<_>>());
    server.until_noted(41).await;
    ended(task).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_entry_comes_by_udp_and_one_that_nobody_hears_is_sent_again() {
    let server = Server::new();
    server.happens(120).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let (task, _targets) = server.follow(&format!("udp://{address}"));
    let mut got = BTreeSet::new();
    let mut buffer = vec![0; 64 * 1024];
    while got.len() < 121 {
        let length = tokio::time::timeout(SOON, socket.recv(&mut buffer)).await.unwrap().unwrap();
        got.insert(sequence(&buffer[..length]));
    }
    server.until_noted(121).await;
    drop(socket);
    server.happens(1).await;
    let failed = async {
        while server.progress.behind(122).is_none_or(|behind| behind.error.is_none()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, failed).await.unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    let length = tokio::time::timeout(SOON, socket.recv(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(sequence(&buffer[..length]), 122);
    server.until_noted(122).await;
    ended(task).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_receiver_is_taken_without_a_restart_and_goes_on_where_the_other_was() {
    let server = Server::new();
    let path = server.folder.path().join("dev-log");
    let socket = UnixDatagram::bind(&path).unwrap();
    let (task, targets) = server.follow("");
    server.happens(2).await;
    targets.send(crate::config::parse_syslog(&format!("unix:{}", path.display())).unwrap()).unwrap();
    let mut buffer = vec![0; 64 * 1024];
    for expected in 1..=3 {
        let length = tokio::time::timeout(SOON, socket.recv(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(sequence(&buffer[..length]), expected);
    }
    server.until_noted(3).await;
    let other = server.folder.path().join("other-log");
    let socket = UnixDatagram::bind(&other).unwrap();
    targets.send(crate::config::parse_syslog(&format!("unix:{}", other.display())).unwrap()).unwrap();
    server.happens(1).await;
    let length = tokio::time::timeout(SOON, socket.recv(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(sequence(&buffer[..length]), 4);
    // What is not noted when the receiver is taken away is sent to the next one.
    server.until_noted(4).await;
    targets.send(None).unwrap();
    let gone = async {
        server.happens(1).await;
        while server.progress.behind(u64::MAX).is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, gone).await.unwrap();
    ended(task).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_hangs_holds_up_nothing_and_no_stop() {
    let server = Server::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (task, _targets) = server.follow(&format!("tcp://{}", listener.local_addr().unwrap()));
    let (_stream, _) = listener.accept().await.unwrap();
    tokio::time::timeout(SOON, server.happens(50)).await.unwrap();
    assert!(server.progress.behind(51).is_some());
    server.ledger.close().await.unwrap();
    ended(task).await;
    assert_eq!(server.noted(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_receiver_never_read_has_not_arrived_and_is_sent_again() {
    let server = Server::new();
    server.happens(10).await;
    // The system takes the connection and the bytes; nobody accepts the one or reads the other.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (task, _targets) = server.follow(&format!("tcp://{address}"));
    server.until_failed().await;
    assert_eq!(server.noted(), 0, "nothing of it was read");
    drop(listener);
    let listener = TcpListener::bind(address).await.unwrap();
    let (stream, _) = tokio::time::timeout(SOON, listener.accept()).await.unwrap().unwrap();
    assert_eq!(read_all(stream).await, (1..=11).collect::<Vec<_>>());
    server.until_noted(11).await;
    ended(task).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_log_that_was_put_back_and_grew_again_every_entry_is_sent_and_the_difference_is_told() {
    let server = Server::new();
    server.happens(3).await;
    let path = server.stopped().await;
    let older = std::fs::read(&path).unwrap();
    let server = server.started();
    server.happens(5).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    let (task, _targets) = server.follow(&target);
    let (stream, _) = listener.accept().await.unwrap();
    assert_eq!(read_all(stream).await, (1..=9).collect::<Vec<_>>());
    server.until_noted(9).await;
    ended(task).await;
    let sent = server.ledger.head();
    server.stopped().await;

    // The older ledger has more entries again before anybody looks.
    std::fs::write(&path, older).unwrap();
    let server = server.started();
    let operate = OperateServer { actor: Actor::socket("eve"), operation: ServerOperation::MakeBackup };
    for _ in 0..8 {
        execute(&server, operate.clone()).await;
    }
    let (task, _targets) = server.follow(&target);
    let (stream, _) = listener.accept().await.unwrap();
    assert_eq!(read_all(stream).await, (1..=12).collect::<Vec<_>>(), "none is left out");
    server.until_noted(12).await;
    assert_eq!(server.progress.other().unwrap().head, sent);
    ended(task).await;
    // It is told until somebody has looked, also after restarts.
    server.stopped().await;
    let server = server.started();
    server.happens(1).await;
    let (task, _targets) = server.follow(&target);
    let (stream, _) = listener.accept().await.unwrap();
    assert_eq!(read_all(stream).await, [13]);
    server.until_noted(13).await;
    assert_eq!((server.progress.other().unwrap().head, server.position().other), (sent, Some(sent)));
    ended(task).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_note_of_a_version_that_knew_no_roots_is_gone_on_from() {
    let server = Server::new();
    server.happens(5).await;
    let folder = server.folder.path().join("log");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("syslog.position"), "4\n").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (task, _targets) = server.follow(&format!("tcp://{}", listener.local_addr().unwrap()));
    let (stream, _) = listener.accept().await.unwrap();
    assert_eq!(read_all(stream).await, [5, 6]);
    server.until_noted(6).await;
    assert_eq!(server.position().root, Some(server.ledger.head().root));
    ended(task).await;
}

async fn execute(server: &Server, operate: OperateServer) {
    server.ledger.execute(Timestamp::UNIX_EPOCH, operate).await.unwrap();
}

//! The repository as a whole: what its owner writes, a stranger reads, and an attacker changes.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod attacks;
mod download;
mod faults;
mod golden;
mod handle;
mod http;
mod mirror;
mod newer;
mod publishing;
mod store;

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use futures_util::stream;
use jiff::Timestamp;
use sealpost_keys::{PassphraseSource, SigningKey, key_file};
use sealpost_repository::{
    FolderTransport, Lifetimes, Reader, RepositoryEditor, RoleName, Signers, TargetBody, TargetPath,
    TargetSource, Transport, TransportError, Written,
};
use sealpost_test_support::names::{package, target};
use sealpost_test_support::vendor::{only, root_spec};
use tempfile::TempDir;
use tokio::sync::Notify;

/// A key of the golden files. Key files must be private; files of a checkout are not.
fn fixture_key(text: &str) -> SigningKey {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("test.key");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    key_file::read_secret(&path, &PassphraseSource::None).unwrap()
}

fn root_key() -> SigningKey {
    fixture_key(include_str!("../golden/root.key"))
}

fn online_key() -> SigningKey {
    fixture_key(include_str!("../golden/online.key"))
}

fn now() -> Timestamp {
    "2026-01-15T08:30:00.75Z".parse().unwrap()
}

fn package_role(name: &str) -> RoleName {
    RoleName::Package(package(name))
}

/// A place for a repository; its lock lies beside it.
struct Folder {
    path: PathBuf,
    _whole: TempDir,
}

impl Folder {
    fn new() -> Self {
        let whole = tempfile::tempdir().unwrap();
        Self { path: whole.path().join("repository"), _whole: whole }
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// A vendor with a repository: one root key, one key for everything else.
struct Vendor {
    folder: Folder,
    root: SigningKey,
    online: SigningKey,
    root_bytes: Vec<u8>,
}

impl Vendor {
    /// A repository with `trust.json` and nothing else.
    fn new() -> Self {
        let (folder, root, online) = (Folder::new(), root_key(), online_key());
        let mut editor =
            RepositoryEditor::create(folder.path(), &root_spec(&root, &online), Lifetimes::default())
                .unwrap();
        editor.put_target(&RoleName::Targets, &target("trust.json"), bytes(b"{\"trust\":1}")).unwrap();
        let signed = editor.sign(&Signers::new(&[&root, &online]), now()).unwrap();
        let root_bytes = signed.root_bytes().unwrap().to_vec();
        signed.publish().unwrap();
        Self { folder, root, online, root_bytes }
    }

    /// A repository with `trust.json` and one release of `acme-av`.
    fn with_release() -> Self {
        let vendor = Self::new();
        vendor.release("acme-av", "1.0.0", b"payload one", now());
        vendor
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn editor(&self) -> RepositoryEditor {
        RepositoryEditor::load(self.path(), &self.root_bytes, Lifetimes::default()).unwrap()
    }

    fn publish(&self, editor: RepositoryEditor, now: Timestamp) -> Written {
        editor.sign(&Signers::new(&[&self.online]), now).unwrap().publish().unwrap()
    }

    fn release(&self, name: &str, version: &str, payload: &[u8], now: Timestamp) -> Written {
        let mut editor = self.editor();
        add_release(&mut editor, &self.online, name, version, payload);
        self.publish(editor, now)
    }

    fn renew(&self, role: &RoleName, now: Timestamp) -> Written {
        let mut editor = self.editor();
        editor.renew(role);
        self.publish(editor, now)
    }

    fn renew_root(&self) {
        let mut editor = self.editor();
        editor.renew(&RoleName::Root);
        editor.sign(&Signers::new(&[&self.root, &self.online]), now()).unwrap().publish().unwrap();
    }

    fn metadata(&self, name: &str) -> PathBuf {
        self.path().join("metadata").join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.metadata(name)).unwrap()
    }

    fn reader(&self, store: &Path) -> Reader {
        Reader::open(&self.root_bytes, store, Arc::new(FolderTransport::new(self.path()))).unwrap()
    }
}

fn bytes(bytes: &[u8]) -> TargetSource {
    TargetSource::Bytes(bytes.to_vec())
}

fn add_release(editor: &mut RepositoryEditor, key: &SigningKey, name: &str, version: &str, payload: &[u8]) {
    editor.delegate(&package(name), &only(key)).unwrap();
    let role = package_role(name);
    editor.put_target(&role, &target(&format!("{name}.channels")), bytes(version.as_bytes())).unwrap();
    let payload_name = target(&format!("{name}_{version}_any.tar.gz"));
    editor.put_target(&role, &payload_name, bytes(payload)).unwrap();
}

/// What the server does when a target is asked for.
enum Answer {
    /// Sends these pieces from this offset on, then cuts the connection or ends properly.
    Pieces {
        offset: u64,
        pieces: Vec<Vec<u8>>,
        cut: bool,
    },
    Error(fn() -> TransportError),
    /// Tells that it was asked, then neither sends anything nor ends.
    Hangs(Arc<Notify>),
    Absent,
}

/// A repository folder whose targets come from a script.
struct Scripted {
    metadata: FolderTransport,
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<u64>>,
}

impl Scripted {
    fn new(vendor: &Vendor, answers: Vec<Answer>) -> Arc<Self> {
        let metadata = FolderTransport::new(vendor.path());
        Arc::new(Self { metadata, answers: Mutex::new(answers.into()), asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<u64> {
        self.asked.lock().unwrap().clone()
    }
}

impl Transport for Scripted {
    fn metadata<'a>(
        &'a self,
        name: &'a str,
        max_bytes: u64,
    ) -> BoxFuture<'a, Result<Option<Vec<u8>>, TransportError>> {
        self.metadata.metadata(name, max_bytes)
    }

    fn target<'a>(
        &'a self,
        _path: &'a TargetPath,
        offset: u64,
    ) -> BoxFuture<'a, Result<Option<TargetBody>, TransportError>> {
        self.asked.lock().unwrap().push(offset);
        let answer = self.answers.lock().unwrap().pop_front().expect("one more request than the script has");
        Box::pin(async move {
            match answer {
                Answer::Absent => Ok(None),
                Answer::Error(error) => Err(error()),
                Answer::Hangs(asked) => {
                    asked.notify_one();
                    Ok(Some(TargetBody { offset: 0, chunks: Box::pin(stream::pending()) }))
                }
                Answer::Pieces { offset, pieces, cut } => {
                    let mut chunks: Vec<Result<Vec<u8>, TransportError>> =
                        pieces.into_iter().map(Ok).collect();
                    if cut {
                        chunks.push(Err(silent()));
                    }
                    Ok(Some(TargetBody { offset, chunks: Box::pin(stream::iter(chunks)) }))
                }
            }
        })
    }
}

fn silent() -> TransportError {
    TransportError::Silent { location: "http://vendor.example/".to_owned(), seconds: 1 }
}

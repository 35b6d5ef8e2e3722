//! The list of a backup, and which files of a home belong into one.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_ledger::sqlite::OpenError;
use sealpost_ledger::{LedgerError, StartError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{Document, DocumentError};
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::log::LogHead;
use serde::{Deserialize, Serialize};

use crate::home::HomeError;

/// The name of the list, which is the first member.
pub(super) const LIST: &str = "backup.json";
/// The ledger's name in a backup.
pub(super) const LEDGER: &str = "ledger.db";
/// Files and folders of a home that belong into a backup, besides the ledger.
pub(super) const PARTS: [&str; 8] =
    ["distributor.toml", "distributor.d", "root.json", "admin-tokens.json", "keys", "tls", "tuf", "mirror"];
/// Most files of one backup.
pub(super) const MAX_MEMBERS: usize = 100_000;
/// Longest list, in bytes.
pub(super) const MAX_LIST_BYTES: u64 = 32 * 1024 * 1024;

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupMember {
    /// Its path in the home.
    pub path: String,
    /// Its fields stand beside the path.
    #[serde(flatten)]
    pub kind: MemberKind,
}

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MemberKind {
    /// A file, whose bytes follow in the archive.
    File {
        length: u64,
        sha256: Sha256Digest,
        /// Whether others may read it.
        public: bool,
    },
    /// A symbolic link to a name in its own folder.
    Link { target: String },
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupList {
    pub server_id: ServerId,
    /// The head of the ledger in it.
    pub head: LogHead,
    pub made_at: Timestamp,
    pub members: Vec<BackupMember>,
}

impl Document for BackupList {
    const TYPE: &'static str = "backup";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("backup server={}", self.server_id)
    }
}

/// Why a backup could not be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("cannot {attempted} {}; check the path, disk space and permissions", path.display())]
    File {
        attempted: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A restore would refuse it, or wait for it for ever.
    #[error("cannot back up {}: {problem}; put the file itself there", path.display())]
    Odd { path: PathBuf, problem: String },
    /// It is not as it was when it was listed, nor there.
    #[error("cannot back up {}: it is replaced again and again; try again", path.display())]
    Changed { path: PathBuf },
    #[error("the file {} is no backup of a server, or was cut or damaged: {problem}", path.display())]
    Damaged { path: PathBuf, problem: String },
    #[error("the list of the backup {} cannot be used", path.display())]
    List {
        path: PathBuf,
        #[source]
        source: DocumentError,
    },
    #[error("the ledger cannot be copied or read")]
    Open(#[from] OpenError),
    #[error("the restored ledger cannot be opened")]
    Start(#[from] StartError),
    #[error("the restore cannot be noted in the ledger")]
    Ledger(#[from] LedgerError),
    /// There is no randomness.
    #[error("cannot name the time after the restore")]
    Random(#[from] sealpost_keys::KeyError),
}

pub(super) fn failed(attempted: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |source| BackupError::File { attempted, path, source }
}

/// Whether a path of a list is one that a backup may have: beneath one of the parts, without a step out of it.
pub(super) fn is_allowed(path: &str) -> bool {
    if path == LEDGER {
        return true;
    }
    let plain = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && part.len() <= 255
            && !part.chars().any(|character| character.is_control() || character == '\\')
    };
    let mut parts = path.split('/');
    parts.clone().count() <= 8
        && parts.clone().all(plain)
        && parts.next().is_some_and(|first| PARTS.contains(&first))
}

/// Whether a link leads to a name in its own folder, which is in the backup too. Those at the top of a home may not: what
/// they lead to is not.
pub(super) fn is_allowed_link(path: &str, target: &str) -> bool {
    path.contains('/') && !target.contains('/') && !target.starts_with('.') && !target.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_manifests::document;

    #[test]
    fn the_list_has_its_frozen_form() {
        let file = |path: &str, public| BackupMember {
            path: path.to_owned(),
            kind: MemberKind::File { length: u64::MAX, sha256: Sha256Digest::of(b"bytes"), public },
        };
        let link = MemberKind::Link { target: "gen-00000001".to_owned() };
        let list = BackupList {
            server_id: ServerId::from_random([7; 16]),
            head: LogHead { size: 41, root: Sha256Digest::of(b"root") },
            made_at: "2026-11-20T08:00:00Z".parse().unwrap(),
            members: vec![
                file(LEDGER, false),
                file("distributor.toml", true),
                BackupMember { path: "mirror/current".to_owned(), kind: link },
            ],
        };
        let golden = include_str!("../../tests/golden/backup.v2.json").trim_end();
        assert_eq!(document::write(&list).unwrap(), golden);
        assert_eq!(document::read::<BackupList>(golden.as_bytes()).unwrap(), list);
    }

    #[test]
    fn nothing_outside_of_the_named_parts_of_a_home_is_restored() {
        for good in ["ledger.db", "keys/site.key", "mirror/gen-00000001/1.root.json", "distributor.toml"] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in [
            "",
            "/etc/passwd",
            "keys/../../x",
            "blobs/x",
            "keys//x",
            "keys/.",
            "keys\\x",
            "keys/a\nb",
            "../keys/x",
        ] {
            assert!(!is_allowed(bad), "{bad:?}");
        }
    }
}

//! Whom the file and the log let in together.

use std::path::{Path, PathBuf};

use sealpost_keys::SigningKey;
use sealpost_ledger::LedgerSettings;
use sealpost_ledger::sqlite::{self, SqliteStore};
use sealpost_manifests::ids::ServerId;
use tempfile::TempDir;

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

struct Server {
    folder: TempDir,
}

impl Server {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::generate().unwrap().public();
        sqlite::create(&folder.path().join("ledger.db"), ServerId::of_site_key(&key), key, NOW).unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("admin-tokens.json")
    }

    fn file(&self) -> AdminTokens {
        AdminTokens::at(&self.path())
    }

    async fn start(&self) -> TokenDesk {
        let store = SqliteStore::open(&self.folder.path().join("ledger.db")).unwrap();
        let ledger = Ledger::start(Box::new(store), LedgerSettings::default()).unwrap();
        TokenDesk::open(self.file(), Arc::new(ledger), NOW).await.unwrap()
    }
}

async fn stop(desk: TokenDesk) {
    desk.ledger.close().await.unwrap();
}

async fn kinds(desk: &TokenDesk) -> Vec<String> {
    let entries = desk.ledger.query(Activity::default()).await.unwrap();
    entries.into_iter().skip(1).map(|logged| logged.entry.kind().to_owned()).collect()
}

async fn admitted(desk: &TokenDesk, token: &Token) -> Admitted {
    desk.admit(token.as_str(), "192.0.2.7", NOW).await.unwrap()
}

fn alice() -> Actor {
    Actor::socket("alice")
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

#[tokio::test]
async fn a_token_that_no_entry_made_is_refused_also_after_a_restart() {
    let server = Server::new();
    let desk = server.start().await;
    desk.make(alice(), "anna", None, NOW).await.unwrap();
    let planted = server.file().plan("eve").unwrap().store(NOW, None).unwrap();
    assert_eq!(admitted(&desk, &planted).await, Admitted::Unlogged("eve".to_owned()));
    stop(desk).await;
    let desk = server.start().await;
    assert_eq!(admitted(&desk, &planted).await, Admitted::Unlogged("eve".to_owned()));
    assert_eq!(kinds(&desk).await, ["admin_token_made"]);
    stop(desk).await;
}

#[tokio::test]
async fn a_token_whose_name_or_end_was_edited_in_the_file_is_refused() {
    let server = Server::new();
    let desk = server.start().await;
    let end = Timestamp::from_second(1_000_000).unwrap();
    let made = desk.make(alice(), "anna", Some(end), NOW).await.unwrap();
    edit(&server.path(), "\"anna\"", "\"root\"");
    assert_eq!(admitted(&desk, &made.token).await, Admitted::Unlogged("root".to_owned()));
    edit(&server.path(), "\"root\"", "\"anna\"");
    edit(&server.path(), &end.to_string(), "2999-01-01T00:00:00Z");
    assert_eq!(admitted(&desk, &made.token).await, Admitted::Unlogged("anna".to_owned()));
    edit(&server.path(), "2999-01-01T00:00:00Z", &end.to_string());
    let account = Account::token("anna", made.id);
    assert_eq!(admitted(&desk, &made.token).await, Admitted::Good(account));
    stop(desk).await;
}

#[tokio::test]
async fn a_kill_between_entry_and_file_leaves_no_token_that_works_without_an_entry() {
    let server = Server::new();
    let desk = server.start().await;
    // Made in the log alone, as when the process is killed before the file is written.
    let planned = server.file().plan("anna").unwrap();
    let digest = planned.token.digest();
    let tokens = vec![NewToken { name: "anna".to_owned(), digest, ends_at: None }];
    let make = MakeTokens { actor: alice(), tokens, origin: Origin::Made };
    desk.ledger.execute(NOW, make).await.unwrap();
    let lost = planned.token.clone();
    drop(planned);
    stop(desk).await;
    let desk = server.start().await;
    assert_eq!(admitted(&desk, &lost).await, Admitted::Unknown);
    // The name is free, and one word revokes both.
    let made = desk.make(alice(), "anna", None, NOW).await.unwrap();
    let ids = desk.revoke(alice(), "anna", NOW).await.unwrap();
    assert_eq!(ids, [TokenId::of(&digest), made.id].into());
    stop(desk).await;

    // Revoked in the log alone: the file still has it, and it is refused.
    let desk = server.start().await;
    let made = desk.make(alice(), "ben", None, NOW).await.unwrap();
    let revoke = RevokeToken { actor: alice(), name: "ben".to_owned(), token: made.id.clone() };
    desk.ledger.execute(NOW, revoke).await.unwrap();
    stop(desk).await;
    let desk = server.start().await;
    assert_eq!(admitted(&desk, &made.token).await, Admitted::Unlogged("ben".to_owned()));
    assert_eq!(desk.revoke(alice(), "ben", NOW).await.unwrap(), [made.id].into());
    assert!(server.file().list().unwrap().is_empty());
    stop(desk).await;
}

#[tokio::test]
async fn tokens_of_a_version_that_wrote_no_entries_are_taken_over_once_each_with_an_entry() {
    let server = Server::new();
    let old = server.file().plan("anna").unwrap().store(NOW, None).unwrap();
    let desk = server.start().await;
    assert_eq!(kinds(&desk).await, ["admin_token_made"]);
    let id = TokenId::of(&old.digest());
    assert_eq!(admitted(&desk, &old).await, Admitted::Good(Account::token("anna", id)));
    stop(desk).await;
    let desk = server.start().await;
    assert!(matches!(admitted(&desk, &old).await, Admitted::Good(_)));
    assert_eq!(kinds(&desk).await, ["admin_token_made", "admin_token_used"]);
    let log = desk.ledger.query(Activity::default()).await.unwrap();
    assert!(log[1].summary.contains("took over from an earlier version"), "{}", log[1].summary);
    stop(desk).await;
}

#[tokio::test]
async fn a_first_use_that_cannot_be_logged_is_not_admitted() {
    let server = Server::new();
    let desk = server.start().await;
    let made = desk.make(alice(), "anna", None, NOW).await.unwrap();
    desk.ledger.close().await.unwrap();
    assert!(desk.admit(made.token.as_str(), "192.0.2.7", NOW).await.is_err());
}

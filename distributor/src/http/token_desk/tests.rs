//! Whom the file and the log let in together.

use std::path::{Path, PathBuf};

use sealpost_keys::SigningKey;
use sealpost_ledger::LedgerSettings;
use sealpost_ledger::sqlite::{self, SqliteStore};
use sealpost_manifests::ids::EraId;
use sealpost_manifests::ids::ServerId;
use sealpost_site::commands::restores::DeclareRestore;
use sealpost_site::queries::Activity;
use sealpost_site::rules::restore::RestoreCause;
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
        self.start_after(|untold| untold).await
    }

    /// Starts as if the ledger had been opened otherwise than it was.
    async fn start_after(&self, otherwise: impl Fn(Untold) -> Untold) -> TokenDesk {
        let store = SqliteStore::open(&self.folder.path().join("ledger.db")).unwrap();
        let untold = otherwise(Untold::beside(&store));
        let ledger = Ledger::start(Box::new(store), LedgerSettings::default()).unwrap();
        TokenDesk::open(self.file(), Arc::new(ledger), untold, NOW).await.unwrap()
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

fn wanted(name: &str, ends_at: Option<Timestamp>) -> WantedToken {
    WantedToken { name: name.to_owned(), account: None, ends_at }
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
    desk.make(alice(), wanted("anna", None), NOW).await.unwrap();
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
    let made = desk.make(alice(), wanted("anna", Some(end)), NOW).await.unwrap();
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
    let tokens = vec![NewToken { name: "anna".to_owned(), digest, ends_at: None, account: None }];
    let make = MakeTokens { actor: alice(), tokens, origin: Origin::Made };
    desk.ledger.execute(NOW, make).await.unwrap();
    let lost = planned.token.clone();
    drop(planned);
    stop(desk).await;
    let desk = server.start().await;
    assert_eq!(admitted(&desk, &lost).await, Admitted::Unknown);
    // The name is free, and one word revokes both.
    let made = desk.make(alice(), wanted("anna", None), NOW).await.unwrap();
    let ids = desk.revoke(alice(), "anna", NOW).await.unwrap();
    assert_eq!(ids, [TokenId::of(&digest), made.id].into());
    stop(desk).await;

    // Revoked in the log alone: the file still has it, and it is refused.
    let desk = server.start().await;
    let made = desk.make(alice(), wanted("ben", None), NOW).await.unwrap();
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
    let desk = server.start_after(|_| Untold::TakeOver).await;
    assert_eq!(kinds(&desk).await, ["admin_token_made"]);
    let id = TokenId::of(&old.digest());
    assert_eq!(admitted(&desk, &old).await, Admitted::Good(Account::token("anna", id)));
    stop(desk).await;
    let desk = server.start().await;
    assert!(matches!(admitted(&desk, &old).await, Admitted::Good(_)));
    assert_eq!(kinds(&desk).await, ["admin_token_made", "admin_token_used"]);
    let log = desk.ledger.query(Activity::default()).await.unwrap();
    assert!(log[1].summary.contains("took over from an earlier version"), "{}", log[1].summary);
    // Until somebody has seen to it.
    let told = desk.warnings().await;
    assert_eq!((told.len(), told[0].code.as_str()), (1, "tokens_taken_over"));
    assert_eq!(told[0].next.as_deref(), Some("distributor token revoke anna"));
    desk.revoke(alice(), "anna", NOW).await.unwrap();
    desk.make(alice(), wanted("anna", None), NOW).await.unwrap();
    assert!(desk.warnings().await.is_empty());
    stop(desk).await;
}

#[tokio::test]
async fn a_token_that_is_planted_where_none_was_ever_made_is_not_taken_over() {
    let server = Server::new();
    let planted = server.file().plan("auditor").unwrap().store(NOW, None).unwrap();
    let desk = server.start().await;
    assert_eq!(admitted(&desk, &planted).await, Admitted::Unlogged("auditor".to_owned()));
    assert!(kinds(&desk).await.is_empty());
    stop(desk).await;
}

#[tokio::test]
async fn a_ledger_of_an_earlier_version_that_may_have_been_put_back_brings_no_tokens() {
    let server = Server::new();
    let planted = server.file().plan("auditor").unwrap().store(NOW, None).unwrap();
    let desk = server.start().await;
    let cause = RestoreCause::BackupRestored { head: desk.ledger.head() };
    let declare = DeclareRestore { actor: Actor::Server, cause, new_era: EraId::from_random([1; 16]) };
    desk.ledger.execute(NOW, declare).await.unwrap();
    stop(desk).await;
    let desk = server.start_after(|_| Untold::TakeOver).await;
    assert_eq!(admitted(&desk, &planted).await, Admitted::Unlogged("auditor".to_owned()));
    stop(desk).await;
}

#[tokio::test]
async fn the_file_of_an_earlier_version_is_known_by_the_start_that_brings_it_up_and_by_no_other() {
    let old = include_str!("../../../ledger/tests/golden/ledger.v4.sql");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch(old).unwrap();
    for expected in [Untold::TakeOver, Untold::Refuse] {
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(Untold::beside(&store), expected);
    }
}

/// Changes a column of an entry behind the ledger's back.
fn edit_log(server: &Server, sql: &str) {
    let changed =
        rusqlite::Connection::open(server.folder.path().join("ledger.db")).unwrap().execute(sql, []);
    assert_eq!(changed.unwrap(), 1);
}

#[tokio::test]
async fn a_revoked_token_does_not_live_again_when_the_kind_of_its_entry_is_edited() {
    let server = Server::new();
    let desk = server.start().await;
    let made = desk.make(alice(), wanted("bob", None), NOW).await.unwrap();
    let file = std::fs::read(server.path()).unwrap();
    desk.revoke(alice(), "bob", NOW).await.unwrap();
    stop(desk).await;
    std::fs::write(server.path(), file).unwrap();
    edit_log(&server, "UPDATE activity SET kind = 'setup_issued' WHERE kind = 'admin_token_revoked'");
    let desk = server.start().await;
    assert!(!matches!(admitted(&desk, &made.token).await, Admitted::Good(_)));
    stop(desk).await;
}

#[tokio::test]
async fn with_a_log_that_is_not_whole_no_token_is_admitted_and_that_is_urgent() {
    let server = Server::new();
    let desk = server.start().await;
    let made = desk.make(alice(), wanted("anna", None), NOW).await.unwrap();
    desk.make(alice(), wanted("ben", None), NOW).await.unwrap();
    stop(desk).await;
    edit_log(
        &server,
        "UPDATE activity SET entry = CAST(replace(CAST(entry AS TEXT), 'alice', 'admin') AS BLOB) WHERE sequence = 2",
    );
    let desk = server.start().await;
    assert!(matches!(admitted(&desk, &made.token).await, Admitted::Damaged(name, _) if name == "anna"));
    let told = desk.warnings().await;
    assert_eq!((told.len(), told[0].code.as_str()), (1, "tokens_refused"));
    assert_eq!(told[0].next.as_deref(), Some("distributor log verify"));
    stop(desk).await;
}

#[tokio::test]
async fn a_first_use_that_cannot_be_logged_is_not_admitted() {
    let server = Server::new();
    let desk = server.start().await;
    let made = desk.make(alice(), wanted("anna", None), NOW).await.unwrap();
    desk.ledger.close().await.unwrap();
    assert!(desk.admit(made.token.as_str(), "192.0.2.7", NOW).await.is_err());
}

//! Every step at which the disk can refuse something to a backup, a restore and the file of tokens: old or new, whole; and
//! the error says what was tried.

use std::path::Path;

use jiff::Timestamp;
use sealpost_distributor::backup;
use sealpost_distributor::home::Home;
use sealpost_distributor::http::admin_tokens::AdminTokens;
use sealpost_files::faults::{Failure, Ran, failing};
use sealpost_files::with_causes;
use sealpost_ledger::sqlite::identify;

use crate::site::Site;
use crate::vendor::start_vendor;

/// More steps than anything here takes.
const MOST_STEPS: usize = 2_000;

/// Makes each step of `work` fail once, and then everything from there on for want of room. `check` hears the answer, and
/// where it failed.
fn fails_everywhere<T, E: std::error::Error + 'static>(
    mut work: impl FnMut() -> Result<T, E>,
    mut check: impl FnMut(Result<T, E>, &str),
) {
    for failure in Failure::ALL {
        for nth in 1.. {
            assert!(nth < MOST_STEPS, "it never ends");
            let Ran { answer, failed } = failing(nth, failure, &mut work);
            let Some((step, place)) = failed else {
                assert!(answer.is_ok(), "without a fault");
                check(answer, "without a fault");
                break;
            };
            if let Err(error) = &answer {
                let said = with_causes(error);
                assert!(said.starts_with("cannot ") && said.contains("os error"), "{step:?}: {said}");
            }
            check(answer, &format!("{failure:?}, step {nth}: {step:?} of {}", place.display()));
        }
    }
}

fn silent(_: u64, _: u64) {}

fn names(folder: &Path) -> Vec<String> {
    let found = std::fs::read_dir(folder).unwrap();
    found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[tokio::test]
async fn a_backup_is_the_old_one_or_the_new_one_whole_at_whichever_step_the_disk_fails() {
    let vendor = start_vendor(3).await;
    let site = Site::licensed(&vendor).await;
    let folder = tempfile::tempdir().unwrap();
    let (file, home) = (folder.path().join("site.backup"), Home::at(site.home()));
    backup::make(&home, &file, Timestamp::now(), &mut silent).unwrap();
    let mut old = std::fs::read(&file).unwrap();
    fails_everywhere(
        || backup::make(&home, &file, Timestamp::now(), &mut silent),
        |made, place| {
            let found = std::fs::read(&file).unwrap();
            if made.is_ok() {
                assert_ne!(found, old, "{place}: told as made");
            }
            assert_eq!(names(folder.path()), ["site.backup"], "{place}: something is left");
            old = found;
        },
    );
    // Whichever came last is one.
    let into = folder.path().join("restored");
    backup::restore(&Home::at(&into), &file, Timestamp::now(), &mut silent).await.unwrap();
}

#[test]
fn a_restore_is_a_whole_home_or_none_at_whichever_step_the_disk_fails() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.backup");
    let head = runtime.block_on(async {
        let vendor = start_vendor(3).await;
        let site = Site::licensed(&vendor).await;
        let made = backup::make(&Home::at(site.home()), &file, Timestamp::now(), &mut silent);
        site.server.stop().await.unwrap();
        made.unwrap().head
    });
    let into = folder.path().join("restored");
    let home = Home::at(&into);
    fails_everywhere(
        || runtime.block_on(backup::restore(&home, &file, Timestamp::now(), &mut silent)),
        |restored, place| {
            // Where only the last flush failed, a whole home can be there all the same.
            let is_there = Home::open(&into).is_ok();
            assert!(is_there || restored.is_err(), "{place}: told as restored");
            if is_there {
                let found = identify(&home.ledger()).unwrap().head;
                assert!(found.size > head.size, "{place}: it knows that it was restored");
            }
            let _ = std::fs::remove_dir_all(&into);
            assert_eq!(names(folder.path()), ["site.backup"], "{place}: something is left");
        },
    );
}

#[test]
fn the_file_of_tokens_has_all_old_ones_and_the_new_one_or_not_at_whichever_step_the_disk_fails() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = AdminTokens::at(&folder.path().join("admin-tokens.json"));
    let now = Timestamp::UNIX_EPOCH;
    let _ = tokens.plan("ada").unwrap().store(now, None).unwrap();
    let listed = || tokens.list().unwrap().into_keys().collect::<Vec<_>>();
    fails_everywhere(
        || tokens.plan("bob").and_then(|planned| planned.store(now, None)),
        |made, place| {
            let found = listed();
            assert!(found.contains(&"ada".to_owned()), "{place}: {found:?}");
            assert!(made.is_err() || found.contains(&"bob".to_owned()), "{place}: told as made");
            if found.len() > 1 {
                assert!(tokens.remove("bob").unwrap(), "{place}");
            }
        },
    );
    let _ = tokens.plan("bob").unwrap().store(now, None).unwrap();
    fails_everywhere(
        || tokens.remove("bob"),
        |removed, place| {
            let found = listed();
            assert!(found.contains(&"ada".to_owned()), "{place}: {found:?}");
            assert!(removed.is_err() || !found.contains(&"bob".to_owned()), "{place}: told as removed");
            if !found.contains(&"bob".to_owned()) {
                let _ = tokens.plan("bob").unwrap().store(now, None).unwrap();
            }
        },
    );
    assert_eq!(listed(), ["ada", "bob"]);
}

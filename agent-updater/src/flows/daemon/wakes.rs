//! Keeping the wake stream open: each `contact` event, and each need for a new token, causes a contact.

use std::time::Duration;

use jiff::Timestamp;
use sealpost_manifests::wire::by_file::ANSWER_FILE;
use sealpost_manifests::wire::problem::ProblemCode;
use tokio::sync::mpsc;
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use crate::config::FolderSettings;
use crate::domain::cadence::backoff_millis;
use crate::flows::by_file::watched;
use crate::flows::context::seed;
use crate::home::Home;
use crate::platform::watch;
use crate::server::Access;
use crate::server::wake::{StreamEnd, listen};

/// A stream that was open for this long counts as good, and the next pause is short again.
const GOOD_AFTER: Duration = Duration::from_secs(30);

/// How often the folder that is watched is looked for again.
const WATCH_AGAIN: Duration = Duration::from_secs(60);

/// Causes a contact when an answer appears in the folder.
pub(super) async fn watch_folder(home: Home, folder: FolderSettings, wake: mpsc::Sender<()>) {
    let changed = move || {
        // A full channel means that a look is due already.
        let _: Result<(), mpsc::error::TrySendError<()>> = wake.try_send(());
    };
    watch::watch(move || watched(&home, &folder), ANSWER_FILE, WATCH_AGAIN, changed).await;
}

/// Holds the wake stream open until the sender of `access` is gone.
pub(super) async fn keep_listening(mut access: Receiver<Option<Access>>, wake: mpsc::Sender<()>) {
    let mut failures = 0;
    loop {
        let current: Option<Access> = access.borrow_and_update().clone();
        let Some(current) = current else {
            if access.changed().await.is_err() {
                return;
            }
            continue;
        };
        // A full channel means that a contact is due already.
        let contact = || {
            let _: Result<(), mpsc::error::TrySendError<()>> = wake.try_send(());
        };
        let mut opened = None;
        let ended = if current.until <= Timestamp::now() {
            StreamEnd::Closed
        } else {
            listen(&current.endpoint, &current.token, || opened = Some(Instant::now()), contact).await
        };
        if let Some(opened) = opened {
            tracing::debug!("the wake stream ended");
            // A server that closes each stream soon after it was opened is asked less and less often.
            if opened.elapsed() >= GOOD_AFTER {
                failures = 0;
            }
        }
        let needs_token = needs_token(&ended, current.until);
        let pause = Duration::from_millis(backoff_millis(failures, seed()));
        failures = failures.saturating_add(1);
        tokio::time::sleep(pause).await;
        if needs_token {
            contact();
            // The contact brings a token; if it fails, the next contact tries again.
            if access.changed().await.is_err() {
                return;
            }
        }
    }
}

fn needs_token(ended: &StreamEnd, until: Timestamp) -> bool {
    match ended {
        StreamEnd::Closed => until <= Timestamp::now(),
        StreamEnd::NotOpened(error) => error.problem().is_some_and(|problem| {
            matches!(problem.code, ProblemCode::TokenExpired | ProblemCode::Unauthenticated)
        }),
    }
}

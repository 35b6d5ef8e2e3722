//! What deltas to a release have cost this computer already: how often the agent ended over them, and the time of the processor
//! that they took. It lies among the downloads, and goes with them.
//!
//! Invariants: it is about a release, and not about a delta or a way, so that no server has it begun anew by telling of another
//! way; a record that cannot be read says that no more deltas are tried. Then the payload comes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sealpost_files::{PRIVATE, with_causes};
use sealpost_manifests::digest::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::platform::store::{self, StoreError};

/// What follows the digest of the manifest in its name.
const SUFFIX: &str = ".tries.json";
/// How often the agent may end over the deltas of a release: what kills it would kill it after every start.
const MOST_UNENDED: u32 = 2;

/// What deltas to a release have cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// Tries that began and did not end; the one that goes on now is one of them.
    pub unended: u32,
    /// Time of the processor that the others took, in milliseconds.
    pub spent_ms: u64,
    /// They took all of the time that they may take.
    pub is_over: bool,
}

impl Tries {
    /// Of a record that cannot be read.
    const OVER: Self = Self { unended: 0, spent_ms: 0, is_over: true };

    /// Whether no more deltas are tried.
    #[must_use]
    pub const fn are_used_up(&self) -> bool {
        self.is_over || self.unended >= MOST_UNENDED
    }

    /// The time that they took.
    #[must_use]
    pub const fn spent(&self) -> Duration {
        Duration::from_millis(self.spent_ms)
    }

    /// The state while one more goes on.
    #[must_use]
    pub const fn begun(self) -> Self {
        Self { unended: self.unended.saturating_add(1), ..self }
    }

    /// The state after one more that took this time, and whether that was the last of it.
    #[must_use]
    pub fn ended(self, took: Duration, is_over: bool) -> Self {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Self { spent_ms: self.spent_ms.saturating_add(took), is_over: self.is_over || is_over, ..self }
    }
}

/// What the deltas to a release have cost.
#[must_use]
pub fn load(home: &Home, release: &Sha256Digest) -> Tries {
    store::load(&path(home, release)).map(Option::unwrap_or_default).unwrap_or_else(|error| {
        tracing::warn!("{}; no more deltas to it are tried", with_causes(&error));
        Tries::OVER
    })
}

/// Keeps it; one that says nothing is removed.
///
/// # Errors
/// [`StoreError`]: then no delta may be tried.
pub fn save(home: &Home, release: &Sha256Digest, tries: &Tries) -> Result<(), StoreError> {
    let path = path(home, release);
    if *tries != Tries::default() {
        return store::save(&path, tries, PRIVATE);
    }
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Io { action: "remove", path, source })
        }
        _ => Ok(()),
    }
}

/// Whether a file among the downloads is such a record.
#[must_use]
pub fn is_record(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(SUFFIX))
}

fn path(home: &Home, release: &Sha256Digest) -> PathBuf {
    home.download(&format!("{release}{SUFFIX}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_keeps_its_form() {
        let golden = r#"{"unended":1,"spent_ms":30000,"is_over":false}"#;
        let tries: Tries = serde_json::from_str(golden).unwrap();
        assert_eq!(serde_json::to_string(&tries).unwrap(), golden);
    }

    #[test]
    fn two_ends_of_the_agent_use_them_up_and_so_does_the_end_of_their_time() {
        let none = Tries::default();
        let killed = none.begun();
        assert!(!killed.are_used_up() && killed.begun().are_used_up());
        // One that ended counts with its time alone.
        let ended = none.ended(Duration::from_millis(1_500), false);
        assert_eq!(
            (ended.unended, ended.spent(), ended.are_used_up()),
            (0, Duration::from_millis(1_500), false)
        );
        assert!(ended.ended(Duration::ZERO, true).are_used_up());
    }

    #[test]
    fn a_record_that_cannot_be_read_uses_them_up_and_one_that_says_nothing_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path()).unwrap();
        fs::create_dir_all(home.downloads()).unwrap();
        let release = Sha256Digest::of(b"1");
        assert_eq!(load(&home, &release), Tries::default());
        let killed = Tries::default().begun();
        save(&home, &release, &killed).unwrap();
        assert_eq!(load(&home, &release), killed);
        assert!(is_record(&path(&home, &release)));
        save(&home, &release, &Tries::default()).unwrap();
        assert!(!path(&home, &release).exists());
        fs::write(path(&home, &release), "damaged").unwrap();
        assert!(load(&home, &release).are_used_up());
    }
}

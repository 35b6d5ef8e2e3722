//! The journal: the change of release that is not finished, on disk before each next action begins.
//!
//! Invariant: at most one change is open at a time; a step is recorded durably before the action that follows it, and
//! the record is removed at the very end of a change.

use std::path::PathBuf;
use std::{fs, io};

use sealpost_files::faults::{Step, reach};
use sealpost_files::{PRIVATE, sync_parent};

use crate::domain::record::Change;
use crate::home::Home;
use crate::platform::store::{self, PUT_ASIDE, StoreError};
use crate::ports::{CLEARED, Faults, Killed};

/// Why the journal could not be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("the install journal cannot be used")]
    Store(#[from] StoreError),
    /// A test simulated a kill here.
    #[error(transparent)]
    Killed(#[from] Killed),
}

pub struct Journal<'a> {
    path: PathBuf,
    faults: &'a dyn Faults,
}

impl std::fmt::Debug for Journal<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).finish_non_exhaustive()
    }
}

impl<'a> Journal<'a> {
    #[must_use]
    pub fn of(home: &Home, faults: &'a dyn Faults) -> Self {
        Self { path: home.state("journal"), faults }
    }

    /// The open change, if there is one.
    ///
    /// # Errors
    /// [`JournalError`], also when the record is damaged.
    pub fn open_change(&self) -> Result<Option<Change>, JournalError> {
        Ok(store::load(&self.path)?)
    }

    /// Records the step that a change has reached.
    ///
    /// # Errors
    /// [`JournalError`]; the step before is still recorded then.
    pub fn record(&self, change: &Change) -> Result<(), JournalError> {
        self.faults.at(&format!("before-{}", change.step))?;
        store::save_of_change(&self.path, change, PRIVATE)?;
        self.faults.at(&format!("after-{}", change.step))?;
        Ok(())
    }

    /// Gives a journal that leads nowhere another name: as long as it has that one, some product may be stopped.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn put_aside(&self) -> Result<(), JournalError> {
        Ok(store::put_aside(&self.path)?)
    }

    /// Whether a journal was put aside, and not every product was started since.
    #[must_use]
    pub fn is_put_aside(&self) -> bool {
        store::aside(&self.path).exists()
    }

    /// Notes that every product was started after a journal was put aside; it is kept for people.
    ///
    /// # Errors
    /// The system's.
    pub fn note_all_started(&self) -> io::Result<()> {
        let aside = store::aside(&self.path);
        reach(Step::Rename, aside.parent().unwrap_or(&aside))?;
        fs::rename(&aside, self.path.with_extension(format!("ended.{PUT_ASIDE}")))?;
        sync_parent(&aside)
    }

    /// Ends the change.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn clear(&self) -> Result<(), JournalError> {
        self.faults.at(&format!("before-{CLEARED}"))?;
        store::remove(&self.path)?;
        self.faults.at(&format!("after-{CLEARED}"))?;
        Ok(())
    }
}

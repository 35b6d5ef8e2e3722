//! Going back from a release of the agent to the packaged program: because a person at the computer asks for it, or because
//! a repair found the release damaged.
//!
//! It needs no trial: the packaged program ran before, and lies where the operating system put it.

use crate::domain::record::Installed;
use crate::domain::self_update::record::SelfRecord;
use crate::domain::self_update::step::TrialStep;
use crate::flows::context::Host;
use crate::home::HomeError;
use crate::ports::Killed;
use crate::records::self_state::{self, SelfStateError};

use super::record::{RecordError, load_or_put_aside, save};

/// Why it could not be recorded; the program of before goes on then.
#[derive(Debug, thiserror::Error)]
pub enum GoBackError {
    /// Another program is on trial.
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error(transparent)]
    State(#[from] SelfStateError),
    /// A test simulated a kill here.
    #[error(transparent)]
    Killed(#[from] Killed),
}

/// Records it; `false` if no release of the agent is stable. Its end is to be noted, and the daemon executes the packaged
/// program after it.
///
/// # Errors
/// [`GoBackError`].
pub fn back_to_packaged(host: &Host) -> Result<bool, GoBackError> {
    let _lock = host.home.lock_watch()?;
    let record = load_or_put_aside(host)?;
    if record.stable.is_none() || record.trial.is_some() {
        return Ok(false);
    }
    let back = record.back_to_packaged(host.now());
    record_end(host, &back)
}

/// Records in which attempt the stable program runs, before it is left.
///
/// # Errors
/// [`GoBackError`].
pub fn note_attempt(host: &Host, installed: &Installed) -> Result<(), GoBackError> {
    let _lock = host.home.lock_watch()?;
    let mut record = load_or_put_aside(host)?;
    let Some(stable) = record.stable.as_mut().filter(|stable| *stable.manifest() == installed.manifest)
    else {
        return Ok(());
    };
    stable.installed.clone_from(installed);
    Ok(self_state::save(&host.home, &record)?)
}

/// Records that the stable program is lost, as [`back_to_packaged`] does, but so that the next contact builds the same
/// release again; `false` if none is stable, or a trial goes on.
///
/// # Errors
/// [`GoBackError`].
pub fn lose(host: &Host, detail: &str) -> Result<bool, GoBackError> {
    let _lock = host.home.lock_watch()?;
    let record = load_or_put_aside(host)?;
    if record.stable.is_none() || record.trial.is_some() || record.ended.is_some() {
        return Ok(false);
    }
    let lost = record.lost(detail.to_owned(), host.now());
    record_end(host, &lost)
}

fn record_end(host: &Host, record: &SelfRecord) -> Result<bool, GoBackError> {
    match save(host, TrialStep::Lost, record) {
        Ok(()) => Ok(true),
        Err(RecordError::State(error)) => Err(error.into()),
        Err(RecordError::Killed(killed)) => Err(killed.into()),
    }
}

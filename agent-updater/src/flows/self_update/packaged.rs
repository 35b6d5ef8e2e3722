//! Going back from the only release of the agent to the packaged program, because a person at the computer asks for it.
//!
//! It needs no trial: the packaged program ran before, and lies where the operating system put it.

use crate::domain::self_update::step::TrialStep;
use crate::flows::context::Host;
use crate::home::HomeError;
use crate::ports::Killed;
use crate::records::self_state::SelfStateError;

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
    match save(host, TrialStep::Lost, &record.back_to_packaged(host.now())) {
        Ok(()) => Ok(true),
        Err(RecordError::State(error)) => Err(error.into()),
        Err(RecordError::Killed(killed)) => Err(killed.into()),
    }
}

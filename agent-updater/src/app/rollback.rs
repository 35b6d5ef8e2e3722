//! A rollback that a person at the computer asks for. No license and no server has a say in it.

use sealpost_manifests::ids::PackageName;

use crate::home::HomeError;
use crate::platform::store::StoreError;
use crate::spool::Spool;

use super::agent::Agent;
use super::engine::{Ended, Engine, EngineError};

/// Why a rollback could not be brought to an end.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// The home, or its lock.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The reports.
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    /// The engine.
    #[error("the rollback could not be brought to its end")]
    Engine(#[from] EngineError),
}

impl Agent {
    /// Goes back to the release before.
    ///
    /// # Errors
    /// [`RollbackError`].
    pub fn roll_back(&self, package: &PackageName) -> Result<Ended, RollbackError> {
        self.home.prepare()?;
        let _lock = self.home.lock_cycle()?;
        let mut spool = Spool::open_or_begin_anew(&self.home, self.now())?;
        let mut engine = Engine::new(self.ground(), &mut spool);
        engine.recover()?;
        match engine.roll_back(package) {
            Ok(ended) => Ok(ended),
            Err(error) => {
                if let Err(again) = engine.recover() {
                    tracing::error!("{}", super::with_causes(&again));
                }
                Err(error.into())
            }
        }
    }
}

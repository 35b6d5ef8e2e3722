//! The record as launchers and cycles read and write it: a damaged one is put aside, and every write has fault points.

use sealpost_files::with_causes;

use crate::domain::self_update::launch::Me;
use crate::domain::self_update::record::{SelfRecord, SlotProgram};
use crate::domain::self_update::step::TrialStep;
use crate::flows::context::Host;
use crate::platform::program::is_own;
use crate::ports::Killed;
use crate::records::self_state::{self, SelfStateError};

/// Tells a program which one the launcher executed, by the digest of its manifest.
pub(super) const EXECUTED: &str = "SEALPOST_AGENT_SLOT";

/// Tells a program that the launcher executed where the packaged one is.
pub(super) const PACKAGED: &str = "SEALPOST_AGENT_PACKAGED";

/// Why a step was not recorded.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    #[error(transparent)]
    State(#[from] SelfStateError),
    #[error(transparent)]
    Killed(#[from] Killed),
}

/// The record. One that is damaged is put aside: the record of the package, which the site's documents vouch for, says
/// what is stable. The caller holds the watch lock.
pub(super) fn load_or_put_aside(host: &Host) -> Result<SelfRecord, SelfStateError> {
    match self_state::load(&host.home) {
        Err(error @ SelfStateError::Damaged(_)) => {
            tracing::error!("{}", with_causes(&error));
            self_state::put_aside(&host.home)?;
            Ok(SelfRecord::default())
        }
        other => other,
    }
}

/// Records a step of a trial. The caller holds the watch lock. A record that stands there counts, also if the disk would not
/// say that it is durable: every launcher acts on it, so the caller must not go on as if there were none. What a loss of
/// power takes back then is the whole step.
pub(super) fn save(host: &Host, step: TrialStep, record: &SelfRecord) -> Result<(), RecordError> {
    host.faults.at(&format!("before-{}", step.name()))?;
    if let Err(error) = self_state::save(&host.home, record) {
        if self_state::load(&host.home).ok().as_ref() != Some(record) {
            return Err(error.into());
        }
        tracing::warn!("the record of the agent's own program may not be durable: {}", with_causes(&error));
    }
    host.faults.at(&format!("after-{}", step.name()))?;
    Ok(())
}

/// Which program this process runs, among those that the record names.
pub(super) fn me(record: &SelfRecord) -> Me {
    let trial = record.trial.as_ref();
    let named =
        [record.stable.as_ref(), trial.map(|trial| &trial.to), trial.and_then(|trial| trial.from.as_ref())];
    // A slot that was built anew has the same program in another file.
    let executed = std::env::var(EXECUTED).ok();
    let is_executed = |program: &&SlotProgram| {
        executed.as_ref().is_some_and(|name| *name == program.manifest().to_string())
    };
    let mut named = named.into_iter().flatten();
    let own = named.clone().find(|program| is_own(&program.path)).or_else(|| named.find(is_executed));
    match own.map(|program| *program.manifest()).or_else(|| executed.as_ref()?.parse().ok()) {
        Some(manifest) => Me::Slot(manifest),
        None => Me::Packaged(env!("CARGO_PKG_VERSION").to_owned()),
    }
}

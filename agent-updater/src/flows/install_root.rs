//! Looking whether the install root is the one in which the packages were installed, noting it, and a person's word that a
//! new one takes its place; the rule stands in [`crate::domain::install_root`].
//!
//! Invariant: a look changes nothing.

use std::error::Error;

use sealpost_files::with_causes;
use sealpost_keys::token::random_bytes;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::install_root::{Seen, Verdict, judge};
use crate::domain::record::Installed;
use crate::domain::release::Refusal;
use crate::domain::self_update::record::SelfRecord;
use crate::platform::store::StoreError;
use crate::records::{install_root, packages, self_state};
use crate::slots::beneath::BeneathError;
use crate::slots::{Slots, read_mark, write_mark};

use super::context::Host;

/// Why the install root cannot be looked at or marked.
#[derive(Debug, thiserror::Error)]
pub enum InstallRootError {
    #[error("the install root cannot be used")]
    Root(#[from] BeneathError),
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    #[error("there is no randomness to mark the install root with")]
    Random(#[source] Box<dyn Error + Send + Sync>),
}

struct Look {
    verdict: Verdict,
    found: Option<Sha256Digest>,
}

fn look(host: &Host) -> Result<Look, InstallRootError> {
    let root = &host.settings.install_root;
    let (known, found) = (install_root::load(&host.home)?, read_mark(root)?);
    let mut is_anything_installed = false;
    let mut installed: Vec<Installed> = Vec::new();
    for record in packages::load_all(&host.home)?.into_values() {
        match record {
            Ok(record) => installed.extend(record.current.into_iter().chain(record.previous)),
            // Of one that cannot be read nobody knows that nothing is installed.
            Err(_) => is_anything_installed = true,
        }
    }
    // A program of the agent that is on trial stands in no record of a package yet. What is damaged of it is told elsewhere.
    let SelfRecord { stable, trial, .. } = self_state::load(&host.home).unwrap_or_default();
    let programs = stable.into_iter().chain(trial.map(|trial| trial.to));
    installed.extend(programs.map(|program| program.installed));
    is_anything_installed |= !installed.is_empty();
    let mut is_a_slot_there = false;
    for Installed { release, slot, .. } in &installed {
        is_a_slot_there |= match Slots::find(root, &release.package)? {
            Some(slots) => slots.has(slot)?,
            None => false,
        };
    }
    let seen = Seen { known: known.as_ref(), found: found.as_ref(), is_anything_installed, is_a_slot_there };
    Ok(Look { verdict: judge(&seen), found })
}

/// What to tell people if what is installed lies elsewhere.
#[must_use]
pub fn problem(host: &Host) -> Option<String> {
    let is_elsewhere = look(host).is_ok_and(|look| look.verdict == Verdict::Elsewhere);
    is_elsewhere.then(|| told(host))
}

fn told(host: &Host) -> String {
    let root = host.settings.install_root.display();
    format!(
        "nothing of what is installed is in the install root {root}: its disk may not be mounted, or the folders were \
         moved; mount it, or name their new place as `install_root` in agent.toml; if they are lost for good, run \
         `agent-updater repair --new-install-root`"
    )
}

/// Checks, before anything is changed, that it is the right one, and notes a new one.
///
/// # Errors
/// [`Refusal`].
pub(super) fn ensure(host: &Host) -> Result<(), Refusal> {
    let noted = match look(host) {
        Ok(Look { verdict: Verdict::Elsewhere, .. }) => {
            return Err(Refusal::new(ReasonCode::LocalFault, told(host)));
        }
        Ok(Look { verdict: Verdict::Same, .. }) => Ok(()),
        Ok(Look { verdict: Verdict::Adopt, found }) => adopt(host, found),
        Err(error) => Err(error),
    };
    noted.map_err(|error| {
        let is_full = matches!(&error, InstallRootError::Root(error) if error.is_disk_full());
        let reason = if is_full { ReasonCode::DiskFull } else { ReasonCode::LocalFault };
        Refusal::new(reason, with_causes(&error))
    })
}

/// Takes the install root as it is, because a person says that what was installed elsewhere is lost for good.
///
/// # Errors
/// [`InstallRootError`].
pub fn accept_new(host: &Host) -> Result<(), InstallRootError> {
    adopt(host, read_mark(&host.settings.install_root)?)
}

fn adopt(host: &Host, found: Option<Sha256Digest>) -> Result<(), InstallRootError> {
    let mark = match found {
        Some(mark) => mark,
        None => {
            let random = random_bytes::<32>().map_err(|error| InstallRootError::Random(error.into()))?;
            let mark = Sha256Digest::of(&random);
            write_mark(&host.settings.install_root, &mark)?;
            mark
        }
    };
    Ok(install_root::save(&host.home, mark)?)
}

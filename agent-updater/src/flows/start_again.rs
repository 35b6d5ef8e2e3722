//! Starting products again that could not be started.
//!
//! A reconciler: it tries what is due, and keeps in the package's record how that ended. Invariant: it starts only what
//! `current` names, and only where no change is open: a change starts its product itself.

use std::sync::atomic::Ordering;

use jiff::Timestamp;
use sealpost_files::{escape, with_causes};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::not_started::{NotStarted, StartFault};
use crate::domain::record::{Installed, PackageRecord};
use crate::hooks::{Hook, HookContext, HookDone, run_hook};
use crate::journal::Journal;
use crate::platform::store::StoreError;
use crate::records::packages;
use crate::slots::{Current, Slots};

use super::context::Host;
use super::{install_root, linked};

/// Which products are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starts {
    /// Those whose pause is over.
    Due,
    /// All: the agent was started, or a person asks.
    All,
}

/// The products that could not be started, and since when.
///
/// # Errors
/// [`StoreError`] when the records cannot be listed: then it is not known that all run.
pub(super) fn down(host: &Host) -> Result<Vec<(PackageName, NotStarted)>, StoreError> {
    // What is down does not depend on where a link leads.
    let records = packages::load_all(&host.home)?;
    let records = records.into_iter().filter_map(|(package, record)| Some((package, record.ok()?)));
    Ok(records.filter_map(|(package, record)| Some((package, record.not_started?))).collect())
}

/// When the next product is to be tried again.
pub(super) fn next_try(host: &Host) -> Option<Timestamp> {
    let now = host.now();
    down(host).ok()?.iter().map(|(_, state)| state.due_at(now)).min()
}

/// The sentence about a product that could not be started, for people.
pub(super) fn told(state: &NotStarted) -> String {
    escape(&state.sentence())
}

/// Tries to start what could not be started; `false` if it did not come to that. The caller holds the lock of the cycle.
pub(super) fn start_again(host: &Host, which: Starts) -> bool {
    // Without a disk that is there nothing is started, and an open change starts its product itself.
    let is_open = !matches!(Journal::of(&host.home, &*host.faults).open_change(), Ok(None));
    if is_open || install_root::problem(host).is_some() {
        return false;
    }
    let records = match linked::load_all(host) {
        Ok(records) => records,
        Err(error) => {
            tracing::error!("it is not known what is to be started again: {}", with_causes(&error));
            return false;
        }
    };
    for (package, record) in records {
        if host.stop.load(Ordering::SeqCst) {
            return false;
        }
        let Ok(record) = record else { continue };
        let Some(state) = record.not_started.clone() else { continue };
        if which == Starts::Due && !state.is_due(host.now()) {
            continue;
        }
        let Some(installed) = record.current.clone() else { continue };
        let fault = start(host, &installed).err();
        note(host, record, (&installed, &state), fault.as_ref());
        if let Some(fault) = fault {
            tracing::error!(%package, reason = %fault.reason, "still not started: {}", fault.detail);
        }
    }
    true
}

fn start(host: &Host, installed: &Installed) -> Result<(), StartFault> {
    let package = &installed.release.package;
    let local = |detail| StartFault { reason: ReasonCode::LocalFault, detail };
    let slots = match Slots::find(&host.settings.install_root, package) {
        Ok(slots) => slots.ok_or_else(|| local("its folder is gone".to_owned()))?,
        Err(error) => return Err(local(with_causes(&error))),
    };
    match slots.find_current() {
        Ok(Current::Slot(slot)) if slot == installed.slot => {}
        Ok(_) => {
            let path = slots.current_path();
            return Err(local(format!(
                "{} does not lead to it; `agent-updater repair {package}` puts that right",
                path.display()
            )));
        }
        Err(error) => return Err(local(with_causes(&error))),
    }
    let context = HookContext {
        release: &installed.release,
        slot: slots.path_of(&installed.slot),
        current: slots.current_path(),
    };
    match run_hook(&host.runner, Hook::Start, host.settings.package(package), &context) {
        Ok(HookDone::Ran) => Ok(()),
        Ok(HookDone::NotConfigured) => Err(local(format!(
            "no start hook is configured any more; start the product, then run `agent-updater repair {package}`"
        ))),
        Err(fault) => Err(StartFault { reason: fault.reason, detail: fault.detail }),
    }
}

/// The server hears of it by the next contact, which names what does not run. A report would take the place of the one that
/// says why a newer release failed here.
fn note(
    host: &Host,
    record: PackageRecord,
    (installed, state): (&Installed, &NotStarted),
    fault: Option<&StartFault>,
) {
    let release = &installed.release;
    let after = record.after_start(release, fault, host.now());
    if let Err(error) = packages::save(&host.home, &release.package, &after) {
        tracing::error!(%release, error = with_causes(&error), "how its start ended is not on disk yet");
    }
    if fault.is_none() {
        tracing::info!(%release, since = %state.since, "was started again");
    }
}

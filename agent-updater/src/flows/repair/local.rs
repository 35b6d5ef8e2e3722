//! The part of a repair that needs no server.

use std::collections::BTreeMap;

use sealpost_files::with_causes;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::trust::TrustDocument;
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::record::{Installed, PackageRecord};
use crate::flows::context::Host;
use crate::flows::cycle::Repairs;
use crate::flows::install::{ChangeEnd, Engine, EngineError};
use crate::flows::self_update::packaged::lose;
use crate::flows::{install_root, linked, reports};
use crate::home::HomeError;
use crate::hooks::Hook;
use crate::journal::{Journal, JournalError};
use crate::platform::store::StoreError;
use crate::records::manifests::KeptManifestError;
use crate::records::{manifests, packages, self_state};
use crate::slots::{Current, SlotFault, Slots};

use super::record::load_or_make;

/// Why a repair could not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum RepairError {
    #[error(transparent)]
    Home(#[from] HomeError),
    /// What is installed lies elsewhere, and is not to be forgotten.
    #[error("{0}")]
    InstallRoot(String),
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the repair could not be finished; run it again")]
    Engine(#[from] EngineError),
}

/// What was done, and what needs bytes from the server.
#[derive(Debug, Default)]
pub(super) struct Local {
    pub(super) lines: Vec<String>,
    pub(super) failed: bool,
    /// Packages of which what is installed is to be built again.
    pub(super) needs_bytes: Repairs,
}

/// Whether a package that is whole is started all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    LeaveAlone,
    StartAgain,
}

/// # Errors
/// [`RepairError`].
pub(super) fn repair(host: &Host, only: Option<&PackageName>) -> Result<Local, RepairError> {
    host.home.prepare()?;
    let _lock = host.home.lock_cycle()?;
    if let Some(problem) = install_root::problem(host) {
        return Err(RepairError::InstallRoot(problem));
    }
    let mut spool = reports::open(host)?;
    let mut engine = Engine::new(host, &mut spool);
    let mut local = Local::default();
    let whole = end_open_change(host, &mut engine, &mut local)?;
    let trust = linked::trust(host);
    for package in wanted(host, only, whole)? {
        let record = load_or_make(host, &package, trust.as_ref(), &mut local.lines)?;
        let record = without_damaged_previous(host, &package, record, trust.as_ref(), &mut local)?;
        if package.is_agent() {
            repair_agent(host, record.current.as_ref(), trust.as_ref(), &mut local)?;
            continue;
        }
        let Some(installed) = record.current else {
            local.lines.push(format!(
                "nothing of {package} is installed; what is assigned is installed at the next contact"
            ));
            local.failed |= only == Some(&package);
            continue;
        };
        if !is_whole(host, &installed, trust.as_ref()) {
            local.needs_bytes.insert(package);
            continue;
        }
        let is_down = record.not_started.is_some();
        if is_linked(host, &installed) && whole == Whole::LeaveAlone && !is_down {
            local.lines.push(format!("{} is as it was signed", installed.release));
            continue;
        }
        let end = engine.repair(&installed, None).or_else(|error| end_now(&mut engine, error))?;
        let (line, is_good) = told(host, &installed, &end);
        local.lines.push(line);
        local.failed |= !is_good;
    }
    if whole == Whole::StartAgain
        && let Err(error) = Journal::of(&host.home, &*host.faults).note_all_started()
    {
        tracing::warn!(%error, "the journal that was put aside cannot be renamed");
    }
    Ok(local)
}

/// The agent's own release: no engine starts it. Its link is put right here, and what is not as it was signed is taken for
/// lost, so that the next contact builds it again while the packaged program runs.
fn repair_agent(
    host: &Host,
    current: Option<&Installed>,
    trust: Option<&TrustDocument>,
    local: &mut Local,
) -> Result<(), EngineError> {
    let package = PackageName::agent();
    let failed = |source| EngineError::Slots { package: package.clone(), source };
    let slots = Slots::find(&host.settings.install_root, &package).map_err(failed)?;
    if let Some(slots) = &slots
        && slots.put_no_link_aside().map_err(failed)?
    {
        let path = slots.current_path();
        local.lines.push(format!("what stood in the place of the link {} was put aside", path.display()));
    }
    let Some(current) = current else {
        let trial = self_state::load(&host.home).ok().and_then(|record| record.trial);
        local.lines.push(match trial {
            Some(trial) => format!(
                "{} is on trial, and was checked before it began; no other release of the agent is recorded as installed",
                trial.to.installed.release
            ),
            None => {
                "no release of the agent is recorded as installed: the packaged program is the agent".to_owned()
            }
        });
        return Ok(());
    };
    let release = &current.release;
    let condition = trust.map(|trust| condition(host, current, trust));
    let line = match (condition, slots) {
        (Some(Condition::Whole), _) if is_linked(host, current) => format!("{release} is as it was signed"),
        (Some(Condition::Whole), Some(slots)) => {
            slots.switch(Some(&current.slot)).map_err(failed)?;
            format!("the link to {release} is in its place again")
        }
        // Without the vendor's keys nobody can say that it is damaged.
        (None, _) => format!("{release} cannot be checked before the next contact"),
        (Some(Condition::Unknown(why)), _) => {
            local.failed = true;
            format!("{release} could not be looked at, and stays as it is: {why}")
        }
        (Some(Condition::Damaged | Condition::Whole), _) => {
            match lose(host, "its files are not as they were signed") {
                Ok(true) => format!(
                    "{release} is not as it was signed: the packaged program is the agent until the next contact has built \
                 it again"
                ),
                Ok(false) => format!("{release} is not as it was signed; the next contact decides about it"),
                Err(error) => {
                    local.failed = true;
                    format!("{release} is not repaired: {}", with_causes(&error))
                }
            }
        }
    };
    local.lines.push(line);
    Ok(())
}

/// Ends what an interrupted change left. A journal that leads nowhere is put aside.
fn end_open_change(host: &Host, engine: &mut Engine<'_>, local: &mut Local) -> Result<Whole, RepairError> {
    let journal = Journal::of(&host.home, &*host.faults);
    let error = match engine.recover() {
        // A repair that was killed after it put a journal aside is gone on with.
        Ok(_) if journal.is_put_aside() => return Ok(Whole::StartAgain),
        Ok(_) => return Ok(Whole::LeaveAlone),
        Err(error) => error,
    };
    let leads_nowhere = match &error {
        EngineError::Journal(JournalError::Store(store)) => {
            matches!(store, StoreError::Damaged { .. } | StoreError::Foreign { .. })
        }
        // The change stopped at something that is repaired here.
        EngineError::Slots { .. } | EngineError::Store(StoreError::Damaged { .. }) => true,
        _ => false,
    };
    if !leads_nowhere {
        return Err(error.into());
    }
    journal.put_aside()?;
    let why = with_causes(&error);
    local.lines.push(format!("the install journal is put aside, and every product is started again ({why})"));
    Ok(Whole::StartAgain)
}

/// A change that has no end is ended now and not at the next contact: the product may be stopped.
fn end_now(engine: &mut Engine<'_>, error: EngineError) -> Result<ChangeEnd, EngineError> {
    if error.is_killed() {
        return Err(error);
    }
    tracing::error!("{}", with_causes(&error));
    match engine.recover()? {
        // It may be as it should be now, and nobody looked: whoever asked asks once more.
        Some((_, ChangeEnd::Kept)) | None => Err(error),
        Some((_, end)) => Ok(end),
    }
}

fn wanted(host: &Host, only: Option<&PackageName>, whole: Whole) -> Result<Vec<PackageName>, StoreError> {
    match only {
        Some(package) if whole == Whole::LeaveAlone => Ok(vec![package.clone()]),
        _ => Ok(packages::load_all(&host.home)?.into_keys().collect()),
    }
}

/// What a look at an installed release says of it.
enum Condition {
    Whole,
    /// It is gone or not as it was signed, or nobody trusts what was signed any more.
    Damaged,
    /// It could not be looked at, so nothing is known of it: others may write in a folder above it, or the disk fails.
    Unknown(String),
}

fn condition(host: &Host, installed: &Installed, trust: &TrustDocument) -> Condition {
    let manifest = match manifests::read_and_verify(&host.home, installed, trust) {
        Ok(manifest) => manifest,
        Err(error @ KeptManifestError::Unreadable(..)) => return Condition::Unknown(with_causes(&error)),
        Err(_) => return Condition::Damaged,
    };
    let slots = match Slots::find(&host.settings.install_root, &installed.release.package) {
        Ok(Some(slots)) => slots,
        Ok(None) => return Condition::Damaged,
        Err(error) if error.says_nothing() => return Condition::Unknown(with_causes(&error)),
        Err(_) => return Condition::Damaged,
    };
    match slots.check(&installed.slot, &manifest) {
        Ok(()) => Condition::Whole,
        Err(SlotFault::Unreadable(error)) if error.says_nothing() => Condition::Unknown(with_causes(&error)),
        Err(_) => Condition::Damaged,
    }
}

fn is_whole(host: &Host, installed: &Installed, trust: Option<&TrustDocument>) -> bool {
    trust.is_some_and(|trust| matches!(condition(host, installed, trust), Condition::Whole))
}

fn is_linked(host: &Host, installed: &Installed) -> bool {
    let slots = Slots::find(&host.settings.install_root, &installed.release.package).ok().flatten();
    slots.is_some_and(|slots| {
        slots.find_current().is_ok_and(|current| current == Current::Slot(installed.slot.clone()))
    })
}

/// A release that cannot be gone back to is not offered any more: the server hands out what is assigned, and it is not.
fn without_damaged_previous(
    host: &Host,
    package: &PackageName,
    record: PackageRecord,
    trust: Option<&TrustDocument>,
    local: &mut Local,
) -> Result<PackageRecord, StoreError> {
    let (Some(trust), Some(previous)) = (trust, record.previous.as_ref()) else { return Ok(record) };
    match condition(host, previous, trust) {
        Condition::Whole => return Ok(record),
        Condition::Damaged => {}
        Condition::Unknown(why) => {
            local.failed = true;
            local.lines.push(format!(
                "{}, which a rollback goes to, could not be looked at, and is kept as it is: {why}",
                previous.release
            ));
            return Ok(record);
        }
    }
    local.lines.push(format!(
        "{} is damaged, and the server hands out only what is assigned: there is no rollback to it any more",
        previous.release
    ));
    let record = PackageRecord { previous: None, ..record };
    packages::save(&host.home, package, &record)?;
    Ok(record)
}

/// What became of a package, for people, and whether it is good.
fn told(host: &Host, installed: &Installed, end: &ChangeEnd) -> (String, bool) {
    let release = &installed.release;
    let has_start = Hook::Start.is_configured(host.settings.package(&release.package));
    match end {
        ChangeEnd::Kept if has_start => (format!("{release} is repaired and started"), true),
        ChangeEnd::Kept => (
            format!(
                "{release} is repaired; no start hook is configured, so start the product if it does not run"
            ),
            true,
        ),
        // Of the agent's own package only, which no engine repairs.
        ChangeEnd::OnTrial => (format!("{release} is on trial"), true),
        ChangeEnd::NotNow(_) => (format!("{release} was not touched; see `agent-updater status`"), false),
        ChangeEnd::RolledBack(
            reason @ (ReasonCode::HookFailed | ReasonCode::HookTimedOut | ReasonCode::HookRefused),
        ) => (
            format!("{release} is in its place again, but its hooks fail ({reason}); look at the product"),
            false,
        ),
        ChangeEnd::RolledBack(reason) => {
            (format!("{release} is not repaired ({reason}); the agent's log says why"), false)
        }
        ChangeEnd::Down(refusal) => (refusal.detail.clone(), false),
        ChangeEnd::Refused(refusal) => (format!("{release} is not repaired: {refusal}"), false),
    }
}

/// What is installed of each package, by its record.
pub(super) fn installed(host: &Host) -> BTreeMap<PackageName, Installed> {
    let records = packages::load_all(&host.home).unwrap_or_default();
    records.into_iter().filter_map(|(package, record)| Some((package, record.ok()?.current?))).collect()
}

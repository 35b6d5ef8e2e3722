//! A rollback that a person at the computer asks for. It needs no license and no server.

use sealpost_files::{escape, with_causes};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::report::ReasonCode;

use crate::control::{Answer, AnswerCode, ToUnwanted};
use crate::domain::record::PackageRecord;
use crate::domain::release::Refusal;
use crate::domain::rollback::why_left;
use crate::home::{Home, HomeError};
use crate::platform::store::StoreError;
use crate::records::holdings::Holdings;
use crate::records::packages;
use crate::records::progress::Progress;
use crate::records::withdrawn::Withdrawals;

use super::context::Host;
use super::install::{ChangeEnd, Engine, EngineError};
use super::linked;
use super::reports;
use super::self_update::packaged::{GoBackError, back_to_packaged, note_attempt};
use super::self_update::settle::{SettleError, call_off, settle};

/// Why a rollback did not end.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    #[error("the rollback could not be finished")]
    Engine(#[from] EngineError),
    #[error("the rollback of the agent could not be recorded")]
    OwnRecord(#[from] GoBackError),
    #[error("the rollback of the agent is not noted everywhere yet; the next contact does that")]
    Settle(#[from] SettleError),
}

/// Goes back to the previous release.
///
/// # Errors
/// [`RollbackError`].
pub fn roll_back(host: &Host, package: &PackageName, to: ToUnwanted) -> Result<ChangeEnd, RollbackError> {
    host.home.prepare()?;
    let _lock = host.home.lock_cycle()?;
    let mut spool = reports::open(host)?;
    Engine::new(host, &mut spool).recover()?;
    if package.is_agent() && call_off(host, &mut spool)? {
        return Ok(ChangeEnd::Kept);
    }
    let (record, is_raised) = in_assigned_attempt(host, linked::load(host, package)?);
    // Of the agent itself there is always the packaged program to go back to.
    let is_first = package.is_agent() && record.previous.is_none();
    if is_first && back_to_packaged(host)? {
        settle(host, &mut spool)?;
        return Ok(ChangeEnd::Kept);
    }
    if to == ToUnwanted::Refuse
        && let Some(refusal) = unwanted(&host.home, &record)
    {
        return Ok(ChangeEnd::Refused(refusal));
    }
    if is_raised {
        keep_attempt(host, package, &record);
    }
    let mut engine = Engine::new(host, &mut spool);
    match engine.roll_back(package) {
        Ok(end) => Ok(end),
        Err(error) => {
            if let Err(again) = engine.recover() {
                tracing::error!("{}", with_causes(&again));
            }
            Err(error.into())
        }
    }
}

/// As [`roll_back`], and what the person who asked is told: also whether the way leads forward again.
///
/// # Errors
/// [`RollbackError`].
pub fn asked(host: &Host, package: &PackageName, to: ToUnwanted) -> Result<Answer, RollbackError> {
    let before = linked::load(host, package).unwrap_or_default();
    let end = roll_back(host, package, to)?;
    let mut answer = answer(package, &end);
    if end == ChangeEnd::Kept
        && let Some(line) = way(package, &before)
    {
        answer.lines = vec![escape(&line)];
    }
    Ok(answer)
}

/// What a rollback that succeeded led to, from a record of before it.
fn way(package: &PackageName, before: &PackageRecord) -> Option<String> {
    let (from, to) = before.current.as_ref().zip(before.previous.as_ref()).filter(|_| !package.is_agent())?;
    let (from, to) = (&from.release.version, &to.release.version);
    let stays = "it stays there until another release is assigned";
    let Some(reason) = before.previous_given_up() else {
        return Some(format!("{package} is back at {to}, which ran here before {from}; {stays}"));
    };
    let why = match reason {
        ReasonCode::AskedLocally => "by an earlier rollback at this computer".to_owned(),
        _ => why_left(before).unwrap_or_default(),
    };
    Some(format!(
        "{package} is at {to} AGAIN, the release that this computer had left before ({why}); {from} is what the next rollback \
         goes to; {stays}"
    ))
}

/// The record, with what runs in the attempt in which the server assigns it: that is what the person leaves. It is a later
/// one than that which brought it if an administrator raised it since, and not known if the record was made again.
fn in_assigned_attempt(host: &Host, mut record: PackageRecord) -> (PackageRecord, bool) {
    // The way back needs nothing of the server: what it said only makes the attempt exact.
    let progress = Progress::load(&host.home).ok();
    let holdings = progress.and_then(|progress| Holdings::load(&host.home, &progress, host.now()).ok());
    let assignment = holdings.as_ref().and_then(|holdings| holdings.assignment.good());
    let Some((current, assignment)) = record.current.as_mut().zip(assignment) else { return (record, false) };
    let assigned = assignment.packages.iter().find(|wanted| wanted.manifest == current.manifest);
    let Some(assigned) = assigned.filter(|wanted| wanted.attempt > current.attempt) else {
        return (record, false);
    };
    (current.rollout, current.attempt) = (assigned.rollout, assigned.attempt);
    (record, true)
}

/// Keeps the attempt in which the present release is left. It makes the way back exact and holds it up by nothing, as on a full
/// disk.
fn keep_attempt(host: &Host, package: &PackageName, record: &PackageRecord) {
    let noted = match &record.current {
        Some(current) if package.is_agent() => {
            note_attempt(host, current).map_err(|error| with_causes(&error))
        }
        _ => Ok(()),
    };
    let kept =
        noted.and_then(|()| packages::save(&host.home, package, record).map_err(|error| with_causes(&error)));
    if let Err(error) = kept {
        tracing::error!(%package, error, "the attempt that is left cannot be kept");
    }
}

/// What speaks against the kept release: a person goes back to it only who says so.
fn unwanted(home: &Home, record: &PackageRecord) -> Option<Refusal> {
    let release = &record.previous.as_ref()?.release;
    let package = &release.package;
    let anyway = format!("`agent-updater rollback {package} --anyway` goes back to it all the same");
    if let Some(why) = Withdrawals::load(home).reason(release) {
        let detail = format!("the vendor withdrew {release}: {why}; {anyway}");
        return Some(Refusal::new(ReasonCode::ReleaseWithdrawn, detail));
    }
    let detail = format!(
        "{release} is what a rollback goes to, and {}; {anyway}, until the server assigns another release",
        why_left(record)?
    );
    Some(Refusal::new(ReasonCode::RolledBackBefore, detail))
}

/// The answer to the person who asked.
#[must_use]
pub fn answer(package: &PackageName, end: &ChangeEnd) -> Answer {
    match end {
        ChangeEnd::Kept if package.is_agent() => Answer {
            ok: true,
            code: AnswerCode::RolledBack,
            lines: vec![
                "the program of before is the agent, as `agent-updater status` says; it stays so until another release is \
                 assigned"
                    .to_owned(),
            ],
        },
        ChangeEnd::Kept => Answer {
            ok: true,
            code: AnswerCode::RolledBack,
            lines: vec![format!(
                "{package} is back at the previous release; it stays there until another release is assigned"
            )],
        },
        ChangeEnd::OnTrial => Answer {
            ok: true,
            code: AnswerCode::OnTrial,
            lines: vec![format!(
                "the previous release of {package} is on trial; it is kept once it completed a contact and ran on after it, \
                 see `agent-updater status`"
            )],
        },
        ChangeEnd::NotNow(_) => Answer {
            ok: false,
            code: AnswerCode::Other,
            lines: vec![format!("{package} was not touched; see `agent-updater status`")],
        },
        ChangeEnd::Refused(refusal) => {
            let code = match refusal.reason {
                ReasonCode::ReleaseWithdrawn => AnswerCode::Withdrawn,
                ReasonCode::RolledBackBefore => AnswerCode::LeftBefore,
                _ => AnswerCode::NothingToGoBackTo,
            };
            Answer { ok: false, code, lines: vec![escape(&refusal.detail)] }
        }
        ChangeEnd::RolledBack(reason) => Answer {
            ok: false,
            code: AnswerCode::RollbackFailed,
            lines: vec![format!(
                "the previous release does not work here ({reason}); {package} is at the same release as before, which was \
                 started again"
            )],
        },
        ChangeEnd::Down(refusal) => Answer {
            ok: false,
            code: AnswerCode::RollbackFailed,
            lines: vec![
                "the previous release does not work here".to_owned(),
                escape(&refusal.detail),
            ],
        },
    }
}

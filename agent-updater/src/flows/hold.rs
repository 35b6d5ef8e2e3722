//! What a person at the computer says about an install that waits: not for a while, or now.
//!
//! Invariant: the site decides what is installed, and within which times. A person puts off as far as the assignment lets
//! them, and starts what it leaves to them; neither opens a window.

use jiff::SignedDuration;
use sealpost_files::{escape, with_causes};
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::ids::PackageName;

use crate::control::{Answer, AnswerCode, HoldFor};
use crate::domain::policy::Decision;
use crate::domain::timing::Wait;
use crate::home::HomeError;
use crate::platform::store::StoreError;
use crate::records::holdings::{Holdings, HoldingsError};
use crate::records::progress::Progress;

use super::context::{Context, Host};
use super::cycle::{self, CycleResult, Starts, decision};

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// Nothing is installed for so long.
    For(SignedDuration),
    /// The hold ends now.
    End,
}

impl From<HoldFor> for Hold {
    fn from(length: HoldFor) -> Self {
        match length {
            HoldFor::Seconds(secs) => Self::For(SignedDuration::from_secs(i64::from(secs))),
            HoldFor::End => Self::End,
        }
    }
}

/// Why nothing could be noted.
#[derive(Debug, thiserror::Error)]
enum HoldError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Holdings(#[from] HoldingsError),
}

/// What became of it for the packages that wait: a line for each, and whether all went as asked.
struct Noted {
    lines: Vec<String>,
    all: bool,
}

/// Puts off what waits to be installed, of one package or of all, or ends that. The cycle that follows tells the server.
pub fn hold(context: &Context, only: Option<&PackageName>, hold: Hold) -> (CycleResult, Answer) {
    let host = &context.host;
    let answer = match noted(host, only, |wanted, _, progress| put_off(host, wanted, hold, progress)) {
        Err(error) => failed(&error),
        Ok(Noted { lines, all }) => {
            let code = match (all, hold) {
                (false, _) => AnswerCode::NotPutOff,
                (true, Hold::For(_)) => AnswerCode::PutOff,
                (true, Hold::End) => AnswerCode::HoldEnded,
            };
            Answer { ok: all, code, lines }
        }
    };
    (CycleResult::at_once(host), answer)
}

/// Starts what waits for a person, of one package or of all: also what a person or the product put off.
pub fn install(context: &Context, only: Option<&PackageName>) -> (CycleResult, Answer) {
    let host = &context.host;
    match noted(host, only, |wanted, decision, progress| Ok(ask_for(host, wanted, &decision, progress))) {
        Err(error) => (CycleResult::at_once(host), failed(&error)),
        Ok(Noted { lines, all: false }) => {
            (CycleResult::at_once(host), Answer { ok: false, code: AnswerCode::NothingWaits, lines })
        }
        Ok(Noted { lines, all: true }) => {
            let result = cycle::run(context, Starts::All);
            let answer = result.answer();
            (result, Answer { lines: [lines, answer.lines.clone()].concat(), ..answer })
        }
    }
}

fn failed(error: &HoldError) -> Answer {
    Answer { ok: false, code: AnswerCode::Failed, lines: vec![escape(&with_causes(error))] }
}

/// Does it for every assigned package that is to be changed, and keeps the result.
fn noted(
    host: &Host,
    only: Option<&PackageName>,
    mut note: impl FnMut(&PackageAssignment, Decision, &mut Progress) -> Result<String, String>,
) -> Result<Noted, HoldError> {
    host.home.prepare()?;
    let _lock = host.home.lock_cycle()?;
    let mut progress = Progress::load(&host.home)?;
    let holdings = Holdings::load(&host.home, &progress, host.now())?;
    let assigned =
        holdings.assignment.good().map(|assignment| assignment.packages.clone()).unwrap_or_default();
    let mut noted = Noted { lines: Vec::new(), all: true };
    for wanted in assigned.iter().filter(|wanted| only.is_none_or(|only| wanted.release.package == *only)) {
        let decision = decision(host, wanted, &holdings, &progress)?;
        if !is_to_be_changed(&decision) {
            continue;
        }
        let (line, is_done) = match note(wanted, decision, &mut progress) {
            Ok(line) => (line, true),
            Err(line) => (line, false),
        };
        noted.lines.push(escape(&format!("{}: {line}", wanted.release)));
        noted.all &= is_done;
    }
    if noted.lines.is_empty() {
        let what = only.map_or("nothing".to_owned(), |package| format!("nothing of {package}"));
        let line = format!("{what} waits to be installed; see `agent-updater status`");
        return Ok(Noted { lines: vec![line], all: false });
    }
    progress.save(&host.home)?;
    Ok(noted)
}

const fn is_to_be_changed(decision: &Decision) -> bool {
    matches!(
        decision,
        Decision::Install
            | Decision::RollBack
            | Decision::Prepare(_)
            | Decision::Waits(_)
            | Decision::Fetched { .. }
            | Decision::NotBefore(_)
            | Decision::WindowClosed { .. }
            | Decision::TriesAgain { .. }
    )
}

fn put_off(
    host: &Host,
    wanted: &PackageAssignment,
    hold: Hold,
    progress: &mut Progress,
) -> Result<String, String> {
    let now = progress.license_time(host.now());
    let before = progress.computer.put_off(wanted, now);
    let (after, line) = match hold {
        Hold::End if before.is_held(wanted, now) => (before.released(), "it is put off no more".to_owned()),
        Hold::End => return Err("nobody put it off".to_owned()),
        Hold::For(length) => {
            let after = before
                .hold(wanted, now, length)
                .map_err(|refusal| format!("it is not put off: {refusal}"))?;
            let until = after.held_until(wanted).unwrap_or(now);
            let times = wanted.postpone.map_or(0, |postpone| postpone.times);
            let line = format!(
                "put off until {until} ({} of {times} times); `agent-updater hold PACKAGE --end` ends that",
                after.holds()
            );
            (after, line)
        }
    };
    progress.computer.keep_put_off(&wanted.release.package, after);
    Ok(line)
}

fn ask_for(host: &Host, wanted: &PackageAssignment, decision: &Decision, progress: &mut Progress) -> String {
    let now = progress.license_time(host.now());
    let asked = progress.computer.put_off(wanted, now).asked_for();
    progress.computer.keep_put_off(&wanted.release.package, asked);
    match decision {
        Decision::Prepare(Wait::Window { opens_at }) | Decision::Waits(Wait::Window { opens_at }) => {
            format!("it starts when the site's window opens, at {opens_at}; nobody at this computer opens it")
        }
        Decision::NotBefore(at) => format!("the site lets nothing of it be downloaded before {at}"),
        Decision::WindowClosed { closed_at, .. } => {
            format!("the site's window closed at {closed_at}; it starts in the next one")
        }
        _ => "a person at this computer starts it".to_owned(),
    }
}

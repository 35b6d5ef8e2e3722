//! The flow of a cycle; see [`super`].

use jiff::{SignedDuration, Timestamp};
use sealpost_files::with_causes;
use sealpost_manifests::wire::problem::ProblemCode;

use crate::control::{Answer, AnswerCode};
use crate::domain::cadence::{ContactOutcome, Standing, at_opening, next_contact, standing_after};
use crate::flows::contact::{Access, ContactError, contact};
use crate::flows::context::{Context, Host, seed};
use crate::flows::drift::{self, Found, Keep};
use crate::flows::install::Engine;
use crate::flows::self_update::contacted;
use crate::flows::self_update::settle::settle;
use crate::flows::{gate, reports, retention};
use crate::records::holdings::{Holdings, HoldingsError};
use crate::records::progress::Progress;
use crate::records::standing::LastContact;
use crate::spool::Spool;

use super::decide::decision;
use super::metadata::correct_time;
use super::problems::Problems;
use super::round::{Repairs, Round, Tries};

/// Upper bound on contacts in one cycle: the first, one after each round of installs to report them, and retries.
const MAX_ROUNDS: usize = 4;
/// Seconds until the next try when another process holds the lock.
const BUSY_SECS: i64 = 5;

/// The result of a cycle.
#[derive(Debug)]
pub struct CycleResult {
    /// When the next cycle is due.
    pub next_contact: Timestamp,
    /// The right to listen for wake events, if the contact was answered.
    pub access: Option<Access>,
    /// One line for everything that is not as it should be; empty when up to date.
    pub problems: Vec<String>,
    /// What a person should know, although nothing is to be done on this computer.
    pub notices: Vec<String>,
}

impl CycleResult {
    /// Of work that was no cycle; one follows at once, and reports it.
    pub(in crate::flows) fn at_once(host: &Host) -> Self {
        Self { next_contact: host.now(), access: None, problems: Vec::new(), notices: Vec::new() }
    }

    /// The answer to a person who asked for a contact.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let ok = self.problems.is_empty();
        let done = if ok { vec!["up to date".to_owned()] } else { self.problems.clone() };
        let code = if ok { AnswerCode::UpToDate } else { AnswerCode::NotUpToDate };
        Answer { ok, code, lines: [done, self.notices.clone()].concat() }
    }
}

pub fn run(context: &Context) -> CycleResult {
    run_with_repairs(context, &Repairs::new())
}

/// As [`run`], and of the packages that are named, what is installed and assigned is built again.
pub fn run_with_repairs(context: &Context, repairs: &Repairs) -> CycleResult {
    let host = &context.host;
    let _lock = match host.home.prepare().and_then(|()| host.home.lock_cycle()) {
        Ok(lock) => lock,
        Err(error) => return busy(host, with_causes(&error)),
    };
    let mut problems = Problems::default();
    let mut spool = match reports::open(host) {
        Ok(spool) => spool,
        Err(error) => return failed(host, with_causes(&error)),
    };
    if let Err(error) = Engine::new(host, &mut spool).recover() {
        let why = with_causes(&error);
        problems.add(format!("an interrupted install could not be finished: {why}"));
    }
    if let Err(error) = settle(host, &mut spool) {
        problems.add(format!("the end of a trial of the agent could not be noted: {}", with_causes(&error)));
    }
    let mut progress = match Progress::load(&host.home) {
        Ok(progress) => progress,
        Err(error) => return failed(host, with_causes(&error)),
    };
    progress.computer.floors.observe(host.now(), host.boot().as_ref());
    let access = rounds(context, repairs, &mut progress, &mut spool, &mut problems);
    let holdings = Holdings::load(&host.home, &progress, host.now()).ok();
    retention::collect(host, holdings.as_ref().and_then(|holdings| holdings.assignment.good()));
    let next = due(host, &progress, holdings.as_ref());
    progress.standing.next_contact = Some(next);
    update_gate(host, &mut progress, holdings.as_ref(), &mut problems);
    if let Err(error) = progress.save(&host.home) {
        problems.add(with_causes(&error));
    }
    let (problems, notices) = problems.into_lines();
    for problem in problems.iter().chain(&notices) {
        tracing::warn!("{problem}");
    }
    CycleResult { next_contact: next, access, problems, notices }
}

/// When the next contact is due: by the cadence, or when a window opens before.
fn due(host: &Host, progress: &Progress, holdings: Option<&Holdings>) -> Timestamp {
    let (now, seed) = (host.now(), seed());
    let next = next_contact(&host.settings.cadence, progress.standing.standing, now, seed);
    let Some(holdings) = holdings else { return next };
    let wanted = holdings.assignment.good().map(|assignment| &assignment.packages).into_iter().flatten();
    let opens_at =
        wanted.filter_map(|wanted| decision(host, wanted, holdings, progress).ok()?.changes_at()).min();
    opens_at.map_or(next, |opens_at| at_opening(next, opens_at, seed))
}

/// Another process holds the lock.
fn busy(host: &Host, problem: String) -> CycleResult {
    let next = host.now().saturating_add(SignedDuration::from_secs(BUSY_SECS));
    let next_contact = next.unwrap_or(Timestamp::MAX);
    CycleResult { next_contact, access: None, problems: vec![problem], notices: Vec::new() }
}

/// A cycle that could not even begin: nothing is installed, and the gate stays as it is.
fn failed(host: &Host, problem: String) -> CycleResult {
    tracing::error!("{problem}");
    let next = next_contact(&host.settings.cadence, Standing::LostContact, host.now(), seed());
    CycleResult { next_contact: next, access: None, problems: vec![problem], notices: Vec::new() }
}

fn rounds(
    context: &Context,
    repairs: &Repairs,
    progress: &mut Progress,
    spool: &mut Spool,
    problems: &mut Problems,
) -> Option<Access> {
    let host = &context.host;
    let mut access = None;
    let mut tries = Tries::new();
    // What a look found, as long as nothing was changed since: each walks the folders of every product.
    let mut looked: Option<Vec<Found>> = None;
    for _ in 0..MAX_ROUNDS {
        let mut holdings = match Holdings::load(&host.home, progress, host.now()) {
            Ok(holdings) => holdings,
            Err(error) => {
                problems.add(with_causes(&error));
                if !matches!(error, HoldingsError::NotEnrolled) {
                    note_failure(host, progress, with_causes(&error), None);
                }
                return access;
            }
        };
        let found = looked.get_or_insert_with(|| drift::look(host, Keep::Yes));
        let answered = match contact(context, &mut holdings, progress, spool, found) {
            Ok(answered) => answered,
            // The server did not fail: contact is neither good nor lost.
            Err(ContactError::Interrupted(error)) => {
                problems.add(error.to_string());
                return access;
            }
            Err(error) => {
                let text = with_causes(&error);
                note_failure(host, progress, text.clone(), error.refused());
                problems.add(text);
                return access;
            }
        };
        if let Some(access) = &answered.access
            && correct_time(context, &holdings, progress, access)
        {
            // What was refused by the wrong time comes again.
            if let Err(error) = progress.save(&host.home) {
                problems.add(with_causes(&error));
                return answered.access;
            }
            continue;
        }
        // Only what verifies after it is read back from disk counts.
        let holdings = match Holdings::load(&host.home, progress, host.now()) {
            Ok(holdings) => holdings,
            Err(error) => {
                problems.add(with_causes(&error));
                return access;
            }
        };
        let outcome = match holdings.lease.good() {
            Some(_) => ContactOutcome::AnsweredWithLease,
            None => ContactOutcome::AnsweredWithoutLease,
        };
        note_answer(host, progress, outcome);
        contacted::answered(host);
        progress.standing.next_contact = Some(due(host, progress, Some(&holdings)));
        progress.standing.notices = answered.notices;
        for notice in &progress.standing.notices {
            problems.add(notice.clone());
        }
        // The gate opens before an install, which may take long.
        update_gate(host, progress, Some(&holdings), problems);
        let has_tried = answered.access.as_ref().is_some_and(|access| {
            Round {
                context,
                holdings,
                progress: &mut *progress,
                spool: &mut *spool,
                access,
                repairs,
                metadata: None,
            }
            .carry_out(&mut tries)
        });
        access = answered.access;
        if has_tried {
            looked = None;
        }
        if let Err(error) = progress.save(&host.home) {
            problems.add(with_causes(&error));
        }
        let is_done = !has_tried && spool.is_empty() && !answered.was_retry;
        if is_done || context.network.is_interrupted() {
            break;
        }
    }
    let found = looked.unwrap_or_else(|| drift::look(host, Keep::Yes));
    problems.add_unfinished(host, progress, &found);
    access
}

fn note_answer(host: &Host, progress: &mut Progress, outcome: ContactOutcome) {
    let standing = &mut progress.standing;
    standing.standing = standing_after(standing.standing, outcome);
    standing.answered_at = Some(host.now());
    standing.last_contact = Some(LastContact { at: host.now(), problem: None, refused: None });
}

fn note_failure(host: &Host, progress: &mut Progress, problem: String, refused: Option<ProblemCode>) {
    let standing = &mut progress.standing;
    standing.standing = standing_after(standing.standing, ContactOutcome::AllFailed);
    standing.last_contact = Some(LastContact { at: host.now(), problem: Some(problem), refused });
}

fn update_gate(host: &Host, progress: &mut Progress, holdings: Option<&Holdings>, problems: &mut Problems) {
    if let Err(error) = gate::update(host, progress, holdings) {
        problems.add(format!("a gate file cannot be written: {error}"));
    }
}

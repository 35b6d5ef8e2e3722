//! The flow of a cycle; see [`super`].

use std::path::PathBuf;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sealpost_files::with_causes;
use sealpost_manifests::ids::ServerId;

use crate::control::{Answer, AnswerCode};
use crate::domain::cadence::{Standing, at_opening, next_contact};
use crate::domain::serving::{Tried, tried as tried_by};
use crate::flows::by_file::{Carrier, News, enroll_by_folder, exchange};
use crate::flows::contact::ContactError;
use crate::flows::context::{Context, Host, seed};
use crate::flows::drift::{self, Found, Keep};
use crate::flows::enroll;
use crate::flows::install::Engine;
use crate::flows::origin::Reads;
use crate::flows::self_update::contacted;
use crate::flows::self_update::settle::{call_off_for_site, settle};
use crate::flows::start_again::{Starts, next_try, start_again};
use crate::flows::{gate, reports, retention, servers};
use crate::home::HomeError;
use crate::records::holdings::{Holdings, HoldingsError};
use crate::records::progress::Progress;
use crate::records::standing::LastContact;
use crate::spool::Spool;

use super::decide::decision;
use super::metadata::correct_time;
use super::others::{Served, contact_others, failed_contact, note_answer, note_failure};
use super::problems::Problems;
use super::round::{Repairs, Round, Tries};

/// Upper bound on contacts in one cycle: the first, one after each round of installs to report them, and retries.
const MAX_ROUNDS: usize = 4;
/// Least time for downloads between two contacts that the server did not ask for.
const LEAST_DOWNLOAD_TIME: Duration = Duration::from_secs(15 * 60);
/// Upper bound on further contacts in one cycle for which downloads make way; what is left goes on in the next.
const MAX_INTERRUPTIONS: usize = 64;
/// Seconds until the next try when another process holds the lock.
const BUSY_SECS: i64 = 5;

/// The result of a cycle.
#[derive(Debug)]
pub struct CycleResult {
    /// When the next cycle is due.
    pub next_contact: Timestamp,
    /// Whether the server assigns any package.
    pub is_anything_assigned: bool,
    /// One line for everything that is not as it should be; empty when up to date.
    pub problems: Vec<String>,
    /// What a person should know, although nothing is to be done on this computer.
    pub notices: Vec<String>,
    /// Whether it came to the products that could not be started before.
    pub has_tried_starts: bool,
}

impl CycleResult {
    /// Of work that was no cycle; one follows at once, and reports it.
    pub(in crate::flows) fn at_once(host: &Host) -> Self {
        Self {
            next_contact: host.now(),
            is_anything_assigned: true,
            problems: Vec::new(),
            notices: Vec::new(),
            has_tried_starts: false,
        }
    }

    /// The answer to a person who asked for a contact.
    #[must_use]
    pub fn answer(&self) -> Answer {
        let ok = self.problems.is_empty();
        let (code, done) = match (ok, self.is_anything_assigned) {
            (true, true) => (AnswerCode::UpToDate, vec!["up to date".to_owned()]),
            (true, false) => {
                let line = "nothing is assigned to this computer; `distributor clients show NAME` at the server says why";
                (AnswerCode::NothingAssigned, vec![line.to_owned()])
            }
            (false, _) => (AnswerCode::NotUpToDate, self.problems.clone()),
        };
        Answer { ok, code, lines: [done, self.notices.clone()].concat() }
    }
}

/// `starts` says which of the products are tried that could not be started before.
pub fn run(context: &Context, starts: Starts) -> CycleResult {
    run_with_repairs(context, &Repairs::new(), starts)
}

/// As [`run`], and of the packages that are named, what is installed and assigned is built again.
pub fn run_with_repairs(context: &Context, repairs: &Repairs, starts: Starts) -> CycleResult {
    let host = &context.host;
    let _lock = match host.home.prepare().and_then(|()| host.home.lock_cycle()) {
        Ok(lock) => lock,
        Err(error @ HomeError::Busy(_)) => return busy(host, with_causes(&error)),
        Err(error) => return failed(host, with_causes(&error)),
    };
    let carrier = match host.settings.folder.clone() {
        Some(folder) => Carrier::Folder(folder),
        None => Carrier::Network,
    };
    run_locked(context, repairs, starts, carrier)
}

/// A cycle whose contact was answered by a file that a person brings. Waits for a cycle that is at work.
pub fn run_with_answer(context: &Context, answer: Vec<u8>, releases: Option<PathBuf>) -> CycleResult {
    let host = &context.host;
    let lock = host.home.prepare().and_then(|()| host.home.wait_for_cycle());
    let _lock = match lock {
        Ok(lock) => lock,
        Err(error) => return failed(host, with_causes(&error)),
    };
    let carrier = Carrier::Person { answer: Some(answer), releases };
    run_locked(context, &Repairs::new(), Starts::All, carrier)
}

/// The cycle, for who holds its lock.
fn run_locked(context: &Context, repairs: &Repairs, starts: Starts, mut carrier: Carrier) -> CycleResult {
    let host = &context.host;
    let mut problems = Problems::default();
    let mut spool = match reports::open(host) {
        Ok(spool) => spool,
        Err(error) => return failed(host, with_causes(&error)),
    };
    if let Err(error) = Engine::new(host, &mut spool).recover() {
        let why = with_causes(&error);
        problems.add(format!("an interrupted install could not be finished: {why}"));
    }
    let has_tried_starts = start_again(host, starts);
    if let Err(error) = settle(host, &mut spool) {
        problems.add(format!("the end of a trial of the agent could not be noted: {}", with_causes(&error)));
    }
    // One file at a time lies in the folder: an enrollment that waits goes before contacts.
    let enrolls = match &carrier {
        Carrier::Folder(folder) => {
            enroll_by_folder(context, folder).inspect_err(|why| problems.add(why.clone()))
        }
        Carrier::Network | Carrier::Person { .. } => Ok(()),
    };
    let waiting = match &carrier {
        Carrier::Network => enroll::ask_again(context, starts).unwrap_or_else(|why| {
            problems.add(why);
            None
        }),
        Carrier::Folder(_) | Carrier::Person { .. } => None,
    };
    let mut progress = match Progress::load(&host.home) {
        Ok(progress) => progress,
        Err(error) => return CycleResult { has_tried_starts, ..failed(host, with_causes(&error)) },
    };
    progress.computer.floors.observe(host.now(), host.boot().as_ref());
    if starts == Starts::All {
        // The agent was started, or a person asks: neither waits for a pause to end.
        let now = progress.license_time(host.now());
        progress.computer.failing.values_mut().for_each(|failing| *failing = failing.due(now));
    }
    // Who is enrolled nowhere has nobody to contact until it is admitted.
    let waits = waiting.filter(|_| progress.authority().is_none());
    if let Some(waiting) = &waits {
        problems.add(waiting.told());
    }
    let tried = match enrolls {
        Ok(()) if waits.is_none() => {
            rounds(context, &mut carrier, repairs, &mut progress, &mut spool, &mut problems)
        }
        Ok(()) | Err(_) => None,
    };
    let served = match (&carrier, tried) {
        (Carrier::Network, Some((first, found))) => {
            contact_others(context, &mut progress, &found, first, &mut problems)
        }
        _ => None,
    };
    // Also when the server did not answer.
    problems.add_not_started(host);
    let holdings = Holdings::load(&host.home, &progress, host.now()).ok();
    let assignment = holdings.as_ref().and_then(|holdings| holdings.assignment.good());
    let is_anything_assigned = assignment.is_some_and(|assignment| !assignment.packages.is_empty());
    retention::collect(host, assignment.map(|assignment| &*assignment.packages));
    let next = match (context.network.is_contact_due(), &carrier) {
        (true, _) => host.now(),
        (false, Carrier::Network) => due(host, &progress, holdings.as_ref(), served.as_ref()),
        // A look is no contact: the next one is due when the last answer said so.
        (false, _) => progress.standing.next_contact.unwrap_or_else(|| host.now()),
    };
    if !matches!(carrier, Carrier::Network) {
        progress.standing.next_contact = Some(next);
    }
    let next = waits.map_or(next, |waiting| waiting.next_at);
    let next = next_try(host).map_or(next, |again| next.min(again));
    let next = match &carrier {
        Carrier::Network => {
            progress.standing.next_contact = Some(next);
            next
        }
        Carrier::Folder(folder) => next_look(host.now(), next, folder.poll),
        Carrier::Person { .. } => next,
    };
    // Who was not asked now serves as before.
    let serving = served.map(|served| served.serving).or_else(|| servers::serving(host, &progress));
    let serving = serving.map(|serving| serving.server);
    update_gate(host, &mut progress, holdings.as_ref(), serving.as_ref(), &mut problems);
    if let Err(error) = progress.save(&host.home) {
        problems.add(with_causes(&error));
    }
    host.home.keep_reserve();
    let (problems, notices) = problems.into_lines();
    CycleResult { next_contact: next, is_anything_assigned, problems, notices, has_tried_starts }
}

/// When the next contact is due: by the cadence, or when a window opens before. While another than the first server
/// serves, the first is looked for as often as if contact were lost, and at the end of its hold.
fn due(host: &Host, progress: &Progress, holdings: Option<&Holdings>, served: Option<&Served>) -> Timestamp {
    let (now, seed) = (host.now(), seed());
    let elsewhere = served.filter(|served| Some(&served.serving.server) != progress.authority());
    let standing = elsewhere.map_or(progress.standing.standing, |_| Standing::LostContact);
    let next = next_contact(&host.settings.cadence, standing, now, seed);
    let next = served.and_then(|served| served.held_until).map_or(next, |held| next.min(held.max(now)));
    let Some(holdings) = holdings else { return next };
    let wanted = holdings.assignment.good().map(|assignment| &assignment.packages).into_iter().flatten();
    let opens_at =
        wanted.filter_map(|wanted| decision(host, wanted, holdings, progress).ok()?.changes_at()).min();
    opens_at.map_or(next, |opens_at| at_opening(next, opens_at, seed))
}

/// When the folder is looked into again, at the latest: what is due already waits there for its answer.
fn next_look(now: Timestamp, next: Timestamp, poll: Duration) -> Timestamp {
    let poll = SignedDuration::try_from(poll).unwrap_or(SignedDuration::MAX);
    let look = now.saturating_add(poll).unwrap_or(Timestamp::MAX);
    if next <= now { look } else { next.min(look) }
}

/// Another process holds the lock.
fn busy(host: &Host, problem: String) -> CycleResult {
    let next = host.now().saturating_add(SignedDuration::from_secs(BUSY_SECS));
    let next_contact = next.unwrap_or(Timestamp::MAX);
    CycleResult {
        next_contact,
        is_anything_assigned: true,
        problems: vec![problem],
        notices: Vec::new(),
        has_tried_starts: false,
    }
}

/// A cycle that could not even begin: nothing is installed, and the gate stays as it is.
fn failed(host: &Host, problem: String) -> CycleResult {
    let next = next_contact(&host.settings.cadence, Standing::LostContact, host.now(), seed());
    CycleResult {
        next_contact: next,
        is_anything_assigned: true,
        problems: vec![problem],
        notices: Vec::new(),
        has_tried_starts: false,
    }
}

/// What came of the first server, and what was found not to be as it was signed; `None` if it was not asked, or the answer
/// does not matter because the agent is to stop.
fn rounds(
    context: &Context,
    carrier: &mut Carrier,
    repairs: &Repairs,
    progress: &mut Progress,
    spool: &mut Spool,
    problems: &mut Problems,
) -> Option<(Tried, Vec<Found>)> {
    let host = &context.host;
    let mut tries = Tries::new();
    // What a look found, as long as nothing was changed since: each walks the folders of every product.
    let mut looked: Option<Vec<Found>> = None;
    let (mut done, mut interruptions) = (0, 0);
    let mut tried = None;
    let mut news = News::No;
    while done < MAX_ROUNDS {
        let next = Duration::from_secs(u64::from(host.settings.cadence.licensed_secs));
        context.network.begin_contact(next.max(LEAST_DOWNLOAD_TIME));
        let mut holdings = match Holdings::load(&host.home, progress, host.now()) {
            Ok(holdings) => holdings,
            Err(error) => {
                problems.add(with_causes(&error));
                if !matches!(error, HoldingsError::NotEnrolled) {
                    note_failure(
                        &mut progress.standing,
                        LastContact::failed(host.now(), with_causes(&error)),
                    );
                }
                return None;
            }
        };
        let found = match looked {
            Some(ref found) => found,
            None => match drift::look(host, Keep::Yes) {
                Ok(found) => looked.insert(found),
                // A contact would tell the server that nothing is amiss.
                Err(error) => {
                    note_failure(
                        &mut progress.standing,
                        LastContact::failed(host.now(), with_causes(&error)),
                    );
                    problems.add(with_causes(&error));
                    return None;
                }
            },
        };
        let answered = match exchange(context, carrier, &mut holdings, progress, spool, found, news) {
            Ok(Some(answered)) => answered,
            // The contact lies there, or none is due.
            Ok(None) => break,
            // The server did not fail: contact is neither good nor lost.
            Err(error @ (ContactError::Interrupted(_) | ContactError::NotTaken(_))) => {
                problems.add(with_causes(&error));
                return None;
            }
            Err(error) => {
                note_failure(&mut progress.standing, failed_contact(host, &error));
                problems.add(with_causes(&error));
                return looked.map(|found| (tried_by(error.refused()), found));
            }
        };
        if let Some(Reads::Server(access)) = &answered.access {
            context.access.send_replace(Some(access.clone()));
        }
        if let Some(access) = &answered.access
            && correct_time(context, &holdings, progress, access)
        {
            // What was refused by the wrong time comes again.
            if let Err(error) = progress.save(&host.home) {
                problems.add(with_causes(&error));
                return None;
            }
            done += 1;
            continue;
        }
        // Only what verifies after it is read back from disk counts.
        let holdings = match Holdings::load(&host.home, progress, host.now()) {
            Ok(holdings) => holdings,
            Err(error) => {
                problems.add(with_causes(&error));
                return None;
            }
        };
        if let Some(assignment) = holdings.assignment.good()
            && let Err(error) = call_off_for_site(host, spool, assignment)
        {
            problems.add(format!("a trial of the agent could not be called off: {}", with_causes(&error)));
        }
        let outcome = note_answer(host, &mut progress.standing, &holdings);
        tried = Some(outcome);
        contacted::answered(host);
        progress.standing.next_contact = Some(due(host, progress, Some(&holdings), None));
        progress.standing.notices = answered.notices;
        for notice in &progress.standing.notices {
            problems.add(notice.clone());
        }
        // The gate opens before an install, which may take long.
        let serving = servers::serving(host, progress).map(|serving| serving.server);
        // One that has no license for this computer closes nothing that another one opened.
        let in_contact_with = serving.filter(|_| outcome != Tried::Licensed);
        update_gate(host, progress, Some(&holdings), in_contact_with.as_ref(), problems);
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
        if has_tried {
            looked = None;
        }
        if has_tried || !spool.is_empty() {
            news = News::Yes;
        }
        if let Err(error) = progress.save(&host.home) {
            problems.add(with_causes(&error));
        }
        let is_contact_due = context.network.is_contact_due() && interruptions < MAX_INTERRUPTIONS;
        let is_done = !has_tried && spool.is_empty() && !answered.was_retry && !is_contact_due;
        if is_done || context.network.is_interrupted() {
            break;
        }
        // A download that made way goes on after the contact, as often as it takes.
        if is_contact_due { interruptions += 1 } else { done += 1 }
    }
    let found = looked.map_or_else(|| drift::look(host, Keep::Yes), Ok).unwrap_or_else(|error| {
        problems.add(with_causes(&error));
        Vec::new()
    });
    problems.add_unfinished(host, progress, &found);
    tried.map(|tried| (tried, found))
}

fn update_gate(
    host: &Host,
    progress: &mut Progress,
    holdings: Option<&Holdings>,
    serving: Option<&ServerId>,
    problems: &mut Problems,
) {
    if let Err(error) = gate::update(host, progress, holdings, serving) {
        problems.add(format!("a gate file cannot be written: {error}"));
    }
}

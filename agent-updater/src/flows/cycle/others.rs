//! The servers beside the first, in a cycle: asked as far as they are needed, after the first was.
//!
//! Invariants: only a contact is made with them. Their lease opens gates; what they assign is kept in their folder and never
//! carried out, and no report goes to them: updates have one authority. Nothing here enrolls, so no seat is taken.

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::setup::ServerRole;

use crate::domain::cadence::{ContactOutcome, standing_after};
use crate::domain::serving::{Candidate, Serving, ServingDecision, Tried, decide, is_asked, order, tried};
use crate::flows::contact::{ContactError, contact};
use crate::flows::context::{Context, Host};
use crate::flows::drift::Found;
use crate::flows::servers;
use crate::records::holdings::{Holdings, HoldingsError};
use crate::records::progress::Progress;
use crate::records::server::ServerRecords;
use crate::records::serving;
use crate::records::standing::{LastContact, ServerStanding};

use super::problems::Problems;

/// Who serves after a cycle.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) serving: Serving,
    /// When a server that is asked before it may take its place.
    pub(super) held_until: Option<Timestamp>,
}

/// Asks the servers beside the first, of which `first` is what came, and decides who serves; `None` if there is no other.
pub(super) fn contact_others(
    context: &Context,
    progress: &mut Progress,
    found: &[Found],
    first: Tried,
    problems: &mut Problems,
) -> Option<Served> {
    let host = &context.host;
    let listed = listed(host, progress);
    if listed.len() < 2 {
        return None;
    }
    let before = serving::load(&host.home);
    let order = order(&listed);
    let place_of = |serving: &Serving| order.iter().position(|server| *server == serving.server);
    let serves = before.as_ref().and_then(place_of).unwrap_or(0);
    let mut candidates = Vec::new();
    for (place, server) in order.into_iter().enumerate() {
        let last = progress.of(&server).last_contact.as_ref().map(|contact| contact.at);
        let tried = match place {
            0 => first,
            _ if context.network.is_interrupted() => Tried::NotAsked,
            _ if is_asked(place, serves, &candidates, last, host.now()) => {
                contact_only(context, &server, progress, found, problems)
            }
            _ => Tried::NotAsked,
        };
        candidates.push(Candidate { server, tried });
    }
    let (decision, serving) = decide(before.as_ref(), &candidates, host.settings.hold, host.now())?;
    if before.as_ref() != Some(&serving)
        && let Err(error) = serving::save(&host.home, &serving)
    {
        problems.add(with_causes(&error));
    }
    let told = servers::told(host, progress, &serving);
    if matches!(decision, ServingDecision::Switch { .. }) {
        tracing::info!("another server serves: {told}");
    }
    if Some(&serving.server) != progress.authority() {
        problems.note(format!("this computer is served by {told}"));
    }
    let held_until = match decision {
        ServingDecision::Hold { until } => Some(until),
        ServingDecision::Stay | ServingDecision::Lost | ServingDecision::Switch { .. } => None,
    };
    Some(Served { serving, held_until })
}

/// The servers with their roles. One whose enrollment cannot be read is asked last.
fn listed(host: &Host, progress: &Progress) -> Vec<(ServerId, ServerRole)> {
    let role = |server: &ServerId| {
        let enrollment = ServerRecords::of(&host.home, server).enrollment().ok().flatten();
        enrollment.map_or(ServerRole::Secondary, |enrollment| enrollment.server.role)
    };
    progress.servers().iter().map(|server| (server.clone(), role(server))).collect()
}

/// A contact, and nothing else.
fn contact_only(
    context: &Context,
    server: &ServerId,
    progress: &mut Progress,
    found: &[Found],
    problems: &mut Problems,
) -> Tried {
    let host = &context.host;
    let asked = ask(context, server, progress, found);
    let name = servers::name_of(host, server);
    let tried = match asked {
        Ok((holdings, notices)) => {
            let standing = progress.of_mut(server);
            let tried = note_answer(host, standing, &holdings);
            standing.notices.clone_from(&notices);
            notices.iter().for_each(|notice| problems.note(format!("the server {name} says: {notice}")));
            tried
        }
        Err(Asked::NotNow) => Tried::NotAsked,
        Err(Asked::Failed(why)) => {
            problems.note(format!("the server {name} cannot be asked: {why}"));
            note_failure(progress.of_mut(server), LastContact::failed(host.now(), why));
            Tried::Failed
        }
        Err(Asked::Contact(error)) => {
            let last = failed_contact(host, &error);
            let what = if error.refused().is_some() { "refused this computer" } else { "did not answer" };
            problems.note(format!("the server {name} {what}: {}", with_causes(&error)));
            note_failure(progress.of_mut(server), last);
            tried(error.refused())
        }
    };
    if let Err(error) = progress.save(&host.home) {
        problems.add(with_causes(&error));
    }
    tried
}

/// Why nothing came of asking a server.
enum Asked {
    /// The agent is to stop, or a person waits.
    NotNow,
    /// By this computer's own records.
    Failed(String),
    Contact(ContactError),
}

/// What is held from a server after a contact with it, read back from disk, and what it wants a person to know.
fn ask(
    context: &Context,
    server: &ServerId,
    progress: &mut Progress,
    found: &[Found],
) -> Result<(Holdings, Vec<String>), Asked> {
    let host = &context.host;
    let held = |progress: &Progress| {
        Holdings::of(&host.home, server, progress, host.now()).map_err(|error| {
            Asked::Failed(match &error {
                HoldingsError::Store(damage) => servers::damaged(damage),
                HoldingsError::NotEnrolled | HoldingsError::Grant(_) => with_causes(&error),
            })
        })
    };
    let mut holdings = held(progress)?;
    let answered = contact(context, &mut holdings, progress, None, found).map_err(|error| match error {
        ContactError::Interrupted(_) => Asked::NotNow,
        ContactError::Store(damage) => Asked::Failed(servers::damaged(&damage)),
        error => Asked::Contact(error),
    })?;
    Ok((held(progress)?, answered.notices))
}

/// Notes that a server answered, after what its answer brought was read back.
pub(super) fn note_answer(host: &Host, standing: &mut ServerStanding, holdings: &Holdings) -> Tried {
    let (outcome, tried) = match holdings.lease.good() {
        Some(_) => (ContactOutcome::AnsweredWithLease, Tried::Licensed),
        None => (ContactOutcome::AnsweredWithoutLease, Tried::NoFreeLicense),
    };
    standing.standing = standing_after(standing.standing, outcome);
    standing.answered_at = Some(host.now());
    standing.last_contact = Some(LastContact::answered(host.now()));
    tried
}

pub(super) fn note_failure(standing: &mut ServerStanding, last: LastContact) {
    standing.standing = standing_after(standing.standing, ContactOutcome::AllFailed);
    standing.last_contact = Some(last);
}

/// What is kept of a contact that failed.
pub(super) fn failed_contact(host: &Host, error: &ContactError) -> LastContact {
    LastContact {
        refused: error.refused(),
        unknown_ca: error.is_unknown_ca(),
        ..LastContact::failed(host.now(), with_causes(error))
    }
}

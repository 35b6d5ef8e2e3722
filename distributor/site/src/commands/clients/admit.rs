//! Admission: an admin says by its key which of the computers that wait is the one of a name.
//!
//! Invariant: only a key that waits under the name, which its computer has shown, can be admitted by its fingerprint, and any by the
//! whole of it: nobody can keep a computer out by filling the list. A stranger that uses the name has another key. The seat, if the name takes one, and the admission are one transaction. Nothing changes for a computer
//! that is enrolled under the name before the admitted one comes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sealpost_keys::{Fingerprint, PublicKey};
use sealpost_manifests::ids::{ChannelName, ComputerName, SerialNumber, SetupId};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::reserve::{Place, SeatFacts, Wanted, place, spellings};
use crate::changes::{Actor, Change, ComputerAdmitted};
use crate::commands::decision::{Command, Context, Decision};
use crate::queries::{Query, query};
use crate::rules::enrollment::SetupState;
use crate::rules::names::{MixedScripts, canonical};

/// Days within which an admitted computer has to come.
pub const ADMITTED_DAYS: u16 = 7;

query! {
    /// What an admission is decided from.
    LoadAdmission {
        /// The name that is admitted, in each spelling that may hold a seat.
        pub names: BTreeSet<ComputerName>,
    } -> AdmissionFacts, "read the computers that wait"
}

/// As [`LoadAdmission`] says.
#[derive(Debug, Clone)]
pub struct AdmissionFacts {
    /// Of the name in each spelling that may hold a seat.
    pub seats: SeatFacts,
    /// What is known of each of these spellings.
    pub names: BTreeMap<ComputerName, NameFacts>,
}

/// What is known of one spelling of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFacts {
    /// What was issued or admitted last.
    pub setup: SetupState,
    /// The key of the computer that is enrolled.
    pub enrolled: Option<PublicKey>,
    /// The keys that wait, the first first.
    pub waiting: Vec<PublicKey>,
}

/// Admits a computer by its key: with that key it enrolls under the name. Codes that were issued for the name before are void. A
/// name without a seat takes one, for good.
#[derive(Debug, Clone)]
pub struct Admit {
    /// Who admits it.
    pub actor: Actor,
    /// The name; the seat is that of its [`canonical`] spelling.
    pub name: ComputerName,
    /// What the admin read on the computer.
    pub key: Fingerprint,
    /// The whole key, if that was typed: it needs no place in the list of those who wait.
    pub whole: Option<PublicKey>,
    /// The channel that it follows; as for a reservation.
    pub channel: Option<ChannelName>,
    /// What to do about a name of several scripts.
    pub mixed: MixedScripts,
    /// The serial number whose seat it is to be; as for a reservation.
    pub serial: Option<SerialNumber>,
    /// Stands for the admission.
    pub setup: SetupId,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The name that holds the seat, as it is spelled.
    pub name: ComputerName,
    /// The key.
    pub client_key: PublicKey,
    /// Where the computer stands now.
    pub admission: Admission,
    /// The seat that the name took for it.
    pub took: Option<SerialNumber>,
    /// Whether another computer is enrolled under the name, whose key ends when this one comes.
    pub replaces: bool,
}

/// Where a computer that was admitted stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is to come.
    Until {
        /// After it the key is admitted no more.
        expires_at: Timestamp,
    },
    /// It came: it is enrolled.
    Used,
}

impl Command for Admit {
    type Facts = LoadAdmission;
    type Answer = Admitted;
    const ATTEMPTED: &'static str = "admit a computer";

    fn facts(&self) -> LoadAdmission {
        LoadAdmission { names: spellings([&self.name]) }
    }

    fn decide(self, facts: AdmissionFacts, context: &Context<'_>) -> Decision<Admitted> {
        let Self { actor, name: typed, key, whole, channel, mixed, serial, setup } = self;
        let name = if facts.seats.held.contains_key(&typed) { typed.clone() } else { canonical(&typed) };
        let known = facts.names.get(&name);
        let whole = whole.filter(|whole| Fingerprint::of(whole) == key);
        let (client_key, before) = match judge(known, key, context.now).or_else(|| Some((whole?, None))) {
            Some(found) => found,
            None => return Decision::refuse(nobody_waits(&name, key, known)),
        };
        let wanted = Wanted { name: typed, channel, serial };
        let (name, took) = match place(&wanted, mixed, &facts.seats, context.now) {
            Err(problem) => return Decision::refuse(problem),
            Ok(Place::Held { name }) => (name, None),
            Ok(Place::Takes { name, channel, serial }) => (name, Some((channel, serial))),
        };
        let expires_at = context.after_days(ADMITTED_DAYS);
        let replaces =
            known.and_then(|known| known.enrolled.as_ref()).is_some_and(|enrolled| *enrolled != client_key);
        let answer = Admitted {
            name: name.clone(),
            client_key: client_key.clone(),
            admission: before.unwrap_or(Admission::Until { expires_at }),
            took: took.as_ref().map(|(_, serial)| serial.clone()),
            replaces,
        };
        let mut decision = Decision::answer(answer);
        if let Some((channel, serial)) = took {
            let reserved = Change::SeatReserved { name: name.clone(), channel, serial };
            decision = decision.change(actor.clone(), reserved);
        }
        if before.is_some() {
            return decision;
        }
        let admitted = ComputerAdmitted { name, client_key, setup, expires_at };
        decision.change(actor, Change::ComputerAdmitted(admitted))
    }
}

/// The key that a fingerprint is of, if it waits or was admitted before; where it stands if that need not be done again.
fn judge(
    known: Option<&NameFacts>,
    wanted: Fingerprint,
    now: Timestamp,
) -> Option<(PublicKey, Option<Admission>)> {
    let known = known?;
    let fits = |key: &&PublicKey| Fingerprint::of(key) == wanted;
    if let SetupState::Issued(issued) = &known.setup
        && let Some(key) = issued.admitted.as_ref().filter(fits)
    {
        let stands = match &issued.used_by {
            Some(used_by) if used_by == key => Some(Admission::Used),
            None if now <= issued.expires_at => Some(Admission::Until { expires_at: issued.expires_at }),
            Some(_) | None => None,
        };
        if stands.is_some() {
            return Some((key.clone(), stands));
        }
    }
    known.waiting.iter().find(fits).map(|key| (key.clone(), None))
}

fn nobody_waits(name: &ComputerName, key: Fingerprint, known: Option<&NameFacts>) -> Problem {
    let waiting = known.map(|known| known.waiting.as_slice()).unwrap_or_default();
    let who = if waiting.is_empty() {
        "nobody waits under this name".to_owned()
    } else {
        let keys: Vec<String> = waiting.iter().map(PublicKey::fingerprint).collect();
        format!("under this name waits {}", keys.join(", and "))
    };
    Problem::new(
        ProblemCode::NotFound,
        format!("no computer waits as {name} with the key {key}: {who}"),
        "compare the whole key with what `agent-updater status` says on the computer, and see `distributor clients pending`; \
         a computer asks again every quarter of an hour. One that the list has no room for is told its whole public key: with that \
         as KEY it is admitted without a place in it",
    )
}

#[cfg(test)]
mod tests;

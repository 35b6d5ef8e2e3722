//! What the log says of one name: the seats that it took, the setup files that were issued for it and what became of them, and
//! the computers that held it.
//!
//! Invariant: the newest code of a name voids those before it, as enrollment holds it; so a code that was neither used nor in time
//! for the next one is voided, or had expired by then. Left out on purpose: codes, which are in no log.

use jiff::Timestamp;
use sealpost_keys::{Fingerprint, PublicKey};
use sealpost_manifests::ids::{ClientId, SerialNumber, SetupId};
use serde::{Deserialize, Serialize};

use super::activity::Change;
use super::entry::ActivityEntry;
use super::seats::{ComputerAdmitted, EnrolledBy};
use crate::rules::enrollment::SetupState;

/// What became of a setup file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum SetupOutcome {
    /// It is out, was not used, and still works.
    Out,
    /// A computer enrolled with it.
    Used {
        /// When.
        at: Timestamp,
    },
    /// A newer one was issued, or a key admitted, before it was used.
    Voided {
        /// When.
        at: Timestamp,
    },
    /// Nobody used it in time.
    Expired,
}

/// A setup file that was issued, or a key that was admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupIssue {
    /// When.
    pub issued_at: Timestamp,
    /// After it the code is accepted no more.
    pub expires_at: Timestamp,
    /// The key of a computer that an admin admitted: then there was no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admitted: Option<Fingerprint>,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: SetupOutcome,
}

/// A computer that held the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its id.
    pub client_id: ClientId,
    /// When it enrolled; absent where the log that was read begins later.
    pub enrolled_at: Option<Timestamp>,
    /// Its key.
    #[serde(default)]
    pub client_key: Option<PublicKey>,
    /// The version of its agent when it enrolled.
    #[serde(default)]
    pub agent_version: Option<String>,
    /// Its last contact before another took its place.
    #[serde(default)]
    pub last_contact: Option<Timestamp>,
    /// When another took its place; its key is dead from then on.
    pub replaced_at: Option<Timestamp>,
    /// What that one proved.
    #[serde(default)]
    pub replaced_by: Option<EnrolledBy>,
    /// The entry that enrolled it.
    #[serde(skip)]
    pub sequence: u64,
}

/// A seat that the name took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatTaken {
    /// Whose seat it is.
    pub serial: SerialNumber,
    /// When it was taken.
    pub at: Timestamp,
}

/// What happened with one name; each in the order in which it happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeatHistory {
    /// Its seats.
    pub seats: Vec<SeatTaken>,
    /// Its setup files and admissions.
    pub setups: Vec<SetupIssue>,
    /// Its computers; the last one holds it.
    pub holders: Vec<Holder>,
    issued: Vec<SetupId>,
}

/// The kinds of entries that it is made of.
pub const KINDS: [&str; 4] = ["seat_reserved", "setup_issued", "computer_admitted", "client_enrolled"];

impl SeatHistory {
    /// Takes the next entry about the name.
    pub fn take(&mut self, entry: &ActivityEntry) {
        match &entry.change {
            Change::SeatReserved { serial, .. } => {
                self.seats.push(SeatTaken { serial: serial.clone(), at: entry.at });
            }
            Change::SetupIssued { setup, expires_at, .. } => self.issue(entry.at, setup, *expires_at, None),
            Change::ComputerAdmitted(ComputerAdmitted { client_key, setup, expires_at, .. }) => {
                self.issue(entry.at, setup, *expires_at, Some(Fingerprint::of(client_key)));
            }
            Change::ClientEnrolled {
                client_id,
                client_key,
                agent_version,
                setup,
                replaces,
                last_contact,
                by,
                ..
            } => {
                let used = self.issued.iter().rposition(|issued| issued == setup);
                if let Some(issue) = used.and_then(|at| self.setups.get_mut(at)) {
                    issue.outcome = SetupOutcome::Used { at: entry.at };
                } else if *by != EnrolledBy::Copy
                    && let Some(newest) = self.setups.last_mut()
                    && newest.outcome == SetupOutcome::Out
                {
                    // Its own setup was not read, and nobody enrolls with this one any more.
                    newest.outcome = ended(newest, entry.at);
                }
                if let Some(replaced) = replaces {
                    self.replace(replaced, entry.at, *last_contact, *by);
                }
                self.holders.push(Holder {
                    enrolled_at: Some(entry.at),
                    client_key: Some(client_key.clone()),
                    agent_version: Some(agent_version.clone()),
                    sequence: entry.sequence,
                    ..Holder::unknown(client_id)
                });
            }
            _ => {}
        }
    }

    /// As it is at `now`: what nobody used in time has expired. `newest` is the newest setup as enrollments are decided from
    /// it, which a restore may have ended before its time.
    #[must_use]
    pub fn at(mut self, newest: &SetupState, now: Timestamp) -> Self {
        if let Some(issue) = self.setups.last_mut()
            && issue.outcome == SetupOutcome::Out
        {
            if let SetupState::Issued(issued) = newest
                && self.issued.last() == Some(&issued.setup)
            {
                issue.expires_at = issue.expires_at.min(issued.expires_at);
            }
            if issue.expires_at < now {
                issue.outcome = SetupOutcome::Expired;
            }
        }
        self
    }

    fn issue(
        &mut self,
        issued_at: Timestamp,
        setup: &SetupId,
        expires_at: Timestamp,
        admitted: Option<Fingerprint>,
    ) {
        if let Some(before) = self.setups.last_mut()
            && before.outcome == SetupOutcome::Out
        {
            before.outcome = ended(before, issued_at);
        }
        self.issued.push(setup.clone());
        self.setups.push(SetupIssue { issued_at, expires_at, admitted, outcome: SetupOutcome::Out });
    }

    fn replace(&mut self, client_id: &ClientId, at: Timestamp, last: Option<Timestamp>, by: EnrolledBy) {
        let place = self.holders.iter().position(|holder| holder.client_id == *client_id);
        let place = place.unwrap_or_else(|| {
            // It came into the ledger by its lease after a restore, or before what was read.
            self.holders.push(Holder::unknown(client_id));
            self.holders.len() - 1
        });
        if let Some(holder) = self.holders.get_mut(place) {
            (holder.replaced_at, holder.last_contact, holder.replaced_by) = (Some(at), last, Some(by));
        }
    }
}

impl Holder {
    /// One of which nothing but its id is known.
    fn unknown(client_id: &ClientId) -> Self {
        Self {
            client_id: client_id.clone(),
            enrolled_at: None,
            client_key: None,
            agent_version: None,
            last_contact: None,
            replaced_at: None,
            replaced_by: None,
            sequence: 0,
        }
    }
}

/// What became of a setup file that was not used until another was issued.
fn ended(issue: &SetupIssue, next_at: Timestamp) -> SetupOutcome {
    if issue.expires_at < next_at { SetupOutcome::Expired } else { SetupOutcome::Voided { at: next_at } }
}

#[cfg(test)]
mod tests {
    use sealpost_keys::{SealingKey, SigningKey};
    use sealpost_manifests::ids::{ChannelName, ComputerName, Platform};

    use super::*;
    use crate::changes::{Actor, EnrolledBy};
    use crate::rules::enrollment::IssuedSetup;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3_600).unwrap()
    }

    fn name() -> ComputerName {
        ComputerName::new("pc-1").unwrap()
    }

    fn setup(byte: u8) -> SetupId {
        SetupId::from_random([byte; 16])
    }

    fn client(byte: u8) -> ClientId {
        ClientId::from_random([byte; 16])
    }

    fn issued(hours: i64, byte: u8, expires: i64) -> (i64, Change) {
        (hours, Change::SetupIssued { name: name(), setup: setup(byte), expires_at: at(expires) })
    }

    fn enrolled(hours: i64, byte: u8, of: u8, replaces: Option<u8>) -> (i64, Change) {
        let change = Change::ClientEnrolled {
            client_id: client(byte),
            name: name(),
            client_key: SigningKey::generate().unwrap().public(),
            sealing_key: SealingKey::generate().unwrap().public(),
            platform: Platform::new("linux-x86_64").unwrap(),
            agent_version: "1.0".to_owned(),
            setup: setup(of),
            replaces: replaces.map(client),
            last_contact: replaces.map(|_| at(hours - 1)),
            by: EnrolledBy::Code,
        };
        (hours, change)
    }

    fn history(entries: Vec<(i64, Change)>, now: i64) -> SeatHistory {
        let mut history = SeatHistory::default();
        for (sequence, (hours, change)) in (1..).zip(entries) {
            let entry = ActivityEntry { version: 2, sequence, at: at(hours), actor: Actor::Server, change };
            history.take(&entry);
        }
        history.at(&SetupState::Unknown, at(now))
    }

    fn outcomes(history: &SeatHistory) -> Vec<SetupOutcome> {
        history.setups.iter().map(|issue| issue.outcome).collect()
    }

    #[test]
    fn each_setup_file_is_out_used_voided_or_expired() {
        use SetupOutcome::{Expired, Out, Used, Voided};
        let all = || {
            vec![
                issued(1, 1, 100),
                issued(2, 2, 4),
                issued(5, 3, 100),
                enrolled(6, 1, 3, None),
                issued(7, 4, 10),
            ]
        };
        let before = [Voided { at: at(2) }, Expired, Used { at: at(6) }];
        assert_eq!(outcomes(&history(all(), 10))[..3], before);
        assert_eq!(outcomes(&history(all(), 10))[3], Out, "it works until its end");
        assert_eq!(outcomes(&history(all(), 11))[3], Expired);
        // What was used stays so, however many come after it.
        assert_eq!(outcomes(&history(all(), 900))[2], Used { at: at(6) });
        assert_eq!(outcomes(&history(vec![], 1)), []);
    }

    #[test]
    fn what_a_restore_ended_has_expired_and_one_that_was_issued_since_is_out() {
        let newest = |byte, end| {
            let (setup, expires_at) = (setup(byte), at(end));
            SetupState::Issued(IssuedSetup { setup, expires_at, used_by: None, admitted: None })
        };
        let taken = |entries: Vec<(i64, Change)>| {
            let mut history = SeatHistory::default();
            for (sequence, (hours, change)) in (1..).zip(entries) {
                history.take(&ActivityEntry {
                    version: 2,
                    sequence,
                    at: at(hours),
                    actor: Actor::Server,
                    change,
                });
            }
            history
        };
        let old = taken(vec![issued(1, 1, 100)]);
        let ended = old.clone().at(&newest(1, 4), at(5));
        assert_eq!(ended.setups[0].outcome, SetupOutcome::Expired);
        assert_eq!(ended.setups[0].expires_at, at(4));
        assert_eq!(old.clone().at(&newest(1, 100), at(5)).setups[0].outcome, SetupOutcome::Out);
        assert_eq!(old.at(&newest(2, 4), at(5)).setups[0].outcome, SetupOutcome::Out, "it is of another one");
        let used = taken(vec![issued(1, 1, 100), enrolled(2, 1, 1, None)]).at(&newest(1, 4), at(5));
        assert_eq!(outcomes(&used), [SetupOutcome::Used { at: at(2) }]);
    }

    #[test]
    fn an_admission_voids_the_file_before_it_and_a_file_voids_an_admission() {
        use SetupOutcome::{Out, Used, Voided};
        let client_key = SigningKey::generate().unwrap().public();
        let admitted = |hours, byte| {
            let (name, client_key) = (name(), client_key.clone());
            let admitted = ComputerAdmitted { name, client_key, setup: setup(byte), expires_at: at(100) };
            (hours, Change::ComputerAdmitted(admitted))
        };
        let history = history(
            vec![
                issued(1, 1, 100),
                admitted(2, 2),
                issued(3, 3, 100),
                admitted(4, 4),
                enrolled(5, 1, 4, None),
                issued(6, 5, 100),
            ],
            7,
        );
        let expected =
            [Voided { at: at(2) }, Voided { at: at(3) }, Voided { at: at(4) }, Used { at: at(5) }, Out];
        assert_eq!(outcomes(&history), expected);
        let key = Some(Fingerprint::of(&client_key));
        let keys: Vec<_> = history.setups.iter().map(|issue| issue.admitted).collect();
        assert_eq!(keys, [None, key, None, key, None]);
    }

    #[test]
    fn who_enrolls_again_takes_the_place_of_the_one_before_whose_key_is_dead_from_then_on() {
        let entries =
            vec![issued(1, 1, 100), enrolled(2, 1, 1, None), issued(3, 2, 100), enrolled(4, 2, 2, Some(1))];
        let history = history(entries, 5);
        let ends: Vec<_> =
            history.holders.iter().map(|holder| (holder.enrolled_at, holder.replaced_at)).collect();
        assert_eq!(ends, [(Some(at(2)), Some(at(4))), (Some(at(4)), None)]);
        assert_eq!(history.holders[1].sequence, 4);
        let before = &history.holders[0];
        assert_eq!((before.replaced_by, before.last_contact), (Some(EnrolledBy::Code), Some(at(3))));
        assert!(before.client_key.is_some() && before.agent_version.as_deref() == Some("1.0"));
    }

    #[test]
    fn a_copy_that_goes_on_uses_no_setup_file_and_leaves_what_is_out() {
        let mut entries = vec![issued(1, 1, 100), enrolled(2, 1, 1, None), issued(3, 2, 100)];
        let (hours, mut change) = enrolled(4, 2, 9, Some(1));
        if let Change::ClientEnrolled { by, .. } = &mut change {
            *by = EnrolledBy::Copy;
        }
        entries.push((hours, change));
        let history = history(entries, 5);
        let ends = [SetupOutcome::Used { at: at(2) }, SetupOutcome::Out];
        assert_eq!(outcomes(&history), ends);
        assert_eq!(history.holders[0].replaced_by, Some(EnrolledBy::Copy));
    }

    #[test]
    fn one_that_came_back_by_its_lease_is_known_once_it_is_replaced() {
        let history = history(vec![issued(3, 2, 100), enrolled(4, 2, 2, Some(9))], 5);
        assert_eq!(history.holders[0].client_id, client(9));
        assert_eq!((history.holders[0].enrolled_at, history.holders[0].replaced_at), (None, Some(at(4))));
    }

    #[test]
    fn the_seats_of_a_name_are_those_that_it_took() {
        let channel = ChannelName::new("stable").unwrap();
        let serial = SerialNumber::from_random([1; 19]);
        let reserved = Change::SeatReserved { name: name(), channel, serial: serial.clone() };
        let history = history(vec![(1, reserved)], 2);
        assert_eq!(history.seats, [SeatTaken { serial, at: at(1) }]);
    }
}

//! That the ledger was edited: what the server found when it held its tables and its log against each other.
//!
//! Invariant: what was found is urgent until a comparison finds nothing, and says since when. More seats in use than were
//! ever granted, in a ledger that was never restored, is what no command makes: nothing of it passes as a smaller grant.
//! Left out on purpose: how it is found, which is the ledger's.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::ids::{ComputerName, SerialNumber};

use crate::rows::LicenseRow;
use crate::rules::text::{counted, more_than};
use crate::rules::warnings::{Unit, Warning, WarningCode};

/// Names that a sentence has.
const MAX_NAMED: usize = 5;

/// What the server found of its own ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// What is wrong with the log itself.
    pub damage: Option<String>,
    /// How many values and rows of tables are not as the log says.
    pub differing: u64,
    /// The first of them, by table and key.
    pub first: Option<String>,
    /// Why the last comparison was not made, or not whole.
    pub skipped: Option<String>,
    /// Since when the server knows of damage or of differing values.
    pub since: Option<Timestamp>,
    /// Computers that came for a seat of which the log does not know.
    pub unknown_seats: Vec<ComputerName>,
    /// The most seats that were ever granted, by serial number.
    pub most_granted: BTreeMap<SerialNumber, u32>,
    /// Whether the log ever told of a restore. The table's row of it can be edited.
    pub was_restored: bool,
}

/// What to say of it.
#[must_use]
pub fn warnings(edits: &Edits, licenses: &[LicenseRow]) -> Vec<Warning> {
    let mut said = Vec::new();
    if let Some(damage) = &edits.damage {
        let text = format!(
            "the log of the ledger is damaged: {damage}; no admin token is admitted and no new license given after the \
             next start: run `distributor log verify`, and restore a backup"
        );
        said.push(Warning::new(WarningCode::LedgerEdited, text).since(edits.since));
    }
    if edits.differing > 0 {
        let text = format!(
            "{} of the ledger not as the log says, first {}: somebody edited the database; run `distributor log verify`, \
             and then `distributor ledger rebuild`",
            counted(edits.differing, "value is", "values are"),
            edits.first.as_deref().unwrap_or("one that is not named"),
        );
        said.push(Warning::new(WarningCode::LedgerEdited, text).since(edits.since));
    }
    if let Some(why) = edits.skipped.as_deref().filter(|_| said.is_empty()) {
        let text = format!(
            "the tables of the ledger could not all be compared with its log: {why}; run `distributor log verify`"
        );
        said.push(Warning::new(WarningCode::LedgerUnchecked, text));
    }
    if !edits.unknown_seats.is_empty() {
        let count = edits.unknown_seats.len() as u64;
        let names: Vec<String> = edits.unknown_seats.iter().map(ToString::to_string).collect();
        let text = format!(
            "{} for a seat of which the log does not know ({}), and got no license: somebody edited the database; run \
             `distributor log verify`",
            counted(count, "computer came", "computers came"),
            more_than(MAX_NAMED, &names, count),
        );
        said.push(Warning::new(WarningCode::LedgerEdited, text).of(count, Unit::Computers, &names));
    }
    said.extend(unexplained(edits, licenses));
    said
}

/// More names than any grant ever had seats: neither a smaller grant nor a restore explains them.
fn unexplained(edits: &Edits, licenses: &[LicenseRow]) -> impl Iterator<Item = Warning> {
    licenses.iter().filter(|_| !edits.was_restored).filter_map(|license| {
        let most = edits.most_granted.get(&license.serial)?.max(&license.licenses);
        let over = license.used.checked_sub(*most).filter(|over| *over > 0)?;
        let text = format!(
            "serial {}: {} in use, and no grant ever had more than {most}: no command makes that; run `distributor log \
             verify`",
            license.serial,
            counted(u64::from(license.used), "seat is", "seats are"),
        );
        let over = u64::from(over);
        Some(Warning::new(WarningCode::SeatsUnexplained, text).of::<&str>(over, Unit::Seats, &[]))
    })
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::grant::LicenseModel;
    use sealpost_manifests::order::Epoch;

    use super::*;
    use crate::rules::expiries::Level;

    fn license(used: u32) -> LicenseRow {
        LicenseRow {
            serial: SerialNumber::from_random([1; 19]),
            licenses: 2,
            used,
            active: 0,
            reserved: used,
            model: LicenseModel::Named,
            generation: 1,
            epoch: Epoch(1),
            granted_at: Timestamp::UNIX_EPOCH,
            not_after: Timestamp::UNIX_EPOCH,
            ends_at: None,
            packages: Vec::new(),
        }
    }

    #[test]
    fn seats_that_no_grant_ever_had_are_urgent_and_those_of_a_larger_grant_or_a_restore_are_not() {
        let most = |seats: u32| BTreeMap::from([(SerialNumber::from_random([1; 19]), seats)]);
        let edits = |seats| Edits { most_granted: most(seats), ..Edits::default() };
        let said = warnings(&edits(2), &[license(5)]);
        assert_eq!((said[0].code, said[0].level), (WarningCode::SeatsUnexplained, Level::Urgent));
        assert_eq!(said[0].count.unwrap().number, 3);
        assert_eq!(said[0].next.as_deref(), Some("distributor log verify"));
        assert_eq!(warnings(&edits(5), &[license(5)]), []);
        assert_eq!(warnings(&edits(2), &[license(2)]), []);
        let restored = Edits { was_restored: true, ..edits(2) };
        assert_eq!(warnings(&restored, &[license(5)]), []);
    }

    #[test]
    fn that_nothing_could_be_compared_is_said_and_gives_way_to_what_was_found() {
        let skipped = Some("the disk has no room".to_owned());
        let edits = Edits { skipped: skipped.clone(), ..Edits::default() };
        let said = warnings(&edits, &[]);
        assert_eq!(
            (said.len(), said[0].code, said[0].level),
            (1, WarningCode::LedgerUnchecked, Level::Warning)
        );
        assert!(said[0].message.contains("no room"), "{said:?}");
        let found = Edits { differing: 1, skipped, ..Edits::default() };
        assert_eq!(warnings(&found, &[])[0].code, WarningCode::LedgerEdited);
    }

    #[test]
    fn an_edit_is_urgent_and_says_what_how_much_since_when_and_the_next_command() {
        let since = Some(Timestamp::UNIX_EPOCH);
        let first = Some("releases 77aa".to_owned());
        let edits = Edits { differing: 3, first, since, ..Edits::default() };
        let said = warnings(&edits, &[]);
        assert_eq!((said.len(), said[0].code.as_str(), said[0].level), (1, "ledger_edited", Level::Urgent));
        assert!(said[0].message.starts_with("3 values are") && said[0].message.contains("releases 77aa"));
        assert_eq!((said[0].since, said[0].next.as_deref()), (since, Some("distributor log verify")));
    }
}

//! What an admin should know of approvals: what waits for a second person, and that too few could be one.

use jiff::Timestamp;

use super::Approvals;
use super::door::ALONE_AFTER;
use crate::rules::text::{counted, escape};
use crate::rules::warnings::{Warning, WarningCode};

/// What is to be told; `needs_two` says whether any rule needs two people.
#[must_use]
pub fn notices(approvals: &Approvals, needs_two: bool, now: Timestamp) -> Vec<Warning> {
    let mut found = Vec::new();
    let mut waiting: Vec<_> = approvals.open(now).collect();
    waiting.sort_by_key(|proposal| proposal.at);
    if let Some(first) = waiting.first() {
        let count = waiting.len() as u64;
        let said = format!(
            "{} for a second person, the oldest since {}: {} asked to {}; see `distributor approvals list`",
            counted(count, "proposal waits", "proposals wait"),
            first.at,
            first.eyes,
            escape(&first.what.to_string())
        );
        found.push(Warning::new(WarningCode::ApprovalWaits, said));
    }
    let able = approvals.people.who_can_be_second(now).len() as u64;
    if needs_two && able < 2 {
        let alone = if able == 0 {
            format!(
                "; until then changes of the rules that are asked for at the server can be carried out alone after {} hours",
                ALONE_AFTER.as_hours()
            )
        } else {
            String::new()
        };
        let said = format!(
            "a rule of approvals needs two people, and {} as second eyes: make tokens with `distributor token new NAME --account ACCOUNT`, and have their owners renew them{alone}",
            counted(able, "account counts", "accounts count")
        );
        found.push(Warning::new(WarningCode::FourEyesStuck, said).next("distributor accounts list"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::account::Actor;
    use crate::rules::approvals::people::{AccountName, Eyes};
    use crate::rules::approvals::proposal::{Proposal, Proposed};

    #[test]
    fn what_waits_is_told_until_it_expires_and_who_is_missing_until_two_count() {
        let now = Timestamp::UNIX_EPOCH;
        let later = now + ALONE_AFTER;
        let account = AccountName::new("carl").unwrap();
        let proposal = Proposal {
            number: 7,
            what: Proposed::AddAccount { account },
            by: Actor::socket("root"),
            eyes: Eyes::Local,
            at: now,
            expires_at: later,
            comment: String::new(),
        };
        let approvals = Approvals { proposals: [(7, proposal)].into(), ..Approvals::default() };
        let codes = |needs_two, now| -> Vec<WarningCode> {
            notices(&approvals, needs_two, now).into_iter().map(|warning| warning.code).collect()
        };
        assert_eq!(codes(false, now), [WarningCode::ApprovalWaits]);
        assert_eq!(codes(true, now), [WarningCode::ApprovalWaits, WarningCode::FourEyesStuck]);
        assert_eq!(codes(true, later), [WarningCode::FourEyesStuck]);
        assert!(notices(&Approvals::default(), false, now).is_empty());
        let said = &notices(&approvals, true, now)[0];
        assert!(said.message.contains("local asked to add the account carl"), "{said:?}");
        assert_eq!(said.next.as_deref(), Some("distributor approvals list"));
    }
}

//! What will need somebody's attention: the warnings of `status`.
//!
//! What ends is `expiries`' and says so itself. Left out on purpose: who is told. A warning is a sentence; the console,
//! the CLI and monitors show it.

use jiff::Timestamp;

use crate::rows::{LicenseRow, LogForkRow, PullRow};
use crate::rules::expiries::Expiry;
use crate::rules::restore::RestoreState;
use crate::rules::text::counted;

/// Warn when the last pull is older than this many days, even if the metadata has not expired.
const STALE_PULL_DAYS: i64 = 3;
const DAY_SECS: i64 = 24 * 60 * 60;

/// Warnings about licenses, what ends, and pulls, in the order in which they are shown.
#[must_use]
pub fn warnings(expiries: &[Expiry], licenses: &[LicenseRow], pull: &PullRow, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    if licenses.is_empty() {
        warnings.push("no license yet: `distributor register SERIAL` unlocks seats".to_owned());
    }
    for license in licenses {
        if license.used > license.licenses {
            warnings.push(format!(
                "serial {} has {}, of which {} are used: nothing is taken away, nothing new is given",
                license.serial,
                counted(u64::from(license.licenses), "seat", "seats"),
                license.used
            ));
        }
    }
    warnings.extend(expiries.iter().filter_map(|expiry| expiry.warning(now)));
    if let Some(failure) = &pull.failure {
        warnings.push(format!("the last pull failed: {failure}"));
    }
    match pull.metadata_as_of {
        None => warnings.push("nothing was pulled yet: `distributor pull`".to_owned()),
        Some(as_of) if now.as_second() - as_of.as_second() > STALE_PULL_DAYS * DAY_SECS => {
            warnings
                .push(format!("the vendor's metadata was last found fresh at {as_of}: check the connection"));
        }
        Some(_) => {}
    }
    warnings
}

/// Names of computers in one warning.
const MAX_NAMED_FORKS: usize = 5;

/// What is said of a restored ledger while it gives no new license, or computers still go on.
#[must_use]
pub fn restored(state: &RestoreState, now: Timestamp) -> Option<String> {
    let restored = state.restored.as_ref()?;
    let at = restored.at;
    if !restored.confirmed {
        return Some(format!(
            "the ledger was restored to an older state (found at {at}): no new license is given before the vendor \
             confirms; run `distributor register SERIAL`"
        ));
    }
    (now <= restored.resumes_until).then(|| {
        format!(
            "the ledger was restored (found at {at}), and the vendor confirmed it; computers that it lost go on until {}",
            restored.resumes_until
        )
    })
}

/// What is said of computers whose witnessed heads of the log do not fit each other.
#[must_use]
pub fn log_forks(forks: &[LogForkRow]) -> Option<String> {
    if forks.is_empty() {
        return None;
    }
    let count = u64::try_from(forks.len()).unwrap_or(u64::MAX);
    let named: Vec<String> = forks.iter().take(MAX_NAMED_FORKS).map(|fork| fork.name.to_string()).collect();
    let more = if forks.len() > named.len() { ", …" } else { "" };
    Some(format!(
        "{} of another log than this one ({}{more}): the log was replaced, or the server restored; run \
         `distributor log verify`, and `distributor clients show NAME` for the heads",
        counted(count, "computer holds a head", "computers hold heads"),
        named.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_manifests::grant::LicenseModel;
    use sealpost_manifests::ids::{ComputerName, SerialNumber};
    use sealpost_manifests::log::LogHead;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn reported_forks_are_counted_and_the_first_computers_named() {
        let head = |size| LogHead { size, ..LogHead::empty() };
        let fork = |number: u32| LogForkRow {
            name: ComputerName::new(format!("pc-{number}")).unwrap(),
            held: head(7),
            seen: head(9),
            at: at(0),
        };
        let forks: Vec<LogForkRow> = (1..=7).map(fork).collect();
        assert_eq!(log_forks(&[]), None);
        let one = log_forks(&forks[..1]).unwrap();
        assert!(one.starts_with("1 computer holds a head") && one.contains("(pc-1)"), "{one}");
        let many = log_forks(&forks).unwrap();
        assert!(
            many.starts_with("7 computers hold heads") && many.contains("(pc-1, pc-2, pc-3, pc-4, pc-5, …)"),
            "{many}"
        );
    }

    #[test]
    fn a_new_server_says_what_to_do_first_and_a_used_up_one_what_is_wrong() {
        let fresh = warnings(&[], &[], &PullRow::default(), at(0));
        assert_eq!(fresh.len(), 2, "{fresh:?}");
        assert!(fresh[0].contains("register SERIAL") && fresh[1].contains("distributor pull"));
        let license = LicenseRow {
            serial: SerialNumber::from_random([1; 19]),
            licenses: 1,
            used: 3,
            active: 0,
            reserved: 3,
            model: LicenseModel::Named,
            generation: 1,
            epoch: sealpost_manifests::order::Epoch::of(1, 0),
            not_after: at(400 * DAY_SECS),
        };
        let pulled = |day: i64, failure: Option<&str>| PullRow {
            metadata_as_of: Some(at(day * DAY_SECS)),
            timestamp_version: None,
            tried_at: None,
            failure: failure.map(str::to_owned),
        };
        let said = warnings(&[], std::slice::from_ref(&license), &pulled(100, None), at(103 * DAY_SECS));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("has 1 seat, of which 3 are used"));
        let good = LicenseRow { licenses: 3, ..license };
        let said = warnings(&[], &[good], &pulled(100, Some("no route")), at(104 * DAY_SECS));
        assert!(said[0].contains("no route") && said[1].contains("last found fresh"), "{said:?}");
    }
}

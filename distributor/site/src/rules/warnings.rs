//! What will need somebody's attention, and when: the warnings of `status`.
//!
//! Left out on purpose: who is told. A warning is a sentence; the console, the CLI and monitors show it.

use jiff::Timestamp;

use crate::rows::{LicenseRow, LogForkRow, PullRow};
use crate::rules::restore::RestoreState;

/// Days before an end at which it is warned of, most urgent first.
const WARN_DAYS: [i64; 3] = [7, 30, 90];
/// The vendor renews these each day and lets them live for days, so a long warning would always stand there.
const RENEWED_DAILY: [&str; 2] = ["timestamp", "snapshot"];
/// Days before the end of those.
const WARN_DAYS_RENEWED: [i64; 1] = [3];
/// Warn when the last pull is older than this many days, even if the metadata has not expired.
const STALE_PULL_DAYS: i64 = 3;
const DAY_SECS: i64 = 24 * 60 * 60;

/// Something outside of the ledger that ends, for example a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// What it is, for people.
    pub what: String,
    /// Its end.
    pub at: Timestamp,
}

/// Warnings about licenses, pulls and what ends, in the order in which they are shown.
#[must_use]
pub fn warnings(expiries: &[Expiry], licenses: &[LicenseRow], pull: &PullRow, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    if licenses.is_empty() {
        warnings.push("no license yet: `distributor register SERIAL` unlocks seats".to_owned());
    }
    for license in licenses {
        let what = format!("the grant for serial {}", license.serial);
        warnings.extend(ending(&what, license.not_after, &WARN_DAYS, now));
        if license.used > license.licenses {
            warnings.push(format!(
                "serial {} has {} seats and {} are used: nothing is taken away, nothing new is given",
                license.serial, license.licenses, license.used
            ));
        }
    }
    warnings.extend(expiries.iter().filter_map(|expiry| ending(&expiry.what, expiry.at, &WARN_DAYS, now)));
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
    let named: Vec<String> = forks.iter().take(MAX_NAMED_FORKS).map(|fork| fork.name.to_string()).collect();
    let more = if forks.len() > named.len() { ", …" } else { "" };
    Some(format!(
        "{} computer(s) hold heads of another log than this one ({}{more}): the log was replaced, or the server \
         restored; run `distributor log verify`, and `distributor clients show NAME` for the heads",
        forks.len(),
        named.join(", ")
    ))
}

/// The warning about a role of the mirrored metadata, if its end is near.
#[must_use]
pub fn role_ending(role: &str, at: Timestamp, now: Timestamp) -> Option<String> {
    let days: &[i64] = if RENEWED_DAILY.contains(&role) { &WARN_DAYS_RENEWED } else { &WARN_DAYS };
    ending(&format!("the vendor's metadata of {role}"), at, days, now)
}

fn ending(what: &str, end: Timestamp, warn_days: &[i64], now: Timestamp) -> Option<String> {
    let left = end.as_second() - now.as_second();
    if left <= 0 {
        return Some(format!("{what} ended at {end}"));
    }
    let within = warn_days.iter().find(|days| left <= **days * DAY_SECS)?;
    Some(format!("{what} ends at {end}, in less than {within} days"))
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
    fn an_end_is_warned_of_at_90_30_and_7_days_and_after_it() {
        let now = at(100 * DAY_SECS);
        let warn = |left_secs: i64| ending("it", at(100 * DAY_SECS + left_secs), &WARN_DAYS, now);
        assert_eq!(warn(90 * DAY_SECS + 1), None);
        assert!(warn(90 * DAY_SECS).unwrap().ends_with("less than 90 days"));
        assert!(warn(30 * DAY_SECS).unwrap().ends_with("less than 30 days"));
        assert!(warn(7 * DAY_SECS).unwrap().ends_with("less than 7 days"));
        assert!(warn(0).unwrap().contains("ended at"));
    }

    #[test]
    fn metadata_that_is_renewed_each_day_is_warned_of_only_when_it_was_not() {
        let now = at(100 * DAY_SECS);
        let warn = |role: &str, days: i64| role_ending(role, at((100 + days) * DAY_SECS), now);
        assert_eq!(warn("timestamp", 6), None);
        assert!(warn("timestamp", 3).unwrap().contains("metadata of timestamp ends at"));
        assert!(warn("snapshot", -1).unwrap().contains("ended at"));
        assert!(warn("root", 90).unwrap().ends_with("less than 90 days"));
        assert!(warn("acme-av", 30).unwrap().ends_with("less than 30 days"));
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
        assert!(one.starts_with("1 computer(s)") && one.contains("(pc-1)"), "{one}");
        let many = log_forks(&forks).unwrap();
        assert!(
            many.starts_with("7 computer(s)") && many.contains("(pc-1, pc-2, pc-3, pc-4, pc-5, …)"),
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
        assert!(said[0].contains("has 1 seats and 3 are used"));
        let good = LicenseRow { licenses: 3, ..license };
        let said = warnings(&[], &[good], &pulled(100, Some("no route")), at(104 * DAY_SECS));
        assert!(said[0].contains("no route") && said[1].contains("last found fresh"), "{said:?}");
    }
}

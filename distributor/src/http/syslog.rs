//! What `status` says of the log on its way to a syslog receiver.

use std::time::Duration;

use sealpost_site::rules::text::counted;
use sealpost_site::rules::warnings::{Warning, WarningCode};

use super::Site;
use crate::ports::syslog::SyslogBehind;

/// A receiver that is being restarted is no news.
const NEWS_AFTER: Duration = Duration::from_secs(15 * 60);

/// The warning that the receiver lacks entries for long.
pub(crate) fn warning(site: &Site) -> Option<Warning> {
    let behind = site.parts.syslog.behind(site.parts.ledger.head().size)?;
    said(&behind).map(|said| Warning::new(WarningCode::SyslogBehind, said))
}

fn said(behind: &SyslogBehind) -> Option<String> {
    let SyslogBehind { target, entries, since, error } = behind;
    if *since < NEWS_AFTER {
        return None;
    }
    let why = error.as_ref().map_or_else(String::new, |error| format!(" ({error})"));
    Some(format!(
        "{} not sent to {target} for {} minutes{why}: check the receiver, and `log.syslog` in the configuration",
        counted(*entries, "entry of the log was", "entries of the log were"),
        since.as_secs() / 60,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_lacks_entries_is_told_after_a_quarter_of_an_hour_with_what_failed() {
        let behind = |minutes: u64| SyslogBehind {
            target: "tcp://siem.example:601".to_owned(),
            entries: 1,
            since: Duration::from_secs(60 * minutes),
            error: Some("connection refused".to_owned()),
        };
        assert_eq!(said(&behind(14)), None);
        let said = said(&behind(20)).unwrap();
        assert!(
            said.contains("1 entry of the log was not sent to tcp://siem.example:601 for 20 minutes"),
            "{said}"
        );
        assert!(said.contains("connection refused") && said.contains("`log.syslog`"), "{said}");
    }
}

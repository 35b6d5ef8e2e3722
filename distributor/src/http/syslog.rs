//! What `status` says of the log on its way to a syslog receiver.

use std::time::Duration;

use sealpost_manifests::log::LogHead;
use sealpost_site::rules::text::counted;
use sealpost_site::rules::warnings::{Warning, WarningCode};

use super::Site;
use crate::ports::syslog::{SyslogBehind, SyslogOther};

/// A receiver that is being restarted is no news.
const NEWS_AFTER: Duration = Duration::from_secs(15 * 60);

/// The warnings that the receiver was sent another log, and that it lacks entries for long.
pub(crate) fn warnings(site: &Site) -> Vec<Warning> {
    let behind = site.parts.syslog.behind(site.parts.ledger.head().size);
    let behind =
        behind.and_then(|behind| said(&behind)).map(|said| Warning::new(WarningCode::SyslogBehind, said));
    site.parts.syslog.other().map(|other| another_log(&other)).into_iter().chain(behind).collect()
}

fn another_log(other: &SyslogOther) -> Warning {
    let SyslogOther { target, head: LogHead { size, root } } = other;
    let kept = format!("{size}:{root}");
    let said = format!(
        "{target} was sent {} that this log does not have: the ledger was put back or replaced, and all of its log is sent \
         again; `distributor log verify --head {kept}` shows it, and the receiver has what was there before. To end this warning stop the server and \
         remove `log/syslog.position`",
        counted(*size, "entry", "entries"),
    );
    Warning::new(WarningCode::SyslogOtherLog, said)
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
    use sealpost_site::rules::expiries::Level;

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

    #[test]
    fn that_the_receiver_was_sent_another_log_is_urgent_with_the_command_that_shows_it() {
        let head = LogHead { size: 54, ..LogHead::empty() };
        let said = another_log(&SyslogOther { target: "tcp://siem.example:601".to_owned(), head });
        assert_eq!((said.code.as_str(), said.level), ("syslog_other_log", Level::Urgent));
        let root = head.root;
        assert_eq!(said.next, Some(format!("distributor log verify --head 54:{root}")));
    }
}

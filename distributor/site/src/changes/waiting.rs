//! Lines for people about computers that knock and are admitted, copies of one computer, and installs at a time.

use super::activity::Change;
use super::seats::{
    ComputerAdmitted, ComputerKnocked, CopyResolved, CopySeen, InstallTried, ScheduleChanged,
};
use crate::rules::text::{counted, escape};

/// The line for people about one of these changes; empty for any other.
pub(super) fn of_seats(change: &Change) -> String {
    match change {
        Change::ComputerKnocked(knocked) => {
            let ComputerKnocked { name, client_key, platform, agent_version, .. } = knocked;
            format!(
                "{name} asked to be enrolled and waits to be admitted ({platform}, agent {}, key {})",
                escape(agent_version),
                client_key.fingerprint()
            )
        }
        Change::ComputerAdmitted(ComputerAdmitted { name, client_key, expires_at, .. }) => {
            format!("admitted {name} with the key {}, good until {expires_at}", client_key.fingerprint())
        }
        Change::CopySeen(seen) => {
            let CopySeen { branch, hostname, agent_version, packages, came_by, .. } = seen;
            let host = hostname.as_deref().map_or_else(String::new, |host| format!(" {}", escape(host)));
            let from = came_by.as_ref().map_or_else(String::new, |from| format!(" from {from}"));
            let count = counted(packages.len() as u64, "package", "packages");
            format!(
                "one of the computers with its identity is {}:{host}{from}, agent {}, {count}",
                branch.short(),
                escape(agent_version)
            )
        }
        Change::CopyResolved(CopyResolved { name, keep, comment, .. }) => {
            let why = if comment.is_empty() { String::new() } else { format!(" ({})", escape(comment)) };
            format!("decided that {name} is the computer {}; the other one is refused{why}", keep.short())
        }
        Change::ScheduleChanged(ScheduleChanged { name, schedule }) => match schedule {
            None => format!("called off the install on {name}"),
            Some(schedule) => {
                let how = match &schedule.ssh {
                    Some(ssh) => format!("over ssh as {}", ssh.target),
                    None => "by an install file".to_owned(),
                };
                format!("planned the install on {name} for {}, {how}", schedule.at)
            }
        },
        Change::InstallTried(InstallTried { name, attempt, outcome, reason }) => {
            let why = if reason.is_empty() { String::new() } else { format!(": {}", escape(reason)) };
            format!("install on {name}, try {attempt}: {outcome}{why}")
        }
        _ => String::new(),
    }
}

//! The list of problems of a cycle: one line for everything that is not as it should be, each once; and what a person
//! should know although this computer is up to date.

use sealpost_files::with_causes;

use crate::domain::policy::Decision;
use crate::flows::context::Host;
use crate::flows::drift::{Found, Place};
use crate::flows::start_again;
use crate::records::holdings::{HeldDocument, Holdings};
use crate::records::progress::Progress;

use super::decide::decision;

#[derive(Debug, Default)]
pub(super) struct Problems {
    lines: Vec<String>,
    notices: Vec<String>,
}

impl Problems {
    pub(super) fn add(&mut self, problem: String) {
        if !self.lines.contains(&problem) {
            self.lines.push(problem);
        }
    }

    /// Adds what a person should know, although nothing is to be done here.
    pub(super) fn note(&mut self, notice: String) {
        if !self.notices.contains(&notice) {
            self.notices.push(notice);
        }
    }

    /// Adds a line for each product that is stopped because it could not be started.
    pub(super) fn add_not_started(&mut self, host: &Host) {
        match start_again::down(host) {
            Ok(down) => down.iter().for_each(|(_, state)| self.add(start_again::told(state))),
            Err(error) => self.add(with_causes(&error)),
        }
    }

    /// Adds what is wrong with lease and assignment, what was found not to be as it was signed, and a line for each package
    /// that does not run what it should.
    pub(super) fn add_unfinished(&mut self, host: &Host, progress: &Progress, found: &[Found]) {
        let Ok(holdings) = Holdings::load(&host.home, progress, host.now()) else { return };
        self.lines.extend(holdings.lease.problem("lease"));
        // No assignment at all means that nothing is approved for this computer: it is up to date.
        if !matches!(holdings.assignment, HeldDocument::None) {
            self.lines.extend(holdings.assignment.problem("assignment"));
        }
        self.notices.extend(progress.standing.log.problem());
        for found in found {
            match found.place {
                Place::Current => self.add(found.told(holdings.assignment.good())),
                Place::Previous => self.notices.push(found.told(holdings.assignment.good())),
            }
        }
        let Some(assignment) = holdings.assignment.good() else { return };
        for wanted in &assignment.packages {
            let why = match decision(host, wanted, &holdings, progress) {
                // That there is no lease was said already.
                Ok(Decision::UpToDate | Decision::NoLease) => continue,
                Ok(decision @ (Decision::Install | Decision::Prepare(_) | Decision::RollBack)) => {
                    let refusal = progress.computer.refusals.get(&wanted.release.package);
                    refusal.cloned().unwrap_or_else(|| decision.to_string())
                }
                Ok(decision @ Decision::TriesAgain { .. }) => {
                    match progress.computer.refusals.get(&wanted.release.package) {
                        Some(why) => format!("{why}; {decision}"),
                        None => decision.to_string(),
                    }
                }
                Ok(decision) => decision.to_string(),
                Err(error) => with_causes(&error),
            };
            self.add(format!("{}: {why}", wanted.release));
        }
    }

    pub(super) fn into_lines(self) -> (Vec<String>, Vec<String>) {
        (self.lines, self.notices)
    }
}

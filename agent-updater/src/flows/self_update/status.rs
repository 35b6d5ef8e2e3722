//! Which program of the agent runs and why, for `status`.

use std::fmt::Write as _;

use jiff::Timestamp;
use sealpost_files::with_causes;
use serde::Serialize;

use crate::domain::self_update::launch::Why;
use crate::domain::self_update::record::SelfRecord;
use crate::home::Home;
use crate::records::self_state;

/// The agent's own program.
#[derive(Debug, Clone, Serialize)]
pub struct AgentStatus {
    /// The version that runs, or ran last.
    pub version: String,
    /// Why this one; `None` if the daemon never ran here.
    pub why: Option<Why>,
    /// A version that is on trial.
    pub on_trial: Option<TrialStatus>,
}

#[derive(Debug, Clone, Serialize)]
pub struct TrialStatus {
    pub version: String,
    pub began_at: Timestamp,
    /// Whether a contact of it was answered.
    pub contacted: bool,
    /// For how long the server could be reached without a contact of it.
    pub reachable_secs: u64,
    /// How often it ended by itself.
    pub exits: u32,
}

/// Reads it, and what a person should know beside.
pub fn read(home: &Home, notices: &mut Vec<String>) -> AgentStatus {
    let record = match self_state::load(home) {
        Ok(record) => record,
        Err(error) => {
            notices.push(with_causes(&error));
            SelfRecord::default()
        }
    };
    let running = self_state::running(home);
    let contacted = self_state::contacted(home).map(|contacted| contacted.manifest);
    AgentStatus {
        version: running
            .as_ref()
            .map_or_else(|| env!("CARGO_PKG_VERSION").to_owned(), |running| running.version.clone()),
        why: running.map(|running| running.why),
        on_trial: record.trial.map(|trial| TrialStatus {
            version: trial.to.installed.release.version.to_string(),
            began_at: trial.began_at,
            contacted: contacted == Some(*trial.to.manifest()),
            reachable_secs: trial.reachable_secs,
            exits: trial.exits,
        }),
    }
}

impl AgentStatus {
    /// One line for people.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut line = self.version.clone();
        // Writing to a String cannot fail.
        if let Some(why) = self.why {
            let _ = write!(line, ": {why}");
        }
        if let Some(trial) = &self.on_trial {
            let TrialStatus { version, began_at, contacted, reachable_secs, exits } = trial;
            let _ = write!(line, "; {version} is on trial since {began_at}, ");
            let _ = match contacted {
                true => {
                    write!(line, "has completed a contact, and is kept once it ran on for a while after it")
                }
                false => write!(
                    line,
                    "and is kept once it completed a contact and ran on after it (so far none, with the server reachable \
                     for {reachable_secs} s)"
                ),
            };
            if *exits > 0 {
                let _ = write!(line, "; it ended by itself {exits} times");
            }
        }
        line
    }
}

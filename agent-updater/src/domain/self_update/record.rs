//! What is recorded of the agent's own program: which one is stable, which is on trial, how the last trial ended.
//!
//! Invariant: fields are only added, and each new one may be absent: launchers of older versions read this too.

use std::path::PathBuf;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::report::ReasonCode;
use serde::{Deserialize, Serialize};

use crate::domain::install::JournalStep;
use crate::domain::record::{Change, ChangeKind, Installed};

/// A program of the agent in a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotProgram {
    pub installed: Installed,
    /// Absolute path of the program.
    pub path: PathBuf,
    /// Digest of its bytes, as the manifest says: checked before each execution.
    pub sha256: Sha256Digest,
}

impl SlotProgram {
    /// The digest of the manifest, which names the release for good.
    #[must_use]
    pub const fn manifest(&self) -> &Sha256Digest {
        &self.installed.manifest
    }
}

/// A new program that has not shown yet that it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    pub kind: ChangeKind,
    /// The slot program that ran before, and is the watchdog; `None` for the packaged one.
    #[serde(default)]
    pub from: Option<SlotProgram>,
    pub to: SlotProgram,
    pub began_at: Timestamp,
    /// For how long the server could be reached without a contact, over all starts.
    #[serde(default)]
    pub reachable_secs: u64,
    /// How often the new program ended by itself.
    #[serde(default)]
    pub exits: u32,
}

/// How a trial, or a stable program, came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The new program is stable now.
    Confirmed,
    /// The program of before runs again.
    GivenBack,
    /// The stable program cannot be executed any more; or, for a local rollback, a person went back to the packaged one.
    Lost,
}

/// An end that no cycle has noted in the record of the package yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub how: How,
    pub kind: ChangeKind,
    /// What was stable before.
    #[serde(default)]
    pub from: Option<SlotProgram>,
    pub to: SlotProgram,
    pub reason: ReasonCode,
    pub detail: String,
    pub at: Timestamp,
}

impl Ended {
    /// The change of the package that ended, for its record and for reports.
    #[must_use]
    pub fn change(&self) -> Change {
        let from = self.from.as_ref().map(|from| from.installed.clone());
        let failed = self.how != How::Confirmed;
        Change {
            step: JournalStep::Healthy,
            why: failed.then_some(self.reason),
            detail: failed.then(|| self.detail.clone()),
            ..Change::new(self.kind, from, None, self.to.installed.clone())
        }
    }
}

/// The record. Empty: the packaged program runs, and nothing is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfRecord {
    /// The slot program that showed that it works; `None` while it is the packaged one.
    #[serde(default)]
    pub stable: Option<SlotProgram>,
    #[serde(default)]
    pub trial: Option<Trial>,
    #[serde(default)]
    pub ended: Option<Ended>,
}

impl SelfRecord {
    /// The record at the beginning of a trial, which the stable program watches.
    #[must_use]
    pub fn on_trial(self, kind: ChangeKind, to: SlotProgram, at: Timestamp) -> Self {
        let from = self.stable.clone();
        Self {
            trial: Some(Trial { kind, from, to, began_at: at, reachable_secs: 0, exits: 0 }),
            ended: None,
            ..self
        }
    }

    /// The same, but the packaged program watches: it runs now, because it is newer than the stable one.
    #[must_use]
    pub fn watched_by_packaged(self) -> Self {
        Self { trial: self.trial.map(|trial| Trial { from: None, ..trial }), ..self }
    }

    /// The record after the new program was confirmed; as it is if there is no trial.
    #[must_use]
    pub fn confirmed(self, at: Timestamp) -> Self {
        let Some(trial) = self.trial else { return self };
        let (Trial { kind, to, .. }, from) = (trial, self.stable);
        let detail = "it completed a contact".to_owned();
        let stable = Some(to.clone());
        let ended = Ended { how: How::Confirmed, kind, from, to, reason: ReasonCode::Done, detail, at };
        Self { stable, trial: None, ended: Some(ended) }
    }

    /// The record once a release was built whose program is, byte for byte, the one that runs: there is nothing to try.
    #[must_use]
    pub fn runs_already(self, kind: ChangeKind, to: SlotProgram, at: Timestamp) -> Self {
        let stable = Some(to.clone());
        let detail = "it is the program that ran here already".to_owned();
        let (how, reason) = (How::Confirmed, ReasonCode::Done);
        let ended = Ended { how, kind, from: self.stable, to, reason, detail, at };
        Self { stable, trial: None, ended: Some(ended) }
    }

    /// The record after the program of before came back; as it is if there is no trial.
    #[must_use]
    pub fn given_back(self, reason: ReasonCode, detail: String, at: Timestamp) -> Self {
        let Some(trial) = self.trial else { return self };
        let (Trial { kind, to, .. }, from) = (trial, self.stable.clone());
        let ended = Ended { how: How::GivenBack, kind, from, to, reason, detail, at };
        Self { stable: self.stable, trial: None, ended: Some(ended) }
    }

    /// The record after the stable program could not be executed; as it is if there is none.
    #[must_use]
    pub fn lost(self, detail: String, at: Timestamp) -> Self {
        let Some(to) = self.stable else { return self };
        let (how, kind, reason) = (How::Lost, ChangeKind::Install, ReasonCode::LocalFault);
        let ended = Ended { how, kind, from: None, to, reason, detail, at };
        Self { stable: None, trial: self.trial, ended: Some(ended) }
    }

    /// The record after a person went back to the packaged program; as it is if no other is stable. The release is given
    /// up, and not installed again by itself.
    #[must_use]
    pub fn back_to_packaged(self, at: Timestamp) -> Self {
        let Some(to) = self.stable else { return self };
        let (how, kind, reason) = (How::Lost, ChangeKind::LocalRollback, ReasonCode::AskedLocally);
        let detail = "back to the packaged program".to_owned();
        let ended = Ended { how, kind, from: None, to, reason, detail, at };
        Self { stable: None, trial: self.trial, ended: Some(ended) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use sealpost_manifests::ids::{PackageName, Platform};
    use sealpost_manifests::release::{PackageKind, ReleaseId};
    use sealpost_manifests::version::{ReleaseCounter, Version};

    use crate::domain::record::SlotId;

    use super::*;

    pub(crate) fn program(version: &str) -> SlotProgram {
        let version = Version::new(version).unwrap();
        let manifest = Sha256Digest::of(version.as_str().as_bytes());
        let slot = SlotId::of(&version, &manifest);
        let release = ReleaseId { package: PackageName::agent(), version, platform: Platform::any() };
        SlotProgram {
            path: format!("/slots/{slot}/agent-updater").into(),
            sha256: Sha256Digest::of(b"program"),
            installed: Installed {
                slot,
                release,
                kind: PackageKind::Agent,
                counter: ReleaseCounter(2),
                manifest,
                rollout: 1,
                attempt: 1,
                ring: None,
            },
        }
    }

    pub(crate) const AT: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn the_record_keeps_its_form_and_a_launcher_of_any_version_reads_it() {
        let one = program("1");
        let installed = serde_json::to_string(&one.installed).unwrap();
        let slot_program = format!(
            r#"{{"installed":{installed},"path":"{}","sha256":"{}"}}"#,
            one.path.display(),
            Sha256Digest::of(b"program")
        );
        let golden = format!(
            r#"{{"stable":{slot_program},"trial":{{"kind":"install","from":{slot_program},"to":{slot_program},"began_at":"1970-01-01T00:00:00Z","reachable_secs":0,"exits":0}},"ended":{{"how":"given_back","kind":"install","from":null,"to":{slot_program},"reason":"agent_silent","detail":"why","at":"1970-01-01T00:00:00Z"}}}}"#
        );
        let record: SelfRecord = serde_json::from_str(&golden).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), golden);
        let later = golden.replacen("{\"stable\"", "{\"later\":[1],\"stable\"", 1);
        let later = later.replace("\"exits\":0", "\"exits\":0,\"mood\":\"good\"");
        assert_eq!(
            serde_json::from_str::<SelfRecord>(&later).unwrap(),
            record,
            "added fields are passed over"
        );
        let least = format!(
            r#"{{"trial":{{"kind":"install","to":{slot_program},"began_at":"1970-01-01T00:00:00Z"}}}}"#
        );
        assert_eq!(serde_json::from_str::<SelfRecord>(&least).unwrap().trial.unwrap().exits, 0);
    }

    #[test]
    fn a_trial_ends_in_the_new_program_or_in_that_of_before_and_says_so_once() {
        let stable = SelfRecord { stable: Some(program("1")), ..SelfRecord::default() };
        let trial = stable.clone().on_trial(ChangeKind::Install, program("2"), AT);
        assert_eq!(trial.stable, Some(program("1")), "what ran before stays recorded");
        let confirmed = trial.clone().confirmed(AT);
        assert_eq!((confirmed.stable.clone(), confirmed.trial.clone()), (Some(program("2")), None));
        let change = confirmed.ended.clone().unwrap().change();
        assert_eq!((change.from, change.to), (Some(program("1").installed), program("2").installed));
        let back = trial.given_back(ReasonCode::AgentSilent, "why".to_owned(), AT);
        assert_eq!((back.stable.clone(), back.trial.clone()), (Some(program("1")), None));
        assert_eq!(back.ended.clone().unwrap().change().why, Some(ReasonCode::AgentSilent));
        let packaged = back.clone().on_trial(ChangeKind::Install, program("3"), AT).watched_by_packaged();
        assert_eq!(packaged.trial.clone().unwrap().from, None);
        let from = packaged.confirmed(AT).ended.unwrap().from;
        assert_eq!(from, Some(program("1")), "what was stable before is what a rollback goes to");
        assert_eq!(back.clone().confirmed(AT), back, "an ended trial cannot be confirmed any more");
        assert_eq!(confirmed.clone().given_back(ReasonCode::AgentFailed, String::new(), AT), confirmed);
        let there = SelfRecord::default().runs_already(ChangeKind::Install, program("1"), AT);
        assert_eq!((there.stable.clone(), there.trial.clone()), (Some(program("1")), None));
        let change = there.ended.unwrap().change();
        assert_eq!((change.from, change.to, change.why), (None, program("1").installed, None));
        let lost = stable.lost("changed".to_owned(), AT);
        assert_eq!((lost.stable, lost.ended.unwrap().how), (None, How::Lost));
        assert_eq!(SelfRecord::default().lost(String::new(), AT), SelfRecord::default());
        assert_eq!(SelfRecord::default().back_to_packaged(AT), SelfRecord::default());
    }
}

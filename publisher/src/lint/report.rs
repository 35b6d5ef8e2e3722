//! What a check found: defects and warnings, each about one thing.

use std::fmt;

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A site refuses something because of it.
    Defect,
    /// It needs a person's attention.
    Warning,
}

/// What kind of finding it is, for programs; the words of a finding may change, these do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// What lists or pins things does not verify.
    MetadataRefused,
    /// Its time is over, so readers refuse everything.
    RoleEnded,
    RoleEnds,
    FileMissing,
    /// It is not what is listed, or what its name says.
    FileDamaged,
    FileUnreadable,
    /// No metadata lists it, and nothing else needs it.
    FileUnknown,
    NotListed,
    DocumentRefused,
    /// A document or manifest is about something else than its name says.
    WrongPackage,
    ManifestUnsound,
    SignatureRefused,
    /// A payload or attachment is not the one in the manifest.
    PayloadWrong,
    /// A channel points at what nobody can install.
    ChannelWrong,
    NotReleased,
    CounterRepeated,
    RevisionFalls,
    KindsMixed,
    NoActiveKey,
    /// An entry of the trust document is good for nothing.
    EntryWrong,
    EntryUnused,
    /// An entry of the trust document that this version does not know.
    EntryUnknown,
    ResetOrder,
    ContactWrong,
}

/// One thing that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    pub level: Level,
    pub code: Code,
    /// What it is about: a role, a target, a file.
    pub subject: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Defect => "defect",
            Level::Warning => "warning",
        };
        write!(f, "{level}: {}: {}", self.subject, self.problem)
    }
}

/// How many of each were checked, and what was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub packages: usize,
    pub releases: usize,
    pub targets: usize,
    /// What is not as it should be, defects first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether there is no defect.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.findings.iter().all(|finding| finding.level != Level::Defect)
    }

    pub(super) fn defect(&mut self, code: Code, subject: impl fmt::Display, problem: impl fmt::Display) {
        self.find(Level::Defect, code, &subject, &problem);
    }

    pub(super) fn warn(&mut self, code: Code, subject: impl fmt::Display, problem: impl fmt::Display) {
        self.find(Level::Warning, code, &subject, &problem);
    }

    fn find(&mut self, level: Level, code: Code, subject: &dyn fmt::Display, problem: &dyn fmt::Display) {
        self.findings.push(Finding {
            level,
            code,
            subject: subject.to_string(),
            problem: problem.to_string(),
        });
    }
}

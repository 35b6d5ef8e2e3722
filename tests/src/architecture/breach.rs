//! What a rule reports: which file, what it does, and which rule forbids it.

use std::fmt;

/// A rule of the house. Each has a unit test that breaks it, and a case on disk in the walker's tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Every crate of the workspace is in the plan, with its name, and the other way around.
    Plan,
    /// A crate knows lower floors only.
    Floors,
    /// The test-support crate is for test code.
    TestSupport,
    /// Inside a crate, a module knows lower rooms only.
    Rooms,
    /// Files of one crate do not use each other in a ring.
    Circles,
    /// Code that decides has no clock, disk, socket, process, randomness or async.
    Purity,
    /// Some names stand in some places only.
    Borders,
    /// `app` has no branches.
    Wiring,
    /// A program is a thin `main.rs` over a library.
    ThinMain,
    /// No file is too long to be read in one go.
    Length,
    /// A doc comment says more than the name.
    Docs,
    /// What the pages claim of attacks and invariants has a test.
    Pages,
}

impl Rule {
    /// Every rule, for the test that breaks each of them.
    pub const ALL: &'static [Self] = &[
        Self::Plan,
        Self::Floors,
        Self::TestSupport,
        Self::Rooms,
        Self::Circles,
        Self::Purity,
        Self::Borders,
        Self::Wiring,
        Self::ThinMain,
        Self::Length,
        Self::Docs,
        Self::Pages,
    ];
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plan => "every crate stands on a floor of the plan",
            Self::Floors => "a crate knows lower floors only",
            Self::TestSupport => "only test code knows the test-support crate",
            Self::Rooms => "a module knows lower rooms only",
            Self::Circles => "no circle of files inside a crate",
            Self::Purity => {
                "code that decides has no clock, disk, socket, process, randomness, database or async"
            }
            Self::Borders => "some names stand in their own place only",
            Self::Wiring => {
                "app only constructs and holds; branches belong into flows or into the constructors of adapters"
            }
            Self::ThinMain => "a program is a thin main.rs over a library",
            Self::Length => "a file has at most 600 lines",
            Self::Docs => "a doc comment says more than the name, or it is not there",
            Self::Pages => "every attack and invariant that the pages name has a test",
        })
    }
}

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// The file, relative to the workspace.
    pub file: String,
    /// What it does.
    pub what: String,
    /// Which rule forbids it.
    pub rule: Rule,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.file, self.what, self.rule)
    }
}

/// Numbers of lines, for messages: "line 3", "lines 3, 8, 12".
pub(super) fn at_lines(lines: &[usize]) -> String {
    let listed: Vec<String> = lines.iter().map(ToString::to_string).collect();
    format!("{} {}", if lines.len() == 1 { "line" } else { "lines" }, listed.join(", "))
}

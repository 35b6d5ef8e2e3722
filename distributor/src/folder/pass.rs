//! What every part of one pass over a folder knows: why it is made, and what went wrong.

/// Most lines about what went wrong in one pass.
const MAX_PROBLEMS: usize = 100;

/// Why a folder is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    Schedule,
    /// What was refused before is tried again at once.
    Person,
}

/// What went wrong, one line each, bounded.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<String>);

impl Problems {
    pub(super) fn add(&mut self, line: String) {
        match self.0.len() {
            count if count < MAX_PROBLEMS => self.0.push(line),
            MAX_PROBLEMS => self.0.push("there is more that is not listed".to_owned()),
            _ => {}
        }
    }

    pub(super) fn extend(&mut self, lines: Vec<String>) {
        lines.into_iter().for_each(|line| self.add(line));
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.0
    }
}

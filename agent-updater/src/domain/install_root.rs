//! Whether the install root is the one in which this computer's packages were installed, or an empty folder in its place,
//! as a disk leaves that is not mounted.
//!
//! Invariant: what is installed is never taken for removed, and nothing is installed beneath a mount point, because a disk
//! is missing. The root is known by a mark in it and not by its device: those change with every start of a computer. A
//! mark that moved with the folders, or folders without their mark, are a legitimate move.

use sealpost_manifests::digest::Sha256Digest;

/// What is known of an install root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen<'s> {
    /// The mark of the root in which something was installed last; `None` before the first install.
    pub known: Option<&'s Sha256Digest>,
    /// The mark that is there now.
    pub found: Option<&'s Sha256Digest>,
    /// Whether any package is recorded as installed.
    pub is_anything_installed: bool,
    /// Whether a slot of any recorded release is there.
    pub is_a_slot_there: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one.
    Same,
    /// It is another one than before, or the first, and good: its mark is to be noted.
    Adopt,
    /// What is installed lies elsewhere: nothing is installed here.
    Elsewhere,
}

#[must_use]
pub fn judge(seen: &Seen<'_>) -> Verdict {
    if seen.found.is_some() && seen.found == seen.known {
        Verdict::Same
    } else if seen.is_a_slot_there || !seen.is_anything_installed {
        Verdict::Adopt
    } else {
        Verdict::Elsewhere
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_without_the_mark_and_without_any_recorded_slot_is_another_one() {
        let (one, two) = (Sha256Digest::of(b"1"), Sha256Digest::of(b"2"));
        let judged = |known, found, is_anything_installed, is_a_slot_there| {
            judge(&Seen { known, found, is_anything_installed, is_a_slot_there })
        };
        let marks = [None, Some(&one), Some(&two)];
        for known in marks {
            for found in marks {
                let is_same = known.is_some() && known == found;
                let other = |verdict| if is_same { Verdict::Same } else { verdict };
                assert_eq!(judged(known, found, false, false), other(Verdict::Adopt), "nothing is installed");
                assert_eq!(judged(known, found, true, true), other(Verdict::Adopt), "moved, or of before");
                assert_eq!(judged(known, found, true, false), other(Verdict::Elsewhere));
            }
        }
    }
}

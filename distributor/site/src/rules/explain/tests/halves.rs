//! The two halves of a sentence, what is approved and what is held back, take nothing back from each other.

use sealpost_manifests::word::Word;

use super::waits::{NOW, known, package, view};
use super::*;
use crate::rules::rollouts::gate::{Held, OffPin};

#[test]
fn where_something_is_held_back_nothing_is_said_to_be_missing() {
    let (name, package) = (ComputerName::new("pc-1").unwrap(), package());
    let (runs, newest, halted) = (known("1.0", 1), known("2.0", 2), known("1.0", 1));
    let halted =
        KnownRelease { state: ReleaseState::Halted, reason: Some("it crashes".to_owned()), ..halted };
    let blocked = || Held::Blocked { name: Word::known("lab"), why: String::new() };
    let held = |release, held, runs| Some(Waits { release, held, rollout: None, runs });
    let nothing = PackageView { wanted: None, ..view(&name, &package, &runs) };
    let away = "the block `lab` keeps it away";
    for (view, expected) in [
        (
            PackageView { held: held(&newest, blocked(), false), ..nothing.clone() },
            format!("pc-1 runs av 1.0; it does not get 2.0 yet: {away}"),
        ),
        (
            PackageView { runs: None, held: held(&newest, blocked(), false), ..nothing.clone() },
            format!("pc-1 does not run av; it does not get 2.0 yet: {away}"),
        ),
        (
            PackageView {
                stopped: Some(&halted),
                held: held(&newest, blocked(), false),
                ..nothing.clone()
            },
            format!(
                "pc-1 runs av 1.0, which was halted here (it crashes); it runs on; it does not get 2.0 yet: {away}"
            ),
        ),
        (
            PackageView {
                held: held(
                    &runs,
                    Held::OffPin {
                        name: Word::known("lab"),
                        version: Version::new("0.9").unwrap(),
                        off: OffPin::RunsNewer(runs.release.version.clone()),
                        why: String::new(),
                    },
                    true,
                ),
                ..nothing
            },
            "pc-1 runs av 1.0; the pin `lab` names 0.9, and does not take 1.0 away: nothing leads down but a halt".to_owned(),
        ),
    ] {
        let said = explain(&view, at(NOW));
        assert_eq!((said.sentence, said.changes), (expected, ChangesWhen::Admin));
    }
}

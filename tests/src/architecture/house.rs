//! All rules over one workspace.

use super::breach::Breach;
use super::crates::Workspace;
use super::{circles, floors, pages, purity, rooms, text, wiring};

/// Every breach of every rule, in the order of files.
pub(super) fn check(workspace: &Workspace) -> Vec<Breach> {
    let mut breaches = floors::check(workspace);
    for found in &workspace.crates {
        breaches.extend(rooms::check(found));
        breaches.extend(circles::check(found));
        breaches.extend(purity::check(found));
        breaches.extend(wiring::check(found));
        breaches.extend(text::check(found));
    }
    breaches.extend(pages::check(workspace));
    breaches.sort();
    breaches.dedup();
    breaches
}

//! Makes the seeds, out of golden files and of real values that the fixed key signed.
//!
//! A seed is never overwritten: what was written once stays a text that has to be read. With `SEALPOST_WRITE_SEEDS=1` the
//! missing ones are written. Seeds that no program makes are findings; they stand in the same folders.

mod bodies;
mod deltas;
mod documents;
mod entries;
mod files;
mod golden;
mod logs;
mod texts;
mod trees;

use std::collections::BTreeMap;
use std::fs;

use sealpost_fuzz::TARGETS;

use self::golden::Seeds;
use crate::folder::folder_of;

fn made() -> BTreeMap<&'static str, Seeds> {
    BTreeMap::from([
        ("activity_entries", entries::activity_entries()),
        ("contact_answers", bodies::contact_answers()),
        ("contact_requests", bodies::contact_requests()),
        ("delta_files", trees::delta_files()),
        ("delta_made", deltas::delta_made()),
        ("delta_of_file", deltas::delta_of_file()),
        ("delta_steps", trees::delta_steps()),
        ("documents", documents::documents()),
        ("enrollments", bodies::enrollments()),
        ("frames", files::frames()),
        ("gate_files", files::gate_files()),
        ("key_files", files::key_files()),
        ("log_exports", logs::log_exports()),
        ("log_proofs", logs::log_proofs()),
        ("minisigs", texts::minisigs()),
        ("names", texts::names()),
        ("notes", logs::notes()),
        ("payloads", trees::payloads()),
        ("problems", bodies::problems()),
        ("registration_forms", texts::registration_forms()),
        ("registrations", bodies::registrations()),
        ("reservation_files", texts::reservation_files()),
        ("sealed_documents", files::sealed_documents()),
        ("signed_documents", documents::signed_documents()),
        ("text_codes", texts::text_codes()),
        ("tree_proofs", logs::tree_proofs()),
    ])
}

#[test]
fn every_seed_that_is_made_here_is_in_its_folder() {
    let made = made();
    assert_eq!(made.len(), TARGETS.len());
    for (target, seeds) in made {
        let folder = folder_of(target);
        for (name, bytes) in seeds {
            let path = folder.join(name);
            if std::env::var_os("SEALPOST_WRITE_SEEDS").is_some() && !path.exists() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &bytes).unwrap();
            }
            assert!(
                path.exists(),
                "{} is missing; run this test with SEALPOST_WRITE_SEEDS=1",
                path.display()
            );
        }
    }
}

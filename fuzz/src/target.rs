//! The table of all targets. A line here needs a program in `fuzz_targets`, a `[[bin]]`, and seeds; a test says so.

use crate::{
    activity, contacts, deltas, documents, enrollments, frames, gate_files, key_files, log_exports,
    log_proofs, minisigs, names, notes, payloads, registration_forms, registrations, reservation_files,
    sealed, signed, text_codes, tree_proofs,
};

/// Longest seed, in bytes: a fuzzer mutates short inputs best.
pub const MAX_SEED_BYTES: usize = 4096;

/// A reader, or a few that read the same kind of bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of its program in `fuzz_targets` and of its folder in `seeds`.
    pub name: &'static str,
    /// Reads any bytes, and answers whether a reader accepted them.
    pub run: fn(&[u8]) -> bool,
}

/// Runs the target of this name.
///
/// # Panics
/// When there is none, or it finds something.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of the table");
    (target.run)(data);
}

const fn target(name: &'static str, run: fn(&[u8]) -> bool) -> Target {
    Target { name, run }
}

/// Every target.
pub const TARGETS: &[Target] = &[
    target("activity_entries", activity::activity_entries),
    target("contact_answers", contacts::contact_answers),
    target("contact_requests", contacts::contact_requests),
    target("delta_files", deltas::delta_files),
    target("delta_made", deltas::delta_made),
    target("delta_of_file", deltas::delta_of_file),
    target("delta_steps", deltas::delta_steps),
    target("documents", documents::documents),
    target("enrollments", enrollments::enrollments),
    target("frames", frames::frames),
    target("gate_files", gate_files::gate_files),
    target("key_files", key_files::key_files),
    target("log_exports", log_exports::log_exports),
    target("log_proofs", log_proofs::log_proofs),
    target("minisigs", minisigs::minisigs),
    target("names", names::names),
    target("notes", notes::notes),
    target("payloads", payloads::payloads),
    target("problems", registrations::problems),
    target("registration_forms", registration_forms::registration_forms),
    target("registrations", registrations::registrations),
    target("reservation_files", reservation_files::reservation_files),
    target("sealed_documents", sealed::sealed_documents),
    target("signed_documents", signed::signed_documents),
    target("text_codes", text_codes::text_codes),
    target("tree_proofs", tree_proofs::tree_proofs),
];

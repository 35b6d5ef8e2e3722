//! Every reader of bytes from outside, as one function that a fuzzer calls with any bytes.
//!
//! Invariant: a function of [`TARGETS`] returns, whatever the bytes are. A panic in it is a finding: in the reader, or
//! of an assertion here. The assertions say what must hold for all input: what was read and written again reads the
//! same, what verifies is exactly what the key signed, a result is bounded, a text for people moves no cursor.
//! `fuzz_targets` calls these functions under libFuzzer, `tests` calls them on stable with every seed.
//! Left out on purpose: what reaches a disk, a socket or a database. A reader that takes a path is here only where a
//! small file costs nothing (key files). So a server's backup is not here: its reader unpacks to a disk.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is a finding")]

mod activity;
mod contacts;
mod deltas;
mod documents;
mod enrollments;
mod fixed;
mod frames;
mod gate_files;
mod key_files;
mod log_exports;
mod log_proofs;
mod minisigs;
mod names;
mod notes;
mod payloads;
mod reading;
mod registration_forms;
mod registrations;
mod reservation_files;
mod sealed;
mod signed;
mod site;
mod target;
mod text_codes;
mod tree_proofs;

pub use fixed::{
    BASE_FILES, LOG_ENTRIES, MESSAGE, SEALED_TEXTS, client_id, key, log_entry, log_key, seal_context,
    sealing_key, server_id,
};
pub use target::{MAX_SEED_BYTES, TARGETS, Target, run};
pub use tree_proofs::right_proofs;

/// The program of a target. Without a fuzzer it takes one input from standard input, which is enough to repeat a finding.
#[macro_export]
macro_rules! program {
    ($name:literal) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::run($name, data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            let mut data = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut data)?;
            $crate::run($name, &data);
            Ok(())
        }
    };
}

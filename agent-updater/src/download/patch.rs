//! Metadata that came as a delta from what is held.
//!
//! Invariant: what comes out is as untrusted as a file that came by itself, and bounded as one. A patch that does not fit is as
//! if it had not come.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use sealpost_deltas::{Limits, Progress, apply_file};
use sealpost_files::with_causes;
use sealpost_manifests::wire::refresh::{FilePatch, MAX_FILES_BYTES};
use sealpost_repository::MAX_METADATA_BYTES;

/// Pieces of work that one patch may take: each makes up to 64 KiB.
const MAX_STEPS: u32 = 4096;

/// The file that a patch makes of a held one; nothing if it cannot be used.
pub(super) fn patched(held: &BTreeMap<String, Vec<u8>>, name: &str, patch: &FilePatch) -> Option<Vec<u8>> {
    let (_, role) = name.split_once('.')?;
    let base = held.get(&format!("{}.{role}", patch.from))?;
    if patch.delta.len() > MAX_FILES_BYTES {
        return None;
    }
    let delta = BASE64.decode(patch.delta.as_bytes()).ok()?;
    let limits = Limits { target_bytes: MAX_METADATA_BYTES, ..Limits::default() };
    let (mut made, mut steps) = (Vec::new(), 0u32);
    let mut goes_on = |_: Progress| {
        steps = steps.saturating_add(1);
        steps <= MAX_STEPS
    };
    match apply_file(&base.as_slice(), delta.as_slice(), &mut made, &limits, &mut goes_on) {
        Ok(_) => Some(made),
        Err(error) => {
            tracing::debug!(name, error = with_causes(&error), "a patch of metadata cannot be used");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use sealpost_deltas::{MakeSettings, make_file};

    use super::*;

    fn role(version: u32) -> Vec<u8> {
        let line = |number: u32| format!("{{\"length\":{number},\"name\":\"acme_{number}\"}},\n");
        (0..200 + version).map(line).collect::<String>().into_bytes()
    }

    fn patch(from: u64, base: &[u8], target: &[u8]) -> FilePatch {
        let (mut delta, settings) = (Vec::new(), MakeSettings::default());
        make_file(&base, &target, &mut delta, &settings, &mut |_: Progress| true).unwrap();
        FilePatch { from, delta: BASE64.encode(&delta) }
    }

    #[test]
    fn a_patch_makes_the_newer_file_of_the_held_one_and_whatever_does_not_fit_makes_none() {
        let (old, new) = (role(0), role(3));
        let held = BTreeMap::from([("7.acme-av.json".to_owned(), old.clone())]);
        let good = patch(7, &old, &new);
        assert_eq!(patched(&held, "8.acme-av.json", &good), Some(new.clone()));
        assert_eq!(patched(&held, "8.other.json", &good), None, "another role");
        let other_version = FilePatch { from: 6, ..good.clone() };
        assert_eq!(patched(&held, "8.acme-av.json", &other_version), None);
        let of_another = patch(7, &role(1), &new);
        assert_eq!(patched(&held, "8.acme-av.json", &of_another), None, "made for another file");
        for delta in ["", "!", "AAAA", &good.delta[..good.delta.len() / 2]] {
            let spoilt = FilePatch { from: 7, delta: delta.to_owned() };
            assert_eq!(patched(&held, "8.acme-av.json", &spoilt), None, "{delta:.20}");
        }
        let zeros = vec![0; 6_000_000];
        let bomb = patch(7, &old, &zeros);
        assert!(bomb.delta.len() < 20_000);
        assert_eq!(patched(&held, "8.acme-av.json", &bomb), None, "longer than any metadata");
    }
}

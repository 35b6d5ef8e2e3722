//! Deltas that the vendor publishes beside a release: how their targets are named, and what metadata say of them.

use std::collections::BTreeMap;

use super::ReleaseId;
use crate::digest::Sha256Digest;
use crate::ids::{NameError, TargetName};

/// What stands between a release and the name of a delta that leads to it.
const DELTA: &str = "delta.";
/// The container that programs of today write and read, by name and version.
const CONTAINER: &str = "sealpost-delta 2";
/// Least that a delta spares of a payload, in bytes.
const LEAST_SPARED: u64 = 1024;
/// And at least one part in so many.
const SPARED_PART: u64 = 16;

/// What TUF's `custom` object of a vendor's delta says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaTarget {
    /// The manifest that it starts from.
    pub base: Sha256Digest,
    /// The manifest that it leads to.
    pub target: Sha256Digest,
}

impl DeltaTarget {
    /// The object.
    #[must_use]
    pub fn to_custom(self) -> BTreeMap<String, String> {
        [
            ("base", self.base.to_string()),
            ("target", self.target.to_string()),
            ("container", CONTAINER.to_owned()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into()
    }

    /// Reads the object; `None` if it is of another shape, or the delta is in a container that this program does not read.
    #[must_use]
    pub fn from_custom(custom: &BTreeMap<String, String>) -> Option<Self> {
        let digest = |key: &str| custom.get(key)?.parse().ok();
        let is_ours = custom.get("container").is_some_and(|container| container == CONTAINER);
        if is_ours { Some(Self { base: digest("base")?, target: digest("target")? }) } else { None }
    }
}

/// Whether a delta spares enough of a payload to be worth its place and its making.
#[must_use]
pub fn spares_enough(delta_bytes: u64, payload_bytes: u64) -> bool {
    let least = LEAST_SPARED.max(payload_bytes / SPARED_PART);
    delta_bytes.checked_add(least).is_some_and(|bytes| bytes <= payload_bytes)
}

impl ReleaseId {
    /// The target that holds the delta from a manifest to this release: `<package>_<version>_<platform>.delta.<digest, short>`.
    ///
    /// # Errors
    /// When the parts are together longer than a target name may be.
    pub fn delta_target(&self, base: &Sha256Digest) -> Result<TargetName, NameError> {
        self.target(&format!("{DELTA}{}", base.short()))
    }

    /// Whether a target is named as a delta that leads to this release.
    #[must_use]
    pub fn is_delta(&self, target: &TargetName) -> bool {
        let prefix = format!("{}_{}_{}.{DELTA}", self.package, self.version, self.platform);
        target.as_str().len() > prefix.len() && target.as_str().starts_with(&prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_delta_is_read_back_and_of_another_container_nothing() {
        let delta = DeltaTarget { base: Sha256Digest::of(b"1"), target: Sha256Digest::of(b"2") };
        let custom = delta.to_custom();
        assert_eq!(DeltaTarget::from_custom(&custom), Some(delta));
        for (key, value) in [("container", "sealpost-delta 3"), ("base", "1"), ("target", "")] {
            let mut other = custom.clone();
            other.insert(key.to_owned(), value.to_owned());
            assert_eq!(DeltaTarget::from_custom(&other), None, "{key}");
            other.remove(key);
            assert_eq!(DeltaTarget::from_custom(&other), None, "without {key}");
        }
        let mut more = custom;
        more.insert("later".to_owned(), "1".to_owned());
        assert_eq!(DeltaTarget::from_custom(&more), Some(delta));
    }

    #[test]
    fn a_delta_is_worth_it_if_it_spares_a_kibibyte_and_a_sixteenth() {
        for (delta, payload, is_worth) in [
            (0, 1023, false),
            (0, 1024, true),
            (1, 1024, false),
            (1024, 2048, true),
            (16 * 1024 - 1024, 16 * 1024, true),
            (31 * 1024, 32 * 1024, false),
            (30 * 1024, 32 * 1024, true),
            (u64::MAX, u64::MAX, false),
            (u64::MAX - 1, 0, false),
        ] {
            assert_eq!(spares_enough(delta, payload), is_worth, "{delta} of {payload}");
        }
    }

    #[test]
    fn a_delta_is_named_after_its_release_and_its_base() {
        let release = ReleaseId::from_manifest_target("acme-av_2.0_any.manifest").unwrap();
        let base = Sha256Digest::of(b"1");
        let name = release.delta_target(&base).unwrap();
        assert_eq!(name.as_str(), format!("acme-av_2.0_any.delta.{}", base.short()));
        let attachment = release.attachment_target("delta.json").unwrap();
        assert!(release.is_delta(&name) && !release.is_attachment(&name) && !release.is_delta(&attachment));
        assert!(!release.is_delta(&TargetName::new("acme-av_2.0_any.delta.").unwrap()));
    }
}

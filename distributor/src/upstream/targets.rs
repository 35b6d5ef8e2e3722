//! Which targets the mirrored metadata lists, and what each belongs to, which decides who may read it.
//!
//! Invariant: the index is made of verified listings only, and a release's targets are named by the digest that the
//! listing has for its manifest, so that an assignment and the index cannot mean different things.
//! Pure: no clock, disk or network. Left out on purpose: whether the bytes are here (the blobs know).

use std::collections::BTreeMap;

use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{PackageName, TargetName};
use sealpost_manifests::release::{Encoding, ReleaseId};
use sealpost_manifests::trust::TRUST_TARGET;
use sealpost_repository::TargetInfo;
use serde::{Deserialize, Serialize};

use crate::ports::upstream::{TargetClass, TargetEntry};

/// Digest and length of a target, as a verified chain lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: TargetName,
    pub(crate) sha256: Sha256Digest,
    pub(crate) length: u64,
}

impl Listed {
    /// The parts of a listing that the index needs.
    pub(crate) fn of(target: &TargetInfo) -> Self {
        Self { name: target.name().clone(), sha256: target.sha256(), length: target.length() }
    }
}

/// The index of one mirror generation, by plain target name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TargetIndex(BTreeMap<String, TargetEntry>);

impl TargetIndex {
    /// Adds the trust document.
    pub(crate) fn add_trust(&mut self, listed: &Listed) {
        if listed.name.as_str() == TRUST_TARGET {
            self.add(listed, TargetClass::Trust);
        }
    }

    /// Adds what the role of a package lists. Targets of other kinds are left out.
    pub(crate) fn add_package(&mut self, package: &PackageName, listed: &[Listed]) {
        let by_name: BTreeMap<&str, &Listed> =
            listed.iter().map(|target| (target.name.as_str(), target)).collect();
        if let Some(channels) =
            ChannelsDocument::target(package).ok().and_then(|name| by_name.get(name.as_str()).copied())
        {
            self.add(channels, TargetClass::Channels { package: package.clone() });
        }
        for target in listed {
            let Some(release) = ReleaseId::from_manifest_target(target.name.as_str()) else { continue };
            if release.package != *package {
                continue;
            }
            let names =
                [release.manifest_target(), release.minisig_target(), release.payload_target(Encoding::Gzip)];
            let attachments = listed.iter().filter(|target| release.is_attachment(&target.name));
            let named = names.iter().flatten().filter_map(|name| by_name.get(name.as_str()).copied());
            for part in named.chain(attachments) {
                let class = TargetClass::Release { release: release.clone(), manifest: target.sha256 };
                self.add(part, class);
            }
        }
    }

    fn add(&mut self, listed: &Listed, class: TargetClass) {
        let entry =
            TargetEntry { name: listed.name.clone(), sha256: listed.sha256, length: listed.length, class };
        self.0.insert(listed.name.to_string(), entry);
    }

    /// The target that is served as `<sha256>.<name>`.
    pub(crate) fn find(&self, file_name: &str) -> Option<&TargetEntry> {
        let (digest, name) = file_name.split_once('.')?;
        let digest: Sha256Digest = digest.parse().ok()?;
        self.named(name).filter(|entry| entry.sha256 == digest)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &TargetEntry> {
        self.0.values()
    }

    /// The target of a plain name.
    pub(crate) fn named(&self, name: &str) -> Option<&TargetEntry> {
        self.0.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str) -> Listed {
        Listed { name: TargetName::new(name).unwrap(), sha256: Sha256Digest::of(name.as_bytes()), length: 1 }
    }

    fn index() -> TargetIndex {
        let mut index = TargetIndex::default();
        index.add_trust(&listed("trust.json"));
        let package = PackageName::new("acme-av").unwrap();
        let names = [
            "acme-av.channels",
            "acme-av_1.0_any.manifest",
            "acme-av_1.0_any.manifest.minisig",
            "acme-av_1.0_any.tar.gz",
            "acme-av_2.0_any.tar.gz",
            "acme-av_readme",
        ];
        index.add_package(&package, &names.map(listed));
        index
    }

    fn served(name: &str) -> String {
        format!("{}.{name}", Sha256Digest::of(name.as_bytes()))
    }

    #[test]
    fn the_parts_of_a_release_belong_to_the_digest_of_its_manifest() {
        let index = index();
        let manifest = Sha256Digest::of(b"acme-av_1.0_any.manifest");
        for part in ["acme-av_1.0_any.manifest", "acme-av_1.0_any.manifest.minisig", "acme-av_1.0_any.tar.gz"]
        {
            match &index.find(&served(part)).unwrap().class {
                TargetClass::Release { manifest: found, .. } => assert_eq!(*found, manifest, "{part}"),
                other => panic!("{part} is {other:?}"),
            }
        }
        assert_eq!(index.find(&served("trust.json")).unwrap().class, TargetClass::Trust);
        assert!(matches!(
            index.find(&served("acme-av.channels")).unwrap().class,
            TargetClass::Channels { .. }
        ));
    }

    #[test]
    fn what_is_not_listed_with_this_digest_is_not_found() {
        let index = index();
        let right = served("trust.json");
        let wrong_digest = format!("{}.trust.json", Sha256Digest::of(b"other"));
        // A payload without a manifest belongs to nothing, and so does a name of another kind.
        let orphan = served("acme-av_2.0_any.tar.gz");
        let other_kind = served("acme-av_readme");
        for name in ["trust.json", "", ".", "../trust.json", &right[1..], &wrong_digest, &orphan, &other_kind]
        {
            assert!(index.find(name).is_none(), "{name}");
        }
    }

    #[test]
    fn the_index_reads_back_as_it_was_written() {
        let index = index();
        let json = serde_json::to_vec(&index).unwrap();
        assert_eq!(serde_json::from_slice::<TargetIndex>(&json).unwrap(), index);
    }
}

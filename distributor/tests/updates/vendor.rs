//! A vendor: keys, releases and a repository in a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_keys::{PublicKey, SigningKey, TrustedComment};
use sealpost_manifests::channels::{ChannelsDocument, Withdrawn};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document};
use sealpost_manifests::ids::{ChannelName, PackageName, Platform, TargetName};
use sealpost_manifests::payload::PayloadSource;
use sealpost_manifests::release::{Encoding, PackageKind, ReleaseId, ReleaseManifest, Severity};
use sealpost_manifests::trust::{KeyStatus, TrustDocument, TrustedKey};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_repository::{
    KeyThreshold, Lifetimes, RepositoryEditor, RoleName, RootSpec, Signers, TargetSource,
};
use tempfile::TempDir;

/// A vendor with one package, `acme-av`.
pub(crate) struct Vendor {
    pub(crate) folder: TempDir,
    online: SigningKey,
    pub(crate) release_key: SigningKey,
    pub(crate) root_bytes: Vec<u8>,
    channels: ChannelsDocument,
    counter: u64,
    now: Timestamp,
}

/// A release that is about to be published, and can be spoiled before.
pub(crate) struct Draft {
    pub(crate) manifest: ReleaseManifest,
    pub(crate) payload: Vec<u8>,
    pub(crate) named: ReleaseId,
}

pub(crate) fn package() -> PackageName {
    PackageName::new("acme-av").unwrap()
}

pub(crate) fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

pub(crate) fn release_id(version: &str) -> ReleaseId {
    ReleaseId { package: package(), version: Version::new(version).unwrap(), platform: Platform::any() }
}

/// Bytes that do not compress, always the same.
pub(crate) fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..bytes).map(|_| next()).collect()
}

impl Vendor {
    /// A repository with a trust document, and a package without a release.
    pub(crate) fn new(now: Timestamp) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (root, online, release_key) = (
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
            SigningKey::generate().unwrap(),
        );
        let one = |key: &SigningKey| KeyThreshold::new(&[key.public()], 1).unwrap();
        let spec = RootSpec {
            root: one(&root),
            targets: one(&online),
            snapshot: one(&online),
            timestamp: one(&online),
        };
        let mut editor = RepositoryEditor::create(folder.path(), &spec, Lifetimes::default()).unwrap();
        editor.delegate(&package(), &one(&online)).unwrap();
        let trust = trust(&[release_key.public()]);
        put(&mut editor, &RoleName::Targets, "trust.json", document::write(&trust).unwrap().into_bytes());
        let signed = editor.sign(&Signers::new(&[&root, &online]), now).unwrap();
        let root_bytes = signed.root_bytes().unwrap().to_vec();
        signed.publish().unwrap();
        let channels = ChannelsDocument::empty(package());
        Self { folder, online, release_key, root_bytes, channels, counter: 0, now }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A sound release of these files.
    pub(crate) fn draft(&mut self, version: &str, files: &[(&str, &[u8])]) -> Draft {
        self.counter += 1;
        let tree = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let source = PayloadSource::scan(tree.path()).unwrap();
        let mut payload = Vec::new();
        let signed = source.write_gzip(&mut payload).unwrap();
        let manifest = ReleaseManifest {
            release: release_id(version),
            kind: PackageKind::Program,
            revision: None,
            counter: ReleaseCounter(self.counter),
            payload: signed,
            files: source.files().to_vec(),
            requires: Vec::new(),
            severity: Severity::Normal,
            notes: format!("notes of {version}"),
            built_at: self.now,
        };
        Draft { named: manifest.release.clone(), manifest, payload }
    }

    /// Publishes a sound release and points a channel to it. Answers its manifest's digest.
    pub(crate) fn release(&mut self, version: &str, files: &[(&str, &[u8])]) -> Sha256Digest {
        let draft = self.draft(version, files);
        self.publish(&draft, &["stable"])
    }

    /// Publishes a draft, signed with the release key.
    pub(crate) fn publish(&mut self, draft: &Draft, channels: &[&str]) -> Sha256Digest {
        let key = SigningKeyRef(&self.release_key);
        let (text, minisig) = key.sign(&draft.manifest);
        self.publish_signed(draft, &text, &minisig, channels)
    }

    /// Publishes a draft with another key's signature.
    pub(crate) fn publish_signed_by(
        &mut self,
        draft: &Draft,
        key: &SigningKey,
        channels: &[&str],
    ) -> Sha256Digest {
        let (text, minisig) = SigningKeyRef(key).sign(&draft.manifest);
        self.publish_signed(draft, &text, &minisig, channels)
    }

    fn publish_signed(
        &mut self,
        draft: &Draft,
        text: &str,
        minisig: &str,
        channels: &[&str],
    ) -> Sha256Digest {
        for name in channels {
            self.channels.channels.insert(channel(name), draft.named.version.clone());
        }
        let mut editor = self.editor();
        let role = RoleName::Package(package());
        let name = |name: TargetName| name.to_string();
        put(&mut editor, &role, &name(draft.named.manifest_target().unwrap()), text.as_bytes().to_vec());
        put(&mut editor, &role, &name(draft.named.minisig_target().unwrap()), minisig.as_bytes().to_vec());
        let payload = name(draft.named.payload_target(Encoding::Gzip).unwrap());
        put(&mut editor, &role, &payload, draft.payload.clone());
        put(&mut editor, &role, "acme-av.channels", document::write(&self.channels).unwrap().into_bytes());
        self.sign(editor);
        Sha256Digest::of(text.as_bytes())
    }

    /// Points a channel to a version that was published before.
    pub(crate) fn point(&mut self, name: &str, version: &str) {
        self.channels.channels.insert(channel(name), Version::new(version).unwrap());
        self.publish_channels();
    }

    /// Takes a version back.
    pub(crate) fn withdraw(&mut self, version: &str, reason: &str) {
        let version = Version::new(version).unwrap();
        self.channels.withdrawn.push(Withdrawn { version, reason: reason.to_owned() });
        self.publish_channels();
    }

    fn publish_channels(&self) {
        let mut editor = self.editor();
        let text = document::write(&self.channels).unwrap();
        put(&mut editor, &RoleName::Package(package()), "acme-av.channels", text.into_bytes());
        self.sign(editor);
    }

    /// Lists these keys as the ones that sign releases.
    pub(crate) fn trust(&self, keys: &[PublicKey]) {
        let mut editor = self.editor();
        let text = document::write(&trust(keys)).unwrap();
        put(&mut editor, &RoleName::Targets, "trust.json", text.into_bytes());
        self.sign(editor);
    }

    fn editor(&self) -> RepositoryEditor {
        RepositoryEditor::load(self.path(), &self.root_bytes, Lifetimes::default()).unwrap()
    }

    fn sign(&self, editor: RepositoryEditor) {
        editor.sign(&Signers::new(&[&self.online]), self.now).unwrap().publish().unwrap();
    }

    /// The file of a published target.
    pub(crate) fn target_file(&self, name: &str) -> PathBuf {
        let folder = self.path().join("targets");
        let suffix = format!(".{name}");
        let found = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        found.into_iter().find(|path| path.to_string_lossy().ends_with(&suffix)).unwrap()
    }

    /// A copy of the repository as it is now, to be served later.
    pub(crate) fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for part in ["metadata", "targets"] {
            fs::create_dir(copy.path().join(part)).unwrap();
            for entry in fs::read_dir(self.path().join(part)).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_file() {
                    fs::copy(entry.path(), copy.path().join(part).join(entry.file_name())).unwrap();
                }
            }
        }
        copy
    }
}

struct SigningKeyRef<'a>(&'a SigningKey);

impl SigningKeyRef<'_> {
    fn sign(&self, manifest: &ReleaseManifest) -> (String, String) {
        let text = document::write(manifest).unwrap();
        let comment = TrustedComment::new(manifest.trusted_comment()).unwrap();
        let minisig = self.0.sign(text.as_bytes(), &comment);
        (text, minisig.as_str().to_owned())
    }
}

fn trust(keys: &[PublicKey]) -> TrustDocument {
    let keys = keys.iter().map(|key| TrustedKey { key: key.clone(), status: KeyStatus::Active }).collect();
    TrustDocument {
        vendor: "Acme".to_owned(),
        release_keys: BTreeMap::from([(package(), keys)]),
        license_keys: Vec::new(),
    }
}

fn put(editor: &mut RepositoryEditor, role: &RoleName, name: &str, bytes: Vec<u8>) {
    editor.put_target(role, &TargetName::new(name).unwrap(), TargetSource::Bytes(bytes)).unwrap();
}

//! A vendor with one package: keys, a published repository, releases, channels, trust and grants.
//!
//! The repository is a real one, written by the editor that the publisher uses. What it publishes may be dishonest, since
//! it signs whatever a test hands it. Left out on purpose: the publisher's home and commands, which its own tests drive.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sealpost_keys::{PublicKey, SigningKey};
use sealpost_manifests::channels::{ChannelsDocument, Withdrawn};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::grant::Registration;
use sealpost_manifests::ids::{PackageName, TargetName};
use sealpost_manifests::release::{DeltaTarget, Encoding};
use sealpost_manifests::trust::{CounterReset, KeyStatus, KeyUse, TRUST_TARGET, TrustDocument, TrustedKey};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_repository::{
    KeyThreshold, Lifetimes, RepositoryEditor, RoleName, RootSpec, Signers, TargetSource,
};
use tempfile::TempDir;

use crate::clock::ManualClock;
use crate::folders::{copy_tree, file_with_suffix};
use crate::license::{self, VENDOR};
use crate::names::{channel, release_id, version};
use crate::release::Draft;

/// A vendor with one package.
#[derive(Debug)]
pub struct Vendor {
    folder: TempDir,
    package: PackageName,
    clock: ManualClock,
    online: SigningKey,
    /// Signs the manifests of releases.
    pub release_key: SigningKey,
    /// Signs grants.
    pub license_key: SigningKey,
    root_bytes: Vec<u8>,
    published: Mutex<Published>,
}

/// What the next publication builds on.
#[derive(Debug)]
struct Published {
    trust: TrustDocument,
    channels: ChannelsDocument,
    releases: u64,
}

impl Vendor {
    /// A vendor whose repository has a trust document, and a package without a release and without channels. It signs
    /// at the times that the clock shows.
    #[must_use]
    pub fn new(package: PackageName, clock: ManualClock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [root, online, release_key, license_key] = [(); 4].map(|()| SigningKey::generate().unwrap());
        let repository = repository(&folder);
        let mut editor =
            RepositoryEditor::create(&repository, &root_spec(&root, &online), Lifetimes::default()).unwrap();
        editor.delegate(&package, &only(&online)).unwrap();
        let mut keys = listed(KeyUse::Release, Some(&package), &[release_key.public()], KeyStatus::Active);
        keys.extend(listed(KeyUse::License, None, &[license_key.public()], KeyStatus::Active));
        let trust = TrustDocument {
            vendor: VENDOR.to_owned(),
            keys,
            counter_resets: Vec::new(),
            licensing_contact: None,
            signed_at: clock.now(),
        };
        put_trust(&mut editor, &trust);
        let signed = editor.sign(&Signers::new(&[&root, &online]), clock.now()).unwrap();
        let root_bytes = signed.root_bytes().unwrap().to_vec();
        signed.publish().unwrap();
        let channels = ChannelsDocument::empty(package.clone(), clock.now());
        let published = Mutex::new(Published { trust, channels, releases: 0 });
        Self { folder, package, clock, online, release_key, license_key, root_bytes, published }
    }

    /// The folder of its repository.
    #[must_use]
    pub fn repository(&self) -> PathBuf {
        repository(&self.folder)
    }

    /// The root that sites and computers pin.
    #[must_use]
    pub fn root_bytes(&self) -> &[u8] {
        &self.root_bytes
    }

    /// The pinned root as a file.
    #[must_use]
    pub fn root_file(&self) -> PathBuf {
        let path = self.folder.path().join("root.json");
        fs::write(&path, &self.root_bytes).unwrap();
        path
    }

    /// A copy of its repository as it is now, to be served later.
    #[must_use]
    pub fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(&self.repository(), copy.path()).unwrap();
        copy
    }

    /// A metadata file of its repository.
    #[must_use]
    pub fn metadata_file(&self, name: &str) -> PathBuf {
        self.repository().join("metadata").join(name)
    }

    /// The file of a published target.
    #[must_use]
    pub fn target_file(&self, name: &str) -> PathBuf {
        file_with_suffix(&self.repository().join("targets"), &format!(".{name}")).unwrap()
    }

    /// A sound release of these files, with the next counter.
    #[must_use]
    pub fn draft(&self, version: &str, files: &[(&str, &[u8])]) -> Draft {
        let mut published = self.published.lock().unwrap();
        published.releases += 1;
        let mut draft = Draft::of_files(files, release_id(&self.package, version), published.releases);
        draft.manifest.notes = format!("notes of {version}");
        draft.manifest.built_at = self.clock.now();
        draft
    }

    /// Publishes a sound release and points channel `stable` to it. Answers its manifest's digest.
    pub fn release(&self, version: &str, files: &[(&str, &[u8])]) -> Sha256Digest {
        self.publish(&self.draft(version, files), &["stable"])
    }

    /// Publishes a draft, signed with the release key, and points these channels to it.
    pub fn publish(&self, draft: &Draft, channels: &[&str]) -> Sha256Digest {
        self.publish_signed_by(draft, &self.release_key, channels)
    }

    /// Publishes a draft with the signature of another key.
    pub fn publish_signed_by(&self, draft: &Draft, key: &SigningKey, channels: &[&str]) -> Sha256Digest {
        let signed = draft.sign(key);
        self.change_channels(
            |document| {
                for name in channels {
                    document.channels.insert(channel(name), draft.named.version.clone());
                }
            },
            |editor| put_release(editor, draft, &signed),
        );
        signed.digest()
    }

    /// Publishes bytes as the delta that leads from a manifest to a release of this version. Answers the target's name.
    pub fn publish_delta(&self, version: &str, delta: DeltaTarget, bytes: Vec<u8>) -> TargetName {
        let release = self.draft(version, &[("named", b"")]).named;
        let name = release.delta_target(&delta.base).unwrap();
        self.edit(|editor| {
            editor.put_delta(&release.package, &name, delta, TargetSource::Bytes(bytes)).unwrap();
        });
        name
    }

    /// Publishes a draft in a new role of the package `draft.named.package`, and points its channel `stable` to it.
    pub fn publish_in_another_package(&self, draft: &Draft) -> Sha256Digest {
        let (package, signed) = (&draft.named.package, draft.sign(&self.release_key));
        let mut channels = ChannelsDocument::empty(package.clone(), self.clock.now());
        channels.channels.insert(channel("stable"), draft.named.version.clone());
        self.edit(|editor| {
            editor.delegate(package, &only(&self.online)).unwrap();
            put_release(editor, draft, &signed);
            let name = ChannelsDocument::target(package).unwrap();
            let document = document::write(&channels).unwrap();
            put(editor, &RoleName::Package(package.clone()), &name, document.into_bytes());
        });
        signed.digest()
    }

    /// Points a channel to a version that was published before.
    pub fn point(&self, name: &str, to: &str) {
        self.change_channels(|document| _ = document.channels.insert(channel(name), version(to)), |_| ());
    }

    /// Removes a channel.
    pub fn remove_channel(&self, name: &str) {
        self.change_channels(|document| _ = document.channels.remove(&channel(name)), |_| ());
    }

    /// Takes a version back.
    pub fn withdraw(&self, number: &str, reason: &str) {
        let (version, reason) = (version(number), reason.to_owned());
        let withdrawn = Withdrawn { version, reason, platforms: Vec::new() };
        self.change_channels(|document| document.withdrawn.push(withdrawn), |_| ());
    }

    /// Below this counter nothing installs, and no rollback goes.
    pub fn minimum_counter(&self, counter: u64) {
        let minimum = Some(ReleaseCounter(counter));
        self.change_channels(|document| document.minimum_counter = minimum, |_| ());
    }

    /// Lists these keys as the ones that sign releases.
    pub fn trust(&self, keys: &[PublicKey]) {
        self.list_release_keys(listed(KeyUse::Release, Some(&self.package), keys, KeyStatus::Active));
    }

    /// Retires the key that signed all releases, which stays good for these manifests.
    pub fn retire_release_key(&self, manifests: &[Sha256Digest]) {
        let key = self.release_key.public();
        let mut keys = listed(KeyUse::Release, Some(&self.package), &[key], KeyStatus::Retired);
        keys[0].digests = manifests.iter().copied().collect();
        self.list_release_keys(keys);
    }

    /// Revokes the key that signed all releases.
    pub fn revoke_release_key(&self) {
        let key = self.release_key.public();
        self.list_release_keys(listed(KeyUse::Release, Some(&self.package), &[key], KeyStatus::Revoked));
    }

    /// Revokes the key that signed all grants.
    pub fn revoke_license_key(&self) {
        let key = self.license_key.public();
        let keys = listed(KeyUse::License, None, &[key], KeyStatus::Revoked);
        self.change_trust(|trust| {
            trust.keys.retain(|key| key.key_use != KeyUse::License);
            trust.keys.extend(keys);
        });
    }

    /// Releases above this counter count no more; each reset has the next number.
    pub fn reset_counter(&self, counter: u64) {
        let (package, counter) = (self.package.clone(), ReleaseCounter(counter));
        self.change_trust(|trust| {
            let number = trust.counter_reset(&package).map_or(0, |newest| newest.number) + 1;
            trust.counter_resets.push(CounterReset { package, counter, number });
        });
    }

    /// Publishes what a test makes of the trust document.
    pub fn change_trust(&self, change: impl FnOnce(&mut TrustDocument)) {
        let mut published = self.published.lock().unwrap();
        change(&mut published.trust);
        published.trust.signed_at = self.clock.now();
        self.edit(|editor| put_trust(editor, &published.trust));
    }

    /// A grant for whoever the registration names.
    #[must_use]
    pub fn grant(&self, registration: &Registration, seats: u32) -> SignedDocument {
        license::grant(registration, seats, self.clock.now(), &self.license_key)
    }

    fn change_channels(
        &self,
        change: impl FnOnce(&mut ChannelsDocument),
        more: impl FnOnce(&mut RepositoryEditor),
    ) {
        let mut published = self.published.lock().unwrap();
        change(&mut published.channels);
        published.channels.signed_at = self.clock.now();
        let channels = document::write(&published.channels).unwrap();
        self.edit(|editor| {
            more(editor);
            let name = ChannelsDocument::target(&self.package).unwrap();
            put(editor, &RoleName::Package(self.package.clone()), &name, channels.into_bytes());
        });
    }

    fn list_release_keys(&self, keys: Vec<TrustedKey>) {
        self.change_trust(|trust| {
            trust.keys.retain(|key| key.key_use != KeyUse::Release);
            trust.keys.extend(keys);
        });
    }

    /// Publishes what a test changes.
    fn edit(&self, change: impl FnOnce(&mut RepositoryEditor)) {
        let mut editor =
            RepositoryEditor::load(&self.repository(), &self.root_bytes, Lifetimes::default()).unwrap();
        change(&mut editor);
        editor.sign(&Signers::new(&[&self.online]), self.clock.now()).unwrap().publish().unwrap();
    }
}

/// The keys of a new repository: one for the root, one for every other role.
#[must_use]
pub fn root_spec(root: &SigningKey, online: &SigningKey) -> RootSpec {
    RootSpec { root: only(root), targets: only(online), snapshot: only(online), timestamp: only(online) }
}

/// One key, whose signature is enough.
#[must_use]
pub fn only(key: &SigningKey) -> KeyThreshold {
    KeyThreshold::new(&[key.public()], 1).unwrap()
}

/// Puts a release's manifest, signature, payload and attachments into a repository, under the names of `draft.named`.
pub fn put_release(editor: &mut RepositoryEditor, draft: &Draft, signed: &SignedDocument) {
    let role = RoleName::Package(draft.named.package.clone());
    let targets = [
        (draft.named.manifest_target(), signed.document.clone().into_bytes()),
        (draft.named.minisig_target(), signed.minisig.as_str().as_bytes().to_vec()),
        (draft.named.payload_target(Encoding::Gzip), draft.payload.clone()),
    ];
    for (name, bytes) in targets {
        put(editor, &role, &name.unwrap(), bytes);
    }
    for (name, bytes) in &draft.attachments {
        put(editor, &role, name, bytes.clone());
    }
}

fn put_trust(editor: &mut RepositoryEditor, trust: &TrustDocument) {
    let name = TargetName::new(TRUST_TARGET).unwrap();
    put(editor, &RoleName::Targets, &name, document::write(trust).unwrap().into_bytes());
}

fn put(editor: &mut RepositoryEditor, role: &RoleName, name: &TargetName, bytes: Vec<u8>) {
    editor.put_target(role, name, TargetSource::Bytes(bytes)).unwrap();
}

fn listed(
    key_use: KeyUse,
    package: Option<&PackageName>,
    keys: &[PublicKey],
    status: KeyStatus,
) -> Vec<TrustedKey> {
    let one = |key: &PublicKey| TrustedKey {
        key_use,
        package: package.cloned(),
        key: key.to_base64(),
        status,
        digests: BTreeSet::new(),
    };
    keys.iter().map(one).collect()
}

fn repository(folder: &TempDir) -> PathBuf {
    Path::new(folder.path()).join("repository")
}

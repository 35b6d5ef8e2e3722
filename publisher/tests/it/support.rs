//! A home in a temporary folder, and a stranger who reads what it publishes.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_keys::token::random_bytes;
use sealpost_keys::{Minisig, PassphraseSource, SealingPublicKey, SigningKey};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, Document, SignedDocument};
use sealpost_manifests::grant::{Registration, RegistrationReason};
use sealpost_manifests::ids::{PackageName, RequestId, SerialNumber, ServerId, TargetName};
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::Epoch;
use sealpost_manifests::release::{PackageKind, ReleaseId, ReleaseManifest};
use sealpost_manifests::trust::{TRUST_TARGET, TrustDocument};
use sealpost_manifests::wire::sync::RegisterRequest;
use sealpost_publisher::home::{Keyring, Vendor};
use sealpost_publisher::init::{Plan, init};
use sealpost_publisher::publication::{Publication, lifetimes};
use sealpost_publisher::release::{
    ChannelOf, ChannelSet, Order, Permit, ReleaseError, Released, release, set_channel,
};
use sealpost_repository::{FolderTransport, Reader, RepositoryEditor, RoleName, Signers, TargetSource};
use sealpost_test_support::folders::{copy_tree, file_with_suffix, write_folder};
use sealpost_test_support::names::{self, channel, release_id};

const LIMIT: u64 = 1024 * 1024;

pub(crate) fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// What the home of a vendor in this folder is to be.
pub(crate) fn plan(home: &Path) -> Plan {
    Plan {
        vendor: "Acme".to_owned(),
        root_keys: home.join("root-keys"),
        root_threshold: NonZeroU32::MIN,
        root_key_count: NonZeroU32::MIN,
        time_zone: Some("UTC".parse().unwrap()),
        contact: None,
    }
}

/// A vendor's home, and folders to release beside it.
pub(crate) struct Home {
    pub(crate) folder: tempfile::TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self { folder: tempfile::tempdir().unwrap() };
        init(&home.path(), &plan(&home.path()), None, now()).unwrap();
        home
    }

    /// The same home, as it is now, in another place.
    pub(crate) fn copied(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy_tree(self.folder.path(), folder.path()).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.path().join("repository")
    }

    pub(crate) fn vendor(&self) -> Vendor {
        Vendor::open(&self.path()).unwrap()
    }

    pub(crate) fn keyring(&self) -> Keyring {
        Keyring::new(&self.vendor(), PassphraseSource::None)
    }

    pub(crate) fn root(&self) -> Vec<u8> {
        fs::read(self.path().join("root.json")).unwrap()
    }

    /// A folder with these files.
    pub(crate) fn content(&self, files: &[(&str, &str)]) -> PathBuf {
        let folder = self.folder.path().join("content");
        write_folder(&folder, files).unwrap();
        folder
    }

    pub(crate) fn release(&self, package: &str, version: &str, text: &str) -> Result<Released, ReleaseError> {
        self.release_as(package, version, text, PackageKind::Program, now())
    }

    pub(crate) fn release_as(
        &self,
        package: &str,
        version: &str,
        text: &str,
        kind: PackageKind,
        at: Timestamp,
    ) -> Result<Released, ReleaseError> {
        let order = Order {
            notes: "news".to_owned(),
            ..self.order_as(package, version, &[("bin/tool", text), ("doc/readme", "read me")], kind)
        };
        release(&self.vendor(), &self.keyring(), &order, at, &mut |_| {}, || {})
    }

    /// An order of these files, for channel `stable`.
    pub(crate) fn order_as(
        &self,
        package: &str,
        version: &str,
        files: &[(&str, &str)],
        kind: PackageKind,
    ) -> Order {
        let release = release_id(&names::package(package), version);
        let order = Order::new(self.content(files), release, kind, vec![channel("stable")]);
        let permits = [Permit::NewPackage, Permit::NewChannel, Permit::NewPlatform, Permit::Downgrade].into();
        Order { permits, ..order }
    }

    pub(crate) fn order(&self, package: &str, version: &str, text: &str) -> Order {
        self.order_as(package, version, &[("bin/tool", text)], PackageKind::Program)
    }

    pub(crate) fn publish(&self, order: &Order) -> Result<Released, ReleaseError> {
        release(&self.vendor(), &self.keyring(), order, now(), &mut |_| {}, || {})
    }

    /// Points a channel, whatever slip that may be.
    pub(crate) fn set_channel(
        &self,
        name: &str,
        to: &str,
        wanted: &str,
        at: Timestamp,
    ) -> Result<ChannelSet, ReleaseError> {
        let of = ChannelOf { package: &names::package(name), channel: &channel(to) };
        let permits = [Permit::NewChannel, Permit::Downgrade].into();
        set_channel(&self.vendor(), &self.keyring(), of, &names::version(wanted), &permits, at, || {})
    }

    /// The trust document that is published now.
    pub(crate) fn trust(&self) -> TrustDocument {
        Publication::open(&self.vendor(), || {}).unwrap().trust().unwrap()
    }

    /// Changes the repository with all its keys, as a careless or hostile vendor could.
    pub(crate) fn sign_anyway(&self, change: impl FnOnce(&mut RepositoryEditor)) {
        let (keyring, vendor) = (self.keyring(), self.vendor());
        let lifetimes = lifetimes(&vendor.settings().lifetime_days);
        let mut editor = RepositoryEditor::load(&self.repository(), &self.root(), lifetimes).unwrap();
        change(&mut editor);
        let keys = [
            keyring.targets().unwrap(),
            keyring.role(&names::package("acme-av")).unwrap(),
            keyring.snapshot().unwrap(),
            keyring.timestamp().unwrap(),
        ];
        editor.sign(&Signers::new(&keys.iter().collect::<Vec<_>>()), now()).unwrap().publish().unwrap();
    }

    /// Publishes another trust document, however it came about.
    pub(crate) fn publish_trust(&self, trust: &TrustDocument) {
        self.sign_anyway(|editor| put(editor, &RoleName::Targets, TRUST_TARGET, trust));
    }

    pub(crate) async fn read(&self) -> Result<Seen, String> {
        read(&self.repository(), &self.root(), now()).await
    }

    /// The one file of targets whose name ends like this.
    pub(crate) fn target_file(&self, suffix: &str) -> PathBuf {
        file_with_suffix(&self.repository().join("targets"), suffix).unwrap()
    }
}

/// What a stranger with the pinned root sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) timestamp_version: u64,
    pub(crate) releases: BTreeMap<ReleaseId, ReleaseManifest>,
    pub(crate) manifests: BTreeMap<ReleaseId, Sha256Digest>,
    pub(crate) channels: BTreeMap<PackageName, ChannelsDocument>,
    pub(crate) trust: TrustDocument,
}

/// Reads a whole repository, verifying everything; an error text if anything is refused.
pub(crate) async fn read(repository: &Path, root: &[u8], at: Timestamp) -> Result<Seen, String> {
    let store = tempfile::tempdir().unwrap();
    let transport = Arc::new(FolderTransport::new(repository));
    let mut reader = Reader::open(root, &store.path().join("trusted"), transport).map_err(text)?;
    let refreshed = reader.refresh(at).await.map_err(text)?;
    let trust_name = TargetName::new(TRUST_TARGET).unwrap();
    let trust = reader.target_bytes(&trust_name, LIMIT, at).await.map_err(text)?;
    let trust: TrustDocument = document::read(&trust).map_err(text)?;
    let mut seen = Seen {
        timestamp_version: refreshed.timestamp_version,
        releases: BTreeMap::new(),
        manifests: BTreeMap::new(),
        channels: BTreeMap::new(),
        trust,
    };
    for package in reader.packages() {
        let name = ChannelsDocument::target(&package).unwrap();
        let channels = reader.target_bytes(&name, LIMIT, at).await.map_err(text)?;
        seen.channels.insert(package.clone(), document::read(&channels).map_err(text)?);
        for info in reader.package_targets(&package, at).await.map_err(text)? {
            // Every listed file is there and whole.
            let destination = store.path().join(info.name().as_str());
            let resume = sealpost_repository::Resume::StartOver;
            reader.download(info.listed(), &destination, resume, &mut |_| {}).await.map_err(text)?;
            let Some(id) = ReleaseId::from_manifest_target(info.name().as_str()) else { continue };
            let signature =
                reader.target_bytes(&id.minisig_target().unwrap(), LIMIT, at).await.map_err(text)?;
            let minisig = Minisig::parse(&String::from_utf8(signature).map_err(text)?).map_err(text)?;
            let bytes = fs::read(&destination).map_err(text)?;
            let keys = seen.trust.release_keys(&package, info.sha256());
            let manifest = document::verify_detached::<ReleaseManifest>(bytes, &minisig, &keys)
                .map_err(text)?
                .into_inner();
            if !manifest.check().is_empty() {
                return Err(format!("{id}: {:?}", manifest.check()));
            }
            for attachment in &manifest.attachments {
                let listed = reader.target(&attachment.target, at).await.map_err(text)?;
                let listed = listed.ok_or_else(|| format!("{} is not listed", attachment.target))?;
                if (listed.sha256(), listed.length()) != (attachment.blob.sha256, attachment.blob.length) {
                    return Err(format!("{} is not the one in the manifest", attachment.target));
                }
            }
            seen.manifests.insert(id.clone(), info.sha256());
            seen.releases.insert(id, manifest);
        }
    }
    Ok(seen)
}

pub(crate) fn put<T: Document>(editor: &mut RepositoryEditor, role: &RoleName, name: &str, document: &T) {
    let text = document::write(document).unwrap();
    let name = TargetName::new(name).unwrap();
    editor.put_target(role, &name, TargetSource::Bytes(text.into_bytes())).unwrap();
}

/// What a server with this site key says of itself when it registers for the first time.
pub(crate) fn registration(serial: &SerialNumber, site_key: &SigningKey) -> Registration {
    Registration {
        request_id: RequestId::from_random(random_bytes().unwrap()),
        serial: serial.clone(),
        server_id: ServerId::of_site_key(&site_key.public()),
        site_key: site_key.public(),
        sealing_key: SealingPublicKey::from_bytes([7; 32]),
        reason: RegistrationReason::First,
        epoch: Epoch::default(),
        ledger_head: LogHead::empty(),
        used: BTreeMap::new(),
    }
}

/// A registration as it is sent.
pub(crate) fn register_request(registration: &Registration, site_key: &SigningKey) -> RegisterRequest {
    RegisterRequest {
        site_key: site_key.public(),
        registration: SignedDocument::sign(registration, site_key).unwrap(),
    }
}

fn text(error: impl std::error::Error + 'static) -> String {
    with_causes(&error)
}

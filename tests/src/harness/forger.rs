//! A vendor that misbehaves: it holds every TUF key, so that its repository verifies, and publishes what it must not.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use jiff::Timestamp;
use sealpost_keys::{PassphraseSource, SigningKey, key_file};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::document;
use sealpost_manifests::ids::{ChannelName, PackageName, TargetName};
use sealpost_manifests::release::{Encoding, ReleaseId, ReleaseManifest};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_repository::{Lifetimes, RepositoryEditor, RoleName, Signers, TargetSource};
use sealpost_test_support::release::Draft;
use sealpost_test_support::vendor::put_release;

use super::vendor::Vendor;

/// Who signs a forged manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManifestSigner {
    /// The package's own release key.
    Vendor,
    /// A key that trust.json does not list.
    Stranger,
}

/// A forged release, made from one that is published.
#[derive(Debug)]
pub struct Forgery<'a> {
    /// The package.
    pub package: &'a str,
    /// The published version that it is made from.
    pub from: &'a str,
    /// The version under whose target names it is published, and to which channel `stable` leads.
    pub version: &'a str,
    /// Who signs the manifest.
    pub signer: ManifestSigner,
    /// What is changed in the manifest; version and counter are already those of the forgery.
    pub edit: fn(&mut ReleaseManifest),
    /// What is changed in the payload; the manifest is not told.
    pub payload: fn(Vec<u8>) -> Vec<u8>,
}

impl Vendor {
    /// Publishes a forgery under good TUF signatures.
    ///
    /// # Errors
    /// When the vendor's own files cannot be read or written.
    pub fn forge(&self, forgery: &Forgery<'_>) -> Result<()> {
        let package = PackageName::new(forgery.package)?;
        let role = RoleName::Package(package.clone());
        let keys = Keys::read(self.home(), forgery.package)?;
        let pinned = fs::read(self.root())?;
        let mut editor = RepositoryEditor::load(&self.repository(), &pinned, Lifetimes::default())?;
        let published: Vec<(String, PathBuf)> = editor
            .targets(&role)
            .map(|(name, _, sha256)| {
                (name.to_owned(), self.repository().join(format!("targets/{sha256}.{name}")))
            })
            .collect();
        let read = |name: &TargetName| -> Result<Vec<u8>> {
            let path = published.iter().find(|(known, _)| known == name.as_str()).map(|(_, path)| path);
            Ok(fs::read(path.with_context(|| format!("{name} is not published"))?)?)
        };

        let original = published.iter().filter_map(|(name, _)| ReleaseId::from_manifest_target(name));
        let original =
            original.into_iter().find(|id| id.version.as_str() == forgery.from).context("the original")?;
        let mut manifest: ReleaseManifest = document::read(&read(&original.manifest_target()?)?)?;
        manifest.release.version = forgery.version.parse()?;
        manifest.counter = ReleaseCounter(manifest.counter.0 + 1);
        let named = manifest.release.clone();
        (forgery.edit)(&mut manifest);
        let payload = (forgery.payload)(read(&original.payload_target(Encoding::Gzip)?)?);
        let draft = Draft { manifest, payload, attachments: Vec::new(), named };
        let signed = match forgery.signer {
            ManifestSigner::Vendor => draft.sign(&keys.release),
            ManifestSigner::Stranger => draft.sign(&SigningKey::generate()?),
        };
        put_release(&mut editor, &draft, &signed);

        let name = ChannelsDocument::target(&package)?;
        let mut channels: ChannelsDocument = document::read(&read(&name)?)?;
        channels.channels.insert(ChannelName::new("stable")?, draft.named.version);
        editor.put_target(&role, &name, TargetSource::Bytes(document::write(&channels)?.into_bytes()))?;
        let signers = [&keys.role, &keys.snapshot, &keys.timestamp];
        editor.sign(&Signers::new(&signers), Timestamp::now())?.publish()?;
        Ok(())
    }
}

struct Keys {
    role: SigningKey,
    release: SigningKey,
    snapshot: SigningKey,
    timestamp: SigningKey,
}

impl Keys {
    fn read(home: &Path, package: &str) -> Result<Self> {
        let key = |name: String| -> Result<SigningKey> {
            let path = home.join("keys").join(name);
            key_file::read_secret(&path, &PassphraseSource::None)
                .with_context(|| format!("{}", path.display()))
        };
        Ok(Self {
            role: key(format!("packages/{package}.role.key"))?,
            release: key(format!("packages/{package}.release.key"))?,
            snapshot: key("snapshot.key".to_owned())?,
            timestamp: key("timestamp.key".to_owned())?,
        })
    }
}

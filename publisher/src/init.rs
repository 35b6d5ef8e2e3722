//! A new vendor's home: keys, a signed and empty repository, the license database, the settings.
//!
//! Invariants: nothing that exists is touched; the root keys are used once, here, and are not needed again until a key
//! is replaced; `vendor.toml` is written last, so an interrupted `init` is never taken for a home.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_files::{PRIVATE_FOLDER, PUBLIC, make_folder, sync_parent, write_new};
use sealpost_keys::{Passphrase, PassphraseSource, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, DocumentError};
use sealpost_manifests::ids::{NameError, TargetName};
use sealpost_manifests::trust::{KeyStatus, TRUST_TARGET, TrustDocument, TrustedKey};
use sealpost_repository::{
    EditError, KeyThreshold, PublishError, RepositoryEditor, RoleName, RootSpec, SignError, Signers,
    TargetSource, ThresholdError,
};

use crate::authority::{Authority, AuthorityError};
use crate::home::{HomeError, Keyring, KeyringError, SETTINGS_FILE, Settings, Vendor, VendorKeys};
use crate::publication::lifetimes;

/// Most root keys: enough for any ceremony.
const MAX_ROOT_KEYS: u32 = 16;
/// What must not be there yet.
const PARTS: [&str; 5] = [SETTINGS_FILE, "keys", "repository", "root.json", "license.db"];

/// What the new home is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    pub vendor: String,
    /// Folder for the root keys.
    pub root_keys: PathBuf,
    /// Root keys that must sign together.
    pub root_threshold: NonZeroU32,
    pub root_key_count: NonZeroU32,
}

/// What every site needs of a new home.
#[derive(Debug)]
pub struct Made {
    /// The root to ship.
    pub root_file: PathBuf,
    /// Its digest, to be compared by people.
    pub root_digest: Sha256Digest,
}

/// Why no home was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The plan makes no sense.
    #[error("cannot make a vendor's home: {problem}")]
    Plan { problem: String },
    #[error("cannot make a vendor's home in {}: it has {found} already; choose an empty folder", home.display())]
    NotEmpty { home: PathBuf, found: &'static str },
    #[error("cannot make the vendor's home")]
    Home(#[from] HomeError),
    #[error("cannot make the vendor's keys")]
    Keys(#[from] KeyringError),
    /// Root keys and threshold do not fit.
    #[error("cannot make the root")]
    Threshold(#[from] ThresholdError),
    #[error("cannot make the repository")]
    Edit(#[from] EditError),
    #[error("cannot sign the repository")]
    Sign(#[from] SignError),
    #[error("cannot write the repository")]
    Publish(#[from] PublishError),
    #[error("cannot write the trust document")]
    Trust(#[source] DocumentError),
    #[error("cannot name a target")]
    Name(#[from] NameError),
    #[error("cannot make the license database")]
    Authority(#[from] AuthorityError),
}

impl Plan {
    /// Checks that the plan makes sense, before anybody is asked for a passphrase.
    pub fn check(&self) -> Result<(), InitError> {
        let fail = |problem: String| Err(InitError::Plan { problem });
        let (threshold, count) = (self.root_threshold, self.root_key_count);
        if threshold > count {
            return fail(format!("{threshold} root keys cannot sign together if there are {count}"));
        }
        if count.get() > MAX_ROOT_KEYS {
            return fail(format!("{count} root keys are too many; make at most {MAX_ROOT_KEYS}"));
        }
        Settings::usual(&self.vendor).check().or_else(fail)
    }
}

/// Makes a vendor's home. All keys are encrypted with the passphrase, if there is one.
///
/// # Errors
/// [`InitError`]; whatever was made until then has no `vendor.toml`, so it is no home.
pub fn init(
    home: &Path,
    plan: &Plan,
    passphrase: Option<Passphrase>,
    now: Timestamp,
) -> Result<Made, InitError> {
    plan.check()?;
    let vendor = Vendor::with(home, Settings::usual(&plan.vendor));
    if let Some(found) = PARTS.into_iter().find(|part| home.join(part).symlink_metadata().is_ok()) {
        return Err(InitError::NotEmpty { home: home.to_owned(), found });
    }
    make_home(home)?;
    make_folder(&plan.root_keys, PRIVATE_FOLDER).map_err(HomeError::writing(&plan.root_keys))?;
    let keyring = Keyring::new(&vendor, PassphraseSource::None);
    keyring.set_passphrase(passphrase);
    // Absolute, because relative key places are below the home.
    let root_keys = std::path::absolute(&plan.root_keys).map_err(HomeError::writing(&plan.root_keys))?;
    let root = (1..=plan.root_key_count.get())
        .map(|number| keyring.make_root_key(&root_keys.join(format!("root-{number}.key"))))
        .collect::<Result<Vec<_>, _>>()?;
    let keys = keyring.make_vendor_keys()?;

    let root_bytes = make_repository(&vendor, plan.root_threshold.get(), &root, &keys, now)?;
    let root_file = vendor.root_file();
    write_new(&root_file, &root_bytes, PUBLIC).map_err(HomeError::writing(&root_file))?;
    Authority::create(&vendor.license_database())?;
    vendor.write_settings()?;
    Ok(Made { root_file, root_digest: Sha256Digest::of(&root_bytes) })
}

fn make_repository(
    vendor: &Vendor,
    root_threshold: u32,
    root: &[SigningKey],
    keys: &VendorKeys,
    now: Timestamp,
) -> Result<Vec<u8>, InitError> {
    let root_public: Vec<_> = root.iter().map(SigningKey::public).collect();
    let spec = RootSpec {
        root: KeyThreshold::new(&root_public, root_threshold)?,
        targets: KeyThreshold::new(&[keys.targets.public()], 1)?,
        snapshot: KeyThreshold::new(&[keys.snapshot.public()], 1)?,
        timestamp: KeyThreshold::new(&[keys.timestamp.public()], 1)?,
    };
    let lifetimes = lifetimes(&vendor.settings().lifetime_days);
    let mut editor = RepositoryEditor::create(&vendor.repository(), &spec, lifetimes)?;
    let trust = TrustDocument {
        vendor: vendor.settings().vendor.clone(),
        release_keys: Default::default(),
        license_keys: vec![TrustedKey { key: keys.license.public(), status: KeyStatus::Active }],
    };
    let text = document::write(&trust).map_err(InitError::Trust)?;
    let name = TargetName::new(TRUST_TARGET)?;
    editor.put_target(&RoleName::Targets, &name, TargetSource::Bytes(text.into_bytes()))?;

    let mut signing: Vec<&SigningKey> = root.iter().collect();
    signing.extend([&keys.targets, &keys.snapshot, &keys.timestamp]);
    let signed = editor.sign(&Signers::new(&signing), now)?;
    let root_bytes = signed.root_bytes().map(<[u8]>::to_vec).unwrap_or_default();
    signed.publish()?;
    Ok(root_bytes)
}

/// The umask says who may look into the home; what is secret in it has a mode of its own.
fn make_home(home: &Path) -> Result<(), HomeError> {
    fs::create_dir_all(home).and_then(|()| sync_parent(home)).map_err(HomeError::writing(home))
}

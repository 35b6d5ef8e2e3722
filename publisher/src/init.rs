//! A new vendor's home: keys, a signed and empty repository, the license database, the settings.
//!
//! Invariants: nothing that exists is touched; the root keys are used here, and are not needed again until the root ends
//! or a key is replaced; `vendor.toml` is written last, so an interrupted `init` is never taken for a home.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use sealpost_files::{PRIVATE_FOLDER, PUBLIC, make_folder, make_folder_at_most, write_new};
use sealpost_keys::{Passphrase, PassphraseSource, SigningKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, DocumentError};
use sealpost_manifests::ids::{NameError, TargetName};
use sealpost_manifests::trust::{
    KeyStatus, KeyUse, LicensingContact, TRUST_TARGET, TrustDocument, TrustedKey,
};
use sealpost_repository::{
    EditError, KeyThreshold, PublishError, RepositoryEditor, RoleName, RootSpec, SignError, Signers,
    TargetSource, ThresholdError,
};

use crate::authority::{Authority, AuthorityError};
use crate::home::{
    DEFAULT_ROOT_DIR, HomeError, Keyring, KeyringError, SETTINGS_FILE, Settings, Vendor, VendorKeys, Zone,
};
use crate::publication::{lifetimes, whole_seconds};
use crate::trust::{TrustError, check_contact};

/// Most root keys: enough for any ceremony.
const MAX_ROOT_KEYS: u32 = 16;
/// No clock that is right says less: 2026-01-01. One that was never set begins at 1970.
const FIRST_POSSIBLE_TIME: Timestamp = Timestamp::constant(1_767_225_600, 0);
/// Mode of a new home, of which the umask takes away.
const MAX_HOME_MODE: u32 = 0o755;
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
    /// Where the days end at whose end grants end; the computer's own zone, if it is not given.
    pub time_zone: Option<Zone>,
    /// Whom customers ask about licenses.
    pub contact: Option<LicensingContact>,
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
    /// Everything that is signed at the beginning would have ended long ago.
    #[error(
        "cannot make a vendor's home: this computer's clock says {now}, which is in the past; set the clock"
    )]
    Clock { now: Timestamp },
    #[error("cannot make a vendor's home")]
    Contact(#[from] TrustError),
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
    /// Checks that plan and clock make sense, before anybody is asked for a passphrase.
    pub fn check(&self, now: Timestamp) -> Result<(), InitError> {
        if now < FIRST_POSSIBLE_TIME {
            return Err(InitError::Clock { now });
        }
        self.contact.as_ref().map_or(Ok(()), check_contact)?;
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
    plan.check(now)?;
    // Named in the file, so that grants end at the same time when the home moves to another computer.
    let time_zone = plan.time_zone.clone().or_else(Zone::of_this_computer);
    // Absolute, because relative key places are below the home.
    let root_keys = std::path::absolute(&plan.root_keys).map_err(HomeError::writing(&plan.root_keys))?;
    let mut settings = Settings { time_zone, ..Settings::usual(&plan.vendor) };
    let usual_place = std::path::absolute(home.join(DEFAULT_ROOT_DIR)).is_ok_and(|usual| usual == root_keys);
    settings.keys.root_dir = (!usual_place).then(|| root_keys.clone());
    let vendor = Vendor::with(home, settings);
    if let Some(found) = PARTS.into_iter().find(|part| home.join(part).symlink_metadata().is_ok()) {
        return Err(InitError::NotEmpty { home: home.to_owned(), found });
    }
    make_home(home)?;
    make_folder(&plan.root_keys, PRIVATE_FOLDER).map_err(HomeError::writing(&plan.root_keys))?;
    let keyring = Keyring::new(&vendor, PassphraseSource::None);
    keyring.set_passphrase(passphrase);
    let root = (1..=plan.root_key_count.get())
        .map(|number| keyring.make_root_key(&root_keys.join(format!("root-{number}.key"))))
        .collect::<Result<Vec<_>, _>>()?;
    let keys = keyring.make_vendor_keys()?;

    let root_bytes = make_repository(&vendor, plan, &root, &keys, now)?;
    let root_file = vendor.root_file();
    write_new(&root_file, &root_bytes, PUBLIC).map_err(HomeError::writing(&root_file))?;
    Authority::create(&vendor.license_database())?;
    vendor.write_settings()?;
    Ok(Made { root_file, root_digest: Sha256Digest::of(&root_bytes) })
}

fn make_repository(
    vendor: &Vendor,
    plan: &Plan,
    root: &[SigningKey],
    keys: &VendorKeys,
    now: Timestamp,
) -> Result<Vec<u8>, InitError> {
    let root_public: Vec<_> = root.iter().map(SigningKey::public).collect();
    let spec = RootSpec {
        root: KeyThreshold::new(&root_public, plan.root_threshold.get())?,
        targets: KeyThreshold::new(&[keys.targets.public()], 1)?,
        snapshot: KeyThreshold::new(&[keys.snapshot.public()], 1)?,
        timestamp: KeyThreshold::new(&[keys.timestamp.public()], 1)?,
    };
    let lifetimes = lifetimes(&vendor.settings().lifetime_days);
    let mut editor = RepositoryEditor::create(&vendor.repository(), &spec, lifetimes)?;
    let trust = TrustDocument {
        vendor: vendor.settings().vendor.clone(),
        keys: vec![TrustedKey {
            key_use: KeyUse::License,
            package: None,
            key: keys.license.public().to_base64(),
            status: KeyStatus::Active,
            digests: BTreeSet::new(),
        }],
        counter_resets: Vec::new(),
        licensing_contact: plan.contact.clone(),
        signed_at: whole_seconds(now),
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

/// The umask says who may look into the home, but lets nobody else write there; what is secret in it has a mode of its own.
fn make_home(home: &Path) -> Result<(), HomeError> {
    make_folder_at_most(home, MAX_HOME_MODE).map_err(HomeError::writing(home))
}

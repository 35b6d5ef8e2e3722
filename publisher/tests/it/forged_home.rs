//! A home whose owner, who has the online keys only, put a repository of his own in its place. It names the vendor's offline
//! keys, which the owner never had, beside his: no such key signs anything that it has not signed before.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use sealpost_files::with_causes;
use sealpost_keys::{Passphrase, PassphraseSource, PublicKey, SigningKey, key_file};
use sealpost_publisher::home::{Keyring, Vendor};
use sealpost_publisher::publication::lifetimes;
use sealpost_publisher::release::release;
use sealpost_publisher::renewal::{Urgency, renew, renew_lists};
use sealpost_publisher::root::{find_root_keys, renew_root};
use sealpost_repository::{KeyThreshold, RepositoryEditor, RoleName, RootSpec, Signers};
use sealpost_test_support::clock::days;
use sealpost_test_support::folders::{replace_tree, snapshot};
use sealpost_test_support::names::package;

use crate::support::{Home, now, put};

/// A home with a release, the root keys of which lie in a safe.
struct Genuine {
    home: Home,
    safe: PathBuf,
}

impl Genuine {
    fn new() -> Self {
        let home = Home::new();
        home.release("acme-av", "1.0", "one").unwrap();
        let safe = home.folder.path().join("safe");
        fs::rename(home.path().join("root-keys"), &safe).unwrap();
        Self { home, safe }
    }

    /// What the owner can read of a key that he does not have: its public half, which stands in the published metadata.
    fn public(&self, name: &str) -> PublicKey {
        key_file::read_public(&self.home.path().join("keys").join(name)).unwrap()
    }

    fn root_public(&self) -> PublicKey {
        key_file::read_public(&self.safe.join("root-1.pub")).unwrap()
    }

    fn renews_root(&self) -> Result<u64, String> {
        let (vendor, keyring) = (self.home.vendor(), self.home.keyring());
        let keys = find_root_keys(&vendor, &keyring, std::slice::from_ref(&self.safe))
            .map_err(|e| with_causes(&e))?;
        renew_root(&vendor, &keyring, keys, now(), || {})
            .map(|renewed| renewed.version)
            .map_err(|e| with_causes(&e))
    }

    /// Puts the repository and the root of another home in place of its own; of the keys those that are named.
    fn becomes(&self, forged: &Home, keys: &[&str]) {
        let (from, to) = (forged.path(), self.home.path());
        replace_tree(&from.join("repository"), &to.join("repository")).unwrap();
        fs::copy(from.join("root.json"), to.join("root.json")).unwrap();
        for name in keys {
            fs::copy(from.join("keys").join(name), to.join("keys").join(name)).unwrap();
        }
    }

    fn published(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        snapshot(&self.home.repository()).unwrap()
    }
}

/// A home of the owner's own, in which these keys of somebody else may sign too for the root and the targets.
fn forged(root: &[PublicKey], targets: &[PublicKey]) -> Home {
    let home = Home::new();
    let (vendor, keyring) = (home.vendor(), home.keyring());
    let trust = home.trust();
    fs::remove_dir_all(home.repository()).unwrap();
    let own_root =
        key_file::read_secret(&home.path().join("root-keys/root-1.key"), &PassphraseSource::None).unwrap();
    let (own_targets, snapshot, timestamp) =
        (keyring.targets().unwrap(), keyring.snapshot().unwrap(), keyring.timestamp().unwrap());
    let with = |own: &SigningKey, others: &[PublicKey]| {
        KeyThreshold::new(&[&[own.public()], others].concat(), 1).unwrap()
    };
    let spec = RootSpec {
        root: with(&own_root, root),
        targets: with(&own_targets, targets),
        snapshot: with(&snapshot, &[]),
        timestamp: with(&timestamp, &[]),
    };
    let lives = lifetimes(&vendor.settings().lifetime_days);
    let mut editor = RepositoryEditor::create(&home.repository(), &spec, lives).unwrap();
    put(&mut editor, &RoleName::Targets, "trust.json", &trust);
    let signed =
        editor.sign(&Signers::new(&[&own_root, &own_targets, &snapshot, &timestamp]), now()).unwrap();
    fs::write(home.path().join("root.json"), signed.root_bytes().unwrap()).unwrap();
    signed.publish().unwrap();
    home
}

const ONLINE: [&str; 4] = ["timestamp.key", "timestamp.pub", "snapshot.key", "snapshot.pub"];
const TARGETS: [&str; 2] = ["targets.key", "targets.pub"];

#[test]
fn a_root_key_signs_no_root_that_follows_one_which_it_has_not_signed() {
    let genuine = Genuine::new();
    assert_eq!(genuine.renews_root(), Ok(2));
    assert_eq!(genuine.renews_root(), Ok(3));
    let forged = forged(&[genuine.root_public()], &[]);
    genuine.becomes(&forged, &[ONLINE.as_slice(), &TARGETS].concat());
    let before = genuine.published();
    let refused = genuine.renews_root().unwrap_err();
    for word in ["has not signed", "root.json", "sha256", "changed"] {
        assert!(refused.contains(word), "{refused}");
    }
    assert_eq!(genuine.published(), before, "nothing was written");
}

#[test]
fn a_targets_key_and_a_role_key_sign_no_list_that_follows_one_which_they_have_not_signed() {
    let genuine = Genuine::new();
    let (vendor, keyring) = (genuine.home.vendor(), genuine.home.keyring());
    renew_lists(&vendor, &keyring, &[RoleName::Targets, RoleName::Package(package("acme-av"))], now(), || {})
        .unwrap();
    let role_public = genuine.public("packages/acme-av.role.pub");

    // The genuine targets key lies in the home, encrypted for the owner; root knows the passphrase.
    let of_targets = forged(&[], &[genuine.public("targets.pub")]);
    genuine.becomes(&of_targets, &ONLINE);
    let before = genuine.published();
    let refused = renew_lists(&vendor, &keyring, &[RoleName::Targets], now(), || {}).unwrap_err();
    assert!(with_causes(&refused).contains("has not signed"), "{}", with_causes(&refused));
    let refused = genuine.home.release("other", "1.0", "one").unwrap_err();
    assert!(with_causes(&refused).contains("has not signed"), "{}", with_causes(&refused));
    assert!(renew(&vendor, &keyring, Urgency::WhenDue, now() + days(300), || {}).is_err());
    assert_eq!(genuine.published(), before, "nothing was written");

    let of_role = forged(&[], &[]);
    of_role.release("acme-av", "6.6", "evil").unwrap();
    let own = of_role.keyring().role(&package("acme-av")).unwrap();
    of_role.sign_anyway(|editor| {
        let both = KeyThreshold::new(&[own.public(), role_public], 1).unwrap();
        editor.delegate(&package("acme-av"), &both).unwrap();
    });
    genuine.becomes(&of_role, &[ONLINE.as_slice(), &TARGETS, &["packages/acme-av.release.key"]].concat());
    let before = genuine.published();
    let refused = genuine.home.release("acme-av", "6.7", "two").unwrap_err();
    assert!(with_causes(&refused).contains("has not signed"), "{}", with_causes(&refused));
    assert_eq!(genuine.published(), before, "nothing was written");
}

#[test]
fn a_root_of_the_same_chain_whose_roles_have_other_keys_is_not_renewed() {
    // As if a root key had been misled by an older version of this program.
    let genuine = Genuine::new();
    let root = key_file::read_secret(&genuine.safe.join("root-1.key"), &PassphraseSource::None).unwrap();
    let first: serde_json::Value = serde_json::from_slice(&genuine.home.root()).unwrap();
    let mut signed = first["signed"].clone();
    signed["version"] = 2.into();
    signed["roles"]["targets"]["keyids"] = signed["roles"]["snapshot"]["keyids"].clone();
    let signature = root.sign_raw(&serde_json::to_vec(&signed).unwrap());
    let second = serde_json::json!({
        "signatures": [{
            "keyid": first["signatures"][0]["keyid"],
            "sig": signature.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        }],
        "signed": signed,
    });
    let metadata = genuine.home.repository().join("metadata");
    fs::write(metadata.join("2.root.json"), second.to_string()).unwrap();
    // The owner has the online keys, so the lists are signed by one of them now.
    fs::remove_file(metadata.join("timestamp.json")).unwrap();
    let refused = genuine.renews_root().unwrap_err();
    assert!(refused.contains("other keys"), "{refused}");
    assert!(!metadata.join("3.root.json").exists());
}

#[test]
fn the_life_that_the_owner_s_settings_give_a_root_is_bounded() {
    let genuine = Genuine::new();
    let settings = genuine.home.path().join("vendor.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let lives = |days: u32| text.replace("\nroot = 365\n", &format!("\nroot = {days}\n"));
    fs::write(&settings, lives(732)).unwrap();
    let refused = genuine.renews_root().unwrap_err();
    assert!(refused.contains("lifetime_days.root"), "{refused}");
    fs::write(&settings, lives(731)).unwrap();
    assert_eq!(genuine.renews_root(), Ok(2));
}

#[test]
fn keys_that_signed_an_older_root_of_the_chain_sign_the_next_one_together() {
    // Two of three keys: another pair each year.
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    let plan = sealpost_publisher::init::Plan {
        root_threshold: 2.try_into().unwrap(),
        root_key_count: 3.try_into().unwrap(),
        ..crate::support::plan(&home)
    };
    sealpost_publisher::init::init(&home, &plan, None, now()).unwrap();
    let vendor = Vendor::open(&home).unwrap();
    let keyring = Keyring::new(&vendor, PassphraseSource::None);
    for (version, absent) in [(2, "root-3.key"), (3, "root-1.key"), (4, "root-2.key")] {
        let (here, away) = (home.join("root-keys").join(absent), folder.path().join(absent));
        fs::rename(&here, &away).unwrap();
        let keys = find_root_keys(&vendor, &keyring, &[]).unwrap();
        let renewed = renew_root(&vendor, &keyring, keys, now(), || {}).unwrap();
        assert_eq!((renewed.version, renewed.signed_by), (version, 2));
        fs::rename(&away, &here).unwrap();
    }
}

/// The owner cannot encrypt with a passphrase that he does not know.
#[test]
fn a_plain_key_that_lies_ready_for_a_new_package_is_refused_if_the_other_keys_are_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("home");
    let passphrase = || Some(Passphrase::new("correct horse battery staple").unwrap());
    sealpost_publisher::init::init(&path, &crate::support::plan(&path), passphrase(), now()).unwrap();
    let home = Home { folder };
    let keyring = home.keyring();
    keyring.set_passphrase(passphrase());
    let releases = || {
        let order = home.order("acme-av", "1.0", "one");
        release(&home.vendor(), &keyring, &order, now(), &mut |_| {}, || {})
    };
    let laid = path.join("keys/packages/acme-av.role.key");
    fs::create_dir_all(laid.parent().unwrap()).unwrap();
    key_file::write_secret(&laid, &SigningKey::generate().unwrap(), None).unwrap();
    let refused = with_causes(&releases().unwrap_err());
    assert!(refused.contains("acme-av.role.key") && refused.contains("not encrypted"), "{refused}");
    fs::remove_file(&laid).unwrap();
    // What an interrupted release made is used.
    key_file::write_secret(&laid, &SigningKey::generate().unwrap(), passphrase().as_ref()).unwrap();
    releases().unwrap();
}

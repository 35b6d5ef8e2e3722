//! Documents of every type, as they are read after their signature was verified, and what is asked of them then.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::contact_answer::{ContactFileAnswer, EnrollmentFileAnswer};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::Document;
use sealpost_manifests::grant::{Grant, Registration};
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::lease::Lease;
use sealpost_manifests::license_time::{LicenseFloor, VendorStatement};
use sealpost_manifests::log::{LogKeyCertificate, LogProof};
use sealpost_manifests::order::{Ordered, Signer};
use sealpost_manifests::release::{FileKind, ReleaseId, ReleaseManifest, link_stays_inside};
use sealpost_manifests::server_list::{MAX_WAYS, ServerList};
use sealpost_manifests::setup::{MAX_CA_PINS, SetupFile};
use sealpost_manifests::trust::{KeyStatus, TrustDocument};
use sealpost_manifests::wire::contact::Contact;
use sealpost_manifests::wire::enroll::{Enrolled, Enrollment};
use serde::Deserialize;

use crate::fixed::key;
use crate::reading::document;
use crate::site;

/// Most problems that a manifest's check names: those of 200 files, three for each of 32 attachments, one for each of 64
/// requirements, and one for each other part.
const MAX_PROBLEMS: usize = 200 + 3 * 32 + 64 + 20;

/// A type of document, and its reader, which says whether it accepted the bytes.
struct Reader {
    document: &'static str,
    read: fn(&[u8]) -> bool,
}

const fn reader<T: Document>(read: fn(&[u8]) -> bool) -> Reader {
    Reader { document: T::TYPE, read }
}

/// A reader of a type, and what is done with a document of it.
macro_rules! readers {
    ($($name:ty => $then:expr,)*) => {
        &[$(reader::<$name>(|data| document::<$name>(data).map($then).is_some()),)*]
    };
}

const READERS: &[Reader] = readers! {
    ReleaseManifest => |manifest| check_manifest(&manifest),
    ChannelsDocument => |channels| check_channels(&channels),
    TrustDocument => |trust| check_trust(&trust),
    Grant => |grant| check_grant(&grant),
    Registration => drop,
    Lease => |lease| check_lease(&lease),
    Assignment => |assignment| check_order(&assignment),
    SetupFile => |setup| check_setup(&setup),
    ServerList => |list| check_server_list(&list),
    Contact => |contact| site::contact(&contact),
    Enrollment => |enrollment| site::enrollment(&enrollment),
    Enrolled => drop,
    ContactFileAnswer => |answer| drop(answer.into_answer()),
    EnrollmentFileAnswer => |answer| drop(answer.answer()),
    LogKeyCertificate => drop,
    LogProof => |proof| drop(proof.check(&key().public())),
};

/// Reads bytes as the type that they name, and as another one, which has to refuse them.
pub(crate) fn documents(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "type")]
        document: String,
    }
    let named = serde_json::from_slice::<Named>(data).ok();
    let found = READERS
        .iter()
        .position(|reader| named.as_ref().is_some_and(|named| named.document == reader.document));
    let at = found.unwrap_or(data.len() % READERS.len());
    let accepted = (READERS[at].read)(data);
    assert!(
        !accepted || found.is_some(),
        "a document of no known type is read as a {}",
        READERS[at].document
    );
    let other = &READERS[(at + 1 + data.len() % (READERS.len() - 1)) % READERS.len()];
    assert!(!(other.read)(data), "it is read as a {} too", other.document);
    accepted
}

fn check_manifest(manifest: &ReleaseManifest) {
    let problems = manifest.check();
    assert!(problems.len() <= MAX_PROBLEMS, "{} problems", problems.len());
    if let Ok(target) = manifest.release.manifest_target() {
        assert_eq!(ReleaseId::from_manifest_target(target.as_str()).as_ref(), Some(&manifest.release));
    }
    if !problems.is_empty() {
        return;
    }
    let sorted = manifest.files.is_sorted_by(|a, b| a.path.as_str().as_bytes() < b.path.as_str().as_bytes());
    assert!(sorted, "a sound list of files is sorted, and names each once");
    for entry in &manifest.files {
        if let FileKind::Symlink { target } = &entry.kind {
            assert!(link_stays_inside(entry.path.as_str(), target));
        }
    }
    for attachment in &manifest.attachments {
        assert!(manifest.release.is_attachment(&attachment.target));
    }
    assert!(manifest.installed_bytes() <= manifest.payload.tar.length);
}

/// A list that a computer takes leads to the server that it knows, in few ways.
fn check_server_list(list: &ServerList) {
    for known in &list.servers {
        if list.problem(known).is_none() {
            assert!(!list.servers.is_empty() && list.servers.len() <= MAX_WAYS);
            assert!(list.servers.iter().all(|way| way.site_key == known.site_key && way.problem().is_none()));
            assert_eq!(list.server_id, known.server_id);
        }
    }
}

fn check_channels(channels: &ChannelsDocument) {
    let listed = channels.withdrawn.iter().map(|withdrawn| &withdrawn.version);
    for version in listed.chain(&channels.mandatory).chain(channels.channels.values()) {
        let is_withdrawn = channels
            .withdrawn
            .iter()
            .any(|withdrawn| withdrawn.version == *version && withdrawn.platforms.is_empty());
        assert_eq!(channels.withdrawn_everywhere(version).is_some(), is_withdrawn);
        assert!(channels.channels_of(version).count() <= channels.channels.len());
    }
    assert!(ChannelsDocument::target(&channels.package).is_ok());
}

/// No key that is listed as revoked, under whatever name, verifies anything.
fn check_trust(trust: &TrustDocument) {
    let revoked = |key: &sealpost_keys::PublicKey| {
        trust.keys.iter().any(|listed| {
            matches!(listed.status, KeyStatus::Revoked | KeyStatus::Other(_))
                && listed.key.parse().is_ok_and(|listed: sealpost_keys::PublicKey| {
                    listed.ed25519_bytes() == key.ed25519_bytes()
                })
        })
    };
    let new = Sha256Digest::of(b"a document that nobody listed");
    for listed in &trust.keys {
        let digest = listed.digests.first().copied().unwrap_or(new);
        let mut verifying = trust.license_keys(digest);
        if let Some(package) = &listed.package {
            verifying.extend(trust.release_keys(package, digest));
            let newest = trust.counter_reset(package).map(|reset| reset.number);
            let numbers = trust.counter_resets.iter().filter(|reset| reset.package == *package);
            assert_eq!(newest, numbers.map(|reset| reset.number).max());
        }
        assert!(!verifying.iter().any(revoked), "a revoked key verifies");
    }
    for verifying in trust.license_keys(new) {
        let active = |listed: &sealpost_manifests::trust::TrustedKey| {
            listed.status == KeyStatus::Active && listed.key == verifying.to_base64()
        };
        assert!(trust.keys.iter().any(active), "a retired key verifies what is not listed with it");
    }
}

/// A grant is a statement of the vendor about the time: the floor under license time stays within its bounds.
fn check_grant(grant: &Grant) {
    let statement = VendorStatement::new(grant.vendor_time, grant.not_after);
    let past_the_end =
        statement.not_after().checked_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX);
    for stored in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
        let mut floor = LicenseFloor::from_stored(stored, None);
        floor.observe_statement(statement);
        floor.observe(Timestamp::MAX, SignedDuration::MAX);
        floor.observe(Timestamp::MIN, SignedDuration::MIN);
        assert!(floor.floor() >= statement.signed_at() && floor.floor() <= past_the_end);
        assert!(floor.license_time(Timestamp::MIN) == floor.floor());
    }
}

fn check_lease(lease: &Lease) {
    check_order(lease);
    for entitlement in &lease.entitlements {
        for now in [lease.issued_at, entitlement.not_after, Timestamp::MAX] {
            let live = lease.live(now).any(|live| live == entitlement);
            assert!(!live || now <= entitlement.not_after, "a seat lives after its end");
            for package in &entitlement.packages {
                let ends = lease.not_after();
                assert!(!lease.covers(package, now) || ends.is_some_and(|end| now <= end));
            }
        }
    }
}

fn check_order<T: Document + Ordered>(document: &T) {
    let site_key = key().public();
    assert_eq!(document.signing_key(&site_key).is_some(), document.signer() == Signer::SiteKey);
    let order = document.order();
    assert_eq!(sealpost_manifests::order::Epoch::of(order.epoch.vendor(), order.epoch.term()), order.epoch);
    assert!(!order.to_string().is_empty());
}

fn check_setup(setup: &SetupFile) {
    let named: Result<&ComputerName, String> = setup.reserved_name();
    if let Ok(named) = named {
        assert_eq!(Some(named), setup.computer_name.as_ref());
    }
    for server in &setup.servers {
        let usable = server.server.problem().is_none();
        assert!(!usable || (1..=MAX_CA_PINS).contains(&server.server.ca_spki_sha256.len()));
    }
}

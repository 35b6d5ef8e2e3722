//! Checks a manifest against the listing, and that a release key of its package signed it.
//!
//! Invariant: a [`Verified`] manifest leaves here only if its signature, its name, its content and the listing of its
//! payload agree. Every problem is named at once, as far as checking can go on after it.
//! Pure: bytes in, decision out.

use sealpost_files::with_causes;
use sealpost_keys::verify::verify;
use sealpost_keys::{Minisig, PublicKey, Verified};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::release::{Blob, Encoding, ReleaseId, ReleaseManifest};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_repository::TargetInfo;

use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::release::ReleaseState;

/// What a manifest must agree with: the verified listing, the trust document and the site's limits.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    /// The release that the target's name means.
    pub(super) release: &'a ReleaseId,
    /// The payload as listed.
    pub(super) payload: Option<Blob>,
    /// The keys that may sign manifests of the package.
    pub(super) release_keys: &'a [PublicKey],
    /// Largest payload that this site takes, in bytes.
    pub(super) max_payload_bytes: u64,
}

/// A manifest that agrees with what was expected.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) manifest: Verified<ReleaseManifest>,
    pub(super) signer: PublicKey,
}

/// Verifies a manifest and compares it with the listing.
pub(super) fn accept(
    bytes: Vec<u8>,
    minisig: &[u8],
    expected: &Expected<'_>,
) -> Result<Accepted, Vec<String>> {
    let package = &expected.release.package;
    if expected.release_keys.is_empty() {
        return Err(vec![format!(
            "the vendor's trust.json lists no key that may sign releases of {package}"
        )]);
    }
    let minisig = std::str::from_utf8(minisig)
        .ok()
        .and_then(|text| Minisig::parse(text).ok())
        .ok_or_else(|| vec!["its signature is no minisign signature".to_owned()])?;
    let signed = verify(bytes, &minisig, expected.release_keys).map_err(|error| vec![error.to_string()])?;
    let signer = signed.key.clone();
    let manifest = document::parse::<ReleaseManifest>(signed).map_err(|error| vec![with_causes(&error)])?;
    let mut problems = manifest.check();
    if manifest.release != *expected.release {
        problems.push(format!("the manifest is of {}, not of {}", manifest.release, expected.release));
    }
    match (manifest.payload.encoding(Encoding::Gzip), expected.payload) {
        (_, None) => problems.push("the vendor's metadata lists no payload for it".to_owned()),
        (Some(signed), Some(listed)) if *signed != listed => {
            problems.push("the manifest and the vendor's metadata name different payloads".to_owned());
        }
        _ => {}
    }
    let largest = expected.payload.map_or(0, |blob| blob.length).max(manifest.payload.tar.length);
    if largest > expected.max_payload_bytes {
        problems.push(format!(
            "its payload of {largest} bytes is over the {} that limits.max_payload_mib allows",
            expected.max_payload_bytes
        ));
    }
    if problems.is_empty() { Ok(Accepted { manifest, signer }) } else { Err(problems) }
}

/// The listed targets of a manifest's attachments. Every one that is not listed as the manifest says is named.
pub(super) fn attached<'t>(
    manifest: &ReleaseManifest,
    listed: &'t [TargetInfo],
) -> Result<Vec<&'t TargetInfo>, Vec<String>> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for attachment in &manifest.attachments {
        let target = listed.iter().find(|target| {
            *target.name() == attachment.target
                && target.sha256() == attachment.blob.sha256
                && target.length() == attachment.blob.length
        });
        match target {
            Some(target) => found.push(target),
            None => problems.push(format!(
                "the vendor's metadata does not list its attachment {} as the manifest says",
                attachment.target
            )),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// Why a new release would take a channel backwards, if it would. `known` are the known releases of its package.
///
/// Clients follow channels, so the floor is the highest counter that one of the release's channels has had.
pub(super) fn backwards(
    manifest: &ReleaseManifest,
    digest: &Sha256Digest,
    channels: &[ChannelName],
    known: &[KnownRelease],
) -> Option<String> {
    let others = known.iter().filter(|row| {
        row.release.package == manifest.release.package
            && row.release.platform == manifest.release.platform
            && row.manifest != *digest
            && row.state != ReleaseState::Refused
    });
    let mut floor: Option<&KnownRelease> = None;
    for row in others {
        if row.counter == manifest.counter {
            return Some(format!(
                "its counter {} is that of {}; every release has its own",
                row.counter, row.release
            ));
        }
        if row.release.version == manifest.release.version {
            return Some(format!("version {} was published before with other content", row.release.version));
        }
        let shares_a_channel = row.channels.iter().any(|channel| channels.contains(channel));
        if shares_a_channel && floor.is_none_or(|floor| floor.counter < row.counter) {
            floor = Some(row);
        }
    }
    let floor = floor?;
    let newest: ReleaseCounter = floor.counter;
    (manifest.counter < newest).then(|| {
        format!(
            "its counter {} is lower than {newest} of {}, so the channel would go back",
            manifest.counter, floor.release
        )
    })
}

//! Is this the manifest that the listing promises, by a release key of its package?
//!
//! Invariant: a [`Verified`] manifest leaves here only if its signature, its name, its content and the listing of its
//! payload all say the same. Every problem is named at once, as far as one can go on after it.
//! Pure: bytes in, decision out.

use sealpost_keys::verify::verify;
use sealpost_keys::{Minisig, PublicKey, Verified};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::release::{Blob, Encoding, ReleaseId, ReleaseManifest};
use sealpost_manifests::version::ReleaseCounter;

use crate::ports::ledger::{ReleaseRow, ReleaseState};

/// What the verified listing says of a release.
#[derive(Debug)]
pub(crate) struct Promise<'a> {
    /// Which release the target names name.
    pub(crate) release: &'a ReleaseId,
    /// The payload's listed digest and length.
    pub(crate) payload: Option<Blob>,
    /// The keys that may sign manifests of the package.
    pub(crate) release_keys: &'a [PublicKey],
    /// Largest payload that this site takes, in bytes.
    pub(crate) max_payload_bytes: u64,
}

/// A manifest that keeps the promise.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) manifest: Verified<ReleaseManifest>,
    pub(crate) signer: PublicKey,
}

/// Verifies a manifest and holds it against the listing.
pub(crate) fn accept(bytes: Vec<u8>, minisig: &[u8], promise: &Promise<'_>) -> Result<Accepted, Vec<String>> {
    let package = &promise.release.package;
    if promise.release_keys.is_empty() {
        return Err(vec![format!(
            "the vendor's trust.json lists no key that may sign releases of {package}"
        )]);
    }
    let minisig = std::str::from_utf8(minisig)
        .ok()
        .and_then(|text| Minisig::parse(text).ok())
        .ok_or_else(|| vec!["its signature is no minisign signature".to_owned()])?;
    let signed = verify(bytes, &minisig, promise.release_keys).map_err(|error| vec![error.to_string()])?;
    let signer = signed.key.clone();
    let manifest =
        document::parse::<ReleaseManifest>(signed).map_err(|error| vec![crate::upstream::chain(&error)])?;
    let mut problems = manifest.check();
    if manifest.release != *promise.release {
        problems.push(format!("the manifest is of {}, not of {}", manifest.release, promise.release));
    }
    match (manifest.payload.encoding(Encoding::Gzip), promise.payload) {
        (_, None) => problems.push("the vendor's metadata lists no payload for it".to_owned()),
        (Some(signed), Some(listed)) if *signed != listed => {
            problems.push("the manifest and the vendor's metadata name different payloads".to_owned());
        }
        _ => {}
    }
    let largest = promise.payload.map_or(0, |blob| blob.length).max(manifest.payload.tar.length);
    if largest > promise.max_payload_bytes {
        problems.push(format!(
            "its payload of {largest} bytes is over the {} that limits.max_payload_mib allows",
            promise.max_payload_bytes
        ));
    }
    if problems.is_empty() { Ok(Accepted { manifest, signer }) } else { Err(problems) }
}

/// Why a new release would take a channel backwards, if it would. A release that is known already is not asked.
///
/// A channel is what clients follow, so the floor is the highest counter that one of the release's channels has had.
pub(crate) fn backwards(
    manifest: &ReleaseManifest,
    digest: &Sha256Digest,
    channels: &[sealpost_manifests::ids::ChannelName],
    known: &[ReleaseRow],
) -> Option<String> {
    let rivals = known.iter().filter(|row| {
        row.release.package == manifest.release.package
            && row.release.platform == manifest.release.platform
            && row.manifest != *digest
            && row.state != ReleaseState::Refused
    });
    let mut floor: Option<&ReleaseRow> = None;
    for row in rivals {
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

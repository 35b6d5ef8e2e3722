//! The vendor's metadata, opened and refreshed, and the downloads that it lists.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sealpost_keys::{MAX_MINISIG_BYTES, Minisig};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::{NameError, PackageName, TargetName};
use sealpost_manifests::release::{Encoding, ReleaseId};
use sealpost_manifests::trust::{TRUST_TARGET, TrustDocument};
use sealpost_manifests::wire::refresh::DeltaWay;
use sealpost_manifests::wire::report::{ReasonCode, TransferredBytes};
use sealpost_repository::{
    DownloadError, HttpTransport, PacedTransport, ReaderHandle, Refreshed, Resume, TargetInfo, Transport,
    TransportError,
};

use crate::domain::release::Refusal;
use crate::domain::way::{self, Hop};

use super::ahead::{Ahead, Asks, Expected};
use super::delta;
use super::folder::ReleasesFolder;
use super::meter::{Meter, Metered};
use super::origin::{Origin, Place};
use super::progress::on_terminal;
use super::reason::{is_not_handed_out, later, of_download, of_refresh, of_target, refusal};
use super::turn::Turn;

/// Longest trust or channels document, in bytes.
const MAX_SMALL_BYTES: u64 = 4 * 1024 * 1024;
/// Longest manifest, in bytes.
const MAX_MANIFEST_BYTES: u64 = document::MAX_DOCUMENT_BYTES;
/// What stands in the address of a delta that needs no base.
const NOTHING: &str = "nothing";
/// Time limit of a small document. A payload has none: it keeps a pace, and makes way for contacts.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(600);
/// Tries of a download that is cut off; each continues where the last one ended.
const MAX_TRIES: u32 = 4;

/// The verified metadata, as of a time that the server signed.
#[derive(Debug)]
pub struct VendorMetadata {
    reader: ReaderHandle,
    place: Place,
    as_of: Timestamp,
    refreshed: Refreshed,
    meter: Arc<Meter>,
    /// The server, where it is one: it is asked for several files at once.
    server: Option<Arc<Metered>>,
}

impl VendorMetadata {
    /// Opens the trusted metadata, refreshes it from the server's mirror, and checks it as of `as_of`. What is expected to be
    /// read comes along, if the server can send it so.
    ///
    /// # Errors
    /// [`Refusal`]; the metadata that was trusted before stays trusted.
    pub async fn open(
        pinned_root: Vec<u8>,
        store: PathBuf,
        place: Place,
        as_of: Timestamp,
        expected: Expected,
    ) -> Result<Self, Refusal> {
        let meter = Arc::new(Meter::default());
        let mut server = None;
        let transport: Arc<dyn Transport> = match &place {
            Place::Server(origin) => {
                let (inner, runtime) = (Arc::new(over_network(origin)?), origin.runtime.clone());
                let (asks, ahead) = (Asks::of(origin), Ahead::with(&expected.held));
                let metered =
                    Arc::new(Metered { inner, meter: Arc::clone(&meter), runtime, asks, expected, ahead });
                server = Some(Arc::clone(&metered));
                metered
            }
            Place::Folder(path) => Arc::new(ReleasesFolder::new(path.clone())),
            Place::Documents(documents) => Arc::new(documents.clone()),
        };
        let reader = ReaderHandle::open(pinned_root, store, transport)
            .await
            .map_err(|error| refusal(ReasonCode::MetadataInvalid, &error))?;
        let refreshed = reader.refresh(as_of).await.map_err(|error| refusal(of_refresh(&error), &error))?;
        Ok(Self { reader, place, as_of, refreshed, meter, server })
    }

    /// What is fetched from now on is about another release.
    pub fn begin_release(&self) {
        self.meter.begin_release();
    }

    /// What traveled for this release and was not told yet.
    pub(super) fn traveled(&self) -> TransferredBytes {
        self.meter.take()
    }

    /// The version of the vendor's timestamp, and when the vendor signed it, if that is known.
    #[must_use]
    pub const fn statement(&self) -> (u64, Option<Timestamp>) {
        (self.refreshed.timestamp_version, self.refreshed.signed_at)
    }

    /// The trust document, as text and parsed.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn trust(&self) -> Result<(String, TrustDocument), Refusal> {
        let bytes = self.bytes(TargetName::new(TRUST_TARGET), MAX_SMALL_BYTES).await?;
        let trust = document::read(&bytes).map_err(|error| refusal(ReasonCode::MetadataInvalid, &error))?;
        let text = String::from_utf8(bytes).map_err(|error| refusal(ReasonCode::MetadataInvalid, &error))?;
        Ok((text, trust))
    }

    /// The channels document of a package.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn channels(&self, package: &PackageName) -> Result<ChannelsDocument, Refusal> {
        let bytes = self.bytes(ChannelsDocument::target(package), MAX_SMALL_BYTES).await?;
        document::read(&bytes).map_err(|error| refusal(ReasonCode::MetadataInvalid, &error))
    }

    /// As [`VendorMetadata::channels`]; `None` if the server answered that it does not hand them out, as one of before does for
    /// packages that it does not assign.
    ///
    /// # Errors
    /// [`Refusal`], also when there was no answer.
    pub async fn channels_if_handed_out(
        &self,
        package: &PackageName,
    ) -> Result<Option<ChannelsDocument>, Refusal> {
        let name = ChannelsDocument::target(package)
            .map_err(|error| refusal(ReasonCode::MetadataInvalid, &error))?;
        let fetched = async {
            match self.reader.target_bytes(&name, MAX_SMALL_BYTES, self.as_of).await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if is_not_handed_out(&error) => Ok(None),
                Err(error) => Err(refusal(of_target(&error), &error)),
            }
        };
        let Some(bytes) = within_time_limit(fetched).await? else { return Ok(None) };
        document::read(&bytes).map(Some).map_err(|error| refusal(ReasonCode::MetadataInvalid, &error))
    }

    /// The exact bytes of a release's manifest, not verified yet.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn manifest(&self, release: &ReleaseId) -> Result<Vec<u8>, Refusal> {
        if let (Some(server), Ok(name)) = (&self.server, release.manifest_target()) {
            let asked = async {
                server.fetch_ahead(vec![name]).await;
                Ok(())
            };
            within_time_limit(asked).await?;
        }
        let manifest = self.bytes(release.manifest_target(), MAX_MANIFEST_BYTES).await?;
        if let (Some(server), Ok(name)) = (&self.server, release.manifest_target()) {
            server.ahead.forget(&name);
        }
        Ok(manifest)
    }

    /// The signature of a release's manifest, not verified yet.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn minisig(&self, release: &ReleaseId) -> Result<Minisig, Refusal> {
        let minisig = self.bytes(release.minisig_target(), MAX_MINISIG_BYTES).await?;
        let minisig =
            String::from_utf8(minisig).map_err(|error| refusal(ReasonCode::ManifestInvalid, &error))?;
        Minisig::parse(&minisig).map_err(|error| refusal(ReasonCode::ManifestInvalid, &error))
    }

    /// What the metadata lists as a release's payload.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn payload(&self, release: &ReleaseId) -> Result<TargetInfo, Refusal> {
        let name = release
            .payload_target(Encoding::Gzip)
            .map_err(|error| refusal(ReasonCode::MetadataInvalid, &error))?;
        self.reader
            .target(&name, self.as_of)
            .await
            .map_err(|error| refusal(of_target(&error), &error))?
            .ok_or_else(|| {
                let detail = format!("the vendor's metadata does not list {name}; ask the vendor");
                Refusal::new(ReasonCode::MetadataInvalid, detail)
            })
    }

    async fn bytes(&self, name: Result<TargetName, NameError>, max_bytes: u64) -> Result<Vec<u8>, Refusal> {
        let name = name.map_err(|error| refusal(ReasonCode::MetadataInvalid, &error))?;
        let fetched = async {
            self.reader
                .target_bytes(&name, max_bytes, self.as_of)
                .await
                .map_err(|error| refusal(of_target(&error), &error))
        };
        within_time_limit(fetched).await
    }

    /// Fetches the payload of a release, continuing what an earlier try left.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(super) async fn fetch_payload(&self, target: &TargetInfo, destination: &Path) -> Result<(), Refusal> {
        let (mut tries, mut turn) = (0, Turn::default());
        loop {
            let error = match self
                .reader
                .download(
                    target.listed(),
                    destination,
                    Resume::Continue,
                    on_terminal(target.name().to_string(), target.length()),
                )
                .await
            {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            // Waiting for a turn is no try.
            if let Some(after) = later(&error) {
                turn.wait(after).await?;
                continue;
            }
            tries += 1;
            if tries >= MAX_TRIES || !is_cut_off(&error) {
                return Err(refusal(of_download(&error), &error));
            }
            tracing::info!(target = %target.name(), tries, "{error}");
            tokio::time::sleep(pause_after(tries)).await;
        }
    }

    /// The way by deltas to a release that the server told of, if one spares enough of the payload.
    #[must_use]
    pub fn way(
        &self,
        runs: Option<&Sha256Digest>,
        to: &Sha256Digest,
        payload: &TargetInfo,
    ) -> Option<DeltaWay> {
        let told = self.server.as_ref()?.told();
        way::choose(&told, runs, to, payload.length())
    }

    /// Whether the role of a package lists manifests of all of these digests.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn lists_manifests(
        &self,
        package: &PackageName,
        manifests: &[Sha256Digest],
    ) -> Result<bool, Refusal> {
        let listed = async {
            let targets = self.reader.package_targets(package, self.as_of).await;
            targets.map_err(|error| refusal(ReasonCode::MetadataInvalid, &error))
        };
        let targets = within_time_limit(listed).await?;
        let is_listed = |manifest: &Sha256Digest| {
            targets.iter().any(|target| {
                target.sha256() == *manifest
                    && ReleaseId::from_manifest_target(target.name().as_str()).is_some()
            })
        };
        Ok(manifests.iter().all(is_listed))
    }

    /// Fetches a delta of at most its `most_bytes`; `false` if the server has none.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn fetch_delta(&self, hop: &Hop, destination: &Path) -> Result<bool, Refusal> {
        let (to, max_bytes) = (hop.to, hop.most_bytes);
        let origin = match &self.place {
            Place::Server(origin) => origin,
            Place::Folder(path) => {
                let Some(base) = hop.from else { return Ok(false) };
                let (folder, destination) = (ReleasesFolder::new(path.clone()), destination.to_owned());
                let copy = move || folder.copy_delta(&base, &to, &destination, max_bytes);
                return tokio::task::spawn_blocking(copy)
                    .await
                    .unwrap_or_else(|error| Err(Refusal::new(ReasonCode::LocalFault, error.to_string())));
            }
            Place::Documents(_) => return Ok(false),
        };
        let from = hop.from.map_or_else(|| NOTHING.to_owned(), |from| from.to_string());
        let mut url = format!("{}/deltas/{from}/{to}", origin.base);
        if hop.to != hop.end {
            url = format!("{url}?for={}", hop.end);
        }
        let (mut tries, mut turn) = (0, Turn::default());
        loop {
            match delta::fetch(origin, &self.meter, &url, (destination, max_bytes)).await {
                Err(refusal) if refusal.reason == ReasonCode::NetworkFailed && tries + 1 < MAX_TRIES => {
                    tries += 1;
                    tracing::info!(tries, "{refusal}");
                    tokio::time::sleep(pause_after(tries)).await;
                }
                ended => match ended.as_ref().err().and_then(Refusal::again_in) {
                    Some(after) => turn.wait(after).await?,
                    None => return ended,
                },
            }
        }
    }
}

fn over_network(origin: &Origin) -> Result<PacedTransport, Refusal> {
    let (metadata, targets) =
        (format!("{}/tuf/metadata", origin.base), format!("{}/tuf/targets", origin.base));
    let mut transport = HttpTransport::new(origin.client.clone(), &metadata, &targets)
        .map_err(|error| refusal(ReasonCode::NetworkFailed, &error))?;
    if let Some(token) = origin.token.clone() {
        transport = transport.with_bearer(Arc::new(move || Some(token.clone())));
    }
    Ok(PacedTransport::new(transport, Arc::clone(&origin.pace)))
}

/// The pause after so many tries.
fn pause_after(tries: u32) -> Duration {
    Duration::from_millis(250 << tries)
}

/// Whether trying again at once may help: a server that is too slow is as slow then.
fn is_cut_off(error: &DownloadError) -> bool {
    let is_slow = |source: &TransportError| matches!(source, TransportError::TooSlow { .. });
    match error {
        DownloadError::Interrupted { source, .. } => !source.as_ref().is_some_and(is_slow),
        DownloadError::Transport { source, .. } => !is_slow(source),
        _ => false,
    }
}

/// Ends work that takes longer than a small document may take.
async fn within_time_limit<T>(work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(DOCUMENT_TIMEOUT, work).await.unwrap_or_else(|_| {
        let detail = format!("the server took more than {} s for a document", DOCUMENT_TIMEOUT.as_secs());
        Err(Refusal::new(ReasonCode::NetworkFailed, detail))
    })
}

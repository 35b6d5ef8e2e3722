//! The vendor's chain as a Primary Server mirrors it, and the bytes that it lists.
//!
//! Invariant: everything that comes out of a [`Chain`] was listed by metadata that leads back to the pinned root, with
//! the time at which the *server* last judged it fresh as TUF's clock; so a computer with a dead clock battery, or
//! behind an air gap, can still check everything.
//! Left out: minisign and what a manifest says, which the caller checks.

mod delta;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Client;
use sealpost_keys::{MAX_MINISIG_BYTES, Minisig};
use sealpost_manifests::channels::ChannelsDocument;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::{PackageName, TargetName};
use sealpost_manifests::release::{Encoding, ReleaseId};
use sealpost_manifests::trust::{TRUST_TARGET, TrustDocument};
use sealpost_manifests::wire::report::ReasonCode;
use sealpost_repository::{
    DownloadError, HttpTransport, ReaderHandle, RefreshError, Refusal as TufRefusal, Resume, TargetError,
    TargetInfo,
};

use crate::domain::release::Refusal;
use crate::platform::causes::with_causes;
use crate::platform::network::{GaveWay, Network};
use crate::ports::Source;

/// Longest trust or channels document, in bytes.
const MAX_SMALL_BYTES: u64 = 4 * 1024 * 1024;
/// Longest manifest, in bytes.
const MAX_MANIFEST_BYTES: u64 = document::MAX_DOCUMENT_BYTES;
/// Longest time for a download, beside what its length takes.
const PATIENCE: Duration = Duration::from_secs(600);
/// Slower than this is not waited for, so that no server can hold a computer for ever.
const SLOWEST_BYTES_PER_SEC: u64 = 4 * 1024;
/// Tries of a download that is cut; each goes on where the last one ended.
const TRIES: u32 = 4;

/// Where to fetch from, and as whom.
#[derive(Clone)]
pub struct Origin {
    /// The client, with its pins and, before the first lease, its credentials.
    pub client: Client,
    /// Address of the agent API, without a slash at the end.
    pub base: String,
    /// The access token, if there is one.
    pub token: Option<String>,
}

impl std::fmt::Debug for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Origin").field("base", &self.base).finish_non_exhaustive()
    }
}

/// The verified chain.
#[derive(Debug)]
pub struct Chain {
    reader: ReaderHandle,
    origin: Origin,
    as_of: Timestamp,
}

impl Chain {
    /// Opens the trusted metadata, refreshes it from the server's mirror, and judges it as of `as_of`.
    ///
    /// # Errors
    /// [`Refusal`]; what was trusted before still is.
    pub async fn open(
        pinned_root: Vec<u8>,
        store: PathBuf,
        origin: Origin,
        as_of: Timestamp,
    ) -> Result<Self, Refusal> {
        let (metadata, targets) =
            (format!("{}/tuf/metadata", origin.base), format!("{}/tuf/targets", origin.base));
        let mut transport = HttpTransport::new(origin.client.clone(), &metadata, &targets)
            .map_err(|error| refusal(ReasonCode::NetworkFailed, &error))?;
        if let Some(token) = origin.token.clone() {
            transport = transport.with_bearer(Arc::new(move || Some(token.clone())));
        }
        let reader = ReaderHandle::open(pinned_root, store, Arc::new(transport))
            .await
            .map_err(|error| refusal(ReasonCode::MetadataInvalid, &error))?;
        reader.refresh(as_of).await.map_err(|error| refusal(reason_of_refresh(&error), &error))?;
        Ok(Self { reader, origin, as_of })
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

    /// The exact bytes of a release's manifest, and its signature; not verified with release keys yet.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn manifest(&self, release: &ReleaseId) -> Result<(Vec<u8>, Minisig), Refusal> {
        let manifest = self.bytes(release.manifest_target(), MAX_MANIFEST_BYTES).await?;
        let minisig = self.bytes(release.minisig_target(), MAX_MINISIG_BYTES).await?;
        let minisig =
            String::from_utf8(minisig).map_err(|error| refusal(ReasonCode::ManifestInvalid, &error))?;
        let minisig =
            Minisig::parse(&minisig).map_err(|error| refusal(ReasonCode::ManifestInvalid, &error))?;
        Ok((manifest, minisig))
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
            .map_err(|error| refusal(reason_of_target(&error), &error))?
            .ok_or_else(|| {
                let detail = format!("the vendor's metadata does not list {name}; ask the vendor");
                Refusal::new(ReasonCode::MetadataInvalid, detail)
            })
    }

    async fn bytes(
        &self,
        name: Result<TargetName, sealpost_manifests::ids::NameError>,
        max_bytes: u64,
    ) -> Result<Vec<u8>, Refusal> {
        let name = name.map_err(|error| refusal(ReasonCode::MetadataInvalid, &error))?;
        let fetched = async {
            self.reader
                .target_bytes(&name, max_bytes, self.as_of)
                .await
                .map_err(|error| refusal(reason_of_target(&error), &error))
        };
        in_time(0, fetched).await
    }

    async fn fetch_payload(&self, target: &TargetInfo, destination: &Path) -> Result<(), Refusal> {
        let mut tries = 0;
        loop {
            let error =
                match self.reader.download(target.listed(), destination, Resume::Continue, |_| ()).await {
                    Ok(_) => return Ok(()),
                    Err(error) => error,
                };
            tries += 1;
            if tries >= TRIES || !is_cut(&error) {
                return Err(refusal(reason_of_download(&error), &error));
            }
            tracing::info!(target = %target.name(), tries, "{error}");
            tokio::time::sleep(Duration::from_millis(250 << tries)).await;
        }
    }

    async fn fetch_delta(
        &self,
        base: &Sha256Digest,
        target: &Sha256Digest,
        destination: &Path,
        max_bytes: u64,
    ) -> Result<bool, Refusal> {
        let url = format!("{}/deltas/{base}/{target}", self.origin.base);
        let mut tries = 0;
        loop {
            match delta::fetch(&self.origin, &url, destination, max_bytes).await {
                Err(refusal) if refusal.reason == ReasonCode::NetworkFailed && tries + 1 < TRIES => {
                    tries += 1;
                    tracing::info!(tries, "{refusal}");
                    tokio::time::sleep(Duration::from_millis(250 << tries)).await;
                }
                ended => return ended,
            }
        }
    }
}

/// The source of one release's bytes, for the engine, which does not wait asynchronously.
#[derive(Debug)]
pub struct NetworkSource<'a> {
    chain: &'a Chain,
    target: TargetInfo,
    network: &'a Network,
}

impl<'a> NetworkSource<'a> {
    /// A source; to be used from a thread that may block.
    #[must_use]
    pub const fn new(chain: &'a Chain, target: TargetInfo, network: &'a Network) -> Self {
        Self { chain, target, network }
    }
}

impl Source for NetworkSource<'_> {
    fn delta(
        &mut self,
        base: &Sha256Digest,
        target: &Sha256Digest,
        destination: &Path,
        max_bytes: u64,
    ) -> Result<bool, Refusal> {
        self.network.wait(self.chain.fetch_delta(base, target, destination, max_bytes)).map_err(gave_way)?
    }

    fn payload(&mut self, destination: &Path) -> Result<(), Refusal> {
        let fetched = self.chain.fetch_payload(&self.target, destination);
        self.network.wait(in_time(self.target.length(), fetched)).map_err(gave_way)?
    }
}

fn of_disk(error: &io::Error) -> Refusal {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    refusal(if full { ReasonCode::DiskFull } else { ReasonCode::LocalFault }, error)
}

fn is_cut(error: &DownloadError) -> bool {
    matches!(error, DownloadError::Interrupted { .. } | DownloadError::Transport { .. })
}

/// The refusal of what gave way to something that comes first.
#[must_use]
pub fn gave_way(error: GaveWay) -> Refusal {
    refusal(ReasonCode::Interrupted, &error)
}

/// Ends what takes longer than anybody would wait for so many bytes; what has come is kept for the next try.
async fn in_time<T>(bytes: u64, work: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let limit = PATIENCE.saturating_add(Duration::from_secs(bytes / SLOWEST_BYTES_PER_SEC));
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let detail = format!("the server took more than {} s for {bytes} bytes", limit.as_secs());
        Err(Refusal::new(ReasonCode::NetworkFailed, detail))
    })
}

const fn reason_of_tuf(refusal: TufRefusal) -> ReasonCode {
    match refusal {
        TufRefusal::Unreachable => ReasonCode::NetworkFailed,
        _ => ReasonCode::MetadataInvalid,
    }
}

fn reason_of_refresh(error: &RefreshError) -> ReasonCode {
    error.refusal().map_or(ReasonCode::LocalFault, reason_of_tuf)
}

fn reason_of_target(error: &TargetError) -> ReasonCode {
    match error {
        TargetError::Refused { refusal, .. } => reason_of_tuf(*refusal),
        TargetError::Download { source, .. } => reason_of_download(source),
        TargetError::Gone(_) => ReasonCode::LocalFault,
        _ => ReasonCode::MetadataInvalid,
    }
}

fn reason_of_download(error: &DownloadError) -> ReasonCode {
    match error {
        DownloadError::Interrupted { .. }
        | DownloadError::Transport { .. }
        | DownloadError::Absent { .. } => ReasonCode::NetworkFailed,
        DownloadError::TooLong { .. } | DownloadError::Mismatch { .. } => ReasonCode::PayloadInvalid,
        DownloadError::File { source, .. } => of_disk(source).reason,
        DownloadError::Store { .. } => ReasonCode::MetadataInvalid,
        _ => ReasonCode::LocalFault,
    }
}

fn refusal(reason: ReasonCode, error: &dyn std::error::Error) -> Refusal {
    Refusal::new(reason, with_causes(error))
}

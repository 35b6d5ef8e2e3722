//! The bytes of one release over the network, for callers that block.

use std::path::Path;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::refresh::DeltaWay;
use sealpost_manifests::wire::report::{ReasonCode, TransferredBytes};
use sealpost_repository::TargetInfo;

use crate::domain::release::Refusal;
use crate::domain::way::Hop;
use crate::platform::network::Network;
use crate::ports::Source;

use super::metadata::VendorMetadata;
use super::reason::{interrupted, refusal};

/// The source of one release's bytes; to be used from a thread that may block.
#[derive(Debug)]
pub struct NetworkSource<'a> {
    metadata: &'a VendorMetadata,
    target: TargetInfo,
    way: Option<DeltaWay>,
    network: &'a Network,
}

impl<'a> NetworkSource<'a> {
    #[must_use]
    pub const fn new(
        metadata: &'a VendorMetadata,
        target: TargetInfo,
        way: Option<DeltaWay>,
        network: &'a Network,
    ) -> Self {
        Self { metadata, target, way, network }
    }
}

impl Source for NetworkSource<'_> {
    fn way(&self) -> Option<&DeltaWay> {
        self.way.as_ref()
    }

    fn lists(&mut self, manifest: &Sha256Digest) -> Result<bool, Refusal> {
        let package = PackageName::new(self.target.role())
            .map_err(|error| refusal(ReasonCode::MetadataInvalid, &error))?;
        let listed = self.metadata.lists_manifests(&package, std::slice::from_ref(manifest));
        self.network.download(listed).map_err(interrupted)?
    }

    fn interruption(&self) -> Option<Refusal> {
        self.network.interruption().map(interrupted)
    }

    fn delta(&mut self, hop: &Hop, destination: &Path) -> Result<bool, Refusal> {
        let fetched = self.metadata.fetch_delta(hop, destination);
        self.network.download(fetched).map_err(interrupted)?
    }

    fn payload(&mut self, destination: &Path) -> Result<(), Refusal> {
        let fetched = self.metadata.fetch_payload(&self.target, destination);
        self.network.download(fetched).map_err(interrupted)?
    }

    fn traveled(&mut self) -> TransferredBytes {
        self.metadata.traveled()
    }
}

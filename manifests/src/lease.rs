//! The lease: a Primary Server's statement that one computer holds a seat. Signed with the site key.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::Document;
use crate::grant::LicenseModel;
use crate::ids::{ClientId, ComputerName, PackageName, ServerId};

/// Newest entry of a ledger's activity chain: whoever holds one can find a later edit of what came before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerHead {
    /// Sequence number of the entry.
    pub sequence: u64,
    /// The hash of the entry.
    pub hash: Sha256Digest,
}

/// One computer holds a seat until a time, for some packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The client that holds it.
    pub client_id: ClientId,
    /// Its key: contacts are signed with it.
    pub client_key: PublicKey,
    /// The name that holds the seat.
    pub computer_name: ComputerName,
    /// The server that gives it.
    pub server_id: ServerId,
    /// See [`crate::grant::Grant::epoch`].
    pub epoch: u64,
    /// Rises per client; agents refuse a lower (epoch, sequence).
    pub sequence: u64,
    /// When it was signed.
    pub issued_at: Timestamp,
    /// After it: no new installs. `run` of a named seat is not touched.
    pub not_after: Timestamp,
    /// How the seat is counted.
    pub model: LicenseModel,
    /// Packages that it covers; empty means every package of the vendor.
    pub packages: Vec<PackageName>,
    /// Digest of the grant's exact text.
    pub grant: Sha256Digest,
    /// The ledger's head, so that clients witness it.
    pub ledger_head: LedgerHead,
}

impl Document for Lease {
    const TYPE: &'static str = "lease";
    const VERSION: u32 = 1;

    fn trusted_comment(&self) -> String {
        format!("lease client={} epoch={} sequence={}", self.client_id, self.epoch, self.sequence)
    }
}

impl Lease {
    /// Whether the lease covers a package.
    #[must_use]
    pub fn covers(&self, package: &PackageName) -> bool {
        self.packages.is_empty() || self.packages.contains(package)
    }
}

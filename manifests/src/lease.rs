//! The lease: a Primary Server's statement that one computer holds seats. Signed with the site key.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use serde::{Deserialize, Serialize};

use crate::digest::Sha256Digest;
use crate::document::Document;
use crate::grant::LicenseModel;
use crate::ids::{ChannelName, ClientId, ComputerName, PackageName, SerialNumber, ServerId};
use crate::log::LogHead;
use crate::order::{Epoch, Order, Ordered, Signer};

/// Most entitlements of one lease: serial numbers whose seats one computer holds.
pub const MAX_ENTITLEMENTS: usize = 64;

/// A seat of one serial number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// The serial number whose seat it is.
    pub serial: SerialNumber,
    /// How the seat is counted.
    pub model: LicenseModel,
    /// Packages that it covers; empty means every package of the vendor.
    pub packages: Vec<PackageName>,
    /// Digest of the exact text of the grant that it comes from.
    pub grant: Sha256Digest,
    /// After it: no new installs. `run` of a named seat is not touched.
    pub not_after: Timestamp,
}

impl Entitlement {
    /// Whether it covers a package, at any time. Every one covers the agent itself.
    #[must_use]
    pub fn covers(&self, package: &PackageName) -> bool {
        package.is_agent() || self.packages.is_empty() || self.packages.contains(package)
    }
}

/// One computer holds seats, each until a time and for some packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The client that holds them.
    pub client_id: ClientId,
    /// Its key: contacts are signed with it.
    pub client_key: PublicKey,
    /// The name that holds the reservations.
    pub computer_name: ComputerName,
    /// The channel that the computer follows; a reservation that a restored server lost is made again with it.
    pub channel: ChannelName,
    /// The server that gives it.
    pub server_id: ServerId,
    /// Who signed it.
    pub signer: Signer,
    /// See [`crate::order`].
    pub epoch: Epoch,
    /// Rises with each lease of the client.
    pub sequence: u64,
    /// When it was signed, by the server's clock.
    pub issued_at: Timestamp,
    /// The seats, one entry for each serial number.
    pub entitlements: Vec<Entitlement>,
    /// The head of the server's log before it, so that clients witness it.
    pub ledger_head: LogHead,
}

impl Document for Lease {
    const TYPE: &'static str = "lease";
    const VERSION: u32 = 2;

    fn trusted_comment(&self) -> String {
        format!("lease client={} epoch={} sequence={}", self.client_id, self.epoch.0, self.sequence)
    }
}

impl Ordered for Lease {
    fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    fn server_id(&self) -> &ServerId {
        &self.server_id
    }

    fn signer(&self) -> Signer {
        self.signer
    }

    fn order(&self) -> Order {
        Order { epoch: self.epoch, sequence: self.sequence }
    }
}

impl Lease {
    /// Entitlements of a model that this program can count, and that are not past their end at license time `now`.
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = &Entitlement> {
        self.entitlements.iter().filter(move |entitlement| {
            entitlement.model == LicenseModel::Named && now <= entitlement.not_after
        })
    }

    /// Whether a live entitlement covers a package.
    #[must_use]
    pub fn covers(&self, package: &PackageName, now: Timestamp) -> bool {
        self.live(now).any(|entitlement| entitlement.covers(package))
    }

    /// The latest end of its entitlements; `None` when it has none.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        self.entitlements.iter().map(|entitlement| entitlement.not_after).max()
    }
}

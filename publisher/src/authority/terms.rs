//! What a serial number is sold for, and which terms can be sold.

use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::PackageName;
use serde::Serialize;

/// Most seats of one serial number: far above any site, far below any overflow.
pub const MAX_SEATS: u32 = 10_000_000;

/// The terms under which a serial number is sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Terms {
    pub seats: u32,
    /// How seats are counted.
    pub model: LicenseModel,
    /// Packages that are covered; all, if empty.
    pub packages: Vec<PackageName>,
}

impl Terms {
    /// Whether a grant grants exactly this.
    pub(super) fn are_those_of(&self, grant: &Grant) -> bool {
        self.seats == grant.seats && self.model == grant.model && self.packages == grant.packages
    }
}

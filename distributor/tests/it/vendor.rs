//! The vendor of these tests.

use sealpost_test_support::clock::ManualClock;
use sealpost_test_support::names::acme_av;
use sealpost_test_support::vendor::Vendor;
use sealpost_test_support::vendor_server::ServedVendor;

/// A vendor with one package, no release, and a license authority that sells this many seats.
pub(crate) async fn start_vendor(seats: u32) -> ServedVendor {
    ServedVendor::start(Vendor::new(acme_av(), ManualClock::running()), seats).await
}

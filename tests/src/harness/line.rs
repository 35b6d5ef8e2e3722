//! The line from a vendor to a site, set up as far as most tests need it.

use anyhow::Result;

use super::lab::Lab;
use super::site::Site;
use super::vendor::Vendor;

impl Lab {
    /// A vendor that serves its repository, and a site with its running Primary Server that has unlocked `seats`.
    ///
    /// # Errors
    /// When any of the commands fails.
    pub fn vendor_and_site(&self, seats: u32) -> Result<(Vendor, Site)> {
        let mut vendor = Vendor::new(self, "vendor")?;
        vendor.serve()?;
        let site = self.site(&vendor, "site", seats)?;
        Ok((vendor, site))
    }

    /// Another site of a vendor, running and unlocked.
    ///
    /// # Errors
    /// When any of the commands fails.
    pub fn site(&self, vendor: &Vendor, name: &str, seats: u32) -> Result<Site> {
        let mut site = Site::new(self, name, vendor.url()?, &vendor.root())?;
        site.serve()?;
        site.distributor(&["register", &vendor.serial(seats)?])?.ok()?;
        Ok(site)
    }
}

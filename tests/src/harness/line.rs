//! The line from a vendor to a site, set up as far as most tests need it.

use anyhow::Result;

use super::computer::Computer;
use super::lab::Lab;
use super::proxy::Proxy;
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

    /// A vendor, a site with one seat, and the computer `pc` that has enrolled for it.
    ///
    /// # Errors
    /// When any of the commands fails.
    pub fn vendor_site_and_computer(&self) -> Result<(Vendor, Site, Computer)> {
        let (vendor, site) = self.vendor_and_site(1)?;
        let computer = Computer::enrolled(self, &site, "pc", &vendor.root())?;
        Ok((vendor, site, computer))
    }

    /// The computer `pc`, which has not enrolled and reaches its site through a proxy.
    ///
    /// # Errors
    /// When there is no seat, or no port is free.
    pub fn computer_behind_a_proxy(&self, vendor: &Vendor, site: &Site) -> Result<(Proxy, Computer)> {
        let proxy = Proxy::before(site.port()?)?;
        let computer = Computer::reserved(self, site, "pc", &vendor.root())?;
        computer.lead_through(proxy.port())?;
        Ok((proxy, computer))
    }

    /// Another site of a vendor, running and unlocked.
    ///
    /// # Errors
    /// When any of the commands fails.
    pub fn site(&self, vendor: &Vendor, name: &str, seats: u32) -> Result<Site> {
        let mut site = Site::new(self, name, vendor.url()?, &vendor.root())?;
        site.serve()?;
        site.register(&vendor.serial(seats)?)?;
        Ok(site)
    }
}

//! The grants that this computer holds of one server: whether a further one is accepted, and what they say together.
//!
//! Invariants: there is at least one; all are for the same server; at most one per serial number. The site key is that
//! of the highest key epoch, and never changes without a higher one.

use jiff::Timestamp;
use sealpost_keys::PublicKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::Grant;
use sealpost_manifests::ids::{PackageName, SerialNumber, ServerId};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::wire::contact::MAX_GRANTS;

use super::license::LicenseRefusal;

/// A grant that the vendor signed, and the digest of its exact text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldGrant {
    pub grant: Grant,
    pub digest: Sha256Digest,
}

#[derive(Debug, Clone)]
pub struct Grants {
    held: Vec<HeldGrant>,
    site_key: PublicKey,
    key_epoch: u32,
}

impl Grants {
    /// The grants of a server, of which the first is the one that the others are compared with.
    ///
    /// # Errors
    /// [`LicenseRefusal`] when it is for another server.
    pub fn begin(first: HeldGrant, server_id: &ServerId) -> Result<Self, LicenseRefusal> {
        ensure_for(&first.grant, server_id)?;
        let (site_key, key_epoch) = (first.grant.site_key.clone(), first.grant.key_epoch);
        Ok(Self { held: vec![first], site_key, key_epoch })
    }

    /// Takes a further grant, or one that replaces that of the same serial number: of the same server; with the same
    /// site key, or one of a higher key epoch; of no lower generation.
    ///
    /// # Errors
    /// [`LicenseRefusal`]; nothing is taken then.
    pub fn accept(&mut self, new: HeldGrant, server_id: &ServerId) -> Result<(), LicenseRefusal> {
        let grant = &new.grant;
        ensure_for(grant, server_id)?;
        if grant.key_epoch < self.key_epoch
            || (grant.key_epoch == self.key_epoch && grant.site_key != self.site_key)
        {
            return Err(LicenseRefusal::SiteKeyChanged);
        }
        let same_serial = self.held.iter().position(|held| held.grant.serial == grant.serial);
        if let Some(held) = same_serial.and_then(|at| self.held.get(at))
            && grant.generation < held.grant.generation
        {
            let (found, held) = (grant.generation, held.grant.generation);
            return Err(LicenseRefusal::GrantWentBack { found, held });
        }
        if same_serial.is_none() && self.held.len() >= MAX_GRANTS {
            return Err(LicenseRefusal::TooManyGrants(self.held.len()));
        }
        self.site_key = grant.site_key.clone();
        self.key_epoch = grant.key_epoch;
        match same_serial.and_then(|at| self.held.get_mut(at)) {
            Some(held) => *held = new,
            None => self.held.push(new),
        }
        Ok(())
    }

    pub fn iter(&self) -> impl Iterator<Item = &HeldGrant> {
        self.held.iter()
    }

    /// The key that signs what the server signs.
    #[must_use]
    pub const fn site_key(&self) -> &PublicKey {
        &self.site_key
    }

    /// The vendor's part of the highest epoch.
    #[must_use]
    pub fn vendor_epoch(&self) -> u32 {
        self.held.iter().map(|held| held.grant.epoch.vendor()).max().unwrap_or(0)
    }

    /// The latest end of all: up to it the vendor vouches for this site.
    #[must_use]
    pub fn latest_end(&self) -> Timestamp {
        self.held.iter().map(|held| held.grant.not_after).max().unwrap_or(Timestamp::MIN)
    }

    /// Until when a lease lets this computer install a package; `None` if no live seat covers it. A seat counts only
    /// beside the vendor's grant for its serial number, and never for more packages than that. The grant's own end does not
    /// matter: computers that have a seat keep it.
    #[must_use]
    pub fn entitled_until(&self, lease: &Lease, package: &PackageName, now: Timestamp) -> Option<Timestamp> {
        let is_granted = |serial: &SerialNumber| {
            self.binding().any(|grant| grant.serial == *serial && grant.covers(package))
        };
        lease
            .live(now)
            .filter(|seat| seat.covers(package) && is_granted(&seat.serial))
            .map(|seat| seat.not_after)
            .max()
    }

    /// Whether any grant covers a package: without one nothing of it is changed because the server asks for it.
    #[must_use]
    pub fn covers(&self, package: &PackageName) -> bool {
        self.binding().any(|grant| grant.covers(package))
    }

    /// Checks that the vendor granted a live seat of a lease that is accepted otherwise.
    ///
    /// # Errors
    /// [`LicenseRefusal::NotGranted`].
    pub fn judge_seats(&self, lease: &Lease, now: Timestamp) -> Result<(), LicenseRefusal> {
        let is_granted = |serial: &SerialNumber| self.binding().any(|grant| grant.serial == *serial);
        if lease.live(now).any(|seat| is_granted(&seat.serial)) {
            Ok(())
        } else {
            Err(LicenseRefusal::NotGranted)
        }
    }

    /// The grants that name the site key that signs now. One of an older key says nothing of what the newer key signs.
    fn binding(&self) -> impl Iterator<Item = &Grant> {
        self.held.iter().map(|held| &held.grant).filter(|grant| grant.site_key == self.site_key)
    }
}

fn ensure_for(grant: &Grant, server_id: &ServerId) -> Result<(), LicenseRefusal> {
    if grant.server_id == *server_id {
        Ok(())
    } else {
        Err(LicenseRefusal::OtherServer(grant.server_id.clone()))
    }
}

#[cfg(test)]
mod tests;

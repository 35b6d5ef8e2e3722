//! The order of what a server signs for one client: (epoch, sequence), per document type. Nothing goes backwards.
//!
//! An epoch has two parts. The upper 32 bits are raised only by the vendor, in a grant: after a restore, or a takeover
//! that was written off. The lower 32 bits, the *term*, are raised by a standby at takeover and by the primary at
//! failback, within the vendor's part. Agents accept an upper part only from a grant, and a term only from the site key
//! or a standby certificate whose range covers it.

use std::collections::BTreeMap;
use std::fmt;

use sealpost_keys::PublicKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::digest::Sha256Digest;
use crate::word::Word;

/// Most document types that one contact names; five exist or are reserved.
pub const MAX_ORDERED_TYPES: usize = 16;

/// Vendor's part and term, as one number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Puts the two parts together.
    #[must_use]
    pub const fn of(vendor: u32, term: u32) -> Self {
        Self((vendor as u64) << 32 | term as u64)
    }

    /// The part that only the vendor raises.
    #[must_use]
    pub const fn vendor(self) -> u32 {
        // The shift leaves 32 bits.
        (self.0 >> 32) as u32
    }

    /// The part that a takeover or a failback raises.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    pub const fn term(self) -> u32 {
        self.0 as u32
    }

    /// The first epoch after this one that the vendor can give; `None` after 2^32 restores.
    #[must_use]
    pub const fn next_of_vendor(self) -> Option<Self> {
        match self.vendor().checked_add(1) {
            Some(vendor) => Some(Self::of(vendor, 0)),
            None => None,
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.term() {
            0 => write!(f, "{}", self.vendor()),
            term => write!(f, "{}+{term}", self.vendor()),
        }
    }
}

/// The place of one document among those of its type for one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Order {
    /// Raised by the vendor, or by a takeover within the vendor's part.
    pub epoch: Epoch,
    /// Raised by the server with each document of the type.
    pub sequence: u64,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.sequence)
    }
}

/// The highest order of each document type that a computer holds, by the type's name.
pub type HighestOrders = BTreeMap<Word, Order>;

/// Who signed a document of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signer {
    /// The site key that the vendor's grant names.
    SiteKey,
    /// A standby server, by the digest of its certificate. No standby exists yet: readers refuse it with a reason.
    Standby(Sha256Digest),
}

const SITE_KEY: &str = "site_key";

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SiteKey => f.write_str(SITE_KEY),
            Self::Standby(certificate) => certificate.fmt(f),
        }
    }
}

impl Serialize for Signer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == SITE_KEY {
            return Ok(Self::SiteKey);
        }
        let certificate = text.parse().map_err(|_| {
            serde::de::Error::custom("a signer is \"site_key\", or the SHA-256 of a standby certificate")
        })?;
        Ok(Self::Standby(certificate))
    }
}

/// A document that a site signs for one client, with its place.
pub trait Ordered {
    /// The client that it is for.
    fn client_id(&self) -> &crate::ids::ClientId;
    /// The server that issued it.
    fn server_id(&self) -> &crate::ids::ServerId;
    /// Who says that they signed it; the signature itself is checked before.
    fn signer(&self) -> Signer;
    /// Its place among the client's documents of this type.
    fn order(&self) -> Order;
    /// The key that must have signed it, given the site key; `None` for a signer that this program cannot check.
    fn signing_key<'k>(&self, site_key: &'k PublicKey) -> Option<&'k PublicKey> {
        match self.signer() {
            Signer::SiteKey => Some(site_key),
            Signer::Standby(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendor_s_part_outweighs_every_term_and_sequence() {
        let order = |vendor, term, sequence| Order { epoch: Epoch::of(vendor, term), sequence };
        assert!(order(2, 0, 1) > order(1, u32::MAX, u64::MAX));
        assert!(order(1, 1, 1) > order(1, 0, u64::MAX));
        assert!(order(1, 1, 2) > order(1, 1, 1));
        let epoch = Epoch::of(3, 7);
        assert_eq!((epoch.vendor(), epoch.term(), epoch.to_string().as_str()), (3, 7, "3+7"));
        assert_eq!(epoch.next_of_vendor(), Some(Epoch::of(4, 0)));
        assert_eq!(Epoch::of(u32::MAX, 0).next_of_vendor(), None);
    }

    #[test]
    fn a_signer_is_the_site_key_or_a_certificate_and_nothing_else() {
        let digest = Sha256Digest::of(b"certificate");
        for signer in [Signer::SiteKey, Signer::Standby(digest)] {
            let text = serde_json::to_string(&signer).unwrap();
            assert_eq!(serde_json::from_str::<Signer>(&text).unwrap(), signer);
        }
        assert!(serde_json::from_str::<Signer>("\"root\"").is_err());
    }
}

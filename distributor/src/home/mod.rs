//! The server's home: where every file lies, how a new home is made, and how it is opened and locked.
//!
//! Left out on purpose: opening the ledger and the stores (`app` wires them), and when a certificate is renewed
//! (`presence` decides).

mod certificates;
mod draft;
mod error;
mod init;
mod places;

pub use self::certificates::{CertificateError, Leaf, SiteCa, ca_spki_sha256, end_of};
pub use self::draft::Draft;
pub use self::error::HomeError;
pub use self::init::{InitOptions, NewServer};
pub use self::places::{Home, HomeLock};

#[cfg(test)]
mod tests;

//! How the server stands in the network: where computers reach it, by which certificate it is known, and what of that is
//! being changed. A port because the HTTP floor asks and must not know certificates, listeners and configuration files.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sealpost_admin_api::addresses::AddressesView;
use sealpost_admin_api::certificates::CertificateView;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::problem::Problem;
use sealpost_site::changes::Actor;
use sealpost_site::rules::expiries::Expiry;
use sealpost_site::rules::warnings::Warning;

/// What setup files say of this server, besides its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// Host names and IP addresses under which computers reach it, best first.
    pub addresses: Vec<String>,
    /// The TCP port that it really listens on.
    pub port: u16,
    /// SHA-256 of the CA's public key (SubjectPublicKeyInfo, DER); two while the CA is being replaced.
    pub ca_spki_sha256: Vec<Sha256Digest>,
    /// SHA-256 of the pinned `root.json`.
    pub root_sha256: Sha256Digest,
}

/// Whom a switch of the certificate, or the end of a move, may leave behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    /// Nobody: it is refused while a computer has not learned the new pin or way.
    WhenLearned,
    /// Computers that have not learned it; they are named.
    Now,
}

/// What is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    Certificate,
    /// The site CA: its replacement begins, and ends when computers have learned it.
    SiteCa,
}

pub trait Presence: Send + Sync {
    /// Where computers reach the server now.
    fn addresses(&self) -> Addresses;

    /// The same, if a computer that is set up with it would accept the server's certificate.
    ///
    /// # Errors
    /// A problem that names the addresses which the certificate does not name, and what to do.
    fn checked_addresses(&self) -> Result<Addresses, Problem>;

    /// The certificates of the server that end, and those by which it knows the vendor's. Blocks for small files.
    fn expiries(&self) -> Vec<Expiry>;

    /// Something was changed that may matter here: what is due is done at once, and not at the next look.
    fn look_soon(&self);

    /// A computer said that it holds the newest server list. Cheap: called for every contact.
    fn list_is_known(&self);

    /// What is being changed and needs somebody, or cannot be done.
    fn warnings(&self, now: Timestamp) -> BoxFuture<'_, Vec<Warning>>;

    /// The certificate that is presented, and what is about to replace it.
    fn certificate(&self) -> BoxFuture<'_, Result<CertificateView, Problem>>;

    /// Makes a certificate anew though it is not due.
    fn renew(&self, actor: Actor, what: Renewal) -> BoxFuture<'_, Result<CertificateView, Problem>>;

    /// Presents the certificate that waits.
    fn switch(&self, actor: Actor, whom: Switch) -> BoxFuture<'_, Result<CertificateView, Problem>>;

    /// The ways to the server that computers are told, and who has not learned them.
    fn ways(&self) -> BoxFuture<'_, Result<AddressesView, Problem>>;

    /// Stops serving the ways before.
    fn finish(&self, actor: Actor, whom: Switch) -> BoxFuture<'_, Result<AddressesView, Problem>>;
}

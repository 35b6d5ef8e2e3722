//! The pins of the site CA: the only root that a connection is checked against is the certificate, among those that
//! the server presents, whose public key has a pinned digest.
//!
//! The pin is of the CA's key, not of the server's certificate, so the site can renew both certificates; there are two
//! pins while the CA itself is replaced. The computer's other trusted CAs are not used.
//! Certificates are judged at the times of [`tls_times`]: no time that a server ever said can make a good one fail.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::license_time::tls_times;

use crate::ports::Clock;

/// Upper bound on the certificates that are searched for the pinned one.
const MAX_CERTIFICATES: usize = 8;

/// Why a server is refused that presents no pinned CA.
pub(super) const NO_PINNED_CA: &str = "the server does not present a site CA that this computer pins by its setup file or server list: the site replaced its \
     CA since, or it is another site's server, or somebody intercepts the connection";

/// The times at which a server's certificate is judged.
#[derive(Clone)]
pub struct TlsTimes {
    pub clock: Arc<dyn Clock>,
    /// When the setup file with the pins was issued.
    pub issued_at: Timestamp,
    /// The floor under license time.
    pub floor: Timestamp,
}

impl fmt::Debug for TlsTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTimes")
            .field("issued_at", &self.issued_at)
            .field("floor", &self.floor)
            .finish_non_exhaustive()
    }
}

impl TimeProvider for TlsTimes {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(self.clock.now()))
    }
}

/// The times for the handshakes of a client that lives longer than they hold: the floor under license time rises.
#[derive(Debug, Clone)]
pub struct SharedTimes(Arc<RwLock<TlsTimes>>);

impl SharedTimes {
    #[must_use]
    pub fn new(times: TlsTimes) -> Self {
        Self(Arc::new(RwLock::new(times)))
    }

    /// Other times, from the next handshake on.
    pub fn set(&self, times: TlsTimes) {
        // Nothing can panic while it is written.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = times;
    }

    fn now_set(&self) -> TlsTimes {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl TimeProvider for SharedTimes {
    fn current_time(&self) -> Option<UnixTime> {
        self.now_set().current_time()
    }
}

/// A TLS configuration that accepts servers of one site only: those of the pinned CAs.
///
/// # Errors
/// When the TLS library refuses its own defaults.
pub fn client_config(pins: &[Sha256Digest], times: &SharedTimes) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = PinnedCa { pins: pins.to_vec(), times: times.clone(), provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_details(provider, Arc::new(times.clone()))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo; `None` if it is no certificate.
#[must_use]
pub fn spki_sha256(certificate: &[u8]) -> Option<Sha256Digest> {
    let (rest, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    rest.is_empty().then(|| Sha256Digest::of(parsed.public_key().raw))
}

fn unix_time(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0)))
}

#[derive(Debug)]
struct PinnedCa {
    pins: Vec<Sha256Digest>,
    times: SharedTimes,
    provider: Arc<CryptoProvider>,
}

impl PinnedCa {
    /// The times at which a certificate may be valid, when the clock says `now`.
    fn times(&self, now: UnixTime) -> impl Iterator<Item = UnixTime> + use<> {
        let now = i64::try_from(now.as_secs()).ok().and_then(|secs| Timestamp::from_second(secs).ok());
        let TlsTimes { issued_at, floor, .. } = self.times.now_set();
        tls_times(now.unwrap_or(Timestamp::MAX), issued_at, floor).map(unix_time)
    }
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let presented = intermediates.get(..MAX_CERTIFICATES).unwrap_or(intermediates);
        let is_pinned = |certificate: &&CertificateDer<'_>| {
            spki_sha256(certificate).is_some_and(|found| self.pins.contains(&found))
        };
        let ca = presented.iter().find(is_pinned).ok_or_else(|| Error::General(NO_PINNED_CA.to_owned()))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|error| Error::General(format!("the pinned site CA cannot be used: {error}")))?;
        let between: Vec<CertificateDer<'_>> =
            presented.iter().filter(|certificate| *certificate != ca).cloned().collect();
        let verified_at =
            |time| verifier.verify_server_cert(end_entity, &between, server_name, ocsp_response, time);
        let mut times = self.times(now);
        let first = times.next().map_or_else(|| verified_at(now), verified_at);
        first.or_else(|error| times.find_map(|time| verified_at(time).ok()).ok_or(error))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
    };

    use super::*;
    use crate::domain::boot::BootMoment;

    struct Site {
        ca: CertifiedIssuer<'static, KeyPair>,
        leaf: CertificateDer<'static>,
    }

    fn site(host: &str) -> Site {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let leaf_params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let leaf = leaf_params.signed_by(&KeyPair::generate().unwrap(), &ca).unwrap();
        Site { leaf: leaf.der().clone(), ca }
    }

    /// A clock that stands still.
    struct Still(Timestamp);

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            self.0
        }

        fn boot(&self) -> Option<BootMoment> {
            None
        }
    }

    fn verifier(pins: &[&Site], issued_at: Timestamp, floor: Timestamp) -> PinnedCa {
        PinnedCa {
            pins: pins.iter().map(|site| spki_sha256(site.ca.as_ref().der()).unwrap()).collect(),
            times: SharedTimes::new(TlsTimes { clock: Arc::new(Still(issued_at)), issued_at, floor }),
            provider: Arc::new(aws_lc_rs::default_provider()),
        }
    }

    fn verify(
        pin_of: &Site,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &str,
    ) -> Result<(), Error> {
        let verifier = verifier(&[pin_of], Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let now = UnixTime::now();
        verifier.verify_server_cert(leaf, chain, &name, &[], now).map(drop)
    }

    fn ca(site: &Site) -> CertificateDer<'static> {
        site.ca.as_ref().der().clone()
    }

    #[test]
    fn a_server_of_the_pinned_site_is_accepted_under_its_name_and_no_other() {
        let site = site("primary.example");
        verify(&site, &site.leaf, &[ca(&site)], "primary.example").unwrap();
        assert!(verify(&site, &site.leaf, &[ca(&site)], "other.example").is_err());
    }

    #[test]
    fn another_sites_server_is_refused_also_when_it_presents_the_pinned_ca() {
        let (mine, other) = (site("primary.example"), site("primary.example"));
        assert!(verify(&mine, &other.leaf, &[ca(&other)], "primary.example").is_err());
        assert!(verify(&mine, &other.leaf, &[ca(&mine)], "primary.example").is_err());
        assert!(verify(&mine, &other.leaf, &[ca(&other), ca(&mine)], "primary.example").is_err());
        assert!(verify(&mine, &mine.leaf, &[], "primary.example").is_err());
    }

    #[test]
    fn the_pinned_ca_may_not_be_found_behind_more_certificates_than_are_looked_through() {
        let site = site("primary.example");
        let mut chain = vec![site.leaf.clone(); MAX_CERTIFICATES];
        chain.push(ca(&site));
        assert!(verify(&site, &site.leaf, &chain, "primary.example").is_err());
    }

    #[test]
    fn while_a_site_ca_is_replaced_both_are_accepted() {
        let (old, new, other) = (site("primary.example"), site("primary.example"), site("primary.example"));
        let both = verifier(&[&old, &new], Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let name = ServerName::try_from("primary.example").unwrap();
        let accepted = |site: &Site| {
            both.verify_server_cert(&site.leaf, &[ca(site)], &name, &[], UnixTime::now()).is_ok()
        };
        assert!(accepted(&old) && accepted(&new) && !accepted(&other));
    }

    /// A site whose server's certificate is valid from one year on, for a year.
    fn site_valid_in(year: i32) -> Site {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut leaf_params = CertificateParams::new(vec!["primary.example".to_owned()]).unwrap();
        leaf_params.not_before = date_time_ymd(year, 1, 1);
        leaf_params.not_after = date_time_ymd(year + 1, 1, 1);
        let leaf = leaf_params.signed_by(&KeyPair::generate().unwrap(), &ca).unwrap();
        Site { leaf: leaf.der().clone(), ca }
    }

    #[test]
    fn no_floor_makes_a_good_certificate_fail_and_a_clock_that_was_reset_is_helped() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let site = site_valid_in(2026);
        let name = ServerName::try_from("primary.example").unwrap();
        let accepted = |now: &str, issued_at: &str, floor: &str| {
            let verifier = verifier(&[&site], at(issued_at), at(floor));
            verifier.verify_server_cert(&site.leaf, &[ca(&site)], &name, &[], unix_time(at(now))).is_ok()
        };
        let (right, setup) = ("2026-06-01T00:00:00Z", "2025-06-01T00:00:00Z");
        assert!(accepted(right, setup, setup));
        assert!(accepted(right, setup, "2031-06-01T00:00:00Z"), "a floor that is five years ahead");
        assert!(accepted("1970-01-01T00:01:00Z", "2026-05-01T00:00:00Z", setup), "at enrollment");
        assert!(accepted("1970-01-01T00:01:00Z", setup, right), "renewed after the setup file was issued");
        assert!(!accepted("1970-01-01T00:01:00Z", setup, setup));
        let client = verifier(&[&site], at(setup), at(setup));
        let (clock, early) = (Arc::new(Still(at(setup))), unix_time(at("1970-01-01T00:01:00Z")));
        let verified = || client.verify_server_cert(&site.leaf, &[ca(&site)], &name, &[], early).is_ok();
        assert!(!verified());
        client.times.set(TlsTimes { clock, issued_at: at(setup), floor: at(right) });
        assert!(verified(), "a client that goes on judges by the times of now");
        assert!(
            !accepted("2027-06-01T00:00:00Z", setup, right),
            "an expired one by a clock that is not behind"
        );
    }
}

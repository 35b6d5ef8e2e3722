//! The pin of the site CA: the only root that a connection is checked against is the certificate, among those that
//! the server presents, whose public key has the pinned digest.
//!
//! The pin is of the CA's key, not of the server's certificate, so the site can renew both certificates. The computer's
//! other trusted CAs are not used.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use sealpost_manifests::digest::Sha256Digest;

/// Upper bound on the certificates that are searched for the pinned one.
const MAX_CERTIFICATES: usize = 8;

/// A TLS configuration that accepts servers of one site only.
///
/// # Errors
/// When the TLS library refuses its own defaults.
pub fn client_config(pin: Sha256Digest, time_floor: Option<Timestamp>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = PinnedCa { pin, time_floor, provider: Arc::clone(&provider) };
    let config = ClientConfig::builder_with_provider(provider)
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

#[derive(Debug)]
struct PinnedCa {
    pin: Sha256Digest,
    time_floor: Option<Timestamp>,
    provider: Arc<CryptoProvider>,
}

impl PinnedCa {
    fn at_least_floor(&self, now: UnixTime) -> UnixTime {
        let floor = self.time_floor.and_then(|floor| u64::try_from(floor.as_second()).ok()).unwrap_or(0);
        UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs().max(floor)))
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
        let is_pinned = |certificate: &&CertificateDer<'_>| spki_sha256(certificate) == Some(self.pin);
        let ca = presented.iter().find(is_pinned).ok_or_else(|| {
            Error::General(
                "the server does not present the site CA that this computer's setup file pins; it is another site's \
                 server, or somebody intercepts the connection"
                    .to_owned(),
            )
        })?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                .build()
                .map_err(|error| Error::General(format!("the pinned site CA cannot be used: {error}")))?;
        let between: Vec<CertificateDer<'_>> =
            presented.iter().filter(|certificate| *certificate != ca).cloned().collect();
        verifier.verify_server_cert(
            end_entity,
            &between,
            server_name,
            ocsp_response,
            self.at_least_floor(now),
        )
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
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};

    use super::*;

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

    fn verify(
        pin_of: &Site,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &str,
    ) -> Result<(), Error> {
        let verifier = PinnedCa {
            pin: spki_sha256(pin_of.ca.as_ref().der()).unwrap(),
            time_floor: None,
            provider: Arc::new(aws_lc_rs::default_provider()),
        };
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
    fn a_clock_that_was_reset_is_helped_by_what_the_site_signed() {
        let verifier = |floor: Option<&str>| PinnedCa {
            pin: Sha256Digest::of(b""),
            time_floor: floor.map(|text| text.parse().unwrap()),
            provider: Arc::new(aws_lc_rs::default_provider()),
        };
        let reset = UnixTime::since_unix_epoch(Duration::from_secs(60));
        assert_eq!(verifier(None).at_least_floor(reset).as_secs(), 60);
        assert_eq!(verifier(Some("2026-01-01T00:00:00Z")).at_least_floor(reset).as_secs(), 1_767_225_600);
    }
}

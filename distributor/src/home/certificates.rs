//! The site CA and the server's certificate, made at `init`.
//!
//! Agents pin the CA's public key (its SubjectPublicKeyInfo), not the certificate: the server's certificate can be
//! renewed without a change at any computer. For that the server presents the CA's certificate at the end of its chain.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, date_time_ymd,
};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ServerId;

/// Ten years: the CA outlives the computers that pin it.
const CA_DAYS: i64 = 3653;
/// Longest lifetime that common TLS stacks accept for a server's certificate, less a day.
const SERVER_DAYS: i64 = 397;
/// Year, month and day from which they are valid: before any site. What a server made while its clock was ahead is good
/// today; its CA is made for this server alone and is pinned, so an earlier beginning gives nothing away.
const VALID_SINCE: (i32, u8, u8) = (2026, 1, 1);

/// Why certificates could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// An address cannot be put into a certificate, or the cryptography failed.
    #[error("cannot make the site's certificates; check the addresses")]
    Make {
        #[from]
        source: rcgen::Error,
    },
    /// The date is outside of the calendar.
    #[error("cannot make the site's certificates for this date; check the clock")]
    Clock,
    #[error("cannot read the site CA's certificate; restore tls/ca.crt from a backup")]
    Unreadable,
}

/// Certificates and keys, as PEM.
pub(super) struct Made {
    pub(super) ca_certificate: String,
    pub(super) ca_key: String,
    /// The server's certificate, then the CA's.
    pub(super) server_chain: String,
    pub(super) server_key: String,
}

pub(super) fn make(
    server_id: &ServerId,
    addresses: &[String],
    now: Timestamp,
) -> Result<Made, CertificateError> {
    let ca_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name = named(&format!("Sealpost site CA {server_id}"));
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.not_before = date_time_ymd(VALID_SINCE.0, VALID_SINCE.1, VALID_SINCE.2);
    let (year, month, date) = day(now, CA_DAYS)?;
    ca.not_after = date_time_ymd(year, month, date);
    let ca_certificate = ca.self_signed(&ca_key)?;

    let server_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut server = CertificateParams::new(addresses.to_vec())?;
    server.distinguished_name = named(&format!("Sealpost server {server_id}"));
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    server.not_before = date_time_ymd(VALID_SINCE.0, VALID_SINCE.1, VALID_SINCE.2);
    let (year, month, date) = day(now, SERVER_DAYS)?;
    server.not_after = date_time_ymd(year, month, date);
    let server_certificate = server.signed_by(&server_key, &Issuer::from_params(&ca, &ca_key))?;

    debug_assert_eq!(
        ca_spki_sha256(ca_certificate.pem().as_bytes()).ok(),
        Some(Sha256Digest::of(&ca_key.subject_public_key_info()))
    );
    Ok(Made {
        server_chain: format!("{}{}", server_certificate.pem(), ca_certificate.pem()),
        ca_certificate: ca_certificate.pem(),
        ca_key: ca_key.serialize_pem(),
        server_key: server_key.serialize_pem(),
    })
}

/// SHA-256 of the DER-encoded SubjectPublicKeyInfo of a PEM certificate (RFC 7469, section 2.4): the pin.
pub fn ca_spki_sha256(pem: &[u8]) -> Result<Sha256Digest, CertificateError> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).map_err(|_| CertificateError::Unreadable)?;
    let certificate = pem.parse_x509().map_err(|_| CertificateError::Unreadable)?;
    Ok(Sha256Digest::of(certificate.public_key().raw))
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// The date `days` from now. Whole days are enough, so a clock that is slightly wrong does no harm.
fn day(now: Timestamp, days: i64) -> Result<(i32, u8, u8), CertificateError> {
    let date: Date = now.to_zoned(TimeZone::UTC).date();
    let date = date.checked_add(Span::new().days(days)).map_err(|_| CertificateError::Clock)?;
    let part = |value: i8| u8::try_from(value).map_err(|_| CertificateError::Clock);
    Ok((i32::from(date.year()), part(date.month())?, part(date.day())?))
}

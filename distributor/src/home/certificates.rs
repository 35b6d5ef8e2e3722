//! The site CA and the server's certificate: made at `init`, and made anew by the running server.
//!
//! Agents pin the CA's public key (its SubjectPublicKeyInfo), not the certificate: the server's certificate can be
//! renewed without a change at any computer. For that the server presents the CA's certificate at the end of its chain.
//! Pure: keys and times come in, PEM goes out. Left out on purpose: when something is renewed, which `presence` decides.

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

/// A CA of this site: its certificate and its key, as PEM.
pub struct SiteCa {
    pub certificate: String,
    pub key: String,
}

/// A server's certificate, with its CA's behind it, as PEM.
pub struct Leaf {
    pub chain: String,
    pub key: String,
}

impl SiteCa {
    /// A new CA with a new key.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn make(server_id: &ServerId, now: Timestamp) -> Result<Self, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.distinguished_name = named(&format!("Sealpost site CA {server_id}"));
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        ca.not_before = date_time_ymd(VALID_SINCE.0, VALID_SINCE.1, VALID_SINCE.2);
        let (year, month, date) = day(now, CA_DAYS)?;
        ca.not_after = date_time_ymd(year, month, date);
        let certificate = ca.self_signed(&key)?.pem();
        debug_assert_eq!(
            ca_spki_sha256(certificate.as_bytes()).ok(),
            Some(Sha256Digest::of(&key.subject_public_key_info()))
        );
        Ok(Self { certificate, key: key.serialize_pem() })
    }

    /// Issues a server's certificate for these addresses. With the `key` that the server has, so that certificate and
    /// key never have to be replaced together; with a new one if there is none. It ends with the CA at the latest.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn issue(
        &self,
        server_id: &ServerId,
        addresses: &[String],
        key: Option<&str>,
        now: Timestamp,
    ) -> Result<Leaf, CertificateError> {
        let ca_key = KeyPair::from_pem(&self.key)?;
        let ca_end = end_of(self.certificate.as_bytes()).ok_or(CertificateError::Unreadable)?;
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.distinguished_name = named(&common_name(self.certificate.as_bytes())?);
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = match key {
            Some(key) => KeyPair::from_pem(key)?,
            None => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
        };
        // A dot at the end is no part of a name in a certificate, and nobody who looks for the name asks with it.
        let names: Vec<String> =
            addresses.iter().map(|address| address.trim_end_matches('.').to_owned()).collect();
        let mut server = CertificateParams::new(names)?;
        server.distinguished_name = named(&format!("Sealpost server {server_id}"));
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        server.not_before = date_time_ymd(VALID_SINCE.0, VALID_SINCE.1, VALID_SINCE.2);
        let wanted = day(now, SERVER_DAYS)?;
        let (year, month, date) = wanted.min(day(ca_end, 0)?);
        server.not_after = date_time_ymd(year, month, date);
        let certificate = server.signed_by(&key, &Issuer::from_params(&ca, &ca_key))?;
        Ok(Leaf { chain: format!("{}{}", certificate.pem(), self.certificate), key: key.serialize_pem() })
    }

    /// Whether the key is the one of the certificate.
    #[must_use]
    pub fn fits(&self) -> bool {
        let of_key = KeyPair::from_pem(&self.key).map(|key| Sha256Digest::of(&key.subject_public_key_info()));
        matches!((of_key, ca_spki_sha256(self.certificate.as_bytes())), (Ok(key), Ok(pin)) if key == pin)
    }
}

/// SHA-256 of the DER-encoded SubjectPublicKeyInfo of a PEM certificate (RFC 7469, section 2.4): the pin.
///
/// # Errors
/// [`CertificateError::Unreadable`].
pub fn ca_spki_sha256(pem: &[u8]) -> Result<Sha256Digest, CertificateError> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).map_err(|_| CertificateError::Unreadable)?;
    let certificate = pem.parse_x509().map_err(|_| CertificateError::Unreadable)?;
    Ok(Sha256Digest::of(certificate.public_key().raw))
}

/// When the first certificate of a PEM file ends.
#[must_use]
pub fn end_of(pem: &[u8]) -> Option<Timestamp> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).ok()?;
    let certificate = pem.parse_x509().ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

/// The name by which a CA issues; another one would break the chain.
fn common_name(pem: &[u8]) -> Result<String, CertificateError> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem).map_err(|_| CertificateError::Unreadable)?;
    let certificate = pem.parse_x509().map_err(|_| CertificateError::Unreadable)?;
    let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    name.map(str::to_owned).ok_or(CertificateError::Unreadable)
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

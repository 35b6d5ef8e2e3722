//! What a certificate chain says: the names in its first certificate, when it ends, and the CA that computers pin.
//!
//! Pure: PEM in, facts out. Left out on purpose: verification. A chain that does not hold together is refused by every
//! computer; whether certificate and key fit is checked where they are loaded.

use std::net::IpAddr;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

/// Most certificates that are looked at; a TLS identity takes no more.
const MAX_CERTIFICATES: usize = 16;

/// What a chain says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ChainFacts {
    /// DNS names and IP addresses of the first certificate.
    pub(super) names: Vec<String>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// Serial number of the first certificate, in hexadecimal digits.
    pub(super) serial: String,
    /// SHA-256 of the first certificate.
    pub(super) sha256: Sha256Digest,
    /// SHA-256 of the last certificate's public key: what computers pin.
    pub(super) pin: Sha256Digest,
    pub(super) ca_not_after: Timestamp,
    /// Certificates in the chain.
    pub(super) length: usize,
    /// Whether the last certificate's name is the one that issued the one before it.
    pub(super) is_linked: bool,
}

impl ChainFacts {
    /// Reads a chain; `None` if a certificate of it cannot be read, or there is none.
    pub(super) fn of(pem: &str) -> Option<Self> {
        let mut ders = Vec::new();
        for block in Pem::iter_from_buffer(pem.as_bytes()).take(MAX_CERTIFICATES + 1) {
            let block = block.ok()?;
            if block.label == "CERTIFICATE" {
                ders.push(block.contents);
            }
        }
        let chain: Vec<X509Certificate<'_>> = ders
            .iter()
            .map(|der| x509_parser::parse_x509_certificate(der).ok().map(|(_, certificate)| certificate))
            .collect::<Option<_>>()?;
        let (first, last) = (chain.first()?, chain.last()?);
        Some(Self {
            names: names_of(first),
            not_before: Timestamp::from_second(first.validity().not_before.timestamp()).ok()?,
            not_after: end(first)?,
            serial: first.raw_serial_as_string().replace(':', ""),
            sha256: Sha256Digest::of(ders.first()?),
            pin: Sha256Digest::of(last.public_key().raw),
            ca_not_after: end(last)?,
            length: chain.len(),
            is_linked: chain.windows(2).all(|pair| match pair {
                [below, above] => below.issuer() == above.subject(),
                _ => true,
            }),
        })
    }

    /// Those addresses that a computer which asks for them would not find in the certificate.
    pub(super) fn missing(&self, addresses: &[String]) -> Vec<String> {
        addresses.iter().filter(|address| !self.covers(address)).cloned().collect()
    }

    fn covers(&self, address: &str) -> bool {
        if let Ok(ip) = address.parse::<IpAddr>() {
            return self.names.iter().any(|name| name.parse() == Ok(ip));
        }
        let wanted = address.trim_end_matches('.').to_ascii_lowercase();
        self.names.iter().map(|name| name.to_ascii_lowercase()).any(|name| {
            let beneath = name.strip_prefix("*.").zip(wanted.split_once('.'));
            name == wanted || beneath.is_some_and(|(domain, (_, of_wanted))| domain == of_wanted)
        })
    }
}

fn end(certificate: &X509Certificate<'_>) -> Option<Timestamp> {
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let named = alternatives.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => address_of(bytes).map(|address| address.to_string()),
        _ => None,
    });
    named.collect()
}

fn address_of(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::from(four));
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::ServerId;

    use super::*;
    use crate::home::SiteCa;

    fn facts(addresses: &[&str]) -> ChainFacts {
        let addresses: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
        let (id, now) = (ServerId::from_random([1; 16]), "2026-03-01T00:00:00Z".parse().unwrap());
        let ca = SiteCa::make(&id, now).unwrap();
        ChainFacts::of(&ca.issue(&id, &addresses, None, now).unwrap().chain).unwrap()
    }

    #[test]
    fn an_address_is_covered_by_its_name_by_its_number_or_by_a_wildcard_for_one_label() {
        let facts = facts(&["Pc.Example", "192.0.2.7", "2001:db8::1", "*.site.example"]);
        let asked = [
            "pc.example",
            "pc.example.",
            "192.0.2.7",
            "2001:db8:0::1",
            "a.site.example",
            "site.example",
            "a.b.site.example",
            "192.0.2.8",
            "pc",
        ];
        let missing = facts.missing(&asked.map(str::to_owned));
        assert_eq!(missing, ["site.example", "a.b.site.example", "192.0.2.8", "pc"]);
        assert!(facts.is_linked && facts.length == 2);
    }

    #[test]
    fn a_name_that_was_given_with_a_dot_at_its_end_is_covered() {
        let asked = ["pc.example.".to_owned(), "pc.example".to_owned()];
        assert_eq!(facts(&["pc.example."]).missing(&asked), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_chain_has_no_facts() {
        assert_eq!(ChainFacts::of(""), None);
        assert_eq!(ChainFacts::of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), None);
    }
}

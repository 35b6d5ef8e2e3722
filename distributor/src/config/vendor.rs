//! How the vendor's server is reached: TLS as the system trusts it, and by the CA that `vendor_ca` names.
//!
//! Plain http is safe for pulls, because everything that is fetched is verified against signed metadata. A serial number
//! is a secret, so what carries one asks [`may_carry_a_serial`] first.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use reqwest::{Certificate, ClientBuilder, Url, redirect};
use sealpost_files::read_bounded;
use x509_parser::pem::Pem;

/// Largest CA file, in bytes.
const MAX_CA_BYTES: u64 = 256 * 1024;

/// Why the vendor's server cannot be reached as configured.
#[derive(Debug, thiserror::Error)]
pub enum VendorCaError {
    #[error("cannot read `vendor_ca` {}; correct the path in the configuration, or its permissions", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`vendor_ca` {} holds no certificate in PEM; get the CA's certificate from the vendor", path.display())]
    NoCertificate { path: PathBuf },
}

/// A client for the vendor's server: redirects are not followed, and a server on this computer is asked directly.
///
/// # Errors
/// [`VendorCaError`].
pub fn vendor_client(vendor_url: &str, vendor_ca: Option<&Path>) -> Result<ClientBuilder, VendorCaError> {
    // An error says that a provider is installed already. It is this one, since the program has no other.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("sealpost-distributor/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none());
    if is_on_loopback(vendor_url) {
        // A proxy would be somewhere else.
        client = client.no_proxy();
    }
    if let Some(path) = vendor_ca {
        let pem =
            read_ca(path).map_err(|source| VendorCaError::Unreadable { path: path.to_owned(), source })?;
        let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
        if certificates.is_empty() {
            return Err(VendorCaError::NoCertificate { path: path.to_owned() });
        }
        client = client.tls_certs_merge(certificates);
    }
    Ok(client)
}

/// The certificates of a `vendor_ca` file: what each is called, and its end. An unreadable file has none: the server does
/// not start with it. Blocks for a small file.
#[must_use]
pub fn vendor_ca_ends(path: &Path) -> Vec<(String, Timestamp)> {
    let pem = read_ca(path).unwrap_or_default();
    let certificates = Pem::iter_from_buffer(&pem).filter_map(Result::ok);
    let end = |pem: Pem| {
        let certificate = pem.parse_x509().ok()?;
        let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        let name = name.map_or_else(|| certificate.subject().to_string(), str::to_owned);
        Some((name, Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()?))
    };
    certificates.filter_map(end).collect()
}

/// A pipe in place of the file would be waited for by the start of the server.
fn read_ca(path: &Path) -> io::Result<Vec<u8>> {
    read_bounded(path, MAX_CA_BYTES)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Whether nobody on the way can read what is sent there: over TLS, or on this computer.
#[must_use]
pub fn may_carry_a_serial(vendor_url: &str) -> bool {
    vendor_url.starts_with("https://") || is_on_loopback(vendor_url)
}

fn is_on_loopback(vendor_url: &str) -> bool {
    let Ok(url) = Url::parse(vendor_url) else { return false };
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_goes_over_tls_or_to_this_computer_and_nowhere_else() {
        for good in [
            "https://vendor.example",
            "http://127.0.0.1:8080",
            "http://127.9.9.9",
            "http://[::1]:8080/base",
            "http://localhost:1",
        ] {
            assert!(may_carry_a_serial(good), "{good}");
        }
        for bad in [
            "http://vendor.example",
            "http://192.0.2.1",
            "http://localhost.vendor.example",
            "http://127.0.0.1.vendor.example",
            "http://[2001:db8::1]",
        ] {
            assert!(!may_carry_a_serial(bad), "{bad}");
        }
    }

    #[test]
    fn a_vendor_ca_that_is_missing_or_none_is_refused_by_its_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let refused =
            |path: &Path| vendor_client("https://vendor.example", Some(path)).unwrap_err().to_string();
        assert!(refused(&path).contains("ca.pem"));
        std::fs::write(&path, "no certificate").unwrap();
        assert!(refused(&path).contains("holds no certificate"));
        std::fs::remove_file(&path).unwrap();
        // Nobody ever writes into it.
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(refused(&path).contains("cannot read `vendor_ca`"));
        assert!(vendor_ca_ends(&path).is_empty());
    }
}

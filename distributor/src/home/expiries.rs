//! What lies in a home and ends: for the warnings of `status`.

use std::path::Path;

use jiff::Timestamp;
use sealpost_serving::tls;
use sealpost_site::rules::warnings::Expiry;

use super::places::Home;

impl Home {
    /// When the certificates end. One that cannot be read is left out: without it the server does not start.
    #[must_use]
    pub fn expiries(&self) -> Vec<Expiry> {
        let files = [
            ("the server's certificate", self.server_certificate()),
            ("the site CA's certificate", self.ca_certificate()),
        ];
        files
            .into_iter()
            .filter_map(|(what, path)| Some(Expiry { what: what.to_owned(), at: end_of_certificate(&path)? }))
            .collect()
    }
}

fn end_of_certificate(path: &Path) -> Option<Timestamp> {
    let chain = tls::certificates(path).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

//! The clients of this agent's servers, kept from one use to the next: what follows a contact goes over its connection, and
//! costs no further handshake.
//!
//! Invariants: a client is used for the address and the pins that it was made for, and for no others; its handshakes are judged
//! by the newest times. TLS sessions are not kept beyond a connection: each handshake verifies the certificate.

use std::sync::{Mutex, PoisonError};

use sealpost_manifests::setup::ServerEntry;

use super::endpoint::{Endpoint, addresses};
use super::error::ServerError;
use super::pin::TlsTimes;

/// Most clients that are kept; a server has some addresses, and a computer few servers.
const MAX_KEPT: usize = 16;

/// The clients that are kept.
#[derive(Debug, Default)]
pub struct Connections(Mutex<Vec<Endpoint>>);

impl Connections {
    /// The endpoints of a server, in the order of its addresses.
    ///
    /// # Errors
    /// [`ServerError::Setup`].
    pub fn of_server(&self, server: &ServerEntry, times: &TlsTimes) -> Result<Vec<Endpoint>, ServerError> {
        // Nothing that holds it can panic.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pins = &server.ca_spki_sha256;
        let of_address = |address: String| {
            if let Some(found) = kept.iter().find(|endpoint| endpoint.is(&address, pins)) {
                found.judges_by(times);
                return Ok(found.clone());
            }
            let made = Endpoint::of_address(address, pins, times)?;
            if kept.len() >= MAX_KEPT {
                drop(kept.remove(0));
            }
            kept.push(made.clone());
            Ok(made)
        };
        addresses(server).map(of_address).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use sealpost_keys::SigningKey;
    use sealpost_manifests::digest::Sha256Digest;
    use sealpost_manifests::ids::ServerId;
    use sealpost_manifests::setup::ServerRole;

    use super::*;
    use crate::system::SystemClock;

    fn server(host: &str, pin: &[u8]) -> ServerEntry {
        let site_key = SigningKey::generate().unwrap().public();
        ServerEntry {
            server_id: ServerId::of_site_key(&site_key),
            site_key,
            addresses: vec![host.to_owned()],
            port: 16770,
            ca_spki_sha256: vec![Sha256Digest::of(pin)],
            role: ServerRole::Primary,
        }
    }

    #[test]
    fn a_client_is_for_its_address_and_its_pins_alone_and_few_are_kept() {
        let times = TlsTimes {
            clock: Arc::new(SystemClock),
            issued_at: Timestamp::UNIX_EPOCH,
            floor: Timestamp::UNIX_EPOCH,
        };
        let kept = Connections::default();
        let count = || kept.0.lock().unwrap().len();
        for (host, pin, expected) in
            [("10.0.0.1", "a", 1), ("10.0.0.1", "a", 1), ("10.0.0.1", "b", 2), ("10.0.0.2", "b", 3)]
        {
            let endpoints = kept.of_server(&server(host, pin.as_bytes()), &times).unwrap();
            assert!(endpoints[0].is(&format!("https://{host}:16770"), &[Sha256Digest::of(pin.as_bytes())]));
            assert_eq!(count(), expected, "{host} {pin}");
        }
        for number in 0..40 {
            let _ = kept.of_server(&server(&format!("10.1.0.{number}"), b"a"), &times).unwrap();
        }
        assert_eq!(count(), MAX_KEPT);
    }
}

//! Whether a Primary Server of this computer can be reached, as the watchdog sees it: over TLS, with the pin, and without
//! any contact of its own, which would take the nonces from the program that it watches.

use std::time::Duration;

use reqwest::StatusCode;

use crate::flows::context::Host;
use crate::records::progress::Progress;
use crate::records::server::ServerRecords;
use crate::server::Endpoint;

/// Longest wait for one address.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most addresses that are tried.
const MAX_ADDRESSES: usize = 16;

/// Whether an address answers and is healthy.
pub(super) async fn is_reachable(host: &Host) -> bool {
    for endpoint in endpoints(host).unwrap_or_default().iter().take(MAX_ADDRESSES) {
        let asked = endpoint.client().get(format!("{}/healthz", endpoint.address())).timeout(TIMEOUT).send();
        if asked.await.is_ok_and(|answer| answer.status() == StatusCode::OK) {
            return true;
        }
    }
    false
}

/// The addresses of the server; `None` if the records do not say.
fn endpoints(host: &Host) -> Option<Vec<Endpoint>> {
    let progress = Progress::load(&host.home).ok()?;
    let enrollment = ServerRecords::of(&host.home, progress.server()?).enrollment().ok()??;
    let times = host.tls_times(enrollment.setup_issued_at, &progress.computer.floors);
    Endpoint::of_server(&enrollment.server, &times).ok()
}

//! Whether a Primary Server of this computer can be reached, as the watchdog sees it: over TLS, with the pin, and without
//! any contact of its own, which would take the nonces from the program that it watches.
//!
//! Invariant: it asks by every way by which a contact would: the server may have moved since this computer was set up, and
//! a program on trial that cannot contact it would else never be given back.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use reqwest::StatusCode;
use sealpost_files::with_causes;

use crate::flows::context::Host;
use crate::flows::ways::ways;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;
use crate::records::server::ServerRecords;
use crate::server::Endpoint;

/// Longest wait for one address.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many are asked at once: a list may begin with many that lead nowhere.
const AT_ONCE: usize = 8;

/// Whether an address answers and is healthy.
pub(super) async fn is_reachable(host: &Host) -> bool {
    let asked = stream::iter(endpoints(host).unwrap_or_default()).map(is_healthy).buffer_unordered(AT_ONCE);
    let mut healthy = asked.filter(|is_healthy| std::future::ready(*is_healthy)).boxed();
    healthy.next().await.is_some()
}

async fn is_healthy(endpoint: Endpoint) -> bool {
    let asked = endpoint.client().get(format!("{}/healthz", endpoint.address())).timeout(TIMEOUT).send();
    asked.await.is_ok_and(|answer| answer.status() == StatusCode::OK)
}

/// Every address of the server, in the order of a contact; `None` if the records do not say.
pub(super) fn endpoints(host: &Host) -> Option<Vec<Endpoint>> {
    let progress = Progress::load(&host.home).ok()?;
    match Holdings::load(&host.home, &progress, host.now()) {
        Ok(holdings) => {
            let ways = ways(host, &holdings, &progress).ok()?;
            Some(ways.into_iter().map(|way| way.endpoint).collect())
        }
        // The program on trial may have spoiled what a contact needs; that must not keep it.
        Err(error) => {
            tracing::warn!("only the setup file's addresses are asked: {}", with_causes(&error));
            let enrollment = ServerRecords::of(&host.home, progress.server()?).enrollment().ok()??;
            let times = host.tls_times(enrollment.setup_issued_at, &progress.computer.floors);
            Endpoint::of_server(&enrollment.server, &times).ok()
        }
    }
}

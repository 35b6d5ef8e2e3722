//! The first registration of a new server, before it runs: no listener, no schedule, only the ledger and the vendor.
//!
//! Invariant: a run that is cut anywhere leaves a server that can be started and registered. The vendor answers the same
//! server and key with the same seats again.

use std::path::Path;
use std::sync::Arc;

use sealpost_admin_api::licenses::{RegisterRequest, Registered};
use sealpost_keys::PublicKey;
use sealpost_site::changes::Actor;

use super::error::AppError;
use super::open::{Opened, closed_when_failed};
use crate::licenses::{Learning, Registrar};

/// Registers a serial number for a server that does not run. `made` is its site key, so that a home which took the
/// place of the new one in the meantime is not registered.
///
/// # Errors
/// [`AppError`], also when the vendor refuses, or a server runs already. A vendor that cannot be reached is an answer.
pub async fn register_first(
    path: &Path,
    made: &PublicKey,
    actor: Actor,
    request: RegisterRequest,
) -> Result<Registered, AppError> {
    let opened = Opened::open(path, None).await?;
    let (ledger, _lock) = (Arc::clone(&opened.ledger), Arc::clone(&opened.lock));
    let registered = closed_when_failed(&ledger, async {
        let site_key = Arc::new(opened.home.read_site_key_of(made)?);
        let registrar = Registrar {
            authority: opened.authority()?,
            sealing_key: opened.home.read_sealing_key()?.public(),
            ledger: Arc::clone(&opened.ledger),
            upstream: opened.upstream.clone(),
            clock: Arc::clone(&opened.clock),
            site_key,
            learning: Learning::KeysAlone,
        };
        Ok(registrar.register(actor, request).await?)
    });
    let registered = registered.await?;
    ledger.close().await.map_err(AppError::ledger)?;
    Ok(registered)
}

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
use super::open::Opened;
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
    let registered = opened.ledger.closed_when_failed(ask(&opened, made, actor, request)).await?;
    opened.ledger.close().await.map_err(AppError::ledger)?;
    Ok(registered)
}

async fn ask(
    opened: &Opened,
    made: &PublicKey,
    actor: Actor,
    request: RegisterRequest,
) -> Result<Registered, AppError> {
    let registrar = Registrar {
        site_key: Arc::new(opened.home.read_site_key_of(made)?),
        sealing_key: opened.home.read_sealing_key()?.public(),
        authority: opened.authority()?,
        ledger: Arc::clone(&opened.ledger),
        upstream: opened.upstream.clone(),
        clock: Arc::clone(&opened.clock),
        learning: Learning::KeysAlone,
    };
    Ok(registrar.register(actor, request).await?)
}

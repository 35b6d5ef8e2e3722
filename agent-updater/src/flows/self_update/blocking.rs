//! Work on the disk, on a thread of its own.
//!
//! Invariant: the thread that drives the network and gives the service manager its signs of life never waits for a disk:
//! one that hangs must not end the agent, and with it the products' watch. Left out on purpose: starting a child, which
//! the kernel ties to the thread that started it.

use std::sync::Arc;

use tokio::task::spawn_blocking;

use crate::flows::context::{Context, Host};

use super::error::LaunchError;

/// Waits for work on the disk. Nobody else holds the context afterwards that did not before.
pub(super) async fn on_disk<R: Send + 'static>(
    context: &Arc<Context>,
    work: impl FnOnce(&Host) -> R + Send + 'static,
) -> Result<R, LaunchError> {
    let context = Arc::clone(context);
    spawn_blocking(move || work(&context.host)).await.map_err(|_| LaunchError::Panicked)
}

//! The runtime of the network, and blocking work beside it.

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

use crate::app::Agent;

/// One thread for the network keeps an idle agent small; blocking work has threads of its own.
pub(super) fn start() -> anyhow::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .context("cannot start the agent")
}

/// Runs blocking work of the agent while this thread drives the network.
pub(super) fn blocking<R: Send + 'static>(
    runtime: &Runtime,
    agent: Agent,
    work: impl FnOnce(&Agent) -> R + Send + 'static,
) -> anyhow::Result<R> {
    runtime
        .block_on(runtime.spawn_blocking(move || work(&agent)))
        .context("the work ended by a fault of the program")
}

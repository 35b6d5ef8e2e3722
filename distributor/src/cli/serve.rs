//! `distributor serve`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use super::outcome::Outcome;
use crate::app::{Server, StartOptions};

/// Run the server, until SIGTERM or Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor --home /srv/sealpost serve
  distributor --home /srv/sealpost serve --listen 127.0.0.1:0")]
pub(super) struct Options {
    /// The address and port to listen on, instead of the configured ones; port 0 takes a free one.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
}

pub(super) fn run(home: &Path, options: Options) -> anyhow::Result<Outcome> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(serve(home, options.listen))?;
    Ok(Outcome::Done)
}

/// Runs a server until SIGTERM or Ctrl-C; prints one line when it answers, and not before.
async fn serve(home: &Path, listen: Option<SocketAddr>) -> anyhow::Result<()> {
    // Before the ready line, so that a signal right after it is heard.
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
    let server = Server::start(home, StartOptions { listen, ..StartOptions::default() }).await?;
    let ready = writeln!(std::io::stdout(), "listening on https://{}", server.address());
    if let Err(error) = ready.and_then(|()| std::io::stdout().flush()) {
        tracing::warn!(%error, "nobody reads the ready line");
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    server.stop().await?;
    Ok(())
}

//! `distributor serve`.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use sealpost_service::notify;
use sealpost_service::signals::{Signal, Signals};
use sealpost_service::sockets;

use super::outcome::Outcome;
use crate::app::{Server, StartOptions};

/// Run the server, until SIGTERM or Ctrl-C. SIGHUP reads the configuration again and reopens logs.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor --home /srv/sealpost serve
  distributor --home /srv/sealpost serve --listen 127.0.0.1:0")]
pub(super) struct Options {
    /// The address and port to listen on, instead of the configured ones; port 0 takes a free one. Computers are not told
    /// of it: to move a server, change `listen` in its configuration.
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
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let inherited = sockets::inherited().context("cannot take over the socket that systemd holds")?;
    let inherited = inherited.into_iter().next().map(Arc::new);
    let server = Server::start(home, StartOptions { listen, inherited, ..StartOptions::default() }).await?;
    let ready = writeln!(std::io::stdout(), "listening on https://{}", server.address());
    if let Err(error) = ready.and_then(|()| std::io::stdout().flush()) {
        tracing::warn!(%error, "nobody reads the ready line");
    }
    notify::status(&format!("listening on https://{}", server.address()));
    notify::ready();
    tokio::select! {
        () = notify::keep_watchdog(|| server.is_healthy()) => {}
        () = until_stopped(&server, &mut signals) => {}
    }
    notify::stopping();
    tracing::info!("stopping");
    server.stop().await?;
    Ok(())
}

async fn until_stopped(server: &Server, signals: &mut Signals) {
    while signals.next().await == Signal::Reload {
        notify::reloading();
        server.reload().await;
        notify::ready();
    }
}

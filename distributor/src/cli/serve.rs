//! `distributor serve`.

use std::net::SocketAddr;
use std::path::Path;

use super::Outcome;
use crate::app;

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
        .block_on(app::serve(home, options.listen))?;
    Ok(Outcome::Done)
}

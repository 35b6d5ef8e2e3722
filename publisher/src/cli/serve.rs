//! `publisher serve`

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_serving::Listener;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::output::{Ending, print_line, waiting};
use super::passphrase::PassphraseOptions;
use crate::active_keys::license_key;
use crate::authority::Authority;
use crate::home::{Keyring, Vendor};
use crate::renewal::{Urgency, renew};
use crate::server::{Licensing, connection_limits, router};

const PORT: u16 = 8080;
/// How often due roles are looked for. Where none is due, that costs a few file reads.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(3600);

/// Serve the repository and the license endpoint, and keep timestamp and snapshot fresh.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme serve
  publisher --home acme serve --listen 127.0.0.1:0
  publisher --home acme serve --public --passphrase-file /run/credentials/publisher

Speaks plain HTTP: everything in the repository is signed. Towards the internet put a web server
with TLS in front, so that serial numbers stay private on their way; if it runs on this computer,
its X-Forwarded-For tells customers apart when wrong registrations are slowed down.
Releases made by other processes are served at once.")]
pub(super) struct Options {
    /// Where to listen [default: 127.0.0.1:8080, with --public 0.0.0.0:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Listen on an address that other computers can reach.
    #[arg(long)]
    public: bool,
    #[command(flatten)]
    passphrase: PassphraseOptions,
}

pub(super) fn run(home: &Path, options: Options) -> anyhow::Result<Ending> {
    let address = options.address()?;
    let vendor = Vendor::open(home)?;
    let keyring = Arc::new(Keyring::new(&vendor, options.passphrase.source()));
    // Opened now, so that a wrong passphrase is an error at the start and not at the first renewal.
    let (key, _, _) = (license_key(&vendor, &keyring, waiting)?, keyring.timestamp()?, keyring.snapshot()?);
    let licensing = Licensing {
        vendor: vendor.settings().vendor.clone(),
        key,
        authority: Authority::open(&vendor.license_database())?,
        grant_days: vendor.settings().lifetime_days.grant,
        time_zone: vendor.time_zone(),
    };
    let router = router(&vendor.repository(), licensing);
    let runtime = tokio::runtime::Runtime::new().context("cannot start the server's threads")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for signals")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for signals")?;
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!("cannot listen on {address}; is the port taken? choose another with --listen")
        })?;
        let address = listener.local_addr().context("cannot learn the address that is listened on")?;
        let renewal = tokio::spawn(keep_fresh(vendor, keyring));
        print_line(format_args!("listening on http://{address}"))?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        sealpost_serving::serve(Listener::tcp(listener), router, connection_limits(), stop).await;
        renewal.abort();
        anyhow::Ok(())
    })?;
    // A renewal that is being written may be killed safely; waiting only saves the next start from doing it again.
    runtime.shutdown_timeout(Duration::from_secs(5));
    Ok(Ending::Done)
}

impl Options {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        let default = if self.public { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let address = self.listen.unwrap_or_else(|| SocketAddr::from((default, PORT)));
        if !self.public && !address.ip().is_loopback() {
            bail!("cannot listen on {address} without --public: other computers could reach it");
        }
        Ok(address)
    }
}

/// Renews what is due, now and every hour. A failure is logged and tried again; sites notice only after days.
async fn keep_fresh(vendor: Vendor, keyring: Arc<Keyring>) {
    let mut ticks = tokio::time::interval(RENEWAL_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (vendor, keyring) = (vendor.clone(), Arc::clone(&keyring));
        let renewal = tokio::task::spawn_blocking(move || {
            renew(&vendor, &keyring, Urgency::WhenDue, Timestamp::now(), || {})
        });
        match renewal.await {
            Ok(Ok(renewed)) => {
                for warning in &renewed.warnings {
                    tracing::warn!("{warning}");
                }
                for (role, expires) in &renewed.roles {
                    tracing::info!(%role, %expires, "signed again");
                }
            }
            Ok(Err(error)) => tracing::error!(error = %with_causes(&error), "cannot renew the repository"),
            Err(error) => tracing::error!(%error, "the renewal stopped"),
        }
    }
}

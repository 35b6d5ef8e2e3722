//! `publisher serve`

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use clap::Args;
use sealpost_files::with_causes;
use sealpost_service::output::print_line;
use sealpost_service::port_holder::reason;
use sealpost_service::signals::{Signal, Signals};
use sealpost_service::supervision::Supervision;
use sealpost_service::{notify, sockets};
use sealpost_serving::Listener;
use tokio::net::TcpListener;

use super::output::{Ending, tell, waiting};
use super::passphrase::PassphraseOptions;
use crate::home::Vendor;
use crate::server::{
    Carrier, CertificateFiles, Keeping, Licenses, Running, Served, connection_limits, router,
};

const PORT: u16 = 8080;

/// Serve the repository and the license endpoint, and keep timestamp and snapshot fresh.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme serve
  publisher --home acme serve --listen 127.0.0.1:0
  publisher --home acme serve --public --certificate tls/server.crt --key tls/server.key
  publisher --home acme serve --public --passphrase-file /run/credentials/publisher

With a certificate it speaks TLS, else plain HTTP; everything in the repository is signed. Serial
numbers are secret, so registrations are answered only over TLS, on this computer, or behind a web
server on this computer that sends X-Forwarded-Proto: https. Its X-Forwarded-For tells customers
apart when wrong registrations are slowed down. The options overrule the section [serve] of
vendor.toml; a certificate that is named there is in `publisher status`, with its end.
Releases made by other processes are served at once, and a changed certificate within seconds.
SIGHUP reads vendor.toml, keys and certificate again. A listener of a systemd socket unit is used
if there is one.")]
pub(super) struct Options {
    /// Where to listen [default: 127.0.0.1:8080, with --public 0.0.0.0:8080]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Listen on an address that other computers can reach.
    #[arg(long)]
    public: bool,
    /// The chain of a TLS certificate for this server, as PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The private key of the certificate, as PEM.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    #[command(flatten)]
    passphrase: PassphraseOptions,
}

pub(super) fn run(home: &Path, options: Options) -> anyhow::Result<Ending> {
    let vendor = Vendor::open(home)?;
    let inherited = inherited()?;
    let address = if inherited.is_some() { None } else { Some(options.address(&vendor)?) };
    let served = options.certificate_files(&vendor).map(Served::load).transpose()?;
    let carrier = if served.is_some() { Carrier::Tls } else { Carrier::PlainHttp };
    // Opened now, so that a wrong passphrase is an error at the start and not at the first renewal.
    let (running, licensing) = Running::open(vendor, options.passphrase.source(), waiting)?;
    let licenses = Licenses::new(licensing, carrier);
    let router = router(&running.vendor().repository(), &licenses);
    let runtime = tokio::runtime::Runtime::new().context("cannot start the server's threads")?;
    let ended = runtime.block_on(async {
        let mut signals = Signals::listen().context("cannot listen for signals")?;
        let listener = match (inherited, address) {
            (Some(listener), _) => TcpListener::from_std(listener).context("cannot use the inherited listener")?,
            (None, Some(address)) => bind(address).await?,
            (None, None) => bail!("cannot listen: there is no address"),
        };
        let address = listener.local_addr().context("cannot learn the address that is listened on")?;
        let (listener, scheme) = match &served {
            Some(served) => (Listener::tls(listener, served.identity())?, "https"),
            None => (Listener::tcp(listener), "http"),
        };
        if carrier == Carrier::PlainHttp && !address.ip().is_loopback() {
            tell(
                "note: this is plain HTTP, so registrations of other computers are refused; give --certificate and \
                 --key, or put a web server with TLS in front",
            );
        }
        if options.certificate.is_some() {
            tell(
                "note: `publisher status` does not warn of the end of a certificate that is given by option; name it in \
                 the section [serve] of vendor.toml",
            );
        }
        let supervision = Supervision::new();
        let mut keeping = running.keep(licenses, served, &supervision);
        if let Err(error) = print_line(format_args!("listening on {scheme}://{address}")) {
            tracing::warn!(error = with_causes(&error), "nobody reads the ready line");
        }
        notify::ready();
        let watched = supervision.clone();
        let watchdog = tokio::spawn(notify::keep_watchdog(move || std::future::ready(watched.is_alive())));
        let files_of = |vendor: &Vendor| options.certificate_files(vendor);
        let stopped = until_stopped(&mut signals, &mut keeping, files_of);
        let ended = answer(listener, router, &supervision, stopped).await;
        watchdog.abort();
        keeping.stop();
        ended
    });
    // A renewal that is being written may be killed safely; waiting only saves the next start from doing it again.
    runtime.shutdown_timeout(Duration::from_secs(5));
    ended?;
    Ok(Ending::Done)
}

/// Answers until it is stopped. Where something fails without which the server is of no use, that is an error, so that the
/// process ends with another status than 0 and whoever started it does so again.
async fn answer(
    listener: Listener,
    router: Router,
    supervision: &Supervision,
    stopped: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut failed = None;
    let stop = async {
        tokio::select! {
            () = stopped => {}
            what = supervision.failed() => failed = Some(what),
        }
        notify::stopping();
    };
    sealpost_serving::serve(listener, router, connection_limits(), stop).await;
    match failed {
        Some(failed) => bail!("{failed}; report what the log says of it, and start the server again"),
        None => Ok(()),
    }
}

/// Reloads whenever it is told to, until it is told to stop. A reload may wait for another publisher's lock for as long
/// as that one works, so a stop is heard meanwhile, and another reload is not lost.
async fn until_stopped(
    signals: &mut Signals,
    keeping: &mut Keeping,
    files_of: impl Fn(&Vendor) -> Option<CertificateFiles>,
) {
    let mut due = false;
    loop {
        if !due && signals.next().await == Signal::Stop {
            return;
        }
        due = false;
        notify::reloading();
        let mut reload = std::pin::pin!(keeping.reload(&files_of));
        loop {
            tokio::select! {
                () = &mut reload => break,
                signal = signals.next() => match signal {
                    Signal::Stop => return,
                    Signal::Reload => due = true,
                },
            }
        }
        notify::ready();
    }
}

/// The listener of a socket unit, if there is one.
fn inherited() -> anyhow::Result<Option<std::net::TcpListener>> {
    let mut listeners = sockets::inherited().context("cannot use the listener of the socket unit")?;
    if listeners.len() > 1 {
        bail!("cannot listen on {} sockets of a socket unit; give it one ListenStream=", listeners.len());
    }
    Ok(listeners.pop())
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let reason = reason(&error, Some(address)).map_or_else(String::new, |reason| format!("{reason}; "));
        anyhow::Error::new(error)
            .context(format!("cannot listen on {address}; {reason}choose another with --listen"))
    })
}

impl Options {
    fn address(&self, vendor: &Vendor) -> anyhow::Result<SocketAddr> {
        let default = if self.public { Ipv4Addr::UNSPECIFIED } else { Ipv4Addr::LOCALHOST };
        let set = self.listen.or(vendor.settings().serve.listen);
        let address = set.unwrap_or_else(|| SocketAddr::from((default, PORT)));
        // Whoever set it in the settings has said that it is meant.
        let is_meant = self.public || (self.listen.is_none() && vendor.settings().serve.listen.is_some());
        if !is_meant && !address.ip().is_loopback() {
            bail!("cannot listen on {address} without --public: other computers could reach it");
        }
        Ok(address)
    }

    fn certificate_files(&self, vendor: &Vendor) -> Option<CertificateFiles> {
        let given = self.certificate.clone().zip(self.key.clone());
        let (certificate, key) = given.or_else(|| vendor.certificate().zip(vendor.certificate_key()))?;
        Some(CertificateFiles { certificate, key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn listener() -> Listener {
        Listener::tcp(bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap())
    }

    #[tokio::test]
    async fn a_panic_of_work_that_the_server_needs_ends_it_with_an_error_and_a_stop_without_one() {
        let supervision = Supervision::new();
        answer(listener().await, Router::new(), &supervision, async {}).await.unwrap();

        tokio::spawn(supervision.needed("the care for the certificate", async { panic!("a fault") }));
        let never = std::future::pending();
        let ended = answer(listener().await, Router::new(), &supervision, never).await.unwrap_err();
        assert!(ended.to_string().starts_with("the care for the certificate ended by a panic"), "{ended}");
    }
}

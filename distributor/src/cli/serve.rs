//! `distributor serve`.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sealpost_files::with_causes;
use sealpost_service::notify;
use sealpost_service::output::print_line;
use sealpost_service::signals::{Signal, Signals};
use sealpost_service::sockets;

use super::outcome::Outcome;
use crate::app::{Server, StartOptions};

/// How long the end waits for what still reads or writes files: a file system that hangs, such as a network's, does not
/// hold it up.
const FILES_END_WITHIN: Duration = Duration::from_secs(5);
/// How long requests under way may take to end once the server has failed.
const FAILED_END_WITHIN: Duration = Duration::from_secs(10);

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
    run_to_end(serve(home.to_owned(), options.listen), FILES_END_WITHIN)??;
    Ok(Outcome::Done)
}

/// Runs `work`, and then waits no longer than `within` for what it left reading or writing files. The ledger is closed by
/// then, and everything else may be killed at any time.
fn run_to_end<T>(work: impl Future<Output = T>, within: Duration) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(within);
    Ok(done)
}

/// Runs a server until SIGTERM or Ctrl-C; prints one line when it answers, and not before.
async fn serve(home: PathBuf, listen: Option<SocketAddr>) -> anyhow::Result<()> {
    // Before the ready line, so that a signal right after it is heard.
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let inherited = sockets::inherited().context("cannot take over the socket that systemd holds")?;
    let inherited = inherited.into_iter().next().map(Arc::new);
    let options = StartOptions { listen, inherited, ..StartOptions::default() };
    // A task of its own, because it reads files: a stop is heard meanwhile.
    let mut start = tokio::spawn(async move { Server::start(&home, options).await });
    let mut is_to_reload = false;
    let server = loop {
        tokio::select! {
            started = &mut start => break started.context("the start ended by a panic")??,
            signal = signals.next() => match signal {
                Signal::Stop => {
                    tracing::info!("stopping before the start was done");
                    return Ok(());
                }
                Signal::Reload => is_to_reload = true,
            },
        }
    };
    if is_to_reload {
        server.reload().await;
    }
    if let Err(error) = print_line(format_args!("listening on https://{}", server.address())) {
        tracing::warn!(error = with_causes(&error), "nobody reads the ready line");
    }
    notify::status(&format!("listening on https://{}", server.address()));
    notify::ready();
    keep(server, &mut signals).await
}

/// Keeps a server until it is told to stop.
///
/// # Errors
/// When something has failed without which it can do nothing, or it did not stop well; then the process must not end as if
/// it had been told to.
async fn keep(server: Server, signals: &mut Signals) -> anyhow::Result<()> {
    let failed = tokio::select! {
        () = notify::keep_watchdog(|| server.is_alive()) => None,
        () = until_stopped(&server, signals) => None,
        failed = server.failed() => Some(failed),
    };
    notify::stopping();
    tracing::info!("stopping");
    let Some(failed) = failed else { return Ok(server.stop().await?) };
    // What is broken need not end by itself; the ledger and all files may be left at any time.
    match tokio::time::timeout(FAILED_END_WITHIN, server.stop()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(error = with_causes(&error), "the server did not stop well"),
        Err(_) => tracing::error!("the server did not stop in time"),
    }
    anyhow::bail!("{failed}; look at the log, report the panic there, and start the server again")
}

async fn until_stopped(server: &Server, signals: &mut Signals) {
    while signals.next().await == Signal::Reload {
        notify::reloading();
        server.reload().await;
        notify::ready();
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use sealpost_site::commands::{Command, Context, Decision, NoFacts};
    use sealpost_test_support::clock::ManualClock;
    use sealpost_test_support::names::acme_av;
    use sealpost_test_support::vendor::Vendor;
    use sealpost_test_support::vendor_server::ServedVendor;

    use super::{Duration, keep, run_to_end};
    use super::{Server, Signals, StartOptions};
    use crate::app::{Pulls, init};
    use crate::home::InitOptions;
    use std::sync::Arc;

    #[test]
    fn a_file_system_that_hangs_does_not_hold_up_the_end() {
        let (kept, hangs) = std::sync::mpsc::channel::<()>();
        let reading = async {
            let (begun, begins) = tokio::sync::oneshot::channel();
            tokio::task::spawn_blocking(move || {
                let _ = begun.send(());
                hangs.recv()
            });
            begins.await
        };
        run_to_end(reading, Duration::from_millis(100)).unwrap().unwrap();
        drop(kept);
    }

    /// A command in which a fault of the program panics.
    struct Panics;

    impl Command for Panics {
        type Facts = NoFacts;
        type Answer = ();
        const ATTEMPTED: &'static str = "go on";

        fn facts(&self) -> NoFacts {
            NoFacts
        }

        fn decide(self, (): (), _: &Context<'_>) -> Decision<()> {
            panic!("a fault that a test injects")
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_whose_ledgers_writer_died_ends_with_an_error_by_itself() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let vendor = ServedVendor::start(Vendor::new(acme_av(), ManualClock::running()), 1).await;
        let (folder, root) = (tempfile::tempdir().unwrap(), vendor.root_file());
        let home = folder.path().join("home");
        let options = InitOptions {
            vendor_url: &vendor.url(),
            vendor_ca: None,
            root: &root,
            listen: "127.0.0.1:0".parse().unwrap(),
            addresses: vec!["127.0.0.1".to_owned()],
            passphrase: None,
            now: Timestamp::now(),
        };
        init(&home, options).unwrap();
        let options = StartOptions { pulls: Pulls::OnDemand, ..StartOptions::default() };
        let server = Server::start(&home, options).await.unwrap();
        let ledger = Arc::clone(server.ledger());
        let mut signals = Signals::listen().unwrap();
        let kept = tokio::spawn(async move { keep(server, &mut signals).await });
        ledger.execute(Timestamp::now(), Panics).await.unwrap_err();
        // Nobody has told it to stop. What is an error here ends the process with 1, as every error of a command does.
        let ended = tokio::time::timeout(Duration::from_secs(60), kept).await.unwrap().unwrap();
        let said = format!("{:#}", ended.unwrap_err());
        assert!(said.starts_with("the ledger's writer has ended; look at the log"), "{said}");
    }
}

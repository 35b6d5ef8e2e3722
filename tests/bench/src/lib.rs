//! The benchmark: makes a site of the wanted size, contacts it as clients do, and reads what that cost the server's
//! process from the system; or says how long contacts take while strangers do to the server what they like.
#![warn(missing_docs)]

mod abuse;
mod clients;
mod cpu;
mod figures;
mod kept_trust;
mod load;
mod nginx;
mod reserve;
mod rings;
mod server;
mod site;

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};

use crate::figures::{Rounds, median, per_request_ms};
use crate::site::Rollouts;

/// Measures the CPU seconds of a durable contact beside nginx answering a static file over TLS.
#[derive(Debug, Parser)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// The folder with the release programs.
    #[arg(long, global = true, value_name = "DIR", default_value = "target/release")]
    programs: PathBuf,
    /// Reservations of the site; may be given several times.
    #[arg(long, value_name = "N", default_values_t = [100, 100_000])]
    reservations: Vec<u32>,
    /// Releases of the site; may be given several times.
    #[arg(long, value_name = "N", default_values_t = [10, 5_000])]
    releases: Vec<u32>,
    /// Alternating rounds; the median counts.
    #[arg(long, value_name = "N", default_value_t = 9)]
    rounds: usize,
    /// Contacts, and requests to nginx, per round.
    #[arg(long, value_name = "N", default_value_t = 2_400)]
    contacts: usize,
    /// Requests at once, each on a connection of its own that stays open.
    #[arg(long, value_name = "N", default_value_t = 16)]
    connections: usize,
    /// Print one JSON object per line.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// How long contacts take, and how many succeed, beside each kind of abuse and without any.
    Abuse(abuse::Options),
    /// What rings, windows and caps cost: a contact beside one without them, and a round of the rollouts.
    Rings(rings::Options),
    /// How long `distributor clients reserve --from FILE` takes for many names, onto many.
    Reserve(reserve::Options),
    /// How long `distributor clients list` takes until it prints the first of many computers, and until all.
    Clients(clients::Options),
}

/// What one size of a site costs.
struct Figure {
    reservations: u32,
    releases: u32,
    contact_ms: f64,
    nginx_ms: f64,
    contacts: usize,
    /// The longest contact without news, there and back, in bytes.
    bytes: (usize, usize),
}

/// Measures every wanted size and prints its figures.
///
/// # Errors
///
/// When a program does not start, a request fails, or the system does not tell the CPU time of a process.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.rounds == 0 || options.contacts == 0 || options.connections == 0 {
        bail!("rounds, contacts and connections are at least 1");
    }
    // Fails only when a provider is installed already, and then that one is ours.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match &options.command {
        Some(Command::Abuse(abuse)) => {
            return runtime.block_on(abuse::run(abuse, &options.programs, options.json));
        }
        Some(Command::Reserve(reserve)) => {
            return runtime.block_on(reserve::run(reserve, &options.programs, options.json));
        }
        Some(Command::Clients(clients)) => {
            return runtime.block_on(clients::run(clients, &options.programs, options.json));
        }
        Some(Command::Rings(rings)) => {
            let Options { rounds, contacts, connections, json, .. } = *options;
            let all = Rounds { rounds, contacts, connections, json };
            return runtime.block_on(rings::run(rings, &options.programs, &all));
        }
        None => {}
    }
    for &reservations in &options.reservations {
        for &releases in &options.releases {
            let figure = runtime
                .block_on(measure(options, reservations, releases))
                .with_context(|| format!("at {reservations} reservations and {releases} releases"))?;
            print(&figure, options.json);
        }
    }
    Ok(())
}

async fn measure(options: &Options, reservations: u32, releases: u32) -> anyhow::Result<Figure> {
    let home = tempfile::tempdir()?;
    let site =
        site::make(&options.programs, home.path(), reservations, releases, Rollouts::EveryoneNow).await?;
    let server = server::Server::start(&options.programs, home.path())?;
    let nginx = nginx::Nginx::start(home.path())?;
    let mut clients = load::Clients::new(&server, site, options.connections)?;
    // The first contacts bring leases and assignments; only what comes after is a contact without news.
    clients.warm_up().await?;
    let _ = clients.longest();
    let (mut contact_rounds, mut nginx_rounds) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let before = cpu::seconds(nginx.worker())?;
        nginx.fetch(options.contacts, options.connections).await?;
        nginx_rounds.push(per_request_ms(cpu::seconds(nginx.worker())? - before, options.contacts));
        let before = cpu::seconds(server.process())?;
        clients.contact(options.contacts).await?;
        contact_rounds.push(per_request_ms(cpu::seconds(server.process())? - before, options.contacts));
    }
    let contacts = options.rounds * options.contacts;
    let (contact_ms, nginx_ms) = (median(&mut contact_rounds), median(&mut nginx_rounds));
    Ok(Figure { reservations, releases, contact_ms, nginx_ms, contacts, bytes: clients.longest() })
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
fn print(figure: &Figure, json: bool) {
    let Figure { reservations, releases, contact_ms, nginx_ms, contacts, bytes: (request, answer) } = figure;
    if json {
        let line = serde_json::json!({
            "reservations": reservations,
            "releases": releases,
            "contacts": contacts,
            "contact_cpu_ms": contact_ms,
            "nginx_cpu_ms": nginx_ms,
            "request_bytes": request,
            "answer_bytes": answer,
        });
        println!("{line}");
    } else {
        println!(
            "{reservations:>7} reservations, {releases:>5} releases: {contact_ms:.3} ms CPU per durable contact, \
             nginx {nginx_ms:.3} ms per request (medians, {contacts} contacts); at most {request} bytes there and {answer} \
             back"
        );
    }
}

//! What rings, windows and caps cost the server: each contact beside the same on a site without them, in alternating rounds;
//! and a round of the rollouts of a large site, with and without a look at all computers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::id;

use anyhow::bail;
use clap::Args;
use sealpost_ledger::sqlite::SqliteStore;
use sealpost_ledger::{Ledger, LedgerSettings};

use crate::cpu;
use crate::figures::{Rounds, median, per_request_ms};
use crate::load::Clients;
use crate::server::Server;
use crate::site::{self, Rollouts, advance, look};

/// Releases of the sites: of each package one before the newest.
const RELEASES: u32 = 20;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Computers of the site whose rollouts go on.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    computers: u32,
    /// Computers of the two sites that are contacted.
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    contacting: u32,
}

/// A site with its server, and what its rounds cost, in ms of CPU per contact.
struct Contacted {
    _home: tempfile::TempDir,
    server: Server,
    clients: Clients,
    rounds: Vec<f64>,
}

impl Contacted {
    async fn new(
        programs: &Path,
        computers: u32,
        connections: usize,
        rollouts: Rollouts,
    ) -> anyhow::Result<Self> {
        let home = tempfile::tempdir()?;
        let site = site::make(programs, home.path(), computers, RELEASES, rollouts).await?;
        let server = Server::start(programs, home.path())?;
        let mut clients = Clients::new(&server, site, connections)?;
        clients.warm_up().await?;
        // What brings documents is no contact without news.
        let _ = clients.longest();
        Ok(Self { _home: home, server, clients, rounds: Vec::new() })
    }

    async fn round(&mut self, contacts: usize) -> anyhow::Result<()> {
        let before = cpu::seconds(self.server.process())?;
        self.clients.contact(contacts).await?;
        self.rounds.push(per_request_ms(cpu::seconds(self.server.process())? - before, contacts));
        Ok(())
    }
}

pub(crate) async fn run(options: &Options, programs: &Path, all: &Rounds) -> anyhow::Result<()> {
    contacts(options, programs, all).await?;
    rounds(options, programs, all).await
}

async fn contacts(options: &Options, programs: &Path, all: &Rounds) -> anyhow::Result<()> {
    let of = |rollouts| Contacted::new(programs, options.contacting, all.connections, rollouts);
    let (mut without, mut with) = (of(Rollouts::EveryoneNow).await?, of(Rollouts::Rings).await?);
    for _ in 0..all.rounds {
        without.round(all.contacts).await?;
        with.round(all.contacts).await?;
    }
    let mut ratios: Vec<f64> =
        with.rounds.iter().zip(&without.rounds).map(|(with, without)| with / without).collect();
    let (with_kib, without_kib) = (anonymous_kib(&with.server)?, anonymous_kib(&without.server)?);
    let (with_ms, without_ms) = (median(&mut with.rounds), median(&mut without.rounds));
    let ratio = median(&mut ratios);
    let (least, most) =
        (ratios.first().copied().unwrap_or(f64::NAN), ratios.last().copied().unwrap_or(f64::NAN));
    let contacts = all.rounds * all.contacts;
    let (request, answer) = with.clients.longest();
    if all.json {
        print_line(
            &serde_json::json!({
                "contacts": contacts, "with_rings_cpu_ms": with_ms, "without_cpu_ms": without_ms,
                "request_bytes": request, "answer_bytes": answer,
                "ratio": ratio, "ratio_least": least, "ratio_most": most,
                "with_rings_kib": with_kib, "without_kib": without_kib,
            })
            .to_string(),
        );
    } else {
        print_line(&format!(
            "a contact with rings, windows and caps {with_ms:.3} ms CPU, without {without_ms:.3} ms: {ratio:.3} times \
             ({least:.3} to {most:.3} in {} alternating rounds, {contacts} contacts each); at most {request} bytes there \
             and {answer} back; memory of the servers {} and {} MiB",
            all.rounds,
            with_kib / 1024,
            without_kib / 1024
        ));
    }
    Ok(())
}

/// A round of the rollouts, in this process.
async fn rounds(options: &Options, programs: &Path, all: &Rounds) -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let site = site::make(programs, home.path(), options.computers, RELEASES, Rollouts::Rings).await?;
    let store = SqliteStore::open(&home.path().join("server/ledger.db"))?;
    let ledger = Ledger::start(Box::new(store), LedgerSettings::default())?;
    // Without it no license counts, and no ring has a computer.
    ledger.adopt_trust(site.trust);
    let (mut looks, mut alone) = (Vec::new(), Vec::new());
    let populations = look(&ledger).await?;
    let members: u64 = populations.values().flatten().map(|found| found.members).sum();
    let mut live = advance(&ledger, populations).await?;
    if live == 0 || members < u64::from(options.computers) {
        bail!("{live} rollouts of {members} computers are no rollouts of {} computers", options.computers);
    }
    for _ in 0..all.rounds {
        let before = cpu::seconds(id())?;
        let populations = look(&ledger).await?;
        advance(&ledger, populations).await?;
        looks.push(cpu::seconds(id())? - before);
        let before = cpu::seconds(id())?;
        live = advance(&ledger, BTreeMap::new()).await?;
        alone.push(cpu::seconds(id())? - before);
    }
    ledger.close().await?;
    let (with_look, alone) = (median(&mut looks), median(&mut alone));
    let computers = options.computers;
    if all.json {
        print_line(&serde_json::json!({
            "computers": computers, "rollouts": live, "round_with_look_cpu_s": with_look, "round_cpu_s": alone,
        }).to_string());
    } else {
        print_line(&format!(
            "a round of {live} rollouts for {computers} computers {alone:.4} s CPU, with a look at all of them \
             {with_look:.3} s (medians of {} rounds)",
            all.rounds
        ));
    }
    Ok(())
}

/// Memory of a server that is in no file, in KiB.
fn anonymous_kib(server: &Server) -> anyhow::Result<u64> {
    let path = format!("/proc/{}/status", server.process());
    let text = std::fs::read_to_string(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    Ok(line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0))
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
fn print_line(line: &str) {
    println!("{line}");
}

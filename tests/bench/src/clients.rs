//! What the list of computers takes on a large site: until the first computers are printed, and until all are.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::iter;
use jiff::Timestamp;
use sealpost_keys::token::random_bytes;
use sealpost_ledger::sqlite::SqliteStore;
use sealpost_ledger::{Ledger, LedgerSettings};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{Nonce, PackageName};
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::contact::{Contact, InstalledPackage};
use sealpost_site::commands::contact::AnswerContact;
use sealpost_site::queries::{ClientLines, MAX_PAGE};
use sealpost_site::rules::restore::NamedHead;

use crate::cpu;
use crate::server::Server;
use crate::site::{self, Rollouts, Site};

/// Releases of the site.
const RELEASES: u32 = 20;
/// Packages that each computer runs.
const INSTALLED: u32 = 3;
/// Contacts that wait for the ledger at once, so that they share transactions.
const AT_ONCE: usize = 256;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Computers of the site; each is enrolled, made a contact, and runs three packages.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    computers: u32,
}

/// What is listed: what the figure is called, and the options.
const LISTS: [(&str, &[&str]); 5] = [
    ("csv", &["--csv"]),
    ("json", &["--json"]),
    ("table", &[]),
    ("nobody", &["--csv", "--state", "contact-lost"]),
    ("sorted", &["--csv", "--sort", "-last-contact"]),
];

pub(crate) async fn run(options: &Options, programs: &Path, json: bool) -> anyhow::Result<()> {
    let computers = options.computers;
    let home = tempfile::tempdir()?;
    let site = site::make(programs, home.path(), computers, RELEASES, Rollouts::Rings).await?;
    all_contact(home.path(), &site).await?;
    drop(site);
    let server = Server::start(programs, home.path())?;
    for (what, arguments) in LISTS {
        let listed = list(programs, home.path(), arguments, &server)?;
        let wanted = if what == "nobody" { 0 } else { computers };
        if listed.found != wanted {
            bail!("{what}: {} computers were listed, not {wanted}", listed.found);
        }
        print(computers, what, &listed, json);
    }
    Ok(())
}

/// Each computer makes a contact, in this process: no server runs.
async fn all_contact(folder: &Path, site: &Site) -> anyhow::Result<()> {
    let store = SqliteStore::open(&folder.join("server/ledger.db"))?;
    let ledger = Ledger::start(Box::new(store), LedgerSettings::default())?;
    ledger.adopt_trust(Arc::clone(&site.trust));
    let packages =
        (0..INSTALLED).map(|number| installed(number, site)).collect::<anyhow::Result<Vec<_>>>()?;
    let page = |after| ClientLines { after, limit: MAX_PAGE };
    let rows = ledger.all(page, |row| row.name.clone()).await?;
    let ids = rows.into_iter().filter_map(|row| row.client_id);
    let (ledger, packages) = (&ledger, &packages);
    let contacts = iter(ids).map(|client_id| async move {
        let contact = Contact {
            client_id,
            server_id: site.server_id.clone(),
            previous: None,
            next: Nonce::from_random(random_bytes()?),
            receipt: None,
            sent_at: Timestamp::now(),
            agent_version: "0.1.0".to_owned(),
            platform: site.platform.clone(),
            highest: Default::default(),
            held_head: None,
            forked_head: None,
            grants: Default::default(),
            instance: None,
            hostname: Some("office-computer".to_owned()),
            packages: packages.clone(),
            reports: Vec::new(),
            drift: Vec::new(),
            tags: Vec::new(),
            postponed: Vec::new(),
            new_key: None,
        };
        let command = AnswerContact { contact, shown: None, head: NamedHead::OfThisLog, came_by: None };
        ledger.execute(Timestamp::now(), command).await?;
        anyhow::Ok(())
    });
    let mut contacts = std::pin::pin!(contacts.buffer_unordered(AT_ONCE));
    while let Some(answered) = contacts.next().await {
        answered?;
    }
    Ok(ledger.close().await?)
}

/// One of the site's releases, as a computer says that it runs it.
fn installed(number: u32, site: &Site) -> anyhow::Result<InstalledPackage> {
    let package = PackageName::new(format!("package-{number}"))?;
    let release = ReleaseId { package, version: Version::new("1.0")?, platform: site.platform.clone() };
    let manifest = Sha256Digest::of(release.to_string().as_bytes());
    Ok(InstalledPackage { release, manifest, counter: ReleaseCounter(1), kind: PackageKind::Program })
}

/// One run of the command.
struct Listed {
    found: u32,
    first_s: f64,
    whole_s: f64,
    server_cpu_s: f64,
}

fn list(programs: &Path, folder: &Path, arguments: &[&str], server: &Server) -> anyhow::Result<Listed> {
    let (before, began) = (cpu::seconds(server.process())?, Instant::now());
    let mut child = Command::new(programs.join("distributor"))
        .env("SEALPOST_DISTRIBUTOR_HOME", folder.join("server"))
        .args(["clients", "list"])
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start `distributor clients list`")?;
    let out = child.stdout.take().context("the command has no output")?;
    let (mut found, mut first_s) = (0, None);
    for line in BufReader::new(out).lines() {
        if line?.contains("pc-") {
            found += 1;
            first_s.get_or_insert_with(|| began.elapsed().as_secs_f64());
        }
    }
    let ended = child.wait()?;
    let whole_s = began.elapsed().as_secs_f64();
    if !ended.success() {
        bail!("the command failed: {ended}");
    }
    let server_cpu_s = cpu::seconds(server.process())? - before;
    Ok(Listed { found, first_s: first_s.unwrap_or(whole_s), whole_s, server_cpu_s })
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
fn print(computers: u32, what: &str, listed: &Listed, json: bool) {
    let Listed { found, first_s, whole_s, server_cpu_s } = listed;
    if json {
        let line = serde_json::json!({
            "computers": computers, "list": what, "found": found, "first_s": first_s, "whole_s": whole_s,
            "server_cpu_s": server_cpu_s,
        });
        println!("{line}");
    } else {
        println!(
            "{what:>7} of {computers} computers: the first after {first_s:.3} s, {found} in {whole_s:.2} s, \
             {server_cpu_s:.2} s CPU of the server"
        );
    }
}

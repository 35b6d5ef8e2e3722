//! The Primary Server is killed, and its log is tampered with.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Output, Site, Tool, run, wait_until};

use crate::licensing::client_names;

#[test]
fn a_server_that_is_killed_under_load_has_kept_every_answered_reservation() -> Result<()> {
    let lab = Lab::new()?;
    let (vendor, mut site) = lab.vendor_and_site(5_000)?;
    let mut computers = Vec::new();
    for name in ["agent-1", "agent-2"] {
        computers.push(Computer::enrolled(&lab, &site, name, &vendor.root())?);
    }
    vendor.release_files("scanner", "1.0", &[("VERSION", "1.0")])?;
    let answered = Mutex::new(Vec::new());
    for round in 0..3 {
        let stop = AtomicBool::new(false);
        let before = count(&answered);
        thread::scope(|scope| -> Result<()> {
            for worker in 0..4 {
                let (site, answered, stop) = (Loader::new(&site), &answered, &stop);
                scope.spawn(move || {
                    for turn in 0.. {
                        if stop.load(Ordering::SeqCst) {
                            break;
                        }
                        let name = format!("pc-{round}-{worker}-{turn}");
                        if site.reserve(&name).is_ok_and(|output| output.status.success()) {
                            push(answered, name);
                        }
                    }
                });
            }
            for computer in &computers {
                let stop = &stop;
                scope.spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        let _ = computer.check();
                    }
                });
            }
            let enough =
                wait_until("reservations are being answered", || Ok(count(&answered) >= before + 25));
            let killed = site.kill_9();
            stop.store(true, Ordering::SeqCst);
            enough.and(killed)
        })?;
        site.serve()?;
        site.verify_log()?;
        let kept = client_names(&site)?;
        for name in answered.lock().map_err(|_| anyhow::anyhow!("a worker failed"))?.iter() {
            ensure!(kept.contains(name), "{name} was answered and is gone");
        }
        if round == 1 {
            site.pull_and_approve("scanner:1.0")?;
        }
    }
    for computer in &computers {
        computer.check()?.ok()?;
        ensure!(computer.installed("scanner", "VERSION").as_deref() == Some("1.0"), "the line still works");
    }
    ensure!(site.activity_of("fork_detected")?.is_empty(), "a crash of the server makes no fork");
    site.verify_log()
}

fn count(names: &Mutex<Vec<String>>) -> usize {
    names.lock().map_or(0, |names| names.len())
}

fn push(names: &Mutex<Vec<String>>, name: String) {
    if let Ok(mut names) = names.lock() {
        names.push(name);
    }
}

/// Reserves without borrowing the site, which is killed meanwhile.
struct Loader {
    program: std::path::PathBuf,
    home: std::path::PathBuf,
}

impl Loader {
    fn new(site: &Site) -> Self {
        Self { program: site.program(), home: site.home().to_owned() }
    }

    fn reserve(&self, name: &str) -> Result<Output> {
        let mut command = Command::new(&self.program);
        command.arg("--home").arg(&self.home).args(["clients", "reserve", name]);
        run(command)
    }
}

/// Statements on the ledger's own tables, one for each kind of damage.
const DAMAGE: &[(&str, &str)] = &[
    (
        "an entry is edited",
        "UPDATE {t} SET {b} = CAST(REPLACE(CAST({b} AS TEXT), 'pc-two', 'pc-2wo') AS BLOB) WHERE CAST({b} AS TEXT) LIKE '%pc-two%'",
    ),
    ("an entry is removed", "DELETE FROM {t} WHERE {s} = 3"),
    (
        "two entries change places",
        "UPDATE {t} SET {s} = -3 WHERE {s} = 3; UPDATE {t} SET {s} = 3 WHERE {s} = 4; UPDATE {t} SET {s} = 4 WHERE {s} = -3",
    ),
];

#[test]
fn an_edited_a_removed_and_a_reordered_log_entry_are_found_with_and_without_the_server() -> Result<()> {
    if !Tool::Python.is_here("editing the ledger")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (_vendor, mut site) = lab.vendor_and_site(5)?;
    for name in ["pc-one", "pc-two", "pc-three"] {
        site.distributor(&["clients", "reserve", name])?.ok()?;
    }
    site.verify_log()?;
    site.stop()?;
    site.verify_log().context("the log can be checked while the server is down")?;
    let sound = lab.path("sound");
    sealpost_tests::harness::copy_tree(site.home(), &sound)?;
    for (what, statement) in DAMAGE {
        edit_ledger(&site, statement).with_context(|| (*what).to_owned())?;
        let found = site.distributor(&["log", "verify"])?;
        ensure!(found.status.code() == Some(1), "{what} was not found by the file alone: {}", found.text());
        ensure!(
            found.text().chars().any(|character| character.is_ascii_digit()),
            "which entry? {}",
            found.text()
        );
        // A server that starts all the same must find it too; one that refuses to start has found it.
        if site.serve().is_ok() {
            site.distributor(&["log", "verify"])?.refused().with_context(|| format!("{what}, server up"))?;
            site.stop()?;
        }
        sealpost_tests::harness::replace_tree(&sound, site.home())?;
        site.verify_log()?;
    }
    Ok(())
}

/// Edits the table of entries, whatever its columns are called: the one that has a column `leaf`.
fn edit_ledger(site: &Site, statement: &str) -> Result<()> {
    const EDIT: &str = r"
import sqlite3, sys
database, statement = sys.argv[1:]
connection = sqlite3.connect(database)
tables = [row[0] for row in connection.execute('select name from sqlite_master where type = ?', ('table',))]
for table in tables:
    columns = [row[1] for row in connection.execute(f'pragma table_info({table})')]
    sequence = next((c for c in columns if c in ('sequence', 'seq')), None)
    body = next((c for c in columns if c in ('entry', 'bytes', 'body', 'document')), None)
    if sequence and body and 'leaf' in columns:
        break
else:
    sys.exit(f'no table of entries among {tables}')
for trigger, in connection.execute('select name from sqlite_master where type = ?', ('trigger',)).fetchall():
    connection.execute(f'drop trigger {trigger}')
before = connection.total_changes
for one in statement.replace('{t}', table).replace('{s}', sequence).replace('{b}', body).split(';'):
    connection.execute(one)
connection.commit()
if connection.total_changes == before:
    sys.exit('nothing was changed')
";
    let mut command = Command::new("python3");
    command.args(["-c", EDIT]).arg(site.home().join("ledger.db")).arg(statement);
    run(command)?.ok().map(drop)
}

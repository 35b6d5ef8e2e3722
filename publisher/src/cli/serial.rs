//! `publisher serial new|list|show|seats|end|unlock`

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use sealpost_files::{PRIVATE, read_input, write_new};
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::{PackageName, SerialNumber};
use sealpost_manifests::text_code::{MAX_CODE_BYTES, SHORTEST_CODE};

use super::output::{Ending, confirm, counted, dated, print_json, print_line, seconds, tell, waiting};
use super::passphrase::PassphraseOptions;
use super::serial_end;
use crate::active_keys::license_key;
use crate::authority::{
    Authority, Issuer, Outcome, Remark, SerialEntry, SerialHistory, Terms, read_registration_code,
    unlock_code, verify_registration,
};
use crate::home::{HomeError, Keyring, Vendor};
use crate::publication::PublicationView;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a serial number for a number of seats.
    #[command(after_help = "\
Examples:
  publisher --home acme serial new --seats 10
  publisher --home acme serial new --seats 50 --package acme-av --package acme-av-signatures")]
    New {
        /// Computers that may be licensed.
        #[arg(long, value_name = "N")]
        seats: u32,
        /// A package that is covered; may be repeated [default: every package]
        #[arg(long, value_name = "P")]
        package: Vec<PackageName>,
        /// How seats are counted.
        #[arg(long, value_enum, default_value = "named")]
        model: ModelArgument,
        /// Sell it for a package that was never released.
        #[arg(long)]
        unreleased: bool,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change the seats of a serial number; its next registration gets a grant for them.
    #[command(after_help = "\
Examples:
  publisher --home acme serial seats ABCDE-FGHJK-MNPQR-STVWX 25
  publisher --home acme serial seats ABCDE-FGHJK-MNPQR-STVWX 25 --json

Fewer seats than are in use take nothing from anybody: the site gives no new license until the number
fits again. That is asked back on a terminal, and needs --fewer elsewhere.")]
    Seats {
        /// The serial number.
        serial: SerialNumber,
        /// Computers that may be licensed.
        #[arg(value_name = "N")]
        seats: u32,
        /// It is meant to be fewer than are in use.
        #[arg(long)]
        fewer: bool,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    End(serial_end::Options),
    /// List the serial numbers: who registered them, and until when.
    #[command(after_help = "\
Examples:
  publisher --home acme serial list
  publisher --home acme serial list --json")]
    List {
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one serial number: its grants, and what its server said with each registration.
    #[command(after_help = "\
Examples:
  publisher --home acme serial show ABCDE-FGHJK-MNPQR-STVWX
  publisher --home acme serial show ABCDE-FGHJK-MNPQR-STVWX --json

Look at two things. More seats in use than were granted: the server lost licenses that it had
given, or its ledger was changed. A log that became shorter, or has other entries, although the
server did not say that it was restored: somebody may have put back an older ledger to give
seats again.")]
    Show {
        /// The serial number.
        serial: SerialNumber,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Answer a registration code that came by hand with an unlock code.
    #[command(after_help = "\
Examples:
  publisher --home acme serial unlock registration.txt
  publisher --home acme serial unlock - --out grant.json < registration.txt")]
    Unlock {
        /// The registration code, a file that holds it, or `-` for standard input.
        #[arg(value_name = "CODE|FILE|-")]
        code: String,
        /// Write the grant to this file (JSON) instead of printing an unlock code.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        passphrase: PassphraseOptions,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ModelArgument {
    /// One seat per computer name, for good.
    Named,
}

pub(super) fn run(home: &Path, command: Command) -> anyhow::Result<Ending> {
    let vendor = Vendor::open(home)?;
    match command {
        Command::New { seats, package, model: ModelArgument::Named, unreleased, json } => {
            if !unreleased {
                check_packages(&vendor, &package)?;
            }
            let terms = Terms { seats, model: LicenseModel::Named, packages: package };
            let mut authority = Authority::open(&vendor.license_database())?;
            let serial = authority.new_serial(&terms, Timestamp::now())?;
            let printed =
                if json { print_json(&authority.history(&serial)?.entry) } else { print_line(&serial) };
            if printed.is_err() {
                tell("the serial number was made and could not be printed: `publisher serial list` shows it");
            }
            printed?;
        }
        Command::Seats { serial, seats, fewer, json } => set_seats(&vendor, &serial, seats, fewer, json)?,
        Command::End(options) => serial_end::run(&vendor, options)?,
        Command::List { json } => list(&vendor, json)?,
        Command::Show { serial, json } => show(&vendor, &serial, json)?,
        Command::Unlock { code, out, passphrase } => {
            unlock(&vendor, &code, out.as_deref(), &Keyring::new(&vendor, passphrase.source()))?;
        }
    }
    Ok(Ending::Done)
}

/// A license for a package that nobody releases is a typing error most of the time.
fn check_packages(vendor: &Vendor, packages: &[PackageName]) -> anyhow::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let publication = PublicationView::read(vendor)?;
    let unknown = packages.iter().filter(|package| !publication.knows(package)).map(PackageName::as_str);
    let unknown: Vec<&str> = unknown.collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = publication.editor().packages().map(PackageName::as_str).collect();
    if known.is_empty() {
        tell("note: nothing was released yet, so the package names could not be checked");
        return Ok(());
    }
    let (unknown, known) = (unknown.join(" and no package "), known.join(", "));
    confirm(&format!("there is no package {unknown}; released were {known}"), "--unreleased")
}

fn set_seats(
    vendor: &Vendor,
    serial: &SerialNumber,
    seats: u32,
    fewer: bool,
    json: bool,
) -> anyhow::Result<()> {
    let mut authority = Authority::open(&vendor.license_database())?;
    let before = authority.history(serial)?.entry;
    if let Some(used) = before.used.filter(|used| *used > seats) {
        let what = format!(
            "{} in use at the last registration; nobody loses one, and the site gives no new license",
            if used == 1 { "1 seat was".to_owned() } else { format!("{used} seats were") }
        );
        if fewer { tell(format_args!("note: {what}")) } else { confirm(&what, "--fewer")? }
    }
    authority.set_seats(serial, seats)?;
    if json {
        return print_json(&authority.history(serial)?.entry);
    }
    let next = if before.generation == 0 {
        "its first registration"
    } else {
        "its next registration (`distributor register` there)"
    };
    print_line(format_args!("{serial}: {seats} seats instead of {}, from {next} on", before.terms.seats))
}

fn list(vendor: &Vendor, json: bool) -> anyhow::Result<()> {
    let serials = Authority::open(&vendor.license_database())?.serials()?;
    if json {
        return print_json(&serials);
    }
    print_line(format_args!(
        "{:<23}  {:>8}  {:>8}  {:<20}  {:<8}  {:<32}  {}",
        "SERIAL", "SEATS", "USED", "AS OF", "MODEL", "SERVER", "VALID UNTIL"
    ))?;
    let now = Timestamp::now();
    for entry in serials {
        let server = server_of(&entry);
        let until = match (entry.ends_at, entry.not_after) {
            (Some(end), Some(until)) if until < end => dated(until, now),
            (Some(end), _) if end < now => format!("ended {}", dated(end, now)),
            (Some(end), _) => format!("ends {}", dated(end, now)),
            (None, Some(until)) => dated(until, now),
            (None, None) => "-".to_owned(),
        };
        let used = entry.used.map_or_else(|| "-".to_owned(), |used| used.to_string());
        let as_of = entry.used_at.map_or_else(|| "-".to_owned(), seconds);
        let terms = &entry.terms;
        print_line(format_args!(
            "{:<23}  {:>8}  {used:>8}  {as_of:<20}  {:<8}  {server:<32}  {until}",
            entry.serial, terms.seats, terms.model
        ))?;
    }
    Ok(())
}

fn many(number: u32, noun: &str) -> String {
    counted(usize::try_from(number).unwrap_or(usize::MAX), noun)
}

fn show(vendor: &Vendor, serial: &SerialNumber, json: bool) -> anyhow::Result<()> {
    let history = Authority::open(&vendor.license_database())?.history(serial)?;
    if json {
        return print_json(&history);
    }
    let now = Timestamp::now();
    let SerialHistory { entry, grants, registrations, clearings } = history;
    let terms = &entry.terms;
    let packages = terms.packages.iter().map(PackageName::as_str).collect::<Vec<_>>().join(", ");
    let packages = if packages.is_empty() { "every package".to_owned() } else { packages };
    print_line(format_args!(
        "{serial}: {} for {packages}; server {}; sold {}",
        many(terms.seats, &format!("{} seat", terms.model)),
        server_of(&entry),
        dated(entry.created_at, now)
    ))?;
    if let Some(end) = entry.ends_at {
        let heard = match grants.last() {
            Some(grant) if grant.ends_at == Some(end) => "its server was told with the newest grant",
            Some(_) => "its server was not told yet: it hears of it when it registers",
            None => "no server can register it after that",
        };
        print_line(format_args!(
            "{} {}; {heard}",
            if end < now { "ended" } else { "ends" },
            dated(end, now)
        ))?;
    }
    for grant in grants {
        print_line(format_args!(
            "grant {}: {}, epoch {}, issued {}, valid until {}",
            grant.generation,
            many(grant.seats, "seat"),
            grant.epoch,
            seconds(grant.issued_at),
            dated(grant.not_after, now)
        ))?;
    }
    for clearing in clearings {
        print_line(format_args!(
            "cleared {}: it was taken from the server {}{}",
            dated(clearing.cleared_at, now),
            clearing.server_id,
            if clearing.stolen { ", which was stolen: its key is refused" } else { "" }
        ))?;
    }
    for registration in registrations {
        let used = registration.used.map_or_else(|| "?".to_owned(), |used| used.to_string());
        let over = if registration.is_over() { " (more than granted)" } else { "" };
        print_line(format_args!(
            "registration {} ({}): answered with grant {}, {used} of {} in use{over}, epoch {}, log of {} entries {}, \
             request {}",
            seconds(registration.answered_at),
            registration.reason,
            registration.generation,
            many(registration.seats, "seat"),
            registration.epoch,
            registration.ledger_head.size,
            registration.ledger_head.root.short(),
            registration.request_id
        ))?;
        if let Some(remark) = registration.remark {
            print_line(format_args!("  suspicious: {}", Remark::Head(remark)))?;
        }
    }
    Ok(())
}

/// The server of a serial number, as people read it.
fn server_of(entry: &SerialEntry) -> String {
    match (&entry.server_id, &entry.cleared_from) {
        (Some(server), _) => server.to_string(),
        (None, Some(_)) => "cleared".to_owned(),
        (None, None) => "not registered".to_owned(),
    }
}

fn unlock(vendor: &Vendor, code: &str, out: Option<&Path>, keyring: &Keyring) -> anyhow::Result<()> {
    let code = read_code(code)?;
    let request = read_registration_code(&code)?;
    let registration = verify_registration(&request)?;
    let key = license_key(vendor, keyring, waiting)?;
    let settings = vendor.settings();
    let issuer = Issuer {
        vendor: &settings.vendor,
        key: &key,
        grant_days: settings.lifetime_days.grant,
        time_zone: &vendor.time_zone(),
    };
    let answer =
        Authority::open(&vendor.license_database())?.register(&registration, &issuer, Timestamp::now())?;
    let grant = answer.grant;
    match out {
        Some(path) => {
            let text = serde_json::to_string_pretty(&grant).context("cannot write the grant as JSON")?;
            write_new(path, format!("{text}\n").as_bytes(), PRIVATE).map_err(HomeError::writing(path))?;
            tell(format_args!("wrote the grant to {}; send it to the site", path.display()));
        }
        None => print_line(unlock_code(&grant, &code).trim_end())?,
    }
    tell(format_args!("the serial number is bound to server {}", registration.server_id));
    if let Some(end) = answer.last {
        tell(format_args!(
            "note: the serial number ends at {}; `publisher serial end {} --lift` takes that back",
            seconds(end),
            registration.serial
        ));
    } else if answer.outcome == Outcome::Repeated {
        tell(format_args!(
            "note: this is the grant that the server has already, valid until {}; a new one is given from {} on, or when \
             the seats change",
            seconds(answer.not_after),
            seconds(answer.renewable_from)
        ));
    }
    for remark in &answer.remarks {
        tell(format_args!("note: {remark}; see `publisher serial show {}`", registration.serial));
    }
    Ok(())
}

/// The code itself, the file of that name, or standard input. One byte more than a code has shows what is too long.
fn read_code(argument: &str) -> anyhow::Result<String> {
    let limit = MAX_CODE_BYTES.saturating_add(1);
    let mut text = String::new();
    if argument == "-" {
        io::stdin().take(limit).read_to_string(&mut text).context("cannot read the code")?;
        return Ok(text);
    }
    let path = Path::new(argument);
    if argument.len() < SHORTEST_CODE || (argument.len() < 4096 && path.is_file()) {
        let bytes = read_input(path, limit).with_context(|| {
            if argument.len() < SHORTEST_CODE {
                format!(
                    "cannot read a code from the file {argument:?}, and it is too short to be a code itself"
                )
            } else {
                format!("cannot read a code from {}", path.display())
            }
        })?;
        return String::from_utf8(bytes)
            .with_context(|| format!("cannot read a code from {}", path.display()));
    }
    Ok(argument.to_owned())
}

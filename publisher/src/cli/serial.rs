//! `publisher serial new|list|unlock`

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use sealpost_files::{PRIVATE, write_new};
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::text_code::{self, MAX_CODE_BYTES, SHORTEST_CODE};

use super::output::{Ending, print_json, print_line, seconds, tell, waiting};
use super::passphrase::PassphraseOptions;
use crate::active_keys::license_key;
use crate::authority::{Authority, Issuer, Terms, read_registration_code, verify_registration};
use crate::home::{HomeError, Keyring, Vendor};

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
    },
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
        Command::New { seats, package, model: ModelArgument::Named } => {
            let terms = Terms { seats, model: LicenseModel::Named, packages: package };
            let mut authority = Authority::open(&vendor.license_database())?;
            print_line(authority.new_serial(&terms, Timestamp::now())?)?;
        }
        Command::List { json } => list(&vendor, json)?,
        Command::Unlock { code, out, passphrase } => {
            unlock(&vendor, &code, out.as_deref(), &Keyring::new(&vendor, passphrase.source()))?;
        }
    }
    Ok(Ending::Done)
}

fn list(vendor: &Vendor, json: bool) -> anyhow::Result<()> {
    let serials = Authority::open(&vendor.license_database())?.serials()?;
    if json {
        return print_json(&serials);
    }
    print_line(format_args!(
        "{:<23}  {:>8}  {:<8}  {:<32}  {}",
        "SERIAL", "SEATS", "MODEL", "SERVER", "VALID UNTIL"
    ))?;
    for entry in serials {
        let server = entry.server_id.map_or_else(|| "not registered".to_owned(), String::from);
        let until = entry.valid_until.map_or_else(|| "-".to_owned(), seconds);
        let terms = &entry.terms;
        print_line(format_args!(
            "{:<23}  {:>8}  {:<8}  {server:<32}  {until}",
            entry.serial, terms.seats, terms.model
        ))?;
    }
    Ok(())
}

fn unlock(vendor: &Vendor, code: &str, out: Option<&Path>, keyring: &Keyring) -> anyhow::Result<()> {
    let request = read_registration_code(&read_code(code)?)?;
    let registration = verify_registration(&request)?;
    let key = license_key(vendor, keyring, waiting)?;
    let settings = vendor.settings();
    let issuer = Issuer { vendor: &settings.vendor, key: &key, grant_days: settings.lifetime_days.grant };
    let answer =
        Authority::open(&vendor.license_database())?.register(&registration, &issuer, Timestamp::now())?;
    let grant = answer.into_grant();
    match out {
        Some(path) => {
            let text = serde_json::to_string_pretty(&grant).context("cannot write the grant as JSON")?;
            write_new(path, format!("{text}\n").as_bytes(), PRIVATE).map_err(HomeError::writing(path))?;
            tell(format_args!("wrote the grant to {}; send it to the site", path.display()));
        }
        None => print_line(text_code::encode(&grant).trim_end())?,
    }
    tell(format_args!("the serial number is bound to server {}", registration.server_id));
    Ok(())
}

/// The code itself, the file of that name, or standard input.
fn read_code(argument: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    if argument == "-" {
        io::stdin().take(MAX_CODE_BYTES).read_to_string(&mut text).context("cannot read the code")?;
        return Ok(text);
    }
    let path = Path::new(argument);
    if argument.len() < SHORTEST_CODE || (argument.len() < 4096 && path.is_file()) {
        let file = std::fs::File::open(path).with_context(|| {
            format!("cannot read a code from the file {argument:?}, and it is too short to be a code itself")
        })?;
        file.take(MAX_CODE_BYTES)
            .read_to_string(&mut text)
            .with_context(|| format!("cannot read a code from {}", path.display()))?;
        return Ok(text);
    }
    Ok(argument.to_owned())
}

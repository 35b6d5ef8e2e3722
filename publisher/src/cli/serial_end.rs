//! `publisher serial end`: nothing new comes of a serial number from a time on.
//!
//! Left out on purpose: what the site does then. Its server learns of it with its next registration, and decides.

use anyhow::{Context, bail};
use clap::Args;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::SerialNumber;

use super::output::{confirm, dated, print_json, print_line};
use crate::authority::{Authority, SerialEntry};
use crate::home::Vendor;

/// End a serial number, now or at the end of a day; its next registration tells its server.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  publisher --home acme serial end ABCDE-FGHJK-MNPQR-STVWX --at 2027-12-31
  publisher --home acme serial end ABCDE-FGHJK-MNPQR-STVWX --yes --json
  publisher --home acme serial end ABCDE-FGHJK-MNPQR-STVWX --lift

Nothing is taken from anybody: computers keep their seats, and products go on running. From the end on
the site gives no new seat of this serial number and renews no lease, so updates end with the leases
that its computers hold. Its server hears of it when it registers the next time; until then it goes on
by the grant that it has. `publisher serial show` says whether it did. A serial number that is bound to
no server cannot be registered after its end.")]
pub(super) struct Options {
    /// The serial number.
    serial: SerialNumber,
    /// The last day, in the vendor's time zone [default: it ends now]
    #[arg(long, value_name = "DATE", value_parser = last_day, conflicts_with = "lift")]
    at: Option<Date>,
    /// It does not end after all.
    #[arg(long)]
    lift: bool,
    /// Do not ask back.
    #[arg(long)]
    yes: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(vendor: &Vendor, options: Options) -> anyhow::Result<()> {
    let Options { serial, at, lift, yes, json } = options;
    let now = Timestamp::now();
    // What ends now was good until the second before.
    let at_once = || now.checked_sub(SignedDuration::from_secs(1)).context("look at this computer's clock");
    let end = if lift { None } else { Some(at.map_or_else(at_once, |day| end_of(day, vendor, now))?) };
    let mut authority = Authority::open(&vendor.license_database())?;
    let before = authority.history(&serial)?.entry;
    if let Some(end) = end.filter(|_| !yes) {
        confirm(&question(&before, end, now), "--yes")?;
    }
    authority.set_end(&serial, end)?;
    if json {
        return print_json(&authority.history(&serial)?.entry);
    }
    let said = match (end, before.ends_at) {
        (Some(end), _) if end < now => format!("{serial} has ended"),
        (Some(end), _) => format!("{serial} ends {}", dated(end, now)),
        (None, Some(end)) => format!("{serial} does not end any more; it was to end {}", dated(end, now)),
        (None, None) => format!("{serial} has no end"),
    };
    let next = if before.server_id.is_some() {
        "; its server hears of it at its next registration (`distributor register` there)"
    } else {
        ""
    };
    print_line(format_args!("{said}{next}"))
}

/// A day as it is typed.
fn last_day(text: &str) -> Result<Date, String> {
    let is_date = text.len() == "2027-12-31".len();
    let day = text.parse::<Date>().ok().filter(|_| is_date);
    day.ok_or_else(|| {
        "give the last day as year-month-day, such as 2027-12-31; without --at it ends now".to_owned()
    })
}

/// The last second of a day that is not over yet.
fn end_of(day: Date, vendor: &Vendor, now: Timestamp) -> anyhow::Result<Timestamp> {
    let end = day
        .to_zoned(vendor.time_zone())
        .and_then(|start| start.end_of_day())
        .and_then(|end| Timestamp::from_second(end.timestamp().as_second()))
        .with_context(|| format!("cannot end a serial number on {day}"))?;
    if end < now {
        bail!("cannot end a serial number on {day}, which is over; leave --at away to end it now");
    }
    Ok(end)
}

/// What would come of it.
fn question(entry: &SerialEntry, end: Timestamp, now: Timestamp) -> String {
    let serial = &entry.serial;
    let when = if end < now { "now".to_owned() } else { dated(end, now) };
    let Some(server) = &entry.server_id else {
        return format!("{serial} is to end {when}; no server can register it after that");
    };
    format!(
        "{serial} is to end {when}; the computers of server {server} keep their seats and run on, nobody gets a new seat, \
         and updates end with their leases"
    )
}

//! `distributor register`.

use std::io::{BufRead, Read};

use anyhow::{Context, bail};
use sealpost_admin_api::licenses::{RegisterRequest, RegisterWay, Registered};
use sealpost_manifests::grant::RegistrationReason;
use sealpost_manifests::ids::SerialNumber;

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{can_ask, plain, print_json, print_license, print_line, tell, tell_part};

/// Most bytes of a serial number with what may stand around it.
const MAX_SERIAL_BYTES: u64 = 4096;

/// Unlock the seats of a serial number.
///
/// The vendor is asked over the network. Where that cannot be, a registration code is printed, which goes to the vendor by
/// hand, and the command ends with 1 if --offline did not ask for that; the unlock code that comes back is for
/// `distributor unlock`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor register ABCDE-FGHJK-MNPQR-STVWX
  distributor register ABCDE-FGHJK-MNPQR-STVWX --more-seats
  distributor register ABCDE-FGHJK-MNPQR-STVWX --offline > registration-code.txt
  distributor register - < serial.txt")]
pub(super) struct Options {
    /// The serial number that the vendor sold, or `-` to read it from standard input: it is a secret, and arguments are seen
    /// by everybody on this computer.
    #[arg(value_name = "SERIAL|-")]
    serial: String,
    /// Do not ask the vendor; print the registration code.
    #[arg(long)]
    offline: bool,
    /// Tell the vendor that more seats were bought, and not that the license is renewed. Ends with 1 if the vendor granted
    /// no more than before.
    #[arg(long)]
    more_seats: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Said when a grant was accepted that does not confirm a restored ledger.
pub(super) const UNCONFIRMED: &str = "this server's ledger was restored, and this grant does not confirm it: its epoch is \
    not higher than before; register again, and ask the vendor if that stays";

pub(super) async fn run(api: AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let serial = read_serial(&options.serial)?;
    let way = way(options.offline);
    let reason = options.more_seats.then_some(RegistrationReason::MoreSeats);
    let view: Registered = api.post("/register", &RegisterRequest { serial, way, reason }).await?;
    let outcome = match &view {
        Registered::Granted { license, seats_before: Some(before), .. }
            if options.more_seats && license.licenses <= *before =>
        {
            Outcome::Damage
        }
        view => outcome_of(view),
    };
    if options.json {
        print_json(&view)?
    } else {
        say(&view)?
    }
    Ok(outcome)
}

pub(super) const fn way(offline: bool) -> RegisterWay {
    if offline { RegisterWay::Offline } else { RegisterWay::Online }
}

/// Whether there is what was asked for.
pub(super) const fn outcome_of(view: &Registered) -> Outcome {
    match view {
        // Asked for over the network, and nothing was unlocked.
        Registered::Code { reason: Some(_), .. } => Outcome::Damage,
        _ => Outcome::Done,
    }
}

/// Says what came of a registration: the seats, or the code with what to do with it.
pub(super) fn say(view: &Registered) -> anyhow::Result<()> {
    match view {
        Registered::Granted { license, unconfirmed, notice, .. } => {
            print_license(license)?;
            if let Some(notice) = notice {
                tell(plain(notice));
            }
            if *unconfirmed {
                tell(UNCONFIRMED);
            }
        }
        Registered::Code { code, reason, page } => {
            if let Some(reason) = reason {
                tell(plain(reason));
            }
            let page =
                page.as_ref().map(|page| format!(", or type it into the vendor's page {}", plain(page)));
            tell(format_args!(
                "send this registration code to the vendor{}, and give what comes back to `distributor unlock`:",
                page.unwrap_or_default()
            ));
            print_line(code.trim_end())?;
        }
    }
    Ok(())
}

/// The serial number of an argument, or of standard input for `-`.
pub(super) fn read_serial(argument: &str) -> anyhow::Result<SerialNumber> {
    let mut text = String::new();
    let typed = if argument == "-" {
        let read = if can_ask() {
            tell_part("Serial number: ");
            std::io::stdin().lock().take(MAX_SERIAL_BYTES).read_line(&mut text)
        } else {
            std::io::stdin().take(MAX_SERIAL_BYTES).read_to_string(&mut text)
        };
        read.context("cannot read the serial number from standard input")?;
        if text.trim().is_empty() {
            bail!("cannot register: no serial number came from standard input");
        }
        text.as_str()
    } else {
        argument
    };
    SerialNumber::new(typed.trim()).context("cannot register")
}

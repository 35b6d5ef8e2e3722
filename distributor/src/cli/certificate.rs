//! `distributor certificate show|renew|switch`.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use sealpost_admin_api::certificates::{CertificateView, RenewRequest, SwitchRequest};

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{counted, plain, print_json, print_line, seconds, seconds_away, tell};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Show(Show),
    Renew(Renew),
    Switch(Switch),
}

/// Show the certificate that the server presents, and what is about to replace it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor certificate show
  distributor certificate show --json")]
pub(super) struct Show {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Issue the server's certificate anew. The server does that by itself, long before its end and when `addresses` change.
///
/// With --site-ca a new site CA is made too. Computers learn its pin from the server; when all have, its certificate is
/// presented.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor certificate renew
  distributor certificate renew --site-ca")]
pub(super) struct Renew {
    /// Begin to replace the site CA too.
    #[arg(long)]
    site_ca: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Present the certificate of the next CA, which waits until every computer has learned its pin.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor certificate switch
  distributor certificate switch --now")]
pub(super) struct Switch {
    /// Also while computers have not learned it. They refuse the server from then on, and need a new setup file; they
    /// are named.
    #[arg(long)]
    now: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, command: Command) -> anyhow::Result<Outcome> {
    let (view, json): (CertificateView, bool) = match command {
        Command::Show(options) => (api.get("/certificate").await?, options.json),
        Command::Renew(options) => return renew(&api, &options).await,
        Command::Switch(options) => {
            (api.post("/certificate/switch", &SwitchRequest { now: options.now }).await?, options.json)
        }
    };
    if json {
        print_json(&view)?;
    } else {
        show(&view)?;
    }
    Ok(Outcome::Done)
}

async fn renew(api: &AdminApi, options: &Renew) -> anyhow::Result<Outcome> {
    let before: CertificateView = api.get("/certificate").await?;
    let after: CertificateView =
        api.post("/certificate/renew", &RenewRequest { ca: options.site_ca }).await?;
    let next = |view: &CertificateView| view.next.as_ref().map(|next| next.pin);
    let is_renewed = before.sha256 != after.sha256 || (options.site_ca && next(&before) != next(&after));
    // A server that does not say which certificate it presents is believed.
    let is_known = after.sha256.is_some();
    let outcome = if is_renewed || !is_known { Outcome::Done } else { Outcome::Damage };
    if options.json {
        print_json(&after)?;
        return Ok(outcome);
    }
    if before.sha256 != after.sha256 {
        print_line(format_args!("before      {}", identity(&before)))?;
    }
    show(&after)?;
    if outcome == Outcome::Damage {
        tell("nothing was changed; with --site-ca: the next CA is prepared already");
    }
    Ok(outcome)
}

/// Which certificate it is.
fn identity(view: &CertificateView) -> String {
    let mut said = Vec::new();
    said.extend(view.serial.as_ref().map(|serial| format!("serial {}", plain(serial))));
    said.extend(view.sha256.as_ref().map(|sha256| format!("sha256 {}", sha256.short())));
    said.extend(view.not_before.map(|begin| format!("from {}", seconds(begin))));
    said.push(format!("until {}", seconds(view.not_after)));
    said.join(", ")
}

fn show(view: &CertificateView) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let issuer =
        if view.issuer == "own" { "the certificate that you brought" } else { "issued by the site CA" };
    print_line(format_args!("presented   {issuer}"))?;
    print_line(format_args!("certificate {}", identity(view)))?;
    print_line(format_args!("names       {}", plain(&view.names.join(", "))))?;
    print_line(format_args!("ends        {}", seconds_away(view.not_after, now)))?;
    print_line(format_args!("CA ends     {}", seconds_away(view.ca_not_after, now)))?;
    print_line(format_args!("CA pin      {}", view.pin))?;
    if !view.missing.is_empty() {
        print_line(format_args!("not named   {}", plain(&view.missing.join(", "))))?;
    }
    if let Some(next) = &view.next {
        print_line(format_args!("next pin    {}", next.pin))?;
        let (count, names) = (next.waiting.count, plain(&next.waiting.names.join(", ")));
        if count > 0 {
            let count = counted(count, "computer", "computers");
            print_line(format_args!("waits for   {count}, for two contacts of each: {names}"))?;
        }
    }
    if let Some(left) = &view.left_behind {
        tell(format_args!(
            "left behind: {} ({}); each needs a new setup file, from `distributor clients setup NAME`",
            counted(left.count, "computer", "computers"),
            plain(&left.names.join(", "))
        ));
    }
    Ok(())
}

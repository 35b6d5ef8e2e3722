//! `distributor updates list|show|approve|reject|defer|halt|reconsider|retry|test-load|watch|why|push-now|revert-now`.

mod defer;
mod emergency;
mod find;
mod review;
mod test_load;
mod undo;
mod watch;
mod why;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use sealpost_admin_api::updates::{ApproveRequest, MissingPayload, RejectRequest, Update, UpdatesPage};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ChannelName;
use sealpost_manifests::word::Word;
use sealpost_site::rules::approvals::proposal::Proposed;

use super::api::AdminApi;
use super::approvals::waits_for_second;
use super::outcome::Outcome;
use super::output::{Table, ask, can_ask, counted, plain, print_json, print_line, size, tell};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(List),
    Show(Show),
    Approve(Approve),
    Reject(Reject),
    Defer(defer::Defer),
    Halt(undo::Halt),
    Reconsider(undo::Reconsider),
    Retry(undo::Retry),
    TestLoad(test_load::Test),
    Watch(watch::Watch),
    Why(why::Why),
    PushNow(emergency::PushNow),
    RevertNow(emergency::RevertNow),
}

/// List every release with its state, the channels that it goes to, and those in which the vendor offers it now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates list
  distributor updates list --json

RUN BY   computers that say that they run it
TO COME  enrolled computers that are to run an approved release and do not say so yet, also those that
         were not in contact since the approval
FAILED   computers that gave it up or refused it

A staged release is shown as `second` while one person has approved it and a second one has to, and as
`deferred` while the decision is put off.")]
pub(super) struct List {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Show what a release changes, who signed it, and who gets it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates show acme-av:1.0.1
  distributor updates show acme-av:1.0.1 --strategy careful
  distributor updates show 3f2a9c0d1e4b --json")]
pub(super) struct Show {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// Show who gets it in which ring of this strategy [default: as the settings say for its package].
    #[arg(long, value_name = "NAME")]
    strategy: Option<Word>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Approve a release for the computers of its channels.
///
/// What is approved is the manifest digest that was shown, for the channels that were shown with it. At a terminal the release is shown and you are asked; with
/// --digest or --yes you are not. Where a rule needs two people, a second one with an account of their own has to approve the
/// same: until then the release waits. Without --strategy, --channel and --emergency the second one approves what the first
/// one asked for.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates approve acme-av:1.0.1
  distributor updates approve acme-av:1.0.1 --channel beta --wait
  distributor updates approve acme-av:1.0.1 --strategy careful
  distributor updates approve acme-av:1.0.1 --strategy everyone-now --emergency
  distributor updates approve acme-av:1.0.1 --yes --comment \"tried on the test computers\"")]
pub(super) struct Approve {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// The manifest digest that was reviewed; refused if it is not that of REF.
    #[arg(long, value_name = "SHA256")]
    digest: Option<String>,
    /// Do not ask; approve the digest that REF has now.
    #[arg(long, conflicts_with = "digest")]
    yes: bool,
    /// Approve it for this channel only; may be given more than once [default: all channels that point to it].
    #[arg(long = "channel", value_name = "CHANNEL")]
    channels: Vec<String>,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    /// How it goes out, ring by ring: careful, normal, signatures, everyone-now, or a strategy of the site's own [default: as the
    /// settings say for its package].
    #[arg(long, value_name = "NAME")]
    strategy: Option<Word>,
    /// Computers wait for no window, no person and no product.
    #[arg(long)]
    emergency: bool,
    /// Also while the decision is deferred.
    #[arg(long)]
    now: bool,
    /// Wait until every enrolled computer that gets it runs it or failed; ends with 1 when one failed.
    #[arg(long)]
    wait: bool,
    /// Give up waiting after so many minutes [default: wait until Ctrl-C].
    #[arg(long, value_name = "MINUTES", requires = "wait")]
    timeout: Option<u64>,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Reject a release that is not approved yet.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates reject acme-av:1.0.1 --reason \"breaks the scanner on the CAD computers\"")]
pub(super) struct Reject {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, command: Command) -> anyhow::Result<Outcome> {
    match command {
        Command::List(options) => list(&api, &options).await,
        Command::Show(options) => show(&api, &options).await,
        Command::Approve(options) => approve(&api, &options).await,
        Command::Reject(options) => reject(&api, options).await,
        Command::Defer(options) => defer::run(&api, options).await,
        Command::Halt(options) => undo::halt(&api, &options).await,
        Command::Reconsider(options) => undo::reconsider(&api, &options).await,
        Command::Retry(options) => undo::retry(&api, &options).await,
        Command::TestLoad(options) => test_load::run(&api, &options).await,
        Command::Watch(options) => watch::run(&api, &options).await,
        Command::Why(options) => why::run(&api, &options).await,
        Command::PushNow(options) => emergency::push_now(&api, &options).await,
        Command::RevertNow(options) => emergency::revert_now(&api, &options).await,
    }
}

async fn list(api: &AdminApi, options: &List) -> anyhow::Result<Outcome> {
    let updates = find::all_counted(api).await?;
    if options.json {
        print_json(&UpdatesPage { updates, next: None })?;
        return Ok(Outcome::Done);
    }
    let heading = [
        "PACKAGE",
        "VERSION",
        "PLATFORM",
        "STATE",
        "SEVERITY",
        "CHANNELS",
        "OFFERED IN",
        "SIZE",
        "RUN BY",
        "TO COME",
        "FAILED",
        "MANIFEST",
    ];
    let mut table = Table::new(&heading).with_states(3);
    for row in &updates {
        table.row([
            row.release.package.to_string(),
            row.release.version.to_string(),
            row.release.platform.to_string(),
            review::state(row),
            row.severity.to_string(),
            review::channels(row),
            offered(row),
            size(row.payload_bytes),
            row.installed.to_string(),
            row.to_come.map_or_else(|| "-".to_owned(), |count| count.to_string()),
            row.failed.to_string(),
            row.manifest.short(),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

/// The channels that the vendor points to a release now.
fn offered(row: &Update) -> String {
    match row.offered.as_deref() {
        // An older server, or damaged metadata.
        None => "?".to_owned(),
        Some([]) => "-".to_owned(),
        Some(channels) => named(channels),
    }
}

async fn show(api: &AdminApi, options: &Show) -> anyhow::Result<Outcome> {
    let view = find::review(api, &options.reference, options.strategy).await?;
    if options.json {
        print_json(&view)?;
    } else {
        review::print_review(&view)?;
    }
    Ok(Outcome::Done)
}

async fn approve(api: &AdminApi, options: &Approve) -> anyhow::Result<Outcome> {
    let view = find::review(api, &options.reference, options.strategy).await?;
    let shown = view.update.manifest;
    // What is approved is what was shown, for the channels that it was shown with.
    let channels = match options.channels.as_slice() {
        [] => view.update.channels.clone(),
        named => {
            named.iter().map(ChannelName::new).collect::<Result<_, _>>().context("cannot use --channel")?
        }
    };
    let manifest = match &options.digest {
        Some(text) => {
            let text = text.strip_prefix("sha256:").unwrap_or(text);
            let digest: Sha256Digest = text.parse().context("cannot use --digest")?;
            if digest != shown {
                bail!(
                    "{} has the manifest digest {shown} now, not the one that was given; review it again with \
                     `distributor updates show {}`",
                    view.update.release,
                    plain(&options.reference)
                );
            }
            digest
        }
        None if options.yes => shown,
        None if can_ask() => {
            review::print_review(&view)?;
            // Who follows only some of its channels is not counted one by one.
            let computers = if options.channels.is_empty() {
                let all = view.recipient_count.saturating_add(view.waiting_count);
                counted(all, "computer", "computers")
            } else {
                "the computers".to_owned()
            };
            if !ask(&format!("Approve {} for {computers} of {}?", view.update.release, named(&channels)))? {
                tell("not approved; nothing was changed");
                return Ok(Outcome::Damage);
            }
            shown
        }
        None => bail!(
            "there is no terminal to ask at: review the release with `distributor updates show {}`, then give \
             --digest {shown}, or --yes",
            plain(&options.reference)
        ),
    };
    if let Some(down) = view.downgrade.as_ref().filter(|_| options.yes || options.digest.is_some()) {
        tell(format_args!("{} is a downgrade: it takes the place of {}", view.update.release, down.from));
    }
    let comment = options.comment.clone().unwrap_or_default();
    let (strategy, emergency, now) = (options.strategy, options.emergency, options.now);
    let request = ApproveRequest { manifest, channels: Some(channels), comment, strategy, emergency, now };
    let request = as_asked_before(request, &view.update, options);
    let row: Update = api.post("/updates/approve", &request).await?;
    if let Some(waiting) = &row.waiting {
        if options.json {
            print_json(&row)?;
        } else {
            print_line(format_args!("{} is not approved yet: {}", row.release, waiting.says))?;
        }
        tell(waits_for_second(waiting));
        return Ok(if options.wait { Outcome::Damage } else { Outcome::Done });
    }
    tell_of_missing_payload(&row);
    if options.wait {
        if !options.json {
            tell(format_args!("approved {} for {}", row.release, review::channels(&row)));
        }
        let view = watch::until_done(api, manifest, options.timeout).await?;
        if options.json {
            print_json(&view)?;
        }
        return Ok(watch::outcome(&view));
    }
    if options.json {
        print_json(&row)?;
        return Ok(Outcome::Done);
    }
    let (release, channels) = (&row.release, review::channels(&row));
    if undo::is_as_before(&view.update, &row) {
        print_line(format_args!("{release} is approved already for {channels}; nothing changed"))?;
    } else {
        print_line(format_args!("approved {release} [sha256:{manifest}] for {channels}"))?;
    }
    Ok(Outcome::Done)
}

/// Who approves what another person asked for, and names nothing else, asks for the same.
fn as_asked_before(request: ApproveRequest, shown: &Update, options: &Approve) -> ApproveRequest {
    let names_nothing = options.channels.is_empty() && options.strategy.is_none() && !options.emergency;
    let proposed = shown.waiting.as_ref().filter(|_| names_nothing).map(|waiting| &waiting.proposed);
    match proposed {
        Some(Proposed::ApproveRelease { channels, strategy, emergency, .. }) => ApproveRequest {
            channels: Some(channels.clone()),
            strategy: Some(*strategy),
            emergency: *emergency,
            ..request
        },
        _ => request,
    }
}

fn tell_of_missing_payload(row: &Update) {
    let what = match row.payload_missing {
        None => return,
        Some(MissingPayload::FetchedByNextPull) => {
            "the next pull fetches it; `distributor pull` does so now, and until then nobody gets the release"
        }
        Some(MissingPayload::NotListed) => {
            "the vendor's repository does not list it any more, so nobody can get the release: ask the vendor"
        }
    };
    tell(format_args!("the payload of {} was removed here meanwhile: {what}", row.release));
}

async fn reject(api: &AdminApi, options: Reject) -> anyhow::Result<Outcome> {
    let before = find::one(api, &options.reference).await?;
    let request = RejectRequest { manifest: before.manifest, reason: options.reason };
    let row: Update = api.post("/updates/reject", &request).await?;
    if options.json {
        print_json(&row)?;
        return Ok(Outcome::Done);
    }
    if undo::is_as_before(&before, &row) {
        print_line(format_args!("{} is rejected already; nothing changed", row.release))?;
    } else {
        print_line(format_args!("rejected {} [sha256:{}]", row.release, row.manifest))?;
    }
    Ok(Outcome::Done)
}

fn named(channels: &[ChannelName]) -> String {
    let names: Vec<&str> = channels.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { "no channel".to_owned() } else { names.join(", ") }
}

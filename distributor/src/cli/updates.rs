//! `distributor updates list|show|approve|reject`.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use sealpost_admin_api::updates::{
    ApproveRequest, ChangedFile, RejectRequest, Review, ReviewContent, Update, UpdatesPage,
};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::changes::summary;

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{
    Table, ask, can_ask, name_of, plain, plain_lines, print_json, print_line, seconds, size, tell,
};
use super::reference;

/// Paths of each kind that `show` prints; `--json` has all.
const MAX_SHOWN: usize = 40;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    List(List),
    Show(Show),
    Approve(Approve),
    Reject(Reject),
}

/// List every release with its state.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates list
  distributor updates list --json")]
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
  distributor updates show 3f2a9c0d1e4b --json")]
pub(super) struct Show {
    /// PACKAGE:VERSION[:PLATFORM], or 12 or more digits of the manifest digest.
    #[arg(value_name = "REF")]
    reference: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Approve a release for the computers of its channels.
///
/// What is approved is the manifest digest that was shown. At a terminal the release is shown and you are asked; with
/// --digest or --yes you are not.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor updates approve acme-av:1.0.1
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
    /// Why, for whoever reads the log later.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
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
    }
}

async fn list(api: &AdminApi, options: &List) -> anyhow::Result<Outcome> {
    let updates = all(api).await?;
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
        "SIZE",
        "INSTALLED",
        "FAILED",
        "MANIFEST",
    ];
    let mut table = Table::new(&heading);
    for row in &updates {
        table.row([
            row.release.package.to_string(),
            row.release.version.to_string(),
            row.release.platform.to_string(),
            name_of(row.state),
            row.severity.to_string(),
            channels(row),
            size(row.payload_bytes),
            format!("{}/{}", row.installed, row.assigned),
            row.failed.to_string(),
            row.manifest.short(),
        ]);
    }
    table.print()?;
    Ok(Outcome::Done)
}

/// Every release, page by page.
async fn all(api: &AdminApi) -> anyhow::Result<Vec<Update>> {
    let mut updates = Vec::new();
    let mut path = "/updates".to_owned();
    loop {
        let page: UpdatesPage = api.get(&path).await?;
        updates.extend(page.updates);
        let Some(next) = page.next else { return Ok(updates) };
        path = format!("/updates?after={next}");
    }
}

async fn show(api: &AdminApi, options: &Show) -> anyhow::Result<Outcome> {
    let view = review(api, &options.reference).await?;
    if options.json {
        print_json(&view)?;
    } else {
        print_review(&view)?;
    }
    Ok(Outcome::Done)
}

async fn approve(api: &AdminApi, options: &Approve) -> anyhow::Result<Outcome> {
    let view = review(api, &options.reference).await?;
    let shown = view.update.manifest;
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
            print_review(&view)?;
            if !ask(&format!("Approve {} for {} computers?", view.update.release, view.recipient_count))? {
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
    let request = ApproveRequest { manifest, comment: options.comment.clone().unwrap_or_default() };
    let row: Update = api.post("/updates/approve", &request).await?;
    if options.json {
        print_json(&row)?;
        return Ok(Outcome::Done);
    }
    print_line(format_args!("approved {} [sha256:{}] for {}", row.release, row.manifest, channels(&row)))?;
    Ok(Outcome::Done)
}

async fn reject(api: &AdminApi, options: Reject) -> anyhow::Result<Outcome> {
    let manifest = reference::find(&options.reference, &all(api).await?)?.manifest;
    let row: Update =
        api.post("/updates/reject", &RejectRequest { manifest, reason: options.reason }).await?;
    if options.json {
        print_json(&row)?;
        return Ok(Outcome::Done);
    }
    print_line(format_args!("rejected {} [sha256:{}]", row.release, row.manifest))?;
    Ok(Outcome::Done)
}

async fn review(api: &AdminApi, reference: &str) -> anyhow::Result<Review> {
    let manifest = reference::find(reference, &all(api).await?)?.manifest;
    api.get(&format!("/updates/{manifest}")).await
}

fn channels(row: &Update) -> String {
    let names: Vec<&str> = row.channels.iter().map(AsRef::as_ref).collect();
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

fn print_review(view: &Review) -> anyhow::Result<()> {
    let row = &view.update;
    print_line(format_args!(
        "{}: {}, {}, severity {}",
        row.release,
        row.kind,
        name_of(row.state),
        row.severity
    ))?;
    print_line(format_args!("  manifest   sha256:{}", row.manifest))?;
    let signer =
        row.signer.as_ref().map_or_else(|| "nobody that is trusted".to_owned(), |key| key.id().to_string());
    print_line(format_args!("  signed by  {signer}"))?;
    print_line(format_args!("  channels   {}", channels(row)))?;
    print_line(format_args!("  staged at  {}", seconds(row.staged_at)))?;
    if let Some(decided) = &row.decided {
        let by = summary::actor(&decided.by);
        print_line(format_args!("  decided at {} by {}", seconds(decided.at), plain(&by)))?;
        if let Some(comment) = &decided.comment {
            print_line(format_args!("  comment    {}", plain(comment)))?;
        }
    }
    if let Some(reason) = &row.reason {
        print_line(format_args!("  reason     {}", plain(reason)))?;
    }
    print_line(format_args!("  payload    {}", size(row.payload_bytes)))?;
    let compared_with = view.content.as_ref().and_then(|content| content.compared_with.as_ref());
    for delta in &row.deltas {
        let named = compared_with.filter(|compared| compared.manifest == delta.base);
        let named = named.map_or_else(String::new, |compared| format!("{} ", compared.release));
        print_line(format_args!("  delta      {} from {named}[{}]", size(delta.bytes), delta.base.short()))?;
    }
    if let Some(content) = &view.content {
        print_content(content)?;
    }
    let named: Vec<&str> = view.recipients.iter().map(AsRef::as_ref).collect();
    let more = view.recipient_count.saturating_sub(named.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    print_line(format_args!(
        "  goes to    {} computers: {}{more}",
        view.recipient_count,
        plain(&named.join(", "))
    ))
}

fn print_content(content: &ReviewContent) -> anyhow::Result<()> {
    print_line(format_args!("  built at   {}", seconds(content.built_at)))?;
    print_about(content)?;
    for requirement in &content.requires {
        print_line(format_args!("  requires   {} (counter {})", requirement.package, requirement.counter))?;
    }
    let difference = &content.difference;
    match &content.compared_with {
        Some(base) => print_line(format_args!(
            "  compared with {} [{}]: {} added, {} changed, {} removed, {} unchanged; {} -> {} installed",
            base.release,
            base.manifest.short(),
            difference.added.len(),
            difference.changed.len(),
            difference.removed.len(),
            difference.unchanged,
            size(difference.bytes_before),
            size(difference.bytes_after)
        ))?,
        None => print_line(format_args!(
            "  the first of its package here: {} files, {} installed",
            content.files,
            size(difference.bytes_after)
        ))?,
    }
    print_files("+", &difference.added)?;
    print_files("~", &difference.changed)?;
    print_files("-", &difference.removed)?;
    if !content.notes.trim().is_empty() {
        print_line("  notes:")?;
        for line in plain_lines(&content.notes).lines() {
            print_line(format_args!("    {line}"))?;
        }
    }
    Ok(())
}

/// What the vendor says about the release, and the documents beside it.
fn print_about(content: &ReviewContent) -> anyhow::Result<()> {
    if let Some(category) = &content.category {
        print_line(format_args!("  category   {category}"))?;
    }
    if let Some(security) = &content.security {
        if !security.fixes.is_empty() {
            print_line(format_args!("  fixes      {}", plain(&security.fixes.join(", "))))?;
        }
        if let Some(url) = &security.advisory_url {
            print_line(format_args!("  advisory   {}", plain(url)))?;
        }
    }
    if let Some(until) = content.supported_until {
        print_line(format_args!("  supported  until {}", seconds(until)))?;
    }
    for attachment in &content.attachments {
        let (length, target) = (size(attachment.blob.length), &attachment.target);
        print_line(format_args!(
            "  attached   {} {target}, {length}, sha256:{}",
            attachment.kind, attachment.blob.sha256
        ))?;
    }
    Ok(())
}

fn print_files(sign: &str, files: &[ChangedFile]) -> anyhow::Result<()> {
    for file in files.iter().take(MAX_SHOWN) {
        let sizes = match (file.bytes_before, file.bytes_after) {
            (Some(before), Some(after)) => format!("{} -> {}", size(before), size(after)),
            (Some(bytes), None) | (None, Some(bytes)) => size(bytes),
            (None, None) => String::new(),
        };
        let remarks =
            if file.remarks.is_empty() { String::new() } else { format!("  ({})", file.remarks.join(", ")) };
        print_line(format_args!("    {sign} {}  {sizes}{}", plain(file.path.as_str()), plain(&remarks)))?;
    }
    if files.len() > MAX_SHOWN {
        print_line(format_args!("    {sign} … and {} more (--json lists all)", files.len() - MAX_SHOWN))?;
    }
    Ok(())
}

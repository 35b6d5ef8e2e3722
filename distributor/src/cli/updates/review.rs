//! A release as a reviewer sees it.

use jiff::{SignedDuration, Timestamp};
use sealpost_admin_api::rollouts::{Preview, PreviewRing};
use sealpost_admin_api::updates::{ChangedFile, Review, ReviewContent, Update};
use sealpost_manifests::ids::ComputerName;
use sealpost_site::changes::summary;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::text::{first_names, span};

use super::undo::print_leaving;
use crate::cli::colors;
use crate::cli::output::{Table, age, counted, name_of, plain, plain_lines, print_line, seconds, size};

/// Paths of each kind that are printed; `--json` has all.
const MAX_SHOWN: usize = 40;

/// The channels of a release: those that it goes to, and those that wait for a decision.
pub(super) fn channels(row: &Update) -> String {
    let goes_to: Vec<&str> = row.approved_for.iter().map(AsRef::as_ref).collect();
    let waits: Vec<&str> = row.waits_for().map(AsRef::as_ref).collect();
    match (goes_to.is_empty(), waits.is_empty()) {
        (true, true) => "-".to_owned(),
        (true, false) => waits.join(", "),
        (false, true) => goes_to.join(", "),
        (false, false) => format!("{} (waits: {})", goes_to.join(", "), waits.join(", ")),
    }
}

/// Where a release stands: what waits for a second person or a test-load, or is put off, is said.
pub(super) fn state(row: &Update) -> String {
    let holds = row.test_load.as_ref().is_some_and(|test| test.holds);
    match (row.state, &row.waiting, &row.deferred) {
        (ReleaseState::Staged, _, _) if holds => "untested".to_owned(),
        (ReleaseState::Staged, Some(_), _) => "second".to_owned(),
        (ReleaseState::Staged, None, Some(_)) => "deferred".to_owned(),
        _ => name_of(row.state),
    }
}

/// What a release changes, who signed it, who gets it, and who runs it.
pub(super) fn print_review(view: &Review) -> anyhow::Result<()> {
    let row = &view.update;
    let now = Timestamp::now();
    let state = colors::state(&name_of(row.state));
    print_line(format_args!("{}: {}, {state}, severity {}", row.release, row.kind, row.severity))?;
    print_line(format_args!("  manifest   sha256:{}", row.manifest))?;
    let signer =
        row.signer.as_ref().map_or_else(|| "nobody that is trusted".to_owned(), |key| key.id().to_string());
    print_line(format_args!("  signed by  {signer}"))?;
    print_line(format_args!("  channels   {}", channels(row)))?;
    print_line(format_args!("  staged at  {} ({})", seconds(row.staged_at), age(row.staged_at, now)))?;
    if let Some(decided) = &row.decided {
        let by = summary::actor(&decided.by);
        let ago = age(decided.at, now);
        print_line(format_args!("  decided at {} ({ago}) by {}", seconds(decided.at), plain(&by)))?;
        if let Some(comment) = &decided.comment {
            print_line(format_args!("  comment    {}", plain(comment)))?;
        }
    }
    if let Some(waiting) = &row.waiting {
        let ago = age(waiting.at, now);
        print_line(format_args!(
            "  waits for  a second person since {} ({ago}): {} asked to {}; until {}",
            seconds(waiting.at),
            plain(&waiting.from),
            plain(&waiting.says),
            seconds(waiting.expires_at)
        ))?;
    }
    if let Some(deferred) = &row.deferred {
        let (by, why) = (summary::actor(&deferred.by), plain(&deferred.comment));
        let until = seconds(deferred.until);
        print_line(format_args!("  deferred   until {until} by {}: {why}", plain(&by)))?;
    }
    if let Some(wanted) = &view.wanted {
        if let Some(rule) = wanted.two_by {
            print_line(format_args!("  needs      two people, by the rule {rule}"))?;
        }
        if let Some(rule) = wanted.age_by.filter(|_| wanted.from > now) {
            print_line(format_args!("  not before {}, by the rule {rule}", seconds(wanted.from)))?;
        }
    }
    if let Some(reason) = &row.reason {
        let whose = if row.state == ReleaseState::Withdrawn { " (the vendor's)" } else { "" };
        print_line(format_args!("  reason     {}{whose}", plain(reason)))?;
    }
    if let Some(test) = &row.test_load {
        print_line(format_args!("  test-load  {}", plain(&test.sentence)))?;
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
    if let Some(down) = &view.downgrade {
        let who = match down.computers {
            0 => "a higher version is approved for them".to_owned(),
            count => format!("{} of them run a higher version", counted(count, "computer", "computers")),
        };
        print_line(format_args!(
            "  DOWNGRADE  {} is lower than {}, which it takes the place of: {who}",
            row.release.version, down.from
        ))?;
    }
    print_names("  goes to    ", &view.recipients, view.recipient_count)?;
    if let Some(preview) = &view.preview {
        print_preview(preview)?;
    }
    if let Some(number) = row.rollout.filter(|_| row.state == ReleaseState::Approved) {
        print_line(format_args!(
            "  rollout    {number}: `distributor rollouts show {number}` says how far it is"
        ))?;
    }
    if view.reserved_count > 0 {
        let count = counted(view.reserved_count, "of them has", "of them have");
        print_line(format_args!("             {count} a seat and never enrolled"))?;
    }
    if view.waiting_count > 0 {
        let waits: Vec<&str> = row.waits_for().map(AsRef::as_ref).collect();
        print_line(format_args!(
            "  waits for  {} more, once it is approved for {}",
            counted(view.waiting_count, "computer", "computers"),
            waits.join(", ")
        ))?;
    }
    if view.runner_count > 0 {
        print_names("  run by     ", &view.runners, view.runner_count)?;
    }
    if let Some(pending) = view.pending_count.filter(|_| row.state == ReleaseState::Approved) {
        let told = counted(row.assigned, "computer was", "computers were");
        print_line(format_args!("  assigned   {told} told to run it"))?;
        let come = counted(pending, "computer is to run it and does", "computers are to run it and do");
        print_line(format_args!("  to come    {come} not say so yet"))?;
    }
    let not_kept = view.not_kept_count.min(row.failed);
    if not_kept > 0 {
        print_line(format_args!(
            "  not kept   by {}, to go back to: approve a newer release (no retry helps)",
            counted(not_kept, "computer", "computers")
        ))?;
    }
    let failed = row.failed.saturating_sub(not_kept);
    if failed > 0 {
        let release = &row.release;
        print_line(format_args!(
            "  failed     {}; `distributor updates retry {}:{} --why TEXT` lets them try again",
            counted(failed, "computer", "computers"),
            release.package,
            release.version
        ))?;
    }
    if let Some(leaving) = &view.leaving {
        print_leaving(leaving, row.rollback)?;
    }
    Ok(())
}

/// How it goes out if it is approved now: each ring, its computers, when they install it, and what travels to them.
fn print_preview(preview: &Preview) -> anyhow::Result<()> {
    print_line(format_args!(
        "  strategy   {}; {} travel to all computers together",
        preview.strategy,
        size(preview.bytes)
    ))?;
    let mut table = Table::new(&[
        "             RING",
        "TAKES",
        "COMPUTERS",
        "HEARD OF",
        "OPENS",
        "AT THE LATEST",
        "TRAVELS",
    ]);
    for ring in &preview.rings {
        let opens = match ring.opens_after_secs {
            0 => "at once".to_owned(),
            seconds => format!("after {} at the earliest", span(SignedDuration::from_secs(seconds))),
        };
        table.row([
            format!("             {}", ring.name),
            ring.takes.clone(),
            ring.members.to_string(),
            ring.heard_of.to_string(),
            opens,
            ring.latest(),
            size(ring.bytes),
        ]);
    }
    table.print()?;
    print_part("times", std::iter::once(preview.sentence()))?;
    if preview.rings.len() > 1 {
        print_part("no latest", preview.rings.iter().filter_map(PreviewRing::without_latest))?;
    }
    let with_computers = preview.rings.iter().filter(|ring| ring.members > 0);
    print_part(
        "computers",
        with_computers.map(|ring| {
            let count = counted(ring.members, "computer", "computers");
            format!("{}: {count}: {}", ring.name, first_names(&ring.computers, ring.members))
        }),
    )?;
    if preview.rings.len() > 1 {
        print_part("over", preview.rings.iter().flat_map(PreviewRing::loads))?;
    }
    let now = Timestamp::now();
    print_part("links", preview.links.iter().map(|load| load.sentence(now)))
}

/// Lines under one heading.
fn print_part(heading: &str, lines: impl Iterator<Item = String>) -> anyhow::Result<()> {
    for (index, line) in lines.enumerate() {
        let heading = if index == 0 { heading } else { "" };
        print_line(format_args!("  {heading:<10} {}", plain(&line)))?;
    }
    Ok(())
}

fn print_names(what: &str, names: &[ComputerName], count: u64) -> anyhow::Result<()> {
    let named: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let more = count.saturating_sub(named.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let colon = if count > 0 { ": " } else { "" };
    print_line(format_args!(
        "{what}{}{colon}{}{more}",
        counted(count, "computer", "computers"),
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
            "  the first of its package here: {}, {} installed",
            counted(content.files, "file", "files"),
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

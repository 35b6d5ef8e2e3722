//! Cells that several views of computers have.

use jiff::Timestamp;
use sealpost_admin_api::clients::Client;
use sealpost_manifests::wire::contact::DriftKind;
use sealpost_site::rules::came_by::CameBy;

use crate::cli::output::{age, name_of, span};

/// How long ago the last contact was, and that it came by file if it did: the next one waits for whoever carries it.
pub(super) fn refreshed(last_contact: Option<Timestamp>, came_by: Option<CameBy>, now: Timestamp) -> String {
    let ago = last_contact.map_or_else(|| "-".to_owned(), |at| age(at, now));
    if came_by == Some(CameBy::File) { format!("{ago} by file") } else { ago }
}

pub(super) fn runs(client: &Client) -> String {
    let runs = client.installed.iter().map(|package| {
        let drift = client.drift.iter().find(|drift| drift.package == *package.package());
        let mark = match drift.map(|drift| drift.kind) {
            Some(DriftKind::NotStarted) => " (NOT STARTED)",
            Some(_) => "!",
            None => "",
        };
        let stopped = client.stopped.iter().find(|stopped| stopped.package == *package.package());
        let stopped = stopped.map(|stopped| format!(" ({})", name_of(stopped.state))).unwrap_or_default();
        format!("{} {}{mark}{stopped}", package.package(), package.release.version)
    });
    dash_if_empty(runs.collect())
}

/// How old the signature files are that it runs, the oldest of several.
pub(super) fn content(client: &Client) -> String {
    client.content.iter().map(|runs| runs.age_secs).max().map_or_else(|| "-".to_owned(), span)
}

pub(super) fn should_run(client: &Client) -> String {
    let assigned =
        client.assigned.iter().map(|told| format!("{} {}", told.release.package, told.release.version));
    dash_if_empty(assigned.collect())
}

pub(super) fn dash_if_empty(parts: Vec<String>) -> String {
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

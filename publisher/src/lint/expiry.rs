//! When each role expires: warned of as [`notice`](crate::notice) says, and for what is renewed daily, when that has
//! stopped. Without the vendor's lifetimes nobody knows how long a role was to live, except for a timestamp, which says
//! when it was signed.
//!
//! The dates are read from the newest file of each role, unverified; whether the file is authentic is checked by the
//! walk.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use sealpost_files::read_bounded;
use sealpost_repository::{Lifetimes, MAX_METADATA_BYTES};
use serde::Deserialize;

use super::report::{Code, Report};
use crate::expiries::Left;
use crate::notice::{WARN_DAYS, before_end, before_end_of_daily};

/// A time at which nothing has expired. The walk reads at this time, so that expired metadata does not end it.
pub(super) const BEFORE_EVERYTHING: Timestamp = Timestamp::UNIX_EPOCH;

#[derive(Deserialize)]
struct Envelope {
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    expires: Timestamp,
    /// Only a timestamp says it.
    #[serde(rename = "x-sealpost-signed-at", default)]
    signed_at: Option<Timestamp>,
    #[serde(default)]
    meta: BTreeMap<String, Pinned>,
}

impl Signed {
    /// How long it was to live, where that can be told.
    fn life(&self) -> Option<SignedDuration> {
        self.signed_at.map(|signed_at| signed_at.duration_until(self.expires))
    }
}

#[derive(Deserialize)]
struct Pinned {
    version: u64,
}

/// Follows timestamp and snapshot to the files that are in force, and the newest root.
pub(super) fn check(metadata: &Path, lifetimes: Option<&Lifetimes>, report: &mut Report, now: Timestamp) {
    let life = |of: fn(&Lifetimes) -> SignedDuration| lifetimes.map(of);
    let mut newest_root = 1;
    while metadata.join(format!("{}.root.json", newest_root + 1)).is_file() {
        newest_root += 1;
    }
    if let Some(root) = read(metadata, &format!("{newest_root}.root.json"), report) {
        check_role("root", &root, life(|all| all.root), now, report);
    }
    let Some(timestamp) = read(metadata, "timestamp.json", report) else { return };
    let timestamps = life(|all| all.timestamp).or_else(|| timestamp.life());
    check_online("timestamp", &timestamp, timestamps, now, report);
    for (file, pinned) in &timestamp.meta {
        let Some(snapshot) = read(metadata, &format!("{}.{file}", pinned.version), report) else { continue };
        check_online("snapshot", &snapshot, life(|all| all.snapshot), now, report);
        for (file, pinned) in &snapshot.meta {
            let role = file.strip_suffix(".json").unwrap_or(file);
            if let Some(list) = read(metadata, &format!("{}.{file}", pinned.version), report) {
                let list_life = life(if role == "targets" { |all| all.targets } else { |all| all.package });
                check_role(role, &list, list_life, now, report);
            }
        }
    }
}

fn read(metadata: &Path, name: &str, report: &mut Report) -> Option<Signed> {
    let absent = || io::Error::from(io::ErrorKind::NotFound);
    let bytes = read_bounded(&metadata.join(name), MAX_METADATA_BYTES);
    let problem = match bytes.and_then(|bytes| bytes.ok_or_else(absent)) {
        Ok(bytes) => match serde_json::from_slice::<Envelope>(&bytes) {
            Ok(envelope) => return Some(envelope.signed),
            Err(error) => format!("it is no metadata: {error}; restore it from the published copy"),
        },
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            "it is larger than metadata can be".to_owned()
        }
        Err(error) => format!("the file cannot be read: {error}; restore it from the published copy"),
    };
    report.defect(Code::FileUnreadable, name, problem);
    None
}

fn check_role(
    role: &str,
    signed: &Signed,
    life: Option<SignedDuration>,
    now: Timestamp,
    report: &mut Report,
) {
    let subject = format!("role {role}");
    let left = now.duration_until(signed.expires);
    let next = if role == "root" {
        "run `publisher root renew` with the root keys".to_owned()
    } else {
        format!("run `publisher role renew {role}` with its key")
    };
    if left <= SignedDuration::ZERO {
        return report.defect(
            Code::RoleEnded,
            subject,
            format_args!("it expired at {}; {next}", signed.expires),
        );
    }
    let warned_below = before_end(life);
    if left < warned_below {
        let (days, most) = (left.as_hours() / 24, (warned_below.as_hours() + 23) / 24);
        let limit = WARN_DAYS.into_iter().find(|limit| days < *limit).map_or(most, |limit| limit.min(most));
        report.warn(
            Code::RoleEnds,
            subject,
            format_args!(
                "it expires {}, at {} (warned of below {limit} days); {next}",
                Left::of(signed.expires, now),
                signed.expires
            ),
        );
    }
}

fn check_online(
    role: &str,
    signed: &Signed,
    life: Option<SignedDuration>,
    now: Timestamp,
    report: &mut Report,
) {
    let subject = format!("role {role}");
    let next = "run `publisher refresh`, and look why the running server did not";
    let left = now.duration_until(signed.expires);
    if left <= SignedDuration::ZERO {
        report.defect(Code::RoleEnded, subject, format_args!("it expired at {}; {next}", signed.expires));
    } else if left < before_end_of_daily(life) {
        report.warn(
            Code::RoleEnds,
            subject,
            format_args!("it expires at {} and is renewed daily if all is well; {next}", signed.expires),
        );
    }
}

//! What still has to travel over each link, and when that is done.
//!
//! Invariant: only computers that are known to be behind a link count there: by the address from which their last contact
//! came. An estimate is what the link gives at its rate; it says nothing of windows, rings and computers that are off.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::word::Word;
use serde::{Deserialize, Serialize};

use super::{Link, LinkTable, Rate};
use crate::rows::DeltaRow;
use crate::rules::came_by::CameBy;
use crate::rules::text::{bytes, counted, span};

/// What one release still has to move over one link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkLoad {
    /// The name of the link.
    pub link: Word,
    /// What its downloads share.
    pub rate: Rate,
    /// How many downloads go over it at one time.
    pub concurrent: u16,
    /// Computers behind it that do not have the release.
    pub computers: u64,
    /// Bytes that travel to them: deltas where there are some, whole payloads else.
    pub bytes: u64,
}

impl LinkLoad {
    /// How long the link needs for it.
    #[must_use]
    pub fn takes(&self) -> SignedDuration {
        SignedDuration::try_from(self.rate.time_for(self.bytes)).unwrap_or(SignedDuration::MAX)
    }

    /// In words, with the time at which it would be done if all of it began now.
    #[must_use]
    pub fn sentence(&self, now: Timestamp) -> String {
        let Self { link, rate, concurrent, computers, bytes: left } = self;
        let computers = counted(*computers, "computer", "computers");
        let takes = self.takes();
        let done = now.checked_add(takes).unwrap_or(Timestamp::MAX);
        format!(
            "{computers} behind {link}, {rate} ({concurrent} at a time): {} take {}, done at about {} if all begin now",
            bytes(*left),
            span(takes),
            minute(done)
        )
    }
}

/// A time to the minute, since an estimate knows no seconds.
#[must_use]
pub fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Adds up what has to travel over each link.
#[derive(Debug)]
pub struct Loads<'a> {
    links: &'a BTreeMap<Word, Link>,
    table: LinkTable,
    found: BTreeMap<Word, (u64, u64)>,
}

impl<'a> Loads<'a> {
    /// Of these links.
    #[must_use]
    pub fn new(links: &'a BTreeMap<Word, Link>) -> Self {
        Self { links, table: LinkTable::new(links), found: BTreeMap::new() }
    }

    /// A computer whose last contact came so needs so many bytes.
    pub fn add(&mut self, came_by: Option<CameBy>, bytes: u64) {
        let Some(link) = came_by.and_then(CameBy::address).and_then(|address| self.table.of(address)) else {
            return;
        };
        let (computers, sum) = self.found.entry(link).or_default();
        (*computers, *sum) = (*computers + 1, sum.saturating_add(bytes));
    }

    /// What was added up, by the name of the link; links without any computer are left out.
    #[must_use]
    pub fn finish(self) -> Vec<LinkLoad> {
        let Self { links, found, .. } = self;
        let of = |(name, (computers, bytes))| {
            let link: &Link = links.get(&name)?;
            let (rate, concurrent) = (link.rate(), link.concurrent());
            Some(LinkLoad { link: name, rate, concurrent, computers, bytes })
        };
        found.into_iter().filter_map(of).collect()
    }
}

/// Bytes that travel to a computer that runs this: a delta from that, where there is one, or the whole payload.
#[must_use]
pub fn travels(payload_bytes: u64, deltas: &[DeltaRow], installed: &[InstalledPackage]) -> u64 {
    let leads_from = |delta: &&DeltaRow| installed.iter().any(|installed| installed.manifest == delta.base);
    deltas.iter().find(leads_from).map_or(payload_bytes, |delta| delta.bytes.min(payload_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came_from(address: &str) -> Option<CameBy> {
        Some(address.parse().unwrap())
    }

    #[test]
    fn computers_count_behind_the_link_that_their_last_contact_came_over() {
        let link =
            |subnet: &str| Link::new(vec![subnet.parse().unwrap()], "2 MB/s".parse().unwrap(), 3).unwrap();
        let links = BTreeMap::from([
            (Word::known("branch-north"), link("10.2.0.0/16")),
            (Word::known("branch-south"), link("10.3.0.0/16")),
        ]);
        let mut loads = Loads::new(&links);
        for last in 1..=10 {
            loads.add(came_from(&format!("10.2.0.{last}")), 120_000_000);
        }
        loads.add(came_from("192.0.2.1"), 120_000_000);
        loads.add(came_from("file"), 120_000_000);
        loads.add(None, 120_000_000);
        let found = loads.finish();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].computers, found[0].bytes), (10, 1_200_000_000));
        let now: Timestamp = "2026-03-01T23:30:00Z".parse().unwrap();
        assert_eq!(
            found[0].sentence(now),
            "10 computers behind branch-north, 2 MB/s (3 at a time): 1.2 GB take 10 min, done at about 2026-03-01 23:40 \
             UTC if all begin now"
        );
    }
}

//! Lists that a server gives page by page.
//!
//! Invariant: whatever a server answers, a list ends: each page goes on behind the one before, and how many rows, bytes and pages
//! are read of one list is bounded.
//! Left out on purpose: whether a list is right. A server can leave rows out.

use std::fmt::Display;

use anyhow::bail;
use sealpost_admin_api::client_lines::{ClientLine, ClientLinesPage};
use sealpost_admin_api::clients::{Client, ClientsPage};
use sealpost_admin_api::groups::MembersPage;
use sealpost_admin_api::pending::{PendingComputer, PendingPage};

use sealpost_admin_api::rollouts::{Delivered, DeliveredPage, Rollout, RolloutsPage};
use sealpost_admin_api::schedules::{ScheduleLine, SchedulesPage};
use sealpost_admin_api::setups::{SetupLine, SetupsPage};
use sealpost_admin_api::updates::{Update, UpdatesPage};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::ComputerName;
use serde::de::DeserializeOwned;

use super::api::{AdminApi, segment};

/// Most rows of one list: several times the computers of a large site.
const MAX_ROWS: usize = 1_000_000;
/// Most bytes of the answers of one list.
const MAX_BYTES: usize = 1024 * 1024 * 1024;
/// Most pages of one list. A page may be empty where the server looks through many computers for one that is wanted.
const MAX_PAGES: usize = 10_000;

/// A page of a list.
pub(super) trait Page: DeserializeOwned {
    type Row;
    /// Where the next page begins.
    type Place: Display + PartialEq;
    /// How the query names that.
    const GOES_ON: &'static str;

    fn rows(&mut self) -> &mut Vec<Self::Row>;
    fn next(&mut self) -> Option<Self::Place>;
    /// Whether a place is behind the one of the page before, as far as their order is known.
    fn is_behind(place: &Self::Place, before: &Self::Place) -> bool;
}

/// `page, field of the rows, row, place, the query's word, how a place is behind another`
macro_rules! page {
    ($page:ty, $rows:ident, $row:ty, $place:ty, $goes_on:literal, $is_behind:expr) => {
        impl Page for $page {
            type Row = $row;
            type Place = $place;
            const GOES_ON: &'static str = $goes_on;

            fn rows(&mut self) -> &mut Vec<Self::Row> {
                &mut self.$rows
            }

            fn next(&mut self) -> Option<Self::Place> {
                self.next.take()
            }

            fn is_behind(place: &Self::Place, before: &Self::Place) -> bool {
                let is_behind: fn(&Self::Place, &Self::Place) -> bool = $is_behind;
                is_behind(place, before)
            }
        }
    };
}

page!(ClientLinesPage, clients, ClientLine, String, "after", |place, before| place > before);
page!(ClientsPage, clients, Client, ComputerName, "after", |place, before| place > before);
page!(DeliveredPage, computers, Delivered, ComputerName, "after", |place, before| place > before);
page!(MembersPage, members, ComputerName, ComputerName, "after", |place, before| place > before);
page!(PendingPage, pending, PendingComputer, u64, "after", |place, before| place > before);
page!(SchedulesPage, schedules, ScheduleLine, ComputerName, "after", |place, before| place > before);
page!(SetupsPage, setups, SetupLine, ComputerName, "after", |place, before| place > before);
page!(RolloutsPage, rollouts, Rollout, u64, "before", |place, before| place < before);
// By package and counter, which the digest of a manifest does not say.
page!(UpdatesPage, updates, Update, Sha256Digest, "after", |place, before| place != before);

/// The pages of a list, one after the other.
pub(super) struct Pages<'a, P: Page> {
    api: &'a AdminApi,
    path: String,
    bounds: Bounds<P::Place>,
    is_done: bool,
}

impl<'a, P: Page> Pages<'a, P> {
    /// Of the list at a path, with what of it is wanted; nothing is asked yet.
    pub(super) fn of(api: &'a AdminApi, path: &str) -> Self {
        let bounds = Bounds { place: None, rows: 0, bytes: 0, pages: 0 };
        Self { api, path: path.to_owned(), bounds, is_done: false }
    }

    /// The next page; absent behind the last one.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<P>> {
        if self.is_done {
            return Ok(None);
        }
        let path = match &self.bounds.place {
            None => self.path.clone(),
            Some(place) => {
                let joint = if self.path.contains('?') { '&' } else { '?' };
                format!("{}{joint}{}={}", self.path, P::GOES_ON, segment(&place.to_string()))
            }
        };
        let (mut page, bytes): (P, usize) = self.api.get_measured(&path).await?;
        let next = page.next();
        self.is_done = next.is_none();
        self.bounds.take(page.rows().len(), bytes, next, P::is_behind)?;
        Ok(Some(page))
    }
}

/// All rows of a list.
pub(super) async fn all<P: Page>(api: &AdminApi, path: &str) -> anyhow::Result<Vec<P::Row>> {
    let mut pages = Pages::<P>::of(api, path);
    let mut rows = Vec::new();
    while let Some(mut page) = pages.next().await? {
        rows.append(page.rows());
    }
    Ok(rows)
}

/// What was read of a list.
struct Bounds<Place> {
    /// Where the next page begins.
    place: Option<Place>,
    rows: usize,
    bytes: usize,
    pages: usize,
}

impl<Place> Bounds<Place> {
    /// Takes a page, which goes on at `next`.
    fn take(
        &mut self,
        rows: usize,
        bytes: usize,
        next: Option<Place>,
        is_behind: impl Fn(&Place, &Place) -> bool,
    ) -> anyhow::Result<()> {
        self.rows += rows;
        self.bytes += bytes;
        self.pages += 1;
        let goes_round = match (&next, &self.place) {
            (Some(next), Some(place)) => !is_behind(next, place),
            _ => false,
        };
        if goes_round || self.rows > MAX_ROWS || self.bytes > MAX_BYTES || self.pages > MAX_PAGES {
            bail!("cannot read the list: the server answers without an end; is it a distributor?");
        }
        self.place = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin() -> Bounds<u64> {
        Bounds { place: None, rows: 0, bytes: 0, pages: 0 }
    }

    fn rises(place: &u64, before: &u64) -> bool {
        place > before
    }

    #[test]
    fn a_list_whose_pages_go_on_behind_each_other_is_read_to_its_end_also_past_empty_ones() {
        let mut bounds = begin();
        for place in 1..=2_000 {
            bounds.take(usize::from(place % 2 == 0) * 500, 100_000, Some(place), rises).unwrap();
        }
        bounds.take(1, 100, None, rises).unwrap();
        assert_eq!(bounds.rows, 500_001);
    }

    #[test]
    fn a_list_that_goes_round_or_has_too_much_of_anything_is_read_no_further() {
        for place in [6, 7] {
            let mut bounds = begin();
            bounds.take(1, 100, Some(7), rises).unwrap();
            assert!(bounds.take(1, 100, Some(place), rises).is_err(), "{place} behind 7");
        }
        for (rows, bytes, most) in [(0, 1, MAX_PAGES), (500, 1, MAX_ROWS / 500), (0, MAX_BYTES / 4, 4)] {
            let mut bounds = begin();
            let taken =
                (1..).take_while(|place| bounds.take(rows, bytes, Some(*place), rises).is_ok()).count();
            assert_eq!(taken, most, "{rows} rows of {bytes} bytes");
        }
    }
}

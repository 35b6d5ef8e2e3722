//! Contracts of lists: each row once and in order, whatever the size of a page, and none is cut off silently.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use futures_util::future::join_all;
use sealpost_ledger::Ledger;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, Platform};
use sealpost_site::queries::{
    ApprovedReleases, ClientLines, Clients, DeltaReleases, KnownReleases, MAX_PAGE, Recipients,
    ReleaseCounts, Releases, ReservedAmong, ReservedNames,
};
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::release::{KnownRelease, ReleaseState};
use sealpost_test_support::world::{PACKAGES, World, computer_name, installed, reject, reserve, withdraw};

use crate::bench::Bench;
use crate::fixture::{WorldExt, release, sound};

/// Releases of every package, some with the same counter, in four states.
async fn some_releases(world: &World, ledger: &Ledger) -> BTreeSet<Sha256Digest> {
    let mut all = BTreeSet::new();
    for (package, counters) in PACKAGES.into_iter().zip([0..3, 0..4, 0..2]) {
        for counter in counters {
            for platform in ["linux-x86_64", "any"] {
                let mut staged = world.staged(package, counter, &["stable"]);
                staged.release.platform = Platform::new(platform).unwrap();
                staged.manifest = Sha256Digest::of(staged.release.to_string().as_bytes());
                all.insert(staged.manifest);
                let manifest = staged.manifest;
                ledger.execute(world.at(5), staged).await.unwrap();
                match counter {
                    0 => ledger.execute(world.at(6), reject(manifest, "old")).await.unwrap(),
                    1 => _ = ledger.execute(world.at(6), world.approve(manifest)).await.unwrap(),
                    2 if platform == "any" => {
                        ledger.execute(world.at(6), withdraw(manifest, "crashes")).await.unwrap();
                    }
                    _ => {}
                }
            }
        }
    }
    all
}

async fn release_pages(ledger: &Ledger, state: Option<ReleaseState>, limit: u32) -> Vec<ReleaseRow> {
    let mut rows: Vec<ReleaseRow> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.manifest);
        let page = ledger.query(Releases { state, after, limit }).await.unwrap();
        assert!(page.len() <= limit as usize);
        let Some(first) = page.first() else { return rows };
        assert!(rows.iter().all(|row| row.manifest != first.manifest), "{} again", first.release);
        rows.extend(page);
    }
}

async fn known_pages(ledger: &Ledger, limit: u32) -> Vec<KnownRelease> {
    let mut rows: Vec<KnownRelease> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.manifest);
        let page = ledger.query(KnownReleases { after, limit }).await.unwrap();
        assert!(page.len() <= limit as usize);
        let Some(first) = page.first() else { return rows };
        assert!(rows.iter().all(|row| row.manifest != first.manifest), "{} again", first.release);
        rows.extend(page);
    }
}

/// Manifests of releases between which deltas may be of use; whether they are in use, and told.
async fn delta_pages(ledger: &Ledger, limit: u32) -> Vec<(Sha256Digest, bool, bool)> {
    let mut rows: Vec<(Sha256Digest, bool, bool)> = Vec::new();
    loop {
        let after = rows.last().map(|(manifest, ..)| *manifest);
        let page = ledger.query(DeltaReleases { after, limit }).await.unwrap();
        assert!(page.len() <= limit as usize);
        if page.is_empty() {
            return rows;
        }
        rows.extend(page.into_iter().map(|row| (row.release.manifest, row.in_use, row.told)));
    }
}

pub(super) async fn pages_give_every_release_once_and_in_order(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let all = some_releases(world, &ledger).await;
    let whole = release_pages(&ledger, None, MAX_PAGE).await;
    let manifests: BTreeSet<_> = whole.iter().map(|row| row.manifest).collect();
    assert_eq!(manifests, all);
    assert_eq!(whole.len(), all.len());
    assert!(whole.is_sorted_by_key(|row| {
        let release = row.release.clone();
        (release.package, Reverse(row.counter), release.platform, row.manifest)
    }));
    for limit in [1, 2, 7] {
        assert_eq!(release_pages(&ledger, None, limit).await, whole, "in pages of {limit}");
        for state in ReleaseState::ALL {
            let of_state: Vec<_> = whole.iter().filter(|row| row.state == state).cloned().collect();
            assert_eq!(release_pages(&ledger, Some(state), limit).await, of_state, "{state}, {limit}");
        }
        let known = known_pages(&ledger, limit).await;
        assert!(known.is_sorted_by_key(|release| release.manifest));
        assert_eq!(known.iter().map(|release| release.manifest).collect::<BTreeSet<_>>(), all);
        assert_eq!(known.len(), all.len());
    }
    // The place in the list of a release that is not known is not known either.
    let after = Some(Sha256Digest::of(b"unknown"));
    assert_eq!(ledger.query(Releases { state: None, after, limit: 7 }).await.unwrap(), []);
    let counts = ledger.query(ReleaseCounts {}).await.unwrap();
    let recounted: Vec<(ReleaseState, u64)> = counts
        .iter()
        .map(|(state, _)| (*state, whole.iter().filter(|row| row.state == *state).count() as u64))
        .collect();
    assert_eq!(counts, recounted);
    assert_eq!(counts.iter().map(|(_, count)| count).sum::<u64>(), all.len() as u64);
    sound(&ledger).await;
}

pub(super) async fn a_page_is_bounded_whatever_is_asked_for(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    world.unlock(&ledger, 2_000).await;
    let computers = (0..=MAX_PAGE).map(|number| reserve(&format!("pc-{number}")));
    for answer in join_all(computers.map(|command| ledger.execute(world.at(2), command))).await {
        answer.unwrap();
    }
    let staged = (0..=u64::from(MAX_PAGE)).map(|counter| world.staged("acme-av", counter, &["stable"]));
    for answer in join_all(staged.map(|command| ledger.execute(world.at(5), command))).await {
        answer.unwrap();
    }
    for (limit, length) in [(0, 1), (1, 1), (MAX_PAGE, 1_000), (MAX_PAGE + 1, 1_000), (u32::MAX, 1_000)] {
        let clients = Clients::all(None, limit);
        assert_eq!(ledger.query(clients).await.unwrap().len(), length, "clients, {limit}");
        let lines = ClientLines { after: None, limit };
        assert_eq!(ledger.query(lines).await.unwrap().len(), length, "lines, {limit}");
        let recipients = Recipients { after: None, running: None, limit };
        assert_eq!(ledger.query(recipients).await.unwrap().len(), length, "recipients, {limit}");
        let releases = Releases { state: None, after: None, limit };
        assert_eq!(ledger.query(releases).await.unwrap().len(), length, "releases, {limit}");
        let known = KnownReleases { after: None, limit };
        assert_eq!(ledger.query(known).await.unwrap().len(), length, "known releases, {limit}");
        let deltas = DeltaReleases { after: None, limit };
        assert_eq!(ledger.query(deltas).await.unwrap().len(), length, "delta releases, {limit}");
    }
}

pub(super) async fn a_thousand_releases_and_more_are_listed_whole(world: &World, bench: &dyn Bench) {
    const RELEASES: u64 = 1_203;
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    world.pull(&ledger, 4).await;
    // The last package in the alphabet has the most: a list that is cut off would miss them.
    let staged: Vec<_> = (0..RELEASES)
        .map(|number| {
            let package = PACKAGES[usize::from(number >= 100) + usize::from(number >= 200)];
            world.staged(package, number, &["stable"])
        })
        .collect();
    let all: BTreeSet<Sha256Digest> = staged.iter().map(|staged| staged.manifest).collect();
    let answers = join_all(staged.iter().map(|one| ledger.execute(world.at(5), one.clone()))).await;
    assert!(answers.iter().all(Result::is_ok));
    // Some of them are decided: one runs on a computer although it is superseded.
    let (older, newer) = (&staged[1_000], &staged[1_001]);
    let mut computer = world.enrolled(&ledger, "pc-1").await;
    ledger.execute(world.at(6), world.approve(older.manifest)).await.unwrap();
    world.contacts(&ledger, &mut computer, 7).await;
    computer.packages = vec![installed(&release(&ledger, older.manifest).await)];
    ledger.execute(world.at(8), world.approve(newer.manifest)).await.unwrap();
    let approved = ledger.query(ApprovedReleases {}).await.unwrap();
    assert_eq!(approved.iter().map(|release| release.manifest).collect::<Vec<_>>(), [newer.manifest]);
    world.contacts(&ledger, &mut computer, 9).await;
    let rejected = &staged[1_100];
    ledger.execute(world.at(9), reject(rejected.manifest, "too big")).await.unwrap();

    let known = known_pages(&ledger, MAX_PAGE).await;
    assert_eq!(known.len() as u64, RELEASES);
    assert_eq!(known.into_iter().map(|release| release.manifest).collect::<BTreeSet<_>>(), all);
    let rows = release_pages(&ledger, None, MAX_PAGE).await;
    assert_eq!(rows.len() as u64, RELEASES);
    assert_eq!(rows.into_iter().map(|row| row.manifest).collect::<BTreeSet<_>>(), all);
    for limit in [100, MAX_PAGE] {
        let deltas = delta_pages(&ledger, limit).await;
        assert!(deltas.is_sorted());
        let in_use: BTreeSet<_> =
            deltas.iter().filter(|(_, in_use, _)| *in_use).map(|(manifest, ..)| *manifest).collect();
        assert_eq!(in_use, BTreeSet::from([older.manifest, newer.manifest]));
        let told = deltas.iter().filter(|(.., told)| *told).map(|(manifest, ..)| *manifest);
        assert_eq!(told.collect::<Vec<_>>(), [newer.manifest]);
        let mut expected = all.clone();
        expected.remove(&rejected.manifest);
        assert_eq!(deltas.len(), expected.len());
        assert_eq!(deltas.into_iter().map(|(manifest, ..)| manifest).collect::<BTreeSet<_>>(), expected);
    }
    let counts = ledger.query(ReleaseCounts {}).await.unwrap();
    use ReleaseState::{Approved, Rejected, Staged, Superseded};
    assert_eq!(counts, [(Approved, 1), (Rejected, 1), (Staged, RELEASES - 3), (Superseded, 1)]);
}

pub(super) async fn a_thousand_computers_and_more_are_listed_whole(world: &World, bench: &dyn Bench) {
    const COMPUTERS: usize = 1_107;
    let ledger = bench.open();
    world.unlock(&ledger, 2_000).await;
    let names: BTreeSet<ComputerName> =
        (0..COMPUTERS).map(|number| computer_name(&format!("pc-{number}"))).collect();
    let reserved = names.iter().map(|name| ledger.execute(world.at(2), reserve(name.as_str())));
    assert!(join_all(reserved).await.iter().all(Result::is_ok));
    let mut computer = world.enrolled(&ledger, "pc-1106").await;
    world.contacts(&ledger, &mut computer, 5).await;
    for limit in [7, MAX_PAGE] {
        let mut recipients: Vec<ComputerName> = Vec::new();
        let mut clients: Vec<ComputerName> = Vec::new();
        let mut lines: Vec<ComputerName> = Vec::new();
        loop {
            let after = lines.last().cloned();
            let of_lines = ledger.query(ClientLines { after, limit }).await.unwrap();
            assert!(of_lines.len() <= limit as usize);
            lines.extend(of_lines.into_iter().map(|row| row.name));
            let after = recipients.last().cloned();
            let page = ledger.query(Recipients { after, running: None, limit }).await.unwrap();
            let after = clients.last().cloned();
            let rows = ledger.query(Clients::all(after, limit)).await.unwrap();
            assert!(page.len() <= limit as usize && page.len() == rows.len());
            if page.is_empty() {
                break;
            }
            recipients.extend(page.into_iter().map(|row| row.name));
            clients.extend(rows.into_iter().map(|row| row.name));
        }
        let page = |after| ReservedNames { after, limit };
        let reserved = ledger.all(page, ComputerName::clone).await.unwrap();
        assert!(reserved.iter().eq(names.iter()), "in pages of {limit}");
        assert!(recipients.iter().eq(names.iter()), "in pages of {limit}");
        assert_eq!(clients, recipients);
        assert_eq!(lines, recipients);
    }
    let asked = ["pc-0", "pc-1106", "pc-1107", "pc-"].map(computer_name).into();
    let among = ledger.query(ReservedAmong { names: asked }).await.unwrap();
    assert_eq!(among, ["pc-0", "pc-1106"].map(computer_name).into());
}

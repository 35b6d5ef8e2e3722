//! Releases that come by several deltas, or by one from nothing; and what is in the way of that.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sealpost_files::faults::{Failure, Step, failing};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::wire::refresh::{DeltaWay, Hop as Told};
use sealpost_manifests::wire::report::{InstallStep, ReasonCode, Way};
use sealpost_test_support::delta;
use sealpost_test_support::release::noise;

use crate::domain::record::SlotId;
use crate::domain::release::Refusal;
use crate::domain::way::hops;
use crate::flows::install::{ChangeEnd, Terms, downloads};
use crate::ports::Disk;
use crate::records::tries::{self, Tries};
use crate::spool::Spool;

use super::fixture::{But, Computer, FixedDisk, ONE, Published, TWO, delta, reason};

/// How the last release came, by its report.
fn way_of(computer: &Computer) -> Option<Way> {
    let spool = Spool::open(&computer.host.home).unwrap();
    spool.batch(0).iter().rev().find_map(|report| report.way)
}

/// Tells the last release's source of a way through the others, with a delta for each hop.
fn lead(releases: &[&Published], last: &mut Published) {
    let end = last.clone();
    let through = [releases, &[&end]].concat();
    let mut told = Vec::new();
    for pair in through.windows(2) {
        let bytes = delta(pair[0], pair[1]);
        told.push(Told { to: pair[1].signed.digest(), bytes: bytes.len() as u64 });
        let ends = (Some(pair[0].signed.digest()), pair[1].signed.digest());
        last.hops.insert(ends, bytes);
    }
    last.way = Some(DeltaWay { from: Some(releases[0].signed.digest()), hops: told });
    last.listed = releases[1..].iter().map(|release| release.signed.digest()).collect();
}

/// A computer with 1, and 2 and 3 to which a way leads.
fn on_the_way() -> (Computer, Published, Published, Published) {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let two = computer.publish("2", 2, TWO);
    let mut three = computer.publish("3", 3, "loadable three");
    lead(&[&one, &two], &mut three);
    (computer, one, two, three)
}

fn nothing_is_left(computer: &Computer, slots: usize) {
    let folder = computer.host.settings.install_root.join("acme/slots");
    assert_eq!(fs::read_dir(folder).unwrap().count(), slots, "slots");
    assert_eq!(fs::read_dir(computer.host.home.downloads()).unwrap().count(), 0, "downloads");
}

#[test]
fn several_deltas_lead_through_releases_that_never_run() {
    let (computer, _, _, mut three) = on_the_way();
    assert_eq!(computer.install(&mut three, 0).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&three, "through two");
    assert_eq!(three.fetches, ["delta", "delta"]);
    assert_eq!(way_of(&computer), Some(Way::Chain));
    nothing_is_left(&computer, 2);
}

#[test]
fn a_release_is_packed_from_nothing_for_whoever_has_nothing_or_too_old_a_one() {
    let computer = Computer::new();
    for (number, text) in [(1, ONE), (2, TWO)] {
        let mut release = computer.publish(&number.to_string(), number, text);
        let bytes = delta::from_nothing((&release.folder, &release.manifest));
        let to = release.signed.digest();
        let hops = vec![Told { to, bytes: bytes.len() as u64 }];
        release.hops.insert((None, to), bytes);
        release.way = Some(DeltaWay { from: None, hops });
        assert_eq!(computer.install(&mut release, 0).unwrap(), ChangeEnd::Kept);
        computer.assert_runs(&release, "packed");
        assert_eq!(release.fetches, ["delta"]);
        assert_eq!(way_of(&computer), Some(Way::Packed));
    }
    nothing_is_left(&computer, 2);
}

#[test]
fn a_way_that_leads_elsewhere_at_any_delta_ends_at_the_payload() {
    type Spoil = fn(&Computer, &Published, &Published, &mut Published);
    let cases: [(&str, Spoil); 6] = [
        ("a release that the vendor does not list", |_, _, _, three| three.listed.clear()),
        ("another release in the middle", |computer, one, two, three| {
            let other = computer.publish("2x", 8, "loadable other");
            three.hops.insert((Some(one.signed.digest()), two.signed.digest()), delta(one, &other));
        }),
        ("no delta in the middle", |_, one, two, three| {
            three.hops.insert((Some(one.signed.digest()), two.signed.digest()), b"no delta".to_vec());
        }),
        ("a delta that is absent", |_, _, two, three| {
            three.hops.remove(&(Some(two.signed.digest()), three.signed.digest()));
        }),
        ("another release at the end", |computer, _, two, three| {
            let other = computer.publish("3x", 9, "loadable other");
            three.hops.insert((Some(two.signed.digest()), three.signed.digest()), delta(two, &other));
        }),
        ("a delta of version 1", |_, one, two, three| {
            let first_version = b"slpdelta\x01\x00 of before".to_vec();
            three.hops.insert((Some(one.signed.digest()), two.signed.digest()), first_version);
        }),
    ];
    for (what, spoil) in cases {
        let (computer, one, two, mut three) = on_the_way();
        spoil(&computer, &one, &two, &mut three);
        // What was told of lengths is not what is tried here.
        let way = three.way.as_mut().unwrap();
        way.hops.iter_mut().for_each(|hop| hop.bytes = 100_000);
        assert_eq!(computer.install(&mut three, 0).unwrap(), ChangeEnd::Kept, "{what}");
        computer.assert_runs(&three, what);
        assert_eq!(three.fetches.last(), Some(&"payload"), "{what}");
        assert_eq!(way_of(&computer), Some(Way::Gzip), "{what}");
        nothing_is_left(&computer, 2);
    }
}

#[test]
fn a_delta_longer_than_it_was_told_and_a_way_from_something_else_end_at_the_payload() {
    let (computer, _, _, mut three) = on_the_way();
    three.way.as_mut().unwrap().hops[1].bytes -= 1;
    assert_eq!(computer.install(&mut three, 0).unwrap(), ChangeEnd::Kept);
    assert_eq!(three.fetches, ["delta", "delta", "payload"]);
    let (computer, _, two, mut three) = on_the_way();
    three.way.as_mut().unwrap().from = Some(two.signed.digest());
    assert_eq!(computer.install(&mut three, 0).unwrap(), ChangeEnd::Kept);
    assert_eq!(three.fetches, ["payload"]);
    nothing_is_left(&computer, 2);
}

#[test]
fn a_delta_that_ended_the_agent_twice_is_not_applied_again() {
    for (times, expected) in [(1, "delta"), (2, "payload")] {
        let (computer, one, two, _) = on_the_way();
        let mut next = computer.publish("2.1", 5, "loadable again");
        lead(&[&one, &two], &mut next);
        let last = hops(next.way.as_ref().unwrap()).pop().unwrap();
        let bytes = next.hops[&(last.from, last.to)].clone();
        // As crashes while it was applied leave it.
        fs::write(downloads::part(&computer.host.home, &last), bytes).unwrap();
        downloads::is_whole(&computer.host.home, &last).unwrap();
        let killed = Tries { unended: times, ..Tries::default() };
        tries::save(&computer.host.home, &next.signed.digest(), &killed).unwrap();
        assert_eq!(computer.install(&mut next, 0).unwrap(), ChangeEnd::Kept);
        computer.assert_runs(&next, expected);
        assert_eq!(next.fetches, [expected]);
        nothing_is_left(&computer, 2);
    }
}

#[test]
fn an_end_that_is_not_the_release_counts_as_a_failed_delta_and_not_as_a_failed_release() {
    let (computer, _, _, mut three) = on_the_way();
    let ends: Vec<_> = three.hops.keys().copied().collect();
    for end in ends {
        three.hops.insert(end, Vec::new());
    }
    assert_eq!(computer.install(&mut three, 0).unwrap(), ChangeEnd::Kept);
    let failed = |(step, _, reason): &(InstallStep, _, ReasonCode)| {
        *step == InstallStep::Build && *reason != ReasonCode::Done
    };
    assert!(!computer.reports().iter().any(failed));
}

#[test]
fn a_way_through_a_release_that_is_kept_takes_nothing_away() {
    let computer = Computer::new();
    // The same version was published twice: what is built on the way would have the name of the kept slot.
    let mut kept = computer.publish("3", 1, ONE);
    let mut runs = computer.publish("2", 2, TWO);
    for release in [&mut kept, &mut runs] {
        assert_eq!(computer.install(release, 0).unwrap(), ChangeEnd::Kept);
    }
    let mut next = computer.publish("3", 3, "cannot be loaded");
    lead(&[&runs, &kept], &mut next);
    computer.install(&mut next, 0).unwrap();
    computer.assert_runs(&runs, "the new one cannot be loaded");
    assert_eq!(next.fetches, ["delta", "delta", "payload"]);
    let previous = computer.record().previous.unwrap();
    assert_eq!(previous.manifest, kept.signed.digest());
    computer.slots().check(&previous.slot, &kept.manifest).unwrap();
}

#[test]
fn a_chain_that_the_disk_has_no_room_for_ends_at_the_payload_which_fits() {
    let reserve = 16 * 1024 * 1024;
    let more = noise(4_000_000);
    // What is passed is larger than the disk; and it is not, but it does not fit beside the release.
    for (passed, free, what) in [(&more[..], 200_000, "too large"), (&[], 100_000, "not beside")] {
        let mut computer = Computer::new();
        let mut one = computer.publish("1", 1, ONE);
        computer.install(&mut one, 0).unwrap();
        let two = computer.publish_with("2", 2, TWO, &[("lib/more", passed)]);
        let mut three = computer.publish("3", 3, "loadable three");
        lead(&[&one, &two], &mut three);
        computer.host.disk = Box::new(FixedDisk(reserve + free));
        assert_eq!(
            computer.install(&mut three, 0).unwrap(),
            ChangeEnd::Kept,
            "{what}: {}",
            computer.details()
        );
        computer.assert_runs(&three, what);
        assert_eq!(three.fetches, ["delta", "delta", "payload"], "{what}");
        nothing_is_left(&computer, 2);
    }
}

/// A disk without an end, which counts the slots whenever it is asked for its room.
#[derive(Debug)]
struct CountsSlots(PathBuf, Arc<Mutex<Vec<usize>>>);

impl Disk for CountsSlots {
    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        self.1.lock().unwrap().push(fs::read_dir(&self.0)?.count());
        Ok(u64::MAX)
    }
}

#[test]
fn a_long_chain_holds_no_more_than_one_release_that_is_passed_beside_the_next() {
    let mut computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    computer.install(&mut one, 0).unwrap();
    let passed: Vec<Published> = (2..5)
        .map(|number| computer.publish(&number.to_string(), number, &format!("loadable {number}")))
        .collect();
    let mut last = computer.publish("5", 5, "loadable five");
    let way: Vec<&Published> = [&one].into_iter().chain(&passed).collect();
    lead(&way, &mut last);
    let (slots, seen) = (computer.host.settings.install_root.join("acme/slots"), Arc::default());
    computer.host.disk = Box::new(CountsSlots(slots, Arc::clone(&seen)));
    assert_eq!(computer.install(&mut last, 0).unwrap(), ChangeEnd::Kept);
    assert_eq!(last.fetches, ["delta"; 4]);
    // What runs, what was passed, and what is built.
    assert_eq!(seen.lock().unwrap().iter().max(), Some(&3));
    nothing_is_left(&computer, 2);
}

/// Installs 3 on a disk that is full from its `nth` step on, until the payload comes or for good; and whether that step was
/// a write of what the way passes.
fn install_on_a_full_disk(nth: usize, fits_again: bool) -> (Computer, Published, bool) {
    let (computer, _, two, mut three) = on_the_way();
    let (vetted, wanted) = (computer.vet(&three).unwrap(), computer.assignment(&three, 0));
    let passed = SlotId::of(&three.manifest.release.version, &two.signed.digest());
    // Takes the fault away that is planned.
    let is_empty = || failing(usize::MAX, Failure::Broken, || Ok(())).answer;
    let mut source = But::new(&mut three);
    if fits_again {
        source.payload = &is_empty;
    }
    let terms = Terms::unhindered(&wanted);
    let ran = computer.with_engine(|engine| {
        failing(nth, Failure::Full, || engine.install(&vetted, terms, &mut source).is_ok())
    });
    let failed = ran.failed.filter(|(step, _)| *step == Step::Write);
    let is_passed = failed.is_some_and(|(_, path)| path.to_str().unwrap().contains(passed.as_str()));
    (computer, three, is_passed)
}

#[test]
fn a_disk_that_gets_full_of_what_a_chain_passes_ends_at_the_payload() {
    let nth = (1..300).find(|nth| install_on_a_full_disk(*nth, false).2).unwrap();
    let (computer, three, _) = install_on_a_full_disk(nth, true);
    computer.assert_runs(&three, "by its payload");
    assert_eq!(three.fetches, ["delta", "delta", "payload"]);
    nothing_is_left(&computer, 2);
}

#[test]
fn applying_makes_way_at_any_moment_and_goes_on_with_what_came_and_was_built() {
    let (computer, _, two, mut three) = on_the_way();
    let slots = computer.host.settings.install_root.join("acme/slots");
    let building = |digest: &Sha256Digest| {
        let slot = SlotId::of(&three.manifest.release.version, digest);
        slots.join(format!("{slot}.building/bin/run"))
    };
    let (passed, wanted) = (building(&two.signed.digest()), building(&three.signed.digest()));
    // While the first delta is applied, and while the last one is.
    for place in [&passed, &wanted] {
        let interruption =
            || place.exists().then(|| Refusal::new(ReasonCode::Interrupted, "a contact is due"));
        let release = three.clone();
        let mut source = But { interruption: &interruption, ..But::new(&mut three) };
        let end = computer.install_from(&release, &mut source);
        assert_eq!(reason(&end), ReasonCode::Interrupted, "{end:?}");
        assert_eq!(three.fetches, ["delta", "delta"], "nothing is fetched again");
        assert_eq!(wanted.exists(), *place == wanted, "what is built of the wanted release is kept");
        assert!(!passed.exists());
        let kept = tries::load(&computer.host.home, &release.signed.digest());
        assert_eq!((kept.unended, kept.are_used_up()), (0, false), "it is no end of the agent");
    }
    assert_eq!(computer.install(&mut three, 0).unwrap(), ChangeEnd::Kept);
    assert_eq!((three.fetches.len(), way_of(&computer)), (2, Some(Way::Chain)));
    nothing_is_left(&computer, 2);
}

#[test]
fn deltas_have_one_budget_in_all_tries_and_are_not_tried_again_once_it_is_used_up() {
    let (computer, _, _, mut three) = on_the_way();
    // What earlier tries took, which were interrupted.
    let spent = Tries { spent_ms: 40_000, ..Tries::default() };
    tries::save(&computer.host.home, &three.signed.digest(), &spent).unwrap();
    let release = three.clone();
    let is_gone = || Err(Refusal::new(ReasonCode::NetworkFailed, "no payload now"));
    let end = computer.install_from(&release, &mut But { payload: &is_gone, ..But::new(&mut three) });
    assert_eq!((reason(&end), three.fetches.len()), (ReasonCode::NetworkFailed, 2), "{end:?}");
    // The server tells of the same way again.
    assert_eq!(computer.install(&mut three, 0).unwrap(), ChangeEnd::Kept);
    assert_eq!(three.fetches[2..], ["payload"]);
    nothing_is_left(&computer, 2);
}

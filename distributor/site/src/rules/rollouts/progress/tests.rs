use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::version::Version;

use super::*;
use crate::rules::rollouts::share::Share;
use crate::rules::rollouts::strategy::ErrorThreshold;

fn ring(name: &'static str, takes: Takes, sample: u32) -> Ring {
    Ring {
        name: Word::known(name),
        takes,
        soak_minutes: 15,
        minimum_sample: sample,
        success_percent: 90,
        errors: ErrorThreshold { count: 1, percent: 10 },
        concurrent: None,
        per_hour: None,
    }
}

fn waiting() -> RingProgress {
    RingProgress {
        state: RingState::Waiting,
        below: None,
        soaked: SignedDuration::ZERO,
        counts: RingCounts::default(),
    }
}

fn open(minutes: i64, succeeded: u64, failed: u64) -> RingProgress {
    RingProgress {
        state: RingState::Open { at: Timestamp::UNIX_EPOCH },
        soaked: SignedDuration::from_mins(minutes),
        counts: RingCounts { succeeded, failed, ..RingCounts::default() },
        ..waiting()
    }
}

fn rollout(rings: [RingProgress; 3]) -> Rollout {
    let strategy = Strategy::new(
        vec![
            ring("canary", Takes::First(1), 1),
            ring("early", Takes::percent(10), 3),
            ring("everyone", Takes::Everyone, 1),
        ],
        OnFailure::RollBack,
        None,
    );
    let version = Version::new("2").unwrap();
    Rollout {
        number: 7,
        release: ReleaseId { package: PackageName::new("av").unwrap(), version, platform: Platform::any() },
        manifest: Sha256Digest::of(b"two"),
        counter: ReleaseCounter(2),
        kind: PackageKind::Program,
        channels: vec![ChannelName::new("stable").unwrap()],
        strategy_name: Word::known("own"),
        strategy: strategy.unwrap(),
        emergency: false,
        state: RolloutState::Running,
        started_at: Timestamp::UNIX_EPOCH,
        changed: None,
        rings: rings.into(),
    }
}

const NOBODY_LOOKED: AdvanceFacts<'_> = AdvanceFacts { populations: None, overtaken_by: None };

fn of(members: u64, heard_of: u64) -> Population {
    Population { members, heard_of, below: Some(Threshold::share(Share::ALL)), ..Population::default() }
}

fn next(rings: [RingProgress; 3], populations: [Population; 3]) -> Result<Step, Waiting> {
    advance(&rollout(rings), &AdvanceFacts { populations: Some(&populations), overtaken_by: None })
}

#[test]
fn a_ring_of_a_number_of_computers_opens_once_somebody_looked_which_they_are() {
    let fresh = [waiting(), waiting(), waiting()];
    assert_eq!(advance(&rollout(fresh.clone()), &NOBODY_LOOKED), Err(Waiting::Survey));
    let step = next(fresh, [of(9, 9); 3]).unwrap();
    assert_eq!(
        step,
        Step::OpenRing { ring: 0, below: Some(Threshold::share(Share::ALL)), why: OpenReason::First }
    );
}

#[test]
fn the_next_ring_waits_for_soak_then_sample_then_gate() {
    let all = [of(1, 1), of(10, 10), of(100, 100)];
    let at = |first: RingProgress| next([first, waiting(), waiting()], all);
    let left = SignedDuration::from_mins(1);
    assert_eq!(at(open(14, 1, 0)), Err(Waiting::Soak { ring: 0, left }));
    let sample = Waiting::Sample { ring: 0, finished: 0, needed: 1, heard_of: Some(1) };
    // Before anybody finished there is nothing to watch.
    for minutes in [0, 15] {
        assert_eq!(at(open(minutes, 0, 0)), Err(sample));
    }
    let passed = Step::OpenRing { ring: 1, below: None, why: OpenReason::Passed };
    assert_eq!(at(open(15, 1, 0)), Ok(passed));
    // 8 of 9 are below 90 %, and one failure of nine is above a tenth: it halts. One of eleven does not, and passes.
    let early = |progress| next([open(15, 1, 0), progress, waiting()], all);
    assert!(matches!(early(open(15, 8, 1)), Ok(Step::Halt { ring: 1, failed: 1, finished: 9, .. })));
    assert_eq!(early(open(15, 10, 1)), Ok(Step::OpenRing { ring: 2, below: None, why: OpenReason::Passed }));
}

#[test]
fn the_gate_holds_a_ring_that_the_threshold_does_not_halt() {
    let mut slow = rollout([open(15, 1, 0), open(15, 8, 1), waiting()]);
    let mut rings = slow.strategy.rings().to_vec();
    rings[1].errors.count = 2;
    slow.strategy = Strategy::new(rings, OnFailure::Halt, None).unwrap();
    let held = advance(&slow, &AdvanceFacts { populations: Some(&[of(9, 9); 3]), overtaken_by: None });
    assert_eq!(held, Err(Waiting::Gate { ring: 1, succeeded: 8, finished: 9 }));
}

#[test]
fn a_small_ring_needs_no_larger_sample_than_it_has_computers_and_an_empty_one_none() {
    let early = |members, progress| {
        next([open(15, 1, 0), progress, waiting()], [of(1, 1), of(members, members), of(9, 9)])
    };
    let opens = |why| Ok(Step::OpenRing { ring: 2, below: None, why });
    assert_eq!(early(2, open(15, 2, 0)), opens(OpenReason::Passed));
    assert_eq!(early(0, open(0, 0, 0)), opens(OpenReason::Empty));
    let sample = Waiting::Sample { ring: 1, finished: 1, needed: 2, heard_of: Some(2) };
    let mut works_on_it = open(15, 1, 0);
    works_on_it.counts.told = 1;
    assert_eq!(early(2, works_on_it), Err(sample));
    // A ring whose computers are all off is not empty: it waits, and says for whom.
    let off = next([open(15, 0, 0), waiting(), waiting()], [of(1, 0), of(9, 9), of(9, 9)]);
    assert_eq!(off, Err(Waiting::Sample { ring: 0, finished: 0, needed: 1, heard_of: Some(0) }));
}

#[test]
fn whether_a_ring_that_nobody_was_told_in_has_any_computer_is_asked_before_it_is_watched() {
    let early = |progress| rollout([open(15, 1, 0), progress, waiting()]);
    assert_eq!(advance(&early(open(0, 0, 0)), &NOBODY_LOOKED), Err(Waiting::Survey));
    let (mut told, left) = (open(0, 0, 0), SignedDuration::from_mins(15));
    told.counts.told = 1;
    let nobody_yet = |needed, heard_of| Err(Waiting::Sample { ring: 1, finished: 0, needed, heard_of });
    assert_eq!(
        advance(&early(told.clone()), &NOBODY_LOOKED),
        Err(Waiting::Survey),
        "others may run it already"
    );
    assert_eq!(
        next([open(15, 1, 0), told, waiting()], [of(1, 1), of(2, 2), of(9, 9)]),
        nobody_yet(1, Some(2))
    );
    let looked = |ring| next([open(15, 1, 0), ring, waiting()], [of(1, 1), of(2, 2), of(9, 9)]);
    assert_eq!(looked(open(0, 0, 0)), nobody_yet(1, Some(2)));
    assert_eq!(looked(open(0, 1, 0)), Err(Waiting::Soak { ring: 1, left }));
}

/// As after a halt that was thought over: the computers of the ring run the release already, and nobody tells them again.
#[test]
fn computers_that_run_the_release_without_being_told_are_its_sample() {
    let runs = |running, waiting| Population { running, waiting, ..of(5, 5) };
    let early =
        |minutes, found| next([open(15, 1, 0), open(minutes, 0, 0), waiting()], [of(1, 1), found, of(9, 9)]);
    let passed = Step::OpenRing { ring: 2, below: None, why: OpenReason::Passed };
    let left = SignedDuration::from_mins(12);
    assert_eq!(early(3, runs(3, 2)), Err(Waiting::Soak { ring: 1, left }));
    assert_eq!(early(15, runs(3, 2)), Ok(passed.clone()));
    assert!(matches!(early(15, runs(2, 2)), Err(Waiting::Sample { finished: 2, needed: 3, .. })));
    // No larger sample is to come.
    assert_eq!(early(15, runs(2, 0)), Ok(passed));
    assert!(is_watched(&open(0, 0, 0), Some(&runs(1, 0))));
    assert!(!is_watched(&open(0, 0, 0), Some(&runs(0, 5))) && !is_watched(&open(0, 0, 0), None));
}

#[test]
fn silence_is_a_failure_and_what_was_forgiven_halts_no_more() {
    let mut canary = open(0, 0, 0);
    canary.counts.silent = 1;
    let halted = next([canary.clone(), waiting(), waiting()], [of(1, 1); 3]);
    assert!(matches!(
        halted,
        Ok(Step::Halt { ring: 0, failed: 1, finished: 1, on_failure: OnFailure::RollBack })
    ));
    canary.counts.forgiven = 1;
    let resumed = next([canary, waiting(), waiting()], [of(1, 1); 3]);
    assert!(matches!(resumed, Err(Waiting::Sample { ring: 0, finished: 0, .. })), "{resumed:?}");
}

#[test]
fn a_failure_in_a_ring_that_has_passed_halts_too() {
    let mut late = open(15, 1, 0);
    late.counts.failed = 1;
    let halted = next([late, open(3, 0, 0), waiting()], [of(1, 1), of(10, 10), of(90, 90)]);
    assert!(matches!(halted, Ok(Step::Halt { ring: 0, .. })), "{halted:?}");
}

#[test]
fn a_paused_rollout_opens_nothing_and_still_halts() {
    let mut paused = rollout([open(15, 1, 0), waiting(), waiting()]);
    paused.state = RolloutState::Paused;
    let facts = AdvanceFacts { populations: Some(&[of(9, 9); 3]), overtaken_by: None };
    assert_eq!(advance(&paused, &facts), Err(Waiting::Person));
    paused.rings[0].counts.failed = 1;
    assert!(matches!(advance(&paused, &facts), Ok(Step::Halt { .. })));
    for state in RolloutState::ALL.into_iter().filter(|state| !state.is_live()) {
        paused.state = state;
        assert_eq!(advance(&paused, &facts), Err(Waiting::Person), "{state}");
        assert_eq!(open_next(&paused, &facts), Err(Waiting::Person), "{state}");
    }
}

#[test]
fn the_last_ring_is_watched_too_and_keeps_its_caps_until_nobody_waits() {
    let all = [of(1, 1), of(10, 10), of(90, 90)];
    let last = |progress| next([open(15, 1, 0), open(15, 3, 0), progress], all);
    assert!(matches!(last(open(14, 9, 0)), Err(Waiting::Soak { ring: 2, .. })));
    assert_eq!(last(open(15, 9, 0)), Ok(Step::Complete));
    let mut capped = rollout([open(15, 1, 0), open(15, 3, 0), open(15, 9, 0)]);
    let mut rings = capped.strategy.rings().to_vec();
    rings[2].concurrent = Some(5);
    capped.strategy = Strategy::new(rings, OnFailure::Halt, None).unwrap();
    assert_eq!(advance(&capped, &NOBODY_LOOKED), Err(Waiting::Survey));
    let mut waits = all;
    waits[2].waiting = 4;
    let facts = AdvanceFacts { populations: Some(&waits), overtaken_by: None };
    assert_eq!(advance(&capped, &facts), Err(Waiting::Capped { ring: 2, waiting: 4 }));
    let facts = AdvanceFacts { populations: Some(&all), overtaken_by: None };
    assert_eq!(advance(&capped, &facts), Ok(Step::Complete));
}

#[test]
fn the_newest_that_passed_a_ring_goes_on_and_one_that_only_opened_it_stops_nobody() {
    let older = rollout([open(15, 1, 0), open(3, 0, 0), waiting()]);
    let mut newer = Rollout { number: 8, counter: ReleaseCounter(3), ..older.clone() };
    assert_eq!(
        older.overtaken_by(&[newer.clone()]),
        None,
        "it only opened the ring in which the older one waits"
    );
    newer.rings[2] = open(0, 0, 0);
    assert_eq!(older.overtaken_by(&[newer.clone()]), Some(8));
    assert_eq!(newer.overtaken_by(std::slice::from_ref(&older)), None, "an older one overtakes nobody");
    for change in [
        |newer: &mut Rollout| newer.state = RolloutState::Halted,
        |newer: &mut Rollout| newer.state = RolloutState::Paused,
        |newer: &mut Rollout| newer.channels = vec![ChannelName::new("beta").unwrap()],
        |newer: &mut Rollout| newer.release.platform = Platform::new("linux-x86_64").unwrap(),
    ] {
        let mut other = newer.clone();
        change(&mut other);
        assert_eq!(older.overtaken_by(&[other]), None);
    }
    let facts = AdvanceFacts { populations: None, overtaken_by: Some(8) };
    assert_eq!(advance(&older, &facts), Err(Waiting::Overtaken { by: 8 }));
}

#[test]
fn a_person_opens_the_next_ring_whatever_it_waits_for() {
    let all = [of(1, 1), of(10, 10), of(90, 90)];
    let facts = AdvanceFacts { populations: Some(&all), overtaken_by: None };
    let asked = open_next(&rollout([open(0, 0, 0), waiting(), waiting()]), &facts);
    assert_eq!(asked, Ok(Step::OpenRing { ring: 1, below: None, why: OpenReason::Asked }));
    let last = rollout([open(0, 0, 0), open(0, 0, 0), open(0, 0, 0)]);
    assert_eq!(open_next(&last, &facts), Err(Waiting::Person), "there is no further ring");
}

#[test]
fn a_sample_that_cannot_grow_is_enough_when_somebody_is_in_it() {
    let early = |progress, waiting| {
        let ring = Population { waiting, ..of(5, 5) };
        next([open(15, 1, 0), progress, self::waiting()], [of(1, 1), ring, of(9, 9)])
    };
    let opens = Step::OpenRing { ring: 2, below: None, why: OpenReason::Passed };
    // The other four went on to a newer release.
    assert_eq!(early(open(15, 1, 0), 0), Ok(opens.clone()));
    assert_eq!(early(open(15, 2, 0), 0), Ok(opens));
    let sample = |finished, needed| Err(Waiting::Sample { ring: 1, finished, needed, heard_of: Some(5) });
    assert_eq!(early(open(15, 0, 0), 0), sample(0, 1), "nobody says that it works");
    assert_eq!(early(open(15, 1, 0), 1), sample(1, 2), "one still waits for it");
    let mut works_on_it = open(15, 1, 0);
    works_on_it.counts.begun = 4;
    assert_eq!(early(works_on_it, 0), sample(1, 3));
}

#[test]
fn failures_that_a_person_forgave_are_no_sample() {
    let mut canary = open(15, 0, 1);
    canary.counts.forgiven = 1;
    let all = [of(1, 1), of(10, 10), of(90, 90)];
    let sample = Waiting::Sample { ring: 0, finished: 0, needed: 1, heard_of: Some(1) };
    assert_eq!(next([canary.clone(), waiting(), waiting()], all), Err(sample), "nobody says that it works");
    canary.counts.succeeded = 1;
    let opens = Step::OpenRing { ring: 1, below: None, why: OpenReason::Passed };
    assert_eq!(next([canary, waiting(), waiting()], all), Ok(opens));
}

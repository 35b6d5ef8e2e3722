//! What is found in bytes that are alike.

use super::*;
use crate::apply::Progress;
use crate::testing::{noise, text};

fn found(base: &[u8], target: &[u8], own: bool, costs: Costs) -> Vec<Found> {
    let both = [base, target].concat();
    let pair = Pair { both: &both, base: base.len(), own, programs: false, most_indexed: usize::MAX };
    let mut go_on = |_: Progress| true;
    let mut found = pair.covers(&[costs], &Crew::new(1), &mut Ticker::new(&mut go_on, 1)).unwrap();
    let covers = found.pop().unwrap();
    let mut reached = 0;
    for cover in &covers {
        assert!(cover.target >= reached && cover.length > 0, "{cover:?}");
        reached = cover.target + cover.length;
        let end = if own { both.len() } else { base.len() };
        assert!(cover.base + cover.length <= end && cover.base < base.len() + cover.target, "{cover:?}");
    }
    assert!(reached <= target.len());
    covers
}

/// Bytes of the target that equal those of their cover.
fn equal(base: &[u8], target: &[u8], covers: &[Found]) -> usize {
    let both = [base, target].concat();
    let equal_in = |cover: &Found| {
        let old = &both[cover.base..cover.base + cover.length];
        old.iter().zip(&target[cover.target..]).filter(|(a, b)| a == b).count()
    };
    covers.iter().map(equal_in).sum()
}

#[test]
fn moved_blocks_and_scattered_changes_are_found() {
    let base = noise(100_000, 1);
    let mut target = [&base[60_000..], b"something new in between", &base[..60_000]].concat();
    for at in (500..100_000).step_by(997) {
        target[at] ^= 0x55;
    }
    for costs in [Costs::of_data(), Costs::of_text(), Costs::of_programs(target.len())] {
        let covers = found(&base, &target, false, costs);
        assert_eq!(covers.len(), 2, "changes are differences of two covers: {covers:?}");
        assert!(equal(&base, &target, &covers) > 99_000);
    }
}

#[test]
fn what_stands_before_in_the_target_is_copied_too() {
    let base = noise(5000, 1);
    let new = text(3000, 7);
    let target = [new.as_slice(), &base[..1000], &new].concat();
    let covers = found(&base, &target, true, Costs::of_text());
    assert!(covers.iter().any(|cover| cover.base >= base.len()), "{covers:?}");
    assert!(equal(&base, &target, &covers) > 3900);
    let without = found(&base, &target, false, Costs::of_text());
    assert!(equal(&base, &target, &without) < 1100);
}

#[test]
fn of_large_files_only_what_changed_is_looked_at_closely() {
    let base = text(10 << 20, 3);
    let mut target = base.clone();
    target.splice(1_000_000..1_000_100, b"another line\n".iter().copied());
    target.splice(7_000_000..7_000_000, base[2_000_000..2_000_200].iter().copied());
    for own in [false, true] {
        let covers = found(&base, &target, own, Costs::of_text());
        assert!(covers.len() <= 8, "{}", covers.len());
        assert!(target.len() - equal(&base, &target, &covers) < 40);
    }
}

#[test]
fn nothing_alike_and_nothing_at_all_are_no_covers() {
    assert!(found(b"", &noise(1000, 1), false, Costs::of_data()).is_empty());
    assert!(found(&noise(1000, 1), b"", true, Costs::of_data()).is_empty());
    assert!(found(&noise(300_000, 1), &noise(300_000, 2), true, Costs::of_data()).is_empty());
}

#[test]
fn it_can_be_stopped() {
    let (base, target) = (noise(300_000, 1), noise(300_000, 2));
    let both = [base.as_slice(), &target].concat();
    let pair = Pair { both: &both, base: base.len(), own: false, programs: false, most_indexed: usize::MAX };
    for most in 0..4 {
        let mut asked = 0;
        let mut go_on = |_: Progress| {
            asked += 1;
            asked <= most
        };
        let stopped = pair.covers(&[Costs::of_data()], &Crew::new(1), &mut Ticker::new(&mut go_on, 1));
        assert!(matches!(stopped, Err(Flaw::Cancelled)));
    }
}

use super::*;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * 24 * 3600).unwrap()
}

fn era(id: u8) -> EraId {
    if id == 0 { EraId::first() } else { EraId::from_random([id; 16]) }
}

fn receipt(of: u8, contacts: u64) -> Receipt {
    Receipt { era: era(of), contacts }
}

fn progress(of: u8, contacts: u64, base: u64) -> Progress {
    Progress { last: receipt(of, contacts), base }
}

fn restored(present: u8, past: &[u8]) -> RestoreState {
    RestoreState {
        era: era(present),
        past: past.iter().map(|id| era(*id)).collect(),
        restored: Some(Restored {
            at: at(10),
            epoch: Epoch::of(1, 0),
            resumes_until: at(40),
            confirmed: false,
            acknowledged: None,
        }),
    }
}

fn resumed(
    state: &RestoreState,
    known: Option<&Progress>,
    shown: &Receipt,
) -> Result<Resumption, ResumeRefusal> {
    resume(state, known, Some(shown), at(30), at(11))
}

fn loss(state: &RestoreState, known: Option<&Progress>, receipt: Option<&Receipt>, ahead: bool) -> bool {
    proves_loss(state, known, ShownProgress { receipt, documents_are_ahead: ahead })
}

#[test]
fn a_receipt_for_a_contact_that_the_ledger_does_not_have_proves_a_loss_and_an_old_one_does_not() {
    let whole = RestoreState::default();
    let known = progress(0, 80, 0);
    assert!(loss(&whole, Some(&known), Some(&receipt(0, 81)), false));
    // The disk of a computer as it was some time ago.
    assert!(!loss(&whole, Some(&known), Some(&receipt(0, 80)), false));
    assert!(!loss(&whole, Some(&known), Some(&receipt(0, 12)), true));
    // A client that the ledger lost shows it by a head that the ledger does not have.
    assert!(loss(&whole, None, Some(&receipt(0, 3)), true));
    assert!(!loss(&whole, None, Some(&receipt(0, 3)), false));
    // A lease alone shows it too, where no loss is known yet.
    assert!(loss(&whole, Some(&known), None, true));
    assert!(!loss(&restored(1, &[0]), Some(&known), None, true));
}

#[test]
fn what_was_lost_before_a_known_restore_proves_no_second_one_and_a_lost_era_does() {
    let state = restored(1, &[0]);
    assert!(!loss(&state, Some(&progress(0, 80, 0)), Some(&receipt(0, 90)), true));
    assert!(loss(&state, Some(&progress(1, 85, 80)), Some(&receipt(1, 86)), false));
    // Restored once more, to a state of before: the later era is one that this ledger never had.
    assert!(loss(&state, Some(&progress(1, 85, 80)), Some(&receipt(2, 85)), false));
    assert!(loss(&RestoreState::default(), Some(&progress(0, 80, 0)), Some(&receipt(1, 81)), false));
}

#[test]
fn whoever_came_further_before_the_restore_wins_also_after_the_other_was_resumed() {
    let state = restored(1, &[0]);
    let thief = resumed(&state, Some(&progress(0, 40, 0)), &receipt(0, 42)).unwrap();
    assert_eq!((thief.base, thief.displaces), (42, None));
    // The thief contacts often; what it collects since the restore counts nothing.
    let later = progress(1, 500, thief.progress.base);
    let right = resumed(&state, Some(&later), &receipt(0, 90)).unwrap();
    assert_eq!((right.base, right.displaces), (90, Some(42)));
    assert_eq!(right.progress.last.contacts, 501, "receipts only rise");
    let now = right.progress;
    assert_eq!(resumed(&state, Some(&now), &receipt(1, 500)), Err(ResumeRefusal::Displaced));
    assert_eq!(resumed(&state, Some(&now), &receipt(0, 42)), Err(ResumeRefusal::Displaced));
}

#[test]
fn an_old_disk_that_fits_the_restored_ledger_is_displaced_by_the_computer_that_went_on() {
    let state = restored(1, &[0]);
    // Its nonces are the ones of the backup, so it contacts in order.
    let thief = Progress::next(Some(&progress(0, 80, 0)), &era(1));
    assert_eq!(thief, progress(1, 81, 80));
    let right = resumed(&state, Some(&thief), &receipt(0, 81)).unwrap();
    assert_eq!(right.displaces, Some(80));
}

#[test]
fn a_clone_during_the_resumption_is_found_as_a_clone() {
    let state = restored(1, &[0]);
    let first = resumed(&state, Some(&progress(0, 80, 0)), &receipt(0, 90)).unwrap();
    assert_eq!(resumed(&state, Some(&first.progress), &receipt(0, 90)), Err(ResumeRefusal::Clone));
}

#[test]
fn a_client_is_resumed_once_and_only_within_the_window_and_its_lease() {
    let state = restored(1, &[0]);
    let known = progress(0, 80, 0);
    let shown = receipt(0, 90);
    assert_eq!(
        resume(&RestoreState::default(), Some(&known), Some(&shown), at(30), at(11)),
        Err(ResumeRefusal::NoWindow)
    );
    assert!(resume(&state, Some(&known), Some(&shown), at(40), at(40)).is_ok());
    assert_eq!(resume(&state, Some(&known), Some(&shown), at(90), at(41)), Err(ResumeRefusal::NoWindow));
    assert_eq!(
        resume(&state, Some(&known), Some(&shown), at(30), at(31)),
        Err(ResumeRefusal::LeaseEnded { at: at(30) })
    );
    assert_eq!(resume(&state, Some(&known), None, at(30), at(11)), Err(ResumeRefusal::NoReceipt));
}

#[test]
fn only_a_higher_epoch_of_the_vendor_confirms() {
    let state = restored(1, &[0]);
    assert!(!state.is_confirmed_by(Epoch::of(1, 0)) && !state.is_confirmed_by(Epoch::of(1, 7)));
    assert!(state.is_confirmed_by(Epoch::of(2, 0)));
    assert!(!RestoreState::default().is_confirmed_by(Epoch::of(9, 0)), "there is nothing to confirm");
}

#[test]
fn a_lost_client_takes_its_name_from_an_older_one_and_not_from_a_newer_decision() {
    let holder = |of, resumed_head| NameHolder {
        client_id: ClientId::from_random([4; 16]),
        era: era(of),
        resumed_head,
    };
    assert!(takes_name(&era(1), None, 10));
    assert!(takes_name(&era(1), Some(&holder(0, None)), 10), "the ledger's own is older");
    assert!(takes_name(&era(1), Some(&holder(1, Some(9))), 10));
    assert!(!takes_name(&era(1), Some(&holder(1, Some(10))), 10));
    assert!(!takes_name(&era(1), Some(&holder(1, None)), 10), "enrolled since the restore");
}

#[test]
fn a_head_of_another_log_shows_a_loss_unless_that_is_known() {
    let state = |confirmed: Option<bool>| RestoreState {
        restored: confirmed.map(|confirmed| Restored {
            at: Timestamp::UNIX_EPOCH,
            epoch: Epoch::of(1, 0),
            resumes_until: Timestamp::UNIX_EPOCH,
            confirmed,
            acknowledged: None,
        }),
        ..RestoreState::default()
    };
    let judged = |confirmed, lease, granted| {
        judge_witness(&state(confirmed), Epoch::of(lease, 0), Epoch::of(granted, 0))
    };
    // Never restored, as far as this ledger says.
    assert_eq!(judged(None, 1, 1), Witnessed::LogDiffers);
    assert_eq!(judged(None, 1, 2), Witnessed::LogDiffers);
    // Everybody is warned already, also where the lease is newer.
    assert_eq!(judged(Some(false), 1, 1), Witnessed::Known);
    assert_eq!(judged(Some(false), 2, 1), Witnessed::Known);
    // The vendor confirmed with epoch 2: leases of before carry heads of what was lost.
    assert_eq!(judged(Some(true), 1, 2), Witnessed::Known);
    assert_eq!(judged(Some(true), 2, 2), Witnessed::LogDiffers);
}

#[test]
fn a_confirmation_counts_only_with_a_grant_above_the_epoch_of_the_restore() {
    let restored = Restored {
        at: Timestamp::UNIX_EPOCH,
        epoch: Epoch::of(2, 0),
        resumes_until: Timestamp::UNIX_EPOCH,
        confirmed: true,
        acknowledged: None,
    };
    let state = RestoreState { restored: Some(restored), ..RestoreState::default() };
    for (highest, confirmed) in [(0, false), (1, false), (2, false), (3, true)] {
        let believed = state.clone().believed(Epoch::of(highest, 0));
        assert_eq!(believed.unconfirmed().is_none(), confirmed, "{highest}");
    }
}

#[test]
fn a_restore_ends_what_was_issued_before_it_and_nothing_that_came_after_it() {
    let before = |day| at(day).checked_sub(SignedDuration::from_micros(1)).unwrap();
    let (whole, unconfirmed) = (RestoreState::default(), restored(1, &[0]));
    let mut confirmed = unconfirmed.clone();
    confirmed.restored.as_mut().unwrap().confirmed = true;
    let rows = [
        // (the ledger, whether it was issued before the restore on day 10, its end, what becomes of that)
        (&whole, false, at(20), at(20), false),
        (&whole, true, at(20), at(20), false),
        (&unconfirmed, true, at(20), before(10), true),
        (&unconfirmed, true, at(10), before(10), true),
        (&unconfirmed, true, at(9), at(9), false),
        (&unconfirmed, false, at(20), at(20), false),
        (&unconfirmed, false, at(10), at(10), false),
        // The vendor's word says how many seats there are, and not who used which code.
        (&confirmed, true, at(20), before(10), true),
        (&confirmed, false, at(20), at(20), false),
    ];
    for (state, is_from_before, expires_at, expected, is_said) in rows {
        let end = state.end_of_setup(is_from_before, expires_at);
        assert_eq!(
            (end, state.that_ended(end).is_some()),
            (expected, is_said),
            "{is_from_before} {expires_at}"
        );
    }
}

#[test]
fn what_was_decided_about_two_computers_before_a_restore_has_to_be_decided_again() {
    let branch = Sha256Digest::of(b"branch");
    let (whole, unconfirmed) = (RestoreState::default(), restored(1, &[0]));
    let mut confirmed = unconfirmed.clone();
    confirmed.restored.as_mut().unwrap().confirmed = true;
    for is_from_before in [false, true] {
        assert_eq!(whole.kept(is_from_before, Some(branch)), Kept::Branch(branch));
        for state in [&whole, &unconfirmed, &confirmed] {
            assert_eq!(state.kept(is_from_before, None), Kept::Undecided);
        }
    }
    for state in [&unconfirmed, &confirmed] {
        assert_eq!(state.kept(true, Some(branch)), Kept::BeforeRestore(branch));
        assert_eq!(state.kept(false, Some(branch)), Kept::Branch(branch));
    }
}

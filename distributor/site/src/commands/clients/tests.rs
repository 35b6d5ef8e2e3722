mod copies;

use std::collections::BTreeMap;

use sealpost_keys::{KeyId, Minisig, SealingPublicKey};
use sealpost_manifests::ids::{EraId, Platform, SerialNumber, ServerId};
use sealpost_manifests::log::Frontier;
use sealpost_manifests::order::Epoch;

use super::*;
use crate::commands::Terms;
use crate::rows::ServerIdentity;
use crate::rules::enrollment::IssuedSetup;
use crate::rules::names::MixedScripts;
use crate::rules::restore::RestoreState;
use crate::rules::restore::Restored;
use crate::rules::rollouts::outages::Outages;
use crate::rules::seats::GrantedSeats;

const TODAY: i64 = 100;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * 24 * 3600).unwrap()
}

fn key(id: u8) -> PublicKey {
    PublicKey::new(KeyId::from_bytes([id; 8]), [id; 32])
}

fn name() -> ComputerName {
    ComputerName::new("pc-1").unwrap()
}

fn channel(name: &str) -> ChannelName {
    ChannelName::new(name).unwrap()
}

fn serial(id: u8) -> SerialNumber {
    SerialNumber::from_random([id; 19])
}

fn setup(id: u8) -> SetupId {
    SetupId::from_random([id; 16])
}

fn unconfirmed() -> RestoreState {
    let restored = Restored {
        at: at(99),
        epoch: Epoch::of(1, 0),
        resumes_until: at(130),
        confirmed: false,
        acknowledged: None,
    };
    RestoreState { era: EraId::from_random([1; 16]), past: vec![EraId::first()], restored: Some(restored) }
}

fn confirmed() -> RestoreState {
    let mut state = unconfirmed();
    state.restored.as_mut().unwrap().confirmed = true;
    state
}

fn decide<C: Command>(command: C, facts: <C::Facts as Query>::Answer) -> Decision<C::Answer> {
    let server = ServerIdentity { server_id: ServerId::of_site_key(&key(1)), site_key: key(1) };
    let context = Context {
        now: at(TODAY),
        server: &server,
        terms: &Terms::default(),
        log: &Frontier::empty(),
        outages: Outages::none(),
    };
    command.decide(facts, &context)
}

fn refusal<T: std::fmt::Debug>(decision: Decision<T>) -> ProblemCode {
    assert!(decision.changes.is_empty() && decision.notes.is_empty());
    decision.answer.unwrap_err().code
}

fn reserve(serial: Option<SerialNumber>) -> Reserve {
    Reserve {
        actor: Actor::socket("alice"),
        name: name(),
        channel: None,
        mixed: MixedScripts::AskBack,
        serial,
    }
}

/// Two serial numbers with seats; the name holds those of `reserved`.
fn seats(reserved: &[u8], restore: RestoreState) -> SeatFacts {
    let grant =
        |id| GrantedSeats { serial: serial(id), seats: 5, used: 1, not_after: at(366), ends_at: None };
    let serials: BTreeSet<SerialNumber> = reserved.iter().map(|id| serial(*id)).collect();
    let held = Held { channel: channel("stable"), serials };
    SeatFacts {
        held: (!reserved.is_empty()).then(|| (name(), held)).into_iter().collect(),
        channels: BTreeSet::from([channel("beta"), channel("stable")]),
        grants: vec![grant(1), grant(2)],
        restore,
    }
}

/// The serial number whose seat is taken, if one is.
fn taken(decision: &Decision<ComputerName>) -> Option<SerialNumber> {
    assert_eq!(decision.answer, Ok(name()));
    match decision.changes.as_slice() {
        [] => None,
        [(_, Change::SeatReserved { serial, .. })] => Some(serial.clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_takes_one_seat_of_each_serial_number_and_one_of_any_is_enough_for_whoever_names_none() {
    let whole = RestoreState::default;
    assert_eq!(taken(&decide(reserve(None), seats(&[], whole()))), Some(serial(1)));
    assert_eq!(taken(&decide(reserve(None), seats(&[2], whole()))), None);
    assert_eq!(taken(&decide(reserve(Some(serial(2))), seats(&[1], whole()))), Some(serial(2)));
    assert_eq!(taken(&decide(reserve(Some(serial(2))), seats(&[1, 2], whole()))), None);
    let unknown = decide(reserve(Some(serial(3))), seats(&[1], whole()));
    assert_eq!(refusal(unknown), ProblemCode::NotUnlocked);
}

#[test]
fn who_holds_seats_of_ended_serial_numbers_alone_is_told_so_and_what_helps() {
    let ended = |held: &[u8], ended: &[usize]| {
        let mut facts = seats(held, RestoreState::default());
        for grant in ended {
            facts.grants[*grant].ends_at = Some(at(TODAY - 1));
        }
        facts
    };
    // (whose seats it holds, which ended, which it asks for, what becomes of it)
    let rows = [
        (vec![1], vec![0], None, Err(ProblemCode::SerialEnded)),
        (vec![1, 2], vec![0, 1], None, Err(ProblemCode::SerialEnded)),
        (vec![1, 2], vec![0], None, Ok(None)),
        (vec![1], vec![1], None, Ok(None)),
        (vec![1], vec![0], Some(serial(2)), Ok(Some(serial(2)))),
        // By its number it is as it was: the same command again changes nothing.
        (vec![1], vec![0], Some(serial(1)), Ok(None)),
    ];
    for (row, (held, over, wanted, expected)) in rows.into_iter().enumerate() {
        let decision = decide(reserve(wanted), ended(&held, &over));
        let found = match &decision.answer {
            Ok(_) => Ok(taken(&decision)),
            Err(problem) => {
                assert!(decision.changes.is_empty());
                Err(problem.code)
            }
        };
        assert_eq!(found, expected, "row {row}");
    }
    let problem = decide(reserve(None), ended(&[1], &[0])).answer.unwrap_err();
    assert!(
        problem.message.contains(&format!("pc-1 holds a seat of the serial number {} alone", serial(1))),
        "{problem}"
    );
    assert!(problem.hint.contains("`distributor clients reserve pc-1 --serial SERIAL`"), "{problem}");
    let (said, taken) = batch(vec![wanted("pc-1"), wanted("pc-2")], ended(&[1], &[0]));
    assert_eq!((said, taken), (vec!["serial_ended".to_owned(), "pc-2 stable 2".to_owned()], 1));
}

#[test]
fn a_name_that_holds_a_seat_is_moved_by_no_reservation_and_only_to_a_channel_that_there_is() {
    let beta = || Reserve { channel: Some(channel("beta")), ..reserve(None) };
    assert_eq!(taken(&decide(beta(), seats(&[], RestoreState::default()))), Some(serial(1)));
    let refused = decide(beta(), seats(&[1], RestoreState::default()));
    let hint = refused.answer.as_ref().unwrap_err().hint.clone();
    assert!(hint.contains("`distributor clients channel pc-1 beta`"), "{hint}");
    assert_eq!(refusal(refused), ProblemCode::WrongState);
    let typo = Reserve { channel: Some(channel("bata")), ..reserve(None) };
    assert_eq!(refusal(decide(typo, seats(&[], RestoreState::default()))), ProblemCode::NotFound);

    let facts = |follows: Option<&str>| ChannelFacts {
        channel: follows.map(channel),
        channels: BTreeSet::from([channel("beta"), channel("stable")]),
    };
    let to = |wanted: &str| ChangeChannel { actor: Actor::Server, name: name(), channel: channel(wanted) };
    let moved = decide(to("beta"), facts(Some("stable")));
    assert!(matches!(moved.changes.as_slice(), [(_, Change::ChannelChanged { .. })]), "{:?}", moved.changes);
    assert!(decide(to("beta"), facts(Some("beta"))).changes.is_empty(), "it is there already");
    assert_eq!(refusal(decide(to("bata"), facts(Some("stable")))), ProblemCode::NotFound);
    assert_eq!(refusal(decide(to("beta"), facts(None))), ProblemCode::NotReserved);
}

#[test]
fn a_spelling_with_a_dot_at_its_end_takes_no_second_seat_and_mixed_letters_are_asked_back() {
    let dotted = Reserve { name: ComputerName::new("PC-1.").unwrap(), ..reserve(None) };
    assert!(dotted.facts().names.contains(&name()), "it is looked up by the name that a seat would have");
    assert_eq!(taken(&decide(dotted.clone(), seats(&[1], RestoreState::default()))), None);
    assert_eq!(taken(&decide(dotted, seats(&[], RestoreState::default()))), Some(serial(1)));
    let mixed = ComputerName::new("p\u{441}-1").unwrap();
    let ask = Reserve { name: mixed, ..reserve(None) };
    let asked = decide(ask.clone(), seats(&[], RestoreState::default()));
    assert_eq!(refusal(asked), ProblemCode::BadRequest);
    let meant = decide(Reserve { mixed: MixedScripts::Meant, ..ask }, seats(&[], RestoreState::default()));
    assert_eq!(meant.changes.len(), 1);
}

#[test]
fn an_unconfirmed_ledger_gives_no_new_seat_and_answers_for_those_that_it_gave() {
    assert_eq!(refusal(decide(reserve(None), seats(&[], unconfirmed()))), ProblemCode::Unconfirmed);
    let further = decide(reserve(Some(serial(2))), seats(&[1], unconfirmed()));
    assert_eq!(refusal(further), ProblemCode::Unconfirmed);
    assert_eq!(taken(&decide(reserve(None), seats(&[1], unconfirmed()))), None);
    assert_eq!(taken(&decide(reserve(None), seats(&[], confirmed()))), Some(serial(1)));
}

fn wanted(text: &str) -> Wanted {
    Wanted { name: ComputerName::new(text).unwrap(), channel: None, serial: None }
}

fn reserve_many(wanted: Vec<Wanted>) -> ReserveMany {
    ReserveMany { actor: Actor::socket("alice"), wanted, mixed: MixedScripts::AskBack }
}

/// What became of each name, in short; and how many seats were taken.
fn batch(wanted: Vec<Wanted>, facts: SeatFacts) -> (Vec<String>, usize) {
    let decision = decide(reserve_many(wanted), facts);
    let said = decision.answer.unwrap().into_iter().map(|seat| match seat {
        Seat::Taken { name, channel, serial: of } => {
            let which = (1..=9).find(|id| serial(*id) == of).unwrap();
            format!("{name} {channel} {which}")
        }
        Seat::Held { name } => format!("{name} held"),
        Seat::Refused { problem, .. } => problem.code.to_string(),
    });
    let said = said.collect();
    let is_seat = |(_, change): &(Actor, Change)| matches!(change, Change::SeatReserved { .. });
    assert!(decision.changes.iter().all(is_seat) && decision.notes.is_empty());
    (said, decision.changes.len())
}

#[test]
fn each_name_of_a_batch_is_judged_alone_and_after_those_before_it() {
    let mixed = "p\u{441}-1";
    let beta = |text| Wanted { channel: Some(channel("beta")), ..wanted(text) };
    let asked = vec![
        wanted("pc-1"),
        beta("pc-1"),
        wanted("pc-2"),
        wanted("PC-2."),
        beta("pc-2"),
        Wanted { serial: Some(serial(2)), ..wanted("pc-2") },
        Wanted { channel: Some(channel("bata")), ..wanted("pc-3") },
        wanted(mixed),
        Wanted { serial: Some(serial(3)), ..wanted("pc-3") },
        beta("pc-4"),
    ];
    let (said, taken) = batch(asked, seats(&[1], RestoreState::default()));
    let expected = [
        "pc-1 held",
        "wrong_state",
        "pc-2 stable 1",
        "pc-2 held",
        "wrong_state",
        "pc-2 stable 2",
        "not_found",
        "bad_request",
        "not_unlocked",
        "pc-4 beta 1",
    ];
    assert_eq!(said, expected);
    assert_eq!(taken, 3);
}

#[test]
fn a_batch_takes_exactly_the_seats_that_are_free_and_the_same_again_takes_none() {
    let names: Vec<Wanted> = (0..20).map(|number| wanted(&format!("pc-{}", 10 + number))).collect();
    // Two serial numbers with four free seats each.
    let facts = seats(&[], RestoreState::default());
    let (said, taken) = batch(names.clone(), facts.clone());
    assert_eq!(taken, 8);
    assert!(said[..4].iter().all(|said| said.ends_with("stable 1")), "{said:?}");
    assert!(said[4..8].iter().all(|said| said.ends_with("stable 2")), "{said:?}");
    assert!(said[8..].iter().all(|said| said == "no_seat_free"), "{said:?}");
    let mut after = facts;
    for (number, seat) in
        decide(reserve_many(names.clone()), after.clone()).answer.unwrap().iter().enumerate()
    {
        let Seat::Taken { name, channel, serial } = seat else { break };
        let held = Held { channel: channel.clone(), serials: BTreeSet::from([serial.clone()]) };
        after.held.insert(name.clone(), held);
        after.grants[number / 4].used += 1;
    }
    let (again, taken) = batch(names, after);
    assert_eq!(taken, 0);
    assert!(again[..8].iter().all(|said| said.ends_with("held")), "{again:?}");
}

#[test]
fn a_batch_that_is_too_long_is_refused_whole_and_one_of_nobody_does_nothing() {
    let many = |count| (0..count).map(|number| wanted(&format!("pc-{number}"))).collect::<Vec<_>>();
    let most = reserve_many(many(MAX_RESERVED));
    assert!(decide(most, seats(&[], RestoreState::default())).answer.is_ok());
    let more = reserve_many(many(MAX_RESERVED + 1));
    assert_eq!(more.facts().names.len(), MAX_RESERVED, "no more is read than can be decided");
    assert_eq!(refusal(decide(more, seats(&[], RestoreState::default()))), ProblemCode::BadRequest);
    assert_eq!(batch(Vec::new(), seats(&[], RestoreState::default())), (Vec::new(), 0));
}

#[test]
fn a_name_that_holds_a_seat_in_an_older_spelling_takes_no_second_one_by_the_way() {
    let old = ComputerName::new("h.example.").unwrap();
    let mut facts = seats(&[], RestoreState::default());
    let held = Held { channel: channel("stable"), serials: BTreeSet::from([serial(1)]) };
    facts.held.insert(old.clone(), held);
    let beta = Wanted { channel: Some(channel("beta")), ..wanted("h.example.") };
    let (said, taken) = batch(vec![wanted("h.example."), beta], facts.clone());
    assert_eq!((said, taken), (vec!["h.example. held".to_owned(), "wrong_state".to_owned()], 0));
    let again = decide(Reserve { name: old.clone(), ..reserve(None) }, facts);
    assert_eq!((again.answer, again.changes.len()), (Ok(old), 0));
}

#[test]
fn a_setup_file_is_good_for_its_days_and_the_same_one_again_is_noted_once() {
    let issue = || IssueSetup { actor: Actor::socket("alice"), name: name(), setup: setup(2), valid_days: 7 };
    let newest = |number| NewestSetup { setup: setup(number), expires_at: at(TODAY), used: false };
    let held = |number| SetupFacts {
        held: BTreeMap::from([(name(), SetupsOf { newest: Some(newest(number)), enrolled: false })]),
    };
    let first = decide(issue(), held(1));
    assert_eq!(first.answer, Ok(at(TODAY + 7)));
    let [(_, Change::SetupIssued { setup: issued, expires_at, .. })] = first.changes.as_slice() else {
        panic!("{:?}", first.changes)
    };
    assert_eq!((issued, *expires_at), (&setup(2), at(TODAY + 7)));
    let again = decide(issue(), held(2));
    assert!(again.answer.is_ok() && again.changes.is_empty());
    let unreserved = decide(issue(), SetupFacts::default());
    assert_eq!(refusal(unreserved), ProblemCode::NotReserved);
}

#[test]
fn of_many_setup_files_those_are_issued_that_are_of_use() {
    let wants = |name: &str, has: Option<i64>| SetupWanted {
        name: ComputerName::new(name).unwrap(),
        setup: setup(9),
        has: has.map(|end| HasSetup { server: ServerId::of_site_key(&key(1)), expires_at: Some(at(end)) }),
    };
    let newest = |end, used| Some(NewestSetup { setup: setup(1), expires_at: at(end), used });
    let rows = [
        ("new", None, false),
        ("out", newest(TODAY + 3, false), false),
        ("over", newest(TODAY - 1, false), false),
        ("here", newest(TODAY + 3, true), true),
        ("dotted.", None, false),
    ];
    let held = rows
        .map(|(name, newest, enrolled)| (ComputerName::new(name).unwrap(), SetupsOf { newest, enrolled }));
    let facts = SetupFacts { held: held.into() };
    let issue = |wanted: Vec<SetupWanted>, again| {
        let command = IssueSetups { actor: Actor::socket("alice"), wanted, valid_days: 7, again };
        let decision = decide(command, facts.clone());
        let said = decision.answer.unwrap().into_iter().map(|issued| match issued {
            Issued::New { name, setup: id, expires_at, voids } => {
                assert_eq!((id, expires_at), (setup(9), at(TODAY + 7)));
                format!("{name} new{}", if voids { ", voids" } else { "" })
            }
            Issued::Good { name, expires_at } => {
                assert_eq!(expires_at, at(TODAY + 3));
                format!("{name} good")
            }
            Issued::Enrolled { name } => format!("{name} enrolled"),
            Issued::Refused { name, problem } => format!("{name} {}", problem.code),
        });
        let said: Vec<String> = said.collect();
        let noted: Vec<_> = decision
            .changes
            .iter()
            .map(|(_, change)| match change {
                Change::SetupIssued { name, .. } => name.as_str().to_owned(),
                other => panic!("{other:?}"),
            })
            .collect();
        let new: Vec<_> =
            said.iter().filter_map(|line| line.split_once(" new")).map(|(name, _)| name).collect();
        assert_eq!(noted, new, "what is answered is noted, and nothing else");
        said
    };
    let all = vec![
        wants("new", None),
        wants("OUT", Some(TODAY + 3)),
        wants("over", Some(TODAY - 1)),
        wants("here", Some(TODAY + 3)),
        wants("dotted.", None),
        wants("nobody", None),
        wants("new.", None),
    ];
    assert_eq!(
        issue(all.clone(), false),
        [
            "new new",
            "out good",
            "over new",
            "here enrolled",
            "dotted. new",
            "nobody not_reserved",
            "new bad_request"
        ]
    );
    assert_eq!(issue(all, true)[3], "here new", "a used code is not good for another computer");
    let elsewhere = vec![wants("out", None), wants("out", Some(TODAY + 2))];
    assert_eq!(issue(elsewhere, false), ["out new, voids", "out bad_request"]);
    // A file of another server is not replaced, whatever this one has issued.
    let others = HasSetup { server: ServerId::of_site_key(&key(7)), expires_at: None };
    let of_another = SetupWanted { has: Some(others), ..wants("new", None) };
    assert_eq!(issue(vec![of_another, wants("new", None)], true), ["new wrong_server", "new new"]);
    let more = vec![wants("new", None); MAX_SETUPS + 1];
    let command = IssueSetups { actor: Actor::socket("alice"), wanted: more, valid_days: 7, again: false };
    assert_eq!(refusal(decide(command, facts)), ProblemCode::BadRequest);
}

fn enroll(client_key: PublicKey, proven: Option<SetupId>) -> Enroll {
    Enroll {
        source: "192.0.2.7".to_owned(),
        enrollment: Enrollment {
            computer_name: name(),
            client_key,
            sealing_key: SealingPublicKey::from_bytes([7; 32]),
            server_id: ServerId::of_site_key(&key(1)),
            platform: Platform::any(),
            agent_version: "1.0".to_owned(),
        },
        proof: proven.map_or(Proof::Wrong, Proof::Setup),
        copy: None,
        new_id: ClientId::from_random([9; 16]),
    }
}

/// A setup was issued, and used by the client with this key.
fn issued(used_by: Option<PublicKey>, restore: RestoreState) -> EnrollmentFacts {
    let (signature, global) = ("A".repeat(95), "A".repeat(86));
    let minisig = format!("untrusted comment: c\nRUQA{signature}=\ntrusted comment: c\n{global}==\n");
    let client = used_by.clone().map(|client_key| EnrolledClient {
        client_id: ClientId::from_random([3; 16]),
        client_key,
        enrolled_at: at(50),
        last_contact: None,
        forked: false,
        kept_copy: Kept::Undecided,
    });
    EnrollmentFacts {
        setup: SetupState::Issued(IssuedSetup {
            setup: setup(1),
            expires_at: at(TODAY),
            used_by,
            admitted: None,
        }),
        client,
        grants: vec![SignedDocument {
            document: "grant".to_owned(),
            minisig: Minisig::parse(&minisig).unwrap(),
        }],
        restore,
        pending: PendingFacts::default(),
    }
}

#[test]
fn a_proven_code_binds_the_key_with_its_setup_and_an_unproven_one_binds_nothing() {
    let facts = || issued(None, RestoreState::default());
    let decision = decide(enroll(key(5), Some(setup(1))), facts());
    let [(_, Change::ClientEnrolled { setup: used, client_key, replaces: None, .. })] =
        decision.changes.as_slice()
    else {
        panic!("{:?}", decision.changes)
    };
    assert_eq!((used, client_key), (&setup(1), &key(5)));
    assert_eq!(decision.answer.unwrap().enrolled.enrolled_at, at(TODAY));
    for proven in [None, Some(setup(2))] {
        let decision = decide(enroll(key(5), proven), facts());
        assert_eq!(decision.answer.unwrap_err().code, ProblemCode::EnrollmentCodeWrong);
        let [(Actor::Stranger { .. }, Change::ComputerKnocked(_))] = decision.changes.as_slice() else {
            panic!("{:?}", decision.changes)
        };
    }
    let expired = EnrollmentFacts {
        setup: SetupState::Issued(IssuedSetup {
            setup: setup(1),
            expires_at: at(99),
            used_by: None,
            admitted: None,
        }),
        ..facts()
    };
    let late = decide(enroll(key(5), Some(setup(1))), expired);
    assert_eq!(refusal(late), ProblemCode::EnrollmentCodeExpired);
}

#[test]
fn a_code_of_before_a_restore_is_refused_with_the_reason_also_when_the_vendor_confirmed() {
    for restore in [unconfirmed(), confirmed()] {
        let expires_at = restore.end_of_setup(true, at(TODAY + 5));
        let of_before = |used_by: Option<PublicKey>| EnrollmentFacts {
            setup: SetupState::Issued(IssuedSetup {
                setup: setup(1),
                expires_at,
                used_by: used_by.clone(),
                admitted: None,
            }),
            ..issued(used_by, restore.clone())
        };
        let decision = decide(enroll(key(5), Some(setup(1))), of_before(None));
        assert!(decision.changes.is_empty());
        let problem = decision.answer.unwrap_err();
        assert_eq!(problem.code, ProblemCode::EnrollmentCodeExpired);
        assert!(problem.message.contains("ledger was restored"), "{problem:?}");
        assert!(problem.hint.contains("distributor clients setup"), "{problem:?}");
        let again = decide(enroll(key(5), Some(setup(1))), of_before(Some(key(5))));
        assert!(again.answer.is_ok(), "it was bound before");
    }
}

#[test]
fn an_unconfirmed_ledger_enrolls_nobody_anew_and_answers_who_enrolled_before() {
    let anew = decide(enroll(key(5), Some(setup(1))), issued(None, unconfirmed()));
    assert_eq!(refusal(anew), ProblemCode::Unconfirmed);
    let again = decide(enroll(key(5), Some(setup(1))), issued(Some(key(5)), unconfirmed()));
    assert!(again.changes.is_empty());
    assert_eq!(again.answer.unwrap().enrolled.client_id, ClientId::from_random([3; 16]));
}

#[test]
fn a_seat_without_its_grant_is_damage_and_enrolls_nobody() {
    let without = EnrollmentFacts { grants: Vec::new(), ..issued(None, RestoreState::default()) };
    assert_eq!(refusal(decide(enroll(key(5), Some(setup(1))), without)), ProblemCode::Internal);
}

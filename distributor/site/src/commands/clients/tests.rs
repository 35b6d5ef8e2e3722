use sealpost_keys::{KeyId, Minisig, SealingPublicKey};
use sealpost_manifests::ids::{EraId, Platform, ServerId};
use sealpost_manifests::log::Frontier;
use sealpost_manifests::order::Epoch;

use super::*;
use crate::commands::Terms;
use crate::rows::ServerIdentity;
use crate::rules::enrollment::IssuedSetup;
use crate::rules::restore::Restored;
use crate::rules::rollouts::outages::Outages;

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
    let grant = |id| GrantedSeats { serial: serial(id), seats: 5, used: 1, not_after: at(366) };
    SeatFacts {
        reserved: reserved.iter().map(|id| serial(*id)).collect(),
        channel: (!reserved.is_empty()).then(|| channel("stable")),
        channels: BTreeSet::from([channel("beta"), channel("stable")]),
        grants: vec![grant(1), grant(2)],
        restore,
    }
}

/// The serial number whose seat is taken, if one is.
fn taken(decision: &Decision<()>) -> Option<SerialNumber> {
    assert_eq!(decision.answer, Ok(()));
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
    assert_eq!(dotted.facts().name, name(), "it is looked up by the name that a seat would have");
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

#[test]
fn a_setup_file_is_good_for_its_days_and_the_same_one_again_is_noted_once() {
    let issue = || IssueSetup { actor: Actor::socket("alice"), name: name(), setup: setup(2), valid_days: 7 };
    let first = decide(issue(), SetupFacts { reserved: true, newest: Some(setup(1)) });
    assert_eq!(first.answer, Ok(at(TODAY + 7)));
    let [(_, Change::SetupIssued { setup: issued, expires_at, .. })] = first.changes.as_slice() else {
        panic!("{:?}", first.changes)
    };
    assert_eq!((issued, *expires_at), (&setup(2), at(TODAY + 7)));
    let again = decide(issue(), SetupFacts { reserved: true, newest: Some(setup(2)) });
    assert!(again.answer.is_ok() && again.changes.is_empty());
    let unreserved = decide(issue(), SetupFacts { reserved: false, newest: None });
    assert_eq!(refusal(unreserved), ProblemCode::NotReserved);
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
        proven,
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
    });
    EnrollmentFacts {
        setup: SetupState::Issued(IssuedSetup { setup: setup(1), expires_at: at(TODAY), used_by }),
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
        assert_eq!(refusal(decide(enroll(key(5), proven), facts())), ProblemCode::EnrollmentCodeWrong);
    }
    let expired = EnrollmentFacts {
        setup: SetupState::Issued(IssuedSetup { setup: setup(1), expires_at: at(99), used_by: None }),
        ..facts()
    };
    let late = decide(enroll(key(5), Some(setup(1))), expired);
    assert_eq!(refusal(late), ProblemCode::EnrollmentCodeExpired);
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

use sealpost_keys::KeyId;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::log::Frontier;

use super::*;
use crate::commands::Terms;
use crate::commands::clients::Held;
use crate::rows::ServerIdentity;
use crate::rules::enrollment::IssuedSetup;
use crate::rules::restore::RestoreState;
use crate::rules::rollouts::outages::Outages;
use crate::rules::seats::GrantedSeats;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * 24 * 3600).unwrap()
}

const TODAY: i64 = 100;

fn key(id: u8) -> PublicKey {
    PublicKey::new(KeyId::from_bytes([id; 8]), [id; 32])
}

fn name(text: &str) -> ComputerName {
    ComputerName::new(text).unwrap()
}

fn serial(id: u8) -> SerialNumber {
    SerialNumber::from_random([id; 19])
}

fn setup(id: u8) -> SetupId {
    SetupId::from_random([id; 16])
}

fn admit(id: u8) -> Admit {
    Admit {
        actor: Actor::socket("alice"),
        name: name("pc-1"),
        key: Fingerprint::of(&key(id)),
        whole: None,
        channel: None,
        mixed: MixedScripts::AskBack,
        serial: None,
        setup: setup(9),
    }
}

/// One seat of one serial number; keys 1 and 2 wait as pc-1.
fn facts(setup: SetupState, free: u32) -> AdmissionFacts {
    let known = NameFacts { setup, enrolled: None, waiting: vec![key(1), key(2)] };
    let grants =
        vec![GrantedSeats { serial: serial(1), seats: 1, used: 1 - free, not_after: at(200), ends_at: None }];
    let seats = SeatFacts {
        held: BTreeMap::new(),
        channels: BTreeSet::new(),
        grants,
        restore: RestoreState::default(),
    };
    AdmissionFacts { seats, names: BTreeMap::from([(name("pc-1"), known)]) }
}

fn reserved(setup: SetupState) -> AdmissionFacts {
    let mut facts = facts(setup, 0);
    let held = Held { channel: ChannelName::new("stable").unwrap(), serials: BTreeSet::from([serial(1)]) };
    facts.seats.held.insert(name("pc-1"), held);
    facts
}

fn decide(command: Admit, facts: AdmissionFacts) -> Decision<Admitted> {
    let server = ServerIdentity { server_id: ServerId::of_site_key(&key(1)), site_key: key(1) };
    let context = Context {
        now: at(TODAY),
        server: &server,
        terms: &Terms::default(),
        log: &Frontier::empty(),
        outages: &Outages::default(),
    };
    command.decide(facts, &context)
}

fn kinds(decision: &Decision<Admitted>) -> Vec<&'static str> {
    decision.changes.iter().map(|(_, change)| crate::changes::summary::kind(change)).collect()
}

fn refusal(decision: Decision<Admitted>) -> Problem {
    assert!(decision.changes.is_empty(), "{:?}", decision.changes);
    decision.answer.unwrap_err()
}

#[test]
fn a_name_without_a_seat_takes_one_with_the_admission_and_a_reserved_one_takes_none() {
    let taken = decide(admit(1), facts(SetupState::Unknown, 1));
    assert_eq!(kinds(&taken), ["seat_reserved", "computer_admitted"]);
    let answer = taken.answer.unwrap();
    let until = Admission::Until { expires_at: at(TODAY + i64::from(ADMITTED_DAYS)) };
    assert_eq!((answer.took, answer.admission, answer.replaces), (Some(serial(1)), until, false));

    let held = decide(admit(2), reserved(SetupState::Reserved));
    let [(_, Change::ComputerAdmitted(admitted))] = held.changes.as_slice() else {
        panic!("{:?}", held.changes)
    };
    assert_eq!((&admitted.client_key, &admitted.setup), (&key(2), &setup(9)));
    assert_eq!(held.answer.unwrap().took, None);
    // Of a computer that is enrolled under the name it is told.
    let mut enrolled = reserved(SetupState::Reserved);
    enrolled.names.get_mut(&name("pc-1")).unwrap().enrolled = Some(key(7));
    assert!(decide(admit(2), enrolled).answer.unwrap().replaces);
}

#[test]
fn only_a_key_that_waits_under_the_name_is_admitted_and_the_refusal_says_which_do() {
    let problem = refusal(decide(admit(3), facts(SetupState::Unknown, 1)));
    assert_eq!(problem.code, ProblemCode::NotFound);
    for id in [1, 2, 3] {
        assert!(problem.message.contains(&key(id).fingerprint()), "{problem:?}");
    }
    let other = Admit { name: name("pc-2"), ..admit(1) };
    let problem = refusal(decide(other, facts(SetupState::Unknown, 1)));
    assert!(problem.message.contains("nobody waits under this name"), "{problem:?}");
    // A dot at the end of what the admin types is none of the name.
    let dotted = Admit { name: name("pc-1."), ..admit(1) };
    assert_eq!(decide(dotted, facts(SetupState::Unknown, 1)).answer.unwrap().name, name("pc-1"));
}

#[test]
fn without_a_free_seat_nobody_without_one_is_admitted_and_the_channel_is_that_of_the_reservation() {
    assert_eq!(refusal(decide(admit(1), facts(SetupState::Unknown, 0))).code, ProblemCode::NoSeatFree);
    let beta = Admit { channel: ChannelName::new("beta").ok(), ..admit(1) };
    assert_eq!(refusal(decide(beta, reserved(SetupState::Reserved))).code, ProblemCode::WrongState);
}

#[test]
fn the_same_admission_again_changes_nothing_until_it_has_ended_and_another_one_voids_it() {
    let admitted = |id: u8, expires: i64, used_by: Option<u8>| {
        reserved(SetupState::Issued(IssuedSetup {
            setup: setup(1),
            expires_at: at(expires),
            used_by: used_by.map(key),
            admitted: Some(key(id)),
        }))
    };
    let out = decide(admit(1), admitted(1, TODAY, None));
    assert_eq!(
        (kinds(&out), out.answer.unwrap().admission),
        (vec![], Admission::Until { expires_at: at(TODAY) })
    );
    let used = decide(admit(1), admitted(1, TODAY - 1, Some(1)));
    assert_eq!((kinds(&used), used.answer.unwrap().admission), (vec![], Admission::Used));
    let ended = decide(admit(1), admitted(1, TODAY - 1, None));
    assert_eq!(kinds(&ended), ["computer_admitted"]);
    let other = decide(admit(2), admitted(1, TODAY, None));
    assert_eq!(kinds(&other), ["computer_admitted"]);
    // An ended one whose computer has not asked again.
    let mut gone = admitted(1, TODAY - 1, None);
    gone.names.get_mut(&name("pc-1")).unwrap().waiting.clear();
    assert_eq!(refusal(decide(admit(1), gone)).code, ProblemCode::NotFound);
}

#[test]
fn whom_the_list_has_no_room_for_is_admitted_by_its_whole_key_and_by_no_other() {
    let full = || facts(SetupState::Unknown, 1);
    let refused = decide(admit(3), full()).answer.unwrap_err();
    assert!(
        refused.code == ProblemCode::NotFound && refused.hint.contains("whole public key"),
        "{refused:?}"
    );
    let whole = Admit { whole: Some(key(3)), ..admit(3) };
    assert_eq!(decide(whole, full()).answer.unwrap().client_key, key(3));
    // What was typed twice has to be the same.
    let other = Admit { whole: Some(key(4)), ..admit(3) };
    assert_eq!(decide(other, full()).answer.unwrap_err().code, ProblemCode::NotFound);
    // Nobody waits under the name at all.
    let mut unknown = full();
    unknown.names.clear();
    let whole = Admit { whole: Some(key(3)), ..admit(3) };
    assert_eq!(decide(whole, unknown).answer.unwrap().client_key, key(3));
}

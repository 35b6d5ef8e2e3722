use super::Tried::{Failed, Licensed, NoFreeLicense, NotAsked, Refused};
use super::*;

const HOLD: SignedDuration = SignedDuration::from_mins(15);

fn server(number: u8) -> ServerId {
    ServerId::from_random([number; 16])
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
}

/// The primary is 1, the secondary 2.
fn candidates(primary: Tried, secondary: Tried) -> [Candidate; 2] {
    [Candidate { server: server(1), tried: primary }, Candidate { server: server(2), tried: secondary }]
}

fn serving(number: u8, why: Why) -> Serving {
    Serving { server: server(number), since: at(0), why, back: None }
}

fn held(minute: i64, answers: u32) -> Serving {
    let back = Back { server: server(1), since: at(minute), answers };
    Serving { back: Some(back), ..serving(2, Why::NoAnswer) }
}

/// The table of the transitions: who serves, what came of the primary and of the secondary, what is decided at minute 60,
/// and who serves then.
#[test]
fn each_transition_is_as_the_table_has_it() {
    let (primary, secondary) = (serving(1, Why::Preferred), serving(2, Why::NoAnswer));
    let switch = |why| ServingDecision::Switch { why };
    let hold = |minute: i64| ServingDecision::Hold { until: at(minute + 15) };
    let rows = [
        (&primary, Licensed, NotAsked, ServingDecision::Stay, 1),
        (&primary, Licensed, Licensed, ServingDecision::Stay, 1),
        (&primary, Licensed, Failed, ServingDecision::Stay, 1),
        (&primary, Failed, Licensed, switch(Why::NoAnswer), 2),
        (&primary, Refused, Licensed, switch(Why::Refused), 2),
        (&primary, Refused, Refused, ServingDecision::Lost, 1),
        (&secondary, Refused, Licensed, ServingDecision::Stay, 2),
        (&secondary, Licensed, Refused, switch(Why::CameBack), 1),
        (&primary, NoFreeLicense, Licensed, switch(Why::NoFreeLicense), 2),
        (&primary, Failed, Failed, ServingDecision::Lost, 1),
        (&primary, Failed, NoFreeLicense, ServingDecision::Lost, 1),
        (&primary, NoFreeLicense, NotAsked, ServingDecision::Lost, 1),
        (&secondary, Failed, Licensed, ServingDecision::Stay, 2),
        (&secondary, NoFreeLicense, Licensed, ServingDecision::Stay, 2),
        (&secondary, Licensed, Licensed, hold(60), 2),
        (&secondary, Licensed, Failed, switch(Why::CameBack), 1),
        (&secondary, Failed, Failed, ServingDecision::Lost, 2),
        (&held(45, 1), Licensed, Licensed, switch(Why::CameBack), 1),
        (&held(46, 1), Licensed, Licensed, hold(46), 2),
        (&held(46, 9), Licensed, Licensed, hold(46), 2),
        // Long ago, and only now for the second time.
        (&held(0, 1), Licensed, Licensed, switch(Why::CameBack), 1),
        (&held(50, 1), Failed, Licensed, ServingDecision::Stay, 2),
        (&held(50, 1), Failed, Failed, ServingDecision::Lost, 2),
        (&held(50, 1), NotAsked, NotAsked, ServingDecision::Stay, 2),
    ];
    for (number, (before, primary, secondary, wanted, serves)) in rows.into_iter().enumerate() {
        let (decision, after) = decide(Some(before), &candidates(primary, secondary), HOLD, at(60)).unwrap();
        assert_eq!((&decision, &after.server), (&wanted, &server(serves)), "row {number}");
        match decision {
            ServingDecision::Switch { why } => {
                assert_eq!(after, Serving { server: server(serves), since: at(60), why, back: None });
            }
            ServingDecision::Hold { .. } => assert!(after.back.is_some(), "row {number}"),
            ServingDecision::Lost => assert_eq!(after.back, None, "row {number}"),
            ServingDecision::Stay => {
                assert_eq!(after.back.is_some(), primary == NotAsked && secondary == NotAsked)
            }
        }
    }
}

#[test]
fn without_a_record_the_first_serves_and_without_a_server_nobody() {
    let (decision, first) = decide(None, &candidates(Licensed, NotAsked), HOLD, at(1)).unwrap();
    assert_eq!((decision, first), (ServingDecision::Stay, Serving::preferred(server(1), at(1))));
    let (_, second) = decide(None, &candidates(Failed, Licensed), HOLD, at(1)).unwrap();
    assert_eq!(second.server, server(2));
    assert_eq!(decide(None, &[], HOLD, at(1)), None);
    // One that was removed.
    let (_, first) =
        decide(Some(&serving(9, Why::NoAnswer)), &candidates(Licensed, Licensed), HOLD, at(1)).unwrap();
    assert_eq!(first, Serving::preferred(server(1), at(1)));
}

#[test]
fn the_first_is_asked_first_then_the_primaries_then_the_secondaries() {
    use ServerRole::{Primary, Secondary};
    let listed = [(1, Secondary), (2, Secondary), (3, Primary), (4, Secondary), (5, Primary)];
    let listed = listed.map(|(number, role)| (server(number), role));
    assert_eq!(order(&listed), [1, 3, 5, 2, 4].map(server));
}

#[test]
fn a_server_is_asked_until_one_has_a_license_up_to_the_one_that_serves_and_once_a_day() {
    let [failed, licensed] = [Failed, Licensed].map(|tried| [Candidate { server: server(1), tried }]);
    let asked =
        |serving, before: &[Candidate], hours: i64| is_asked(1, serving, before, Some(at(0)), at(hours * 60));
    assert!(!asked(0, &licensed, 23) && asked(0, &licensed, 24));
    assert!(asked(0, &failed, 1), "no license yet");
    assert!(asked(1, &licensed, 1) && asked(2, &licensed, 1), "the one that serves, and those before it");
    assert!(is_asked(1, 0, &licensed, None, at(0)), "never asked before");
    assert!(is_asked(1, 0, &licensed, Some(at(2_000)), at(0)), "the clock was set back");
}

#[test]
fn only_a_refusal_for_want_of_a_license_says_that_there_is_none() {
    assert_eq!(tried(Some(ProblemCode::NoSeatFree)), NoFreeLicense);
    assert_eq!(tried(Some(ProblemCode::Internal)), Refused);
    assert_eq!(tried(Some(ProblemCode::ContactForked)), Refused);
    assert_eq!(tried(None), Failed);
}

/// A clock that a test moves, with the primary and the secondary as a script has them up or down.
struct Days {
    now: i64,
    serving: Option<Serving>,
    /// When the computer switched, and to whom.
    switches: Vec<(i64, u8)>,
}

impl Days {
    fn new() -> Self {
        Self { now: 0, serving: None, switches: Vec::new() }
    }

    /// A cycle; the next one is due an hour later, or when a hold ends, or after `sooner` minutes.
    fn cycle(&mut self, primary: Tried, secondary: Tried, sooner: i64) {
        let candidates = candidates(primary, secondary);
        let (decision, serving) = decide(self.serving.as_ref(), &candidates, HOLD, at(self.now)).unwrap();
        assert!(
            candidates.iter().any(|candidate| candidate.server == serving.server),
            "only one that is known"
        );
        if let ServingDecision::Switch { .. } = decision {
            let number = if serving.server == server(1) { 1 } else { 2 };
            self.switches.push((self.now, number));
        }
        let mut next = self.now + sooner.min(60);
        if let ServingDecision::Hold { until } = decision {
            next = next.min((until.as_second() - at(0).as_second()) / 60).max(self.now + 1);
        }
        self.serving = Some(serving);
        self.now = next;
    }
}

/// Every sequence of eight states of the primary, with cycles as often as a server may cause them.
#[test]
fn while_the_secondary_stays_up_there_is_one_switch_at_most_within_a_hold() {
    for sequence in 0..3_usize.pow(8) {
        for pace in [1, 7, 14, 60] {
            let mut days = Days::new();
            let mut rest = sequence;
            for _ in 0..8 {
                days.cycle([Licensed, Failed, NoFreeLicense][rest % 3], Licensed, pace);
                rest /= 3;
            }
            for pair in days.switches.windows(2) {
                assert!(
                    pair[1].1 != 1 || pair[1].0 - pair[0].0 >= 15,
                    "{sequence} {pace}: {:?}",
                    days.switches
                );
            }
            let returns = days.switches.iter().filter(|(_, to)| *to == 1).count();
            let left = days.switches.iter().filter(|(_, to)| *to == 2).count();
            assert!(left <= returns + 1);
        }
    }
}

/// A return needs a primary that was good at every look for as long as the hold.
#[test]
fn a_primary_that_comes_and_goes_is_not_returned_to() {
    let mut days = Days::new();
    days.cycle(Failed, Licensed, 60);
    for turn in 0..1_000 {
        days.cycle(if turn % 3 == 2 { Failed } else { Licensed }, Licensed, 7);
    }
    assert_eq!(days.switches, [(0, 2)]);
}

/// From any past, and whatever the secondary does.
#[test]
fn a_primary_that_stays_up_serves_within_the_hold_and_one_look() {
    for past in 0..3_usize.pow(6) {
        let mut days = Days::new();
        let mut rest = past;
        for _ in 0..6 {
            let (primary, secondary) = [(Licensed, Licensed), (Failed, Licensed), (Failed, Failed)][rest % 3];
            days.cycle(primary, secondary, 60);
            rest /= 3;
        }
        let up_since = days.now;
        while days.serving.as_ref().unwrap().server != server(1) {
            days.cycle(Licensed, if past % 2 == 0 { Licensed } else { Failed }, 60);
            assert!(days.now - up_since <= 15 + 60, "{past}");
        }
    }
}

#[test]
fn a_clock_that_was_set_back_makes_the_wait_no_longer() {
    let before = Serving {
        back: Some(Back { server: server(1), since: at(100_000), answers: 1 }),
        ..serving(2, Why::NoAnswer)
    };
    let (decision, after) = decide(Some(&before), &candidates(Licensed, Licensed), HOLD, at(10)).unwrap();
    assert_eq!(decision, ServingDecision::Hold { until: at(25) });
    let (decision, _) = decide(Some(&after), &candidates(Licensed, Licensed), HOLD, at(25)).unwrap();
    assert_eq!(decision, ServingDecision::Switch { why: Why::CameBack });
}

#[test]
fn the_record_keeps_its_form() {
    let golden = format!(
        r#"{{"server":"{}","since":"2027-01-15T08:00:00Z","why":"no_answer","back":{{"server":"{}","since":"2027-01-15T08:45:00Z","answers":1}}}}"#,
        server(2),
        server(1)
    );
    let record: Serving = serde_json::from_str(&golden).unwrap();
    assert_eq!(record, held(45, 1));
    assert_eq!(serde_json::to_string(&record).unwrap(), golden);
}

#[test]
fn without_a_hold_the_second_answer_is_enough() {
    let before = serving(2, Why::NoAnswer);
    let none = SignedDuration::ZERO;
    let (decision, after) = decide(Some(&before), &candidates(Licensed, Licensed), none, at(10)).unwrap();
    assert_eq!(decision, ServingDecision::Hold { until: at(10) });
    let (decision, _) = decide(Some(&after), &candidates(Licensed, Licensed), none, at(10)).unwrap();
    assert_eq!(decision, ServingDecision::Switch { why: Why::CameBack });
}

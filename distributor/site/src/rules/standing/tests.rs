use super::*;
use crate::rules::rollouts::outages::Outage;

fn at(minutes: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_mins(minutes)).unwrap()
}

const HOUR: i64 = 60;
const DAY: i64 = 24 * HOUR;

/// One that was heard last at this minute.
fn enrolled(heard: i64, cadence: Option<&Cadence>) -> StandingFacts<'_> {
    StandingFacts { forked: Some(false), heard: Some(at(heard)), cadence, install: None }
}

/// What is known of a computer that came at these minutes.
fn cadence(contacts: impl IntoIterator<Item = i64>) -> Cadence {
    let mut last = None;
    for minute in contacts {
        let known = Cadence::at(last, at(minute), Outages::none());
        last = Some((at(minute), Some(known)));
    }
    last.and_then(|(_, known)| known).unwrap()
}

fn outages(out: &[(i64, i64)], now: i64) -> Outages {
    let found = out.iter().filter_map(|(from, until)| Outage::between(at(*from), at(*until)));
    Outages::known(found, at(now))
}

#[test]
fn each_state_has_its_facts_on_either_side_of_its_bound() {
    let hourly = cadence((0..40).map(|hour| hour * HOUR));
    let daily = cadence((0..40).map(|day| day * DAY));
    let none: &[(i64, i64)] = &[];
    use ComputerState::{Active, ContactLost, Reserved, TwoComputers};
    let nobody = StandingFacts { forked: None, heard: None, cadence: None, install: None };
    let copied = StandingFacts { forked: Some(true), ..enrolled(0, None) };
    let cases = [
        ("nobody came yet, for years", nobody, none, 900 * DAY, Reserved),
        ("two computers, which came just now", copied, none, 0, TwoComputers),
        ("two computers that are silent", copied, none, 90 * DAY, TwoComputers),
        ("enrolled just now", enrolled(0, None), none, 0, Active),
        ("enrolled, and 4 h and 65 min without a contact", enrolled(0, None), none, 4 * HOUR + 65, Active),
        ("enrolled, and 4 h and 66 min without one", enrolled(0, None), none, 4 * HOUR + 66, Active),
        ("enrolled, and 4 h and 67 min without one", enrolled(0, None), none, 4 * HOUR + 67, ContactLost),
        ("hourly, 5 h and 5 min ago", enrolled(0, Some(&hourly)), none, 5 * HOUR + 5, Active),
        ("hourly, 5 h and 7 min ago", enrolled(0, Some(&hourly)), none, 5 * HOUR + 7, ContactLost),
        ("daily, 25 h and 5 min ago", enrolled(0, Some(&daily)), none, DAY + 65, Active),
        ("daily, 25 h and 7 min ago", enrolled(0, Some(&daily)), none, DAY + 67, ContactLost),
        ("no server ran for a day", enrolled(0, None), &[(10, 10 + DAY)], DAY + 4 * HOUR, Active),
        ("nor since, and then it did", enrolled(0, None), &[(10, 10 + DAY)], DAY + 6 * HOUR, ContactLost),
        ("the clock went back", enrolled(9 * DAY, None), none, 0, Active),
    ];
    for (who, facts, out, now, wanted) in cases {
        assert_eq!(state(&facts, &outages(out, now), at(now)), wanted, "{who}");
    }
}

#[test]
fn the_longest_pause_is_waited_for_and_never_less_than_the_usual_one() {
    let minutes = |cadence: Option<&Cadence>| lost_after(cadence).as_mins();
    assert_eq!(minutes(None), 4 * HOUR + 66);
    assert_eq!(minutes(Some(&cadence([0]))), 4 * HOUR + 66);
    assert_eq!(minutes(Some(&cadence([0, 20]))), 4 * HOUR + 66);
    assert_eq!(minutes(Some(&cadence([0, 62 * HOUR]))), 62 * HOUR + 66);
    assert_eq!(minutes(Some(&cadence([0, 90 * DAY]))), 14 * DAY + 66, "nobody is waited for longer");
}

#[test]
fn a_computer_comes_every_minute_until_it_has_a_license_and_every_four_hours_from_then_on() {
    let lease = Some(at(900 * DAY));
    assert_eq!(due_by(at(0), None), at(0) + SignedDuration::from_secs(66));
    assert_eq!(due_by(at(0), lease), at(4 * HOUR + 24));
    assert_eq!(due_by(Timestamp::MAX, lease), Timestamp::MAX);
}

#[test]
fn a_state_is_read_as_it_is_written_and_as_people_write_it() {
    for state in ComputerState::ALL {
        assert_eq!(state.word().parse(), Ok(state));
        assert_eq!(state.to_string().parse(), Ok(state), "{state}");
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(json, format!("\"{}\"", state.word()));
        assert_eq!(serde_json::from_str::<ComputerState>(&json).unwrap(), state);
    }
    assert_eq!("two-computers".parse(), Ok(ComputerState::TwoComputers));
    assert_eq!("contact-lost".parse(), Ok(ComputerState::ContactLost));
    for unknown in ["", "lost", "planned", "act\u{0}ive", &"x".repeat(9_000)] {
        let error = unknown.parse::<ComputerState>().unwrap_err().to_string();
        assert!(error.contains("contact_lost") && error.len() < 300, "{error}");
    }
}

#[test]
fn the_gate_opens_with_the_first_lease_and_the_rest_of_it_closes_when_contact_is_lost() {
    let lease = Some(at(0));
    use ComputerState::{Active, ContactLost, Reserved, TwoComputers};
    let cases = [
        (Reserved, None, Gate::Closed, "-"),
        (Active, None, Gate::Closed, "-"),
        (Active, lease, Gate::Open, "run, upload, remote"),
        (ContactLost, lease, Gate::Run, "run"),
        (TwoComputers, lease, Gate::Run, "run"),
        (TwoComputers, None, Gate::Closed, "-"),
    ];
    for (state, lease_until, wanted, shown) in cases {
        let gate = Gate::of(state, lease_until);
        assert_eq!((gate, gate.to_string().as_str()), (wanted, shown), "{state}");
    }
}

/// Numbers of SplitMix64: each seed is one history.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        i64::try_from((mixed ^ (mixed >> 31)) >> 1).unwrap() % bound
    }
}

/// The minutes of contacts, each with what was known of the computer then.
type Contacts = Vec<(i64, Cadence)>;

/// A server that stops and starts, and a computer that comes when it can: its contacts, and the times in which no server ran.
fn history(random: &mut Random) -> (Contacts, Vec<(i64, i64)>) {
    let (mut now, mut last, mut out, mut heard) = (0, None, Vec::new(), Vec::new());
    for _ in 0..1 + random.below(60) {
        now += 1 + random.below(4 * HOUR);
        if random.below(3) == 0 {
            let down_for = 1 + random.below(3 * DAY);
            out.push((now, now + down_for));
            // It is up again, and the computer tries once an hour, a tenth later at the most.
            now += down_for + 66;
        }
        let known = Cadence::at(last, at(now), &outages(&out, now));
        last = Some((at(now), Some(known)));
        heard.push((now, known));
    }
    (heard, out)
}

#[test]
fn who_comes_whenever_a_server_runs_is_never_lost_and_who_stays_away_is_lost_until_it_comes() {
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let (heard, out) = history(&mut random);
        // While it comes: looked at just before each contact, by a server that runs.
        for pair in heard.windows(2) {
            let (before, next) = (pair[0], pair[1]);
            let found = state(&enrolled(before.0, Some(&before.1)), &outages(&out, next.0), at(next.0));
            assert_eq!(found, ComputerState::Active, "seed {seed}: {before:?} {next:?}");
        }
        // When it comes no more: active, then lost, and never active again by itself.
        let (end, known) = *heard.last().unwrap();
        let mut looks: Vec<i64> = (0..40).map(|_| end + random.below(30 * DAY)).collect();
        looks.sort_unstable();
        let mut was_lost = false;
        for look in looks {
            let found = state(&enrolled(end, Some(&known)), &outages(&out, look), at(look));
            let is_lost = found == ComputerState::ContactLost;
            let silent = SignedDuration::from_mins(look - end);
            assert_eq!(is_lost, silent > lost_after(Some(&known)), "seed {seed} at {look}");
            assert!(is_lost || !was_lost, "seed {seed} at {look}");
            was_lost = is_lost;
        }
    }
}

#[test]
fn a_planned_install_says_how_a_computer_stands_until_one_enrolls() {
    use crate::rules::install_tries::{InstallPlan, LastTry};
    use crate::rules::schedule::InstallOutcome;
    let tried = |outcome| Some(LastTry { attempt: 1, outcome, at: at(0) });
    for (last, minute, wanted) in [
        (None, 0, ComputerState::Scheduled),
        (tried(InstallOutcome::Started), 29, ComputerState::Installing),
        (tried(InstallOutcome::Started), 30, ComputerState::Failed),
        (tried(InstallOutcome::Unreachable), 0, ComputerState::Failed),
    ] {
        let plan = InstallPlan { at: at(0), over_ssh: true, last };
        let nobody = StandingFacts { forked: None, heard: None, cadence: None, install: Some(&plan) };
        assert_eq!(state(&nobody, Outages::none(), at(minute)), wanted);
        let came = StandingFacts { install: Some(&plan), ..enrolled(0, None) };
        assert_eq!(state(&came, Outages::none(), at(minute)), ComputerState::Active);
    }
}

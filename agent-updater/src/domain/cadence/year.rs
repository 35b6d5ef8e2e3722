//! A year of a site with 1,000 computers whose server is away now and then: who comes when, and how many at once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

const COMPUTERS: usize = 1_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;
/// All are switched on in this moment. Their seats are reserved half an hour later.
const RESERVED: i64 = HOUR / 2;
/// When no server answers, from and until: a restart, a change of a disk, a night, a weekend, and one after another.
const OUTAGES: [(i64, i64); 7] = [
    (10 * DAY, 10 * DAY + 3 * MINUTE),
    (40 * DAY, 40 * DAY + 2 * HOUR),
    (90 * DAY, 90 * DAY + 9 * HOUR),
    (150 * DAY, 150 * DAY + 62 * HOUR),
    (200 * DAY, 200 * DAY + HOUR),
    (200 * DAY + 2 * HOUR, 200 * DAY + 3 * HOUR),
    (200 * DAY + 4 * HOUR, 200 * DAY + 5 * HOUR),
];

fn is_away(at: i64) -> bool {
    OUTAGES.iter().any(|(from, until)| (*from..*until).contains(&at))
}

/// One computer as the daemon keeps it.
struct Computer {
    standing: Standing,
    came: i64,
    /// When its last contact was answered with a lease.
    answered: Option<i64>,
    /// Until when contact counts as good.
    good_until: Option<i64>,
}

/// Contacts that arrive at a server, also those that it does not answer, by minute.
struct Arrivals(Vec<u32>);

impl Arrivals {
    fn count(&mut self, at: i64) {
        let minute = usize::try_from(at / MINUTE).unwrap();
        if let Some(count) = self.0.get_mut(minute) {
            *count += 1;
        }
    }

    fn within(&self, from: i64, until: i64) -> &[u32] {
        &self.0[usize::try_from(from / MINUTE).unwrap()..usize::try_from(until / MINUTE).unwrap()]
    }

    fn sum(&self, from: i64, until: i64) -> u32 {
        self.within(from, until).iter().sum()
    }

    fn most(&self, from: i64, until: i64) -> u32 {
        self.within(from, until).iter().copied().max().unwrap()
    }
}

/// Steele, Lea and Flood's SplitMix64: one number after another.
struct Seeds(u64);

impl Seeds {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[test]
fn a_thousand_computers_keep_their_times_for_a_year_and_never_come_as_a_crowd() {
    let cadence = Cadence::default();
    let mut seeds = Seeds(2_026);
    let mut computers: Vec<Computer> = (0..COMPUTERS)
        .map(|_| Computer { standing: Standing::Unlicensed, came: 0, answered: None, good_until: None })
        .collect();
    let mut due: BinaryHeap<Reverse<(i64, usize)>> =
        (0..COMPUTERS).map(|index| Reverse((0, index))).collect();
    let mut arrivals = Arrivals(vec![0; usize::try_from(YEAR / MINUTE).unwrap()]);
    while let Some(Reverse((at, index))) = due.pop() {
        if at >= YEAR {
            break;
        }
        let computer = &mut computers[index];
        keeps_its_time(computer, at);
        arrivals.count(at);
        let outcome = match (is_away(at), at < RESERVED) {
            (true, _) => ContactOutcome::AllFailed,
            (false, true) => ContactOutcome::AnsweredWithoutLease,
            (false, false) => ContactOutcome::AnsweredWithLease,
        };
        computer.standing = standing_after(computer.standing, outcome);
        computer.came = at;
        let now = Timestamp::from_millisecond(at).unwrap();
        let next = next_contact(&cadence, computer.standing, now, seeds.next());
        if outcome == ContactOutcome::AnsweredWithLease {
            // A gap without an outage is never longer than contact counts as good.
            assert!(computer.good_until.is_none_or(|until| at <= until || was_away(computer, at)), "{index}");
            computer.answered = Some(at);
            let good = i64::try_from(contact_good_for(&cadence, now, next).as_millis()).unwrap();
            computer.good_until = Some(at + good);
        }
        due.push(Reverse((next.as_millisecond(), index)));
    }
    for computer in &computers {
        assert_eq!(computer.standing, Standing::Licensed);
        assert!(computer.answered.is_some_and(|answered| answered > YEAR - 5 * HOUR));
    }
    // Until the seats are there: each once a minute. Then the whole site has its leases within two minutes.
    let unlicensed = arrivals.sum(0, RESERVED);
    assert!((29_000..=31_500).contains(&unlicensed), "{unlicensed}");
    // Six times a day each, on a quiet day, and never a crowd: two weeks after all came at once the most of a minute are few.
    for day in [20, 75, 130, 190, 300, 364] {
        let contacts = arrivals.sum(day * DAY, (day + 1) * DAY);
        assert!((5_850..=6_150).contains(&contacts), "day {day}: {contacts}");
        let most = arrivals.most(day * DAY, (day + 1) * DAY);
        assert!(most <= 20, "day {day}: {most} in a minute");
    }
    // While no server answers, once an hour each, as soon as each has noticed.
    let lost = arrivals.sum(150 * DAY + 10 * HOUR, 150 * DAY + 60 * HOUR);
    assert!((49_000..=51_000).contains(&lost), "{lost}");
    for (_, until) in OUTAGES {
        // Everybody is back within an hour and its jitter, spread over it.
        let back = arrivals.most(until, until + 66 * MINUTE);
        assert!(back <= 60, "{back} in a minute after the outage until {until}");
    }
}

/// Whether a server was away at any time since the computer's last answer.
fn was_away(computer: &Computer, at: i64) -> bool {
    let since = computer.answered.unwrap_or(0);
    OUTAGES.iter().any(|(from, until)| *from < at && *until > since)
}

/// A computer comes after its minute, four hours or hour, a tenth sooner or later; and after an outage within 66 minutes.
fn keeps_its_time(computer: &Computer, at: i64) {
    let pause = at - computer.came;
    let wanted = match computer.standing {
        // All are switched on in the same moment.
        Standing::Unlicensed if at == 0 => return,
        Standing::Unlicensed => MINUTE,
        Standing::Licensed => 4 * HOUR,
        Standing::LostContact => HOUR,
    };
    assert!(
        (wanted * 9 / 10..=wanted * 11 / 10).contains(&pause),
        "{pause} ms after {:?}",
        computer.standing
    );
    if computer.standing == Standing::LostContact {
        let ended = OUTAGES.iter().map(|(_, until)| *until).filter(|until| *until <= at).max().unwrap_or(0);
        assert!(is_away(at) || at - ended <= 66 * MINUTE, "back {} ms after the outage", at - ended);
    }
}

use super::super::asking::{asks, at, client, repeated};
use super::super::dice::Dice;
use super::*;

fn link(concurrent: u16) -> Link {
    let subnet = "10.2.0.0/16".parse().unwrap();
    Link::new(vec![subnet], "2 MB/s".parse().unwrap(), concurrent).unwrap()
}

fn turn(asked: Asked) -> u64 {
    let Asked::Turn(number) = asked else { panic!("{asked:?}") };
    number
}

#[test]
fn turns_are_as_many_as_the_link_has_and_who_came_first_is_next() {
    let (mut line, link) = (Line::default(), link(2));
    let first = turn(line.ask(&asks(&client(1), 100), &link, at(0)));
    let _ = turn(line.ask(&asks(&client(2), 100), &link, at(0)));
    let wait = |ahead| Asked::Wait { ahead, again_in: SOONEST };
    assert_eq!(line.ask(&asks(&client(3), 100), &link, at(1)), wait(0));
    assert_eq!(line.ask(&asks(&client(4), 100), &link, at(2)), wait(1));
    assert_eq!(line.ask(&asks(&client(5), 100), &link, at(3)), wait(2));
    line.leave(&client(1), first, at(4));
    assert_eq!(line.ask(&asks(&client(5), 100), &link, at(5)), wait(2), "others came before");
    assert_eq!(line.ask(&asks(&client(4), 100), &link, at(5)), wait(1));
    let _ = turn(line.ask(&asks(&client(3), 100), &link, at(6)));
    assert_eq!(line.ask(&asks(&client(4), 100), &link, at(7)), wait(0));
    assert_eq!(line.under_way(), 2);
}

#[test]
fn who_does_not_come_back_loses_its_place_and_nobody_waits_for_it() {
    let (mut line, link) = (Line::default(), link(1));
    let first = turn(line.ask(&asks(&client(1), 100), &link, at(0)));
    let _ = line.ask(&asks(&client(2), 100), &link, at(0));
    let _ = line.ask(&asks(&client(3), 100), &link, at(100));
    line.leave(&client(1), first, at(110));
    assert!(matches!(line.ask(&asks(&client(3), 100), &link, at(120)), Asked::Wait { ahead: 1, .. }));
    let _ = turn(line.ask(&asks(&client(3), 100), &link, at(126)));
    assert!(matches!(line.ask(&asks(&client(2), 100), &link, at(127)), Asked::Wait { ahead: 0, .. }));
}

#[test]
fn who_holds_a_turn_and_reads_nothing_loses_it_when_somebody_waits() {
    let (mut line, link) = (Line::default(), link(1));
    let number = turn(line.ask(&asks(&client(1), 1 << 30), &link, at(0)));
    assert!(line.takes(&client(1), number, 1_000, at(1)));
    line.sends(&client(1), number, at(1));
    assert!(matches!(line.ask(&asks(&client(2), 100), &link, at(29)), Asked::Wait { ahead: 0, .. }));
    let _ = turn(line.ask(&asks(&client(2), 100), &link, at(30)));
    assert!(!line.takes(&client(1), number, 1_000, at(31)), "its download is cut, and goes on in its turn");
    assert!(matches!(line.ask(&asks(&client(1), 100), &link, at(32)), Asked::Wait { ahead: 0, .. }));
}

#[test]
fn who_took_much_and_then_nothing_more_loses_its_turn_too() {
    let (mut line, link) = (Line::default(), link(1));
    let number = turn(line.ask(&asks(&client(1), 1 << 30), &link, at(0)));
    assert!(line.takes(&client(1), number, 10_000_000, at(1)));
    line.sends(&client(1), number, at(1));
    assert!(matches!(line.ask(&asks(&client(2), 100), &link, at(60)), Asked::Wait { ahead: 0, .. }));
    let _ = turn(line.ask(&asks(&client(2), 100), &link, at(61)));
}

/// Client 1 takes so many bytes in each of 199 seconds while client 2 asks; whether it keeps its turn, and until when.
fn holds_out(each_second: u64, link: &Link) -> Result<(), u64> {
    let mut line = Line::default();
    let number = turn(line.ask(&asks(&client(1), 1 << 30), link, at(0)));
    for other in 1..link.concurrent() {
        // The other turns are out, and wait for the link and not for their readers.
        let other = client(100 + other);
        let number = turn(line.ask(&asks(&other, 1 << 30), link, at(0)));
        assert!(line.takes(&other, number, 1, at(0)));
    }
    for second in 1..200 {
        if !line.takes(&client(1), number, each_second, at(second)) {
            return Err(second);
        }
        line.sends(&client(1), number, at(second));
        let _ = line.ask(&asks(&client(2), 100), link, at(second));
    }
    Ok(())
}

#[test]
fn who_takes_far_less_than_its_share_loses_its_turn_within_a_minute_and_a_slow_computer_keeps_it() {
    let with = |rate: &str, concurrent| {
        Link::new(vec!["10.2.0.0/16".parse().unwrap()], rate.parse().unwrap(), concurrent).unwrap()
    };
    for (rate, concurrent, each_second, keeps) in [
        // An eighth of the share: 25 kB/s.
        ("2 MB/s", 10, 26_000, true),
        ("2 MB/s", 10, 20_000, false),
        // What agents give up themselves, where the share is least.
        ("80 kB/s", 10, 1_100, true),
        ("80 kB/s", 10, 900, false),
        // However fast the link is.
        ("1 GB/s", 1, 140_000, true),
        ("1 GB/s", 1, 1_100, false),
    ] {
        let held = holds_out(each_second, &with(rate, concurrent));
        assert_eq!(held.is_ok(), keeps, "{rate} {concurrent} {each_second}: {held:?}");
        assert!(held.is_ok() || held.is_err_and(|second| second <= 61), "{held:?}");
    }
}

#[test]
fn time_in_which_a_download_waits_for_others_costs_it_no_turn() {
    let (mut line, link) = (Line::default(), link(1));
    let number = turn(line.ask(&asks(&client(1), 1 << 30), &link, at(0)));
    for minute in 0..30 {
        // It is ready at once each time, and its next bytes are due a minute later.
        assert!(line.takes(&client(1), number, 1_000, at(minute * 60)));
        assert!(matches!(line.ask(&asks(&client(2), 100), &link, at(minute * 60 + 59)), Asked::Wait { .. }));
        line.sends(&client(1), number, at(minute * 60 + 60));
    }
}

#[test]
fn who_was_slow_and_is_fast_again_keeps_its_turn() {
    let (mut line, link) = (Line::default(), link(1));
    let number = turn(line.ask(&asks(&client(1), 1 << 30), &link, at(0)));
    line.sends(&client(1), number, at(0));
    assert!(line.takes(&client(1), number, 100_000, at(31)), "nobody waited");
    for _ in 0..40 {
        line.sends(&client(1), number, at(31));
        assert!(line.takes(&client(1), number, 128 * 1024, at(31)));
    }
    assert!(matches!(line.ask(&asks(&client(2), 100), &link, at(32)), Asked::Wait { .. }));
}

#[test]
fn whose_connection_broke_has_the_next_free_turn_for_a_minute_and_nobody_waits_for_it() {
    let (mut line, link) = (Line::default(), link(1));
    let number = turn(line.ask(&asks(&client(1), 100), &link, at(0)));
    for other in 2..=4 {
        let _ = line.ask(&asks(&client(other), 100), &link, at(1));
    }
    line.leave(&client(1), number, at(2));
    let number = turn(line.ask(&asks(&client(1), 60), &link, at(10)));
    line.leave(&client(1), number, at(11));
    let other = turn(line.ask(&asks(&client(2), 100), &link, at(12)));
    assert!(matches!(line.ask(&asks(&client(1), 60), &link, at(13)), Asked::Wait { ahead: 0, .. }));
    assert!(matches!(line.ask(&asks(&client(3), 100), &link, at(13)), Asked::Wait { ahead: 1, .. }));
    line.leave(&client(2), other, at(14));
    let number = turn(line.ask(&asks(&client(1), 60), &link, at(18)));
    line.leave(&client(1), number, at(19));
    assert!(
        matches!(line.ask(&asks(&client(1), 60), &link, at(80)), Asked::Wait { ahead: 2, .. }),
        "too late"
    );
}

#[test]
fn who_asks_again_in_its_turn_keeps_it_also_when_others_wait_and_who_is_done_does_not() {
    let (mut line, link) = (Line::default(), link(1));
    let first = turn(line.ask(&asks(&client(1), 100), &link, at(0)));
    let _ = line.ask(&asks(&client(2), 100), &link, at(1));
    let second = turn(line.ask(&asks(&client(1), 50), &link, at(5)));
    assert!(!line.takes(&client(1), first, 1, at(5)));
    assert!(line.takes(&client(1), second, 50, at(6)));
    line.leave(&client(1), second, at(7));
    assert!(matches!(line.ask(&asks(&client(1), 100), &link, at(8)), Asked::Wait { ahead: 1, .. }));
}

#[test]
fn nobody_comes_back_to_its_turn_for_ever() {
    let (mut line, link) = (Line::default(), link(1));
    let _ = turn(line.ask(&asks(&client(1), 100), &link, at(0)));
    let _ = line.ask(&asks(&client(2), 100), &link, at(0));
    for again in 1..=u64::from(MAX_RETURNS) {
        let _ = turn(line.ask(&asks(&client(1), 100), &link, at(again)));
    }
    assert!(matches!(line.ask(&asks(&client(1), 100), &link, at(9)), Asked::Wait { ahead: 1, .. }));
    let _ = turn(line.ask(&asks(&client(2), 100), &link, at(9)));
}

#[test]
fn a_client_has_one_turn_however_often_it_asks_and_the_newest_request_has_it() {
    let (mut line, link) = (Line::default(), link(2));
    let older = turn(line.ask(&asks(&client(1), 100), &link, at(0)));
    let newer = turn(line.ask(&asks(&client(1), 50), &link, at(1)));
    assert_eq!(line.under_way(), 1);
    assert!(!line.takes(&client(1), older, 1, at(2)));
    line.leave(&client(1), older, at(2));
    assert!(line.takes(&client(1), newer, 1, at(2)), "the end of the older one ends nothing else");
}

#[test]
fn who_is_far_back_comes_back_later_and_the_line_has_an_end() {
    let (mut line, link) = (Line::default(), link(1));
    let _ = turn(line.ask(&asks(&ClientId::from_random([0; 16]), 100_000_000), &link, at(0)));
    let mut waits = Vec::new();
    for number in 1..=MAX_WAITING + 5 {
        let mut bytes = [1; 16];
        bytes[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let asked = line.ask(&asks(&ClientId::from_random(bytes), 100_000_000), &link, at(0));
        let Asked::Wait { again_in, .. } = asked else { panic!("{asked:?}") };
        waits.push(again_in.as_secs());
    }
    assert_eq!(waits[..8], [5, 50, 100, 150, 200, 250, 300, 300]);
    assert_eq!(line.waiting.len(), MAX_WAITING);
}

#[test]
fn a_lower_number_of_turns_counts_from_the_next_one_on() {
    let mut line = Line::default();
    let first = turn(line.ask(&asks(&client(1), 100), &link(2), at(0)));
    let second = turn(line.ask(&asks(&client(2), 100), &link(2), at(0)));
    assert!(line.takes(&client(1), first, 10, at(1)) && line.takes(&client(2), second, 10, at(1)));
    assert!(matches!(line.ask(&asks(&client(3), 100), &link(1), at(1)), Asked::Wait { .. }));
    line.leave(&client(1), first, at(1));
    assert!(matches!(line.ask(&asks(&client(3), 100), &link(1), at(2)), Asked::Wait { .. }));
    line.leave(&client(2), second, at(2));
    let _ = turn(line.ask(&asks(&client(3), 100), &link(1), at(3)));
    assert!(!line.is_idle(at(4)));
}

#[test]
fn where_somebody_stands_counts_the_bytes_before_it() {
    let (mut line, link) = (Line::default(), link(1));
    let number = turn(line.ask(&asks(&client(1), 1_000), &link, at(0)));
    let _ = line.ask(&asks(&client(2), 500), &link, at(0));
    let _ = line.ask(&asks(&client(3), 40), &link, at(0));
    assert!(line.takes(&client(1), number, 200, at(1)));
    let standing = |number| line.standing(&client(number), at(1));
    assert_eq!(standing(1), Some(Standing { ahead: None, waiting: 2, bytes: 800 }));
    assert_eq!(standing(3), Some(Standing { ahead: Some(1), waiting: 2, bytes: 1_340 }));
    assert_eq!(standing(4), None);
    assert_eq!(line.standing(&client(3), at(1_000)), None, "its place is gone");
}

#[test]
fn everybody_who_keeps_coming_back_gets_a_turn_in_the_order_of_coming() {
    let mut dice = Dice::new(3);
    for _ in 0..50 {
        let concurrent = u16::try_from(1 + dice.below(4)).unwrap();
        let (mut line, link) = (Line::default(), link(concurrent));
        // When each comes again, and until when each downloads.
        let mut comes: BTreeMap<u16, u64> = (0..40).map(|number| (number, dice.below(100))).collect();
        let mut under_way: Vec<(u16, u64, u64)> = Vec::new();
        let (mut first_asked, mut served) = (Vec::new(), Vec::new());
        for second in 0..40_000 {
            under_way.retain(|(number, turn, until)| {
                let goes_on = *until > second;
                if goes_on {
                    assert!(line.takes(&client(*number), *turn, 2_000, at(second)));
                } else {
                    line.leave(&client(*number), *turn, at(second));
                }
                goes_on
            });
            let due: Vec<u16> =
                comes.iter().filter(|(_, at)| **at == second).map(|(number, _)| *number).collect();
            for number in due {
                if !first_asked.contains(&number) {
                    first_asked.push(number);
                }
                match line.ask(&asks(&client(number), 10_000_000), &link, at(second)) {
                    Asked::Turn(turn) => {
                        let before = first_asked.iter().take_while(|one| **one != number);
                        let ahead = before.filter(|one| !served.contains(*one)).count();
                        let free = usize::from(concurrent) - under_way.len();
                        assert!(ahead < free, "{ahead} came before it and wait, and {free} turns are free");
                        under_way.push((number, turn, second + 1 + dice.below(200)));
                        let _ = comes.remove(&number);
                        served.push(number);
                    }
                    Asked::Wait { again_in, .. } => {
                        let _ = comes.insert(number, second + again_in.as_secs() + dice.below(60));
                    }
                    Asked::Held { .. } => panic!("each asks by itself"),
                }
                assert!(under_way.len() <= usize::from(concurrent));
            }
        }
        assert_eq!(served.len(), 40, "nobody waits for ever");
    }
}

#[test]
fn who_repeats_a_request_takes_no_turn_no_place_and_no_return_of_the_computer_itself() {
    let (mut line, link) = (Line::default(), link(1));
    let held = Asked::Held { again_in: SOONEST };
    let recorded = turn(line.ask(&repeated(&client(1), 100), &link, at(0)));
    let own = turn(line.ask(&asks(&client(1), 100), &link, at(1)));
    assert!(!line.takes(&client(1), recorded, 1, at(1)), "the computer itself goes before it");
    assert_eq!(line.ask(&repeated(&client(1), 1), &link, at(2)), held);
    assert!(line.takes(&client(1), own, 1, at(2)));
    // A place: it is the computer's from when that asks for it.
    assert!(matches!(line.ask(&repeated(&client(2), 100), &link, at(3)), Asked::Wait { ahead: 0, .. }));
    assert!(matches!(line.ask(&repeated(&client(2), 100), &link, at(3)), Asked::Wait { ahead: 0, .. }));
    assert!(matches!(line.ask(&asks(&client(2), 100), &link, at(4)), Asked::Wait { ahead: 0, .. }));
    assert_eq!(line.ask(&repeated(&client(2), 1), &link, at(5)), held);
    assert_eq!(line.waits(at(5)).collect::<Vec<_>>(), [(&client(2), 100)]);
    // The turn that it may come back to.
    line.leave(&client(1), own, at(6));
    assert_eq!(line.ask(&repeated(&client(1), 1), &link, at(7)), held);
    assert_eq!(line.ask(&repeated(&client(2), 1), &link, at(7)), held, "nor what is free now");
    let own = turn(line.ask(&asks(&client(1), 99), &link, at(8)));
    assert!(line.takes(&client(1), own, 99, at(9)));
    line.leave(&client(1), own, at(9));
    // Places that nobody came for hold nobody up.
    let _ = turn(line.ask(&repeated(&client(2), 100), &link, at(500)));
}

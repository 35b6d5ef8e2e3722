//! Which names are close, and that a walk over all finds what a comparison of each two finds.

use super::*;

fn name(text: &str) -> ComputerName {
    ComputerName::new(text).unwrap()
}

/// Whether two names are spelled nearly alike. A name is not close to itself.
fn are_close(one: &ComputerName, other: &ComputerName) -> bool {
    if one == other {
        return false;
    }
    let (one, other) = (one.as_str(), other.as_str());
    let (whole, other_whole) = (looks(one), looks(other));
    whole == other_whole
        || host(one).is_some_and(|host| looks(host) == other_whole)
        || host(other).is_some_and(|host| looks(host) == whole)
        || slips(one).any(|slip| slips(other).any(|other| other == slip))
}

/// How a name looks: without what separates its parts, each letter as the one that it is taken for.
fn looks(name: &str) -> String {
    let mut look = String::with_capacity(name.len());
    read_looks(name, &mut look);
    look
}

/// What a name is with one letter less in one of its words; and itself.
fn slips(name: &str) -> impl Iterator<Item = String> {
    let letters: Vec<(char, bool)> = without_separators(name).collect();
    let places = long_words(&letters).flatten().map(Some).collect::<Vec<_>>();
    places.into_iter().chain([None]).map(move |left_out| {
        let kept = letters.iter().enumerate().filter(|(at, _)| Some(*at) != left_out);
        kept.map(|(_, (character, _))| *character).collect()
    })
}

#[test]
fn a_slip_of_one_letter_a_lookalike_and_another_separator_are_close() {
    for (one, other) in [
        ("reception-1", "recepton-1"),
        ("reception-1", "receptiion-1"),
        ("reception-1", "recaption-1"),
        ("reception-1", "recpetion-1"),
        ("reception-1", "reception1"),
        ("reception-1", "reception_1"),
        ("front-desk", "frontdesk"),
        ("pc-1o", "pc-10"),
        ("pc-l7", "pc-17"),
        ("modem-7", "rnodem-7"),
        ("pc-17", "pc-17.example.org"),
        ("berlin-hall-3", "berlim-hall-3"),
        // A Cyrillic es and o, and a Greek omicron.
        ("\u{441}ell\u{43e}-4", "cello-4"),
        ("b\u{3bf}ss-1", "boss-1"),
        ("b\u{fc}chner-7", "b\u{fc}hner-7"),
    ] {
        assert!(are_close(&name(one), &name(other)), "{one} {other}");
        assert!(are_close(&name(other), &name(one)), "{other} {one}");
    }
}

#[test]
fn digits_tell_computers_apart_and_so_do_letters_of_short_words() {
    for (one, other) in [
        ("pc-17", "pc-18"),
        ("pc-17", "pc-7"),
        ("pc-1", "pc-11"),
        ("reception-1", "reception-2"),
        ("reception-100", "reception-110"),
        ("rack-1-11", "rack-11-1"),
        ("rack-1.11", "rack-11.1"),
        ("building-a", "building-b"),
        ("lab-a-7", "lab-b-7"),
        ("hall-east", "hall-west"),
        ("pc-17.berlin.example", "pc-17.munich.example"),
        ("10.0.0.1", "10"),
        ("10.0.0.1", "10.0.0.11"),
        ("pc-17", "pc-17"),
        ("reception-1", "recepton-2"),
    ] {
        assert!(!are_close(&name(one), &name(other)), "{one} {other}");
        assert!(!are_close(&name(other), &name(one)), "{other} {one}");
    }
}

#[test]
fn ascii_names_look_as_unicode_says_that_they_look() {
    for letter in ('a'..='z').chain('0'..='9') {
        let by_unicode: String = skeleton(&letter.to_string()).flat_map(char::to_lowercase).collect();
        assert_eq!(looks(&letter.to_string()), by_unicode, "{letter}");
    }
}

#[test]
fn a_walk_finds_what_a_comparison_of_each_two_finds() {
    const PARTS: [&str; 14] = [
        "reception",
        "recepton",
        "recpetion",
        "frontdesk",
        "front-desk",
        "pc",
        "modem",
        "rnodem",
        "-",
        ".example",
        "1",
        "l",
        "0",
        "17",
    ];
    let mut seed = 7_u64;
    let mut below = |limit: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % limit
    };
    let mut close = 0;
    for _ in 0..120 {
        let mut draw = || loop {
            let text: String = (0..=below(4)).map(|_| PARTS[below(PARTS.len())]).collect();
            if let Ok(name) = ComputerName::new(&text) {
                return name;
            }
        };
        let new: Vec<ComputerName> = (0..6).map(|_| draw()).collect();
        let there: Vec<ComputerName> = (0..6).map(|_| draw()).collect();
        let mut walk = CloseNames::of(&new);
        there.iter().for_each(|there| walk.look(there));
        let found = walk.found();
        // Who is refused holds no seat, so the names after it are not compared with it.
        let mut kept: Vec<&ComputerName> = Vec::new();
        for one in &new {
            let close_to_earlier = kept.iter().any(|other| are_close(one, other));
            let expected = close_to_earlier || there.iter().any(|other| are_close(one, other));
            assert_eq!(found.contains_key(one), expected, "{one} of {new:?} with {there:?}");
            close += usize::from(expected);
            if !close_to_earlier {
                kept.push(one);
            }
        }
        for (one, other) in found {
            assert!(are_close(one, &other), "{one} {other}");
        }
    }
    assert!(close > 40, "{close}: too few to say anything");
}

#[test]
fn the_first_of_two_close_names_of_a_request_is_not_the_one_that_is_asked_back() {
    let new = [name("reception-1"), name("recepton-1"), name("pc-7")];
    let mut close = CloseNames::of(&new);
    close.look(&name("pc-8"));
    let found = close.found();
    assert_eq!(found.len(), 1);
    assert_eq!(found.get(&new[1]), Some(&new[0]));
    let problem = problem(&new[1], &new[0]);
    assert_eq!(problem.code, ProblemCode::AlreadyExists);
    assert!(
        problem.message.starts_with("the name recepton-1 is spelled nearly as reception-1;"),
        "{problem}"
    );
    assert!(problem.hint.contains("--similar"), "{problem}");
}

#[test]
fn names_that_are_made_to_be_compared_cost_no_more_than_each_once() {
    let new: Vec<ComputerName> =
        (0..500).map(|at| name(&format!("station{}{}", letter(at / 26), letter(at % 26)))).collect();
    let mut close = CloseNames::of(&new);
    for at in 0..2_000 {
        close.look(&name(&format!("statio{}{}x{at}", letter(at / 26), letter(at % 26))));
    }
    assert!(close.found().len() > 400);
}

#[test]
fn computers_of_one_host_name_and_long_names_cost_no_more_than_others() {
    let long =
        |at: usize| format!("{}{}", "ab".repeat(50), char::from(b'a' + u8::try_from(at % 26).unwrap()));
    let new: Vec<ComputerName> = (0..500)
        .map(|at| name(&format!("reception.town-{at:03}.customer.example.{}", &long(at)[..60])))
        .collect();
    let mut close = CloseNames::of(&new);
    assert!(close.found.is_empty() && close.index.values().filter(|places| places.len() > 1).count() == 1);
    for at in 0..5_000 {
        close.look(&name(&format!("reception.village-{at:04}.customer.example.{}", &long(at)[..60])));
    }
    assert!(close.found.is_empty(), "each is another computer");
    close.look(&name("reception"));
    assert_eq!(close.found.len(), 500, "which of them is it?");
    let slips: Vec<ComputerName> = (0..500).map(|at| name(&format!("host.{}{at:03}", &long(at)))).collect();
    let found = CloseNames::of(&slips).found();
    assert!(found.is_empty(), "digits tell them apart");
}

fn letter(at: usize) -> char {
    char::from(b'a' + u8::try_from(at % 26).unwrap())
}

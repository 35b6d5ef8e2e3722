//! Codes as they are written, typed and mistyped.

use std::collections::BTreeMap;

use super::bits::to_values;
use super::lines::{DATA, FORMAT, line_check};
use super::*;
use crate::crockford::crockford_char;
use crate::document::SignedDocument;
use crate::grant::{MAX_SERIALS, Registration, RegistrationReason, verify_registration};
use crate::ids::{RequestId, SerialNumber, ServerId};
use crate::log::LogHead;
use crate::order::Epoch;
use sealpost_keys::{SealingPublicKey, SigningKey};

fn sample() -> (SignedDocument, SigningKey) {
    sample_with(BTreeMap::new())
}

fn sample_with(used: BTreeMap<SerialNumber, u32>) -> (SignedDocument, SigningKey) {
    let key = SigningKey::generate().unwrap();
    let registration = Registration {
        request_id: RequestId::from_random([6; 16]),
        serial: SerialNumber::from_random([9; 19]),
        server_id: ServerId::of_site_key(&key.public()),
        site_key: key.public(),
        sealing_key: SealingPublicKey::from_bytes([7; 32]),
        reason: RegistrationReason::First,
        epoch: Epoch::default(),
        ledger_head: LogHead::empty(),
        used,
    };
    (SignedDocument::sign(&registration, &key).unwrap(), key)
}

#[test]
fn a_registration_of_as_many_serials_as_a_server_may_have_fits_a_code() {
    let serial = |number: usize| {
        let mut values = [0; 19];
        values[0] = u8::try_from(number % 32).unwrap();
        values[1] = u8::try_from(number / 32).unwrap();
        SerialNumber::from_random(values)
    };
    let used: BTreeMap<_, _> = (0..MAX_SERIALS).map(|number| (serial(number), u32::MAX)).collect();
    assert_eq!(used.len(), MAX_SERIALS);
    let (document, _) = sample_with(used);
    for format in [CodeFormat::Lines, CodeFormat::Groups] {
        let text = encode_as(&document, format);
        assert!(text.len() as u64 <= MAX_CODE_BYTES, "{}", text.len());
        assert_eq!(verify_registration(&decode(&text).unwrap()).unwrap().used.len(), MAX_SERIALS);
        let longer = text.clone() + &" ".repeat(usize::try_from(MAX_CODE_BYTES).unwrap());
        assert_eq!(decode(&longer).unwrap_err(), TextCodeError::Length);
    }
}

#[test]
fn a_code_of_the_first_format_is_refused_as_too_old_and_one_of_a_later_as_unreadable() {
    let (document, _) = sample();
    let code = |format: u8| {
        let mut bytes = vec![format];
        bytes.extend_from_slice(&u32::try_from(document.document.len()).unwrap().to_be_bytes());
        bytes.extend_from_slice(document.document.as_bytes());
        bytes.extend_from_slice(document.minisig.as_str().as_bytes());
        let lines = to_values(&bytes);
        let lines = lines.chunks(DATA).enumerate().flat_map(|(index, line)| {
            line.iter().copied().chain(line_check(index, line)).collect::<Vec<_>>()
        });
        lines.map(crockford_char).collect::<String>()
    };
    assert!(decode(&code(FORMAT)).is_ok());
    assert_eq!(decode(&code(1)).unwrap_err(), TextCodeError::TooOld);
    assert_eq!(decode(&code(FORMAT + 1)).unwrap_err(), TextCodeError::Content);
}

#[test]
fn a_code_survives_being_typed_in_lower_case_without_groups() {
    let (document, key) = sample();
    for format in [CodeFormat::Lines, CodeFormat::Groups] {
        let text = encode_as(&document, format);
        assert_eq!(format_of(&text), Some(format));
        for between in [" ", "", "--", "\r\n"] {
            let typed = text.to_lowercase().replace('-', between).replace('0', "o").replace('1', "l");
            assert_eq!(format_of(&typed), Some(format));
            let back = decode(&typed).unwrap();
            assert_eq!(back.document, document.document);
            back.verify::<Registration>(&[key.public()]).unwrap();
        }
        // White space in the midst of a group is none of anybody's business.
        assert!(decode(&text.chars().flat_map(|character| [character, ' ']).collect::<String>()).is_ok());
    }
}

#[test]
fn a_typing_error_in_a_code_of_lines_is_found_on_its_line() {
    let (document, _) = sample();
    let lines: Vec<String> = encode_as(&document, CodeFormat::Lines).lines().map(str::to_owned).collect();
    for (index, line) in lines.iter().enumerate() {
        let mut typo = lines.clone();
        let first = if line.starts_with('7') { "8" } else { "7" };
        typo[index] = format!("{first}{}", &line[1..]);
        assert_eq!(decode(&typo.join("\n")).unwrap_err(), TextCodeError::Check { line: index + 1 });
    }
    // Also in the character that names the format, whichever it becomes.
    for second in "0123456790ABCDEFGHJKMNPQRSTVWXYZ".chars() {
        let code = lines.join("\n");
        let typo = format!("0{second}{}", &code[2..]);
        assert_eq!(decode(&typo).unwrap_err(), TextCodeError::Check { line: 1 }, "{second}");
    }
    let mut swapped = lines.clone();
    swapped.swap(0, 1);
    assert_eq!(decode(&swapped.join("\n")).unwrap_err(), TextCodeError::Check { line: 1 });
    assert!(decode(&lines[..lines.len() - 1].join("\n")).is_err());
    assert!(decode("").is_err());
}

/// A code in its groups, to be mistyped.
fn groups_of(document: &SignedDocument) -> Vec<String> {
    encode(document).split_whitespace().flat_map(|line| line.split('-')).map(str::to_owned).collect()
}

/// The groups as a person types them, ten on a line.
fn typed(groups: &[String]) -> String {
    groups.chunks(10).map(|line| line.join("-") + "\n").collect()
}

/// The place of the group with this index, from 0.
const fn place_of(index: usize) -> (usize, usize) {
    (index / 10 + 1, index % 10 + 1)
}

fn place_named(error: &TextCodeError) -> Option<(usize, usize)> {
    match error {
        TextCodeError::Group { line, group, .. } | TextCodeError::GroupLength { line, group, .. } => {
            Some((*line, *group))
        }
        _ => None,
    }
}

#[test]
fn one_wrong_symbol_is_found_in_its_group_wherever_it_stands() {
    let (document, _) = sample();
    let groups = groups_of(&document);
    assert_eq!(typed(&groups), encode(&document));
    for index in 0..groups.len() {
        for at in 0..5 {
            let mut wrong = groups.clone();
            let value = crockford_value(char::from(groups[index].as_bytes()[at])).unwrap();
            let other = crockford_char(value ^ u8::try_from((index + at) % 31 + 1).unwrap());
            wrong[index].replace_range(at..=at, &other.to_string());
            let error = decode(&typed(&wrong)).unwrap_err();
            let (line, group) = place_of(index);
            assert_eq!(error, TextCodeError::Group { line, group, typed: wrong[index].clone() });
        }
    }
    // Every symbol at the place that names the format, which then names another one.
    for other in "0123456789ABDEFGHJKMNPQRSTVWXYZ".chars() {
        let mut wrong = groups.clone();
        wrong[0].replace_range(1..2, &other.to_string());
        assert_eq!(place_named(&decode(&typed(&wrong)).unwrap_err()), Some((1, 1)), "{other}");
    }
    // One that is in no code is a typing error like others, and is shown harmlessly.
    let mut wrong = groups.clone();
    wrong[13].replace_range(2..3, "\u{1b}");
    let said = decode(&typed(&wrong)).unwrap_err().to_string();
    assert!(
        said.contains("group 4 on line 2") && said.contains("\\u{1b}") && !said.contains('\u{1b}'),
        "{said}"
    );
}

#[test]
fn two_neighbors_and_two_groups_that_changed_places_are_found() {
    let (document, _) = sample();
    let groups = groups_of(&document);
    for index in (0..groups.len()).step_by(3) {
        for at in 0..4 {
            let mut wrong = groups.clone();
            let mut symbols: Vec<char> = wrong[index].chars().collect();
            symbols.swap(at, at + 1);
            wrong[index] = symbols.into_iter().collect();
            if wrong != groups {
                assert_eq!(place_named(&decode(&typed(&wrong)).unwrap_err()), Some(place_of(index)));
            }
        }
        for other in [index + 1, index + 10, index + 31] {
            let mut wrong = groups.clone();
            if other >= groups.len() || groups[index] == groups[other] {
                continue;
            }
            wrong.swap(index, other);
            let error = decode(&typed(&wrong)).unwrap_err();
            // What is 31 groups away has the same check: then the code as a whole does not fit.
            let whole = TextCodeError::Whole { groups: groups.len() };
            assert!(if other == index + 31 {
                error == whole
            } else {
                place_named(&error) == Some(place_of(index))
            });
        }
    }
}

#[test]
fn a_group_that_is_missing_or_typed_twice_is_named() {
    let (document, _) = sample();
    let groups = groups_of(&document);
    for index in 0..groups.len() - 1 {
        let mut missing = groups.clone();
        missing.remove(index);
        assert_eq!(place_named(&decode(&typed(&missing)).unwrap_err()), Some(place_of(index)));
        let mut twice = groups.clone();
        twice.insert(index, groups[index].clone());
        assert_eq!(place_named(&decode(&typed(&twice)).unwrap_err()), Some(place_of(index + 1)));
    }
    for left in [1, 2, 30, groups.len() - 1] {
        let error = decode(&typed(&groups[..left])).unwrap_err();
        assert_eq!(error, TextCodeError::Whole { groups: left });
    }
}

#[test]
fn a_group_of_four_or_six_is_named_with_what_was_typed() {
    let (document, _) = sample();
    let groups = groups_of(&document);
    for index in [0, 1, 9, 10, 57, groups.len() - 1] {
        let (line, group) = place_of(index);
        for short in [groups[index][1..].to_owned(), format!("{}7", groups[index])] {
            let mut wrong = groups.clone();
            wrong[index] = short.clone();
            let error = decode(&typed(&wrong)).unwrap_err();
            assert_eq!(error, TextCodeError::GroupLength { line, group, typed: short });
        }
    }
    // Without anything between the groups, the error is found in its group or, rarely, soon after.
    let mut one = typed(&groups).replace(['-', '\n'], "");
    one.remove(123);
    let (line, group) = place_named(&decode(&one).unwrap_err()).unwrap();
    let found = (line - 1) * 10 + group - 1;
    assert!((24..=26).contains(&found), "{found}");
}

#[test]
fn a_typing_error_is_named_with_its_place_also_where_a_code_is_typed_in_other_parts() {
    let (document, _) = sample();
    let groups = groups_of(&document);
    let index = 149;
    let mut wrong = groups.clone();
    let other = if wrong[index].starts_with('7') { "8" } else { "7" };
    wrong[index].replace_range(0..1, other);
    let symbols: Vec<char> = wrong.concat().chars().collect();
    for size in [1, 3, 4, 6, 7, 9, 10, 72, symbols.len()] {
        let parts: Vec<String> = symbols.chunks(size).map(|part| part.iter().collect()).collect();
        let error = decode(&parts.join(" ")).unwrap_err();
        assert_eq!(place_named(&error), Some(place_of(index)), "in parts of {size}: {error}");
    }
    // A space too many is no error, and hides none.
    wrong[4].insert(2, ' ');
    assert_eq!(place_named(&decode(&typed(&wrong)).unwrap_err()), Some(place_of(index)));
}

#[test]
fn lines_that_are_missing_or_changed_places_are_named_as_groups() {
    let (document, _) = sample();
    let groups = groups_of(&document);
    let swapped = [&groups[10..20], &groups[..10], &groups[20..]].concat();
    for wrong in [groups[10..].to_vec(), groups[20..].to_vec(), groups[90..].to_vec(), swapped] {
        let error = decode(&typed(&wrong)).unwrap_err();
        assert_eq!(place_named(&error), Some((1, 1)), "{error}");
    }
}

#[test]
fn what_editors_make_of_hyphens_and_what_nobody_sees_says_nothing() {
    let (document, _) = sample();
    let text = encode(&document);
    for between in ["\u{2013}", "\u{2011}", "\u{2212}", "\u{ad}", "\u{200b}-", "\u{a0}"] {
        let pasted = format!("\u{feff}{}", text.replace('-', between));
        assert_eq!(decode(&pasted).unwrap().document, document.document, "{between:?}");
    }
}

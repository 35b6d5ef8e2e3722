//! Format 3: groups of four values and one that checks them and their place, and a last group that checks all others.

use super::typed::{TextCodeError, is_between};
use crate::crockford::{crockford_char, crockford_value};

pub(super) const FORMAT: u8 = 3;
/// The second value of each code of this format: the low bits of its first byte.
pub(super) const SECOND_VALUE: u8 = FORMAT << 2;
/// Characters of a group that carry data, and of a whole group.
const DATA: usize = 4;
const GROUP: usize = DATA + 1;
/// Groups of a line.
const LINE: usize = 10;
/// The largest prime below 2^20: what is less fits the four values of a group.
const WHOLE: u32 = 1_048_573;
/// What is longer was typed without anything between its groups.
const LONGEST_GROUP: usize = 9;

pub(super) fn write(values: &[u8]) -> String {
    let padding = values.len().next_multiple_of(DATA) - values.len();
    let mut values = values.to_vec();
    values.extend(std::iter::repeat_n(0, padding));
    values.extend(whole_check(&values));
    let mut text = String::with_capacity(values.len() * 13 / 8);
    for (index, data) in values.chunks(DATA).enumerate() {
        if index > 0 {
            text.push(if index % LINE == 0 { '\n' } else { '-' });
        }
        text.extend(data.iter().map(|value| crockford_char(*value)));
        text.push(crockford_char(group_check(index, data)));
    }
    text.push('\n');
    text
}

/// The values of a code without its check characters, which fit.
pub(super) fn read(text: &str) -> Result<Vec<u8>, TextCodeError> {
    let symbols: Option<Vec<u8>> =
        text.chars().filter(|character| !is_between(*character)).map(crockford_value).collect();
    let mut data = symbols.and_then(|symbols| sound(&symbols)).map_or_else(|| Err(flaw(text)), Ok)?;
    let groups = data.len() / DATA;
    let check = data.split_off(data.len().saturating_sub(DATA));
    if check != whole_check(&data) {
        return Err(TextCodeError::Whole { groups });
    }
    Ok(data)
}

/// The data of groups that all fit.
fn sound(symbols: &[u8]) -> Option<Vec<u8>> {
    let (groups, rest) = symbols.as_chunks::<GROUP>();
    let data: Option<Vec<&[u8]>> =
        groups.iter().enumerate().map(|(index, group)| data_at(index, group)).collect();
    data.filter(|data| rest.is_empty() && !data.is_empty()).map(|data| data.concat())
}

/// The data of a group that fits its place.
fn data_at(index: usize, group: &[u8]) -> Option<&[u8]> {
    let (check, data) = group.split_last()?;
    (group_check(index, data) == *check).then_some(data)
}

/// How far a code may seem to be right by chance where its groups are counted otherwise than they were typed.
const BY_CHANCE: usize = 4;

/// The first group that does not fit; everything before it fits, so its place is the one that it has in the code as written.
///
/// Groups are where they were typed. But a code may be typed in parts of other lengths, or with a space too many, and be right:
/// so where that leads further, they are counted.
fn flaw(text: &str) -> TextCodeError {
    let typed = first_flaw(&as_typed(text));
    let counted = first_flaw(&as_counted(text));
    match (typed, counted) {
        (Some((at, typed)), Some((further, counted))) => {
            if further >= at + BY_CHANCE {
                counted
            } else {
                typed
            }
        }
        (Some((_, flaw)), None) | (None, Some((_, flaw))) => flaw,
        (None, None) => TextCodeError::Length,
    }
}

/// The first group that does not fit, and how many do before it.
fn first_flaw(groups: &[Vec<char>]) -> Option<(usize, TextCodeError)> {
    let fits = |(index, group): &(usize, &Vec<char>)| place(group) == Some(place_value(*index));
    let (index, group) = groups.iter().enumerate().find(|group| !fits(group))?;
    let (line, at, typed) = (index / LINE + 1, index % LINE + 1, shown(group));
    let flaw = if group.len() == GROUP {
        TextCodeError::Group { line, group: at, typed }
    } else {
        TextCodeError::GroupLength { line, group: at, typed }
    };
    Some((index, flaw))
}

/// Whether more than a third of the first groups of a text fit this format, all moved by as many places where lines are missing or
/// there twice: half of them do where one in the middle is, and of another text hardly ever seven of twenty.
pub(super) fn look_like(text: &str) -> bool {
    const LOOKED_AT: usize = 20;
    const ENOUGH: usize = LOOKED_AT / 3 + 1;
    [as_typed(text), as_counted(text)].iter().any(|groups| {
        let places: Vec<Option<u8>> = groups.iter().take(LOOKED_AT).map(|group| place(group)).collect();
        let fitting = |moved: usize| {
            let fits = |(index, place): &(usize, &Option<u8>)| **place == Some(place_value(index + moved));
            places.iter().enumerate().filter(fits).count()
        };
        fitting(0) * 3 > places.len() || (1..PLACES).any(|moved| fitting(moved) >= ENOUGH)
    })
}

/// The groups as they were typed; only where nothing stands between them they are counted.
fn as_typed(text: &str) -> Vec<Vec<char>> {
    let tokens = text.split(is_between).filter(|token| !token.is_empty());
    let tokens = tokens.map(|token| token.chars().collect::<Vec<char>>());
    let groups = tokens.flat_map(|token| {
        let size = if token.len() > LONGEST_GROUP { GROUP } else { token.len().max(1) };
        token.chunks(size).map(<[char]>::to_vec).collect::<Vec<_>>()
    });
    groups.collect()
}

/// The groups as they are, whatever stands between their characters.
fn as_counted(text: &str) -> Vec<Vec<char>> {
    let characters: Vec<char> = text.chars().filter(|character| !is_between(*character)).collect();
    characters.chunks(GROUP).map(<[char]>::to_vec).collect()
}

fn shown(typed: &[char]) -> String {
    typed.iter().take(LONGEST_GROUP).flat_map(|character| character.escape_debug()).collect()
}

/// Places that a check character tells apart; then they begin anew, and only the last group tells them apart.
const PLACES: usize = 31;

/// The value that a place adds to its check: never 0, so that no place has a group of zeros that fits.
fn place_value(index: usize) -> u8 {
    u8::try_from(index % PLACES).unwrap_or(0) + 1
}

/// The check value of a group: its values in the field of 32 elements, each with a weight of its own, and its place. One wrong
/// character changes it, and so do two of a group that changed places, whichever they are.
fn group_check(index: usize, data: &[u8]) -> u8 {
    weighted(data) ^ place_value(index)
}

/// The value of the place that a group fits, if it is one of five symbols.
fn place(group: &[char]) -> Option<u8> {
    let symbols: Vec<u8> = group.iter().copied().map(crockford_value).collect::<Option<_>>()?;
    let (check, data) = symbols.split_last()?;
    (data.len() == DATA).then(|| weighted(data) ^ check)
}

/// α·a + α²·b + α³·c + α⁴·d, by Horner's rule; the check itself has the weight 1.
fn weighted(data: &[u8]) -> u8 {
    data.iter().rev().fold(0, |sum, value| times_alpha(sum ^ (value & 31)))
}

/// Multiplies by α in GF(32) = GF(2)[α] / (α⁵ + α² + 1), where α has the order 31.
fn times_alpha(value: u8) -> u8 {
    let doubled = value << 1;
    if doubled & 32 == 0 { doubled } else { (doubled ^ 0b10_0101) & 31 }
}

/// Twenty check bits over all values, highest first.
fn whole_check(values: &[u8]) -> [u8; DATA] {
    let sum = values.iter().fold(1, |sum: u32, value| (sum * 37 + u32::from(*value) + 1) % WHOLE);
    [15, 10, 5, 0].map(|shift| u8::try_from((sum >> shift) & 31).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_symbol_and_two_exchanged_ones_are_found_at_every_place() {
        for (index, data) in
            [(0, [0, 0, 0, 0]), (5, [1, 2, 3, 4]), (30, [31, 0, 31, 9]), (61, [17, 17, 4, 23])]
        {
            let mut group = [0; GROUP];
            group[..DATA].copy_from_slice(&data);
            group[DATA] = group_check(index, &data);
            let fits = |group: &[u8]| {
                let typed: Vec<char> = group.iter().map(|value| crockford_char(*value)).collect();
                place(&typed) == Some(place_value(index))
            };
            assert!(fits(&group));
            for at in 0..GROUP {
                for by in 1..32 {
                    let mut wrong = group;
                    wrong[at] ^= by;
                    assert!(!fits(&wrong), "{index} {at} {by}");
                }
                for other in 0..GROUP {
                    let mut exchanged = group;
                    exchanged.swap(at, other);
                    assert_eq!(fits(&exchanged), exchanged == group, "{index} {at} {other}");
                }
            }
        }
    }

    #[test]
    fn no_two_places_within_thirty_one_are_alike() {
        let places: std::collections::BTreeSet<u8> = (0..PLACES).map(place_value).collect();
        assert_eq!((places.len(), places.contains(&0)), (PLACES, false));
    }
}

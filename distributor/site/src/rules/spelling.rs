//! Names that are spelled nearly alike: a name holds a seat for good, so one that looks like a slip for another is asked back.
//!
//! Close are two names that
//! - differ only in how they look: `rn` and `m`, `0` and `o`, a letter of another script, a hyphen, dot or underscore more or
//!   less (between two digits they count);
//! - are one computer with and without its domain;
//! - differ by one letter in a word of five letters or more: one too many, one too few, another one, or two exchanged.
//!
//! Digits are what tells computers apart, so `pc-17` is never close to `pc-18`. It is advice: who means it says so, and a
//! name that is not found here may still be a slip.
//!
//! [`CloseNames`] looks for the names of one request among all that hold a seat, in one walk over them. It compares hashes alone,
//! so that a name costs what it is long, whatever the others are: the tests hold it to a comparison of letters.

use std::collections::{BTreeMap, HashMap};

use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use unicode_security::confusable_detection::skeleton;

/// Letters of a word in which one of them may be wrong. In a shorter one a letter is more likely what tells two names apart.
const WORD: usize = 5;
/// Bits of the first look by hash, 16 KiB: the words of a request's names set a small part of them.
const FILTER_BITS: u64 = 1 << 17;
/// Of the polynomial that strings are hashed by; odd.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
/// Tells marks of hosts from others.
const OF_A_HOST: u64 = 0x5851_f42d_4c95_7f2d;
/// Tells marks of slips from others.
const OF_A_SLIP: u64 = 0x1405_7b7e_f767_814f;

/// What is done about a name that is close to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseSpelling {
    /// It is refused, so that somebody looks at it again.
    AskBack,
    /// Somebody looked at it, and means it.
    Meant,
}

/// A name that is not taken without a word because another one is spelled nearly alike.
#[must_use]
pub fn problem(name: &ComputerName, close_to: &ComputerName) -> Problem {
    Problem::new(
        ProblemCode::AlreadyExists,
        format!(
            "the name {name} is spelled nearly as {close_to}; a seat is taken for good, and both would hold one"
        ),
        "if it was mistyped, mend it; if it is another computer, give this name alone with --similar",
    )
}

/// The names of one request, among which those are found that are close to one which is there.
#[derive(Debug)]
pub struct CloseNames<'n> {
    /// Those that are not close to one before them. No two of these are close, so few have a mark in common.
    names: Vec<&'n ComputerName>,
    /// By what each can be taken for.
    index: HashMap<u64, Vec<usize>>,
    filter: Vec<u64>,
    found: BTreeMap<&'n ComputerName, ComputerName>,
    /// How many of `names` are found.
    found_of_names: usize,
    marks: Marks,
}

impl<'n> CloseNames<'n> {
    /// Of these names; they are compared with each other too, each with those before it that were not found themselves.
    #[must_use]
    pub fn of(names: impl IntoIterator<Item = &'n ComputerName>) -> Self {
        let mut close = Self {
            names: Vec::new(),
            index: HashMap::new(),
            filter: vec![0; words_of_filter()],
            found: BTreeMap::new(),
            found_of_names: 0,
            marks: Marks::default(),
        };
        for name in names {
            let like_it = close.like(name);
            let earlier = like_it.iter().filter_map(|at| close.names.get(*at)).find(|at| **at != name);
            match earlier {
                Some(earlier) => {
                    close.found.insert(name, (*earlier).clone());
                }
                None => close.add(name),
            }
        }
        close
    }

    /// Compares all with a name that is there.
    pub fn look(&mut self, there: &ComputerName) {
        if self.found_of_names == self.names.len() {
            return;
        }
        for at in self.like(there) {
            let Some(name) = self.names.get(at).copied().filter(|name| *name != there) else { continue };
            if !self.found.contains_key(name) {
                self.found.insert(name, there.clone());
                self.found_of_names += 1;
            }
        }
    }

    /// The places of names that are close to one.
    fn like(&mut self, name: &ComputerName) -> Vec<usize> {
        self.marks.read(name.as_str());
        let known = self.marks.sought().filter(|mark| self.may_hold(*mark));
        known.filter_map(|mark| self.index.get(&mark)).flatten().copied().collect()
    }

    /// Each name that is close to another, with the first such one.
    #[must_use]
    pub fn found(self) -> BTreeMap<&'n ComputerName, ComputerName> {
        self.found
    }

    fn add(&mut self, name: &'n ComputerName) {
        let at = self.names.len();
        self.names.push(name);
        self.marks.read(name.as_str());
        for mark in self.marks.indexed() {
            let places = self.index.entry(mark).or_default();
            if places.last() != Some(&at) {
                places.push(at);
            }
            let (word, bit) = place_in_filter(mark);
            if let Some(word) = self.filter.get_mut(word) {
                *word |= bit;
            }
        }
    }

    fn may_hold(&self, mark: u64) -> bool {
        let (word, bit) = place_in_filter(mark);
        self.filter.get(word).is_some_and(|word| word & bit != 0)
    }
}

fn words_of_filter() -> usize {
    usize::try_from(FILTER_BITS / 64).unwrap_or(usize::MAX)
}

fn place_in_filter(mark: u64) -> (usize, u64) {
    let bit = (mark >> 20) % FILTER_BITS;
    (usize::try_from(bit / 64).unwrap_or(usize::MAX), 1 << (bit % 64))
}

/// Reads how a name looks: without what separates its parts, each letter as the one that it is taken for.
fn read_looks(name: &str, look: &mut String) {
    look.clear();
    if !name.is_ascii() {
        let plain: String = without_separators(name).map(|(character, _)| character).collect();
        look.extend(skeleton(&plain).flat_map(char::to_lowercase));
        return;
    }
    for (character, _) in without_separators(name) {
        match character {
            '0' => look.push('o'),
            '1' => look.push('l'),
            'm' => look.push_str("rn"),
            other => look.push(other),
        }
    }
}

/// The characters of a name, but hyphens, dots and underscores that do not stand between two digits; and whether a word ends
/// before each.
fn without_separators(name: &str) -> impl Iterator<Item = (char, bool)> + '_ {
    let mut before: Option<char> = None;
    let mut begins = true;
    let mut rest = name.chars().peekable();
    std::iter::from_fn(move || {
        loop {
            let character = rest.next()?;
            if !is_separator(character) {
                let word_ended = std::mem::take(&mut begins);
                before = Some(character);
                return Some((character, word_ended));
            }
            begins = true;
            let is_between_digits =
                before.is_some_and(char::is_numeric) && rest.peek().is_some_and(|next| next.is_numeric());
            if is_between_digits {
                before = None;
                return Some((character, true));
            }
        }
    })
}

const fn is_separator(character: char) -> bool {
    matches!(character, '-' | '.' | '_')
}

/// The host of a name with a domain. A number alone is the beginning of an address.
fn host(name: &str) -> Option<&str> {
    let (host, _) = name.split_once('.')?;
    host.chars().any(|character| !character.is_numeric()).then_some(host)
}

/// Where the words of [`WORD`] letters and more stand.
fn long_words(letters: &[(char, bool)]) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let (first, _) = letters.get(at)?;
            let begin = at;
            at += 1;
            if !first.is_alphabetic() {
                continue;
            }
            while letters.get(at).is_some_and(|(letter, begins)| letter.is_alphabetic() && !begins) {
                at += 1;
            }
            if at - begin >= WORD {
                return Some(begin..at);
            }
        }
    })
}

/// Hashes of everything that a name can be taken for. One is kept and read again for each name, as all names that hold a seat
/// are walked over.
#[derive(Debug, Default)]
struct Marks {
    /// Of its looks.
    whole: u64,
    /// Of the looks of its host, if it has a domain.
    host: Option<u64>,
    /// Of its slips.
    slips: Vec<u64>,
    text: String,
    letters: Vec<(char, bool)>,
    prefixes: Vec<u64>,
    powers: Vec<u64>,
}

impl Marks {
    /// By what others find the name.
    fn indexed(&self) -> impl Iterator<Item = u64> + '_ {
        let host = self.host.map(|host| host ^ OF_A_HOST);
        [Some(self.whole), host].into_iter().flatten().chain(self.slips())
    }

    /// By what the name finds others: what looks like it, whose host does, and what its own host looks like. Two with one host
    /// find each other nowhere: they are two computers, or as many as one likes.
    fn sought(&self) -> impl Iterator<Item = u64> + '_ {
        [Some(self.whole), Some(self.whole ^ OF_A_HOST), self.host].into_iter().flatten().chain(self.slips())
    }

    /// Told apart from looks: what one name looks like is compared with no slip of another.
    fn slips(&self) -> impl Iterator<Item = u64> + '_ {
        self.slips.iter().map(|slip| slip ^ OF_A_SLIP)
    }

    fn looks_of(&mut self, part: &str) -> u64 {
        read_looks(part, &mut self.text);
        self.text.chars().fold(BASE, appended)
    }

    fn read(&mut self, name: &str) {
        self.slips.clear();
        self.whole = self.looks_of(name);
        self.host = host(name).map(|host| self.looks_of(host));
        self.letters.clear();
        self.letters.extend(without_separators(name));
        self.prefixes.clear();
        self.prefixes.push(0);
        for (character, _) in &self.letters {
            let before = self.prefixes.last().copied().unwrap_or_default();
            self.prefixes.push(appended(before, *character));
        }
        while self.powers.len() <= self.letters.len() {
            let before = self.powers.last().map_or(1, |power: &u64| power.wrapping_mul(BASE));
            self.powers.push(before);
        }
        let whole = self.prefixes.last().copied().unwrap_or_default();
        self.slips.push(whole);
        for at in long_words(&self.letters).flatten() {
            let after = self.letters.len() - at - 1;
            let parts = (self.prefixes.get(at), self.prefixes.get(at + 1), self.powers.get(after));
            let (Some(before), Some(with), Some(power)) = parts else { continue };
            // What the letter and those before it add to the whole is exchanged for what those before it add.
            self.slips.push(whole.wrapping_add(before.wrapping_sub(*with).wrapping_mul(*power)));
        }
    }
}

fn appended(hash: u64, character: char) -> u64 {
    hash.wrapping_mul(BASE).wrapping_add(u64::from(u32::from(character))).wrapping_add(1)
}

#[cfg(test)]
mod tests;

//! Cheap changes of a seed, the same in every run: a fuzzer's first steps, for those who have none.

/// Numbers that stand where a reader counts.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "4294967295",
    "9007199254740993",
    "9223372036854775807",
    "18446744073709551615",
    "-1",
    "1e400",
];
/// Bytes that mean something in one of the formats.
const BYTES: &[u8] = b"\0\n\r \"'\\/+-.,:;=_{}[]09aAzZ\x1b\x7f\x80\xe2\xff";

/// Makes numbers out of a number, evenly (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if that is 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.next().checked_rem(bound).unwrap_or_default()).unwrap()
    }

    /// A piece of something of this length, as (start, end).
    fn piece(&mut self, length: usize) -> (usize, usize) {
        let (one, other) = (self.below(length + 1), self.below(length + 1));
        (one.min(other), one.max(other))
    }

    fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

/// The change of this number of a seed. `other` is another seed of the same target.
pub(crate) fn mutated(seed: &[u8], other: &[u8], number: u64) -> Vec<u8> {
    let mut random = Random(number);
    let mut bytes = seed.to_vec();
    let steps = 1 + random.below(3);
    for _ in 0..steps {
        let at = random.below(bytes.len());
        let (start, end) = random.piece(bytes.len());
        match random.below(8) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8)),
            1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = *random.one_of(BYTES)),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(start..end)),
            4 => {
                let piece = bytes[start..end].to_vec();
                bytes.splice(end..end, piece);
            }
            5 => {
                let (from, to) = random.piece(other.len());
                bytes.splice(start..end, other[from..to].iter().copied());
            }
            6 => {
                let (from, to) = random.piece(other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let number: &&str = random.one_of(NUMBERS);
                replace_number(&mut bytes, at, number);
            }
        }
    }
    bytes
}

/// Puts another number where the next one stands.
fn replace_number(bytes: &mut Vec<u8>, at: usize, number: &str) {
    let digit = |byte: &u8| byte.is_ascii_digit();
    if let Some(start) = bytes.iter().skip(at).position(digit).map(|offset| at + offset) {
        let end = bytes
            .iter()
            .skip(start)
            .position(|byte| !digit(byte))
            .map_or(bytes.len(), |length| start + length);
        bytes.splice(start..end, number.bytes());
    }
}

#[test]
fn the_changes_of_a_seed_are_many_and_the_same_in_every_run() {
    let seed = br#"{"type":"grant","version":2,"seats":50}"#;
    let changes: Vec<Vec<u8>> = (0..300).map(|number| mutated(seed, b"[1,2,3]", number)).collect();
    assert_eq!(changes[7], mutated(seed, b"[1,2,3]", 7));
    let different: std::collections::BTreeSet<&Vec<u8>> = changes.iter().collect();
    assert!(different.len() > 250, "{}", different.len());
    for number in 0..300 {
        drop(mutated(b"", b"", number));
    }
}

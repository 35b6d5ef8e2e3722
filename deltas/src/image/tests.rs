//! A program made by hand, and its next release.

use super::*;
use crate::container::layout::{Cover, Image, Table, TableKind};
use crate::read_at::ReadAt;
use crate::testing::noise;

/// Where the parts of the program begin: its code, and its data.
const CODE: usize = 0x1000;
const DATA: usize = 0x5000;
/// Addresses are higher than offsets by this.
const HIGHER: u64 = 0x40_0000;
const FUNCTIONS: usize = 200;

/// An ELF file of functions that call each other, pointers to them, and a constant that they load. Before the functions
/// stands a gap, which moves them all.
pub(crate) fn program(gap: usize) -> Vec<u8> {
    let mut bytes = vec![0; DATA + 0x1000];
    let put = |bytes: &mut Vec<u8>, at: usize, content: &[u8]| {
        bytes[at..at + content.len()].copy_from_slice(content)
    };
    put(&mut bytes, 0, b"\x7fELF\x02\x01");
    put(&mut bytes, 18, &62u16.to_le_bytes());
    put(&mut bytes, 32, &64u64.to_le_bytes());
    put(&mut bytes, 54, &56u16.to_le_bytes());
    put(&mut bytes, 56, &2u16.to_le_bytes());
    for (number, (flags, at, length)) in
        [(5u32, CODE, DATA - CODE), (6, DATA, 0x1000)].into_iter().enumerate()
    {
        let head = 64 + 56 * number;
        put(&mut bytes, head, &1u32.to_le_bytes());
        put(&mut bytes, head + 4, &flags.to_le_bytes());
        put(&mut bytes, head + 8, &(at as u64).to_le_bytes());
        put(&mut bytes, head + 16, &(at as u64 + HIGHER).to_le_bytes());
        put(&mut bytes, head + 32, &(length as u64).to_le_bytes());
        put(&mut bytes, head + 40, &(length as u64).to_le_bytes());
    }
    let start = |number: usize| CODE + gap + 64 * number;
    for number in 0..FUNCTIONS {
        let at = start(number);
        put(
            &mut bytes,
            at,
            &noise(48, u32::try_from(number).unwrap())
                .iter()
                .map(|byte| byte & 0x3f | 0x40)
                .collect::<Vec<u8>>(),
        );
        let called = start((number * 7 + 3) % FUNCTIONS);
        let distance = i32::try_from(called.cast_signed() - (at + 53).cast_signed()).unwrap();
        put(&mut bytes, at + 48, &[0xe8]);
        put(&mut bytes, at + 49, &distance.to_le_bytes());
        let loaded = i32::try_from((DATA + 8 * number).cast_signed() - (at + 60).cast_signed()).unwrap();
        put(&mut bytes, at + 53, &[0x48, 0x8b, 0x05]);
        put(&mut bytes, at + 56, &loaded.to_le_bytes());
        put(&mut bytes, DATA + 8 * number, &(at as u64 + HIGHER).to_le_bytes());
    }
    bytes
}

/// Both releases, what is known of them, and the covers: the code moved as a whole.
fn moved() -> (Vec<u8>, Vec<u8>, Image, Vec<Cover>) {
    let (base, target) = (program(0), program(100));
    let image = pair_up(&parse(&base).unwrap(), 0, &parse(&target).unwrap(), 0).unwrap();
    let cover = |base, target, length| Cover { base, target, length };
    let code = (64 * FUNCTIONS) as u64;
    let covers = vec![
        cover(0, 0, CODE as u64),
        cover(CODE as u64, CODE as u64 + 100, code),
        cover(DATA as u64, DATA as u64, 0x1000),
    ];
    (base, target, image, covers)
}

/// The bytes of a cover, corrected in windows of these lengths.
fn corrected(
    predictor: &Predictor,
    cover: &Cover,
    base: &[u8],
    windows: &mut dyn FnMut() -> usize,
) -> Vec<u8> {
    let place = |number: u64| usize::try_from(number).unwrap();
    let whole = &base[place(cover.base)..place(cover.base + cover.length)];
    let mut made = Vec::new();
    while made.len() < whole.len() {
        let length = windows().min(whole.len() - made.len());
        let mut window = whole[made.len()..made.len() + length].to_vec();
        let last = made.len() + length == whole.len();
        let count = predictor.correct(cover, made.len() as u64, &mut window, last);
        assert!(count + 8 >= length && (!last || count == length), "{count} of {length}");
        assert_eq!(window[count..], whole[made.len() + count..made.len() + length], "the rest is untouched");
        made.extend_from_slice(&window[..count]);
    }
    made
}

#[test]
fn code_that_moved_needs_no_differences_and_whatever_windows_it_is_read_in() {
    let (base, target, image, covers) = moved();
    let predictor = Predictor::new(&[image], &covers, &base).unwrap();
    for cover in &covers[1..] {
        let to = usize::try_from(cover.target).unwrap();
        let whole = corrected(&predictor, cover, &base, &mut || usize::MAX);
        assert_eq!(whole, target[to..to + whole.len()]);
        for seed in 1..40usize {
            let mut state = seed;
            let mut lengths = || {
                state = state * 31 % 211;
                16 + state
            };
            assert_eq!(corrected(&predictor, cover, &base, &mut lengths), whole, "{seed}");
        }
    }
}

#[test]
fn a_cover_across_the_parts_of_an_image_is_corrected_the_same_in_all_windows() {
    let (base, _, image, covers) = moved();
    let predictor = Predictor::new(&[image], &covers, &base).unwrap();
    // From before the image's first part on, through the gap between them.
    let cover = Cover { base: 100, target: 160, length: base.len() as u64 - 100 };
    let whole = corrected(&predictor, &cover, &base, &mut || usize::MAX);
    for length in [16, 17, 64, 100, 1000, 4096, 5000] {
        assert_eq!(corrected(&predictor, &cover, &base, &mut || length), whole, "{length}");
    }
}

#[test]
fn without_covers_and_with_an_image_of_lies_nothing_is_out_of_order() {
    let (base, _, image, covers) = moved();
    let mut lies = image.clone();
    for segment in &mut lies.segments {
        segment.base.address = u64::MAX - 5;
        segment.target.address = u64::MAX;
        segment.target.offset = u64::MAX;
    }
    lies.target_at = u64::MAX;
    lies.tables.push(Table { at: 3, kind: TableKind::Frames { length: u64::MAX } });
    for covers in [&[], covers.as_slice()] {
        for image in [&image, &lies] {
            let predictor = Predictor::new(&[image.clone(), image.clone()], covers, &base).unwrap();
            let cover = Cover { base: 0, target: u64::MAX - 10, length: base.len() as u64 };
            assert_eq!(corrected(&predictor, &cover, &base, &mut || 333).len(), base.len());
        }
    }
}

#[test]
fn segments_out_of_order_that_overlap_are_read_the_same_in_all_windows() {
    let (base, _, mut image, covers) = moved();
    // Code that two segments claim, at other addresses.
    let mut other = image.segments[0];
    other.base.offset += 1000;
    other.base.address += 0x10_0000;
    other.base.stored -= 1000;
    image.segments.insert(0, other);
    let predictor = Predictor::new(&[image], &covers, &base).unwrap();
    let whole = corrected(&predictor, &covers[1], &base, &mut || usize::MAX);
    for length in [16, 100, 1000, 4096] {
        assert_eq!(corrected(&predictor, &covers[1], &base, &mut || length), whole, "{length}");
    }
}

#[test]
fn of_images_in_one_place_one_is_looked_at() {
    struct Counted<'a>(&'a [u8], std::cell::Cell<u64>);
    impl ReadAt for Counted<'_> {
        fn length(&self) -> u64 {
            self.0.len() as u64
        }
        fn read_exact_at(&self, at: u64, buffer: &mut [u8]) -> std::io::Result<()> {
            self.1.set(self.1.get() + buffer.len() as u64);
            self.0.read_exact_at(at, buffer)
        }
    }
    let (mut base, _, image, covers) = moved();
    // Records of eight bytes to the end.
    base.extend([4, 0, 0, 0, 1, 0, 0, 0].repeat(500_000));
    let table = |at| Table { at, kind: TableKind::Frames { length: 2_000_000 } };
    let images = vec![Image { tables: vec![table(0x6000), table(0x6000 + 2_000_000)], ..image }; 64];
    let counted = Counted(&base, std::cell::Cell::new(0));
    Predictor::new(&images, &covers, &counted).unwrap();
    assert!(counted.1.get() <= base.len() as u64 + 200_000, "{} bytes", counted.1.get());
}

#[test]
fn labels_make_code_that_moved_the_same() {
    let (base, target) = (program(0), program(100));
    let (mut old, mut new) = (base.clone(), target.clone());
    put_labels(&parse(&base).unwrap(), &mut old).unwrap();
    put_labels(&parse(&target).unwrap(), &mut new).unwrap();
    let differs = |one: &[u8], other: &[u8]| one.iter().zip(other).filter(|(a, b)| a != b).count();
    let code = 64 * FUNCTIONS;
    let (from, to) = (CODE..CODE + code, CODE + 100..CODE + 100 + code);
    assert!(differs(&base[from.clone()], &target[to.clone()]) > FUNCTIONS, "they load from another distance");
    assert_eq!(differs(&old[from], &new[to]), 0);
}

#[test]
fn what_is_no_program_is_none() {
    for bytes in [&b""[..], b"\x7fELF", b"MZ", &noise(10_000, 3), b"\x7fELF\x02\x01 and no more"] {
        assert!(parse(bytes).is_none());
    }
    // Every byte of the head may lie: nothing panics.
    let whole = program(0);
    for at in 0..180 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = whole.clone();
            changed[at] = value;
            if let Some(parsed) = parse(&changed) {
                put_labels(&parsed, &mut changed).unwrap();
            }
        }
    }
}

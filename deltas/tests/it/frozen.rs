//! Deltas that are kept: what a program of today reads it reads for ever, whatever is written by then.

use std::fs;
use std::path::{Path, PathBuf};

use sealpost_deltas::{
    Limits, MakeSettings, Progress, Shown, apply_file, container_version, make_file, show,
};

use crate::{applied, listing, made, small_pair};

/// A file and what a delta makes of it.
type Pair = (Vec<u8>, Vec<u8>);

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The kept bytes; `SEALPOST_WRITE_GOLDEN` keeps new ones where there are none.
fn kept(name: &str, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    if std::env::var_os("SEALPOST_WRITE_GOLDEN").is_some() && !place(name).exists() {
        fs::write(place(name), make()).unwrap();
    }
    fs::read(place(name)).unwrap()
}

fn made_of((base, target): &Pair) -> Vec<u8> {
    let (mut delta, settings) = (Vec::new(), MakeSettings::default());
    let (base, target) = (base.as_slice(), target.as_slice());
    make_file(&base, &target, &mut delta, &settings, &mut |_: Progress| true).unwrap();
    delta
}

fn shown(delta: &[u8]) -> Shown {
    show(delta, None, &Limits::default()).unwrap()
}

/// A program for x86-64 of these functions; each calls others, and the distances change where a function is new.
fn program(functions: &[u32]) -> Vec<u8> {
    const BEGIN: usize = 0x1000;
    const FUNCTION: usize = 64;
    let mut code = Vec::new();
    for (number, name) in functions.iter().enumerate() {
        let at = number * FUNCTION;
        let own = |place: u32| (name.wrapping_mul(40_503) >> (place % 12)).to_le_bytes()[0] & 0x3f | 0x40;
        let mut body: Vec<u8> = (0..12).map(own).collect();
        for call in 1..=6u32 {
            let callee = name.wrapping_mul(2_654_435_761).rotate_left(call) % 400;
            let to = functions.iter().position(|known| *known == callee).unwrap() * FUNCTION;
            body.push(0xe8);
            let distance = to as i64 - (at + body.len() + 4) as i64;
            body.extend_from_slice(&i32::try_from(distance).unwrap().to_le_bytes());
            body.extend_from_slice(&[0x48, 0x89, 0xc0 | call.to_le_bytes()[0]]);
        }
        body.resize(FUNCTION - 1, 0x90);
        body.push(0xc3);
        code.extend(body);
    }
    let length = code.len() as u64;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    for number in [BEGIN as u64, 64, 0] {
        elf.extend_from_slice(&number.to_le_bytes());
    }
    elf.extend_from_slice(b"\0\0\0\0\x40\0\x38\0\x01\0\x40\0\0\0\0\0");
    elf.extend_from_slice(b"\x01\0\0\0\x05\0\0\0");
    for number in [BEGIN as u64, BEGIN as u64, BEGIN as u64, length, length, 0x1000] {
        elf.extend_from_slice(&number.to_le_bytes());
    }
    elf.resize(BEGIN, 0);
    elf.extend(code);
    elf
}

fn programs() -> Pair {
    let before: Vec<u32> = (0..400).collect();
    let mut after = before.clone();
    after.splice(150..150, 1_000..1_007);
    (program(&before), program(&after))
}

/// A list whose entries resemble each other, and many are new: they are copied out of the target itself.
fn lists() -> Pair {
    let line = |number: u32, mark: u32| {
        let kind = ["worm", "trojan", "dropper"][number as usize % 3];
        format!("{kind}/family-{}/variant-{number:05} severity=high mark={mark}\n", number / 50)
    };
    let before: String = (0..300).map(|number| line(number, number % 7)).collect();
    let after: String = (0..900).map(|number| line(number, number % 7 + u32::from(number == 100))).collect();
    (before.into_bytes(), after.into_bytes())
}

#[test]
fn kept_deltas_of_files_give_their_targets() {
    for (name, pair) in [("program-v2.bin", programs()), ("list-v2.bin", lists())] {
        let delta = kept(name, || made_of(&pair));
        assert_eq!(container_version(&delta), Some(2), "{name}");
        let (base, target) = &pair;
        let (mut made, limits) = (Vec::new(), Limits::default());
        let base = base.as_slice();
        apply_file(&base, delta.as_slice(), &mut made, &limits, &mut |_: Progress| true).unwrap();
        assert!(made == *target, "{name}");
    }
}

#[test]
fn the_kept_delta_of_a_tree_gives_its_target() {
    let (base, target) = small_pair();
    let delta = kept("tree-v2.bin", || made(base.path(), target.path()).0);
    let (result, _) = applied(base.path(), delta.as_slice(), &Limits::default()).unwrap();
    assert_eq!(result, listing(target.path()));
}

#[test]
fn kept_deltas_have_what_they_are_kept_for() {
    let program = fs::read(place("program-v2.bin")).unwrap();
    let shown_program = shown(&program);
    assert_eq!(shown_program.groups[0].images, Some(1), "{shown_program:?}");
    // The same bytes that nobody takes for a program.
    let (mut base, mut target) = programs();
    (base[0], target[0]) = (0, 0);
    let uncorrected = made_of(&(base, target)).len();
    assert!(program.len() * 3 / 2 < uncorrected, "{} bytes, and {uncorrected} uncorrected", program.len());
    let list = shown(&fs::read(place("list-v2.bin")).unwrap());
    assert_eq!(list.groups[0].own_copies, Some(true), "{list:?}");
}

//! A small encoder by hand, for the tests of the reader: it packs what it is told, also what is wrong.

pub(crate) mod encoder;

use std::path::Path;
use std::process::Command;

use crate::container::layout::{Packed, Packing};
use crate::pack;

/// Runs a test of this program in a process of its own, which finds the variable set and calls [`ensure_peak`].
pub(crate) fn in_own_process(name: &str, (variable, value): (&str, &Path)) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(variable, value)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("peak: "), "{said}{output:?}");
}

/// Whether this process took no more memory at any time, with the program itself.
pub(crate) fn ensure_peak(most_kib: u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    println!("peak: {peak} KiB");
    assert!(peak <= most_kib, "{peak} KiB");
}

/// Bytes that do not compress.
pub(crate) fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// Bytes that compress: lines of text with numbers in them.
pub(crate) fn text(length: usize, seed: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0.. {
        if bytes.len() >= length {
            break;
        }
        let line = format!("{seed}: line {number} of a text, {}\n", number * seed % 97);
        bytes.extend_from_slice(line.as_bytes());
    }
    bytes.truncate(length);
    bytes
}

pub(crate) fn zstd_frame(bytes: &[u8], window_log: u32, prefix: &[u8]) -> Vec<u8> {
    pack::zstd_frame(bytes, window_log, prefix, 6).unwrap()
}

pub(crate) fn lzma2(bytes: &[u8], dictionary: u32, literal_context: u32) -> Vec<u8> {
    pack::lzma2(bytes, pack::Lzma2 { dictionary, literal_context, preset: 6 }).unwrap()
}

/// Packs as told, or leaves the bytes as they are if that is no longer.
pub(crate) fn pack(bytes: &[u8], packing: Packing, cap: u64) -> (Packed, Vec<u8>) {
    let dictionary = crate::container::dictionary(bytes.len() as u64, cap);
    let packed = match packing {
        Packing::Plain => bytes.to_vec(),
        Packing::Zstd => zstd_frame(bytes, dictionary.ilog2(), &[]),
        Packing::Lzma2 => lzma2(bytes, u32::try_from(dictionary).unwrap(), 3),
    };
    if packed.len() < bytes.len() {
        (Packed { packing, length: packed.len() as u64 }, packed)
    } else {
        (Packed { packing: Packing::Plain, length: bytes.len() as u64 }, bytes.to_vec())
    }
}

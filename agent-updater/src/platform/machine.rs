//! What a Linux machine says of itself: the boot clock, and the names that tell one machine and one start from another.
//!
//! Nothing here is secret, and nothing is trusted: a copy of a machine says the same. What cannot be read is absent.

use std::path::Path;

use rustix::time::{ClockId, clock_gettime};
use sealpost_files::{escape, read_bounded};
use sealpost_manifests::digest::{Sha256Digest, Sha256Hasher};
use sealpost_manifests::wire::contact::MAX_HOSTNAME_BYTES;

use crate::domain::boot::{BootId, BootMoment};
use crate::domain::machine::Machine;

/// Longest file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 4 * 1024;
/// What an instance's digest begins with, so that it is the digest of nothing else.
const INSTANCE_LABEL: &[u8] = b"sealpost instance 1\n";
/// The same of a machine's own id.
const MACHINE_LABEL: &[u8] = b"sealpost machine 1\n";
/// The same of the id of its hardware.
const HARDWARE_LABEL: &[u8] = b"sealpost hardware 1\n";

/// This moment on the boot clock, which also counts while the machine is suspended.
#[must_use]
pub fn boot_moment() -> Option<BootMoment> {
    let secs = u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).ok()?;
    Some(BootMoment { boot: boot_id()?, secs })
}

/// A digest that differs between machines, and between two starts of one machine.
#[must_use]
pub fn instance() -> Option<Sha256Digest> {
    Some(digest_of(&machine_id()?, &boot_id()?))
}

/// What tells this machine from others, also after a restart. An image is to leave `/etc/machine-id` empty; a clone of a virtual
/// machine has another product id, which only root can read.
#[must_use]
pub fn machine() -> Machine {
    let digest = |label: &[u8], path| Some(labelled(label, &line_of(Path::new(path))?));
    Machine {
        id: digest(MACHINE_LABEL, "/etc/machine-id"),
        hardware: digest(HARDWARE_LABEL, "/sys/class/dmi/id/product_uuid"),
    }
}

/// The name that the machine gives itself, bounded, for people.
#[must_use]
pub fn hostname() -> Option<String> {
    bounded_name(&line_of(Path::new("/proc/sys/kernel/hostname"))?)
}

fn labelled(label: &[u8], text: &str) -> Sha256Digest {
    let mut hasher = Sha256Hasher::new();
    hasher.update(label);
    hasher.update(text.as_bytes());
    hasher.finish()
}

fn digest_of(machine_id: &str, boot_id: &BootId) -> Sha256Digest {
    let mut hasher = Sha256Hasher::new();
    hasher.update(INSTANCE_LABEL);
    hasher.update(machine_id.as_bytes());
    hasher.update(b"\n");
    hasher.update(boot_id.as_str().as_bytes());
    hasher.finish()
}

fn machine_id() -> Option<String> {
    line_of(Path::new("/etc/machine-id"))
}

fn boot_id() -> Option<BootId> {
    BootId::new(&line_of(Path::new("/proc/sys/kernel/random/boot_id"))?).ok()
}

fn bounded_name(name: &str) -> Option<String> {
    let mut name = escape(name);
    let mut cut = name.len().min(MAX_HOSTNAME_BYTES);
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    name.truncate(cut);
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// The first line of a small file; `None` if it is empty or cannot be read.
fn line_of(path: &Path) -> Option<String> {
    first_line(&read_bounded(path, MAX_FILE_BYTES).ok().flatten()?)
}

/// Bytes that are no UTF-8 are replaced, so that they hide nothing else.
fn first_line(bytes: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(bytes.split(|byte| *byte == b'\n').next()?);
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_runs_and_names_its_start() {
        let (first, second) = (boot_moment().unwrap(), boot_moment().unwrap());
        assert_eq!(first.boot, second.boot);
        assert!(first.secs <= second.secs && first.secs > 0);
    }

    #[test]
    fn another_machine_or_another_start_is_another_instance() {
        let boot = |last| BootId::new(&format!("8f7e9a34-1111-4a2b-9c3d-00000000000{last}")).unwrap();
        let one = digest_of("0123", &boot(1));
        assert_eq!(one, digest_of("0123", &boot(1)));
        assert_ne!(one, digest_of("0124", &boot(1)));
        assert_ne!(one, digest_of("0123", &boot(2)));
    }

    #[test]
    fn a_name_is_bounded_and_moves_no_cursor() {
        assert_eq!(bounded_name("pc-1\u{1b}[2J"), Some("pc-1 [2J".to_owned()));
        assert!(bounded_name(&"ü".repeat(500)).unwrap().len() <= MAX_HOSTNAME_BYTES);
        assert_eq!(bounded_name("\u{7}"), None);
    }

    #[test]
    fn bytes_that_are_no_utf_8_hide_neither_a_name_nor_the_line_before_them() {
        assert_eq!(first_line(b"0123\n\xff").as_deref(), Some("0123"));
        assert_eq!(first_line(b"b\xfcro-1\n").as_deref(), Some("b\u{fffd}ro-1"));
        assert_eq!((first_line(b" \nx"), first_line(b"")), (None, None));
    }
}

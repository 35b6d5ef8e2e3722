//! Programs that are neither scripts nor binaries for Linux, and which the system runs all the same, since root registered
//! an interpreter for them (binfmt_misc): archives of Java, programs for Windows, binaries for another processor.
//!
//! Left out on purpose: whether that interpreter is there; root registered it.

use std::fs;
use std::path::Path;

/// One file for each format.
const FORMATS: &str = "/proc/sys/fs/binfmt_misc";

/// Whether the system has an interpreter for a program with these first bytes.
pub(crate) fn has_interpreter(program: &Path, head: &[u8]) -> bool {
    let Ok(entries) = fs::read_dir(FORMATS) else { return false };
    // The files that are no formats, `register` and `status`, name none.
    let formats = entries.flatten().filter_map(|entry| fs::read(entry.path()).ok());
    formats.into_iter().any(|format| is_of(&String::from_utf8_lossy(&format), program, head))
}

/// Whether a program is of a format, by the words of the system about the latter.
fn is_of(format: &str, program: &Path, head: &[u8]) -> bool {
    let value = |name: &str| format.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    if format.lines().next() != Some("enabled") {
        return false;
    }
    if let Some(extension) = value("extension").and_then(|extension| extension.strip_prefix('.')) {
        return program.extension().is_some_and(|found| found == extension);
    }
    let Some(magic) = value("magic").and_then(bytes_of).filter(|magic| !magic.is_empty()) else {
        return false;
    };
    let mask = value("mask").and_then(bytes_of).unwrap_or_else(|| vec![0xff; magic.len()]);
    let Some(offset) = value("offset").and_then(|offset| offset.parse::<usize>().ok()) else { return false };
    let found = offset.checked_add(magic.len()).and_then(|end| head.get(offset..end));
    found.is_some_and(|found| {
        mask.len() == magic.len()
            && found.iter().zip(&magic).zip(&mask).all(|((found, magic), mask)| (found ^ magic) & mask == 0)
    })
}

fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.trim().as_bytes().chunks(2);
    digits.map(|two| u8::from_str_radix(str::from_utf8(two).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_of_a_format_by_its_first_bytes_or_by_its_extension() {
        let program = Path::new("/opt/acme/start.jar");
        let by_magic = "enabled\ninterpreter /usr/bin/wine\nflags: \noffset 0\nmagic 4d5a\n";
        assert!(is_of(by_magic, program, b"MZ\x90\0") && !is_of(by_magic, program, b"PK\x03\x04"));
        assert!(!is_of(by_magic, program, b"M") && !is_of("enabled\n", program, b"MZ"));
        assert!(!is_of(&by_magic.replace("enabled", "disabled"), program, b"MZ\x90\0"));
        let masked = "enabled\ninterpreter /x\nflags: OC\noffset 1\nmagic 0102\nmask ff00\n";
        assert!(is_of(masked, program, b"\0\x01\x07") && !is_of(masked, program, b"\0\x02\x02"));
        let by_extension = "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n";
        assert!(is_of(by_extension, program, b"") && !is_of(by_extension, Path::new("/opt/jar"), b""));
    }
}

//! From a file entry to the bytes that stand before its content in the tar.
//!
//! POSIX ustar: mode 644 or 755 (777 for links), owner 0, time 0, no folders. A path or link text over
//! 100 bytes stands in a pax extended header before the entry; the ustar prefix field is never used, so
//! that there is one way to write each path. Frozen: changing a byte here makes every published payload
//! unreadable.

use tar::{EntryType, Header};

use crate::release::{FileEntry, FileKind};

/// Bytes in a tar block.
pub(super) const BLOCK_BYTES: u64 = 512;
/// The two zero blocks at the end.
pub(super) const END_BYTES: u64 = 2 * BLOCK_BYTES;
/// Largest file: what eleven octal digits can say, 8 GiB less one byte.
pub const MAX_FILE_BYTES: u64 = 0o77_777_777_777;
/// Longest path or link text that fits a plain header.
const SHORT_BYTES: usize = 100;
/// What the extended headers are called in a listing.
const PAX_NAME: &[u8] = b"PaxHeaders/long";

/// All blocks before the content of an entry.
pub(super) fn head(entry: &FileEntry) -> Vec<u8> {
    let path = entry.path.as_str();
    let (kind, mode, length, link) = match &entry.kind {
        FileKind::File { executable, length, .. } => {
            (EntryType::Regular, if *executable { 0o755 } else { 0o644 }, *length, "")
        }
        FileKind::Symlink { target } => (EntryType::Symlink, 0o777, 0, target.as_str()),
    };
    let mut records = Vec::new();
    for (key, value) in [("linkpath", link), ("path", path)] {
        if value.len() > SHORT_BYTES {
            records.extend_from_slice(&pax_record(key, value));
        }
    }
    let mut blocks = Vec::new();
    if !records.is_empty() {
        let mut pax = header(EntryType::XHeader, 0o644, records.len() as u64);
        fill(&mut pax.as_old_mut().name, PAX_NAME);
        pax.set_cksum();
        blocks.extend_from_slice(pax.as_bytes());
        let padding = padding(records.len() as u64);
        blocks.append(&mut records);
        blocks.extend(std::iter::repeat_n(0, padding));
    }
    let mut main = header(kind, mode, length);
    fill(&mut main.as_old_mut().name, shortened(path));
    fill(&mut main.as_old_mut().linkname, shortened(link));
    main.set_cksum();
    blocks.extend_from_slice(main.as_bytes());
    blocks
}

/// Zero bytes after a content of this length.
pub(super) fn padding(length: u64) -> usize {
    // At most 511, so the conversion cannot fail.
    usize::try_from(length.next_multiple_of(BLOCK_BYTES) - length).unwrap_or_default()
}

/// Length of the whole tar, or nothing if a file is too large or the sum too long.
pub(super) fn tar_length(files: &[FileEntry]) -> Option<u64> {
    files.iter().try_fold(END_BYTES, |total, entry| {
        let content = match entry.kind {
            FileKind::File { length, .. } if length > MAX_FILE_BYTES => return None,
            FileKind::File { length, .. } => length.next_multiple_of(BLOCK_BYTES),
            FileKind::Symlink { .. } => 0,
        };
        total.checked_add(head(entry).len() as u64)?.checked_add(content)
    })
}

fn header(kind: EntryType, mode: u32, length: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(length);
    header
}

fn fill(field: &mut [u8; SHORT_BYTES], value: &[u8]) {
    for (to, from) in field.iter_mut().zip(value) {
        *to = *from;
    }
}

/// The whole text if it fits; else its beginning, which the extended header replaces. Never ends in the
/// slash that old readers take for a folder.
fn shortened(text: &str) -> &[u8] {
    if text.len() <= SHORT_BYTES {
        return text.as_bytes();
    }
    let mut end = SHORT_BYTES;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].trim_end_matches('/').as_bytes()
}

/// `<length> <key>=<value>\n`, where the length counts itself.
fn pax_record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while length != rest.len() + length.to_string().len() {
        length = rest.len() + length.to_string().len();
    }
    format!("{length}{rest}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pax_record_counts_its_own_length() {
        assert_eq!(pax_record("path", "a"), b"9 path=a\n");
        for length in 1..1100 {
            let record = pax_record("path", &"x".repeat(length));
            let said = record.split(|&byte| byte == b' ').next().unwrap();
            assert_eq!(std::str::from_utf8(said).unwrap(), record.len().to_string());
        }
    }

    #[test]
    fn padding_fills_the_last_block() {
        assert_eq!([0, 1, 511, 512, 513].map(padding), [0, 511, 1, 0, 511]);
    }
}

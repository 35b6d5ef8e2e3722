//! Whole logs as files.

use std::io::Cursor;

use sealpost_manifests::log::{ExportReader, LogExport, MAX_EXPORT_ENTRY_BYTES};
use sealpost_site::changes::export::ExportCheck;

use crate::fixed::{LOG_ENTRIES, key, log_entry, server_id};

/// Reads an export from its first byte to its last; what is whole under the fixed key is the fixed log.
pub(crate) fn log_exports(data: &[u8]) -> bool {
    let header = data.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if let Ok(header) = LogExport::read(header)
        && let Ok(text) = header.write()
    {
        let again = LogExport::read(text.as_bytes()).expect("what was written is read");
        assert_eq!(again.write().unwrap(), text);
    }
    let own = walk(data, true);
    walk(data, false) || own
}

fn walk(data: &[u8], is_fixed_site: bool) -> bool {
    let site_key = key().public();
    let Ok(mut reader) = ExportReader::open(Cursor::new(data), is_fixed_site.then_some(&site_key)) else {
        return false;
    };
    let about = reader.about().clone();
    let mut check = ExportCheck::new(about.server_id.clone(), vec![about.head]);
    let mut entries = Vec::new();
    loop {
        match reader.next_entry() {
            Ok(Some(entry)) => {
                assert!(entry.len() <= MAX_EXPORT_ENTRY_BYTES);
                check.next(&entry, reader.head());
                entries.push(entry);
            }
            Ok(None) => break,
            Err(_refused) => return false,
        }
    }
    if is_fixed_site {
        assert_eq!(about.server_id, *server_id());
        let fixed: Vec<Vec<u8>> = (0..LOG_ENTRIES).map(|index| log_entry(index).into_bytes()).collect();
        assert_eq!(entries, fixed, "that is no log of the fixed server");
    }
    let checked = check.finish(reader.head());
    assert_eq!((checked.entries, checked.head), (about.head.size, about.head));
    true
}

//! Exporting the log of a server that does not run: read from its ledger's file, and signed with the keys of its home.
//!
//! Invariant: nothing is written into the home. What comes out is what a running server would give, and is checked by
//! whoever reads it.

use std::io::{self, Write};

use jiff::Timestamp;
use sealpost_keys::note::NoteError;
use sealpost_ledger::sqlite::{self, OpenError};
use sealpost_manifests::document::{DocumentError, SignedDocument};
use sealpost_manifests::log::{Checkpoint, ExportError, LogExport, LogHead, LogKeyCertificate};
use sealpost_site::rows::ServerIdentity;

use crate::home::{Home, HomeError};

/// Why a log cannot be exported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogExportError {
    #[error("cannot read the ledger")]
    Ledger(#[from] OpenError),
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("cannot certify the key of the log")]
    Certify(#[from] DocumentError),
    #[error("cannot sign the log's head")]
    Sign(#[from] NoteError),
    #[error("cannot write the first line")]
    Header(#[from] ExportError),
}

/// Writes the export of the log of a home.
///
/// # Errors
/// [`LogExportError`].
pub(crate) fn write(home: &Home, now: Timestamp, out: &mut impl Write) -> Result<(), LogExportError> {
    let mut failed = None;
    let out = std::cell::RefCell::new(out);
    let read = sqlite::read_log(
        &home.ledger(),
        |server, head| match header(home, server, head, now) {
            Ok(line) => writeln!(out.borrow_mut(), "{line}"),
            Err(error) => {
                failed = Some(error);
                Err(io::Error::other("its first line cannot be made"))
            }
        },
        |entry| {
            let mut out = out.borrow_mut();
            out.write_all(entry)?;
            out.write_all(b"\n")
        },
    );
    failed.map_or(Ok(()), Err)?;
    Ok(read?)
}

fn header(
    home: &Home,
    server: &ServerIdentity,
    head: LogHead,
    now: Timestamp,
) -> Result<String, LogExportError> {
    let site_key = home.read_site_key_of(&server.site_key)?;
    let log_key = home.read_log_key(&server.server_id)?;
    let certificate = LogKeyCertificate {
        server_id: server.server_id.clone(),
        log_key: log_key.public().clone(),
        issued_at: now,
    };
    let log_key_document = SignedDocument::sign(&certificate, &site_key)?;
    let checkpoint = Checkpoint::sign(&head, &log_key)?;
    let first = LogExport {
        server_id: server.server_id.clone(),
        site_key: site_key.public(),
        log_key: log_key_document,
        checkpoint,
    };
    Ok(first.write()?)
}

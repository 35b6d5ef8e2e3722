//! What a restore ended, as a read of the tables finds it: the end of a code or an admission, and whether a decision about two
//! computers counts.
//!
//! A row keeps what it was made with, so that a replay of the log makes it again whatever was restored since.
//! What a restore ended is told by the log: the times of entries can be equal, and a vendor's word can set them back.

use rusqlite::Row;
use sealpost_site::rules::copies::Kept;
use sealpost_site::rules::restore::RestoreState;

use super::values::optional_text;

/// The end of the row `s` of `setups`, as `RestoreState::end_of_setup` says. The argument is the SQL of the time of the last
/// restore, or of null.
macro_rules! setup_end {
    ($restored_at:literal) => {
        concat!(
            "CASE WHEN ",
            $restored_at,
            " IS NOT NULL AND s.used_by IS NULL AND NOT EXISTS (SELECT 1 FROM activity a WHERE a.computer = s.name \
             AND a.sequence > (SELECT max(sequence) FROM activity WHERE kind = 'ledger_restored') \
             AND a.kind IN ('setup_issued', 'computer_admitted')) THEN min(s.expires_at, ",
            $restored_at,
            " - 1) ELSE s.expires_at END"
        )
    };
}

/// Whether what was decided about the client `c` of `clients` was not decided since the last restore; true also where there was
/// none. Of most clients nothing was decided, and then the log is not read.
macro_rules! kept_before {
    () => {
        "CASE WHEN c.kept_copy IS NOT NULL THEN NOT EXISTS (SELECT 1 FROM activity a WHERE a.computer = c.name \
         AND a.sequence > (SELECT max(sequence) FROM activity WHERE kind = 'ledger_restored') \
         AND a.kind = 'copy_resolved') END"
    };
}

/// What was decided about a client, of the columns of its `kept_copy` and of [`kept_before!`].
pub(super) fn kept(
    row: &Row<'_>,
    (branch, is_from_before): (usize, usize),
    restore: &RestoreState,
) -> rusqlite::Result<Kept> {
    let is_from_before: Option<bool> = row.get(is_from_before)?;
    Ok(restore.kept(is_from_before.unwrap_or(true), optional_text(row, branch)?))
}

pub(super) use {kept_before, setup_end};

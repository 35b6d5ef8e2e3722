//! The end of a code or an admission as a read of the tables finds it.
//!
//! The row keeps the end that it was issued with, so that a replay of the log makes it again whatever was restored since.
//! What a restore ended is told by the log: the times of entries can be equal, and a vendor's word can set them back.

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

pub(super) use setup_end;

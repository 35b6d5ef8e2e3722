//! What version 8 adds: how long each computer pauses between its contacts.

/// Nobody counts as silent sooner than before: nothing is known of pauses until a computer comes again.
pub(super) const STEP: &str = "
ALTER TABLE contacts ADD COLUMN cadence TEXT;
";

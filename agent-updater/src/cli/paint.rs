//! Whether output is colored.

use std::io::IsTerminal;

use crate::flows::status::Paint;

/// Colors on a terminal only, and not if `NO_COLOR` is set.
pub(super) fn of_stdout() -> Paint {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !is_unwanted { Paint::Colors } else { Paint::Plain }
}

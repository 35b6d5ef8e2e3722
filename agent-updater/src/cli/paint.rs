//! Whether output is colored.

use sealpost_service::output::shows_colors;

use crate::flows::status::Paint;

/// Colors on a terminal only, and not if `NO_COLOR` is set.
pub(super) fn of_stdout() -> Paint {
    if shows_colors() { Paint::Colors } else { Paint::Plain }
}

//! What is said before a seat is taken: it is for good.

use super::output::{ask, can_ask, tell};

/// Says it, and asks where somebody can answer. A script that takes seats was written by somebody who read it once.
pub(super) fn agrees(count: usize, yes: bool) -> anyhow::Result<bool> {
    let these = if count == 1 { "a name".to_owned() } else { format!("each of {count} names") };
    tell(format_args!(
        "a seat for {these} that holds none yet: a reservation is for good, and is never moved to another name, recovered or \
         deleted"
    ));
    if yes || !can_ask() {
        return Ok(true);
    }
    ask(if count == 1 { "Reserve it?" } else { "Reserve them?" })
}

//! Computers whose packages are not as they were signed, or whose products do not run: what the site is told of them.

use crate::rows::ComputersRow;
use crate::rules::text::{counted, first_names};
use crate::rules::warnings::{Unit, Warning, WarningCode};

/// What is said of those whose packages were changed.
#[must_use]
pub fn warning(who: &ComputersRow) -> Option<Warning> {
    told(who, WarningCode::ClientsDrifted, |say, named| {
        format!(
            "{say} that installed packages are not as they were signed ({named}): see `distributor clients show NAME`, and \
             repair them there with `agent-updater repair PACKAGE`"
        )
    })
}

/// What is said of computers on which a product could not be started.
#[must_use]
pub fn stopped(who: &ComputersRow) -> Option<Warning> {
    told(who, WarningCode::ProductsStopped, |say, named| {
        format!(
            "{say} that a product does NOT run, because it was stopped and could not be started ({named}): see \
             `distributor clients show NAME`, and on the computer `agent-updater status` for why; it is tried again by \
             itself, and at once by `agent-updater check` there"
        )
    })
}

fn told(
    who: &ComputersRow,
    code: WarningCode,
    sentence: impl FnOnce(&str, &str) -> String,
) -> Option<Warning> {
    let ComputersRow { count, names, since } = who;
    if *count == 0 {
        return None;
    }
    let said = sentence(&counted(*count, "computer says", "computers say"), &first_names(names, *count));
    Some(Warning::new(code, said).of(*count, Unit::Computers, names).since(*since))
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::ComputerName;

    use super::*;

    #[test]
    fn changed_computers_are_counted_and_the_first_are_named() {
        let names: Vec<ComputerName> =
            (1..=7).map(|number| ComputerName::new(format!("pc-{number}")).unwrap()).collect();
        let said = |names: &[ComputerName], count| {
            warning(&ComputersRow { count, names: names.to_vec(), since: None }).map(|said| said.message)
        };
        assert_eq!(said(&[], 0), None);
        let one = said(&names[..1], 1).unwrap();
        assert!(one.starts_with("1 computer says ") && one.contains("(pc-1):"), "{one}");
        let all = said(&names, 70).unwrap();
        assert!(all.starts_with("70 computers say ") && all.contains("pc-5 and 65 more)"), "{all}");
        let stopped = |count| {
            stopped(&ComputersRow { count, names: names[..1].to_vec(), since: None }).map(|said| said.message)
        };
        assert_eq!(stopped(0), None);
        let one = stopped(1).unwrap();
        assert!(one.starts_with("1 computer says ") && one.contains("does NOT run"), "{one}");
    }
}

//! Computers whose packages are not as they were signed, or whose products do not run: what the site is told of them.

use sealpost_manifests::ids::ComputerName;

use crate::rules::text::{counted, first_names};

/// What is said of them: `names` are the first of `count`.
#[must_use]
pub fn warning(names: &[ComputerName], count: u64) -> Option<String> {
    if count == 0 {
        return None;
    }
    let named = first_names(names, count);
    let say = counted(count, "computer says", "computers say");
    Some(format!(
        "{say} that installed packages are not as they were signed ({named}): see `distributor clients show NAME`, and \
         repair them there with `agent-updater repair PACKAGE`"
    ))
}

/// What is said of computers on which a product could not be started: `names` are the first of `count`.
#[must_use]
pub fn stopped_warning(names: &[ComputerName], count: u64) -> Option<String> {
    if count == 0 {
        return None;
    }
    let named = first_names(names, count);
    let say = counted(count, "computer says", "computers say");
    Some(format!(
        "{say} that a product does NOT run, because it was stopped and could not be started ({named}): see \
         `distributor clients show NAME`, and on the computer `agent-updater status` for why; it is tried again by itself, and \
         at once by `agent-updater check` there"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_computers_are_counted_and_the_first_are_named() {
        let names: Vec<ComputerName> =
            (1..=7).map(|number| ComputerName::new(format!("pc-{number}")).unwrap()).collect();
        assert_eq!(warning(&[], 0), None);
        let one = warning(&names[..1], 1).unwrap();
        assert!(one.starts_with("1 computer says ") && one.contains("(pc-1):"), "{one}");
        let all = warning(&names, 70).unwrap();
        assert!(all.starts_with("70 computers say ") && all.contains("pc-5, …"), "{all}");
        assert_eq!(stopped_warning(&[], 0), None);
        let stopped = stopped_warning(&names[..1], 1).unwrap();
        assert!(stopped.starts_with("1 computer says ") && stopped.contains("does NOT run"), "{stopped}");
    }
}

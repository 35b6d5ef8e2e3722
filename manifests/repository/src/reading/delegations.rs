//! Which role speaks for a name: the walk over the delegations of roles that were verified before.

use sigstore_tuf::{Targets, TrustedMetadataSet};

/// The roles that a role delegates to, in its order.
pub(super) fn delegated_roles(trusted: &TrustedMetadataSet, delegator: &str) -> Vec<String> {
    let delegations = trusted.targets_role(delegator).and_then(|targets| targets.delegations.as_ref());
    delegations.into_iter().flat_map(|delegations| &delegations.roles).map(|role| role.name.clone()).collect()
}

/// The role whose listing the core has just returned: the same walk, over roles that are loaded by now.
pub(super) fn listing_role(trusted: &TrustedMetadataSet, name: &str) -> Option<String> {
    let mut to_visit = vec!["targets".to_owned()];
    let mut visited: Vec<String> = Vec::new();
    while let Some(role) = to_visit.pop() {
        if visited.contains(&role) {
            continue;
        }
        let Some(targets) = trusted.targets_role(&role) else { continue };
        if targets.target(name).is_some() {
            return Some(role);
        }
        let (children, terminated) = matching_children(targets, name);
        visited.push(role);
        if terminated {
            to_visit.clear();
        }
        to_visit.extend(children.into_iter().rev());
    }
    None
}

fn matching_children(targets: &Targets, name: &str) -> (Vec<String>, bool) {
    let mut children = Vec::new();
    for child in targets.delegations.iter().flat_map(|delegations| &delegations.roles) {
        let top_level = matches!(child.name.as_str(), "root" | "timestamp" | "snapshot" | "targets");
        if !top_level && child.matches_path(name).unwrap_or(false) {
            children.push(child.name.clone());
            if child.terminating {
                return (children, true);
            }
        }
    }
    (children, false)
}

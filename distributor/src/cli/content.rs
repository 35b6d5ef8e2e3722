//! How old signature files are, in words.

use sealpost_admin_api::content::ContentAge;

use super::output::{counted, span};

/// One line for each package, and for each group within it.
pub(super) fn lines(content: &[ContentAge]) -> Vec<String> {
    let line = |age: &ContentAge| {
        let ContentAge { package, group, computers, unknown, p50_secs, p95_secs, oldest_secs } = age;
        let group = group.as_ref().map(|group| format!(" in {group}")).unwrap_or_default();
        let mut line = format!("{package}{group}: {}", counted(*computers, "computer", "computers"));
        if *computers > 0 {
            let ages = [*p50_secs, *p95_secs, *oldest_secs].map(span);
            let [p50, p95, oldest] = ages;
            line += &format!(", age p50 {p50}, p95 {p95}, oldest {oldest}");
        }
        if *unknown > 0 {
            line += &format!("; {} a revision that never arrived here", counted(*unknown, "runs", "run"));
        }
        line
    };
    content.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use sealpost_manifests::ids::PackageName;
    use sealpost_site::rules::rollouts::groups::GroupName;

    use super::*;

    #[test]
    fn a_line_says_of_whom_and_how_old() {
        let package = PackageName::new("acme-sigs").unwrap();
        let age = ContentAge {
            package,
            group: None,
            computers: 40,
            unknown: 0,
            p50_secs: 3_600,
            p95_secs: 7_200,
            oldest_secs: 400_000,
        };
        let pilots = Some(GroupName::new("pilots").unwrap());
        let unknown = ContentAge { group: pilots, computers: 0, unknown: 2, ..age.clone() };
        assert_eq!(
            lines(&[age, unknown]),
            [
                "acme-sigs: 40 computers, age p50 1 hour, p95 2 hours, oldest 4 days",
                "acme-sigs in pilots: 0 computers; 2 run a revision that never arrived here"
            ]
        );
    }
}

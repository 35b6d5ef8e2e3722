//! Programs wire in one place and nothing else happens there: `app` has no branches, and `main.rs` is short.

use std::collections::BTreeMap;

use super::breach::{Breach, Rule, at_lines};
use super::crates::{Crate, stands_under};
use super::plan::WIRED;

/// Longest `main.rs`, in lines.
const MAX_MAIN_LINES: usize = 60;

/// Keywords of branches. `for` is none: what is held may be a list.
const BRANCHES: &[&str] = &["if", "match", "loop", "while"];

/// Checks a program's `app` and any crate's `main.rs`.
pub(super) fn check(found: &Crate) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (_, file) in found.code() {
        if WIRED.contains(&found.folder.as_str()) && stands_under(&file.path, "app") {
            let mut branches: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for word in file.source.words.iter().filter(|word| BRANCHES.contains(&word.text.as_str())) {
                branches.entry(&word.text).or_default().push(word.line);
            }
            let named: Vec<String> =
                branches.iter().map(|(word, lines)| format!("`{word}` in {}", at_lines(lines))).collect();
            if !named.is_empty() {
                let what = format!("branches: {}", named.join("; "));
                breaches.push(found.breach(&file.path, what, Rule::Wiring));
            }
        }
        let lines = file.text.lines().count();
        if file.path == "src/main.rs" && lines > MAX_MAIN_LINES {
            let what = format!("has {lines} lines, more than {MAX_MAIN_LINES}");
            breaches.push(found.breach(&file.path, what, Rule::ThinMain));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::crates::made_up::crate_of;

    fn whats(folder: &str, path: &str, text: &str) -> Vec<String> {
        check(&crate_of(folder, &[(path, text)])).into_iter().map(|breach| breach.what).collect()
    }

    #[test]
    fn each_branch_in_app_is_found_with_its_lines() {
        for (text, what) in [
            ("fn f() {\nif a {} }", "branches: `if` in line 2"),
            ("fn f() {\n\nmatch a {} }", "branches: `match` in line 3"),
            ("fn f() { loop {} }", "branches: `loop` in line 1"),
            ("fn f() { while a {}\nwhile let b = c {} }", "branches: `while` in lines 1, 2"),
            ("fn f() { let a = if b {} else {}; match c {} }", "branches: `if` in line 1; `match` in line 1"),
            ("fn f() { run!(if a { b }) }", "branches: `if` in line 1"),
        ] {
            for (folder, path) in [
                ("distributor", "src/app.rs"),
                ("distributor", "src/app/open.rs"),
                ("agent-updater", "src/app/agent/mod.rs"),
            ] {
                assert_eq!(whats(folder, path, text), [what], "{path}");
            }
        }
    }

    #[test]
    fn app_may_construct_hold_and_fail_and_branches_may_stand_elsewhere() {
        let text = "/// If it is so.\n#[cfg_attr(unix, doc = \"if\")] fn f() -> R { let r#match = open()?; for a in b {} \
                    matches!(a, B) && \"while\" }\n#[cfg(test)] mod tests { fn f() { if a {} } }";
        assert!(whats("distributor", "src/app.rs", text).is_empty());
        let branch = "fn f() { if a { b } }";
        for (folder, path) in [
            ("distributor", "src/application.rs"),
            ("distributor", "src/http/app.rs"),
            ("distributor", "src/app/tests.rs"),
            ("agent-updater", "src/flows/cycle.rs"),
            ("publisher", "src/app.rs"),
        ] {
            assert!(whats(folder, path, branch).is_empty(), "{path}");
        }
    }

    #[test]
    fn a_main_of_more_than_sixty_lines_is_found() {
        assert_eq!(whats("publisher", "src/main.rs", &"//\n".repeat(61)), ["has 61 lines, more than 60"]);
        assert!(whats("publisher", "src/main.rs", &"//\n".repeat(60)).is_empty());
        assert!(whats("publisher", "src/lib.rs", &"//\n".repeat(61)).is_empty());
    }
}

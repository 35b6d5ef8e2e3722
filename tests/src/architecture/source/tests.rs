use super::*;

fn modules(text: &str) -> Vec<(String, bool)> {
    let lines = &Source::read(text).scopes[0].modules;
    lines.iter().map(|line| (line.name.clone(), line.is_test)).collect()
}

#[test]
fn branches_of_a_use_tree_are_spelled_out() {
    let source =
        Source::read("use std::{fs::{self, File as F}, io::Read}; use crate::{a::b, c}; use ::d::e;");
    assert!(source.names("std::fs") && source.names("std::io::Read"));
    assert!(source.names("crate::a::b") && source.names("crate::c") && source.names("d::e"));
    assert!(!source.names("crate::b"));
    let names: Vec<_> = source.scopes[0].uses.iter().filter_map(|branch| branch.name.as_deref()).collect();
    assert_eq!(names, ["fs", "F", "Read", "b", "c", "e"]);
}

#[test]
fn a_glob_and_an_unnamed_import_bring_no_name() {
    let source = Source::read("use crate::a::*; use crate::b::Trait as _; fn f() { use crate::c::d; }");
    assert!(source.scopes[0].uses.iter().all(|branch| branch.name.is_none()));
    assert!(source.names("crate::a") && source.names("crate::b::Trait") && source.names("crate::c::d"));
}

#[test]
fn comments_strings_and_lifetimes_name_nothing() {
    let source = Source::read(
        "/* std::fs */ // tokio::spawn\nfn f<'a>(x: &'a str) { let _ = \"std::net\"; let _ = r#\"reqwest::get\"#; }",
    );
    for hidden in ["std::fs", "tokio", "std::net", "reqwest"] {
        assert!(!source.names(hidden), "{hidden} was found");
    }
}

#[test]
fn a_call_is_found_at_the_end_of_any_path() {
    let source = Source::read("fn f() { jiff::Timestamp::now(); Instant::now(); x.decide(); a::decide() }");
    assert!(source.names("Timestamp::now") && source.names("Instant::now") && source.has_word("decide"));
    assert!(!source.names("SystemTime::now") && !source.has_word("now_or_never"));
}

#[test]
fn paths_in_visibilities_name_nothing_and_those_in_attributes_do() {
    let source = Source::read("pub(in crate::a) struct S(pub(super) u8); #[derive(crate::b::C)] struct T;");
    assert!(!source.names("crate::a") && source.names("crate::b::C"));
    assert_eq!(source.scopes[0].items, BTreeSet::from(["S".to_owned(), "T".to_owned()]));
}

#[test]
fn test_items_are_left_out_and_what_follows_them_is_not() {
    for test in [
        "#[cfg(test)] mod tests { use std::fs; mod x { } }",
        "#[cfg(test)]\nmod tests;",
        "#[cfg(all(test, unix))] #[expect(dead_code)] pub(crate) fn f() { std::fs::read() }",
        "#[cfg(any(test, feature = \"x\"))] const X: [u8; 2] = std::fs::X;",
        "struct S { #[cfg(test)] a: std::fs::File, b: u8 }",
        "enum E { #[cfg(test)] A { a: std::fs::File }, B }",
        "#[cfg(test)] use std::{fs, io};",
        "#[cfg(test)] fn f<A, B>(a: A) -> std::fs::File { }",
    ] {
        let source = Source::read(&format!("{test} use tokio::spawn;"));
        assert!(!source.names("std::fs"), "{test}");
        assert!(source.names("tokio"), "{test}");
    }
    let source = Source::read("#[cfg(not(test))] use std::fs; #[cfg_attr(test, derive(Debug))] struct S;");
    assert!(source.names("std::fs") && source.scopes[0].items.contains("S"));
    assert!(Source::read("#![cfg(test)]\nuse std::fs;").is_test);
}

#[test]
fn module_lines_are_found_with_their_paths_and_whether_they_are_tests() {
    let text = "mod a; pub(crate) mod b; #[cfg(test)] #[path = \"c_tests.rs\"] mod c;";
    assert_eq!(modules(text), [("a".to_owned(), false), ("b".to_owned(), false), ("c".to_owned(), true)]);
    let source = Source::read("#[path = \"x/y.rs\"] mod z; mod w;");
    let paths: Vec<_> = source.scopes[0].modules.iter().map(|line| line.path.as_deref()).collect();
    assert_eq!(paths, [Some("x/y.rs"), None]);
}

#[test]
fn a_table_of_contents_has_nothing_but_modules_and_re_exports() {
    let contents = "//! Docs.\n#![warn(missing_docs)]\npub mod a; mod b;\n/// Why.\n#[doc(inline)]\npub use b::{C, D};\n\
                    pub(crate) use a::E; #[cfg(test)] mod tests { use std::fs; }";
    assert!(!Source::read(contents).scopes[0].has_content);
    for more in ["use a::F;", "const X: u8 = 1;", "fn f() {}", "mod c { }", "impl C {}", "name!(X);"] {
        assert!(Source::read(&format!("{contents} {more}")).scopes[0].has_content, "{more}");
    }
}

#[test]
fn inline_modules_have_their_own_names_and_paths() {
    let source = Source::read("fn f() {} mod a { pub fn g() { super::f() } mod b { fn h() {} } } fn i() {}");
    let scopes: Vec<_> =
        source.scopes.iter().map(|scope| (scope.parent.clone(), scope.items.clone())).collect();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(scopes[0], (None, set(&["f", "i"])));
    assert_eq!(scopes[1], (Some((0, "a".to_owned())), set(&["g"])));
    assert_eq!(scopes[2], (Some((1, "b".to_owned())), set(&["h"])));
    assert_eq!(source.scopes[1].paths, [["super", "f"]]);
}

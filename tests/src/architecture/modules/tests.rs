use super::*;

fn files(texts: &[(&str, &str)]) -> Vec<SourceFile> {
    let file = |(path, text): &(&str, &str)| SourceFile {
        path: (*path).to_owned(),
        text: (*text).to_owned(),
        source: Source::read(text),
    };
    texts.iter().map(file).collect()
}

/// Each path of a file, with the file that it leads to.
fn leads(texts: &[(&str, &str)], from: &str) -> Vec<(String, Option<String>)> {
    let files = files(texts);
    let references = Modules::of(&files).references(&files);
    let of_file = references.into_iter().filter(|reference| files[reference.from].path == from);
    of_file.map(|reference| (reference.written, reference.to.map(|to| files[to].path.clone()))).collect()
}

fn to(written: &str, file: &str) -> (String, Option<String>) {
    (written.to_owned(), Some(file.to_owned()))
}

const LIB: (&str, &str) = ("src/lib.rs", "mod a; mod b;");

#[test]
fn paths_lead_to_the_file_of_their_module_from_wherever_they_begin() {
    let texts = [
        LIB,
        ("src/a.rs", "mod c; pub mod d; use self::d::D; fn f() { c::run(); d::D::new(); super::b::B; }"),
        (
            "src/a/c.rs",
            "use super::d; fn f() { d::run(); crate::b::inner::x() } use std::fs; fn g() { fs::read() }",
        ),
        ("src/a/d/mod.rs", "pub struct D;"),
        ("src/b/mod.rs", "pub mod inner { pub fn x() { super::B; } } pub struct B;"),
    ];
    let a = [to("self::d::D", "src/a/d/mod.rs"), to("c::run", "src/a/c.rs")];
    let rest = [to("d::D::new", "src/a/d/mod.rs"), to("super::b::B", "src/b/mod.rs")];
    assert_eq!(leads(&texts, "src/a.rs"), [a, rest].concat());
    let d = "src/a/d/mod.rs";
    let c = [to("super::d", d), to("crate::b::inner::x", "src/b/mod.rs")];
    assert_eq!(leads(&texts, "src/a/c.rs"), c);
    assert_eq!(leads(&texts, "src/b/mod.rs"), [to("super::B", "src/b/mod.rs")]);
}

#[test]
fn an_imported_module_is_followed_under_the_name_that_it_has_here() {
    let texts = [
        LIB,
        ("src/a.rs", "use crate::b as other; fn f() { other::c::run() }"),
        ("src/b.rs", "pub mod c; pub struct B;"),
        ("src/b/c.rs", "pub fn run() {}"),
    ];
    assert_eq!(leads(&texts, "src/a.rs"), [to("crate::b", "src/b.rs"), to("other::c::run", "src/b/c.rs")]);
}

#[test]
fn a_table_of_contents_as_such_leads_nowhere_and_through_it_everywhere() {
    let texts = [
        LIB,
        ("src/a.rs", "use crate::b; use b::{C, Deep, Tokio}; fn f() { b::c::run() }"),
        ("src/b/mod.rs", "mod c; mod d; pub use c::C; pub use self::d::Deep; pub use tokio::Tokio;"),
        ("src/b/c.rs", "pub struct C;"),
        ("src/b/d/mod.rs", "mod e; pub use e::Deep;"),
        ("src/b/d/e.rs", "pub struct Deep;"),
    ];
    let found = leads(&texts, "src/a.rs");
    assert_eq!(found[0], ("crate::b".to_owned(), None));
    assert_eq!(found[1..3], [to("b::C", "src/b/c.rs"), to("b::Deep", "src/b/d/e.rs")]);
    assert_eq!(found[3..], [to("b::c::run", "src/b/c.rs")]);
}

#[test]
fn imports_that_lead_to_each_other_end() {
    let texts = [
        LIB,
        ("src/a/mod.rs", "pub use crate::b::X; pub use tokio;"),
        ("src/b.rs", "pub use crate::a::X; pub use crate::a::tokio;"),
    ];
    assert!(leads(&texts, "src/b.rs").iter().all(|(_, file)| file.is_none()));
}

#[test]
fn a_path_attribute_says_where_a_module_is() {
    let texts = [
        ("src/lib.rs", "#[path = \"other/place.rs\"] mod a; mod b;"),
        ("src/other/place.rs", "mod c; fn f() { super::b::run(); c::run() }"),
        ("src/other/c.rs", "pub fn run() {}"),
        ("src/b.rs", "pub fn run() {}"),
    ];
    assert_eq!(
        leads(&texts, "src/other/place.rs"),
        [to("super::b::run", "src/b.rs"), to("c::run", "src/other/c.rs")]
    );
}

#[test]
fn what_a_test_declares_is_a_test_and_what_code_declares_too_is_code() {
    let files = files(&[
        ("src/lib.rs", "mod a; #[cfg(test)] mod contract; mod tested;"),
        ("src/a.rs", "#[cfg(test)] #[path = \"a_checks.rs\"] mod checks;"),
        ("src/a_checks.rs", ""),
        ("src/contract.rs", "mod fixture;"),
        ("src/contract/fixture.rs", ""),
        ("src/tested.rs", "#![cfg(test)]"),
        ("src/lost/tests.rs", ""),
        ("src/lost/code.rs", ""),
    ]);
    let modules = Modules::of(&files);
    let tests: Vec<bool> = (0..files.len()).map(|file| modules.is_test(file)).collect();
    assert_eq!(tests, [false, false, true, true, true, true, true, false]);
}

#[test]
fn each_file_stands_under_its_module_at_the_top() {
    let files = files(&[
        ("src/lib.rs", "#[path = \"platform_linux.rs\"] mod platform; mod http;"),
        ("src/platform_linux.rs", ""),
        ("src/http/mod.rs", "mod router;"),
        ("src/http/router.rs", ""),
        ("src/main.rs", "mod own;"),
        ("src/own.rs", ""),
        ("src/lost/code.rs", ""),
    ]);
    let modules = Modules::of(&files);
    let tops: Vec<String> = (0..files.len()).map(|file| modules.top(&files, file)).collect();
    assert_eq!(tops, ["lib", "platform", "http", "http", "main", "own", "lost"]);
}

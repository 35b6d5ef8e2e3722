//! `publisher delta`: on files and folders, where there is no home.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::Value;

use crate::process::Bench;

fn content(length: usize, seed: u64) -> Vec<u8> {
    (0..length as u64)
        .flat_map(|number| format!("{} {}\n", number, number * seed % 1009).into_bytes())
        .collect()
}

/// A bench with two files and two folders.
fn bench() -> Bench {
    let bench = Bench::new();
    let write = |path: &str, content: &[u8]| {
        let path = bench.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    write("old.tar", &content(3000, 7));
    write("new.tar", &[content(1000, 7), content(2000, 9)].concat());
    write("old/bin/tool", &content(500, 3));
    write("old/same", b"same");
    write("old/gone", b"gone");
    write("new/bin/tool", &content(510, 3));
    write("new/same", b"same");
    write("new/moved", b"gone");
    write("new/with space", b"");
    fs::set_permissions(bench.path("new/bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("bin/tool", bench.path("new/link")).unwrap();
    bench
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn files_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

#[test]
fn a_file_comes_back_bit_by_bit_without_a_home() {
    let bench = bench();
    let made = json(&bench.ok(&["delta", "make", "old.tar", "new.tar", "a.delta", "--json"]));
    assert_eq!(made["delta_bytes"], fs::metadata(bench.path("a.delta")).unwrap().len());
    assert_eq!(made["target_bytes"], fs::metadata(bench.path("new.tar")).unwrap().len());
    let said = bench.ok(&["delta", "apply", "old.tar", "a.delta", "made.tar"]);
    assert!(said.starts_with(&format!("the delta has {} bytes", made["delta_bytes"])), "{said}");
    assert_eq!(fs::read(bench.path("made.tar")).unwrap(), fs::read(bench.path("new.tar")).unwrap());
    let mode = fs::metadata(bench.path("made.tar")).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0);
    assert_ne!(mode & 0o044, 0, "made as any other file");
    let shown = json(&bench.ok(&["delta", "show", "a.delta", "--json"]));
    assert_eq!((&shown["subject"], &shown["bytes"]), (&"file".into(), &made["delta_bytes"]));
    assert!(bench.ok(&["delta", "show", "a.delta"]).contains("leads to a file"));
    assert!(!bench.path("home").exists());
}

#[test]
fn a_folder_comes_back_with_links_and_modes() {
    let bench = bench();
    let made = json(&bench.ok(&["delta", "make", "old", "new", "a.delta", "--json"]));
    assert_eq!((&made["unchanged"], &made["links"], &made["removed"]), (&2.into(), &1.into(), &1.into()));
    bench.ok(&["delta", "apply", "old", "a.delta", "made"]);
    assert_eq!(files_in(&bench.path("made")), ["bin", "link", "moved", "same", "with space"]);
    assert_eq!(fs::read(bench.path("made/bin/tool")).unwrap(), content(510, 3));
    assert_eq!(fs::metadata(bench.path("made/bin/tool")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::read_link(bench.path("made/link")).unwrap(), Path::new("bin/tool"));
    let shown = bench.ok(&["delta", "show", "a.delta", "old"]);
    assert!(shown.contains("the list of files") && shown.contains(": bin/tool"), "{shown}");
    bench.ok(&["delta", "show", "a.delta"]);
}

#[test]
fn what_exists_stays_unless_it_is_forced_and_nothing_is_left_of_a_failure() {
    let bench = bench();
    bench.ok(&["delta", "make", "old.tar", "new.tar", "a.delta"]);
    bench.ok(&["delta", "make", "old", "new", "folder.delta"]);
    let before = files_in(&bench.path(""));
    bench.fails(&["delta", "make", "old.tar", "new.tar", "a.delta"], &["a.delta exists", "--force"]);
    bench.ok(&["delta", "make", "old.tar", "new.tar", "a.delta", "--force"]);
    bench.fails(&["delta", "apply", "old.tar", "a.delta", "new.tar"], &["new.tar exists"]);
    bench.ok(&["delta", "apply", "old.tar", "a.delta", "new.tar", "--force"]);
    bench.fails(&["delta", "apply", "old.tar", "a.delta", "new", "--force"], &["new exists; remove it"]);
    bench.fails(&["delta", "apply", "old", "folder.delta", "new"], &["new exists; remove it"]);
    bench.fails(&["delta", "make", "old.tar", "new", "b.delta"], &["from a file to a file"]);
    bench.fails(&["delta", "make", "old.tar", "none", "b.delta"], &["cannot read none"]);
    bench.fails(&["delta", "apply", "old.tar", "folder.delta", "x"], &["leads to a tree of files"]);
    bench.fails(&["delta", "apply", "old", "a.delta", "x"], &["leads to a file", "a folder is wanted"]);
    bench.fails(&["delta", "apply", "old.tar", "old.tar", "x"], &["not a delta file"]);
    bench.fails(&["delta", "show", "old.tar"], &["not a delta file"]);
    assert_eq!(files_in(&bench.path("")), before);
}

#[test]
fn a_result_lies_outside_of_what_is_read_and_is_no_larger_than_allowed() {
    let bench = bench();
    bench.fails(&["delta", "make", "old", "new", "new/bin/a.delta"], &["would lie in new"]);
    bench.fails(&["delta", "make", "old", "new", "old/a.delta"], &["would lie in old"]);
    bench.ok(&["delta", "make", "old", "new", "folder.delta"]);
    bench.fails(&["delta", "apply", "old", "folder.delta", "old/made"], &["would lie in old"]);
    let large = fs::File::create(bench.path("large.tar")).unwrap();
    large.set_len(3 << 20).unwrap();
    bench.ok(&["delta", "make", "old.tar", "large.tar", "large.delta"]);
    assert!(fs::metadata(bench.path("large.delta")).unwrap().len() < 2_000);
    let before = files_in(&bench.path(""));
    let refused = ["more than 2097152 bytes", "--max-mib"];
    bench.fails(&["delta", "apply", "old.tar", "large.delta", "x", "--max-mib", "2"], &refused);
    assert_eq!(files_in(&bench.path("")), before);
    bench.ok(&["delta", "apply", "old.tar", "large.delta", "x", "--max-mib", "3"]);
    let mode = |path: &str| fs::metadata(bench.path(path)).unwrap().permissions().mode() & 0o777;
    bench.ok(&["delta", "apply", "old", "folder.delta", "made"]);
    assert_eq!(mode("made"), mode("old"), "as any other folder");
}

#[test]
fn another_base_is_refused_by_name() {
    let bench = bench();
    bench.ok(&["delta", "make", "old.tar", "new.tar", "a.delta"]);
    bench.ok(&["delta", "make", "old", "new", "folder.delta"]);
    let output = bench.run(&["delta", "apply", "new.tar", "a.delta", "x", "--json"]);
    let failure = json(&String::from_utf8(output.stderr).unwrap());
    assert_eq!(failure["code"], "another_base");
    assert!(failure["message"].as_str().unwrap().contains("it was made for the base "));
    bench.fails(&["delta", "apply", "new", "folder.delta", "x"], &["it was made for the base "]);
    assert!(!bench.path("x").exists());
}

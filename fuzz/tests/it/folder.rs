//! The folder of seeds, and the rules that hold for it.

use std::fs;
use std::path::{Path, PathBuf};

use sealpost_fuzz::{MAX_SEED_BYTES, TARGETS};

/// Most bytes of all seeds together: they are cloned with the project.
const MAX_ALL_BYTES: usize = 300 * 1024;

/// A seed, with its place for messages.
pub(crate) struct Seed {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
}

/// The folder with the seeds of a target.
pub(crate) fn folder_of(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target)
}

/// The seeds of a target, by name.
pub(crate) fn seeds_of(target: &str) -> Vec<Seed> {
    let mut paths = names_in(&folder_of(target));
    paths.sort();
    paths.into_iter().map(|path| Seed { bytes: fs::read(&path).unwrap(), path }).collect()
}

fn names_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_target_has_a_program_and_a_few_small_seeds_and_there_are_no_others() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut expected: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    expected.sort_unstable();
    let stems = |folder: &str| {
        let paths = names_in(&root.join(folder));
        let mut stems: Vec<String> =
            paths.iter().map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        stems.sort();
        stems
    };
    assert_eq!(stems("fuzz_targets"), expected);
    assert_eq!(stems("seeds"), expected);
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let mut all_bytes = 0;
    for name in expected {
        let program = format!("[[bin]]\nname = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
        assert!(manifest.contains(&program), "Cargo.toml has no program {name}");
        let called = fs::read_to_string(root.join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(called.contains(&format!("\"{name}\"")), "the program {name} runs another target");
        let seeds = seeds_of(name);
        assert!(seeds.len() >= 2, "{name} has {} seeds", seeds.len());
        for Seed { path, bytes } in seeds {
            assert!(bytes.len() <= MAX_SEED_BYTES, "{} has {} bytes", path.display(), bytes.len());
            all_bytes += bytes.len();
        }
    }
    assert!(all_bytes <= MAX_ALL_BYTES, "the seeds have {all_bytes} bytes");
}

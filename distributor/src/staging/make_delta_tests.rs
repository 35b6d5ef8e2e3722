use std::os::unix::process::ExitStatusExt;

use sealpost_deltas::{Base, FolderBase, FolderTarget, Lists, Progress};
use sealpost_test_support::folders::write_folder;
use sealpost_test_support::names::{acme_av, release_id};
use sealpost_test_support::release::Draft;

use std::fs::File;

use super::*;

/// This test program, as the child: see `acts_as_the_child`.
fn child() -> ChildCommand {
    let arguments = ["--exact", "staging::make_delta::tests::acts_as_the_child"];
    ChildCommand {
        program: std::env::current_exe().unwrap(),
        arguments: arguments.map(OsString::from).to_vec(),
    }
}

/// The other tests start this one as a process of its own, with a task behind its arguments; without one it is idle.
#[test]
fn acts_as_the_child() {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let task = arguments.split_off(arguments.len().saturating_sub(5));
    let Ok(task) = ChildTask::from_arguments(task) else { return };
    if task.base.as_ref().is_some_and(|base| base.ends_with("hang")) {
        std::thread::park();
    }
    task.run().unwrap();
    // Making a delta takes what it may; this does not.
    if task.base.as_ref().is_some_and(|base| base.ends_with("greedy")) {
        std::hint::black_box(vec![1u8; 1 << 30]);
    }
}

fn release(folder: &Path, files: &[(&str, &[u8])]) -> PathBuf {
    let tree = folder.join(TREE);
    write_folder(&tree, files).unwrap();
    let manifest = Draft::of_folder(&tree, release_id(&acme_av(), "1.0"), 1).manifest;
    fs::write(folder.join(MANIFEST), document::write(&manifest).unwrap()).unwrap();
    folder.to_owned()
}

fn noise(bytes: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..bytes).map(|_| next()).collect()
}

#[tokio::test]
async fn a_child_makes_a_small_delta_that_leads_to_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let large = noise(200_000, 1);
    let mut changed = large.clone();
    changed[100_000] ^= 1;
    let base = release(&folder.path().join("base"), &[("bin/tool", &large), ("same", b"same")]);
    let target = release(&folder.path().join("target"), &[("bin/tool", &changed), ("same", b"same")]);
    let made = child().make(folder.path(), Some(&base), &target, u64::MAX, &Limits::default()).await.unwrap();
    assert!(made.blob.length < 2_000, "{} bytes", made.blob.length);
    let out = tempfile::tempdir().unwrap();
    let mut writer = FolderTarget::new(out.path());
    let delta = File::open(made.file.path()).unwrap();
    let (files, limits) = (FolderBase::new(base.join(TREE)), DeltaLimits::default());
    let (tree, list) = read_tree(&base).unwrap();
    let (new_tree, new_list) = read_tree(&target).unwrap();
    let base = Base { files: &files, list: &list, entries: &tree.entries };
    let mut vet =
        |list: &[u8]| if list == new_list { Ok(new_tree.entries.clone()) } else { Err("other".into()) };
    let go_on = &mut |_: Progress| true;
    sealpost_deltas::apply(&base, delta, &mut Lists::Manifest(&mut vet), &mut writer, &limits, go_on)
        .unwrap();
    assert_eq!(fs::read(out.path().join("bin/tool")).unwrap(), changed);
}

#[tokio::test]
async fn a_delta_from_nothing_holds_the_whole_release_for_whoever_has_none_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let files: [(&str, &[u8]); 3] = [("bin/tool", &[7; 200_000]), ("empty", b""), ("notes", b"one")];
    let target = release(&folder.path().join("target"), &files);
    let made = child().make(folder.path(), None, &target, u64::MAX, &Limits::default()).await.unwrap();
    assert!(made.blob.length < 2_000, "{} bytes", made.blob.length);
    let (tree, list) = read_tree(&target).unwrap();
    let none = tempfile::tempdir().unwrap();
    let files = FolderBase::new(none.path());
    let base = Base { files: &files, list: b"", entries: &[] };
    let out = tempfile::tempdir().unwrap();
    let mut writer = FolderTarget::new(out.path());
    let mut vet = |new: &[u8]| if new == list { Ok(tree.entries.clone()) } else { Err("other".into()) };
    let (limits, go_on) = (DeltaLimits::default(), &mut |_: Progress| true);
    let delta = File::open(made.file.path()).unwrap();
    sealpost_deltas::apply(&base, delta, &mut Lists::Manifest(&mut vet), &mut writer, &limits, go_on)
        .unwrap();
    for (path, content) in [("bin/tool", &[7; 200_000][..]), ("empty", b""), ("notes", b"one")] {
        assert_eq!(fs::read(out.path().join(path)).unwrap(), content, "{path}");
    }
}

#[tokio::test]
async fn a_home_that_was_named_relatively_gets_deltas_too() {
    let folder = tempfile::tempdir().unwrap();
    let base = release(&folder.path().join("base"), &[("a", b"one")]);
    let target = release(&folder.path().join("target"), &[("a", b"two")]);
    let up: PathBuf = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect();
    let relative = |path: &Path| up.join(path.strip_prefix("/").unwrap());
    let scratch = relative(folder.path());
    let (base, target) = (relative(&base), relative(&target));
    child().make(&scratch, Some(&base), &target, u64::MAX, &Limits::default()).await.unwrap();
}

#[tokio::test]
async fn a_child_that_needs_more_memory_than_it_may_have_ends_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let base = release(&folder.path().join("greedy"), &[("data", b"one")]);
    let target = release(&folder.path().join("target"), &[("data", b"two")]);
    let limits = Limits { delta_memory_bytes: 512 * 1024 * 1024, ..Limits::default() };
    let error = child().make(folder.path(), Some(&base), &target, u64::MAX, &limits).await.unwrap_err();
    let ChildError::Failed { status, said, .. } = error else { panic!("{error}") };
    assert!(status.signal().is_some() && said.contains("memory allocation"), "{status}: {said}");
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test]
async fn little_memory_costs_bytes_of_a_delta_and_not_the_delta() {
    let folder = tempfile::tempdir().unwrap();
    let base = release(&folder.path().join("base"), &[("data", &noise(12_000_000, 1))]);
    let target = release(&folder.path().join("target"), &[("data", &noise(12_000_000, 2))]);
    let limits = Limits { delta_memory_bytes: 96 * 1024 * 1024, ..Limits::default() };
    let made = child().make(folder.path(), Some(&base), &target, u64::MAX, &limits).await.unwrap();
    assert!(made.blob.length > 12_000_000);
}

#[tokio::test]
async fn a_delta_that_would_be_larger_than_it_may_be_ends_there_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let target = release(&folder.path().join("target"), &[("data", &noise(300_000, 1))]);
    for base in [None, Some(release(&folder.path().join("base"), &[("data", &noise(300_000, 2))]))] {
        let made = child().make(folder.path(), base.as_deref(), &target, 100_000, &Limits::default()).await;
        assert!(matches!(made, Err(ChildError::TooLarge { most_bytes: 100_000 })), "{made:?}");
        let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name != "base" && name != "target").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Digits without a pattern: they pack to half of their bytes, and resemble nothing.
fn digits(bytes: usize, seed: u32) -> Vec<u8> {
    noise(bytes, seed).into_iter().map(|byte| b"0123456789abcdef"[usize::from(byte >> 4)]).collect()
}

#[tokio::test]
async fn a_delta_may_be_made_of_streams_that_are_longer_than_it_may_be() {
    let folder = tempfile::tempdir().unwrap();
    let base = release(&folder.path().join("base"), &[("data", &digits(1_500_000, 1))]);
    let target = release(&folder.path().join("target"), &[("data", &digits(1_500_000, 2))]);
    for base in [Some(base), None] {
        let most = 1_200_000;
        let made = child().make(folder.path(), base.as_deref(), &target, most, &Limits::default()).await;
        assert!(made.unwrap().blob.length < most);
        let left = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.filter(|name| name != "base" && name != "target").count(), 0);
    }
}

#[tokio::test]
async fn a_delta_is_good_if_each_file_of_the_target_comes_out_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let large = noise(200_000, 1);
    let mut changed = large.clone();
    changed[100_000] ^= 1;
    let base = release(&folder.path().join("base"), &[("bin/tool", &large), ("old", b"one")]);
    let files: [(&str, &[u8]); 3] = [("bin/tool", &changed), ("copy", &changed), ("new", b"two")];
    let target = release(&folder.path().join("target"), &files);
    let other = release(&folder.path().join("other"), &[("bin/tool", &changed)]);
    let limits = Limits::default();
    let made = child().make(folder.path(), Some(&base), &target, u64::MAX, &limits).await.unwrap();
    let good = fs::read(made.file.path()).unwrap();
    let delta = folder.path().join("delta");
    let check = async |base: &Path, target: &Path, bytes: &[u8]| {
        fs::write(&delta, bytes).unwrap();
        child().check(folder.path(), base, target, &delta, &limits).await
    };
    check(&base, &target, &good).await.unwrap();
    for place in [2, 5, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[place] ^= 1;
        assert!(check(&base, &target, &bad).await.is_err_and(|error| error.is_for_good()), "{place}");
    }
    check(&base, &target, &good[..good.len() - 1]).await.unwrap_err();
    check(&base, &target, &[&good[..], b"x"].concat()).await.unwrap_err();
    check(&target, &base, &good).await.unwrap_err();
    check(&base, &other, &good).await.unwrap_err();
    check(&base, &target, b"").await.unwrap_err();
}

#[tokio::test]
async fn a_child_gets_no_open_files_but_its_input_and_its_outputs() {
    let folder = tempfile::tempdir().unwrap();
    let open = File::create(folder.path().join("of_the_server")).unwrap();
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    let arguments = ["-c", "readlink /proc/$$/fd/* >&2; exit 1"].map(OsString::from).to_vec();
    let child = ChildCommand { program: "/bin/sh".into(), arguments };
    let error = child
        .make(folder.path(), Some(folder.path()), folder.path(), u64::MAX, &Limits::default())
        .await
        .unwrap_err();
    let ChildError::Failed { said, .. } = error else { panic!("{error}") };
    assert!(said.contains("/dev/null") && !said.contains("of_the_server"), "{said}");
}

#[tokio::test]
async fn a_child_that_takes_too_long_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { delta_time: Duration::from_millis(300), ..Limits::default() };
    let (base, target) = (folder.path().join("hang"), folder.path().join("target"));
    let error = child().make(folder.path(), Some(&base), &target, u64::MAX, &limits).await.unwrap_err();
    assert!(matches!(error, ChildError::TooSlow { .. }), "{error}");
}

#[tokio::test]
async fn a_tree_that_changed_on_disk_makes_no_delta() {
    let folder = tempfile::tempdir().unwrap();
    let base = release(&folder.path().join("base"), &[("a", b"one")]);
    let target = release(&folder.path().join("target"), &[("a", b"two")]);
    fs::write(target.join(TREE).join("a"), b"tow").unwrap();
    let error =
        child().make(folder.path(), Some(&base), &target, u64::MAX, &Limits::default()).await.unwrap_err();
    assert!(matches!(error, ChildError::Failed { .. }), "{error}");
}

#[test]
fn other_arguments_than_the_servers_are_refused() {
    for wrong in [
        &[][..],
        &["a", "b", "c", "1"],
        &["a", "b", "c", "many", "1"],
        &["a", "b", "c", "1", "e"],
        &["a", "b", "c", "1", "check", "e"],
    ] {
        assert!(ChildTask::from_arguments(wrong.iter().map(OsString::from)).is_err(), "{wrong:?}");
    }
}

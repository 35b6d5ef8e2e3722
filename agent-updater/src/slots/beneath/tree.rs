//! Whole trees beneath a folder: walking and removing them.

use std::ffi::OsStr;
use std::path::Path;

use super::error::BeneathError;
use super::folder::{Folder, Kind, WRITABLE_MODE};

/// Deepest tree that is walked; a relative path has at most 1,024 bytes, so at most 512 parts.
const MAX_DEPTH: usize = 520;

/// Called for each entry beneath a folder: the folder that it is in, its name there, its relative path, its type.
pub(super) type Visit<'v> = dyn FnMut(&Folder, &OsStr, &Path, Kind) -> Result<(), BeneathError> + 'v;

impl Folder {
    /// Calls `visit` for everything beneath, folders after their content, with the path relative to this folder.
    ///
    /// # Errors
    /// [`BeneathError`], or what `visit` fails with.
    pub fn walk(&self, visit: &mut Visit<'_>) -> Result<(), BeneathError> {
        walk_at(self, Path::new(""), 0, visit)
    }

    /// Lets the owner write to this folder and all beneath it: slots are read-only once they are built.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn open_to_writing(&self) -> Result<(), BeneathError> {
        self.set_mode(WRITABLE_MODE)?;
        self.walk(&mut |parent, name, _, kind| match kind {
            Kind::Folder => parent.folder_of_same_mount(name)?.set_mode(WRITABLE_MODE),
            _ => Ok(()),
        })
    }

    /// Removes a folder in this folder with all of its content, if it exists. Links are removed, not followed. What is
    /// mounted in it belongs to somebody else: neither its content nor its mode is touched. What cannot be removed holds
    /// back nothing else.
    ///
    /// # Errors
    /// [`BeneathError`]; of the first that stays. [`BeneathError::Mount`] when something is mounted in it.
    pub fn remove_tree(&self, name: impl AsRef<OsStr>) -> Result<(), BeneathError> {
        remove_tree_at(self, name.as_ref(), 0)
    }
}

fn walk_at(folder: &Folder, prefix: &Path, depth: usize, visit: &mut Visit<'_>) -> Result<(), BeneathError> {
    if depth > MAX_DEPTH {
        return Err(BeneathError::TooDeep { path: folder.path().to_owned() });
    }
    for name in folder.names()? {
        let relative = prefix.join(&name);
        let Some(kind) = folder.kind(&name)? else { continue };
        if kind == Kind::Folder {
            walk_at(&folder.folder(&name)?, &relative, depth + 1, visit)?;
        }
        visit(folder, &name, &relative, kind)?;
    }
    Ok(())
}

fn remove_tree_at(parent: &Folder, name: &OsStr, depth: usize) -> Result<(), BeneathError> {
    match parent.kind(name)? {
        None => return Ok(()),
        Some(Kind::Folder) => {}
        Some(_) => return parent.remove_file(name),
    }
    if depth > MAX_DEPTH {
        return Err(BeneathError::TooDeep { path: parent.path().join(name) });
    }
    let folder = parent.folder_of_same_mount(name)?;
    // Slots are read-only, and without root's rights nothing could be removed from them.
    folder.set_mode(0o700)?;
    let mut first = None;
    for inner in folder.names()? {
        if let Err(error) = remove_tree_at(&folder, &inner, depth + 1) {
            first = first.or(Some(error));
        }
    }
    first.map_or_else(|| parent.remove_empty_folder(name), Err)
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    #[test]
    fn removing_a_tree_removes_links_and_not_what_they_lead_to() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), b"x").unwrap();
        let inside = tempfile::tempdir().unwrap();
        let root = Folder::open_root(inside.path()).unwrap();
        let tree = root.make_folder("tree/deep").unwrap();
        tree.make_link("out", outside.path().to_str().unwrap()).unwrap();
        tree.create_file("file").unwrap();
        tree.set_mode(0o555).unwrap();
        root.remove_tree("tree").unwrap();
        root.remove_tree("tree").unwrap();
        assert!(root.names().unwrap().is_empty());
        assert!(outside.path().join("kept").exists());
    }

    const IN_NAMESPACE: &str = "SEALPOST_TEST_MOUNTED_IN";

    #[test]
    fn what_is_mounted_in_a_tree_is_neither_emptied_nor_changed_when_the_tree_is_removed() {
        if let Some(folder) = env::var_os(IN_NAMESPACE).map(PathBuf::from) {
            return remove_with_a_mount(&folder);
        }
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "products/slot/lib"] {
            fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("data/kept"), b"x").unwrap();
        fs::set_permissions(folder.path().join("data"), fs::Permissions::from_mode(0o750)).unwrap();
        let may_mount = Command::new("unshare").args(["--mount", "--map-root-user", "true"]).status();
        if !may_mount.is_ok_and(|status| status.success()) {
            sealpost_test_support::skips::needs("a mount namespace").unwrap();
            return;
        }
        let script =
            "mount --bind \"$1/data\" \"$1/products/slot/lib\" || exit 77; exec \"$2\" --exact \"$3\"";
        let name = "slots::beneath::tree::tests::what_is_mounted_in_a_tree_is_neither_emptied_nor_changed_when_the_tree_is_removed";
        let ended = Command::new("unshare")
            .args(["--mount", "--map-root-user", "sh", "-c", script, "sh"])
            .arg(folder.path())
            .arg(env::current_exe().unwrap())
            .arg(name)
            .env(IN_NAMESPACE, folder.path())
            .output()
            .unwrap();
        if ended.status.code() == Some(77) {
            sealpost_test_support::skips::needs("a mount namespace").unwrap();
            return;
        }
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && said.contains("1 passed"), "{said}");
        let data = folder.path().join("data");
        assert!(data.join("kept").exists());
        assert_eq!(fs::metadata(data).unwrap().permissions().mode() & 0o7777, 0o750);
    }

    fn remove_with_a_mount(folder: &Path) {
        let root = Folder::open_root(&folder.join("products")).unwrap();
        let error = root.remove_tree("slot").unwrap_err();
        assert!(matches!(&error, BeneathError::Mount { path } if path.ends_with("slot/lib")), "{error}");
    }
}

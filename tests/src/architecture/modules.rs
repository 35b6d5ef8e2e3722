//! The modules of one crate, and which file each path of its code leads to.
//!
//! A path leads to the file that it is written as: `super::Item` to the parent's file, `crate::a::Item` to that of `a`,
//! also when `a` only imports the item. The exception is a table of contents, a file with nothing but `mod` and
//! `pub use` lines: a path through it leads to the file that defines the item.
//!
//! Invariant: what a test declares is a test. Left out on purpose: traits' methods and what macros define; a name
//! that is not found in a module counts as defined in it.

use std::collections::BTreeMap;

use super::source::{Scope, Source, Use};

/// A source file of a crate.
#[derive(Debug, Clone)]
pub(super) struct SourceFile {
    /// Relative to the crate's folder, for example `src/http/router.rs`.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) source: Source,
}

/// A path in a file that is no test, which begins in its own crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// The file that it stands in.
    pub(super) from: usize,
    /// As it is written, for example `super::router::Router`.
    pub(super) written: String,
    /// From the crate's root on, for example `["http", "router", "Router"]`.
    pub(super) absolute: Vec<String>,
    /// The file that it leads to; none for a table of contents as such.
    pub(super) to: Option<usize>,
}

/// The modules of one crate.
#[derive(Debug, Clone, Default)]
pub(super) struct Modules {
    found: BTreeMap<Key, Module>,
    reached: Vec<Reach>,
}

/// Which of a crate's roots (`lib.rs`, `main.rs`, …), and the path of names from there.
type Key = (usize, Vec<String>);

#[derive(Debug, Clone, Copy)]
struct Module {
    file: usize,
    scope: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Reach {
    by_code: bool,
    by_test: bool,
}

/// Longest chain of imports and re-exports that is followed. The compiler refuses circles among them; text that was
/// never compiled may hold one.
const MAX_HOPS: u8 = 16;

impl Modules {
    /// Finds the modules by the `mod` lines from the roots on. A file that none declares is taken for the library's,
    /// at the place that its path says.
    pub(super) fn of(files: &[SourceFile]) -> Self {
        let mut modules = Self { found: BTreeMap::new(), reached: vec![Reach::default(); files.len()] };
        let mut roots: Vec<usize> = (0..files.len()).filter(|file| is_root(&files[*file].path)).collect();
        roots.sort_by_key(|file| files[*file].path != "src/lib.rs");
        // The library is root 0, also when there is none.
        let skipped = usize::from(roots.first().is_none_or(|first| files[*first].path != "src/lib.rs"));
        for (root, file) in roots.into_iter().enumerate() {
            let folder = folder_of(&files[file].path).to_owned();
            modules.descend(files, (root + skipped, Vec::new()), Module { file, scope: 0 }, &folder, false);
        }
        for file in 0..files.len() {
            let path = &files[file].path;
            if path.starts_with("src/") && !modules.reached[file].by_code && !modules.reached[file].by_test {
                let names = names_of(path);
                let is_test = names.iter().any(|name| name == "tests" || name.ends_with("_tests"));
                let folder = format!("src/{}", names.join("/"));
                modules.descend(files, (0, names), Module { file, scope: 0 }, &folder, is_test);
            }
        }
        modules
    }

    fn descend(&mut self, files: &[SourceFile], key: Key, module: Module, folder: &str, is_test: bool) {
        if self.found.contains_key(&key) {
            return;
        }
        let file = &files[module.file];
        let is_test = is_test || file.source.is_test;
        let reach = &mut self.reached[module.file];
        reach.by_test |= is_test;
        reach.by_code |= !is_test;
        self.found.insert(key.clone(), module);
        let below = |name: &str| (key.0, key.1.iter().cloned().chain([name.to_owned()]).collect::<Vec<_>>());
        for (scope, inner) in file.source.scopes.iter().enumerate() {
            if let Some((parent, name)) = &inner.parent
                && *parent == module.scope
            {
                let inner = Module { file: module.file, scope };
                self.descend(files, below(name), inner, &format!("{folder}/{name}"), is_test);
            }
        }
        let Some(scope) = file.source.scopes.get(module.scope) else { return };
        for line in &scope.modules {
            let candidates = match &line.path {
                Some(path) => vec![format!("{}/{path}", folder_of(&file.path))],
                None => {
                    vec![format!("{folder}/{}.rs", line.name), format!("{folder}/{}/mod.rs", line.name)]
                }
            };
            if let Some(child) = files.iter().position(|file| candidates.contains(&file.path)) {
                let folder = match &line.path {
                    Some(_) => folder_of(&files[child].path).to_owned(),
                    None => format!("{folder}/{}", line.name),
                };
                let module = Module { file: child, scope: 0 };
                self.descend(files, below(&line.name), module, &folder, is_test || line.is_test);
            }
        }
    }

    /// Whether a file of `src` is compiled for tests only.
    pub(super) fn is_test(&self, file: usize) -> bool {
        self.reached.get(file).is_some_and(|reach| reach.by_test && !reach.by_code)
    }

    /// Whether the library has a module of this name at its top.
    pub(super) fn has_top(&self, name: &str) -> bool {
        self.found.contains_key(&(0, vec![name.to_owned()]))
    }

    /// The name at the crate's top that a file stands under; for a root, that of the file.
    pub(super) fn top(&self, files: &[SourceFile], file: usize) -> String {
        let module = self.found.iter().find(|((root, _), module)| *root == 0 && module.file == file);
        match module.and_then(|((_, path), _)| path.first()) {
            Some(top) => top.clone(),
            None => names_of(&files[file].path).into_iter().next().unwrap_or_else(|| "lib".to_owned()),
        }
    }

    /// Every path of the crate's code, outside its tests, that begins in the crate itself.
    pub(super) fn references(&self, files: &[SourceFile]) -> Vec<Reference> {
        let mut references = Vec::new();
        for (key, module) in self.found.iter().filter(|(_, module)| !self.is_test(module.file)) {
            let Some(scope) = self.scope(files, *module) else { continue };
            for path in scope.uses.iter().map(|branch| &branch.path).chain(&scope.paths) {
                let Some(absolute) = self.absolute(files, key, path, 0) else { continue };
                let to = self.file_of(files, key.0, &absolute, 0);
                // `B::new()` after `use a::B` leads to the same file; the `use` line is enough.
                let import = self.import(files, key, path);
                let imported = import.and_then(|import| self.absolute(files, key, &import.path, 0));
                if imported.is_none_or(|imported| self.file_of(files, key.0, &imported, 0) != to) {
                    references.push(Reference { from: module.file, written: path.join("::"), absolute, to });
                }
            }
        }
        references
    }

    fn scope<'a>(&self, files: &'a [SourceFile], module: Module) -> Option<&'a Scope> {
        files[module.file].source.scopes.get(module.scope)
    }

    /// A path from the crate's root on; none when it begins in another crate, or with a local name.
    fn absolute(&self, files: &[SourceFile], at: &Key, path: &[String], hops: u8) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let join = |base: &[String], rest: &[String]| base.iter().chain(rest).cloned().collect::<Vec<_>>();
        match first.as_str() {
            "crate" => return Some(rest.to_vec()),
            "self" if rest.first().is_some_and(|next| next == "super") => {
                return self.absolute(files, at, rest, hops);
            }
            "self" => return Some(join(&at.1, rest)),
            "super" => {
                let ups = path.iter().take_while(|name| *name == "super").count();
                return Some(join(at.1.get(..at.1.len().checked_sub(ups)?)?, &path[ups..]));
            }
            _ => {}
        }
        if self.is_own(files, at, first) {
            return Some(join(&at.1, path));
        }
        let import = self.import(files, at, path).filter(|_| hops < MAX_HOPS)?;
        self.absolute(files, at, &import.path, hops + 1).map(|base| join(&base, rest))
    }

    /// Whether a module declares or defines a name itself.
    fn is_own(&self, files: &[SourceFile], at: &Key, name: &str) -> bool {
        let child = at.1.iter().cloned().chain([name.to_owned()]).collect();
        let scope = self.found.get(at).and_then(|module| self.scope(files, *module));
        self.found.contains_key(&(at.0, child)) || scope.is_some_and(|scope| scope.items.contains(name))
    }

    /// The import that the first name of a path comes from; `use tokio;` comes from itself.
    fn import<'a>(&self, files: &'a [SourceFile], at: &Key, path: &[String]) -> Option<&'a Use> {
        let first = path.first().filter(|first| !self.is_own(files, at, first))?;
        let scope = self.scope(files, *self.found.get(at)?)?;
        let named = scope.uses.iter().find(|branch| branch.name.as_ref() == Some(first));
        named.filter(|import| import.path.first() != Some(first))
    }

    fn file_of(&self, files: &[SourceFile], root: usize, absolute: &[String], hops: u8) -> Option<usize> {
        let depth = (0..=absolute.len())
            .rev()
            .find(|depth| self.found.contains_key(&(root, absolute[..*depth].to_vec())))?;
        let key = (root, absolute[..depth].to_vec());
        let module = *self.found.get(&key)?;
        let scope = self.scope(files, module)?;
        if scope.has_content {
            return Some(module.file);
        }
        let (name, rest) = absolute[depth..].split_first()?;
        let through = |path: &[String], rest: &[String]| {
            let mut target = self.absolute(files, &key, path, hops + 1)?;
            target.extend_from_slice(rest);
            self.file_of(files, root, &target, hops + 1)
        };
        if hops >= MAX_HOPS {
            return None;
        }
        if let Some(named) = scope.uses.iter().find(|branch| branch.name.as_ref() == Some(name)) {
            return through(&named.path, rest);
        }
        let globs = scope.uses.iter().filter_map(|branch| branch.path.strip_suffix(&["*".to_owned()]));
        let defining = globs.filter(|base| self.defines(files, &key, base, name));
        defining.filter_map(|base| through(base, &absolute[depth..])).next()
    }

    fn defines(&self, files: &[SourceFile], at: &Key, base: &[String], name: &str) -> bool {
        let module = self.absolute(files, at, base, 0).and_then(|path| self.found.get(&(at.0, path)));
        let scope = module.and_then(|module| self.scope(files, *module));
        scope.is_some_and(|scope| {
            scope.items.contains(name) || scope.uses.iter().any(|branch| branch.name.as_deref() == Some(name))
        })
    }
}

fn is_root(path: &str) -> bool {
    let in_bin =
        path.strip_prefix("src/bin/").is_some_and(|rest| !rest.contains('/') || rest.ends_with("/main.rs"));
    matches!(path, "src/lib.rs" | "src/main.rs") || in_bin
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `src/http/admin/mod.rs` is `http::admin`.
fn names_of(path: &str) -> Vec<String> {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    inner.split('/').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;

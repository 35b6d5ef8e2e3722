//! The slots of a package: each release whole in a read-only folder of its own, and `current`, a link to one of them.
//!
//! ```text
//! INSTALL_ROOT/.sealpost-install-root
//! INSTALL_ROOT/PACKAGE/slots/1.2.0-0123456789ab/…
//! INSTALL_ROOT/PACKAGE/slots/1.3.0-cdef01234567.building/…
//! INSTALL_ROOT/PACKAGE/current -> slots/1.2.0-0123456789ab
//! ```
//!
//! Invariant: a name without `.building` is only ever given to a slot whose files were all written and made durable;
//! `current` changes by one rename. What is to go is renamed to `….replaced` first, which nothing puts in a place again: a
//! tree that cannot be removed (something is mounted in it, a disk fails) stops nothing, and every later cleaning tries it
//! again. Left out: deciding which slot to use.

pub mod beneath;
mod build;
mod check;
mod footprint;
mod mark;

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::{make_folder, with_causes};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::ReleaseManifest;

use crate::domain::record::SlotId;
use beneath::{BeneathError, Folder, Kind, io_error};
pub use build::{SlotBase, SlotBuilder};
pub use check::{Difference, SlotFault};
pub use mark::{read_mark, write_mark};

/// The folder of slots, in the package's folder.
const SLOTS: &str = "slots";
/// The link to the slot in use, in the package's folder.
const CURRENT: &str = "current";
/// The link before its rename.
const NEW_CURRENT: &str = ".current.new";
/// What somebody put in the place of the link, after it was put aside; a number follows.
const PUT_ASIDE: &str = "current.put-aside-";
/// Most things that are put aside in one package's folder; a person removes them.
const MAX_PUT_ASIDE: u32 = 16;
/// The suffix of a slot that is not complete yet, or that is to replace a damaged one.
const BUILDING: &str = ".building";
/// What is added to the name of a slot that is out of the way and waits to be removed; a dash and a number may follow.
const REPLACED: &str = ".replaced";
/// Most trees of one slot that could not be removed and lie out of the way; a person removes what holds them.
const MAX_REPLACED: usize = 32;

/// What stands in the place of `current`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Current {
    Nothing,
    /// The link, to this slot, which may be gone.
    Slot(SlotId),
    /// A link that the agent did not set.
    OtherLink,
    /// A file or a folder that the agent did not make.
    NoLink,
}

/// Whether a name among the slots is that of a slot, complete or not.
#[must_use]
pub fn is_of(name: &str, slot: &SlotId) -> bool {
    name.strip_suffix(BUILDING).unwrap_or(name) == slot.as_str()
}

#[derive(Debug)]
pub struct Slots {
    package: Folder,
    slots: Folder,
}

impl Slots {
    /// Opens the slots of a package beneath an install root, and makes the folders if they are missing.
    ///
    /// # Errors
    /// [`BeneathError`], also when somebody else could change the install root or the package's folders.
    pub fn open(install_root: &Path, package: &PackageName) -> Result<Self, BeneathError> {
        make_folder(install_root, 0o755)
            .map_err(|source| io_error("make the folder", install_root, source))?;
        let root = Folder::open_root(install_root)?;
        let package = root.make_folder(package.as_str())?.owned()?;
        let slots = package.make_folder(SLOTS)?.owned()?;
        Ok(Self { package, slots })
    }

    /// As [`Slots::open`], but makes nothing; `None` if a folder on the way to the slots is missing.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn find(install_root: &Path, package: &PackageName) -> Result<Option<Self>, BeneathError> {
        // What cannot be looked at is not gone.
        if !install_root.try_exists().map_err(|source| io_error("look for", install_root, source))? {
            return Ok(None);
        }
        let root = Folder::open_root(install_root)?;
        if root.kind(package.as_str())?.is_none() {
            return Ok(None);
        }
        let package = root.folder(package.as_str())?.owned()?;
        if package.kind(SLOTS)?.is_none() {
            return Ok(None);
        }
        let slots = package.folder(SLOTS)?.owned()?;
        Ok(Some(Self { package, slots }))
    }

    /// The path of a slot, for hooks and messages.
    #[must_use]
    pub fn path_of(&self, slot: &SlotId) -> PathBuf {
        self.slots.path().join(slot.as_str())
    }

    /// The folder of the slots, for hooks and messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.slots.path()
    }

    /// The path of the `current` link, for hooks and messages.
    #[must_use]
    pub fn current_path(&self) -> PathBuf {
        self.package.path().join(CURRENT)
    }

    /// The slot that `current` names.
    ///
    /// # Errors
    /// [`BeneathError`], also when `current` is not a link to a slot.
    pub fn current(&self) -> Result<Option<SlotId>, BeneathError> {
        let Some(target) = self.package.read_link(CURRENT)? else { return Ok(None) };
        let text = target.to_str().unwrap_or_default();
        let slot = text.strip_prefix("slots/").and_then(|name| SlotId::try_from(name.to_owned()).ok());
        slot.map(Some).ok_or_else(|| BeneathError::Link { path: self.current_path() })
    }

    /// As [`Slots::current`], and says what stands there instead of a link to a slot.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn find_current(&self) -> Result<Current, BeneathError> {
        match self.package.kind(CURRENT)? {
            None => Ok(Current::Nothing),
            Some(Kind::Link) => Ok(match self.current() {
                Ok(Some(slot)) => Current::Slot(slot),
                Ok(None) => Current::Nothing,
                Err(BeneathError::Link { .. }) => Current::OtherLink,
                Err(error) => return Err(error),
            }),
            Some(_) => Ok(Current::NoLink),
        }
    }

    /// Gives another name to a file or folder that stands in the place of the link `current`, so that nothing of it is
    /// lost; `true` if there was one.
    ///
    /// # Errors
    /// [`BeneathError`], also when much was put aside before and still lies there.
    pub fn put_no_link_aside(&self) -> Result<bool, BeneathError> {
        if self.find_current()? != Current::NoLink {
            return Ok(false);
        }
        for number in 1..=MAX_PUT_ASIDE {
            let name = format!("{PUT_ASIDE}{number}");
            if self.package.kind(&name)?.is_none() {
                self.package.rename(CURRENT, &name)?;
                self.package.sync()?;
                return Ok(true);
            }
        }
        let source = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(io_error("put `current` aside in", self.package.path(), source))
    }

    /// Sets `current` to a slot, or removes it; durable at return.
    ///
    /// # Errors
    /// [`BeneathError`]; `current` is as before then.
    pub fn switch(&self, to: Option<&SlotId>) -> Result<(), BeneathError> {
        match to {
            Some(slot) => {
                // The slot must exist: a dangling `current` would be neither the old nor the new release.
                self.slots.folder(slot.as_str())?;
                self.package.remove_file(NEW_CURRENT)?;
                self.package.make_link(NEW_CURRENT, &format!("{SLOTS}/{slot}"))?;
                self.package.rename(NEW_CURRENT, CURRENT)?;
            }
            None => self.package.remove_file(CURRENT)?,
        }
        self.package.sync()
    }

    /// Whether there is a complete slot of this name.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn has(&self, slot: &SlotId) -> Result<bool, BeneathError> {
        Ok(self.slots.kind(slot.as_str())? == Some(Kind::Folder))
    }

    /// Begins to build a slot, after taking away what an earlier try left.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn begin(&self, slot: &SlotId) -> Result<SlotBuilder<'_>, BeneathError> {
        self.remove_beside(slot)?;
        let name = format!("{slot}{BUILDING}");
        let folder = self.slots.make_folder(&name)?;
        Ok(SlotBuilder::new(&self.slots, folder, name, slot.as_str().to_owned()))
    }

    /// Goes on building a slot with the files that an earlier try left, if there are any: the builder finds those that are
    /// whole, and replaces the others.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn go_on(&self, slot: &SlotId) -> Result<SlotBuilder<'_>, BeneathError> {
        let name = format!("{slot}{BUILDING}");
        if !self.has_beside(slot)? {
            return self.begin(slot);
        }
        let folder = self.slots.folder(&name)?.owned()?;
        folder.open_to_writing()?;
        Ok(SlotBuilder::going_on(&self.slots, folder, name, slot.as_str().to_owned()))
    }

    /// Bytes of the files that an earlier try to build a slot left, for whoever asks whether there is room.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn bytes_beside(&self, slot: &SlotId) -> Result<u64, BeneathError> {
        if !self.has_beside(slot)? {
            return Ok(0);
        }
        let mut bytes = 0u64;
        self.slots.folder(format!("{slot}{BUILDING}"))?.walk(&mut |folder, name, _, kind| {
            if kind == Kind::File {
                let length = u64::try_from(folder.stat(name)?.st_size).unwrap_or(0);
                bytes = bytes.saturating_add(length);
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    /// The files of a slot, as the base of a delta.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn base(&self, slot: &SlotId) -> Result<SlotBase, BeneathError> {
        Ok(SlotBase::new(self.slots.folder(slot.as_str())?))
    }

    /// Digests every file of a slot and compares it with the manifest: exactly those files, with those modes.
    ///
    /// # Errors
    /// [`SlotFault`] with every difference.
    pub fn check(&self, slot: &SlotId, manifest: &ReleaseManifest) -> Result<(), SlotFault> {
        check::check(&self.slots.folder(slot.as_str())?, manifest)
    }

    /// As [`Slots::check`], for a slot that was built beside one of its name.
    ///
    /// # Errors
    /// [`SlotFault`].
    pub fn check_beside(&self, slot: &SlotId, manifest: &ReleaseManifest) -> Result<(), SlotFault> {
        check::check(&self.slots.folder(format!("{slot}{BUILDING}"))?, manifest)
    }

    /// Whether a slot was built beside one of its name.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn has_beside(&self, slot: &SlotId) -> Result<bool, BeneathError> {
        Ok(self.slots.kind(format!("{slot}{BUILDING}"))? == Some(Kind::Folder))
    }

    /// Puts a slot that was built beside a damaged one in its place, if there is one, and takes the damaged one away. Only
    /// what is whole is put in a place, so this can be done again after a failure or a crash at any point of it: the damaged
    /// slot, which lies beside from the exchange on, does not come back. `false` if what lies beside is not whole; then the
    /// slot is left as it is.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn replace(&self, slot: &SlotId, manifest: &ReleaseManifest) -> Result<bool, BeneathError> {
        if !self.has_beside(slot)? {
            return Ok(true);
        }
        let beside = format!("{slot}{BUILDING}");
        let is_whole = self.check_beside(slot, manifest).is_ok();
        // Found before anything changes: after the exchange there is no more than this rename.
        let away = self.name_out_of_the_way(slot)?;
        if !is_whole {
            self.slots.rename(&beside, &away)?;
        } else if self.slots.kind(slot.as_str())?.is_none() {
            self.slots.rename(&beside, slot.as_str())?;
        } else if self.slots.exchange(&beside, slot.as_str())? {
            self.slots.rename(&beside, &away)?;
        } else {
            // Without an exchange there is an instant without the slot; after a crash in it this is done again.
            self.slots.rename(slot.as_str(), &away)?;
            self.slots.rename(&beside, slot.as_str())?;
        }
        self.slots.sync()?;
        self.remove_what_is_away(slot, &away);
        Ok(is_whole)
    }

    /// Whether a slot that is replaced can be taken out of the way: asked before a product is stopped for it.
    ///
    /// # Errors
    /// [`BeneathError`], also when much of this slot could not be removed before and still lies there.
    pub fn ensure_replaceable(&self, slot: &SlotId) -> Result<(), BeneathError> {
        self.name_out_of_the_way(slot).map(drop)
    }

    /// Takes what was built beside a slot away, if there is anything.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn remove_beside(&self, slot: &SlotId) -> Result<(), BeneathError> {
        self.take_away(slot, format!("{slot}{BUILDING}"))
    }

    /// One digest over what the file system says of every path of a slot, without reading a file: as long as it is the
    /// same, so is the slot.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn footprint(&self, slot: &SlotId) -> Result<Sha256Digest, BeneathError> {
        footprint::footprint(&self.slots, slot.as_str())
    }

    /// Takes a slot away, complete or not, if it exists.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn remove(&self, slot: &SlotId) -> Result<(), BeneathError> {
        self.remove_beside(slot)?;
        self.take_away(slot, slot.as_str())
    }

    /// Removes every slot that `keep` does not accept, every slot that is not complete, and whatever else lies there. What
    /// cannot be removed holds back nothing else.
    ///
    /// # Errors
    /// [`BeneathError`] of the first that cannot even be taken away.
    pub fn remove_others(&self, keep: &dyn Fn(&str) -> bool) -> Result<(), BeneathError> {
        let mut first = None;
        for name in self.slots.names()? {
            let text = name.to_str();
            if text.is_some_and(keep) {
                continue;
            }
            let slot = text.map(|text| text.strip_suffix(BUILDING).unwrap_or(text).to_owned());
            match slot.and_then(|slot| SlotId::try_from(slot).ok()) {
                Some(slot) => {
                    if let Err(error) = self.take_away(&slot, &name) {
                        first = first.or(Some(error));
                    }
                }
                // What is out of the way already: its log line was written when it got there.
                None => drop(self.slots.remove_tree(&name)),
            }
        }
        self.slots.sync()?;
        first.map_or(Ok(()), Err)
    }

    /// The paths of what lies among the slots and is none that `keep` accepts or that is being built: what could not be
    /// removed, or what somebody put there. For people.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn left_over(&self, keep: &dyn Fn(&str) -> bool) -> Result<Vec<String>, BeneathError> {
        let is_slot = |text: &str| {
            let slot = text.strip_suffix(BUILDING).unwrap_or(text);
            keep(text) || SlotId::try_from(slot.to_owned()).is_ok()
        };
        let names = self.slots.names()?.into_iter().filter(|name| !name.to_str().is_some_and(is_slot));
        Ok(names.map(|name| check::escaped(&self.slots.path().join(name))).collect())
    }

    /// Renames what is called `name` so that nothing takes it for a slot any more, and removes it as far as it can be.
    fn take_away(&self, slot: &SlotId, name: impl AsRef<OsStr>) -> Result<(), BeneathError> {
        let name = name.as_ref();
        if self.slots.kind(name)?.is_none() {
            return Ok(());
        }
        let away = self.name_out_of_the_way(slot)?;
        self.slots.rename(name, &away)?;
        self.slots.sync()?;
        self.remove_what_is_away(slot, &away);
        Ok(())
    }

    fn name_out_of_the_way(&self, slot: &SlotId) -> Result<String, BeneathError> {
        for number in 0..MAX_REPLACED {
            let name = match number {
                0 => format!("{slot}{REPLACED}"),
                _ => format!("{slot}{REPLACED}-{number}"),
            };
            if self.slots.kind(&name)?.is_none() {
                return Ok(name);
            }
        }
        let source = io::Error::from(io::ErrorKind::AlreadyExists);
        Err(io_error("take one more slot out of the way in", self.slots.path(), source))
    }

    fn remove_what_is_away(&self, slot: &SlotId, name: &str) {
        if let Err(error) = self.slots.remove_tree(name).and_then(|()| self.slots.sync()) {
            let error = with_causes(&error);
            tracing::warn!(%slot, "an old slot cannot be removed now, which stops nothing: {error}");
        }
    }
}

#[cfg(test)]
mod tests;

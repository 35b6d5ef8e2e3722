//! Writes of a slot what its signed manifest has, and nothing else, whatever list of files a delta brings.
//!
//! Invariant: no path, type, mode, length or link text comes onto the disk that the vendor did not sign. What a file holds is
//! digested when the slot is whole.

use std::collections::BTreeMap;
use std::io::{self, Read};

use sealpost_deltas::TargetWriter;
use sealpost_manifests::release::{FileKind, ReleaseManifest};

use crate::slots::SlotBuilder;

/// A slot that takes what was signed.
pub(super) struct Signed<'s, 'b> {
    builder: &'s mut SlotBuilder<'b>,
    files: BTreeMap<&'s str, &'s FileKind>,
}

impl<'s, 'b> Signed<'s, 'b> {
    pub(super) fn new(builder: &'s mut SlotBuilder<'b>, manifest: &'s ReleaseManifest) -> Self {
        let files = manifest.files.iter().map(|entry| (entry.path.as_str(), &entry.kind)).collect();
        Self { builder, files }
    }

    fn is_file(&self, path: &str, mode: u32, length: u64) -> bool {
        self.files.get(path).is_some_and(|kind| match kind {
            FileKind::File { executable, length: signed, .. } => {
                *executable == (mode & 0o100 != 0) && *signed == length
            }
            FileKind::Symlink { .. } => false,
        })
    }

    fn is_link(&self, path: &str, target: &str) -> bool {
        let is_it =
            |kind: &&FileKind| matches!(kind, FileKind::Symlink { target: signed } if signed == target);
        self.files.get(path).is_some_and(is_it)
    }
}

impl TargetWriter for Signed<'_, '_> {
    fn create_file(&mut self, path: &str, mode: u32, length: u64, content: &mut dyn Read) -> io::Result<()> {
        if self.is_file(path, mode, length) {
            return self.builder.create_file(path, mode, length, content);
        }
        Err(not_signed())
    }

    fn create_symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        if self.is_link(path, target) {
            return self.builder.create_symlink(path, target);
        }
        Err(not_signed())
    }

    fn reopen(&mut self, path: &str) -> io::Result<Box<dyn Read>> {
        if self.files.contains_key(path) { self.builder.reopen(path) } else { Err(not_signed()) }
    }

    // What is not as it should be is taken out of the way, so these ask first, too.
    fn has_file(&mut self, path: &str, mode: u32, length: u64, sha256: &[u8; 32]) -> io::Result<bool> {
        Ok(self.is_file(path, mode, length) && self.builder.has_file(path, mode, length, sha256)?)
    }

    fn has_symlink(&mut self, path: &str, target: &str) -> io::Result<bool> {
        Ok(self.is_link(path, target) && self.builder.has_symlink(path, target)?)
    }
}

fn not_signed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the release that the vendor signed has no such file")
}

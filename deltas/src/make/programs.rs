//! Programs in what a delta is about: files of a tree, members of a `.tar`, or the file itself.

use std::io;

use crate::encode::ProgramPair;
use crate::read_at::{FromBeginning, ReadAt};

/// Shorter programs are not looked at.
const LEAST_BYTES: u64 = 4096;
/// Programs that are paired, at most.
const MOST: usize = 64;

/// A file in a space: its name, where it begins, and its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) at: u64,
    pub(super) length: u64,
}

/// The programs of a file: those in a `.tar`, or the file itself.
pub(super) fn of_file(content: &dyn ReadAt) -> io::Result<Vec<Member>> {
    let whole = Member { name: String::new(), at: 0, length: content.length() };
    let members = if is_tar(content)? { members(content) } else { vec![whole] };
    programs(content, members)
}

/// Of these members those that begin as programs do.
pub(super) fn programs(content: &dyn ReadAt, members: Vec<Member>) -> io::Result<Vec<Member>> {
    let mut found = Vec::new();
    for member in members.into_iter().filter(|member| member.length >= LEAST_BYTES) {
        let mut begin = [0; 4];
        content.read_exact_at(member.at, &mut begin)?;
        if begin.starts_with(b"\x7fELF") || begin.starts_with(b"MZ") {
            found.push(member);
        }
    }
    Ok(found)
}

/// Programs of base and target that are releases of the same one: by name, or the only ones without.
pub(super) fn pairs(base: &[Member], target: &[Member]) -> Vec<ProgramPair> {
    let file_name = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let mut pairs = Vec::new();
    for program in target {
        let same = base.iter().find(|other| other.name == program.name);
        let moved = || base.iter().find(|other| file_name(&other.name) == file_name(&program.name));
        let only = || base.first().filter(|_| base.len() == 1 && target.len() == 1);
        if let Some(other) = same.or_else(moved).or_else(only)
            && pairs.len() < MOST
        {
            pairs.push(ProgramPair { base: (other.at, other.length), target: (program.at, program.length) });
        }
    }
    pairs
}

/// Whether the magic of `ustar` stands where it has to.
fn is_tar(content: &dyn ReadAt) -> io::Result<bool> {
    let mut magic = [0; 5];
    if content.length() < 512 {
        return Ok(false);
    }
    content.read_exact_at(257, &mut magic)?;
    Ok(&magic == b"ustar")
}

/// The members of a `.tar`, as far as it can be read: it is only looked at.
fn members(content: &dyn ReadAt) -> Vec<Member> {
    let mut archive = tar::Archive::new(FromBeginning::new(content));
    let Ok(entries) = archive.entries_with_seek() else { return Vec::new() };
    let mut members = Vec::new();
    for entry in entries {
        let Ok(entry) = entry else { break };
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let (at, length) = (entry.raw_file_position(), entry.size());
        if entry.header().entry_type().is_file()
            && at.checked_add(length).is_some_and(|end| end <= content.length())
        {
            members.push(Member { name, at, length });
        }
    }
    members
}

//! Setup files in a folder: what is there is replaced only if it is an earlier one of the same computer, and a place for the new
//! one is found before its code is issued.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sealpost_admin_api::setups::HasSetup;
use sealpost_files::{PRIVATE, Unfinished, read_bounded};
use sealpost_manifests::document;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::{ServerRole, SetupFile, SetupKind};
use sealpost_site::rules::names::canonical;

use crate::cli::output::counted;

/// Longest setup file that is looked at before it is replaced, in bytes.
const MAX_SETUP_BYTES: u64 = 64 * 1024;

/// Where the setup file of a computer is written.
pub(super) fn name_of(name: &ComputerName) -> PathBuf {
    PathBuf::from(format!("{name}.setup.json"))
}

/// What lies where a setup file is to be written.
pub(super) enum There {
    Nothing,
    /// An earlier setup file of the same computer: its code is void once a new one is issued.
    Earlier(Box<SetupFile>),
    SomethingElse,
}

pub(super) fn look(out: &Path, name: &ComputerName) -> io::Result<There> {
    let text = match read_bounded(out, MAX_SETUP_BYTES) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(There::Nothing),
        // Too long, or no regular file: no setup file of anybody.
        Err(error) if matches!(error.kind(), io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput) => {
            return Ok(There::SomethingElse);
        }
        Err(error) => return Err(error),
    };
    Ok(match document::read::<SetupFile>(&text) {
        Ok(earlier) if earlier.computer_name.as_ref().map(canonical).as_ref() == Some(name) => {
            There::Earlier(Box::new(earlier))
        }
        _ => There::SomethingElse,
    })
}

/// Whether a knock setup file can be written somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KnockPlace {
    Free,
    Taken,
}

/// Looks for something else than an earlier knock setup file, which is replaced.
pub(super) fn look_for_knock(out: &Path) -> io::Result<KnockPlace> {
    let text = match read_bounded(out, MAX_SETUP_BYTES) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(KnockPlace::Free),
        Err(error) if matches!(error.kind(), io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput) => {
            return Ok(KnockPlace::Taken);
        }
        Err(error) => return Err(error),
    };
    let is_knock = document::read::<SetupFile>(&text).is_ok_and(|earlier| earlier.kind == SetupKind::Knock);
    Ok(if is_knock { KnockPlace::Free } else { KnockPlace::Taken })
}

/// What there is to say of an earlier setup file; `None` of one that names no server.
pub(super) fn had(earlier: &SetupFile, role: &ServerRole) -> Option<HasSetup> {
    let first = earlier.servers.first()?;
    let is_as_wanted =
        earlier.servers.len() == 1 && first.server.role == *role && first.enrollment_code.is_some();
    let expires_at = first.code_expires_at.filter(|_| is_as_wanted);
    Some(HasSetup { server: first.server.server_id.clone(), expires_at })
}

/// A file without its name, in the folder where it is to get it.
pub(super) fn unfinished(out: &Path) -> io::Result<Unfinished> {
    if out.file_name().is_none() {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    Unfinished::new_in(folder.unwrap_or(Path::new(".")))
}

/// Writes it for its owner alone, and gives it its name. The folder is not flushed.
pub(super) fn finish(file: Unfinished, text: &str, out: &Path) -> io::Result<()> {
    finish_with(file, text, out, PRIVATE)
}

/// As [`finish`], for whom the mode says.
pub(super) fn finish_with(mut file: Unfinished, text: &str, out: &Path, mode: u32) -> io::Result<()> {
    file.file_mut().write_all(text.as_bytes())?;
    file.finish(mode)?;
    file.replace(out)
}

/// What is said where earlier files are void from now on.
pub(super) fn void(count: u64) -> String {
    format!(
        "{} that nobody had used cannot be used any more",
        counted(count, "earlier setup file", "earlier setup files")
    )
}

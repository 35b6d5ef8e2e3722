//! The delta of a file.

use std::io::Write;

use super::error::MakeError;
use super::programs::{of_file, pairs};
use super::settings::MakeSettings;
use super::space::digest;
use crate::apply::{Control, Ticker};
use crate::assembly::{Assembly, Ends, Proven};
use crate::container::layout::{Codec, Group, Subject};
use crate::encode::{Hints, encode};
use crate::parallel::Crew;
use crate::read_at::ReadAt;
use crate::spool::Scratch;
use crate::summary::Summary;

/// Writes the delta that leads from one file to another. A `.tar` is a file too; programs in it are found.
///
/// # Errors
/// When a file cannot be read, or the delta cannot be written, or `control` had it stopped.
pub fn make_file(
    base: &(dyn ReadAt + Sync),
    target: &(dyn ReadAt + Sync),
    out: impl Write,
    settings: &MakeSettings,
    control: &mut dyn Control,
) -> Result<Summary, MakeError> {
    let of_base = |source| MakeError::Read { path: "the base".to_owned(), source };
    let of_target = |source| MakeError::Read { path: "the target".to_owned(), source };
    let ends = Ends {
        base: (base.length(), digest(base).map_err(of_base)?),
        target: (target.length(), digest(target).map_err(of_target)?),
    };
    let programs = pairs(&of_file(base).map_err(of_base)?, &of_file(target).map_err(of_target)?);
    let crew = Crew::new(settings.threads);
    let scratch = Scratch::new(settings.scratch.as_deref());
    let hints = Hints { programs, memory_bytes: settings.memory_bytes, crew: &crew, scratch: &scratch };
    let mut ticker = Ticker::new(control, target.length());
    let encoded = encode(base, target, &hints, &mut ticker).map_err(MakeError::of)?;
    let whole = matches!(encoded.codec, Codec::Whole(_));
    let mut assembly = Assembly::new(Subject::File, ends, &scratch).map_err(MakeError::Write)?;
    let group = Group { targets: Vec::new(), bases: Vec::new(), codec: encoded.codec };
    assembly.add(Proven::new(group, encoded.bodies, base, ends.target)?)?;
    let bytes = assembly.finish(out).map_err(MakeError::Write)?;
    Ok(Summary {
        patched: u64::from(!whole),
        whole: u64::from(whole),
        bytes,
        target_bytes: target.length(),
        ..Summary::default()
    })
}

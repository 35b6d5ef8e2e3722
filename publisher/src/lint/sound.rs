//! The targets of a package whose files are as listed: what the other checks read.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use sealpost_files::open_regular;
use sealpost_manifests::document::MAX_DOCUMENT_BYTES;
use sealpost_manifests::ids::TargetName;
use sealpost_repository::TargetInfo;

use super::report::{Code, Report};
use crate::publication::target_file;

/// The targets of a package whose files are as listed.
pub(super) struct SoundTargets<'a> {
    pub(super) folder: &'a Path,
    pub(super) targets: BTreeMap<TargetName, TargetInfo>,
}

impl SoundTargets<'_> {
    /// A document, if its file is as listed; what is wrong with it has been reported otherwise.
    pub(super) fn read(&self, name: &TargetName, report: &mut Report) -> Option<Vec<u8>> {
        let info = self.targets.get(name)?;
        let limit = MAX_DOCUMENT_BYTES;
        if info.length() > limit {
            report.defect(
                Code::FileDamaged,
                name,
                format_args!("{} bytes are too many for a document", info.length()),
            );
            return None;
        }
        let mut bytes = Vec::new();
        let path = target_file(self.folder, name, &info.sha256())?;
        match open_regular(&path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
            Ok(_) => Some(bytes),
            Err(error) => {
                report.defect(Code::FileUnreadable, name, format_args!("its file cannot be read: {error}"));
                None
            }
        }
    }
}

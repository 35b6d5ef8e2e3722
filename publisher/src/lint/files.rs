//! The files of targets: that each is there, and is what it is listed as or what its name says.

use std::fs;
use std::io;
use std::path::Path;

use sealpost_files::open_regular;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_repository::TargetInfo;

use super::report::{Code, Report};
use crate::publication::target_file;

/// Compares a listed target with its file; `true` if the file is what is listed.
pub(super) fn check_target(targets: &Path, info: &TargetInfo, report: &mut Report) -> bool {
    let Some(path) = target_file(targets, info.name(), &info.sha256()) else {
        report.defect(Code::FileUnreadable, info.name(), "it has no safe path");
        return false;
    };
    let found = match open_regular(&path).and_then(Sha256Digest::of_reader) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            report.defect(
                Code::FileMissing,
                info.name(),
                format_args!("its file {} is missing; restore it", shown(&path)),
            );
            return false;
        }
        Err(error) => {
            report.defect(
                Code::FileUnreadable,
                info.name(),
                format_args!("its file {} cannot be read: {error}", shown(&path)),
            );
            return false;
        }
    };
    let (sha256, length) = found;
    if length != info.length() {
        let listed = info.length();
        report.defect(
            Code::FileDamaged,
            info.name(),
            format_args!("its file {} has {length} bytes, not the listed {listed}; restore it", shown(&path)),
        );
        return false;
    }
    if sha256 != info.sha256() {
        report.defect(
            Code::FileDamaged,
            info.name(),
            format_args!("its file {} has other content than is listed; restore it", shown(&path)),
        );
        return false;
    }
    true
}

/// Every file carries its digest in its name; so it can be checked without any metadata.
pub(super) fn check_names(targets: &Path, report: &mut Report) {
    let entries = match fs::read_dir(targets) {
        Ok(entries) => entries,
        Err(error) => {
            return report.defect(
                Code::FileUnreadable,
                "targets",
                format_args!("the folder cannot be read: {error}"),
            );
        }
    };
    for entry in entries {
        let name = match entry {
            Ok(entry) => entry.file_name().to_string_lossy().into_owned(),
            Err(error) => {
                report.defect(
                    Code::FileUnreadable,
                    "targets",
                    format_args!("the folder cannot be read: {error}"),
                );
                continue;
            }
        };
        let Some((digest, target)) = name.split_once('.') else {
            report.warn(Code::FileUnknown, &name, "it is not named as the publisher names files; remove it");
            continue;
        };
        let Ok(digest) = digest.parse::<Sha256Digest>() else {
            report.warn(Code::FileUnknown, &name, "it is not named as the publisher names files; remove it");
            continue;
        };
        match open_regular(&targets.join(&name)).and_then(Sha256Digest::of_reader) {
            Ok((found, _)) if found == digest => {}
            // The same words as for a listed target, so that the two are one finding.
            Ok(_) => report.defect(
                Code::FileDamaged,
                target,
                format_args!("its file {name} has other content than is listed; restore it"),
            ),
            Err(error) => report.defect(
                Code::FileUnreadable,
                target,
                format_args!("its file {name} cannot be read: {error}"),
            ),
        }
    }
}

fn shown(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

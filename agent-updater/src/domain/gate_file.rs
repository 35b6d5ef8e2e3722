//! The text of a gate file, format 2, as the agent writes it and as a product reads it.
//!
//! One `key=value` per line, so that a shell reads it with `.`: `format=2`, `package`, `boot_id`, and for each of `run`,
//! `upload` and `remote_management` whether it is `true` or `false`, with its ends `NAME_until_boot` (seconds on the boot
//! clock since the start with that `boot_id`) and `NAME_until_wall` (Unix seconds). Past an end, or after another start
//! of the computer than the one that an end counts from, a reader takes the permission as false. Only `run` may be open
//! without an end. Unknown keys are passed over.
//!
//! Invariant: the reader opens nothing on a text that is not wholly understood.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sealpost_manifests::ids::PackageName;
use serde::Serialize;

use super::boot::BootId;
use super::gate::{Gate, Opening};

/// Longest gate file, in bytes.
pub const MAX_GATE_BYTES: u64 = 4 * 1024;
/// The format that is written, and read.
const FORMAT: &str = "2";

/// A permission of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    Run,
    Upload,
    RemoteManagement,
}

impl Permission {
    const ALL: [Self; 3] = [Self::Run, Self::Upload, Self::RemoteManagement];

    const fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Upload => "upload",
            Self::RemoteManagement => "remote_management",
        }
    }

    const fn of(self, gate: &Gate) -> Opening {
        match self {
            Self::Run => gate.run,
            Self::Upload => gate.upload,
            Self::RemoteManagement => gate.remote_management,
        }
    }
}

/// What a reader finds open at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OpenNow {
    pub run: bool,
    pub upload: bool,
    pub remote_management: bool,
}

/// The text of a package's gate. `boot_id` is the start of the computer that ends on the boot clock count from.
#[must_use]
pub fn to_text(package: &PackageName, boot_id: Option<&BootId>, gate: &Gate) -> String {
    let mut text = format!("format={FORMAT}\npackage={package}\n");
    // Writing to a String cannot fail.
    if let Some(boot_id) = boot_id {
        let _ = writeln!(text, "boot_id={boot_id}");
    }
    for permission in Permission::ALL {
        let name = permission.name();
        let opening = permission.of(gate);
        let _ = writeln!(text, "{name}={}", opening != Opening::Closed);
        if let Opening::Until(end) = opening {
            if let Some(until_boot) = end.until_boot {
                let _ = writeln!(text, "{name}_until_boot={until_boot}");
            }
            let _ = writeln!(text, "{name}_until_wall={}", end.until_wall);
        }
    }
    text
}

/// Whether a permission is open, for a reader whose clock says `now_wall` (Unix seconds) and whose boot clock says
/// `boot_secs` since the start `boot_id`.
#[must_use]
pub fn is_open(text: &str, permission: Permission, now_wall: i64, boot_id: &str, boot_secs: u64) -> bool {
    Fields::parse(text).is_some_and(|fields| fields.is_open(permission, now_wall, boot_id, boot_secs))
}

/// As [`is_open`], for all permissions.
#[must_use]
pub fn open_now(text: &str, now_wall: i64, boot_id: &str, boot_secs: u64) -> OpenNow {
    let Some(fields) = Fields::parse(text) else { return OpenNow::default() };
    let open = |permission| fields.is_open(permission, now_wall, boot_id, boot_secs);
    OpenNow {
        run: open(Permission::Run),
        upload: open(Permission::Upload),
        remote_management: open(Permission::RemoteManagement),
    }
}

struct Fields<'t>(BTreeMap<&'t str, &'t str>);

impl<'t> Fields<'t> {
    /// `None` for a text with a line that is no `key=value`, with a key twice, or of another format.
    fn parse(text: &'t str) -> Option<Self> {
        if text.len() as u64 > MAX_GATE_BYTES {
            return None;
        }
        let mut fields = BTreeMap::new();
        for line in text.strip_suffix('\n')?.split('\n') {
            let (key, value) = line.split_once('=')?;
            if !is_key(key) || !is_value(value) || fields.insert(key, value).is_some() {
                return None;
            }
        }
        (fields.get("format") == Some(&FORMAT)).then_some(Self(fields))
    }

    fn is_open(&self, permission: Permission, now_wall: i64, boot_id: &str, boot_secs: u64) -> bool {
        let name = permission.name();
        if self.0.get(name) != Some(&"true") {
            return false;
        }
        let until_boot = self.0.get(format!("{name}_until_boot").as_str());
        let until_wall = self.0.get(format!("{name}_until_wall").as_str());
        if until_boot.is_none() && until_wall.is_none() {
            return permission == Permission::Run;
        }
        let boot_holds = until_boot.is_none_or(|end| {
            self.0.get("boot_id") == Some(&boot_id) && end.parse::<u64>().is_ok_and(|end| boot_secs <= end)
        });
        boot_holds && until_wall.is_none_or(|end| end.parse::<i64>().is_ok_and(|end| now_wall <= end))
    }
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests;

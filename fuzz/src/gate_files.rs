//! Gate files, as a product reads what it may do.

use sealpost_agent_updater::domain::gate_file::{MAX_GATE_BYTES, OpenNow, Permission, is_open, open_now};

use crate::reading::text;

/// The start of the computer that the seeds count from.
const BOOT: &str = "8f7e9a34-1111-4a2b-9c3d-000000000001";
/// Moments before, at and after the ends in the seeds, in seconds.
const MOMENTS: &[(i64, u64)] =
    &[(i64::MIN, 0), (0, 0), (1_000_000, 500), (1_003_600, 4_100), (1_003_601, 4_101), (i64::MAX, u64::MAX)];

/// Reads a gate at some moments. Nothing opens that was closed before, and nothing is open on another start.
pub(crate) fn gate_files(data: &[u8]) -> bool {
    let Some(text) = text(data) else { return false };
    let open: Vec<OpenNow> = MOMENTS.iter().map(|(wall, boot)| open_now(text, *wall, BOOT, *boot)).collect();
    for (open, (wall, boot)) in open.iter().zip(MOMENTS) {
        let each = [
            (Permission::Run, open.run, "run"),
            (Permission::Upload, open.upload, "upload"),
            (Permission::RemoteManagement, open.remote_management, "remote_management"),
        ];
        for (permission, is_open_now, name) in each {
            assert_eq!(is_open(text, permission, *wall, BOOT, *boot), is_open_now);
            assert!(
                !is_open_now || is_understood(text, name),
                "{name} is open by a text that is not understood"
            );
            let elsewhere = is_open(text, permission, *wall, "another start", *boot);
            let counts_from_boot = text.contains(&format!("\n{name}_until_boot="));
            assert!(!elsewhere || !counts_from_boot, "{name} is open on another start");
            assert!(!elsewhere || is_open_now, "{name} is open elsewhere only");
        }
    }
    for pair in open.windows(2) {
        let (earlier, later) = (pair[0], pair[1]);
        assert!(earlier.run || !later.run, "run opens by itself");
        assert!(earlier.upload || !later.upload, "upload opens by itself");
        assert!(earlier.remote_management || !later.remote_management, "remote_management opens by itself");
    }
    open.iter().any(|open| open.run || open.upload || open.remote_management)
}

/// Whether a text can open something: short, whole lines, of this format, and with an end for all but `run`.
fn is_understood(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let has_end = lines.iter().any(|line| line.starts_with(&format!("{name}_until_")));
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'=');
    text.len() as u64 <= MAX_GATE_BYTES
        && text.ends_with('\n')
        && lines.iter().all(|line| line.contains('=') && line.bytes().all(plain))
        && lines.contains(&"format=2")
        && lines.contains(&format!("{name}=true").as_str())
        && (has_end || name == "run")
}

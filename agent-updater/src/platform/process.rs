//! What the system says of another process.

use std::fs;

use rustix::process::Signal;

/// Whether a process has a handler of its own for a signal. Without one, most signals end it.
#[must_use]
pub fn catches(pid: u32, signal: Signal) -> bool {
    // Its name stands there too, in whatever bytes it has.
    let status = fs::read(format!("/proc/{pid}/status")).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let bit = u32::try_from(signal.as_raw() - 1).unwrap_or(u32::MAX);
    mask.checked_shr(bit).is_some_and(|shifted| shifted & 1 == 1)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn it_is_seen_whether_a_process_handles_a_signal() {
        let mut child = Command::new("/bin/bash")
            .args(["-c", "trap : HUP; echo; read"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        assert!(catches(child.id(), Signal::HUP) && !catches(child.id(), Signal::USR1));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!catches(child.id(), Signal::HUP), "it is gone");
    }

    #[test]
    fn it_is_seen_whatever_bytes_the_name_of_the_process_has() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(std::ffi::OsStr::from_bytes(b"agent-\xff"));
        fs::copy("/bin/bash", &program).unwrap();
        let mut child = Command::new(&program)
            .args(["-c", "trap : HUP; echo; read"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        assert!(catches(child.id(), Signal::HUP));
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}

//! CPU seconds of a process, as the system counted them.

use anyhow::Context;

/// User and system time of all threads of a process since its start, in seconds; what its ended children used is not
/// in it.
///
/// # Errors
/// When the process is gone.
pub(crate) fn seconds(process: u32) -> anyhow::Result<f64> {
    // Nanoseconds on the CPU, per thread: finer than the clock ticks of /proc/PID/stat.
    let mut nanoseconds = 0u64;
    let folder = format!("/proc/{process}/task");
    for thread in std::fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
        let path = thread?.path().join("schedstat");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let on_cpu = text.split(' ').next().unwrap_or_default();
        nanoseconds += on_cpu.parse::<u64>().with_context(|| format!("cannot read {}", path.display()))?;
    }
    Ok(std::time::Duration::from_nanos(nanoseconds).as_secs_f64())
}

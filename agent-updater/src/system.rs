//! The implementations of [`crate::ports`] that the program runs with: the system's clock and disk, and the fault points
//! of builds for tests.

use std::io;
use std::path::Path;

use jiff::Timestamp;

use crate::domain::boot::BootMoment;
use crate::platform::{disk, machine};
use crate::ports::{Clock, Disk, Faults, Killed};

#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn boot(&self) -> Option<BootMoment> {
        machine::boot_moment()
    }
}

#[derive(Debug, Clone, Copy)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        disk::free_bytes(path)
    }
}

/// No faults; but in a build with the feature `fault-points` the process kills itself at the point that the variable
/// `SEALPOST_FAULT_EXIT_AT` names, hangs for good at that of `SEALPOST_FAULT_HANG_AT`, and panics at that of
/// `SEALPOST_FAULT_PANIC_AT`.
#[derive(Debug, Clone, Copy)]
pub struct ProcessFaults;

impl Faults for ProcessFaults {
    #[cfg(feature = "fault-points")]
    #[expect(clippy::panic, reason = "a test wants to see what becomes of the process")]
    fn at(&self, point: &str) -> Result<(), Killed> {
        let is_wanted = |variable| std::env::var(variable).is_ok_and(|wanted| wanted == point);
        while is_wanted("SEALPOST_FAULT_HANG_AT") {
            std::thread::park();
        }
        if is_wanted("SEALPOST_FAULT_PANIC_AT") {
            panic!("a test wants a fault here: {point}");
        }
        if is_wanted("SEALPOST_FAULT_EXIT_AT") {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            // Nothing may happen before the signal arrives.
            loop {
                std::thread::park();
            }
        }
        Ok(())
    }

    #[cfg(not(feature = "fault-points"))]
    fn at(&self, _: &str) -> Result<(), Killed> {
        Ok(())
    }
}

//! What the rest of the house asks of the outside, where there are two implementations or a fault to inject.

pub mod authority;
pub mod blobs;
pub mod by_file;
pub mod clock;
pub mod disks;
pub mod doors;
pub mod folder;
pub mod installers;
pub mod presence;
pub mod staging;
pub mod syslog;
pub mod test_load;
pub mod upstream;
pub mod wakes;

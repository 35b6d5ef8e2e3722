//! What depends on the operating system, in one place: files that survive a power cut, who may write where, child
//! processes with bounds, free disk, sealed records. Linux first; Windows and macOS would follow here and in [`crate::slots`].

pub mod causes;
pub mod files;
pub mod network;
pub mod process;
pub mod store;
pub mod users;

//! What depends on the operating system, in one place: files that survive a power cut, who may write where, child
//! processes with bounds, free disk. Linux first; Windows and macOS would follow here and in [`crate::slots`].

pub mod files;
pub mod process;
pub mod users;

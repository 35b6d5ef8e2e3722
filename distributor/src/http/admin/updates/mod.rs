//! Updates, as an admin sees and decides them.

pub(crate) mod decide;
pub(crate) mod list;
pub(crate) mod show;

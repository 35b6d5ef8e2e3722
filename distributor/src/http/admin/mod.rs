//! The admin API. Every handler knows who acts: `auth` stands in front of all of them.

pub(crate) mod accounts;
pub(crate) mod addresses;
pub(crate) mod approvals;
pub(crate) mod auth;
pub(crate) mod certificates;
pub(crate) mod clients;
pub(crate) mod content;
pub(crate) mod folder;
pub(crate) mod groups;
pub(crate) mod installer;
pub(crate) mod license;
pub(crate) mod links;
pub(crate) mod log;
pub(crate) mod log_export;
pub(crate) mod pull;
pub(crate) mod reserve;
pub(crate) mod restore;
pub(crate) mod rollouts;
pub(crate) mod settings;
pub(crate) mod setups;
pub(crate) mod simulate;
pub(crate) mod status;
pub(crate) mod storage;
pub(crate) mod test_load;
pub(crate) mod tokens;
pub(crate) mod updates;
mod while_good;

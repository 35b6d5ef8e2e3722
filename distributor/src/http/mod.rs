//! The server's HTTP floor: what it answers to clients (`/agent/v1`), to admins (`/api/v1`) and to monitors.
//!
//! [`router`] is the table of contents. In front of everything that a client may reach stands one layer, `admission`;
//! in front of everything that an admin may reach stands `admin::auth`. Handlers are thin: extract → command or query →
//! respond. Every error is a `Problem`.
//! Left out on purpose: rules (they are in `sealpost_site`), and HTML (a console comes later).

pub mod admin_tokens;
pub mod limits;
pub mod secret;
pub mod token;
pub mod token_desk;

mod admin;
mod admission;
mod agent;
mod asker;
mod body;
mod coding;
mod content;
mod ends;
mod health;
mod heard;
mod leaving;
mod links;
mod metrics;
mod newer;
mod offered;
mod patches;
mod payload;
mod problem;
mod problems;
mod refused_seats;
mod router;
mod send;
mod site;
mod syslog;
mod third_computers;
mod would_be;

pub use self::router::{admin_router, router};
pub use self::site::{Site, SiteParts};

#[cfg(test)]
mod tests;

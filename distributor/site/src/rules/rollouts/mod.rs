//! Rollouts: from an approval to every computer, ring by ring.
//!
//! `strategy` says how a release goes out, `progress` what a rollout does next, `counts` what became of its computers, `tries` how
//! one of them tried it, `gate` whether one computer gets it now, `delivery` when that computer installs it, `settings` what the
//! site chose, `links` the lines that computers share, `waking` whom the server calls, `what_if` who would get a release when
//! (its times are in `forecast`), `cadence` how long a computer may be silent, `outages` when it could not come, `plan` is all of
//! it at one moment, `replay` what another strategy would have made of what happened; `window`, `groups`, `glob` and `share` are
//! what these are made of.

pub mod cadence;
pub mod counts;
pub mod delivery;
pub mod forecast;
pub mod gate;
pub mod glob;
pub mod groups;
pub mod links;
pub mod outages;
pub mod plan;
pub mod progress;
pub mod replay;
pub mod settings;
pub mod share;
pub mod strategy;
pub mod survey;
pub mod tries;
pub mod waking;
pub mod what_if;
pub mod window;

//! The packet filter of this computer: what opens and closes the server's port in it, and what it says now.
//!
//! Invariants: only what this program wrote is changed, which is a table of its own (nftables), rules with its own comment
//! (ufw), and the port in the default zone (firewalld); what is run follows from what was seen, by pure functions, so that it
//! can be shown before; only `run` starts programs. Each answer of a tool is bounded before it is parsed.
//! Left out on purpose: packet filters in front of this computer, rules by which a bridge or a container forwards, hooks of
//! nftables before `input`, and other tools than the three.

mod chains;
mod firewalld;
mod nft;
mod parts;
mod run;
mod seen;
mod ufw;

pub use self::nft::{FILE_HEAD, file_text};
pub use self::parts::{Change, Opening, PlanError, Report, Standing, Step, TooManySubnets, listed};
pub use self::run::{ToolError, Tools};
pub use self::seen::{Kind, Seen};

/// The lines to type where none of the tools is here.
#[must_use]
pub fn by_hand(port: u16) -> [String; 4] {
    [
        format!(
            "nft insert rule inet filter input tcp dport {port} accept      # nftables, with the usual table and chain"
        ),
        format!("ufw allow {port}/tcp      # ufw"),
        format!("firewall-cmd --permanent --add-port={port}/tcp && firewall-cmd --reload      # firewalld"),
        format!("iptables -I INPUT -p tcp --dport {port} -j ACCEPT      # iptables; the same with ip6tables"),
    ]
}

#[cfg(test)]
mod tests;

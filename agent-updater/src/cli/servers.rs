//! `servers`: which servers this computer has, and which one decides about its updates.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use sealpost_manifests::setup::ServerRole;
use sealpost_service::output::{can_ask, print_json, print_line, tell, tell_part};
use tokio::runtime::Runtime;

use crate::app::Agent;
use crate::flows::enroll::OtherName;
use crate::flows::servers::ServerStatus;

use super::runtime::blocking;

/// Show the servers of this computer, add one for when the first does not answer, or say which one decides about updates.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  agent-updater servers list
  agent-updater servers add --setup pc-1.backup.setup.json
  agent-updater servers prefer backup.example
  agent-updater servers remove old.example

Contact goes to the primaries first, and to the secondaries if none of them answers or none has a
free license. A server that is back serves again after it has answered for 15 minutes. Updates come
from the first server alone, also while another one serves: while it is away they wait. An outage
takes no seat anywhere: at a secondary, too, only the reservation counts that was made there.")]
pub(super) enum Servers {
    List(List),
    Add(Add),
    Remove(Remove),
    Prefer(Prefer),
}

/// List the servers in their order, with the one that serves and the one that decides about updates.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater servers list
  agent-updater servers list --json")]
pub(super) struct List {
    /// Print the servers as JSON.
    #[arg(long)]
    json: bool,
}

/// Enroll with a further server of the same vendor; it serves when the servers before it do not.
///
/// What the first server gave stays as it is, and goes on deciding about updates. The setup file comes from the
/// administrator of the further server, who reserved a seat for this computer there. A server that was added before is
/// enrolled with again, and keeps its place.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater servers add --setup pc-1.backup.setup.json
  agent-updater servers add --setup pc-1.second.setup.json --role primary")]
pub(super) struct Add {
    /// The setup file, as `distributor clients setup NAME` of that server wrote it.
    #[arg(long, value_name = "FILE")]
    setup: PathBuf,
    /// The part that it plays: a further primary is asked before the secondaries [default: secondary].
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Take another name at that server than this computer has at the first one, or had there: a further seat.
    #[arg(long)]
    replace: bool,
    /// Print the server as JSON.
    #[arg(long)]
    json: bool,
}

/// The part of a further server.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Role {
    Primary,
    Secondary,
}

/// Forget a server; its lease does not count any more, and the seat there stays used.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater servers remove backup.example
  agent-updater servers remove backup.example --yes

The server that decides about updates is not removed: prefer another one first.")]
pub(super) struct Remove {
    /// Its id, the first characters of it, or an address.
    server: String,
    /// Do not ask at a terminal.
    #[arg(long)]
    yes: bool,
    /// Print the server as JSON.
    #[arg(long)]
    json: bool,
}

/// Let a server decide about updates from now on; it becomes the first, and a primary.
///
/// What it assigns is installed with the next contact. For when the first one is gone for good, or another one takes over
/// its work.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater servers prefer backup.example
  agent-updater check")]
pub(super) struct Prefer {
    /// Its id, the first characters of it, or an address.
    server: String,
    /// Print the server as JSON.
    #[arg(long)]
    json: bool,
}

impl From<Role> for ServerRole {
    fn from(role: Role) -> Self {
        match role {
            Role::Primary => Self::Primary,
            Role::Secondary => Self::Secondary,
        }
    }
}

impl Servers {
    pub(super) fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.execute(&agent),
            Self::Add(add) => add.execute(agent, runtime),
            Self::Remove(remove) => remove.execute(&agent),
            Self::Prefer(prefer) => prefer.execute(&agent),
        }
    }
}

impl List {
    fn execute(self, agent: &Agent) -> anyhow::Result<ExitCode> {
        let servers = agent.servers()?;
        if self.json {
            print_json(&serde_json::to_string_pretty(&servers)?)?;
        } else if servers.is_empty() {
            print_line("this computer is enrolled with no server: `agent-updater enroll --setup FILE`")?;
        } else {
            servers.iter().try_for_each(|server| print_line(line(server)))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Add {
    fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let other_name = if self.replace { OtherName::Replace } else { OtherName::Refuse };
        let (setup, role) = (self.setup, self.role.map(ServerRole::from));
        let (enrolled, servers) = blocking(runtime, agent, move |agent| -> anyhow::Result<_> {
            let enrolled = agent.add_server(&setup, role, other_name)?;
            Ok((enrolled, agent.servers()?))
        })??;
        for warning in &enrolled.warnings {
            tell(format_args!("warning: {warning}"));
        }
        let id = &enrolled.enrollment.server.server_id;
        let server =
            servers.iter().find(|server| server.server == *id).context("the server is not listed")?;
        if self.json {
            print_json(&serde_json::to_string_pretty(server)?)?;
        } else {
            let name = &enrolled.enrollment.computer_name;
            print_line(format_args!("added {} ({}) as {name}", server.name(), server.role))?;
        }
        tell(
            "next: its license comes with the next contact (`agent-updater check`); updates go on coming from the first server",
        );
        Ok(ExitCode::SUCCESS)
    }
}

impl Remove {
    fn execute(self, agent: &Agent) -> anyhow::Result<ExitCode> {
        if !self.yes && can_ask() {
            tell_part(format_args!(
                "this computer gives up its license from {}, and its seat there stays used. Remove it? [y/N] ",
                self.server
            ));
            let mut answer = String::new();
            let _ = io::stdin().read_line(&mut answer).context("cannot read the answer")?;
            if !matches!(answer.trim(), "y" | "Y" | "yes") {
                tell("nothing was removed");
                return Ok(ExitCode::FAILURE);
            }
        }
        let server = agent.remove_server(&self.server)?;
        if self.json {
            print_json(&serde_json::to_string_pretty(&server)?)?;
        } else {
            print_line(format_args!("removed {}; its seat there stays used", server.name()))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Prefer {
    fn execute(self, agent: &Agent) -> anyhow::Result<ExitCode> {
        let server = agent.prefer_server(&self.server)?;
        if self.json {
            let servers = agent.servers()?;
            let shown = servers.iter().find(|row| row.server == server.server).unwrap_or(&server);
            print_json(&serde_json::to_string_pretty(shown)?)?;
        } else {
            print_line(format_args!(
                "{} decides about the updates of this computer from now on",
                server.name()
            ))?;
        }
        tell("next: `agent-updater check`, which contacts it and installs what it assigns");
        Ok(ExitCode::SUCCESS)
    }
}

/// A server as one line.
fn line(server: &ServerStatus) -> String {
    let mut parts = vec![format!("{} ({})", server.name(), server.role)];
    if server.updates {
        parts.push("decides about updates".to_owned());
    }
    if server.serves {
        parts.push("serves".to_owned());
    }
    parts.push(server.lease.to_line());
    parts.push(match server.last_answer {
        Some(at) => format!("answered last at {at}"),
        None => "never answered yet".to_owned(),
    });
    parts.extend(server.problem.as_ref().map(|problem| format!("problem: {problem}")));
    parts.push(server.server.to_string());
    parts.join(", ")
}

//! `hold`: puts an install off.

use std::process::ExitCode;

use clap::Args;
use jiff::SignedDuration;
use sealpost_manifests::ids::PackageName;
use tokio::runtime::Runtime;

use crate::app::Agent;
use crate::control::{HoldFor, Request, ask};
use crate::flows::hold::hold;

use super::output::print_answer;
use super::runtime::blocking;

/// Put off an install that waits, as often and as long as the site allows.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  agent-updater hold acme-av --for 2h
  agent-updater hold --for 45m
  agent-updater hold acme-av --end

It is downloaded and tested all the same, and installed when the hold ends, within the site's window.
`agent-updater status` shows until when it is put off, and how often it still can be.")]
pub(super) struct Hold {
    /// The package [default: every one that waits].
    package: Option<PackageName>,
    /// For how long, as in `2h` or `45m`.
    #[arg(long = "for", value_name = "TIME", value_parser = length, required_unless_present = "end")]
    length: Option<u32>,
    /// End the hold.
    #[arg(long, conflicts_with = "length")]
    end: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Hold {
    pub(super) fn execute(self, agent: Agent, runtime: &Runtime) -> anyhow::Result<ExitCode> {
        let length = self.length.filter(|_| !self.end).map_or(HoldFor::End, HoldFor::Seconds);
        let request = Request::Hold(self.package.clone(), length);
        let answer = match runtime.block_on(ask(&agent.home().socket(), &request))? {
            Some(answer) => answer,
            None => blocking(runtime, agent, move |agent| {
                hold(&agent.context, self.package.as_ref(), length.into()).1
            })?,
        };
        print_answer(&answer, self.json)
    }
}

fn length(text: &str) -> Result<u32, String> {
    let length: SignedDuration =
        text.parse().map_err(|error| format!("{error}; write it as in 2h or 45m"))?;
    u32::try_from(length.as_secs())
        .ok()
        .filter(|secs| *secs > 0)
        .ok_or_else(|| "it is to be longer than a second, and shorter than a century".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_people_do_and_is_longer_than_nothing() {
        assert_eq!((length("2h"), length("45m"), length("1h 30m")), (Ok(7_200), Ok(2_700), Ok(5_400)));
        for bad in ["", "2", "0s", "-2h", "soon", "9999999h"] {
            assert!(length(bad).is_err(), "{bad}");
        }
    }
}

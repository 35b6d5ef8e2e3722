//! What it takes to reserve many seats with one command, on a site that holds many already.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::Args;

use crate::cpu;
use crate::server::Server;
use crate::site::{self, Rollouts, SPARE_SEATS};

/// Releases of the site.
const RELEASES: u32 = 20;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Names that hold a seat before.
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    held: u32,
    /// Names in the file.
    #[arg(long, value_name = "N", default_value_t = SPARE_SEATS, value_parser = clap::value_parser!(u32).range(1..=SPARE_SEATS.into()))]
    names: u32,
}

pub(crate) async fn run(options: &Options, programs: &Path, json: bool) -> anyhow::Result<()> {
    let Options { held, names, .. } = *options;
    let home = tempfile::tempdir()?;
    let site = site::make(programs, home.path(), held, RELEASES, Rollouts::EveryoneNow).await?;
    drop(site);
    let server = Server::start(programs, home.path())?;
    let mut text = String::from("name,channel\n");
    for number in 0..names {
        writeln!(text, "new-{number:06},stable")?;
    }
    let file = home.path().join("computers.csv");
    std::fs::write(&file, text)?;
    let first = reserve(programs, home.path(), &file, &server)?;
    let again = reserve(programs, home.path(), &file, &server)?;
    for (taken, wanted) in [
        (&first.said, format!("{names} seats were reserved, 0 held one before")),
        (&again.said, format!("0 seats were reserved, {names} held one before")),
    ] {
        if !taken.starts_with(&wanted) {
            bail!("{taken:?} was said, not {wanted:?}");
        }
    }
    print(held, names, &first, &again, json);
    Ok(())
}

/// One run of the command.
struct Run {
    said: String,
    wall_s: f64,
    server_cpu_s: f64,
}

fn reserve(programs: &Path, folder: &Path, file: &Path, server: &Server) -> anyhow::Result<Run> {
    let (before, began) = (cpu::seconds(server.process())?, Instant::now());
    let output = Command::new(programs.join("distributor"))
        .env("SEALPOST_DISTRIBUTOR_HOME", folder.join("server"))
        .args(["clients", "reserve", "--yes", "--from"])
        .arg(file)
        .output()
        .context("cannot start `distributor clients reserve`")?;
    let wall_s = began.elapsed().as_secs_f64();
    if !output.status.success() {
        bail!("the command failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let said = String::from_utf8(output.stdout)?;
    Ok(Run { said, wall_s, server_cpu_s: cpu::seconds(server.process())? - before })
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
fn print(held: u32, names: u32, first: &Run, again: &Run, json: bool) {
    if json {
        let line = serde_json::json!({
            "held": held, "names": names, "wall_s": first.wall_s, "server_cpu_s": first.server_cpu_s,
            "again_wall_s": again.wall_s, "again_server_cpu_s": again.server_cpu_s,
        });
        println!("{line}");
    } else {
        println!(
            "{names} names onto {held}: {:.2} s, {:.2} s CPU of the server; the same file again {:.2} s, {:.2} s CPU",
            first.wall_s, first.server_cpu_s, again.wall_s, again.server_cpu_s
        );
    }
}

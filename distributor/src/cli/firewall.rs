//! `distributor firewall show|open|close`: the server's port in the packet filter of this computer.
//!
//! Invariant: nothing is changed that was not printed before, and nobody but a person, or `--yes`, has it changed; no other
//! command opens anything.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use sealpost_files::{PUBLIC, read_bounded, replace};
use sealpost_site::rules::rollouts::links::Subnet;

use super::outcome::Outcome;
use super::output::{ask, can_ask, plain, print_line, tell};
use crate::config::{DEFAULT_PORT, Settings};
use crate::firewall::{
    Change, FILE_HEAD, Kind, Opening, Report, Seen, Standing, Step, Tools, by_hand, file_text, listed,
};
use crate::home::Home;

/// Largest file of rules that is looked at before it is replaced, in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Show(Show),
    Open(Open),
    Close(Close),
}

/// Show whether the server's port is open in the packet filter of this computer, and what keeps computers out.
///
/// Asks firewalld where it runs, else ufw where it is active, else nftables. Run it as root.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor firewall show
  distributor firewall show --port 443")]
pub(super) struct Show {
    #[command(flatten)]
    port: Port,
}

/// Open the server's port in the packet filter of this computer, for everybody or for some subnets only.
///
/// Prints what it would run, and asks. The same command again changes nothing; with other subnets it replaces them. nftables
/// forgets it when the computer starts again, ufw and firewalld keep it. Run it as root.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor firewall open
  distributor firewall open --from 10.2.0.0/16 --from fd00::/8 --yes
  distributor firewall open --write /etc/nftables.d/sealpost.nft")]
pub(super) struct Open {
    /// Let only these addresses in, such as 10.2.0.0/16 or fd00::/8, and this computer itself; the port is closed to all
    /// others.
    #[arg(long = "from", value_name = "SUBNET")]
    from: Vec<Subnet>,
    /// nftables: write the rules into this file too, so that it can be loaded at the start of this computer.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    #[command(flatten)]
    port: Port,
    #[command(flatten)]
    asking: Asking,
}

/// Take back what `firewall open` has opened. What others opened stays.
///
/// Prints what it would run, and asks. Run it as root.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor firewall close
  distributor firewall close --remove /etc/nftables.d/sealpost.nft
  distributor firewall close --port 443 --yes")]
pub(super) struct Close {
    /// nftables: remove the file that `open --write` wrote, too, which would open the port again at the next start.
    #[arg(long, value_name = "FILE")]
    remove: Option<PathBuf>,
    #[command(flatten)]
    port: Port,
    #[command(flatten)]
    asking: Asking,
}

#[derive(Debug, Args)]
struct Port {
    /// The port [default: what the configuration says, or 16770].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

#[derive(Debug, Args)]
struct Asking {
    /// Do not ask. Where standard input is no terminal, nothing is changed without it.
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(home: &Path, command: Command) -> anyhow::Result<Outcome> {
    let given = match &command {
        Command::Show(options) => &options.port,
        Command::Open(options) => &options.port,
        Command::Close(options) => &options.port,
    };
    let port = port_of(home, given.port)?;
    if !rustix::process::geteuid().is_root() {
        bail!("the packet filter of this computer is root's: type it in a root shell, or with sudo");
    }
    let tools = Tools::on(std::env::var_os("PATH").as_deref());
    let Some(seen) = look(&tools).await? else {
        bail!(
            "this computer has no firewalld that runs, no ufw that is active, and no nft; if another tool rules its packet filter, \
             type the line that fits as root, else nothing is to be opened:\n  {}",
            by_hand(port).join("\n  ")
        );
    };
    match command {
        Command::Show(_) => show(&seen, port),
        Command::Open(options) => {
            let opening = Opening::new(port, &options.from).context("cannot open the port")?;
            let file = options.write.as_deref().map(|path| file_of(&seen, path, &opening)).transpose()?;
            let file = file.map(Filed::Write);
            change(&tools, &seen, &Change::Open(opening), file, &options.asking).await
        }
        Command::Close(options) => {
            let file = options.remove.as_deref().map(|path| written_by_open(&seen, path)).transpose()?;
            let file = file.map(Filed::Remove);
            change(&tools, &seen, &Change::Close { port }, file, &options.asking).await
        }
    }
}

async fn look(tools: &Tools) -> anyhow::Result<Option<Seen>> {
    tools.look().await.context("cannot see what this computer's packet filter does")
}

/// The port that the server listens on.
fn port_of(home: &Path, given: Option<u16>) -> anyhow::Result<u16> {
    if let Some(port) = given {
        return Ok(port);
    }
    let home = Home::at(home);
    if fs::symlink_metadata(home.config_file()).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        tell(format_args!(
            "{} is not there: this is about port {DEFAULT_PORT}, the usual one; --home names the server's home, --port the port",
            home.config_file().display()
        ));
        return Ok(DEFAULT_PORT);
    }
    let settings = Settings::load(&home.config_file(), &home.config_folder()).context(
        "cannot tell which port the server listens on; correct the configuration, or name it with --port",
    )?;
    if settings.listen.ip().is_loopback() {
        tell(format_args!("the server listens on {} only, where no other computer comes", settings.listen));
    }
    if settings.listen.port() == 0 {
        bail!("the server listens on any free port; name the port with --port");
    }
    Ok(settings.listen.port())
}

/// A file that is to be written.
struct RulesFile<'p> {
    path: &'p Path,
    text: String,
}

/// What `--write` writes; refused where somebody else's file would be replaced.
fn file_of<'p>(seen: &Seen, path: &'p Path, opening: &Opening) -> anyhow::Result<RulesFile<'p>> {
    if seen.kind() != Kind::Nft {
        bail!("{} keeps its rules by itself; leave --write out", seen.kind().name());
    }
    let found =
        read_bounded(path, MAX_FILE_BYTES).with_context(|| format!("cannot look at {}", path.display()))?;
    if found.is_some_and(|found| !found.starts_with(FILE_HEAD.as_bytes())) {
        bail!(
            "{} is there, and `distributor firewall open` did not write it; name another file",
            path.display()
        );
    }
    Ok(RulesFile { path, text: file_text(opening) })
}

/// What `--remove` removes: nothing but a file of ours.
fn written_by_open<'p>(seen: &Seen, path: &'p Path) -> anyhow::Result<&'p Path> {
    if seen.kind() != Kind::Nft {
        bail!("{} keeps its rules by itself; leave --remove out", seen.kind().name());
    }
    let found =
        read_bounded(path, MAX_FILE_BYTES).with_context(|| format!("cannot look at {}", path.display()))?;
    match found {
        None => bail!("{} is not there; leave --remove out", path.display()),
        Some(found) if !found.starts_with(FILE_HEAD.as_bytes()) => {
            bail!("`distributor firewall open` did not write {}; it is not removed", path.display())
        }
        Some(_) => Ok(path),
    }
}

/// What becomes of a file of rules.
enum Filed<'p> {
    Write(RulesFile<'p>),
    Remove(&'p Path),
}

async fn change(
    tools: &Tools,
    seen: &Seen,
    change: &Change,
    file: Option<Filed<'_>>,
    asking: &Asking,
) -> anyhow::Result<Outcome> {
    let port = match change {
        Change::Open(opening) => opening.port(),
        Change::Close { port } => *port,
    };
    let steps = seen.plan(change).context("cannot change the packet filter")?;
    if steps.is_empty() && file.is_none() {
        print_line("it is so already; nothing was run")?;
        return show(seen, port);
    }
    print_plan(&steps, file.as_ref())?;
    if !agrees(asking)? {
        return Ok(Outcome::Damage);
    }
    tools.carry_out(&steps).await.context("cannot change the packet filter")?;
    if let Some(Filed::Remove(path)) = &file {
        fs::remove_file(path)
            .with_context(|| format!("the port is closed, and {} cannot be removed", path.display()))?;
        print_line(format_args!("removed: {}", path.display()))?;
    }
    if let Some(Filed::Write(RulesFile { path, text })) = &file {
        replace(path, text.as_bytes(), PUBLIC).with_context(|| {
            format!(
                "the port is open, and {} cannot be written; make its folder, or name another file",
                path.display()
            )
        })?;
        print_line(format_args!(
            "written: {}; it is loaded at the start of this computer where /etc/nftables.conf has the line: include {:?}",
            path.display(),
            plain(&path.display().to_string())
        ))?;
    }
    // What is there now, and not what was to be there.
    if matches!(change, Change::Close { .. }) && seen.kind() == Kind::Nft && file.is_none() {
        print_line(
            "note: a file that `firewall open --write FILE` wrote opens the port again at the next start of this computer; \
             `distributor firewall close --remove FILE` removes it",
        )?;
    }
    match look(tools).await? {
        Some(seen) => show(&seen, port),
        None => bail!("{} is gone since it was asked", seen.kind().name()),
    }
}

fn print_plan(steps: &[Step], file: Option<&Filed<'_>>) -> anyhow::Result<()> {
    print_line("to be run as root:")?;
    for step in steps {
        for line in step.to_string().lines() {
            print_line(format_args!("  {line}"))?;
        }
    }
    let shown = |path: &Path| plain(&path.display().to_string());
    match file {
        Some(Filed::Write(file)) => {
            print_line(format_args!("  and to be written, with the same rules: {}", shown(file.path)))
        }
        Some(Filed::Remove(path)) => print_line(format_args!("  and to be removed: {}", shown(path))),
        None => Ok(()),
    }
}

fn agrees(asking: &Asking) -> anyhow::Result<bool> {
    if asking.yes {
        return Ok(true);
    }
    if !can_ask() {
        tell("nothing was changed, since nobody can be asked here; with --yes it is run");
        return Ok(false);
    }
    let agrees = ask("Run it?")?;
    if !agrees {
        tell("nothing was changed");
    }
    Ok(agrees)
}

fn show(seen: &Seen, port: u16) -> anyhow::Result<Outcome> {
    let kind = seen.kind();
    let Report { standing, obstacles, notes } = seen.report(port);
    let said = match &standing {
        Standing::NotOpened => "not opened by this command".to_owned(),
        Standing::Everybody => "open for everybody".to_owned(),
        Standing::Only(from) => {
            format!("open for {}, and closed to all others but this computer", listed(from))
        }
        Standing::Unclear(what) => format!("not clear: {what}, which this command did not write"),
    };
    print_line(format_args!("{}: port {port} is {}", kind.name(), plain(&said)))?;
    for obstacle in &obstacles {
        print_line(format_args!("but {}", plain(obstacle)))?;
    }
    for note in &notes {
        print_line(format_args!("note: {}", plain(note)))?;
    }
    let is_open = matches!(standing, Standing::Everybody | Standing::Only(_));
    if kind == Kind::Nft && is_open {
        print_line(
            "note: nftables forgets this when the computer starts again; `distributor firewall open --write FILE` writes a file that \
             it can load then",
        )?;
    }
    if kind == Kind::Nft && standing == Standing::NotOpened && obstacles.is_empty() {
        print_line("note: no chain of nftables drops connections to it either")?;
    }
    let works = obstacles.is_empty() || !is_open;
    Ok(if works && !matches!(standing, Standing::Unclear(_)) { Outcome::Done } else { Outcome::Damage })
}

//! What contacts notice of abuse: each kind goes on for some seconds beside real computers that contact, and the same is
//! measured before and after with none.
//!
//! Strangers come from 127.0.0.2 and further addresses, so the server takes them for other computers. Each contact has a
//! connection of its own, which is the harder case. Left out on purpose: a verdict; what must hold are ordinary tests.

mod attacks;
mod stranger;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::sync::watch;

use crate::load::Clients;
use crate::server::Server;
use crate::site::{self, Rollouts};
use attacks::Attack;
use stranger::{Counted, Stranger};

/// Files besides connections.
const FILES_BESIDES: u64 = 256;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Seconds of each kind of abuse.
    #[arg(long, value_name = "N", default_value_t = 15)]
    seconds: u64,
    /// Computers that contact at once, one contact after the other.
    #[arg(long, value_name = "N", default_value_t = 4)]
    lines: usize,
    /// Computers of the site.
    #[arg(long, value_name = "N", default_value_t = 200)]
    computers: u32,
    /// Only kinds whose name has this in it; may be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
}

/// What one kind of abuse did to contacts.
struct Row {
    name: &'static str,
    good: usize,
    contacts: usize,
    median_ms: f64,
    p99_ms: f64,
    counted: Counted,
}

pub(crate) async fn run(options: &Options, programs: &Path, json: bool) -> anyhow::Result<()> {
    let files = raise_open_files();
    let home = tempfile::tempdir()?;
    let site = site::make(programs, home.path(), options.computers, 10, Rollouts::EveryoneNow).await?;
    let server = Server::start(programs, home.path())?;
    let mut clients = Clients::new(&server, site, options.lines)?;
    clients.warm_up().await?;
    clients.connect_anew(&server)?;
    if !json {
        print_line(&format!(
            "{:<28} {:>13} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
            "abuse", "contacts", "median ms", "p99 ms", "tries", "answered", "2xx", "held"
        ));
    }
    let wanted = |attack: &Attack| {
        options.only.is_empty() || options.only.iter().any(|text| attack.name.contains(text))
    };
    show(&measure("none", options, &clients, None).await, json);
    for attack in attacks::all().into_iter().filter(wanted) {
        let stranger = Arc::new(Stranger::of(&server, attack, files)?);
        show(&measure(stranger.name(), options, &clients, Some(&stranger)).await, json);
    }
    show(&measure("none, after all", options, &clients, None).await, json);
    Ok(())
}

async fn measure(
    name: &'static str,
    options: &Options,
    clients: &Clients,
    stranger: Option<&Arc<Stranger>>,
) -> Row {
    let (stop, stopped) = watch::channel(false);
    let abuse = stranger.map(|stranger| tokio::spawn(Arc::clone(stranger).go_on(stopped)));
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let took = clients.timed(until, options.lines).await;
    // An error means that nobody listens, which is the end as well.
    let _ = stop.send(true);
    let counted = match abuse {
        Some(abuse) => abuse.await.unwrap_or_default(),
        None => Counted::default(),
    };
    let contacts = took.len();
    let mut good: Vec<f64> = took.into_iter().flatten().map(|took| took.as_secs_f64() * 1_000.0).collect();
    good.sort_by(f64::total_cmp);
    let at = |hundredth: usize| good.get(good.len() * hundredth / 100).copied().unwrap_or(f64::NAN);
    Row { name, good: good.len(), contacts, median_ms: at(50), p99_ms: at(99), counted }
}

/// As many open files as the system lets this process have; answers how many.
fn raise_open_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let files = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    usize::try_from(files.map_or(u64::MAX, |files| files.saturating_sub(FILES_BESIDES))).unwrap_or(usize::MAX)
}

fn show(row: &Row, json: bool) {
    let Row { name, good, contacts, median_ms, p99_ms, counted } = row;
    let Counted { tries, answered, good_answers, held } = counted;
    if json {
        print_line(
            &serde_json::json!({
                "abuse": name, "contacts": contacts, "contacts_good": good, "median_ms": median_ms, "p99_ms": p99_ms,
                "tries": tries, "answered": answered, "answered_2xx": good_answers, "held": held,
            })
            .to_string(),
        );
    } else {
        print_line(&format!(
            "{name:<28} {:>13} {median_ms:>9.1} {p99_ms:>9.1} {tries:>9} {answered:>9} {good_answers:>9} {held:>9}",
            format!("{good}/{contacts}")
        ));
    }
}

#[expect(clippy::print_stdout, reason = "the figures are this program's output")]
fn print_line(line: &str) {
    println!("{line}");
}

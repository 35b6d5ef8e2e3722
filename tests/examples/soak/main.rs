//! Random kills, full disks and flipped bits under the real programs; `tests/soak` builds and starts it.
//!
//! A site with a vendor, a Primary Server and three computers with a product. Each round does what people do there, while
//! one thing goes wrong; then it is made right again, and what must hold in any case is checked ([`scene::Scene::check`]).
//! The decisions follow from the seed; when exactly a process is hit does not.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it prints by itself: no program of a site")]

mod chance;
mod rings;
mod rounds;
mod scene;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use chance::Chance;
use scene::Scene;

struct Wanted {
    seed: u64,
    minutes: f64,
    rounds: u64,
}

fn wanted() -> Result<Wanted> {
    let now = jiff::Timestamp::now().as_millisecond();
    let mut wanted = Wanted { seed: now.unsigned_abs() % 1_000_000, minutes: 2.0, rounds: u64::MAX };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} wants a value"))?;
        match name.as_str() {
            "--seed" => wanted.seed = value.parse().context("--seed wants a number")?,
            "--minutes" => wanted.minutes = value.parse().context("--minutes wants a number")?,
            "--rounds" => wanted.rounds = value.parse().context("--rounds wants a number")?,
            _ => bail!("{name} is not known; see the head of tests/soak"),
        }
    }
    Ok(wanted)
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("soak: {error:#}");
            return ExitCode::from(2);
        }
    };
    println!("soak: seed {}", wanted.seed);
    let mut round = 0;
    match soak(&wanted, &mut round) {
        Ok(done) => {
            println!("soak: seed {}: {done}", wanted.seed);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("soak: FAILED with --seed {} in round {round}: {error:#}", wanted.seed);
            ExitCode::FAILURE
        }
    }
}

fn soak(wanted: &Wanted, round: &mut u64) -> Result<String> {
    let end = Instant::now() + Duration::from_secs_f64(wanted.minutes * 60.0);
    let mut scene = Scene::new()?;
    rings::set_strategy(&scene)?;
    while Instant::now() < end && *round < wanted.rounds {
        *round += 1;
        // A round's own decisions, whatever the rounds before it did.
        let mut chance = Chance::of(wanted.seed, *round);
        let what = rounds::run(&mut scene, &mut chance).and_then(|what| {
            scene.check().with_context(|| format!("after {what}"))?;
            Ok(what)
        });
        match what {
            Ok(what) => println!("round {round}: {what}"),
            Err(error) => {
                scene.keep();
                return Err(error);
            }
        }
    }
    Ok(format!("{round} rounds, {}", scene.counts()))
}

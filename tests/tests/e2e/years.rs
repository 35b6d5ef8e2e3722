//! Three years of one vendor, one site and its computers: nothing ends by itself, and whoever types what the warnings
//! name, and nothing else, keeps everything alive.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, Tool, Vendor};

const PACKAGE: &str = "scanner";
/// A timestamp lives seven days: whoever looks once a week finds it fresh.
const STEP_DAYS: u32 = 7;
const DAYS: u32 = 3 * 365 + 2 * STEP_DAYS;
/// Warnings that were answered may name one further command; more would be a circle.
const MOST_ROUNDS: u32 = 4;

/// One site, its vendor and its computers on one day.
struct World {
    vendor: Vendor,
    site: Site,
    /// The first works by `check` alone; the others have a daemon.
    computers: Vec<Computer>,
    /// Every command that a warning named, so that the test can say that some did.
    typed: BTreeSet<String>,
}

impl World {
    /// All programs start again, on a later day.
    fn begins(&mut self, day: u32) -> Result<()> {
        let clock = format!("+{day}d");
        self.site.stop()?;
        self.vendor.stop()?;
        self.vendor.set_clock(Some(&clock));
        self.site.set_clock(Some(&clock));
        for computer in &mut self.computers {
            computer.stop()?;
            computer.set_clock(Some(&clock));
        }
        self.vendor.serve()?;
        self.site.serve()?;
        self.computers.iter_mut().skip(1).try_for_each(Computer::run)
    }

    /// Every computer makes a contact, and what its own status names is typed there.
    fn computers_are_well(&mut self) -> Result<()> {
        for computer in &self.computers {
            computer.check()?.ok().with_context(|| computer.name().to_owned())?;
            for command in backticked(&computer.status()?["problems"].to_string()) {
                let words: Vec<&str> = command.split_whitespace().collect();
                let Some((&"agent-updater", arguments)) = words.split_first() else {
                    bail!("{} asks for {command:?}", computer.name());
                };
                computer.agent(arguments)?.ok().with_context(|| command.clone())?;
                self.typed.insert(command);
            }
            let left = computer.status()?["problems"].to_string();
            ensure!(left == "[]", "{}: {left}", computer.name());
        }
        Ok(())
    }

    /// What somebody who looks at the two servers is told to type, in the order in which it is told.
    fn named(&self) -> Result<Vec<String>> {
        // Both end with 1 when something is urgent.
        let warnings = |said: &str| {
            Ok::<_, serde_json::Error>(serde_json::from_str::<serde_json::Value>(said)?["warnings"].clone())
        };
        let mut said = warnings(&self.vendor.publisher(&["status", "--json"])?.stdout)?;
        let at_site = warnings(&self.site.distributor(&["status", "--json"])?.stdout)?;
        let (Some(said), Some(more)) = (said.as_array_mut(), at_site.as_array()) else {
            bail!("no list of warnings");
        };
        said.extend(more.iter().cloned());
        let mut commands = Vec::new();
        for warning in said.iter() {
            for command in backticked(&warning.to_string()) {
                if !commands.contains(&command) {
                    commands.push(command);
                }
            }
        }
        Ok(commands)
    }

    fn type_in(&mut self, command: &str) -> Result<()> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let output = match words.split_first() {
            Some((&"publisher", arguments)) => self.vendor.publisher(arguments)?,
            Some((&"distributor", arguments)) => self.site.distributor(arguments)?,
            _ => bail!("a warning names {command:?}"),
        };
        self.typed.insert(command.to_owned());
        output.ok().map(|_| ())
    }

    /// Types what the warnings name until they name nothing.
    fn answer_warnings(&mut self) -> Result<()> {
        for _ in 0..MOST_ROUNDS {
            let commands = self.named()?;
            if commands.is_empty() {
                return Ok(());
            }
            for command in commands {
                self.type_in(&command)?;
            }
            // What the vendor renewed is at the site with the next pull.
            self.site.pull()?;
        }
        bail!("after {MOST_ROUNDS} rounds the warnings still name {:?}", self.named()?)
    }

    fn a_release_arrives(&self, version: &str) -> Result<()> {
        self.vendor.release_files(PACKAGE, version, &[("VERSION", version)])?;
        self.site.pull_and_approve(&format!("{PACKAGE}:{version}"))?;
        for computer in &self.computers {
            computer.check()?.ok()?;
            let found = computer.installed(PACKAGE, "VERSION");
            ensure!(found.as_deref() == Some(version), "{} runs {found:?}, not {version}", computer.name());
        }
        Ok(())
    }
}

/// The commands of ours that stand between backticks.
fn backticked(text: &str) -> Vec<String> {
    let ours = |command: &&str| {
        ["publisher ", "distributor ", "agent-updater "].iter().any(|name| command.starts_with(name))
    };
    text.split('`').skip(1).step_by(2).filter(ours).map(str::to_owned).collect()
}

#[test]
fn three_years_pass_and_only_what_the_warnings_name_is_typed() -> Result<()> {
    if !Tool::Faketime.is_here("three years")? {
        return Ok(());
    }
    let lab = Lab::new()?;
    let (vendor, site) = lab.vendor_and_site(4)?;
    let computers = ["reception", "workshop"]
        .map(|name| Computer::enrolled(&lab, &site, name, &vendor.root()))
        .into_iter()
        .collect::<Result<Vec<_>>>()?;
    let mut world = World { vendor, site, computers, typed: BTreeSet::new() };
    world.a_release_arrives("0.0")?;
    let mut year = 0;
    for day in (STEP_DAYS..=DAYS).step_by(STEP_DAYS as usize) {
        world.begins(day).with_context(|| format!("day {day}"))?;
        world.site.pull().with_context(|| format!("day {day}"))?;
        world.answer_warnings().with_context(|| format!("day {day}"))?;
        world.computers_are_well().with_context(|| format!("day {day}"))?;
        if day / 365 > year {
            year = day / 365;
            world.a_release_arrives(&format!("{year}.0")).with_context(|| format!("day {day}"))?;
        }
    }
    ensure!(year == 3, "{year} years");
    for kind in ["publisher root renew", "distributor register"] {
        ensure!(world.typed.iter().any(|typed| typed.starts_with(kind)), "{kind}: {:?}", world.typed);
    }
    // Somebody who comes only now is served like everybody.
    let clock = format!("+{DAYS}d");
    let mut late = Computer::reserved(&lab, &world.site, "late", &world.vendor.root())?;
    late.set_clock(Some(&clock));
    late.enroll()?.ok()?;
    late.check()?.ok()?;
    ensure!(late.installed(PACKAGE, "VERSION").as_deref() == Some("3.0"), "a new computer as well");
    for computer in &world.computers {
        computer.audit()?;
    }
    world.site.verify_log()
}

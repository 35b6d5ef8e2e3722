//! A release goes from its approval to every computer ring by ring, and a bad one no further than its first.

use anyhow::{Context, Result, ensure};
use sealpost_tests::harness::{Computer, Lab, Site, Vendor, wait_until, write_executable};

const PACKAGE: &str = "scanner";

struct Scene {
    vendor: Vendor,
    site: Site,
    computers: Vec<Computer>,
}

impl Scene {
    /// Three computers that run 1.0, and whose product is unwell with each release that has a file `BAD`.
    fn new(lab: &Lab) -> Result<Self> {
        let (vendor, site) = lab.vendor_and_site(3)?;
        let mut computers = Vec::new();
        for name in ["pc-01", "pc-02", "pc-03"] {
            let computer = Computer::enrolled(lab, &site, name, &vendor.root())?;
            let hook = lab.path(&format!("health-{name}"));
            let bad = computer.current(PACKAGE).join("BAD");
            write_executable(&hook, format!("#!/bin/sh\n[ ! -e {} ]\n", bad.display()))?;
            computer.configure(&format!("[packages.scanner]\nhealth = [\"{}\"]\n", hook.display()))?;
            computers.push(computer);
        }
        vendor.release_files(PACKAGE, "1.0", &[("VERSION", "1.0")])?;
        site.pull_and_approve("scanner:1.0")?;
        for computer in &computers {
            computer.check()?.ok()?;
        }
        Ok(Self { vendor, site, computers })
    }

    /// Approves a release by the strategy that every site has for programs, and waits until its first ring is open.
    fn rolls_out(&self, version: &str) -> Result<()> {
        self.site.pull()?;
        self.site.distributor(&["updates", "approve", &format!("scanner:{version}"), "--yes"])?.ok()?;
        self.site.wait_for_activity("ring_opened", &[&format!("scanner {version}"), "canary"])?;
        Ok(())
    }

    /// Approves a release at once for all, who wait for a window that is open on another day.
    fn waits_for_a_window(&self, lab: &Lab, version: &str) -> Result<()> {
        let day = format!("{:?}", jiff::Zoned::now().weekday().wrapping_add(3)).to_lowercase();
        let window = format!(
            "[properties]\ndelivery = \"window:nights\"\n\n[windows.nights]\ndays = [\"{day}\"]\nfrom = \"00:00\"\n\
             length_minutes = 60\nzone = \"UTC\"\n"
        );
        let file = lab.path("site.toml");
        std::fs::write(&file, window)?;
        let file = file.display().to_string();
        self.site.distributor(&["config", "apply", &file, "--yes", "--why", "nights"])?.ok()?;
        self.vendor.release_files(PACKAGE, version, &[("VERSION", version)])?;
        self.site.pull()?;
        let reference = format!("scanner:{version}");
        let approve = ["updates", "approve", &reference, "--strategy", "everyone-now", "--yes"];
        self.site.distributor(&approve)?.ok()?;
        Ok(())
    }

    fn who_run(&self, version: &str) -> Vec<&Computer> {
        let runs = |computer: &&Computer| computer.installed(PACKAGE, "VERSION").as_deref() == Some(version);
        self.computers.iter().filter(runs).collect()
    }

    /// What the server says about a computer.
    fn sentence(&self, computer: &Computer) -> Result<String> {
        let shown = self.site.json(&["clients", "show", computer.name()])?;
        Ok(shown["explanations"][0]["sentence"].as_str().context("a sentence")?.to_owned())
    }

    /// The computer that the first ring takes, by what it was told.
    fn canary(&self) -> Result<&Computer> {
        let told = self.site.activity_of("assignment_changed")?;
        let in_ring = |name: &str| {
            told.iter().any(|entry| {
                entry["entry"]["actor"]["name"].as_str() == Some(name)
                    && entry["entry"]["change"].to_string().contains("canary")
            })
        };
        let mut canaries = self.computers.iter().filter(|computer| in_ring(computer.name()));
        let canary = canaries.next().context("a computer that was told in the first ring")?;
        ensure!(canaries.next().is_none(), "the first ring takes one computer");
        Ok(canary)
    }
}

#[test]
fn a_bad_release_halts_at_its_canary_and_touches_nobody_else() -> Result<()> {
    let lab = Lab::new()?;
    let scene = Scene::new(&lab)?;
    scene.vendor.release_files(PACKAGE, "1.1", &[("VERSION", "1.1"), ("BAD", "")])?;
    scene.rolls_out("1.1")?;
    // All of them come, also before anybody knows that it is bad.
    let refused: Vec<bool> = scene
        .computers
        .iter()
        .map(|computer| Ok(!computer.check()?.status.success()))
        .collect::<Result<_>>()?;
    ensure!(refused.iter().filter(|refused| **refused).count() == 1, "one computer tried it: {refused:?}");
    let halted = scene.site.wait_for_activity("release_halted", &["scanner 1.1"])?;
    ensure!(halted.contains("1 of 1") && halted.contains("canary"), "its reason is said: {halted}");
    for computer in &scene.computers {
        computer.check()?.ok()?;
    }
    ensure!(scene.who_run("1.0").len() == 3, "the canary went back, and the others never left");
    let reports = scene.site.activity_of("step_reported")?;
    let tried: Vec<&str> = reports
        .iter()
        .filter(|entry| entry["entry"]["change"]["report"]["release"]["version"] == "1.1")
        .filter_map(|entry| entry["entry"]["actor"]["name"].as_str())
        .collect();
    ensure!(
        !tried.is_empty() && tried.iter().all(|name| *name == tried[0]),
        "nobody else touched it: {tried:?}"
    );
    let report = scene.site.json(&["rollouts", "report", "2"])?;
    let (failures, computers) = (&report["failures"], &report["computers"]);
    ensure!(failures[0]["reason"] == "hook_failed" && failures[0]["count"] == 1, "{report:#}");
    ensure!(
        failures[0]["example"]["computer"] == tried[0] && failures[0]["example"] == computers[0],
        "{report:#}"
    );
    ensure!(computers[0]["failed_step"] == "roll_back" && computers[0]["tries"] == 1, "{report:#}");
    came(&computers[0])?;
    ensure!(report["rings"][0]["failed"] == 1 && report["rings"][0]["not_told"] == 0, "{report:#}");
    for computer in scene.computers.iter().filter(|computer| *computer.name() != *tried[0]) {
        let said = scene.sentence(computer)?;
        let why = ["1.1 was halted by the server since", "1 of 1"];
        ensure!(why.iter().all(|why| said.contains(why)), "an untouched computer says why: {said}");
    }
    // The canary hears of its own end with it, and of who halted it.
    let said = scene.site.distributor(&["updates", "why", tried[0], PACKAGE])?.ok()?;
    let why = [
        "runs scanner 1.0 as it should; it rolled back from 1.1 at ",
        " (hook_failed: ",
        "), which was halted by the server since ",
        "1 of 1",
    ];
    ensure!(why.iter().all(|why| said.contains(why)), "the canary says why: {said}");
    replays(&lab, &scene)?;
    scene.site.verify_log()
}

/// A report says how a release came to a computer, and what traveled for it.
fn came(told: &serde_json::Value) -> Result<()> {
    let way = told["way"].as_str().context("a way")?;
    ensure!(["delta", "chain", "gzip", "zstd"].contains(&way), "{told:#}");
    ensure!(told["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{told:#}");
    Ok(())
}

/// What happened, under two other strategies.
fn replays(lab: &Lab, scene: &Scene) -> Result<()> {
    let at_once = scene.site.json(&["rollouts", "simulate", "everyone-now", "--history", "1d"])?;
    let bad = &at_once["rollouts"][1];
    ensure!(bad["release"]["version"] == "1.1" && bad["then"]["ended"] == "halted", "{bad}");
    ensure!((&bad["then"]["told"], &bad["then"]["failed"]) == (&1.into(), &1.into()), "{bad}");
    ensure!(bad["simulated"]["told"] == 3 && bad["unreached"] == 2, "everybody would have met it: {bad}");
    ensure!(at_once["simulation"]["totals"]["met_then"] == 1, "{at_once}");
    ensure!(at_once["simulation"]["assumptions"].as_array().is_some_and(|said| !said.is_empty()));
    let file = lab.path("two-at-first.toml");
    let rings = "[[rings]]\nname = \"two\"\ntakes = { first = 2 }\nsoak_minutes = 60\n\
                 [[rings]]\nname = \"everyone\"\ntakes = \"everyone\"\n";
    std::fs::write(&file, rings)?;
    let file = file.display().to_string();
    let wider = scene.site.json(&["rollouts", "simulate", "--file", &file, "--package", PACKAGE])?;
    let bad = &wider["rollouts"][1]["simulated"];
    ensure!(bad["ended"] == "halted" && bad["rings"][1].get("opened_at").is_none(), "{wider}");
    ensure!(bad["told"].as_u64().is_some_and(|told| (1..=2).contains(&told)), "{wider}");
    let shown = scene.site.distributor(&["rollouts", "simulate", "careful"])?.ok()?;
    ensure!(shown.contains("assumed:") && shown.contains("simulated: 1 release was halted"), "{shown}");
    let none = scene.site.distributor(&["rollouts", "simulate", "no-such"])?;
    ensure!(!none.status.success() && none.stderr.contains("distributor strategies list"), "{none:?}");
    Ok(())
}

#[test]
fn a_good_release_goes_through_its_rings_and_a_power_cut_between_them_loses_nothing() -> Result<()> {
    let lab = Lab::new()?;
    let mut scene = Scene::new(&lab)?;
    scene.vendor.release_files(PACKAGE, "1.1", &[("VERSION", "1.1")])?;
    scene.rolls_out("1.1")?;
    scene.site.kill_9()?;
    scene.site.serve()?;
    for computer in &scene.computers {
        computer.check()?.ok()?;
    }
    ensure!(scene.who_run("1.1").len() == 1, "only the first ring is open");
    let waits = scene.computers.iter().find(|computer| computer.name() != scene.canary().unwrap().name());
    let said = scene.sentence(waits.context("a computer that waits")?)?;
    ensure!(
        said.contains("does not get 1.1 yet") && said.contains("is watched for"),
        "why and until when: {said}"
    );
    // A person goes on; the computers of the next ring are a tenth of all, and of three maybe none.
    let why = ["--why", "the canary is well"];
    scene.site.distributor(&[&["rollouts", "next", "2"][..], &why].concat())?.ok()?;
    scene.site.kill_9()?;
    scene.site.serve()?;
    // A ring without a computer is passed over by the server itself, maybe before this person does it.
    wait_until("the last ring is open", || {
        scene.site.distributor(&[&["rollouts", "next", "2"][..], &why].concat())?;
        let rings = scene.site.json(&["rollouts", "show", "2"])?["rings"].clone();
        Ok(rings.as_array().is_some_and(|rings| rings.iter().all(|ring| ring.get("opened_at").is_some())))
    })?;
    for computer in &scene.computers {
        computer.check()?.ok()?;
    }
    ensure!(scene.who_run("1.1").len() == 3, "everybody has it");
    let report = scene.site.json(&["rollouts", "report", "2"])?;
    let computers = report["computers"].as_array().context("computers")?;
    ensure!(computers.len() == 3, "{report:#}");
    for told in computers {
        ensure!(told["state"] == "succeeded" && told["tries"] == 1, "{told:#}");
        came(told)?;
    }
    scene.site.verify_log()
}

/// A strategy whose rings take one computer each and are watched for no time, so that each install is a transition.
const ONE_BY_ONE: &str = r#"
[groups.first]
members = ["pc-01"]

[groups.second]
members = ["pc-02"]

[strategies.one-by-one]
on_failure = "roll_back"

[[strategies.one-by-one.rings]]
name = "first"
takes = { group = "first" }
errors = { count = 1, percent = 1 }

[[strategies.one-by-one.rings]]
name = "second"
takes = { group = "second" }

[[strategies.one-by-one.rings]]
name = "everyone"
takes = "everyone"
"#;

/// What the computer shows of the server's words, and what the server says of it.
fn both(site: &Site, computer: &Computer) -> Result<(String, String)> {
    computer.check()?;
    let shown = computer.status()?;
    let packages = shown["packages"].as_array().context("packages")?;
    let of = packages.iter().find(|one| one["package"] == PACKAGE).context("the package")?;
    let there = of["server_says"]["sentence"].as_str().unwrap_or_default().to_owned();
    let text = computer.agent(&["status"])?;
    ensure!(there.is_empty() || text.stdout.contains(&there), "{text:?}");
    Ok((there, site.distributor(&["updates", "why", computer.name()])?.ok()?))
}

/// Until both say `expected` in the same words: a soak that goes on between the two questions is another sentence.
fn says_the_same(site: &Site, computer: &Computer, expected: &str) -> Result<()> {
    wait_until(&format!("{} and the server say the same: {expected}", computer.name()), || {
        let (there, here) = both(site, computer)?;
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(there.contains(expected) && words(&here).contains(&words(&there)))
    })
}

#[test]
fn a_computer_that_waits_shows_the_sentence_of_the_server_and_its_time() -> Result<()> {
    let lab = Lab::new()?;
    let scene = Scene::new(&lab)?;
    scene.vendor.release_files(PACKAGE, "1.1", &[("VERSION", "1.1")])?;
    scene.rolls_out("1.1")?;
    for computer in &scene.computers {
        computer.check()?;
    }
    let canary = scene.canary()?.name().to_owned();
    let behind = scene.computers.iter().find(|computer| computer.name() != canary).context("another")?;
    says_the_same(&scene.site, behind, "it does not get 1.1 yet: it is in the ring")?;
    let canary = scene.computers.iter().find(|computer| computer.name() == canary).context("the canary")?;
    ensure!(both(&scene.site, canary)?.0.is_empty(), "who runs the newest waits for nothing");

    // One that waits for its window: it is open on another day.
    scene.waits_for_a_window(&lab, "1.2")?;
    says_the_same(&scene.site, behind, "it is told, and its window opens at ")?;
    // Also once it reported that it is made ready.
    says_the_same(&scene.site, behind, "it is told, and its window opens at ")?;
    let shown = behind.status()?;
    let says = &shown["packages"][0]["server_says"];
    ensure!(says["code"] == "waits_for_window" && says["until"].is_string(), "{shown}");
    ensure!(scene.who_run("1.2").is_empty(), "a window was not waited for");
    scene.site.verify_log()
}

#[test]
fn what_a_person_puts_off_at_a_computer_is_said_by_the_server_and_in_the_report_with_its_end() -> Result<()> {
    let lab = Lab::new()?;
    let scene = Scene::new(&lab)?;
    scene.waits_for_a_window(&lab, "1.1")?;
    let (computer, other) = (&scene.computers[0], &scene.computers[1]);
    // A look ends with 1 while something waits.
    for told in [computer, other] {
        told.check()?.refused()?;
    }
    let held = computer.agent(&["hold", PACKAGE, "--for", "2h"])?.ok()?;
    ensure!(held.contains("1 of 3 times"), "{held}");
    // It is the person who holds it back now, and no window any more.
    scene.site.distributor(&["properties", "set", "delivery", "push", "--why", "at once"])?.ok()?;
    computer.check()?.refused()?;
    // What it waits for it says with its next contact.
    computer.check()?.refused()?;
    other.check()?.ok()?;
    let running = [computer, other].map(|told| told.installed(PACKAGE, "VERSION"));
    ensure!(running == ["1.0", "1.1"].map(|version| Some(version.to_owned())), "{running:?}");
    let shown = computer.status()?;
    let there = &shown["packages"][0];
    ensure!(there["decision"] == "postponed_by_person", "{shown:#}");
    let until: jiff::Timestamp = there["changes_at"].as_str().context("an end")?.parse()?;
    let left = until.duration_since(jiff::Timestamp::now()).as_mins();
    ensure!((100..=120).contains(&left), "{left} minutes are left");
    // The server has the time to the second, and says it wherever somebody asks.
    let expected = format!("a person there put it off until {until}");
    let said = scene.sentence(computer)?;
    ensure!(said.contains(&expected), "{expected}: {said}");
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let said = scene.site.distributor(&["updates", "why", computer.name()])?.ok()?;
    ensure!(words(&said).contains(&expected), "{expected}: {said}");
    let report = scene.site.json(&["rollouts", "report", "2"])?;
    let of = |name: &str| {
        let all = report["computers"].as_array()?;
        Some(&all.iter().find(|one| one["computer"] == name)?["why"])
    };
    let why = of(computer.name()).context("its line in the report")?;
    ensure!(why["sentence"].as_str().is_some_and(|said| said.contains(&expected)), "{report:#}");
    let ends: jiff::Timestamp = why["changes_at"].as_str().context("a time")?.parse()?;
    ensure!(ends == until, "{report:#}");
    let printed = scene.site.distributor(&["rollouts", "report", "2"])?.ok()?;
    ensure!(words(&printed).contains(&expected), "{printed}");

    computer.agent(&["hold", PACKAGE, "--end"])?.ok()?;
    computer.check()?.ok()?;
    ensure!(scene.who_run("1.1").len() == 2, "it is put off no more");
    let said = scene.sentence(computer)?;
    ensure!(!said.contains("put it off"), "{said}");
    scene.site.verify_log()
}

#[test]
fn a_server_that_is_killed_at_each_transition_of_a_ring_makes_each_of_them_once() -> Result<()> {
    let lab = Lab::new()?;
    let mut scene = Scene::new(&lab)?;
    let file = lab.path("site.toml");
    std::fs::write(&file, ONE_BY_ONE)?;
    scene
        .site
        .distributor(&["config", "apply", &file.display().to_string(), "--yes", "--why", "a test"])?
        .ok()?;
    let restarts = |site: &mut Site| {
        site.kill_9()?;
        site.serve()
    };
    for (version, bad) in [("1.1", false), ("1.2", true), ("1.3", false)] {
        let mut files = vec![("VERSION", version)];
        files.extend(bad.then_some(("BAD", "")));
        scene.vendor.release_files(PACKAGE, version, &files)?;
        scene.site.pull()?;
        let approve =
            ["updates", "approve", &format!("scanner:{version}"), "--strategy", "one-by-one", "--yes"];
        scene.site.distributor(&approve)?.ok()?;
        // Whether the ring had opened before the kill or not: it opens, once.
        restarts(&mut scene.site)?;
        let release = format!("scanner {version}");
        for (index, ring) in ["first", "second", "everyone"].into_iter().enumerate() {
            if bad && index > 0 {
                break;
            }
            scene.site.wait_for_activity("ring_opened", &[&release, ring])?;
            restarts(&mut scene.site)?;
            let installs = scene.computers[index].check()?;
            ensure!(installs.status.success() != bad, "{version} in {ring}");
            // Its report was answered, so that the next step is due; it is done now or after the start.
            restarts(&mut scene.site)?;
        }
        if bad {
            scene.site.wait_for_activity("release_halted", &[&release, "1 of 1"])?;
        } else {
            scene.site.wait_for_activity("rollout_completed", &[&release])?;
        }
        restarts(&mut scene.site)?;
    }
    ensure!(scene.who_run("1.3").len() == 3, "everybody runs the last one");
    let entries = |kind: &str| -> Result<Vec<String>> {
        let entries = scene.site.activity_of(kind)?;
        Ok(entries.iter().map(|entry| entry["entry"]["change"].to_string()).collect())
    };
    let (opened, halted) = (entries("ring_opened")?, entries("release_halted")?);
    for version in ["1.1", "1.2", "1.3"] {
        let of = |entries: &[String]| entries.iter().filter(|entry| entry.contains(version)).count();
        let bad = version == "1.2";
        ensure!(of(&opened) == if bad { 1 } else { 3 }, "rings of {version}: {opened:#?}");
        ensure!(of(&halted) == usize::from(bad), "{halted:#?}");
        ensure!(of(&entries("rollout_completed")?) == usize::from(!bad), "{version} is complete once");
    }
    scene.site.verify_log()
}

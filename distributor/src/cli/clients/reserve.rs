//! `distributor clients reserve`: one name, several, or those of a file.
//!
//! Invariant: what is refused is named with why, and the rest is done; the same command again takes no further seat.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use sealpost_admin_api::clients::{Client, ReserveManyRequest, ReservedMany, SeatAnswer, SeatWanted};
use sealpost_admin_api::groups::{GroupsView, MembersRequest};
use sealpost_admin_api::settings::Changed;
use sealpost_admin_api::status::Status;
use sealpost_manifests::ids::{ChannelName, ComputerName, SerialNumber};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_site::commands::clients::MAX_RESERVED;
use sealpost_site::rules::names::{self, MixedScripts, canonical};
use sealpost_site::rules::reservation_file::{self, Entry};
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::seats::{self, GrantedSeats};
use serde::Serialize;

use crate::cli::api::{AdminApi, segment};
use crate::cli::outcome::Outcome;
use crate::cli::output::{Bar, ask, can_ask, counted, plain, print_json, print_line, tell};
use crate::cli::permanence;

/// Take a seat for each of these computer names, for good.
///
/// What is refused is named with why, and the rest is done: then the command ends with 1. The same command again takes no
/// further seat.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients reserve reception-1
  distributor clients reserve lab-7 lab-8 --channel beta --group lab
  distributor clients reserve büro-7 --json
  distributor clients reserve lab-7 --serial ABCDE-FGHJK-MNPQR-STVWX
  distributor clients reserve --from computers.csv --yes

A file is CSV (UTF-8; commas, semicolons or tabs) with a name in each line.
Its first line may name the columns: name, channel, group, serial.
Empty lines and lines that begin with # are passed over.")]
pub(in crate::cli) struct Options {
    /// The computers' names. They cannot be changed or freed later.
    #[arg(value_name = "NAME", required_unless_present = "from")]
    pub(super) names: Vec<String>,
    /// A file with more names, or `-` for standard input; what its lines do not say is taken from the other options.
    #[arg(help_heading = "Which computers", long, value_name = "FILE|-")]
    pub(super) from: Option<PathBuf>,
    /// The channel that they follow [default: stable]. A computer that holds a seat is moved with `clients channel`.
    #[arg(help_heading = "What they get", long)]
    pub(super) channel: Option<ChannelName>,
    /// A group that there is, which lists them from now on.
    #[arg(help_heading = "What they get", long)]
    pub(super) group: Option<GroupName>,
    /// Names mix letters of several scripts, and are meant so.
    #[arg(help_heading = "What is meant", long)]
    pub(super) mixed_scripts: bool,
    /// Names that are spelled nearly as others which hold a seat, or as others that come with them, are meant so.
    #[arg(help_heading = "What is meant", long)]
    pub(super) similar: bool,
    /// Take the seats of this serial number; one computer may hold a seat of several [default: the first with a free seat].
    #[arg(help_heading = "What they get", long, value_name = "SERIAL")]
    pub(super) serial: Option<SerialNumber>,
    /// Do not ask. Nobody is asked where standard input is no terminal, as in a script or with `--from -` behind a pipe.
    #[arg(help_heading = "What is meant", long)]
    pub(super) yes: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    pub(super) json: bool,
}

/// A seat that is wanted.
#[derive(Debug)]
struct Wanted {
    /// The line of the file that it stands in.
    line: Option<u64>,
    seat: SeatWanted,
    group: Option<GroupName>,
}

/// A name or a line for which nothing was asked.
#[derive(Debug, Serialize)]
struct NotAsked {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// As it was typed; absent where a line has none that can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    problem: String,
}

/// What became of a name that was asked for.
#[derive(Debug, Serialize)]
struct Answered {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(flatten)]
    answer: SeatAnswer,
}

/// What is printed of many with `--json`.
#[derive(Debug, Default, Serialize)]
struct Printed {
    answers: Vec<Answered>,
    not_asked: Vec<NotAsked>,
    /// Seats that new names can take; absent where the server did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    free: Option<u64>,
}

/// What is printed of one with `--json`.
#[derive(Debug, Serialize)]
struct PrintedOne<'p> {
    #[serde(flatten)]
    client: &'p Client,
    /// `taken` now, or `held` before.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    free: Option<u64>,
}

pub(in crate::cli) async fn run(api: &AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let lines = match &options.from {
        Some(from) => {
            entries(from).with_context(|| format!("cannot read the names in {}", from.display()))?
        }
        None => Vec::new(),
    };
    match options.names.as_slice() {
        [name] if options.from.is_none() => {
            let name = ComputerName::new(name).context("cannot reserve a seat")?;
            one(api, &options, name).await
        }
        _ => many(api, &options, lines).await,
    }
}

async fn one(api: &AdminApi, options: &Options, name: ComputerName) -> anyhow::Result<Outcome> {
    let Some(Taken { client, took }) = take(api, options, name).await? else { return nothing_done() };
    let free = free(api).await;
    if options.json {
        let outcome = if took.is_some() { "taken" } else { "held" };
        print_json(&PrintedOne { client: &client, outcome, free })?;
        return Ok(Outcome::Done);
    }
    print_line(format_args!("{} holds a seat, channel {}", client.name, client.channel))?;
    match took {
        Some(serial) => tell(format_args!("it took the seat now, of {serial}{}", still_free(free))),
        None => tell(format_args!("it held the seat before: nothing was taken{}", still_free(free))),
    }
    Ok(Outcome::Done)
}

/// A name that holds a seat.
pub(super) struct Taken {
    pub(super) client: Client,
    /// Of which serial number it took it now; `None` of one that it held before.
    took: Option<SerialNumber>,
}

/// Takes a seat for a name, after what has to be said and asked; `None` if somebody said no.
pub(super) async fn take(
    api: &AdminApi,
    options: &Options,
    name: ComputerName,
) -> anyhow::Result<Option<Taken>> {
    ensure_groups(&groups_of(api, &options.group).await?, options.group.iter())?;
    if !permanence::agrees(1, options.yes)? {
        return Ok(None);
    }
    let Options { channel, mixed_scripts, similar, serial, .. } = options;
    let wanted = SeatWanted { name, channel: channel.clone(), serial: serial.clone() };
    let (mixed_scripts, similar) = (*mixed_scripts, *similar);
    let mut request = ReserveManyRequest { wanted: vec![wanted.clone()], mixed_scripts, similar };
    // As of many: the answer says whether it took a seat now.
    let (name, took) = loop {
        let ReservedMany { answers } = api.post("/clients/reserve", &request).await?;
        let refused = match answers.into_iter().next() {
            Some(SeatAnswer::Taken { name, serial, .. }) => break (name, Some(serial)),
            Some(SeatAnswer::Held { name }) => break (name, None),
            Some(SeatAnswer::Refused { problem, .. }) => anyhow::Error::from(problem),
            None => bail!("the server did not answer for {}; are both programs up to date?", wanted.name),
        };
        // Each question is asked once: what it is about is meant then.
        let problem = refused.downcast_ref::<Problem>().filter(|_| can_ask());
        let meant = match problem {
            Some(Problem { code: ProblemCode::AlreadyExists, message, .. }) if !request.similar => {
                request.similar = true;
                ask(&format!("{}. Is it another computer?", plain(message)))?
            }
            Some(_) if !request.mixed_scripts => {
                let Some(question) = names::asked_back(&canonical(&wanted.name), MixedScripts::AskBack)
                else {
                    return Err(refused);
                };
                request.mixed_scripts = true;
                ask(&format!("{}. Is it meant so?", plain(&question.message)))?
            }
            _ => return Err(refused),
        };
        if !meant {
            return Ok(None);
        }
    };
    if let Some(group) = &options.group {
        list_in(api, group, vec![name.clone()]).await?;
    }
    let client: anyhow::Result<Client> = api.get(&format!("/clients/{}", segment(name.as_str()))).await;
    let client = client.with_context(|| format!("{name} holds a seat, but it could not be shown"))?;
    Ok(Some(Taken { client, took }))
}

pub(super) fn nothing_done() -> anyhow::Result<Outcome> {
    tell("not reserved; nothing was changed");
    Ok(Outcome::Damage)
}

/// Seats that new names can take; `None` where the server does not say: the seats that were taken stand without it.
async fn free(api: &AdminApi) -> Option<u64> {
    let Status { licenses, now, .. } = api.get::<Status>("/status").await.ok()?;
    let grants: Vec<GrantedSeats> = licenses
        .into_iter()
        .map(|license| GrantedSeats {
            serial: license.serial,
            seats: license.licenses,
            used: license.used,
            not_after: license.not_after,
            ends_at: license.ends_at,
        })
        .collect();
    Some(seats::free(&grants, None, now))
}

fn still_free(free: Option<u64>) -> String {
    free.map_or_else(String::new, |free| format!("; {} free", counted(free, "seat is", "seats are")))
}

async fn many(
    api: &AdminApi,
    options: &Options,
    lines: Vec<reservation_file::Line>,
) -> anyhow::Result<Outcome> {
    let of_option = options.group.iter();
    let of_lines = lines.iter().filter_map(|line| line.entry.as_ref().ok()?.group.as_ref());
    let known = groups_of(api, &of_option.clone().chain(of_lines).next().cloned()).await?;
    ensure_groups(&known, of_option)?;
    let (wanted, not_asked) = wanted(options, lines, &known);
    // Before somebody agrees: a file can still be mended.
    for NotAsked { line, problem, .. } in &not_asked {
        tell(format_args!("{}{}", at(*line), plain(problem)));
    }
    if !wanted.is_empty() && !permanence::agrees(wanted.len(), options.yes)? {
        return nothing_done();
    }
    let mut printed = Printed { answers: Vec::with_capacity(wanted.len()), not_asked, free: None };
    let bar = Bar::count_of("reserving");
    let count = wanted.len() as u64;
    for chunk in wanted.chunks(MAX_RESERVED) {
        let done = printed.answers.len();
        let answers = reserve(api, options, chunk).await.with_context(|| partly(done, count))?;
        for (wanted, answer) in chunk.iter().zip(&answers) {
            if let SeatAnswer::Refused { name, problem } = answer {
                bar.hide(|| {
                    tell(format_args!(
                        "{}{name}: {}; {}",
                        at(wanted.line),
                        plain(&problem.message),
                        plain(&problem.hint)
                    ))
                });
            }
        }
        let lines = chunk.iter().map(|wanted| wanted.line);
        printed.answers.extend(lines.zip(answers).map(|(line, answer)| Answered { line, answer }));
        bar.at(printed.answers.len() as u64, count);
    }
    bar.end();
    let refused = printed.not_asked.len()
        + count_of(&printed.answers, |answer| matches!(answer, SeatAnswer::Refused { .. }));
    let outcome = if refused == 0 { Outcome::Done } else { Outcome::Damage };
    printed.free = free(api).await;
    if options.json {
        print_json(&printed)?;
        return Ok(outcome);
    }
    let taken = count_of(&printed.answers, |answer| matches!(answer, SeatAnswer::Taken { .. }));
    let held = count_of(&printed.answers, |answer| matches!(answer, SeatAnswer::Held { .. }));
    print_line(format_args!(
        "{} reserved, {held} held one before, {refused} refused",
        counted(taken as u64, "seat was", "seats were")
    ))?;
    if let Some(free) = printed.free {
        tell(format_args!("{} free", counted(free, "seat is", "seats are")));
    }
    Ok(outcome)
}

fn count_of(answers: &[Answered], which: impl Fn(&SeatAnswer) -> bool) -> usize {
    answers.iter().filter(|answered| which(&answered.answer)).count()
}

/// One request, and the groups that list its names.
async fn reserve(api: &AdminApi, options: &Options, chunk: &[Wanted]) -> anyhow::Result<Vec<SeatAnswer>> {
    let wanted = chunk.iter().map(|wanted| wanted.seat.clone()).collect();
    let Options { mixed_scripts, similar, .. } = *options;
    let request = ReserveManyRequest { wanted, mixed_scripts, similar };
    let ReservedMany { answers } = api.post("/clients/reserve", &request).await?;
    if answers.len() != chunk.len() {
        bail!(
            "the server answered for {} of {} names; are both programs up to date?",
            answers.len(),
            chunk.len()
        );
    }
    let mut members: BTreeMap<&GroupName, Vec<ComputerName>> = BTreeMap::new();
    for (wanted, answer) in chunk.iter().zip(&answers) {
        if let (Some(group), SeatAnswer::Taken { name, .. } | SeatAnswer::Held { name }) =
            (&wanted.group, answer)
        {
            members.entry(group).or_default().push(name.clone());
        }
    }
    for (group, names) in members {
        list_in(api, group, names).await?;
    }
    Ok(answers)
}

pub(super) async fn list_in(
    api: &AdminApi,
    group: &GroupName,
    names: Vec<ComputerName>,
) -> anyhow::Result<()> {
    let request = MembersRequest { add: names, ..MembersRequest::default() };
    let listed: anyhow::Result<Changed> = api.post(&format!("/groups/{group}/members"), &request).await;
    listed
        .with_context(|| format!("the seats are reserved, but the group {group} does not list them yet"))
        .map(drop)
}

fn partly(done: usize, count: u64) -> String {
    if done == 0 {
        return "cannot reserve seats".to_owned();
    }
    format!("{done} of {} were asked for before; the same command goes on", counted(count, "name", "names"))
}

fn at(line: Option<u64>) -> String {
    line.map_or_else(String::new, |line| format!("line {line}: "))
}

/// What is asked for, and the lines for which nothing is.
fn wanted(
    options: &Options,
    lines: Vec<reservation_file::Line>,
    known: &BTreeSet<GroupName>,
) -> (Vec<Wanted>, Vec<NotAsked>) {
    let Options { channel, group, serial, .. } = options;
    let of = |line, entry: Entry| {
        let Entry { name, channel: own_channel, group: own_group, serial: own_serial } = entry;
        let channel = own_channel.or_else(|| channel.clone());
        let serial = own_serial.or_else(|| serial.clone());
        Wanted {
            line,
            seat: SeatWanted { name, channel, serial },
            group: own_group.or_else(|| group.clone()),
        }
    };
    let (mut wanted, mut not_asked) = (Vec::new(), Vec::new());
    for name in &options.names {
        match ComputerName::new(name) {
            Ok(name) => wanted.push(of(None, Entry { name, channel: None, group: None, serial: None })),
            Err(error) => {
                not_asked.push(NotAsked { line: None, name: Some(name.clone()), problem: error.to_string() })
            }
        }
    }
    for reservation_file::Line { number, entry } in lines {
        let (name, problem) = match entry {
            Ok(entry) => match entry.group.as_ref().filter(|group| !known.contains(group)) {
                Some(group) => (Some(entry.name.to_string()), no_group(group)),
                None => {
                    wanted.push(of(Some(number), entry));
                    continue;
                }
            },
            Err(flaw) => (None, flaw.to_string()),
        };
        not_asked.push(NotAsked { line: Some(number), name, problem });
    }
    (wanted, not_asked)
}

fn no_group(group: &GroupName) -> String {
    format!("there is no group named {group}; make it with `distributor groups add {group} --why TEXT`")
}

/// The groups that there are; none are read if none is wanted.
pub(super) async fn groups_of(
    api: &AdminApi,
    wanted: &Option<GroupName>,
) -> anyhow::Result<BTreeSet<GroupName>> {
    if wanted.is_none() {
        return Ok(BTreeSet::new());
    }
    let GroupsView { groups } = api.get("/groups").await?;
    Ok(groups.into_iter().map(|group| group.name).collect())
}

/// No seat is taken for a computer that would then be in no group.
pub(super) fn ensure_groups<'g>(
    known: &BTreeSet<GroupName>,
    mut wanted: impl Iterator<Item = &'g GroupName>,
) -> anyhow::Result<()> {
    match wanted.find(|group| !known.contains(*group)) {
        Some(group) => bail!("cannot reserve a seat: {}", no_group(group)),
        None => Ok(()),
    }
}

pub(super) fn entries(from: &Path) -> anyhow::Result<Vec<reservation_file::Line>> {
    let most = reservation_file::MAX_BYTES as u64;
    let bytes = if from == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        bytes
    } else {
        sealpost_files::read_input(from, most)?
    };
    Ok(reservation_file::read(&bytes)?)
}

//! `distributor clients setup`: a setup file for one computer, or a folder of them.
//!
//! Invariant: no code is issued for which there is no file to write it to, and the same command again issues only those that its
//! folder lacks: a code makes the ones before it void, which may be on their way already.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use sealpost_admin_api::setups::{HasSetup, SetupAnswer, SetupWanted, SetupsIssued, SetupsRequest};
use sealpost_files::{PRIVATE_FOLDER, PUBLIC, Unfinished, make_folder, sync_folder, sync_parent};
use sealpost_manifests::document;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::setup::{ServerRole, SetupFile};
use sealpost_site::commands::clients::MAX_SETUPS;
use sealpost_site::rules::names::canonical;
use sealpost_site::rules::rollouts::groups::GroupName;
use serde::Serialize;

use super::installer;
use super::reserve::entries;
use super::setup_files::{
    KnockPlace, There, finish, finish_with, had, look, look_for_knock, name_of, unfinished, void,
};
use crate::cli::api::AdminApi;
use crate::cli::groups::listed;
use crate::cli::outcome::Outcome;
use crate::cli::output::{Bar, counted, plain, print_json, print_line, seconds, tell};

/// Issue setup files for computers that hold a seat. Earlier ones of the same name become void.
///
/// For several computers name the folder. Whose file lies there and is good keeps it, so the same command again goes on where it
/// stopped; computers that are enrolled already get none.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  distributor clients setup reception-1
  distributor clients setup reception-1 --out /media/stick/reception-1.setup.json
  distributor clients setup reception-1 --valid-days 3
  distributor clients setup lab-7 lab-8 --folder setups
  distributor clients setup --from computers.csv --folder setups
  distributor clients setup --group lab --folder setups --role secondary
  distributor clients setup reception-1 --installer reception-1.sh --hooks hooks
  distributor clients setup --knock knock.json")]
pub(in crate::cli) struct Options {
    /// The computers' names.
    #[arg(value_name = "NAME", required_unless_present_any = ["from", "group", "ephemeral", "knock"])]
    names: Vec<String>,
    /// A file with more names, or `-` for standard input, as `clients reserve` takes it; only its names count here.
    #[arg(long, value_name = "FILE|-")]
    from: Option<PathBuf>,
    /// Those that this group lists by name, too.
    #[arg(long)]
    group: Option<GroupName>,
    /// The folder for the files, each NAME.setup.json; it is made if it is not there. They hold secrets and are written for you
    /// alone.
    #[arg(long, value_name = "FOLDER", conflicts_with = "out")]
    folder: Option<PathBuf>,
    /// Where to write the file of one computer [default: NAME.setup.json].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Days for which the enrollment codes are good, 1 to 366 [default: 7].
    #[arg(long, value_name = "N")]
    valid_days: Option<u16>,
    /// The part that this server plays for the computers; a secondary one serves when no primary answers, or none has a free
    /// license [default: primary].
    #[arg(long)]
    role: Option<Role>,
    /// Of several computers, also for those that are enrolled, to enroll them again.
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    installer: installer::InstallerOptions,
    /// One file for any number of computers, without a code and without anything secret: each asks under its own name, waits in
    /// `clients pending`, and is admitted by its key with `clients admit`.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["names", "from", "group", "folder", "out", "again", "valid_days", "role", "ephemeral", "installer", "json"]
    )]
    knock: Option<PathBuf>,
    /// For computers that come and go, such as containers: one file for many, which take floating seats of a pool.
    #[arg(long, requires = "pool", conflicts_with_all = ["names", "from", "group", "folder", "out", "role", "again"])]
    ephemeral: bool,
    /// The pool of floating seats.
    #[arg(long, value_name = "POOL", requires = "ephemeral")]
    pool: Option<String>,
    /// Print what became of each as JSON; the codes stand in the files alone.
    #[arg(long)]
    json: bool,
}

/// What is said of an answer that cannot be.
const OTHER_VERSION: &str = "the server answered with no setup file; are both programs up to date?";

/// The part that a server plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    Primary,
    Secondary,
}

impl Options {
    fn role(&self) -> Option<ServerRole> {
        self.role.map(|role| match role {
            Role::Primary => ServerRole::Primary,
            Role::Secondary => ServerRole::Secondary,
        })
    }
}

/// What became of one name, as it is printed: without the code.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
enum Printed {
    Written { name: ComputerName, file: PathBuf, expires_at: Timestamp },
    Good { name: ComputerName, file: PathBuf, expires_at: Timestamp },
    Enrolled { name: ComputerName },
    Refused { name: String, problem: String },
}

#[derive(Debug, Serialize)]
struct PrintedAll<'p> {
    setups: &'p [Printed],
}

pub(in crate::cli) async fn run(api: &AdminApi, options: Options) -> anyhow::Result<Outcome> {
    if let Some(pool) = &options.pool {
        return ephemeral(api, &options, pool).await;
    }
    if let Some(out) = &options.knock {
        return knock(api, out).await;
    }
    if let Some(out) = &options.installer.installer {
        let [name] = options.names.as_slice() else {
            bail!("cannot make an install file: it is for one computer, so name one");
        };
        let common = (options.valid_days, options.role(), options.json);
        return installer::run(api, name, out, &options.installer, common).await;
    }
    let several = options.from.is_some() || options.group.is_some() || options.folder.is_some();
    match options.names.as_slice() {
        [name] if !several => one(api, &options, name).await,
        _ => many(api, &options).await,
    }
}

/// Asks for it; the server says what it needs for that.
async fn ephemeral(api: &AdminApi, options: &Options, pool: &str) -> anyhow::Result<Outcome> {
    let Options { valid_days, .. } = *options;
    let request = SetupsRequest { valid_days, ephemeral: Some(pool.to_owned()), ..SetupsRequest::default() };
    let SetupsIssued { .. } = api.post("/setups", &request).await?;
    bail!(OTHER_VERSION)
}

/// The file for computers that knock. One of before is replaced, anything else is not.
async fn knock(api: &AdminApi, out: &Path) -> anyhow::Result<Outcome> {
    let attempted = || cannot_write(out);
    if look_for_knock(out).with_context(attempted)? == KnockPlace::Taken {
        bail!("{}: it is there already and is no knock setup file; name another file", attempted());
    }
    let file = unfinished(out).with_context(attempted)?;
    let setup: SetupFile = api.get("/setups/knock").await?;
    let text = document::write(&setup).with_context(attempted)?;
    finish_with(file, &text, out, PUBLIC).and_then(|()| sync_parent(out)).with_context(attempted)?;
    print_line(out.display())?;
    tell(
        "carry it to as many computers as you like; it holds nothing secret. `agent-updater enroll --setup FILE` there prints the \
         key of each; `distributor clients pending` lists who waits",
    );
    Ok(Outcome::Done)
}

async fn one(api: &AdminApi, options: &Options, name: &str) -> anyhow::Result<Outcome> {
    // In whatever spelling it was typed: the file is named, and later recognized, by the name that holds the seat.
    let typed = ComputerName::new(name).context("cannot issue a setup file")?;
    let name = canonical(&typed);
    let out = options.out.clone().unwrap_or_else(|| name_of(&name));
    let attempted = || cannot_write(&out);
    let role = options.role().unwrap_or(ServerRole::Primary);
    let place = place(&typed, &name, &out, &role).with_context(attempted)?;
    let Some(Place { file, has, .. }) = place else {
        bail!("{}: {}; name another file with --out", attempted(), something_else(&name));
    };
    // Whoever names one computer wants a new file, whatever is there.
    let has = has.map(|has| HasSetup { expires_at: None, ..has });
    let request = SetupsRequest {
        wanted: vec![SetupWanted { name: typed, has }],
        valid_days: options.valid_days,
        role: options.role(),
        again: true,
        ephemeral: None,
    };
    let SetupsIssued { answers, notice } = api.post("/setups", &request).await?;
    let (setup, expires_at, voids) = match answers.into_iter().next() {
        Some(SetupAnswer::Issued { setup, expires_at, voids, .. }) => (setup, expires_at, voids),
        Some(SetupAnswer::Refused { problem, .. }) => return Err(problem.into()),
        Some(SetupAnswer::Good { .. } | SetupAnswer::Enrolled { .. }) | None => bail!(OTHER_VERSION),
    };
    finish(file, &setup, &out).and_then(|()| sync_parent(&out)).with_context(attempted)?;
    if options.json {
        let written = Printed::Written { name, file: out, expires_at };
        print_json(&PrintedAll { setups: &[written] })?;
        return Ok(Outcome::Done);
    }
    print_line(out.display())?;
    if let Some(notice) = notice {
        tell(plain(&notice));
    }
    if voids {
        tell(void(1));
    }
    tell(
        "carry this file to the computer, and run `agent-updater enroll --setup FILE` there; it holds a secret",
    );
    Ok(Outcome::Done)
}

/// A computer that wants a file in the folder, and the file without its name.
struct Place {
    typed: ComputerName,
    out: PathBuf,
    has: Option<HasSetup>,
    file: Unfinished,
}

/// What became of all, so far.
struct Done {
    bar: Bar,
    printed: Vec<Printed>,
    /// How many codes that nobody had used are void now.
    voided: usize,
}

impl Done {
    fn refuse(&mut self, line: Option<u64>, name: &str, problem: String) {
        let at = line.map_or_else(String::new, |line| format!("line {line}: "));
        let name_of = if name.is_empty() { String::new() } else { format!("{}: ", plain(name)) };
        self.bar.hide(|| tell(format_args!("{at}{name_of}{}", plain(&problem))));
        self.printed.push(Printed::Refused { name: name.to_owned(), problem });
    }
}

async fn many(api: &AdminApi, options: &Options) -> anyhow::Result<Outcome> {
    let Some(folder) = &options.folder else {
        bail!(
            "cannot issue setup files for several computers: name the folder for them with --folder FOLDER"
        );
    };
    let mut done = Done { bar: Bar::count_of("issuing setup files"), printed: Vec::new(), voided: 0 };
    let names = names(api, options, &mut done).await?;
    make_folder(folder, PRIVATE_FOLDER)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for chunk in names.chunks(MAX_SETUPS) {
        issue(api, options, folder, chunk, &mut done).await.with_context(|| {
            format!(
                "cannot issue setup files for all of {}; the same command goes on",
                counted(names.len() as u64, "computer", "computers")
            )
        })?;
        done.bar.at(done.printed.len() as u64, names.len() as u64);
    }
    let Done { bar, printed, voided } = done;
    bar.end();
    said(&printed, voided, folder, options.json)
}

/// The names, each once, in the order in which they came.
async fn names(api: &AdminApi, options: &Options, done: &mut Done) -> anyhow::Result<Vec<ComputerName>> {
    let mut names = Vec::new();
    for name in &options.names {
        match ComputerName::new(name) {
            Ok(name) => names.push(name),
            Err(error) => done.refuse(None, "", error.to_string()),
        }
    }
    if let Some(from) = &options.from {
        let attempted = || format!("cannot read the names in {}", from.display());
        for line in entries(from).with_context(attempted)? {
            match line.entry {
                Ok(entry) => names.push(entry.name),
                Err(flaw) => done.refuse(Some(line.number), "", flaw.to_string()),
            }
        }
    }
    if let Some(group) = &options.group {
        names.extend(listed(api, group).await?);
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(canonical(name)));
    if names.is_empty() && done.printed.is_empty() {
        bail!("no setup file was issued: no computer is named");
    }
    Ok(names)
}

/// One request, and the files of its answer.
async fn issue(
    api: &AdminApi,
    options: &Options,
    folder: &Path,
    chunk: &[ComputerName],
    done: &mut Done,
) -> anyhow::Result<()> {
    let role = options.role().unwrap_or(ServerRole::Primary);
    let mut places = Vec::with_capacity(chunk.len());
    for typed in chunk {
        let name = canonical(typed);
        let out = folder.join(name_of(&name));
        match place(typed, &name, &out, &role).with_context(|| cannot_write(&out))? {
            Some(place) => places.push(place),
            None => {
                let problem = format!("{}: {}", cannot_write(&out), something_else(&name));
                done.refuse(None, name.as_str(), problem);
            }
        }
    }
    let of = |place: &Place| SetupWanted { name: place.typed.clone(), has: place.has.clone() };
    let request = SetupsRequest {
        wanted: places.iter().map(of).collect(),
        valid_days: options.valid_days,
        role: options.role(),
        again: options.again,
        ephemeral: None,
    };
    let SetupsIssued { answers, notice } = api.post("/setups", &request).await?;
    if let Some(notice) = notice {
        done.bar.hide(|| tell(plain(&notice)));
    }
    if answers.len() != places.len() {
        bail!(
            "the server answered for {} of {} names; are both programs up to date?",
            answers.len(),
            places.len()
        );
    }
    for (Place { out, file, .. }, answer) in places.into_iter().zip(answers) {
        match answer {
            SetupAnswer::Issued { name, setup, expires_at, voids } => {
                finish(file, &setup, &out).with_context(|| cannot_write(&out))?;
                done.voided += usize::from(voids);
                done.printed.push(Printed::Written { name, file: out, expires_at });
            }
            SetupAnswer::Good { name, expires_at } => {
                done.printed.push(Printed::Good { name, file: out, expires_at });
            }
            SetupAnswer::Enrolled { name } => done.printed.push(Printed::Enrolled { name }),
            SetupAnswer::Refused { name, problem } => {
                done.refuse(None, name.as_str(), format!("{}; {}", problem.message, problem.hint));
            }
        }
    }
    sync_folder(folder).with_context(|| format!("cannot write the folder {}", folder.display()))
}

/// The place for a file; `None` if something else lies there.
fn place(
    typed: &ComputerName,
    name: &ComputerName,
    out: &Path,
    role: &ServerRole,
) -> io::Result<Option<Place>> {
    let has = match look(out, name)? {
        There::SomethingElse => return Ok(None),
        There::Nothing => None,
        There::Earlier(earlier) => had(&earlier, role),
    };
    let file = unfinished(out)?;
    Ok(Some(Place { typed: typed.clone(), out: out.to_owned(), has, file }))
}

fn cannot_write(out: &Path) -> String {
    format!("cannot write the setup file {}", out.display())
}

fn something_else(name: &ComputerName) -> String {
    format!("it is there already and is no setup file of {name}")
}

fn said(printed: &[Printed], voided: usize, folder: &Path, json: bool) -> anyhow::Result<Outcome> {
    let count = |which: fn(&Printed) -> bool| printed.iter().filter(|one| which(one)).count() as u64;
    let written = count(|one| matches!(one, Printed::Written { .. }));
    let good = count(|one| matches!(one, Printed::Good { .. }));
    let enrolled = count(|one| matches!(one, Printed::Enrolled { .. }));
    let refused = count(|one| matches!(one, Printed::Refused { .. }));
    let outcome = if refused == 0 { Outcome::Done } else { Outcome::Damage };
    if json {
        print_json(&PrintedAll { setups: printed })?;
        return Ok(outcome);
    }
    let until = printed.iter().find_map(|one| match one {
        Printed::Written { expires_at, .. } => Some(format!(", good until {}", seconds(*expires_at))),
        _ => None,
    });
    print_line(format_args!(
        "{} written to {}{}; {good} there and good before, {enrolled} enrolled already, {refused} refused",
        counted(written, "setup file was", "setup files were"),
        folder.display(),
        until.unwrap_or_default()
    ))?;
    if voided > 0 {
        tell(void(voided as u64));
    }
    if enrolled > 0 {
        let them = counted(enrolled, "computer is enrolled and got", "computers are enrolled and got");
        tell(format_args!("{them} no file; with --again they get one, to enroll again"));
    }
    if written > 0 {
        tell(
            "carry each file to its computer, and run `agent-updater enroll --setup FILE` there; they hold secrets",
        );
    }
    Ok(outcome)
}

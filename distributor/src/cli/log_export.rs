//! `distributor log export`, and the check of what it wrote, which needs no server.

use std::fs::File;
use std::io::{BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use sealpost_files::{PRIVATE, Unfinished, refuse_what_is_no_file, sync_parent, with_causes};
use sealpost_keys::PublicKey;
use sealpost_keys::key_file::read_public;
use sealpost_keys::note::SignedNote;
use sealpost_manifests::log::{Checkpoint, ExportError, ExportReader, ExportedLog, LogHead};
use sealpost_site::changes::chain::LogCheck;
use sealpost_site::changes::export::ExportCheck;

use super::api::{AdminApi, next_part};
use super::outcome::Outcome;
use super::output::{Bar, counted, plain, print_json, print_line, print_stream, tell};
use super::reach::Reach;
use crate::home::Home;
use crate::log_export;

/// The name that stands for standard output.
const STANDARD_OUTPUT: &str = "-";

/// Write the whole log into a file that anybody can check without the server: `log verify --export`.
///
/// It holds every entry byte for byte, the signed head, and the site's public key. The entries name computers and serial
/// numbers: give it to whoever may know those. Reads the ledger file itself when the server is down.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor log export 2026.log
  distributor log export - | gzip > 2026.log.gz
  distributor log verify --export 2026.log --site-key site.pub --checkpoint kept.checkpoint")]
pub(super) struct Export {
    /// Where to write it, or `-` for standard output.
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Replace a file of that name.
    #[arg(long)]
    force: bool,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn export(reach: &Reach, options: &Export) -> anyhow::Result<Outcome> {
    let out = (options.file.as_os_str() != STANDARD_OUTPUT).then_some(options.file.as_path());
    let folder = match out {
        Some(out) if !options.force && out.symlink_metadata().is_ok_and(|about| about.is_file()) => {
            bail!(
                "cannot write the export {}: it is there already; give --force to replace it",
                out.display()
            );
        }
        Some(out) => {
            refuse_what_is_no_file(out).with_context(|| {
                format!("cannot write the export {}; `-` is standard output", out.display())
            })?;
            out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned()
        }
        None => std::env::temp_dir(),
    };
    let attempted = || format!("cannot write the export in {}", folder.display());
    let mut file = Unfinished::new_in(&folder).with_context(attempted)?;
    fetch(reach, file.file_mut()).await?;
    // What is given away is what was checked, and not what a server meant to send.
    file.file_mut().seek(SeekFrom::Start(0)).with_context(attempted)?;
    let checked = check(BufReader::new(&*file.file_mut()), None, &[], &[])
        .context("the export is not whole; run `distributor log verify`, and try again")?;
    if let Some(damage) = &checked.check.damage {
        bail!(
            "the log is damaged at entry {}: {}; run `distributor log verify`",
            damage.sequence,
            plain(&damage.what)
        );
    }
    let Some(out) = out else {
        file.file_mut().seek(SeekFrom::Start(0)).with_context(attempted)?;
        print_stream(file.file_mut())?;
        return Ok(Outcome::Done);
    };
    let named = || format!("cannot write the export {}", out.display());
    file.finish(PRIVATE).with_context(named)?;
    if options.force { file.replace(out) } else { file.create(out) }.with_context(named)?;
    sync_parent(out).with_context(named)?;
    if options.json {
        print_json(&serde_json::json!({
            "out": out,
            "server_id": checked.about.server_id,
            "entries": checked.check.entries,
            "head": checked.check.head,
        }))?;
        return Ok(Outcome::Done);
    }
    print_line(format_args!(
        "exported {} of the log of server {} into {}, head {} sha256:{}",
        counted(checked.check.entries, "entry", "entries"),
        checked.about.server_id,
        out.display(),
        checked.check.head.size,
        checked.check.head.root
    ))?;
    tell(
        "it names computers and serial numbers; whoever checks it needs the site's public key from another source",
    );
    Ok(Outcome::Done)
}

/// Writes what the server gives, or what its files hold.
async fn fetch(reach: &Reach, file: &mut File) -> anyhow::Result<()> {
    let attempted = "cannot write the export; check the disk";
    let api = AdminApi::open(reach)?;
    let mut out = BufWriter::new(file);
    if api.is_down().await {
        let home = Home::open(&reach.home)?;
        tell("the server does not run; reading the ledger file itself");
        log_export::write(&home, Timestamp::now(), &mut out)?;
    } else {
        let bar = Bar::count("exporting");
        let mut bytes = 0;
        let mut response = api.stream("/log/export").await?;
        while let Some(chunk) =
            next_part(&mut response).await.context("the server ended the export early; try again")?
        {
            out.write_all(&chunk).context(attempted)?;
            bytes += chunk.len() as u64;
            bar.at(bytes, 0);
        }
        bar.end();
    }
    out.flush().context(attempted)
}

/// What `log verify --export` was given.
pub(super) struct ToVerify<'a> {
    pub(super) file: &'a Path,
    /// From another source than the file.
    pub(super) site_key: Option<&'a Path>,
    pub(super) checkpoints: &'a [SignedNote],
    pub(super) heads: &'a [LogHead],
    pub(super) json: bool,
}

/// Checks an export without a server.
pub(super) fn verify(wanted: &ToVerify<'_>) -> anyhow::Result<Outcome> {
    let attempted = || format!("cannot read the export {}", wanted.file.display());
    let site_key = wanted.site_key.map(read_public).transpose().context("cannot use --site-key")?;
    let checked = if wanted.file.as_os_str() == STANDARD_OUTPUT {
        check(std::io::stdin().lock(), site_key.as_ref(), wanted.checkpoints, wanted.heads)
    } else {
        let file = File::open(wanted.file).with_context(attempted)?;
        check(BufReader::new(file), site_key.as_ref(), wanted.checkpoints, wanted.heads)
    };
    match checked {
        Ok(checked) => report(wanted, &checked),
        Err(ExportError::Io(error)) => Err(error).with_context(attempted),
        Err(error) => {
            let why = with_causes(&error);
            if wanted.json {
                print_json(&serde_json::json!({ "holds": false, "why": why }))?;
            } else {
                print_line(format_args!("the export does not hold: {}", plain(&why)))?;
            }
            Ok(Outcome::Damage)
        }
    }
}

fn report(wanted: &ToVerify<'_>, checked: &Checked) -> anyhow::Result<Outcome> {
    let Checked { about, check } = checked;
    let holds = check.damage.is_none();
    if wanted.json {
        print_json(&serde_json::json!({
            "holds": holds,
            "why": check.damage.as_ref().map(|damage| format!("entry {}: {}", damage.sequence, damage.what)),
            "server_id": about.server_id,
            "site_key": about.site_key,
            "site_key_given": wanted.site_key.is_some(),
            "checkpoints_given": wanted.checkpoints.len(),
            "heads_given": wanted.heads.len(),
            "entries": check.entries,
            "newer": check.newer,
            "head": check.head,
        }))?;
        return Ok(if holds { Outcome::Done } else { Outcome::Damage });
    }
    if let Some(damage) = &check.damage {
        print_line(format_args!(
            "the export does not hold at entry {}: {}",
            damage.sequence,
            plain(&damage.what)
        ))?;
        return Ok(Outcome::Damage);
    }
    print_line(format_args!(
        "the export is whole: {} of the log of server {}, head {} sha256:{}",
        counted(check.entries, "entry", "entries"),
        about.server_id,
        check.head.size,
        check.head.root
    ))?;
    if wanted.site_key.is_none() {
        tell(format_args!(
            "not proven: whose it is. The file itself names the site key {}; give the key from another source with \
             --site-key",
            about.site_key
        ));
    }
    if wanted.checkpoints.is_empty() && wanted.heads.is_empty() {
        tell(
            "not proven: that others saw the same log, and that it is not cut at its end. Give a checkpoint that somebody \
             kept with --checkpoint",
        );
    }
    if check.newer > 0 {
        tell(format_args!(
            "{} written by a newer version of this program; update it to read all",
            counted(check.newer, "entry was", "entries were")
        ));
    }
    Ok(Outcome::Done)
}

/// A file whose entries are those under its signed head.
struct Checked {
    about: ExportedLog,
    /// What the entries say, and how far they go.
    check: LogCheck,
}

fn check(
    lines: impl std::io::BufRead,
    site_key: Option<&PublicKey>,
    checkpoints: &[SignedNote],
    heads: &[LogHead],
) -> Result<Checked, ExportError> {
    let mut reader = ExportReader::open(lines, site_key)?;
    let about = reader.about().clone();
    let signed = |note: &SignedNote| -> Result<LogHead, ExportError> {
        Ok(Checkpoint::verify(note, &about.log_key, about.log_key.name())?.head)
    };
    let mut witnessed: Vec<LogHead> = checkpoints.iter().map(signed).collect::<Result<_, _>>()?;
    witnessed.extend(heads);
    let mut check = ExportCheck::new(about.server_id.clone(), witnessed);
    while let Some(entry) = reader.next_entry()? {
        check.next(&entry, reader.head());
    }
    let check = check.finish(reader.head());
    Ok(Checked { about, check })
}

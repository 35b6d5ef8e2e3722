//! `distributor backup` and `distributor restore`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{Bar, plain, print_line, tell};
use super::reach::Reach;
use crate::backup;
use crate::home::Home;

/// Back the server up into one file, also while it runs.
///
/// The file holds the ledger, every key and secret, the certificates, the configuration and the vendor's metadata. It is
/// readable for you alone: keep it as you keep the keys. Payloads are not in it; they are fetched again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor --home /srv/sealpost backup /media/backup/sealpost.backup
  distributor --home /srv/sealpost backup sealpost-$(date +%F).backup")]
pub(super) struct BackupOptions {
    /// Where to write the backup. An earlier file of that name is replaced when the new one is whole.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Restore a backup into an empty home.
///
/// The restored server serves every computer that it knows, also those that went on since the backup. It gives no new
/// license before the vendor confirms: run `distributor register SERIAL`, or bring in an unlock code.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor --home /srv/sealpost restore /media/backup/sealpost.backup
  distributor --home /srv/sealpost-2 restore sealpost-2026-11-20.backup")]
pub(super) struct RestoreOptions {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) async fn make(reach: &Reach, options: &BackupOptions) -> anyhow::Result<Outcome> {
    let home = Home::open(&reach.home)?;
    note(reach).await;
    let bar = Bar::bytes("backing up");
    let list = backup::make(&home, &options.file, Timestamp::now(), &mut |done, total| bar.at(done, total))?;
    bar.end();
    print_line(format_args!(
        "backed up server {} with {} log entries into {}",
        list.server_id,
        list.head.size,
        options.file.display()
    ))?;
    tell("the file holds every secret of the server; keep it where only you can read it");
    Ok(Outcome::Done)
}

/// Lets a running server say in its log that its keys leave it. A backup is made all the same where it cannot: it may be
/// needed most when the disk is full.
async fn note(reach: &Reach) {
    let said = async {
        let api = AdminApi::open(reach)?;
        if api.is_down().await {
            anyhow::bail!("no server runs");
        }
        api.post::<serde_json::Value>("/backup", &serde_json::json!({})).await
    };
    if let Err(error) = said.await {
        tell(format_args!("the log does not tell of this backup: {}", plain(&format!("{error:#}"))));
    }
}

pub(super) async fn restore(home: &Path, options: &RestoreOptions) -> anyhow::Result<Outcome> {
    let bar = Bar::bytes("restoring");
    let restored = backup::restore(&Home::at(home), &options.file, Timestamp::now(), &mut |done, total| {
        bar.at(done, total);
    })
    .await?;
    bar.end();
    print_line(format_args!(
        "restored server {} of {} with {} log entries into {}",
        restored.list.server_id,
        restored.list.made_at,
        restored.list.head.size,
        home.display()
    ))?;
    tell(
        "next: `distributor serve`, then `distributor pull` for the payloads, and `distributor register SERIAL`: until \
         the vendor confirms, computers are served and no new license is given",
    );
    Ok(Outcome::Done)
}

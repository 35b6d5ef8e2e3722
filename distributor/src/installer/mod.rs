//! Puts an install file together: a script, and behind it the agent's program, the vendor's root, the setup file, and the
//! configuration and hooks that an admin gives, packed.
//!
//! Invariants: the program is that of an approved release, byte by byte as it was signed; the file has no name on this disk, so
//! that no secret stays; what it holds is bounded by the release and by the request.
//! Left out on purpose: whom it is for, and which release is the right one (`http` asks, a rule of the site says).

mod stub;

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::future::{BoxFuture, FutureExt};
use sealpost_admin_api::setups::HookFile;
use sealpost_keys::{Minisig, SigningKey, TrustedComment};
use sealpost_manifests::release::AGENT_PROGRAM;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use self::stub::{About, script};
use crate::ports::installers::{Installer, InstallerError, InstallerOrder, Installers};
use crate::ports::staging::{LaidOut, Staging};

/// Of secrets and of what belongs to one computer.
const PRIVATE: u32 = 0o600;
const EXECUTABLE: u32 = 0o700;
/// Most install files that lie here at once: while they are put together, and until whoever asked has fetched them.
pub const MAX_OPEN: usize = 8;

/// Where install files are put together, and with what.
pub struct Workshop {
    /// Has the releases of the agent, with what was signed of each.
    pub staging: Arc<dyn Staging>,
    /// The folder with room for files that have no name.
    pub folder: PathBuf,
    /// The vendor's root, as the site pinned it.
    pub root: Arc<[u8]>,
    /// Signs each file, so that it can be checked before it runs.
    pub site_key: Arc<SigningKey>,
    /// Who may put one together now: that takes a processor.
    pub turns: Arc<Semaphore>,
    /// For how many there is room on the disk, until they are fetched.
    pub places: Arc<Semaphore>,
}

impl std::fmt::Debug for Workshop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workshop").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Installers for Workshop {
    fn make(&self, order: InstallerOrder) -> BoxFuture<'_, Result<Installer, InstallerError>> {
        let Self { staging, folder, root, site_key, turns, places } = self;
        let bench = Workshop {
            staging: Arc::clone(staging),
            folder: folder.clone(),
            root: Arc::clone(root),
            site_key: Arc::clone(site_key),
            turns: Arc::clone(turns),
            places: Arc::clone(places),
        };
        let work = async move {
            let place = Arc::clone(&bench.places).try_acquire_owned();
            let place = place.map_err(|_| InstallerError::Busy(MAX_OPEN))?;
            let turn = Arc::clone(&bench.turns).acquire_owned().await.map_err(|_| InstallerError::Ended)?;
            let put_together = spawn_blocking(move || (bench.put_together(&order, place), turn));
            put_together.await.map_err(|_| InstallerError::Ended)?.0
        };
        work.boxed()
    }
}

impl Workshop {
    fn put_together(
        &self,
        order: &InstallerOrder,
        place: OwnedSemaphorePermit,
    ) -> Result<Installer, InstallerError> {
        let mut program = tempfile::tempfile_in(&self.folder)?;
        match self.staging.copy_file(&order.agent, AGENT_PROGRAM, &mut program)? {
            LaidOut::Whole => {}
            LaidOut::Absent => {
                return Err(InstallerError::Absent(
                    "the agent's release is not stored here, or has no program",
                ));
            }
            LaidOut::Damaged => {
                return Err(InstallerError::Absent(
                    "what is stored of the agent's release was changed on the disk",
                ));
            }
        }
        let mut payload = tempfile::tempfile_in(&self.folder)?;
        self.pack(order, &mut program, &mut payload)?;
        drop(program);
        let length = payload.stream_position()?;
        payload.seek(SeekFrom::Start(0))?;
        let key = self.site_key.public().to_string();
        let about = About {
            name: order.name.as_str(),
            server: order.server.as_str(),
            platform: order.platform.as_str(),
            key: &key,
            made_at: order.made_at,
            not_before: order.not_before,
        };
        let script =
            script(&about, length).ok_or_else(|| io::Error::other("a name cannot stand in a script"))?;
        let mut file = tempfile::tempfile_in(&self.folder)?;
        file.write_all(script.as_bytes())?;
        io::copy(&mut payload, &mut file)?;
        file.seek(SeekFrom::Start(0))?;
        let signature = self.sign(order, &mut file)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Installer { file, signature, place })
    }

    fn pack(&self, order: &InstallerOrder, program: &mut File, out: &mut File) -> io::Result<()> {
        let length = program.stream_position()?;
        program.seek(SeekFrom::Start(0))?;
        let mut tar = tar::Builder::new(GzEncoder::new(BufWriter::new(out), Compression::fast()));
        let mut entry = |path: &str, mode: u32, length: u64, content: &mut dyn Read| -> io::Result<()> {
            let mut header = tar::Header::new_gnu();
            header.set_size(length);
            header.set_mode(mode);
            header.set_mtime(u64::try_from(order.made_at.as_second()).unwrap_or_default());
            header.set_entry_type(tar::EntryType::Regular);
            tar.append_data(&mut header, path, content)
        };
        entry(AGENT_PROGRAM, EXECUTABLE, length, program)?;
        let mut text = |path: &str, mode: u32, bytes: &[u8]| {
            let length = u64::try_from(bytes.len()).map_err(io::Error::other)?;
            entry(path, mode, length, &mut io::Cursor::new(bytes))
        };
        text("root.json", PRIVATE, &self.root)?;
        text("setup.json", PRIVATE, order.setup.as_bytes())?;
        if let Some(config) = &order.config {
            text("agent.toml", PRIVATE, config.as_bytes())?;
        }
        for HookFile { name, text: content } in &order.hooks {
            text(&format!("hooks/{name}"), EXECUTABLE, content.as_bytes())?;
        }
        tar.into_inner()?.finish()?.flush()
    }

    fn sign(&self, order: &InstallerOrder, file: &mut File) -> io::Result<Minisig> {
        let comment = format!("install file computer={} server={}", order.name, order.server);
        let comment = TrustedComment::new(&comment).map_err(io::Error::other)?;
        self.site_key.sign_reader(file, &comment)
    }
}

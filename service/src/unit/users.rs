//! The user that a service runs as, and its home: made by the system's own tools where root lays a service on the computer
//! itself.
//!
//! Invariants: nothing is made in the image of another computer; nothing that somebody has is given away, which is a home
//! with something in it, or one of another user; a tool is called by its absolute path, without a shell or the caller's
//! environment, for a bounded time. Left out on purpose: removing users, whose numbers must not be given to others.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::{Dir, Gid, Mode, OFlags, Uid, fchmod, fchown, fstat, mkdirat, open, openat};
use rustix::io::Errno;
use sealpost_files::read_bounded;

use super::files::{Layout, Program};
use crate::command::{Ended, run};

/// Where tools of root lie.
const FOLDERS: [&str; 4] = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
/// Where systems have the shell of users that nobody logs in as.
const NO_SHELLS: [&str; 2] = ["/usr/sbin/nologin", "/sbin/nologin"];
const PASSWD: &str = "/etc/passwd";
/// Largest list of users that is read, in bytes.
const MAX_PASSWD_BYTES: u64 = 16 * 1024 * 1024;
/// How long making a user may take; tools wait for each other's lock for 15 s.
const MAX_TIME: Duration = Duration::from_secs(60);
/// Longest complaint that is told, in bytes.
const MAX_COMPLAINT_BYTES: usize = 1024;

/// Whether `install-service` makes the service's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// With the tools of this computer.
    Make,
    /// What is to be typed for it is said.
    Leave,
}

/// What is so, and was made for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Made {
    /// What was made, and what was there, for people.
    pub(super) said: Vec<String>,
    pub(super) user: bool,
    pub(super) home: bool,
}

/// Why there is no user, or no home of it.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The tool did not start, or not end.
    #[error("cannot make the user {user} with {tool}")]
    Tool {
        /// The user that was to be made.
        user: &'static str,
        /// The tool's path.
        tool: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The tool refused.
    #[error("cannot make the user {user}: {tool} says: {said}")]
    Refused {
        /// The user that was to be made.
        user: &'static str,
        /// The tool's path.
        tool: PathBuf,
        /// What it said.
        said: String,
    },
    /// The list of users cannot be read.
    #[error("cannot look for the user {user} in /etc/passwd")]
    List {
        /// The user that is looked for.
        user: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The folder cannot be made or given to the user.
    #[error("cannot make {home} for the user {user}")]
    Home {
        /// The user that it is for.
        user: &'static str,
        /// The folder.
        home: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Makes the user of a service and its home on this computer, or says that they are there. The files of the service have
/// been laid. Where the system has no tool for it, nothing is made.
pub(super) fn make(layout: &Layout) -> Result<Made, UserError> {
    let program = layout.program();
    let mut made = Made::default();
    if program == Program::Agent {
        made.said.push("the agent runs as root: no user is needed".to_owned());
        return Ok(Made { user: true, home: true, ..made });
    }
    let user = program.user();
    if ids_of(user)?.is_none() {
        let Some(call) = call(layout) else {
            made.said.push(format!(
                "not made: the user {user}, since this computer has neither systemd-sysusers nor useradd; make it as your system does"
            ));
            return Ok(made);
        };
        call.run(user)?;
        made.said.push(format!("made: the user {user}, by {}", call.tool.display()));
    } else {
        made.said.push(format!("kept: the user {user}"));
    }
    made.user = true;
    let Some(ids) = ids_of(user)? else {
        // It may be one of a directory service, which the tools see and this does not.
        return Ok(made);
    };
    let home = layout.home();
    let failed = |source| UserError::Home { user, home: home.to_owned(), source };
    match give_home(home, ids).map_err(failed)? {
        Given::New => made.said.push(format!("made: {}, for that user alone", home.display())),
        Given::WasSo => made.said.push(format!("kept: {}", home.display())),
        Given::OfOthers => {
            made.said.push(format!(
                "kept: {}, which is not {user}'s; see whose it is before you give it away",
                home.display()
            ));
            return Ok(made);
        }
    }
    made.home = true;
    Ok(made)
}

/// A call of a tool.
struct Call {
    tool: PathBuf,
    arguments: Vec<String>,
    /// How it ends where the user is there, beside 0.
    is_there: Option<i32>,
}

fn call(layout: &Layout) -> Option<Call> {
    let program = layout.program();
    if let Some(tool) = find("systemd-sysusers") {
        let arguments = vec![format!("/etc/sysusers.d/{}.conf", program.service())];
        return Some(Call { tool, arguments, is_there: None });
    }
    let tool = find("useradd")?;
    let shell = NO_SHELLS.into_iter().find(|shell| Path::new(shell).is_file()).unwrap_or("/bin/false");
    let home = layout.home().to_string_lossy();
    // It makes no home for a system's user.
    let arguments = ["--system", "--user-group", "--home-dir", &home, "--shell", shell, program.user()]
        .map(str::to_owned);
    Some(Call { tool, arguments: arguments.to_vec(), is_there: Some(9) })
}

fn find(tool: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(tool)).find(|path| path.is_file())
}

impl Call {
    fn run(&self, user: &'static str) -> Result<(), UserError> {
        let failed = |source| UserError::Tool { user, tool: self.tool.clone(), source };
        let mut command = Command::new(&self.tool);
        command
            .args(&self.arguments)
            .env_clear()
            .envs([("LC_ALL", "C"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")])
            .current_dir("/");
        let Ended { status, complained, .. } = run(command, MAX_TIME, MAX_COMPLAINT_BYTES).map_err(failed)?;
        if status.success() || (self.is_there.is_some() && status.code() == self.is_there) {
            return Ok(());
        }
        let said = crate::text::plain(&complained);
        Err(UserError::Refused { user, tool: self.tool.clone(), said: format!("{said} ({status})") })
    }
}

/// Numbers of a user and its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ids {
    user: u32,
    group: u32,
}

fn ids_of(user: &'static str) -> Result<Option<Ids>, UserError> {
    let list = read_bounded(Path::new(PASSWD), MAX_PASSWD_BYTES);
    let list = list.map_err(|source| UserError::List { user, source })?.unwrap_or_default();
    Ok(ids_in(&String::from_utf8_lossy(&list), user))
}

/// Of a text like `/etc/passwd`: `name:password:user:group:about:home:shell` in each line.
fn ids_in(list: &str, user: &str) -> Option<Ids> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_meant = fields.next() == Some(user);
        let (of_user, of_group) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        is_meant.then_some(Ids { user: of_user, group: of_group })
    })
}

/// What became of a home.
#[derive(Debug, PartialEq, Eq)]
enum Given {
    New,
    WasSo,
    /// It is left alone.
    OfOthers,
}

/// Makes a home for a user alone. An empty folder of root, such as the place where a disk is mounted, becomes one.
fn give_home(home: &Path, ids: Ids) -> io::Result<Given> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    // Nothing is done to one that is the user's already, wherever it lies.
    if let Ok(folder) = open(home, flags, Mode::empty())
        && fstat(&folder)?.st_uid == ids.user
    {
        return Ok(Given::WasSo);
    }
    let (Some(parent), Some(name)) = (home.parent(), home.file_name()) else {
        return Err(io::Error::other("it is no folder beneath another"));
    };
    let parent = folder_of_root(parent)?;
    match mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let Ok(folder) = openat(&parent, name, flags, Mode::empty()) else { return Ok(Given::OfOthers) };
    let about = fstat(&folder)?;
    let mut names = Dir::read_from(&folder)?.filter_map(Result::ok);
    let is_full = names.any(|entry| !matches!(entry.file_name().to_bytes(), b"." | b".." | b"lost+found"));
    if about.st_uid != 0 || is_full {
        return Ok(Given::OfOthers);
    }
    fchown(&folder, Some(Uid::from_raw(ids.user)), Some(Gid::from_raw(ids.group)))?;
    fchmod(&folder, Mode::RWXU)?;
    Ok(Given::New)
}

/// A folder that nobody but root can put another one in the place of: it and all above it are root's, and no link is followed on
/// the way. What is missing is made. The checks are made at the open folder, so that nobody exchanges it meanwhile. Stricter than
/// `sealpost_files::make_folder`, which follows links of root and takes folders of others that the path names: beneath those
/// nothing is made here, not even what is refused afterwards.
fn folder_of_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut so_far = PathBuf::from("/");
    let mut folder = open("/", flags, Mode::empty())?;
    for part in path.components() {
        let name = match part {
            Component::RootDir => continue,
            Component::Normal(name) => name,
            _ => return Err(io::Error::other("its path is not a plain one from the root folder on")),
        };
        so_far.push(name);
        let is_new = match mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => true,
            Err(Errno::EXIST) => false,
            Err(error) => return Err(error.into()),
        };
        folder = openat(&folder, name, flags, Mode::empty()).map_err(|error| match error {
            Errno::LOOP | Errno::NOTDIR => io::Error::other(format!(
                "{} is a link or no folder, and root follows no links on the way to a home; name the folder that it leads to",
                so_far.display()
            )),
            other => other.into(),
        })?;
        if is_new {
            // Whatever the umask is: the service's user has to come through.
            fchmod(&folder, Mode::from_raw_mode(0o755))?;
        }
        let about = fstat(&folder)?;
        // Of a folder like /tmp nobody takes away what is root's.
        let others_write = about.st_mode & 0o022 != 0 && about.st_mode & 0o1000 == 0;
        if about.st_uid != 0 || others_write {
            return Err(io::Error::other(format!(
                "{} belongs to another user or can be written by others, who could put something else in the place of the home; \
                 choose a home beneath folders of root, or make it by hand",
                so_far.display()
            )));
        }
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let list = "root:x:0:0:root:/root:/bin/sh\nsealpost-publisher:x:998:997::/:/bin/false\nbroken\nsealpost:x:999:996::/:/bin/false\n";
        assert_eq!(ids_in(list, "sealpost"), Some(Ids { user: 999, group: 996 }));
        assert_eq!(ids_in(list, "sealpost-publisher"), Some(Ids { user: 998, group: 997 }));
        assert_eq!(ids_in(list, "post"), None);
        assert_eq!(ids_in("sealpost:x:no:1::/:/bin/sh\n", "sealpost"), None);
    }

    #[test]
    fn a_home_that_somebody_has_is_not_given_away() {
        if !rustix::process::geteuid().is_root() {
            sealpost_test_support::skips::needs("root").unwrap();
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let ids = Ids { user: 4711, group: 4712 };
        let owner = |path: &Path| {
            let about = fs::symlink_metadata(path).unwrap();
            (about.uid(), about.gid(), about.mode() & 0o777)
        };
        let new = folder.path().join("srv/deep/home");
        assert_eq!(give_home(&new, ids).unwrap(), Given::New);
        assert_eq!(owner(&new), (4711, 4712, 0o700));
        assert_eq!(owner(new.parent().unwrap()), (0, 0, 0o755));
        assert_eq!(give_home(&new, ids).unwrap(), Given::WasSo);
        let disk = folder.path().join("disk");
        fs::create_dir_all(disk.join("lost+found")).unwrap();
        assert_eq!(give_home(&disk, ids).unwrap(), Given::New);
        assert_eq!(owner(&disk), (4711, 4712, 0o700));

        let full = folder.path().join("full");
        fs::create_dir(&full).unwrap();
        fs::write(full.join("file"), "").unwrap();
        let link = folder.path().join("link");
        symlink("full", &link).unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for place in [&full, &link, &file] {
            assert_eq!(give_home(place, ids).unwrap(), Given::OfOthers, "{}", place.display());
            assert_eq!(owner(place).0, 0);
        }
        // Whoever owns a folder above it could exchange it between two steps.
        let eves = folder.path().join("eves");
        fs::create_dir(&eves).unwrap();
        chown(&eves, Some(4714), Some(4714)).unwrap();
        fs::create_dir(eves.join("empty")).unwrap();
        symlink(folder.path(), folder.path().join("above")).unwrap();
        let shared = folder.path().join("shared");
        fs::create_dir(&shared).unwrap();
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
        for (place, said) in [
            (eves.join("empty"), "eves belongs to another user"),
            (eves.join("new/home"), "eves belongs to another user"),
            (folder.path().join("above/other/home"), "above is a link"),
            (shared.join("home"), "can be written by others"),
        ] {
            let error = give_home(&place, ids).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(!place.exists() || owner(&place).0 == 0, "{}", place.display());
        }
        assert!(!eves.join("new").exists() && !folder.path().join("other").exists());
        chown(eves.join("empty"), Some(4711), Some(4712)).unwrap();
        assert_eq!(give_home(&eves.join("empty"), ids).unwrap(), Given::WasSo, "nothing is done to it");

        let of_other = Ids { user: 4713, group: 4713 };
        assert_eq!(give_home(&new, of_other).unwrap(), Given::OfOthers);
        assert_eq!(owner(&new).0, 4711);
    }
}

//! The subcommands that every program has besides its own work: `completions`, `man` and `install-service`. A program
//! adds them to its parser, with examples of its own, and hands its `clap::Command` in.
//!
//! Left out on purpose: writing anything but what `--dir` and `install-service` name, users of other programs, and enabling
//! services.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use sealpost_files::{PUBLIC, make_folder, replace};

use crate::command_line::{Shell, completions, man_pages};
use crate::output::{OutputError, print_bytes, print_line};
use crate::unit::{InstallError, Installed, Layout, LayoutError, Program, Strict, Users, install};

/// `completions SHELL`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell that is to complete.
    shell: Shell,
}

impl Completions {
    /// Prints the script.
    ///
    /// # Errors
    /// [`OutputError`].
    pub fn run(&self, command: &Command) -> Result<(), OutputError> {
        print_bytes(&completions(command, self.shell))
    }
}

/// `man [--dir DIR]`.
#[derive(Debug, Args)]
pub struct ManPages {
    /// Write the page of the program and of each subcommand into this folder, which is made.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl ManPages {
    /// Prints the program's page, or writes all pages.
    ///
    /// # Errors
    /// [`ManPagesError`].
    pub fn run(&self, command: &Command) -> Result<(), ManPagesError> {
        let pages = man_pages(command).map_err(ManPagesError::Make)?;
        let Some(folder) = &self.dir else {
            let Some(page) = pages.first() else { return Ok(()) };
            return Ok(print_bytes(&page.text)?);
        };
        let write = || {
            make_folder(folder, 0o755)?;
            pages.iter().try_for_each(|page| replace(&folder.join(&page.file_name), &page.text, PUBLIC))
        };
        write().map_err(|source| ManPagesError::Write { folder: folder.clone(), source })
    }
}

/// Why there are no man pages.
#[derive(Debug, thiserror::Error)]
pub enum ManPagesError {
    /// None in practice: pages are made in memory.
    #[error("cannot make the man pages")]
    Make(#[source] io::Error),
    /// The folder cannot be written.
    #[error("cannot write the man pages into {}", folder.display())]
    Write {
        /// The folder that was named.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Nobody reads, or a full disk.
    #[error("cannot print the page")]
    Output(#[from] OutputError),
}

/// `install-service`.
#[derive(Debug, Args)]
pub struct InstallService {
    /// Print the files and write nothing.
    #[arg(long)]
    print: bool,
    /// The program that the service starts [default: this one].
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Do not make the service's user and its home; say what to type for it.
    #[arg(long)]
    no_user: bool,
    /// Write below this folder instead of /, for the image of another computer, where no user is made.
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    root: PathBuf,
}

/// Why a program was not made a service.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// Where it lies.
    #[error("cannot make a service of it")]
    Layout(#[from] LayoutError),
    /// Its files.
    #[error("cannot install the service")]
    Install(#[from] InstallError),
    /// Its file is gone, or `/proc` is not there.
    #[error("cannot tell where this program lies; name it with --program")]
    Executable(#[source] io::Error),
    /// Nobody reads, or a full disk.
    #[error("cannot print it")]
    Output(#[from] OutputError),
}

impl InstallService {
    /// Writes or prints the files of the service. `home` is what `--home` says; `.` is no home of a service, and means
    /// the standard one.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn run(&self, program: Program, home: &Path, strict: Strict) -> Result<(), ServiceError> {
        let executable = match &self.program {
            Some(path) => path.clone(),
            None => env::current_exe().map_err(ServiceError::Executable)?,
        };
        let home = if home == Path::new(".") { Path::new(program.standard_home()) } else { home };
        let layout = Layout::new(program, &executable, home)?;
        layout.check_home(&self.root)?;
        if self.print {
            for file in layout.files(strict) {
                print_line(format_args!("# {}\n{}", file.path.display(), file.text))?;
            }
            return Ok(());
        }
        Ok(report(&install(&layout, strict, self.users(), &self.root)?)?)
    }

    fn users(&self) -> Users {
        let is_here = self.root == Path::new("/") && rustix::process::geteuid().is_root();
        if is_here && !self.no_user { Users::Make } else { Users::Leave }
    }
}

fn report(done: &Installed) -> Result<(), OutputError> {
    if done.by_package {
        let none = if done.written.is_empty() { "; nothing was written" } else { "" };
        print_line(format_args!("a package brought the units already{none}"))?;
    }
    for path in &done.written {
        print_line(format_args!("written: {}", path.display()))?;
    }
    for path in &done.kept {
        print_line(format_args!("kept: {}", path.display()))?;
    }
    for line in &done.users {
        print_line(line)?;
    }
    print_line("nothing was enabled or started; next, as root:")?;
    done.next.iter().try_for_each(|step| print_line(format_args!("  {step}")))
}

//! The subcommands that every program has besides its own work: `completions`, `man` and `install-service`. A program
//! adds them to its parser, with examples of its own, and hands its `clap::Command` in.
//!
//! Left out on purpose: writing anything but what `--dir` and `install-service` name, and enabling services.

use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use sealpost_files::make_folder;

use crate::command_line::{Shell, completions, man_pages};
use crate::unit::{InstallError, Installed, Layout, LayoutError, Program, Strict, install};

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
    /// When it cannot be written.
    pub fn run(&self, command: &Command, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&completions(command, self.shell))
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
    /// When they cannot be written.
    pub fn run(&self, command: &Command, out: &mut impl Write) -> io::Result<()> {
        let pages = man_pages(command)?;
        let Some(folder) = &self.dir else {
            return pages.first().map_or(Ok(()), |page| out.write_all(&page.text));
        };
        make_folder(folder, 0o755)?;
        pages.iter().try_for_each(|page| fs::write(folder.join(&page.file_name), &page.text))
    }
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
    /// Write below this folder instead of /, for the image of another computer.
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
    /// Nobody reads.
    #[error("cannot write to standard output")]
    Output(#[from] io::Error),
}

impl InstallService {
    /// Writes or prints the files of the service. `home` is what `--home` says; `.` is no home of a service, and means
    /// the standard one.
    ///
    /// # Errors
    /// [`ServiceError`].
    pub fn run(
        &self,
        program: Program,
        home: &Path,
        strict: Strict,
        out: &mut impl Write,
    ) -> Result<(), ServiceError> {
        let executable = match &self.program {
            Some(path) => path.clone(),
            None => env::current_exe().map_err(ServiceError::Executable)?,
        };
        let home = if home == Path::new(".") { Path::new(program.standard_home()) } else { home };
        let layout = Layout::new(program, &executable, home)?;
        layout.check_home(&self.root)?;
        if self.print {
            for file in layout.files(strict) {
                writeln!(out, "# {}\n{}", file.path.display(), file.text)?;
            }
            return Ok(());
        }
        Ok(tell(&install(&layout, strict, &self.root)?, out)?)
    }
}

fn tell(done: &Installed, out: &mut impl Write) -> io::Result<()> {
    if done.by_package {
        let none = if done.written.is_empty() { "; nothing was written" } else { "" };
        writeln!(out, "a package brought the units already{none}")?;
    }
    for path in &done.written {
        writeln!(out, "written: {}", path.display())?;
    }
    for path in &done.kept {
        writeln!(out, "kept: {}", path.display())?;
    }
    writeln!(out, "nothing was enabled or started; next, as root:")?;
    done.next.iter().try_for_each(|step| writeln!(out, "  {step}"))
}

//! How the agent replaces its own program: the states, and what leads from one to the next.
//!
//! Words: the *packaged* program is the one that the operating system's package installed and its service starts. A
//! *slot program* came as a release of the package `agent-updater`. The *launcher* is the beginning of `run` of any of
//! them. The *watchdog* is the program that ran before, while it watches the new one, its child.
//!
//! | state | the record says | who runs as the daemon |
//! |---|---|---|
//! | packaged | nothing | the packaged program |
//! | stable | `stable` | that slot program; the launcher of any other program executes it in its place |
//! | on trial | `trial` | its program, as the child of the watchdog, which is the program of before |
//! | ended | `ended`, until the next cycle | the winner; the cycle notes the end in the package's record and reports it |
//!
//! | from | event | to |
//! |---|---|---|
//! | packaged, stable | a release was built, digested and starts with `--version`: the cycle records a trial, the daemon ends, and the same process becomes the watchdog | on trial |
//! | packaged | the release that was built has the bytes of the packaged program that runs | ended, confirmed: there is no other program to go back to, and the launcher executes it from its slot |
//! | on trial | the child completed an answered contact, and lived on for the probation | ended, confirmed: the child is asked to end, the watchdog executes the new program |
//! | on trial | the server could be reached for some minutes, and no contact was completed | ended, given back: the watchdog goes on as the daemon that it was |
//! | on trial | the child ended by itself too often, or cannot be started | ended, given back |
//! | on trial | an answered contact assigns the release no more, or a person calls off a trial that nobody watches | ended, given back; not given up when the site asked |
//! | on trial | the server cannot be reached | on trial: both stay, nothing is counted |
//! | on trial | watchdog or computer ends, by whatever cause | on trial: the next launcher is the watchdog, with what was counted so far; the kernel ends the child with its watchdog |
//! | on trial, stable | a packaged program that is newer starts | ended, given back; or it runs while the record stays |
//! | stable | its program is missing, changed, or could be changed by others | ended, lost: the packaged program runs, and the next contact installs the release again |
//! | any | the record is damaged | packaged: it is put aside, and the cycle makes `stable` again from the record of the package |
//! | ended | a cycle | stable, or packaged |
//!
//! Invariants: at every moment the program that ran before is whole, and is what runs when the new one does not; a
//! confirmed program completed a contact, or is the packaged one byte for byte; a release that was given back is not tried again in its attempt. What the
//! agent's hooks started is no business of a change of the agent, and runs on. The record's form is frozen: launchers
//! of every version read it. Other records keep the form of the version before while a trial is on.
//! Left out on purpose: clocks, files and processes (`platform::program`, `flows::self_update`).

pub mod launch;
pub mod record;
pub mod step;
pub mod trial;

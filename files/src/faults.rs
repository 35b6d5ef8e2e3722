//! Where the system can say no: the steps of a durable write, and of a read, which a test makes fail one after the other.
//!
//! Invariant: without the feature `faults`, which only tests turn on, [`reach`] is empty and nothing here is compiled.
//! With it, what fails is the thread's own: tests that run at the same time do not see each other's faults.
//! Left out on purpose: failures of what others read and write through an open file; the tests of the real programs make
//! the kernel fail those.

/// A step that the system can refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A file is opened to be read.
    Read,
    /// A new file is made.
    Create,
    /// Bytes are written.
    Write,
    /// A file's bytes are flushed.
    Flush,
    /// A file gets another name in its folder, or a second one.
    Rename,
    /// A name is removed.
    Remove,
    /// A folder is made.
    MakeFolder,
    /// A symbolic link is made.
    Link,
    /// The names of a folder are flushed.
    FlushFolder,
}

/// Called before each such step with the folder whose names it changes, or with the file that it reads or writes.
///
/// # Errors
/// What a test wants the system to say.
#[cfg(not(any(test, feature = "faults")))]
#[inline]
pub fn reach(_: Step, _: &std::path::Path) -> std::io::Result<()> {
    Ok(())
}

/// Writes all bytes.
#[cfg(not(any(test, feature = "faults")))]
#[inline]
pub(crate) fn write_all(file: &mut std::fs::File, _: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    std::io::Write::write_all(file, bytes)
}

#[cfg(any(test, feature = "faults"))]
pub(crate) use injected::write_all;
#[cfg(any(test, feature = "faults"))]
pub use injected::{Failure, Ran, counted, failing, killed, reach, unflushed};

#[cfg(any(test, feature = "faults"))]
mod injected {
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::fs::File;
    use std::io::{self, Write};
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
    use std::path::{Path, PathBuf};

    use rustix::io::Errno;

    use super::Step;

    /// How a step fails.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Failure {
        /// The disk fails once: nothing is done.
        Broken,
        /// The disk is full from there on, for all that needs room. Half of the bytes are written.
        Full,
        /// One write takes half of the bytes and says so. That is no failure: the rest is to be written too.
        Short,
        /// The process ends there, as far as a thread can show that: it unwinds up to [`killed`].
        Killed,
    }

    impl Failure {
        /// Those that fail a step.
        pub const ALL: [Self; 2] = [Self::Broken, Self::Full];

        fn strikes(self, step: Step) -> bool {
            match self {
                Self::Broken | Self::Killed => true,
                Self::Full => !matches!(step, Step::Read | Step::Rename | Step::Remove | Step::FlushFolder),
                Self::Short => step == Step::Write,
            }
        }

        fn error(self) -> Option<io::Error> {
            let errno = match self {
                Self::Broken => Errno::IO,
                Self::Full => Errno::NOSPC,
                Self::Short => return None,
                Self::Killed => resume_unwind(Box::new(Self::Killed)),
            };
            Some(io::Error::from_raw_os_error(errno.raw_os_error()))
        }
    }

    /// What some work answered, and the step at which it failed, if it came that far.
    #[derive(Debug)]
    pub struct Ran<R> {
        /// Its answer.
        pub answer: R,
        /// The step that failed, and where.
        pub failed: Option<(Step, PathBuf)>,
    }

    #[derive(Debug)]
    struct Plan {
        /// Steps until it fails.
        left: usize,
        failure: Failure,
        failed: Option<(Step, PathBuf)>,
    }

    #[derive(Debug, Default)]
    struct State {
        plan: Option<Plan>,
        /// Folders of which a name was changed and not flushed.
        unflushed: BTreeSet<PathBuf>,
    }

    thread_local! {
        static STATE: RefCell<State> = RefCell::default();
    }

    /// Does some work in this thread, whose `nth` step that `failure` strikes fails, counted from 1.
    pub fn failing<R>(nth: usize, failure: Failure, work: impl FnOnce() -> R) -> Ran<R> {
        STATE.with_borrow_mut(|state| state.plan = Some(Plan { left: nth, failure, failed: None }));
        let answer = work();
        let plan = STATE.with_borrow_mut(|state| state.plan.take());
        Ran { answer, failed: plan.and_then(|plan| plan.failed) }
    }

    /// Does some work in this thread that is killed at its `nth` step, counted from 1: nothing after it is done, nothing is
    /// answered, and of what it writes half is written.
    pub fn killed<R>(nth: usize, work: impl FnOnce() -> R) -> Ran<Option<R>> {
        let Ran { answer, failed } = failing(nth, Failure::Killed, || catch_unwind(AssertUnwindSafe(work)));
        let answer = answer.map(Some).unwrap_or_else(|thrown| match thrown.downcast_ref::<Failure>() {
            Some(_) => None,
            None => resume_unwind(thrown),
        });
        Ran { answer, failed }
    }

    /// Does some work in this thread, and counts its steps.
    pub fn counted<R>(work: impl FnOnce() -> R) -> (R, usize) {
        STATE.with_borrow_mut(|state| {
            state.plan = Some(Plan { left: usize::MAX, failure: Failure::Broken, failed: None });
        });
        let answer = work();
        let plan = STATE.with_borrow_mut(|state| state.plan.take());
        (answer, plan.map_or(0, |plan| usize::MAX - plan.left))
    }

    /// Folders of which this thread changed names that are not flushed yet; from then on there are none.
    #[must_use]
    pub fn unflushed() -> Vec<PathBuf> {
        STATE.with_borrow_mut(|state| std::mem::take(&mut state.unflushed).into_iter().collect())
    }

    /// As it is without faults, and fails where a test wants it to.
    ///
    /// # Errors
    /// What a test wants the system to say.
    pub fn reach(step: Step, place: &Path) -> io::Result<()> {
        strike(step, place).and_then(Failure::error).map_or(Ok(()), Err)
    }

    /// The failure that strikes this step, if one does.
    fn strike(step: Step, place: &Path) -> Option<Failure> {
        STATE.with_borrow_mut(|state| {
            if let Some(plan) = &mut state.plan
                && plan.failure.strikes(step)
            {
                plan.left = plan.left.saturating_sub(1);
                let again = plan.failure == Failure::Full && plan.failed.is_some();
                if plan.left == 0 && plan.failed.is_none() || again {
                    plan.failed.get_or_insert_with(|| (step, place.to_owned()));
                    return Some(plan.failure);
                }
            }
            match step {
                Step::Rename | Step::Remove | Step::MakeFolder | Step::Link => {
                    state.unflushed.insert(place.components().collect());
                }
                Step::FlushFolder => {
                    state.unflushed.remove(&place.components().collect::<PathBuf>());
                }
                Step::Read | Step::Create | Step::Write | Step::Flush => {}
            }
            None
        })
    }

    pub(crate) fn write_all(file: &mut File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let Some(failure) = strike(Step::Write, path) else { return file.write_all(bytes) };
        if failure == Failure::Short {
            return HalfFirst { file, is_first: true }.write_all(bytes);
        }
        file.write_all(&bytes[..bytes.len() / 2])?;
        failure.error().map_or(Ok(()), Err)
    }

    /// A file whose first write takes half of what it is given.
    struct HalfFirst<'f> {
        file: &'f mut File,
        is_first: bool,
    }

    impl Write for HalfFirst<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken =
                if std::mem::take(&mut self.is_first) { bytes.len().div_ceil(2) } else { bytes.len() };
            self.file.write(&bytes[..taken])
        }

        fn flush(&mut self) -> io::Result<()> {
            self.file.flush()
        }
    }
}

#[cfg(test)]
mod tests;

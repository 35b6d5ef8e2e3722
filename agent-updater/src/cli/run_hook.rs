//! `agent-updater run-hook`, hidden: the agent starts it for each hook, so that whatever becomes of the agent, nothing of
//! the hook is left that was not to be.

use std::process::ExitCode;

/// To be called before a second thread is started: a hook without root's rights has them taken away from one thread.
pub(super) fn execute() -> anyhow::Result<ExitCode> {
    sealpost_hook_runner::serve()?;
    Ok(ExitCode::SUCCESS)
}

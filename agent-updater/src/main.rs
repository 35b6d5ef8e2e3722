//! The `agent-updater` program; everything is in the library.

fn main() -> std::process::ExitCode {
    sealpost_agent_updater::cli::main()
}

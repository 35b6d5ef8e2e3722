//! Which server a command is for.

use std::path::PathBuf;

use clap::Args;

/// Which server is meant, and how it is reached.
#[derive(Debug, Args)]
pub(super) struct Reach {
    /// The server's home.
    #[arg(long, global = true, value_name = "DIR", env = "SEALPOST_DISTRIBUTOR_HOME", default_value = ".")]
    pub(super) home: PathBuf,
    /// A server elsewhere, for example https://server:16770; needs --token-file.
    #[arg(long, global = true, value_name = "URL", requires = "token_file")]
    pub(super) server: Option<String>,
    /// The file with an admin token of that server.
    #[arg(long, global = true, value_name = "FILE", requires = "server")]
    pub(super) token_file: Option<PathBuf>,
    /// The site CA's certificate (tls/ca.crt in the server's home); else the system's are trusted.
    #[arg(long, global = true, value_name = "FILE", requires = "server")]
    pub(super) ca: Option<PathBuf>,
}

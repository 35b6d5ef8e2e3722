//! The real server, as a process of its own.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};

/// A running `distributor serve`; killed when it is dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
    ca: PathBuf,
}

impl Server {
    pub(crate) fn start(programs: &Path, home: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(programs.join("distributor"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env("SEALPOST_DISTRIBUTOR_HOME", home.join("server"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the server")?;
        let mut line = String::new();
        let out = child.stdout.take().context("the server has no output")?;
        BufReader::new(out).read_line(&mut line)?;
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            // It said why on its standard error, which is not shown here.
            let _ = child.kill();
            bail!("the server did not start: {line:?}");
        };
        Ok(Self { url: url.to_owned(), ca: home.join("server/tls/ca.crt"), child })
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn ca(&self) -> &Path {
        &self.ca
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already, or gone now; either is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

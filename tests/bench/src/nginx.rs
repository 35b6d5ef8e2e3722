//! nginx with one worker, answering a static file of the size of a contact's answer over TLS, with the same certificate
//! as the server.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures_util::future::try_join_all;

use crate::load;

/// About what a contact without news is answered.
const FILE_BYTES: usize = 512;

/// A running nginx; stopped when it is dropped.
pub(crate) struct Nginx {
    master: Child,
    worker: u32,
    url: String,
    client: reqwest::Client,
}

impl Nginx {
    pub(crate) fn start(home: &Path) -> anyhow::Result<Self> {
        let folder = home.join("nginx");
        std::fs::create_dir_all(folder.join("www"))?;
        std::fs::write(folder.join("www/file"), "x".repeat(FILE_BYTES))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let tls = home.join("server/tls");
        let user = if std::fs::read_to_string("/proc/self/loginuid").is_ok() { "user root;" } else { "" };
        let config = format!(
            "daemon off; worker_processes 1; {user} pid {0}/pid; error_log {0}/error.log; events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 10000000; client_body_temp_path {0}/b; proxy_temp_path {0}/p; \
             fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
             server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {1}/server.crt; ssl_certificate_key {1}/server.key; \
             ssl_protocols TLSv1.3; root {0}/www; }} }}\n",
            folder.display(),
            tls.display()
        );
        let path = folder.join("nginx.conf");
        std::fs::write(&path, config)?;
        let program = if Path::new("/usr/sbin/nginx").exists() { "/usr/sbin/nginx" } else { "nginx" };
        let master = Command::new(program)
            .arg("-c")
            .arg(&path)
            .arg("-e")
            .arg(folder.join("error.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start nginx")?;
        let worker =
            worker_of(master.id()).with_context(|| format!("see {}", folder.join("error.log").display()))?;
        let client = load::http(&tls.join("ca.crt"))?;
        Ok(Self { master, worker, url: format!("https://127.0.0.1:{port}/file"), client })
    }

    /// The process that answers.
    pub(crate) fn worker(&self) -> u32 {
        self.worker
    }

    pub(crate) async fn fetch(&self, requests: usize, connections: usize) -> anyhow::Result<()> {
        let each = requests.div_ceil(connections);
        try_join_all((0..connections).map(|_| async {
            for _ in 0..each {
                let response = self.client.get(&self.url).send().await?.error_for_status()?;
                let bytes = response.bytes().await?;
                if bytes.len() != FILE_BYTES {
                    bail!("nginx answered {} bytes", bytes.len());
                }
            }
            Ok(())
        }))
        .await?;
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The worker ends with its master.
        let _ = Command::new("kill").arg(self.master.id().to_string()).status();
        let _ = self.master.wait();
    }
}

/// The one child of the master, as soon as it is there.
fn worker_of(master: u32) -> anyhow::Result<u32> {
    let path = format!("/proc/{master}/task/{master}/children");
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let children = std::fs::read_to_string(&path).unwrap_or_default();
        if let Some(worker) = children.split_whitespace().next() {
            return Ok(worker.parse()?);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("nginx has no worker after ten seconds")
}

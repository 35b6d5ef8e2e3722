//! A TUF client that speaks the command line of the public test suite `tuf-conformance`, over this project's own
//! store, transport and download. It exists for that suite; nothing else uses it.
//!
//! ```text
//! tuf_client --metadata-dir D init ROOT
//! tuf_client --metadata-url U --metadata-dir D refresh
//! tuf_client --metadata-url U --metadata-dir D --target-name T --target-dir TD --target-base-url B download
//! ```
//!
//! To run the suite by hand (`faketime` is a Debian package; the suite is not on a registry):
//!
//! ```text
//! git clone https://github.com/theupdateframework/tuf-conformance
//! python3 -m venv venv && venv/bin/pip install -e ./tuf-conformance
//! cargo build -p sealpost-repository --example tuf_client
//! venv/bin/pytest tuf-conformance/tuf_conformance --entrypoint "$PWD/target/debug/examples/tuf_client"
//! ```
//!
//! The suite looks at `D/<role>.json`; these are copies. What is trusted lies in `D/.trusted`, in the fail-closed
//! store, and nothing is read back from the copies. Exit code 0, or exactly 1 whatever went wrong. The program must
//! be linked dynamically, as it is by default, because the suite fakes the time by preloading a library.

use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_repository::{HttpTransport, Reader, Resume};

type Failure = Box<dyn std::error::Error>;

#[expect(clippy::print_stderr, reason = "the suite reads what went wrong; this is no program of the product")]
fn main() -> ExitCode {
    panic::set_hook(Box::new(|panicked| {
        eprintln!("{panicked}");
        std::process::exit(1);
    }));
    match Arguments::parse(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", with_causes(&*error));
            ExitCode::from(1)
        }
    }
}

#[derive(Default)]
struct Arguments {
    metadata_dir: PathBuf,
    metadata_url: String,
    target_names: Vec<String>,
    target_dir: PathBuf,
    target_base_url: Option<String>,
    words: Vec<String>,
}

impl Arguments {
    fn parse(mut given: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut arguments = Self::default();
        while let Some(word) = given.next() {
            let mut value = || given.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--metadata-dir" => arguments.metadata_dir = value()?.into(),
                "--metadata-url" => arguments.metadata_url = value()?,
                "--target-name" => arguments.target_names.push(value()?),
                "--target-dir" => arguments.target_dir = value()?.into(),
                "--target-base-url" => arguments.target_base_url = Some(value()?),
                option if option.starts_with('-') => return Err(format!("unknown option {option}").into()),
                _ => arguments.words.push(word),
            }
        }
        Ok(arguments)
    }

    fn state(&self) -> PathBuf {
        self.metadata_dir.join(".trusted")
    }

    fn pinned_root(&self) -> PathBuf {
        self.state().join("pinned-root.json")
    }
}

fn run(arguments: Arguments) -> Result<(), Failure> {
    let words: Vec<&str> = arguments.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["init", root] => init(&arguments, Path::new(root)),
        ["refresh"] => work(&arguments),
        ["download"] if !arguments.target_names.is_empty() => work(&arguments),
        _ => Err("use init ROOT, refresh, or download with --target-name".into()),
    }
}

fn init(arguments: &Arguments, root: &Path) -> Result<(), Failure> {
    let root = fs::read(root)?;
    fs::create_dir_all(arguments.state())?;
    fs::write(arguments.pinned_root(), &root)?;
    fs::write(arguments.metadata_dir.join("root.json"), &root)?;
    Ok(())
}

fn work(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // The suite's server speaks plain HTTP; the client wants a TLS provider all the same.
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is installed already")?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let targets_base = arguments.target_base_url.as_deref().unwrap_or(&arguments.metadata_url);
    let transport = HttpTransport::new(client, &arguments.metadata_url, targets_base)?;
    let pinned_root = fs::read(arguments.pinned_root())?;
    let mut reader = Reader::open(&pinned_root, &arguments.state().join("store"), Arc::new(transport))?;
    let result = runtime.block_on(refresh_and_download(&mut reader, arguments));
    // Also after a failure: what was verified until then is trusted.
    reader.export(&arguments.metadata_dir)?;
    result
}

async fn refresh_and_download(reader: &mut Reader, arguments: &Arguments) -> Result<(), Failure> {
    let now = Timestamp::now();
    reader.refresh(now).await?;
    for name in &arguments.target_names {
        let listed = reader.listed(name, now).await?;
        let target = listed.ok_or_else(|| format!("no trusted role lists {name:?}"))?;
        let destination = arguments.target_dir.join(file_name(name));
        reader.download(&target, &destination, Resume::Continue, &mut |_| {}).await?;
    }
    Ok(())
}

/// A flat file name that no two target names share.
fn file_name(target: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    target
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

//! `distributor unlock`.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use sealpost_admin_api::licenses::{UnlockRequest, Unlocked};

use super::api::AdminApi;
use super::outcome::Outcome;
use super::output::{print_json, print_license, tell};
use super::register::UNCONFIRMED;

/// Longest code or grant file, in bytes.
const MAX_CODE_BYTES: u64 = 128 * 1024;
/// What is shorter is no code but the name of a file: a signature alone takes more characters.
const SHORTEST_CODE: usize = 300;

/// Unlock seats with a code or a grant file that came from the vendor by hand.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  distributor unlock unlock-code.txt
  distributor unlock grant.json
  distributor unlock - < unlock-code.txt")]
pub(super) struct Options {
    /// The unlock code, a file that holds it (or a grant file), or `-` for standard input.
    #[arg(value_name = "CODE|FILE|-")]
    code: String,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(api: AdminApi, options: Options) -> anyhow::Result<Outcome> {
    let code = read(&options.code)?;
    let view: Unlocked = api.post("/unlock", &UnlockRequest { code }).await?;
    if options.json {
        print_json(&view)?;
        return Ok(Outcome::Done);
    }
    print_license(&view.license, view.notice.as_deref())?;
    if view.unconfirmed {
        tell(UNCONFIRMED);
    }
    Ok(Outcome::Done)
}

fn read(argument: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = match argument {
        "-" => std::io::stdin().take(MAX_CODE_BYTES + 1).read_to_string(&mut text),
        path if path.len() < SHORTEST_CODE || Path::new(path).is_file() => {
            // A person names it, so it may be a pipe too.
            let file = std::fs::File::open(path).with_context(|| {
                format!("cannot read an unlock code from the file {path:?}, and it is too short to be a code itself")
            })?;
            file.take(MAX_CODE_BYTES + 1).read_to_string(&mut text)
        }
        code => return Ok(code.to_owned()),
    };
    read.context("cannot read the unlock code: it is no text")?;
    if text.len() as u64 > MAX_CODE_BYTES {
        bail!("cannot read the unlock code: it is longer than {MAX_CODE_BYTES} bytes; is it the right file?");
    }
    Ok(text)
}

//! The install file of one computer, for ssh: made for this try, checked with the site's key, and never with a name on this disk.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::Response;
use sealpost_admin_api::setups::InstallerRequest;
use sealpost_keys::verify::StreamVerifier;
use sealpost_keys::{MAX_MINISIG_BYTES, Minisig, PublicKey};
use sealpost_manifests::ids::{ComputerName, ServerId};
use tokio::time::timeout;

use crate::cli::api::{AdminApi, next_part, segment};

/// How long the server may take to make and send one.
pub(super) const MAX_TIME: Duration = Duration::from_secs(5 * 60);
/// Longest install file, in bytes.
const MAX_FILE: u64 = 1024 * 1024 * 1024;
/// Days for which its code is good: it is used within minutes.
const GOOD_FOR_DAYS: u16 = 1;
/// Lines of a signature.
const SIGNATURE_LINES: usize = 4;
/// Characters of the line with the file's size, which stands before it.
const SIZE_DIGITS: usize = 20;

/// An install file with its size in a line before it, so that a connection that breaks off is noticed. It is rewound.
pub(super) async fn fetch(api: &AdminApi, name: &ComputerName, site_key: &PublicKey) -> anyhow::Result<File> {
    in_time(make(api, name, site_key)).await
}

async fn in_time(made: impl Future<Output = anyhow::Result<File>>) -> anyhow::Result<File> {
    match timeout(MAX_TIME, made).await {
        Ok(made) => made,
        Err(_) => bail!("the server did not send the install file within {} s", MAX_TIME.as_secs()),
    }
}

async fn make(api: &AdminApi, name: &ComputerName, site_key: &PublicKey) -> anyhow::Result<File> {
    let request = InstallerRequest { valid_days: Some(GOOD_FOR_DAYS), ..InstallerRequest::default() };
    let path = format!("/clients/{}/installer", segment(name.as_str()));
    let response = api.post_for_stream(&path, &request).await?;
    take(response, name, site_key, MAX_FILE).await
}

/// Takes the server's answer: the four lines of a signature, and then the file, of `most` bytes at most.
async fn take(
    mut response: Response,
    name: &ComputerName,
    site_key: &PublicKey,
    most: u64,
) -> anyhow::Result<File> {
    const BROKE_OFF: &str = "the install file broke off on its way";
    let mut begin = Vec::new();
    let head = loop {
        let Some(part) = next_part(&mut response).await.context(BROKE_OFF)? else { bail!("{BROKE_OFF}") };
        begin.extend_from_slice(&part);
        let mut ends = begin.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        if let Some((end, _)) = ends.nth(SIGNATURE_LINES - 1) {
            break end + 1;
        }
        if begin.len() as u64 > MAX_MINISIG_BYTES {
            bail!("the server's answer begins with no signature");
        }
    };
    let (signature, rest) = begin.split_at(head);
    let signature = std::str::from_utf8(signature).context("the server's answer begins with no signature")?;
    let minisig = Minisig::parse(signature).context("the server's answer begins with no signature")?;
    let trusted = [site_key.clone()];
    let unsigned = "the install file is not signed with the site's key";
    let mut verifier = StreamVerifier::new(&minisig, &trusted).context(unsigned)?;
    // Nobody can open it by a name, and nothing is left of it, however this program ends.
    let mut file = tempfile::tempfile().context("cannot keep the install file for a moment")?;
    let kept = "cannot keep the install file for a moment";
    file.write_all(&[b' '; SIZE_DIGITS]).context(kept)?;
    file.write_all(b"\n").context(kept)?;
    let mut size = 0_u64;
    let mut keep = |part: &[u8], file: &mut File| -> anyhow::Result<()> {
        size = size.saturating_add(part.len() as u64);
        if size > most {
            bail!("the install file is longer than {most} bytes, which none is");
        }
        verifier.update(part);
        file.write_all(part).context(kept)
    };
    keep(rest, &mut file)?;
    while let Some(part) = next_part(&mut response).await.context(BROKE_OFF)? {
        keep(&part, &mut file)?;
    }
    let signer = verifier.finish().context(unsigned)?;
    let server = ServerId::of_site_key(site_key);
    if signer.comment != format!("install file computer={name} server={server}") {
        bail!("the server sent the install file of another computer");
    }
    file.seek(SeekFrom::Start(0)).context(kept)?;
    file.write_all(size.to_string().as_bytes()).context(kept)?;
    file.seek(SeekFrom::Start(0)).context(kept)?;
    Ok(file)
}

#[cfg(test)]
mod tests;

//! The script at the beginning of an install file.
//!
//! Invariant: nothing stands in it that a shell could take for more than a word: names, ids and keys have no quote, and are
//! checked again here.

use jiff::Timestamp;

/// The script, with marks for what varies.
const SCRIPT: &str = include_str!("install.sh");
/// Digits of the two places, so that the script's length does not depend on them.
const DIGITS: usize = 12;

/// What varies from one install file to another.
#[derive(Debug)]
pub(super) struct About<'a> {
    pub(super) name: &'a str,
    pub(super) server: &'a str,
    pub(super) platform: &'a str,
    pub(super) key: &'a str,
    pub(super) made_at: Timestamp,
    pub(super) not_before: Option<Timestamp>,
}

/// The script for a payload of so many bytes; `None` if something in it is no plain word.
pub(super) fn script(about: &About<'_>, payload_bytes: u64) -> Option<String> {
    let words = [about.name, about.server, about.platform, about.key];
    if !words.into_iter().all(is_plain) {
        return None;
    }
    let time = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let not_before = about.not_before.unwrap_or(Timestamp::UNIX_EPOCH);
    let text = [
        ("@NAME@", about.name.to_owned()),
        ("@SERVER@", about.server.to_owned()),
        ("@PLATFORM@", about.platform.to_owned()),
        ("@KEY@", about.key.to_owned()),
        ("@MADE@", time(about.made_at)),
        ("@NOT_BEFORE@", not_before.as_second().max(0).to_string()),
        ("@WAITS_UNTIL@", time(not_before)),
    ]
    .into_iter()
    .fold(SCRIPT.to_owned(), |text, (mark, value)| text.replace(mark, &value));
    // Both with the digits that they will have; a shell reads a number with a leading 0 as octal, so blanks stand behind them.
    let placed = |at: u64, whole: u64| {
        text.replace("@PAYLOAD_AT@", &format!("{at:<DIGITS$}"))
            .replace("@WHOLE@", &format!("{whole:<DIGITS$}"))
    };
    let length = u64::try_from(placed(0, 0).len()).ok()?;
    Some(placed(length + 1, length.checked_add(payload_bytes)?))
}

/// Whether a text is one word in single quotes and in a comment: letters, digits and a few signs.
fn is_plain(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|character| character.is_alphanumeric() || "._-+/=:".contains(character))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::path::Path;
    use std::process::Command;

    use sealpost_test_support::skips::skip;

    use super::*;

    fn about(name: &str) -> About<'_> {
        About {
            name,
            server: "0f007385b6f9d4b7",
            platform: "linux-x86_64",
            key: "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
            made_at: Timestamp::UNIX_EPOCH,
            not_before: None,
        }
    }

    #[test]
    fn the_script_knows_where_it_ends() {
        for payload in [0, 9, 123_456_789_012] {
            let script = script(&about("büro-7"), payload).unwrap();
            assert!(!script.replace("$@", "").contains('@'), "every mark was replaced: {script}");
            let length = script.len() as u64;
            assert!(script.contains(&format!("payload_at={:<12}\n", length + 1)), "{script}");
            assert!(script.contains(&format!("whole={:<12}\n", length + payload)), "{script}");
        }
    }

    /// A member of a payload, as no tool of ours would write it.
    fn member(tar: &mut tar::Builder<Vec<u8>>, kind: tar::EntryType, path: &str, link: &str, content: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_entry_type(kind);
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..path.len()].copy_from_slice(path.as_bytes());
        fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        tar.append(&header, content).unwrap();
    }

    #[test]
    fn a_payload_with_bad_members_writes_nothing_outside_of_its_folder() {
        let temporary = tempfile::tempdir_in("/tmp").unwrap();
        let (victim, outside) = (temporary.path().join("victim"), temporary.path().join("outside"));
        fs::write(&victim, "precious").unwrap();
        fs::create_dir(&outside).unwrap();
        let place = temporary.path().to_str().unwrap();
        let name = format!("sealpost-evil-{}", std::process::id());
        type Member<'m> = (tar::EntryType, &'m str, &'m str);
        let (up, absolute) = (format!("../{name}"), format!("{place}/absolute"));
        let (out, precious) = (format!("{place}/outside"), format!("{place}/victim"));
        let cases: [&[Member<'_>]; 5] = [
            &[(tar::EntryType::Regular, &up, "")],
            &[(tar::EntryType::Regular, &absolute, "")],
            &[(tar::EntryType::Symlink, "hooks", &out), (tar::EntryType::Regular, "hooks/start", "")],
            &[(tar::EntryType::Link, "agent.toml", &precious), (tar::EntryType::Regular, "agent.toml", "")],
            &[
                (tar::EntryType::Symlink, "agent.toml", &precious),
                (tar::EntryType::Regular, "agent.toml", ""),
            ],
        ];
        for members in cases {
            let mut tar = tar::Builder::new(Vec::new());
            let agent = b"#!/bin/sh\necho \"ran $1\"\n";
            member(&mut tar, tar::EntryType::Regular, "agent-updater", "", agent);
            for (kind, path, link) in members {
                let content: &[u8] = if *kind == tar::EntryType::Regular { b"evil" } else { b"" };
                member(&mut tar, *kind, path, link, content);
            }
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(&tar.into_inner().unwrap()).unwrap();
            let packed = packed.finish().unwrap();
            let about = About { platform: "any", ..about("pc-1") };
            let mut file = script(&about, packed.len() as u64).unwrap().into_bytes();
            file.extend_from_slice(&packed);
            let path = temporary.path().join("file");
            fs::write(&path, file).unwrap();
            let mut shell = Command::new("sh");
            let said = shell.arg(&path).arg("--dry-run").env("TMPDIR", place).output().unwrap();
            let told = String::from_utf8_lossy(&said.stderr).into_owned();
            assert!(
                said.stdout == b"ran install-file\n" || told.contains("it cannot be unpacked"),
                "{members:?}: {said:?}"
            );
            assert_eq!(fs::read_to_string(&victim).unwrap(), "precious", "{members:?}");
            for folder in [place, "/run", "/tmp", "/var/lib", "/usr/local/lib"] {
                assert!(!Path::new(folder).join(&name).exists(), "{members:?} in {folder}");
            }
            assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{members:?}");
            assert!(!Path::new(&absolute).exists(), "{members:?}");
            assert_eq!(fs::read_dir(place).unwrap().count(), 3, "nothing stays: {members:?}");
        }
    }

    /// Only /tmp and where TMPDIR says can run a program.
    const ELSEWHERE_NOTHING_RUNS: &str = "mount -t tmpfs tmpfs /mnt; mkdir -m 777 /mnt/theirs; cp \"$0\" /mnt/file; \
        for place in /run /var/lib /usr/local/lib; do mount -t tmpfs -o noexec tmpfs $place; done; \
        mount -t tmpfs -o mode=$MODE tmpfs /tmp; TMPDIR=/mnt/theirs exec sh /mnt/file \"$@\"";

    #[test]
    fn root_unpacks_into_no_folder_in_which_another_account_can_rename_what_is_there() {
        let mut alone = Command::new("unshare");
        alone.args(["--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
        if !alone.output().is_ok_and(|output| output.status.success()) {
            return skip("this account may not mount").unwrap();
        }
        let temporary = tempfile::tempdir().unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        member(&mut tar, tar::EntryType::Regular, "agent-updater", "", b"#!/bin/sh\necho \"ran in $0\"\n");
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&tar.into_inner().unwrap()).unwrap();
        let packed = packed.finish().unwrap();
        let mut file =
            script(&About { platform: "any", ..about("pc-1") }, packed.len() as u64).unwrap().into_bytes();
        file.extend_from_slice(&packed);
        let path = temporary.path().join("file");
        fs::write(&path, file).unwrap();
        for (mode, ran) in [("1777", true), ("0777", false)] {
            for options in [&["--dry-run"][..], &[]] {
                let mut command = Command::new("unshare");
                command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
                let said = command
                    .arg(ELSEWHERE_NOTHING_RUNS)
                    .arg(&path)
                    .args(options)
                    .env("MODE", mode)
                    .output()
                    .unwrap();
                let printed = String::from_utf8_lossy(&said.stdout);
                assert_eq!(
                    printed.starts_with("ran in /tmp/.sealpost-bootstrap."),
                    ran,
                    "{mode} {options:?}: {said:?}"
                );
                assert!(ran || printed.is_empty(), "{mode} {options:?}: {said:?}");
            }
        }
    }

    #[test]
    fn nothing_that_a_shell_reads_goes_into_it() {
        for bad in ["", "a'b", "a b", "a\nb", "$(id)", "a;b", "`id`", "a\"b", "a\\b"] {
            assert!(script(&about(bad), 1).is_none(), "{bad:?}");
        }
    }
}

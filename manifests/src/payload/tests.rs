//! Payloads that are what they should be, and many that are not.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::{FolderSink, PayloadSink, PayloadSource, ReadError, WriteError, read_gzip};
use crate::digest::Sha256Digest;
use crate::ids::{PackageName, Platform, RelativePath};
use crate::release::{Blob, FileEntry, FileKind, PackageKind, Payload, ReleaseId, ReleaseManifest, Severity};
use crate::version::{ReleaseCounter, Version};

/// A name part that alone is over the 100 bytes of a plain header.
const LONG: &str = "a-name-that-is-much-too-long-for-the-hundred-bytes-of-a-plain-tar-header-and-goes-on-\
                    and-on-until-nobody-reads-it-any-more.txt";

fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &[u8], mode: u32| {
        let place = folder.path().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(&place, content).unwrap();
        fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
    };
    write("bin/program", &[7; 1300], 0o750);
    write("data/empty", b"", 0o600);
    write("data/exact", &[1; 512], 0o664);
    write(&format!("data/{LONG}"), b"long", 0o644);
    write("data.txt", b"before data/ in byte order", 0o644);
    write("ünïcode", "ü".as_bytes(), 0o644);
    symlink("program", folder.path().join("bin/link")).unwrap();
    symlink(format!("../data/{LONG}"), folder.path().join("bin/long-link")).unwrap();
    folder
}

fn manifest(files: &[FileEntry], payload: Payload) -> ReleaseManifest {
    ReleaseManifest {
        release: ReleaseId {
            package: PackageName::new("acme-av").unwrap(),
            version: Version::new("1.2.3").unwrap(),
            platform: Platform::any(),
        },
        kind: PackageKind::Program,
        revision: None,
        counter: ReleaseCounter(1),
        payload,
        files: files.to_vec(),
        requires: Vec::new(),
        severity: Severity::Normal,
        category: None,
        security: None,
        supported_until: None,
        notes: String::new(),
        attachments: Vec::new(),
        built_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn packed(root: &Path) -> (Vec<u8>, ReleaseManifest) {
    let source = PayloadSource::scan(root).unwrap();
    let mut out = Vec::new();
    let payload = source.write_gzip(&mut out).unwrap();
    (out, manifest(source.files(), payload))
}

fn tar_of(compressed: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    GzDecoder::new(compressed).read_to_end(&mut tar).unwrap();
    tar
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(tar).unwrap();
    encoder.finish().unwrap()
}

fn blob(bytes: &[u8]) -> Blob {
    Blob { sha256: Sha256Digest::of(bytes), length: bytes.len() as u64 }
}

/// A vendor who signs whatever this tar is: only the list of files stays honest.
fn resigned(manifest: &ReleaseManifest, tar: &[u8]) -> (Vec<u8>, ReleaseManifest) {
    let compressed = gzip(tar);
    let mut manifest = manifest.clone();
    manifest.payload.tar = blob(tar);
    manifest.payload.encodings.insert("gzip".to_owned(), blob(&compressed));
    (compressed, manifest)
}

fn unpacked(compressed: &[u8], manifest: &ReleaseManifest) -> Result<TempDir, ReadError> {
    let out = tempfile::tempdir().unwrap();
    read_gzip(compressed, manifest, &mut FolderSink::new(out.path()))?;
    Ok(out)
}

/// Path to what is there, modes reduced to what a payload keeps.
fn listing(root: &Path) -> BTreeMap<String, String> {
    PayloadSource::scan(root)
        .unwrap()
        .files()
        .iter()
        .map(|entry| (entry.path.to_string(), format!("{:?}", entry.kind)))
        .collect()
}

#[test]
fn what_was_packed_comes_out_again() {
    let folder = folder();
    let (compressed, manifest) = packed(folder.path());
    assert_eq!(manifest.check(), Vec::<String>::new());
    assert_eq!(manifest.payload.encodings["gzip"], blob(&compressed));
    assert_eq!(manifest.payload.tar, blob(&tar_of(&compressed)));
    let out = unpacked(&compressed, &manifest).unwrap();
    assert_eq!(listing(out.path()), listing(folder.path()));
    let mode = |path: &str| fs::metadata(out.path().join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("bin/program"), mode("data/empty"), mode("data/exact")), (0o755, 0o644, 0o644));
}

#[test]
fn the_same_files_give_the_same_payload_whenever_and_wherever() {
    let (first, _) = packed(folder().path());
    let second_folder = folder();
    fs::File::open(second_folder.path().join("data.txt"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    let (second, _) = packed(second_folder.path());
    assert_eq!(first, second);
    assert_eq!(first[4..10], [0, 0, 0, 0, 2, 255], "gzip: no time, best compression, no system");
}

#[test]
fn the_frozen_payload_stays_readable_and_its_tar_is_still_the_one_written() {
    let frozen = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/payload/golden/payload-v1.tar.gz");
    let frozen = fs::read(frozen).unwrap();
    let (compressed, manifest) = packed(folder().path());
    assert_eq!(tar_of(&compressed), tar_of(&frozen));
    let (_, mut manifest) = (compressed, manifest);
    manifest.payload.encodings.insert("gzip".to_owned(), blob(&frozen));
    unpacked(&frozen, &manifest).unwrap();
}

#[test]
fn the_program_tar_lists_and_unpacks_a_payload() {
    if Command::new("tar").arg("--version").output().is_err() {
        sealpost_test_support::skips::needs("the program tar").unwrap();
        return;
    }
    let folder = folder();
    let (compressed, manifest) = packed(folder.path());
    let out = tempfile::tempdir().unwrap();
    let archive = out.path().join("payload.tar.gz");
    fs::write(&archive, compressed).unwrap();
    let unpacked = out.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    let listed =
        Command::new("tar").arg("-tzf").arg(&archive).arg("--quoting-style=literal").output().unwrap();
    assert!(listed.status.success() && listed.stderr.is_empty(), "{listed:?}");
    assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), manifest.files.len());
    let extracted = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&unpacked).output().unwrap();
    assert!(extracted.status.success() && extracted.stderr.is_empty(), "{extracted:?}");
    assert_eq!(listing(&unpacked), listing(folder.path()));
}

#[test]
fn everything_wrong_with_a_folder_is_named_at_once() {
    let folder = folder();
    let at = |path: &str| folder.path().join(path);
    fs::create_dir(at("hollow")).unwrap();
    symlink("/etc/passwd", at("absolute")).unwrap();
    symlink("../outside", at("outside")).unwrap();
    symlink("bin/../../outside", at("roundabout")).unwrap();
    fs::write(at("privileged"), b"").unwrap();
    fs::set_permissions(at("privileged"), Permissions::from_mode(0o4755)).unwrap();
    fs::write(folder.path().join(std::ffi::OsStr::new("back\\slash")), b"").unwrap();
    let raw: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"not-\xff-text");
    fs::write(folder.path().join(raw), b"").unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();

    let refused = PayloadSource::scan(folder.path()).unwrap_err();
    let named: Vec<&str> = refused.problems.iter().map(|problem| problem.path.as_str()).collect();
    for path in ["hollow", "absolute", "outside", "roundabout", "privileged", "socket", "pipe"] {
        assert!(named.contains(&path), "{path} is not among {named:?}");
    }
    assert_eq!(named.len(), 9, "{refused}");
    let empty = tempfile::tempdir().unwrap();
    assert!(PayloadSource::scan(empty.path()).is_err());
    assert!(PayloadSource::scan(empty.path().join("missing")).is_err());
}

#[test]
fn a_link_or_a_pipe_put_in_the_place_of_a_file_while_it_is_packed_is_neither_followed_nor_waited_for() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    for pipe in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"").unwrap();
        let source = PayloadSource::scan(folder.path()).unwrap();
        fs::remove_file(&file).unwrap();
        if pipe {
            rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        } else {
            // The same content, so only the link itself gives it away.
            symlink(secret.path(), &file).unwrap();
        }
        let refused = source.write_gzip(Vec::new()).unwrap_err();
        assert!(matches!(refused, WriteError::Read { .. }), "{refused}");
    }
}

#[test]
fn a_file_that_changes_while_it_is_packed_is_found() {
    for content in [b"longer than it was before, by far".as_slice(), b"short", b"BEFORE data/ in byte order"]
    {
        let folder = folder();
        let source = PayloadSource::scan(folder.path()).unwrap();
        fs::write(folder.path().join("data.txt"), content).unwrap();
        let outcome = source.write_gzip(io::sink());
        // A longer file is cut where the list says; only its beginning can be told apart.
        assert!(matches!(outcome, Err(WriteError::Changed { .. })), "{outcome:?}");
    }
}

#[test]
fn a_payload_cut_at_any_byte_or_continued_is_refused() {
    let (compressed, manifest) = packed(folder().path());
    for end in (0..compressed.len()).step_by(7).chain([compressed.len() - 1]) {
        let outcome = unpacked(&compressed[..end], &manifest);
        assert!(matches!(outcome, Err(ReadError::CompressedDiffers)), "cut at {end}: {outcome:?}");
    }
    let longer = [compressed.as_slice(), b"x"].concat();
    assert!(matches!(unpacked(&longer, &manifest), Err(ReadError::CompressedDiffers)));
    let twice = [compressed.as_slice(), &compressed].concat();
    assert!(matches!(unpacked(&twice, &manifest), Err(ReadError::CompressedDiffers)));
}

#[test]
fn a_flipped_bit_anywhere_in_the_payload_is_found() {
    let (compressed, manifest) = packed(folder().path());
    for index in 0..compressed.len() {
        let mut changed = compressed.clone();
        changed[index] ^= 0x10;
        assert!(unpacked(&changed, &manifest).is_err(), "flipped at {index}");
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_tar_is_found_even_when_the_sums_were_signed_again() {
    let (compressed, manifest) = packed(folder().path());
    let tar = tar_of(&compressed);
    for index in (0..tar.len()).step_by(13) {
        let mut changed = tar.clone();
        changed[index] ^= 0x01;
        let (compressed, manifest) = resigned(&manifest, &changed);
        assert!(unpacked(&compressed, &manifest).is_err(), "flipped at {index}");
    }
}

/// One file `a` with content `hello`, and what an attacker makes of its tar.
fn small() -> (Vec<u8>, ReleaseManifest) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), b"hello").unwrap();
    let (compressed, manifest) = packed(folder.path());
    (tar_of(&compressed), manifest)
}

fn header(name: &[u8], kind: tar::EntryType, link: &str, length: u64) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(length);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_link_name_literal(link).unwrap();
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn nothing_but_the_entry_of_the_manifest_is_accepted_in_its_place() {
    use tar::EntryType as Type;
    let (honest, manifest) = small();
    let hostile = [
        ("a way out", header(b"../a", Type::Regular, "", 5)),
        ("an absolute path", header(b"/a", Type::Regular, "", 5)),
        ("another name", header(b"b", Type::Regular, "", 5)),
        ("a link out of the tree", header(b"a", Type::Symlink, "/etc/passwd", 5)),
        ("a hard link", header(b"a", Type::Link, "/etc/passwd", 5)),
        ("a device", header(b"a", Type::Char, "", 5)),
        ("a block device", header(b"a", Type::Block, "", 5)),
        ("a pipe", header(b"a", Type::Fifo, "", 5)),
        ("a folder", header(b"a", Type::Directory, "", 5)),
        ("a longer file", header(b"a", Type::Regular, "", 6)),
        ("a shorter file", header(b"a", Type::Regular, "", 4)),
        ("a huge file", header(b"a", Type::Regular, "", 0o77_777_777_777)),
        ("a GNU long name", header(b"././@LongLink", Type::GNULongName, "", 5)),
        ("a pax header", header(b"PaxHeaders/long", Type::XHeader, "", 5)),
        ("a global pax header", header(b"pax_global_header", Type::XGlobalHeader, "", 5)),
        ("a sparse file", header(b"a", Type::GNUSparse, "", 5)),
    ];
    for (what, head) in hostile {
        let mut tar = honest.clone();
        tar[..512].copy_from_slice(&head);
        let (compressed, manifest) = resigned(&manifest, &tar);
        let out = tempfile::tempdir().unwrap();
        let outcome = read_gzip(compressed.as_slice(), &manifest, &mut FolderSink::new(out.path()));
        assert!(matches!(outcome, Err(ReadError::Entry { .. })), "{what}: {outcome:?}");
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0, "{what} wrote something");
    }
}

#[test]
fn an_entry_that_the_manifest_lacks_is_refused_at_either_end() {
    let (honest, manifest) = small();
    for tar in
        [[&honest[..1024], &honest].concat(), [&honest, &honest[..1024]].concat(), honest[..1024].to_vec()]
    {
        let (compressed, resigned) = resigned(&manifest, &tar);
        assert!(matches!(unpacked(&compressed, &resigned), Err(ReadError::Manifest { .. })));
        // And under the honest lengths, for a reader that would only look at the stream:
        let mut lying = manifest.clone();
        lying.payload.encodings = resigned.payload.encodings.clone();
        let outcome = unpacked(&compressed, &lying);
        assert!(matches!(outcome, Err(ReadError::TarDiffers)), "{outcome:?}");
    }
}

#[test]
fn other_content_under_honest_sums_of_the_streams_is_refused() {
    let (mut tar, manifest) = small();
    tar[512] = b'H';
    let (compressed, manifest) = resigned(&manifest, &tar);
    assert!(matches!(unpacked(&compressed, &manifest), Err(ReadError::Content { .. })));
}

#[test]
fn a_tar_that_is_not_the_signed_one_is_refused_even_if_every_file_in_it_is() {
    let (tar, manifest) = small();
    let (compressed, mut manifest) = resigned(&manifest, &tar);
    manifest.payload.tar.sha256 = Sha256Digest::of(b"another tar");
    assert!(matches!(unpacked(&compressed, &manifest), Err(ReadError::TarDiffers)));
}

#[test]
fn bytes_hidden_in_padding_and_end_blocks_are_refused() {
    let (honest, manifest) = small();
    for index in [512 + 5, 1023, 1024, honest.len() - 1] {
        let mut tar = honest.clone();
        tar[index] = 1;
        let (compressed, manifest) = resigned(&manifest, &tar);
        assert!(matches!(unpacked(&compressed, &manifest), Err(ReadError::TarDiffers)), "{index}");
    }
}

#[test]
fn a_decompression_bomb_is_not_unpacked_beyond_what_was_signed() {
    struct Counting(u64);
    impl PayloadSink for Counting {
        fn create_file(
            &mut self,
            _: &RelativePath,
            _: u32,
            _: u64,
            content: &mut dyn Read,
        ) -> io::Result<()> {
            self.0 += io::copy(content, &mut io::sink())?;
            Ok(())
        }
        fn create_symlink(&mut self, _: &RelativePath, _: &str) -> io::Result<()> {
            Ok(())
        }
    }
    let (mut tar, mut manifest) = small();
    tar.resize(64 << 20, 0);
    let compressed = gzip(&tar);
    manifest.payload.encodings.insert("gzip".to_owned(), blob(&compressed));
    let mut sink = Counting(0);
    let outcome = read_gzip(compressed.as_slice(), &manifest, &mut sink);
    assert!(matches!(outcome, Err(ReadError::TarDiffers)), "{outcome:?}");
    assert_eq!(sink.0, 5);
}

#[test]
fn a_manifest_that_would_lead_out_of_the_folder_is_refused_before_anything_is_written() {
    let (tar, manifest) = small();
    let link = |path: &str, target: &str| FileEntry {
        path: RelativePath::new(path).unwrap(),
        kind: FileKind::Symlink { target: target.to_owned() },
    };
    let beneath = FileEntry { path: RelativePath::new("a/b").unwrap(), ..manifest.files[0].clone() };
    for files in [
        vec![link("x", "/etc")],
        vec![link("x", "..")],
        vec![link("p/q/x", "../.."), link("y", "p/q/x/..")],
        vec![link("a", "b"), beneath],
        vec![manifest.files[0].clone(), manifest.files[0].clone()],
        Vec::new(),
    ] {
        let mut manifest = manifest.clone();
        manifest.files = files;
        let compressed = gzip(&tar);
        let outcome = unpacked(&compressed, &manifest);
        assert!(matches!(outcome, Err(ReadError::Manifest { .. })), "{outcome:?}");
    }
}

#[test]
fn a_source_that_fails_is_told_apart_from_a_payload_that_differs() {
    struct Failing<'a>(&'a [u8]);
    impl Read for Failing<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            self.0.read(buffer)
        }
    }
    let (compressed, manifest) = packed(folder().path());
    for end in [0, 5, compressed.len() / 2, compressed.len() - 1] {
        let out = tempfile::tempdir().unwrap();
        let outcome = read_gzip(Failing(&compressed[..end]), &manifest, &mut FolderSink::new(out.path()));
        assert!(matches!(outcome, Err(ReadError::Read(_))), "cut at {end}: {outcome:?}");
    }
}

#[test]
fn a_sink_that_fails_is_told_apart_from_a_payload_that_differs() {
    let (compressed, manifest) = packed(folder().path());
    let out = tempfile::tempdir().unwrap();
    fs::write(out.path().join("data.txt"), b"already here").unwrap();
    let outcome = read_gzip(compressed.as_slice(), &manifest, &mut FolderSink::new(out.path()));
    assert!(matches!(outcome, Err(ReadError::Sink { .. })), "{outcome:?}");
    assert_eq!(fs::read(out.path().join("data.txt")).unwrap(), b"already here");
}

//! Records and keys as programs keep them in files, and sealed documents.

use sealpost_agent_updater::domain::boot::BootId;
use sealpost_agent_updater::domain::gate::{End, Gate, Opening};
use sealpost_agent_updater::domain::gate_file::to_text;
use sealpost_files::frame;
use sealpost_fuzz::{SEALED_TEXTS, seal_context, sealing_key};
use sealpost_keys::sealed::seal;
use sealpost_manifests::ids::PackageName;

use super::golden::{Seeds, golden};

pub(super) fn frames() -> Seeds {
    vec![
        ("empty", frame("seed 2", b"")),
        ("lines", frame("two words 2", b"{\"a\":1}\n\n{\"b\":2}\n")),
        ("record", frame("seed 2", b"some bytes")),
    ]
}

pub(super) fn gate_files() -> Seeds {
    let package = PackageName::new("acme-av").unwrap();
    let boot = BootId::new("8f7e9a34-1111-4a2b-9c3d-000000000001").unwrap();
    let until = |until_boot| Opening::Until(End { until_boot, until_wall: 1_003_600 });
    let text = |boot_id, run, upload, remote_management| {
        to_text(&package, boot_id, &Gate { run, upload, remote_management }).into_bytes()
    };
    vec![
        ("golden_closed", golden("agent-updater/tests/golden/gate-closed.v2")),
        ("golden_open", golden("agent-updater/tests/golden/gate-open.v2")),
        ("contact", text(Some(&boot), Opening::Open, until(Some(4_100)), until(Some(4_100)))),
        ("no_boot_clock", text(None, until(None), until(None), Opening::Closed)),
        ("refused_closed", text(Some(&boot), Opening::Closed, Opening::Closed, Opening::Closed)),
        ("run_only", text(Some(&boot), Opening::Open, Opening::Closed, Opening::Closed)),
    ]
}

pub(super) fn key_files() -> Seeds {
    let keys = |name: &str| golden(&format!("keys/tests/golden/{name}"));
    vec![
        ("refused_encrypted", keys("encrypted.key")),
        ("public", keys("public.pub")),
        ("sealing", keys("sealing.v2.key")),
        ("unencrypted", keys("unencrypted-by-minisign.key")),
    ]
}

/// Sealing draws a key each time, so these are other bytes whenever they are made.
pub(super) fn sealed_documents() -> Seeds {
    let names = ["empty", "short", "long"];
    let sealed = |text: &&[u8]| seal(text, &sealing_key().public(), &seal_context()).unwrap();
    let changed = [
        ("changed", b"100 60 0".to_vec()),
        ("cut_between_chunks", b"65537 65604 1".to_vec()),
        ("extended", b"65536 52 2".to_vec()),
        ("reordered", b"131072 65552 4".to_vec()),
    ];
    names.into_iter().zip(SEALED_TEXTS.iter().map(sealed)).chain(changed).collect()
}

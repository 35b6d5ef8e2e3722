use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use sealpost_repository::{
    DownloadError, Downloaded, Reader, Resume, TargetError, TargetInfo, TransportError,
};
use sealpost_test_support::names::target;
use tempfile::TempDir;

use crate::{Answer, Scripted, Vendor, now, silent};

const PAYLOAD: &[u8] = b"payload one";

/// A reader whose targets come from a script, and the target that is downloaded.
struct Scene {
    _vendor: Vendor,
    folder: TempDir,
    script: std::sync::Arc<Scripted>,
    reader: Reader,
    info: TargetInfo,
}

impl Scene {
    async fn new(answers: Vec<Answer>) -> Self {
        let vendor = Vendor::with_release();
        let folder = tempfile::tempdir().unwrap();
        let script = Scripted::new(&vendor, answers);
        let store = folder.path().join("store");
        let mut reader = Reader::open(&vendor.root_bytes, &store, script.clone()).unwrap();
        reader.refresh(now()).await.unwrap();
        let info = reader.target(&target("acme-av_1.0.0_any.tar.gz"), now()).await.unwrap().unwrap();
        assert_eq!(info.length(), PAYLOAD.len() as u64);
        Self { _vendor: vendor, folder, script, reader, info }
    }

    fn destination(&self) -> PathBuf {
        self.folder.path().join("payload")
    }

    fn part(&self) -> PathBuf {
        self.folder.path().join("payload.part")
    }

    async fn download(&self, resume: Resume) -> Result<Downloaded, DownloadError> {
        self.reader.download(self.info.listed(), &self.destination(), resume, &mut |_| {}).await
    }

    fn assert_whole(&self) {
        assert_eq!(fs::read(self.destination()).unwrap(), PAYLOAD);
        assert!(!self.part().exists());
    }

    fn assert_nothing(&self) {
        assert!(!self.destination().exists());
    }
}

fn pieces(offset: u64, pieces: &[&[u8]], cut: bool) -> Answer {
    Answer::Pieces { offset, pieces: pieces.iter().map(|piece| piece.to_vec()).collect(), cut }
}

#[tokio::test]
async fn a_cut_download_resumes_where_it_was_cut() {
    let scene = Scene::new(vec![
        pieces(0, &[b"payl", b"oa"], true),
        pieces(6, &[b"d "], false),
        pieces(8, &[b"one"], false),
    ])
    .await;
    let mut seen = Vec::new();
    let first = scene
        .reader
        .download(scene.info.listed(), &scene.destination(), Resume::Continue, &mut |bytes| seen.push(bytes))
        .await;
    assert!(matches!(first, Err(DownloadError::Interrupted { received: 6, total: 11, source: Some(_), .. })));
    assert_eq!(seen, [0, 4, 6]);
    let second = scene.download(Resume::Continue).await;
    assert!(matches!(second, Err(DownloadError::Interrupted { received: 8, total: 11, source: None, .. })));
    scene.assert_nothing();
    assert_eq!(scene.download(Resume::Continue).await.unwrap(), Downloaded::Fetched { resumed_at: 8 });
    assert_eq!(scene.script.asked(), [0, 6, 8]);
    scene.assert_whole();
}

#[tokio::test]
async fn a_target_that_is_there_is_not_fetched_again_and_a_damaged_one_is() {
    let scene = Scene::new(vec![pieces(0, &[PAYLOAD], false), pieces(0, &[PAYLOAD], false)]).await;
    assert_eq!(scene.download(Resume::Continue).await.unwrap(), Downloaded::Fetched { resumed_at: 0 });
    assert_eq!(scene.download(Resume::Continue).await.unwrap(), Downloaded::AlreadyThere);
    fs::write(scene.destination(), b"payload oNe").unwrap();
    assert_eq!(scene.download(Resume::Continue).await.unwrap(), Downloaded::Fetched { resumed_at: 0 });
    assert_eq!(scene.script.asked(), [0, 0]);
    scene.assert_whole();
}

#[tokio::test]
async fn a_payload_that_is_longer_than_signed_is_thrown_away() {
    for extra in [pieces(0, &[b"payload one!"], false), pieces(0, &[PAYLOAD, b"!"], false)] {
        let scene = Scene::new(vec![extra]).await;
        let error = scene.download(Resume::Continue).await.unwrap_err();
        assert!(matches!(error, DownloadError::TooLong { total: 11, .. }), "{error}");
        scene.assert_nothing();
        assert!(!scene.part().exists());
    }
}

#[tokio::test]
async fn a_payload_that_is_shorter_than_signed_is_kept_as_a_part_only() {
    let scene = Scene::new(vec![pieces(0, &[b"payload"], false)]).await;
    let error = scene.download(Resume::Continue).await.unwrap_err();
    assert!(matches!(error, DownloadError::Interrupted { received: 7, .. }), "{error}");
    scene.assert_nothing();
}

#[tokio::test]
async fn a_payload_other_than_signed_is_thrown_away() {
    let scene = Scene::new(vec![pieces(0, &[b"payload ONE"], false)]).await;
    let error = scene.download(Resume::Continue).await.unwrap_err();
    assert!(matches!(error, DownloadError::Mismatch { .. }), "{error}");
    scene.assert_nothing();
    assert!(!scene.part().exists());
}

#[tokio::test]
async fn a_kept_part_of_something_else_is_found_and_the_download_starts_over() {
    let scene = Scene::new(vec![pieces(4, &[b"oad one"], false), pieces(0, &[PAYLOAD], false)]).await;
    fs::write(scene.part(), b"EVIL").unwrap();
    assert_eq!(scene.download(Resume::Continue).await.unwrap(), Downloaded::Fetched { resumed_at: 0 });
    assert_eq!(scene.script.asked(), [4, 0]);
    scene.assert_whole();
}

#[tokio::test]
async fn a_kept_part_of_full_length_is_checked_without_a_request() {
    let scene = Scene::new(vec![]).await;
    fs::write(scene.part(), PAYLOAD).unwrap();
    assert_eq!(scene.download(Resume::Continue).await.unwrap(), Downloaded::Fetched { resumed_at: 11 });
    scene.assert_whole();
}

#[tokio::test]
async fn a_server_that_cannot_skip_sends_everything_and_it_is_not_appended() {
    let scene = Scene::new(vec![pieces(0, &[PAYLOAD], false)]).await;
    fs::write(scene.part(), b"payl").unwrap();
    assert_eq!(scene.download(Resume::Continue).await.unwrap(), Downloaded::Fetched { resumed_at: 0 });
    assert_eq!(scene.script.asked(), [4]);
    scene.assert_whole();
}

#[tokio::test]
async fn a_wrong_answer_to_a_request_for_the_rest_starts_over_once() {
    let wrong: [fn() -> TransportError; 2] = [
        || TransportError::WrongRange { location: "x".to_owned() },
        || TransportError::NoSuchRange { location: "x".to_owned() },
    ];
    for error in wrong {
        let scene = Scene::new(vec![Answer::Error(error), pieces(0, &[PAYLOAD], false)]).await;
        fs::write(scene.part(), b"payl").unwrap();
        scene.download(Resume::Continue).await.unwrap();
        assert_eq!(scene.script.asked(), [4, 0]);
        scene.assert_whole();
    }
}

#[tokio::test]
async fn starting_over_ignores_what_was_kept() {
    let scene = Scene::new(vec![pieces(0, &[PAYLOAD], false)]).await;
    fs::write(scene.part(), b"payl").unwrap();
    assert_eq!(scene.download(Resume::StartOver).await.unwrap(), Downloaded::Fetched { resumed_at: 0 });
    assert_eq!(scene.script.asked(), [0]);
}

#[tokio::test]
async fn an_absent_or_unreachable_target_leaves_everything_as_it_was() {
    let scene = Scene::new(vec![Answer::Absent, Answer::Error(silent)]).await;
    fs::write(scene.part(), b"payl").unwrap();
    assert!(matches!(scene.download(Resume::Continue).await, Err(DownloadError::Absent { .. })));
    assert!(matches!(scene.download(Resume::Continue).await, Err(DownloadError::Transport { .. })));
    assert_eq!(fs::read(scene.part()).unwrap(), b"payl");
    scene.assert_nothing();
}

#[tokio::test]
async fn a_pipe_in_the_place_of_the_target_is_replaced_and_not_waited_for() {
    let scene = Scene::new(vec![pieces(0, &[PAYLOAD], false)]).await;
    let pipe = scene.destination();
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(scene.download(Resume::Continue).await.unwrap(), Downloaded::Fetched { resumed_at: 0 });
    scene.assert_whole();
}

#[tokio::test]
async fn a_link_in_the_place_of_the_part_is_not_followed() {
    let scene = Scene::new(vec![]).await;
    let victim = scene.folder.path().join("victim");
    fs::write(&victim, b"precious").unwrap();
    symlink(&victim, scene.part()).unwrap();
    assert!(matches!(
        scene.download(Resume::Continue).await,
        Err(DownloadError::File { action: "open", .. })
    ));
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[tokio::test]
async fn nothing_is_downloaded_after_the_store_has_failed() {
    let mut scene = Scene::new(vec![]).await;
    fs::write(scene.folder.path().join("store/timestamp.blob"), b"bad").unwrap();
    assert!(scene.reader.refresh(now()).await.is_err());
    assert!(matches!(scene.download(Resume::Continue).await, Err(DownloadError::Store { .. })));
    assert!(scene.script.asked().is_empty());
}

#[tokio::test]
async fn a_document_in_memory_is_bounded_and_checked() {
    let mut scene = Scene::new(vec![
        pieces(0, &[b"{\"trust\"", b":1}"], false),
        pieces(0, &[b"{\"trust\":1} "], false),
        pieces(0, &[b"{\"trust\":2}"], false),
        pieces(0, &[b"{\"trust\""], false),
    ])
    .await;
    let name = target("trust.json");
    assert_eq!(scene.reader.target_bytes(&name, 11, now()).await.unwrap(), b"{\"trust\":1}");
    for _ in 0..3 {
        assert!(matches!(
            scene.reader.target_bytes(&name, 11, now()).await,
            Err(TargetError::Download { .. })
        ));
    }
    let error = scene.reader.target_bytes(&name, 10, now()).await.unwrap_err();
    assert!(matches!(error, TargetError::TooLarge { length: 11, max_bytes: 10, .. }));
    let error = scene.reader.target_bytes(&target("nothing"), 10, now()).await.unwrap_err();
    assert!(matches!(error, TargetError::NotListed { .. }));
    assert_eq!(scene.script.asked(), [0, 0, 0, 0]);
}

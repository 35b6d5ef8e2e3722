//! A [`Reader`] on a thread of its own, for async programs: its disk work blocks nobody else.
//!
//! Invariant: a call whose future is dropped is cancelled, so that dropping the handle ends the thread, and with it
//! the lock on the store, at once. Downloads run beside other calls.
//! Give it a `reqwest::Client` of its own: the connections of a client live on the thread that made them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use crate::reading::download::{self, Downloaded, Resume};
use crate::reading::errors::{DownloadError, Gone, MirrorError, OpenError, RefreshError, TargetError};
use crate::reading::mirror::MirroredFile;
use crate::reading::reader::{Reader, Refreshed};
use crate::reading::store::StoreError;
use crate::target::{ListedTarget, TargetInfo};
use crate::transport::Transport;
use sealpost_manifests::ids::{PackageName, TargetName};

/// Calls that may wait; more callers wait for a place.
const WAITING_CALLS: usize = 16;

type Command = Box<dyn for<'a> FnOnce(&'a mut Reader) -> BoxFuture<'a, ()> + Send>;

/// A reader on its own thread. All methods are those of [`Reader`].
#[derive(Debug)]
pub struct ReaderHandle {
    commands: Option<mpsc::Sender<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl ReaderHandle {
    /// See [`Reader::open`].
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open(
        pinned_root: Vec<u8>,
        store: PathBuf,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, OpenError> {
        let (commands, waiting) = mpsc::channel(WAITING_CALLS);
        let (opened, answer) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("metadata-reader".to_owned())
            .spawn(move || run(&pinned_root, &store, transport, opened, waiting))
            .map_err(|source| OpenError::Thread { source })?;
        let handle = Self { commands: Some(commands), thread: Some(thread) };
        answer.await.unwrap_or(Err(OpenError::Gone(Gone)))?;
        Ok(handle)
    }

    /// See [`Reader::refresh`].
    ///
    /// # Errors
    /// [`RefreshError`].
    pub async fn refresh(&self, now: Timestamp) -> Result<Refreshed, RefreshError> {
        self.call(move |reader| Box::pin(reader.refresh(now))).await?
    }

    /// See [`Reader::target`].
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn target(&self, name: &TargetName, now: Timestamp) -> Result<Option<TargetInfo>, TargetError> {
        let name = name.clone();
        self.call(move |reader| Box::pin(async move { reader.target(&name, now).await })).await?
    }

    /// See [`Reader::target_bytes`].
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn target_bytes(
        &self,
        name: &TargetName,
        max_bytes: u64,
        now: Timestamp,
    ) -> Result<Vec<u8>, TargetError> {
        let name = name.clone();
        self.call(move |reader| Box::pin(async move { reader.target_bytes(&name, max_bytes, now).await }))
            .await?
    }

    /// See [`Reader::download`]. Other calls go on meanwhile; dropping the future stops the download, and what came
    /// is kept.
    ///
    /// # Errors
    /// [`DownloadError`].
    pub async fn download(
        &self,
        target: &ListedTarget,
        destination: &Path,
        resume: Resume,
        mut progress: impl FnMut(u64) + Send + 'static,
    ) -> Result<Downloaded, DownloadError> {
        let (target, destination) = (target.clone(), destination.to_owned());
        let (mut reply, answer) = oneshot::channel();
        let command: Command = Box::new(move |reader| {
            let (transport, latch) = (Arc::clone(&reader.transport), reader.latch.clone());
            drop(tokio::spawn(async move {
                let work =
                    download::to_file(&*transport, &latch, &target, &destination, resume, &mut progress);
                let result = tokio::select! {
                    () = reply.closed() => return,
                    result = work => result,
                };
                // If the caller is gone nothing is lost: the file is in its place.
                let _ = reply.send(result);
            }));
            Box::pin(async {})
        });
        self.send(command).await?;
        answer.await.map_err(|_| Gone)?
    }

    /// See [`Reader::all_roles`].
    ///
    /// # Errors
    /// [`MirrorError`].
    pub async fn all_roles(&self, now: Timestamp) -> Result<Vec<MirroredFile>, MirrorError> {
        self.call(move |reader| Box::pin(reader.all_roles(now))).await?
    }

    /// See [`Reader::package_targets`].
    ///
    /// # Errors
    /// [`MirrorError`].
    pub async fn package_targets(
        &self,
        package: &PackageName,
        now: Timestamp,
    ) -> Result<Vec<TargetInfo>, MirrorError> {
        let package = package.clone();
        self.call(move |reader| Box::pin(async move { reader.package_targets(&package, now).await })).await?
    }

    /// See [`Reader::packages`].
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn packages(&self) -> Result<Vec<PackageName>, Gone> {
        self.call(|reader| Box::pin(async { reader.packages() })).await
    }

    /// See [`Reader::root_bytes`].
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn root_bytes(&self) -> Result<Vec<u8>, Gone> {
        self.call(|reader| Box::pin(async { reader.root_bytes().to_vec() })).await
    }

    /// See [`Reader::failure`].
    ///
    /// # Errors
    /// [`Gone`].
    pub async fn failure(&self) -> Result<Option<Arc<StoreError>>, Gone> {
        self.call(|reader| Box::pin(async { reader.failure() })).await
    }

    async fn call<R, F>(&self, work: F) -> Result<R, Gone>
    where
        R: Send + 'static,
        F: for<'a> FnOnce(&'a mut Reader) -> BoxFuture<'a, R> + Send + 'static,
    {
        let (mut reply, answer) = oneshot::channel();
        let command: Command = Box::new(move |reader| {
            Box::pin(async move {
                let result = tokio::select! {
                    () = reply.closed() => return,
                    result = work(reader) => result,
                };
                // If the caller is gone, what was verified is kept all the same.
                let _ = reply.send(result);
            })
        });
        self.send(command).await?;
        answer.await.map_err(|_| Gone)
    }

    async fn send(&self, command: Command) -> Result<(), Gone> {
        self.commands.as_ref().ok_or(Gone)?.send(command).await.map_err(|_| Gone)
    }
}

impl Drop for ReaderHandle {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // Short: every call is cancelled, since its caller is gone. A panic was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn run(
    pinned_root: &[u8],
    store: &Path,
    transport: Arc<dyn Transport>,
    opened: oneshot::Sender<Result<(), OpenError>>,
    mut waiting: mpsc::Receiver<Command>,
) {
    let started = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| OpenError::Thread { source })
        .and_then(|runtime| Ok((runtime, Reader::open(pinned_root, store, transport)?)));
    let (runtime, mut reader) = match started {
        Ok(started) => started,
        Err(error) => {
            // If the caller is gone, nobody needs the reason.
            let _ = opened.send(Err(error));
            return;
        }
    };
    if opened.send(Ok(())).is_err() {
        return;
    }
    runtime.block_on(async {
        while let Some(command) = waiting.recv().await {
            command(&mut reader).await;
        }
    });
}

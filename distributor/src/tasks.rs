//! The tasks of a running server, and the order in which they end: listeners first, so that nothing new comes in; what
//! follows the ledger last, after it has closed. A panic in any of them is noticed (`sealpost_service::supervision`):
//! without a listener or the ledger's writer the process ends, everything else is started again.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use sealpost_ledger::Ledger;
use sealpost_service::supervision::Supervision;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Time for what follows the ledger to end after it. What it leaves undone it does after the next start.
const FOLLOWERS_END_WITHIN: Duration = Duration::from_secs(2);

/// As the module says.
#[derive(Debug)]
pub struct Tasks {
    supervision: Supervision,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    followers: Vec<JoinHandle<()>>,
    schedules: Vec<JoinHandle<()>>,
}

impl Tasks {
    #[must_use]
    pub fn new(supervision: Supervision) -> Self {
        let (stop, _) = watch::channel(false);
        Self { supervision, stop, listeners: Vec::new(), followers: Vec::new(), schedules: Vec::new() }
    }

    /// Starts a listener, made with a future that resolves when it is to stop.
    pub fn listen<F>(&mut self, name: &'static str, listener: impl FnOnce(Stopped) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stopped: Stopped = Box::pin(stopped(self.stop.subscribe()));
        self.listeners.push(tokio::spawn(self.supervision.needed(name, listener(stopped))));
    }

    /// Starts something that follows the ledger and ends with it; `follower` begins it.
    pub fn follow<F>(&mut self, name: &'static str, follower: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.followers.push(tokio::spawn(self.supervision.started_again(name, follower)));
    }

    /// Starts something that is aborted when the server stops, if it is wanted; `schedule` begins it.
    pub fn schedule<F>(&mut self, name: &'static str, schedule: Option<impl FnMut() -> F + Send + 'static>)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let work = schedule.map(|schedule| self.supervision.started_again(name, schedule));
        self.schedules.extend(work.map(tokio::spawn));
    }

    /// Notices when the ledger's writer ends, until the server stops: nothing can be written any more then.
    pub fn watch_writer(&mut self, ledger: Arc<Ledger>) {
        let supervision = self.supervision.clone();
        self.schedules.push(tokio::spawn(async move {
            ledger.writer_ended().await;
            supervision.fail("the ledger's writer", "has ended");
        }));
    }

    /// Tells the listeners to stop, and waits until their requests have ended; aborts the schedules.
    pub async fn stop_listening(&mut self) {
        // Fails only when no listener is left.
        let _ = self.stop.send(true);
        for listener in self.listeners.drain(..) {
            // Its panic is known by now.
            let _ = listener.await;
        }
        for schedule in self.schedules.drain(..) {
            schedule.abort();
        }
    }

    /// Waits for the followers, which end when the ledger has closed.
    pub async fn end(self) {
        for mut follower in self.followers {
            if tokio::time::timeout(FOLLOWERS_END_WITHIN, &mut follower).await.is_err() {
                follower.abort();
            }
        }
    }
}

/// Resolves when a listener is to stop.
pub type Stopped = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

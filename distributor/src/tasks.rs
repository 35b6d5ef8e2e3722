//! The tasks of a running server, and the order in which they end: listeners first, so that nothing new comes in; what
//! follows the ledger last, after it has closed.

use std::future::Future;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Time for what follows the ledger to end after it. What it leaves undone it does after the next start.
const FOLLOWERS_END_WITHIN: Duration = Duration::from_secs(2);

/// As the module says.
#[derive(Debug)]
pub struct Tasks {
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    followers: Vec<JoinHandle<()>>,
    schedules: Vec<JoinHandle<()>>,
}

impl Tasks {
    #[must_use]
    pub fn new() -> Self {
        let (stop, _) = watch::channel(false);
        Self { stop, listeners: Vec::new(), followers: Vec::new(), schedules: Vec::new() }
    }

    /// Starts a listener, made with a future that resolves when it is to stop.
    pub fn listen<F>(&mut self, listener: impl FnOnce(Stopped) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stopped: Stopped = Box::pin(stopped(self.stop.subscribe()));
        self.listeners.push(tokio::spawn(listener(stopped)));
    }

    /// Starts something that follows the ledger and ends with it.
    pub fn follow(&mut self, follower: impl Future<Output = ()> + Send + 'static) {
        self.followers.push(tokio::spawn(follower));
    }

    /// Takes over a task that is aborted when the server stops.
    pub fn schedule(&mut self, schedule: Option<JoinHandle<()>>) {
        self.schedules.extend(schedule);
    }

    /// Tells the listeners to stop, and waits until their requests have ended; aborts the schedules.
    pub async fn stop_listening(&mut self) {
        // Fails only when no listener is left.
        let _ = self.stop.send(true);
        for listener in self.listeners.drain(..) {
            if let Err(error) = listener.await {
                tracing::error!(%error, "a listener ended by a panic");
            }
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

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

/// Resolves when a listener is to stop.
pub type Stopped = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

//! Watching a folder, so that what others lay there is seen at once. A share of another computer may tell nothing: whoever
//! watches looks now and then all the same.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

/// Watches a folder until the end, and calls `changed` when a file of that name appeared or was replaced there. `folder` says
/// which one it is, once it is there; one that goes away is looked for again after a pause. A share may hang, so it is
/// touched on threads for blocking work only.
pub async fn watch(
    folder: impl Fn() -> Option<PathBuf> + Send + Sync + 'static,
    name: &'static str,
    again: Duration,
    changed: impl Fn() + Clone + Send + 'static,
) {
    let folder = Arc::new(folder);
    loop {
        let (ended, mut ends) = mpsc::channel(1);
        let (told, find) = (changed.clone(), Arc::clone(&folder));
        let begun = spawn_blocking(move || {
            let path = find()?;
            let handler = move |event: notify::Result<Event>| match event {
                Ok(event) => {
                    let is_meant = event.paths.iter().any(|path| path.ends_with(name));
                    if is_meant && !event.kind.is_access() {
                        told();
                    }
                }
                // It is begun anew.
                Err(_) => drop(ended.try_send(())),
            };
            let mut watcher = notify::recommended_watcher(handler).ok()?;
            watcher.watch(&path, RecursiveMode::NonRecursive).ok()?;
            Some((path, watcher))
        });
        let watching = begun.await.ok().flatten();
        let Some((path, _watcher)) = watching else {
            tokio::time::sleep(again).await;
            continue;
        };
        // What came between two watches.
        changed();
        loop {
            tokio::select! {
                Some(()) = ends.recv() => break,
                () = tokio::time::sleep(again) => {}
            }
            let find = Arc::clone(&folder);
            if spawn_blocking(move || find()).await.ok().flatten().as_ref() != Some(&path) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_file_of_the_name_is_seen_and_others_are_not_also_in_a_folder_that_comes_later() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("later");
        let (seen, watched) = (Arc::new(AtomicU32::new(0)), path.clone());
        let told = {
            let seen = Arc::clone(&seen);
            move || {
                let _ = seen.fetch_add(1, Ordering::SeqCst);
            }
        };
        let pause = Duration::from_millis(20);
        let task =
            tokio::spawn(watch(move || watched.is_dir().then(|| watched.clone()), "answer", pause, told));
        let at_least = |count| {
            let seen = Arc::clone(&seen);
            async move {
                for _ in 0..500 {
                    if seen.load(Ordering::SeqCst) >= count {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                panic!("seen {} times", seen.load(Ordering::SeqCst));
            }
        };
        std::fs::create_dir(&path).unwrap();
        at_least(1).await;
        let before = seen.load(Ordering::SeqCst);
        std::fs::write(path.join("other"), b"x").unwrap();
        std::fs::write(path.join("new"), b"x").unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), before);
        std::fs::rename(path.join("new"), path.join("answer")).unwrap();
        at_least(before + 1).await;
        task.abort();
    }
}

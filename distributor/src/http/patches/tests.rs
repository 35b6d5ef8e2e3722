use sealpost_deltas::apply_file;

use super::*;

/// A role that lists so many revisions; each has a digest that no packing makes shorter.
fn role(revisions: u64) -> Vec<u8> {
    let digest = |number: u64| sealpost_manifests::digest::Sha256Digest::of(&number.to_be_bytes());
    let lines = (0..revisions).map(|number| format!("\"{number}\":{{\"sha256\":\"{}\"}},\n", digest(number)));
    lines.collect::<String>().into_bytes()
}

/// Reads `<revisions>.json`, and counts.
fn reader(reads: &Arc<AtomicUsize>) -> impl Fn(&str) -> Option<Vec<u8>> + Send + Clone + use<> {
    let reads = Arc::clone(reads);
    move |name| {
        reads.fetch_add(1, Ordering::SeqCst);
        name.strip_suffix(".json")?.parse().ok().map(role)
    }
}

fn late() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(3600)
}

#[tokio::test]
async fn a_new_revision_costs_a_delta_of_its_own_bytes_and_leads_to_the_file() {
    let reads = Arc::new(AtomicUsize::new(0));
    let patch = Patches::new().between(1, "300.json", "301.json", late(), reader(&reads)).await.unwrap();
    assert!(patch.len() < 300, "{} bytes", patch.len());
    let (delta, base) = (BASE64.decode(patch.as_bytes()).unwrap(), role(300));
    let mut file = Vec::new();
    apply_file(
        &base,
        delta.as_slice(),
        &mut file,
        &sealpost_deltas::Limits::default(),
        &mut |_: Progress| true,
    )
    .unwrap();
    assert_eq!(file, role(301));
}

#[tokio::test]
async fn many_who_hold_the_same_version_cost_one_delta_until_another_generation_is_current() {
    let (patches, reads) = (Patches::new(), Arc::new(AtomicUsize::new(0)));
    let ask = |generation| patches.between(generation, "300.json", "301.json", late(), reader(&reads));
    let all = futures_util::future::join_all((0..100).map(|_| ask(1))).await;
    assert!(all.iter().all(|patch| patch.is_some() && *patch == all[0]));
    assert_eq!(reads.load(Ordering::SeqCst), 2, "two files, read once");
    ask(2).await.unwrap();
    assert_eq!(reads.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn who_cannot_wait_gets_the_file_and_the_delta_is_there_for_the_next() {
    let (patches, reads) = (Patches::new(), Arc::new(AtomicUsize::new(0)));
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let read = reader(&reads);
    let held = move |name: &str| {
        may_go.recv().ok()?;
        read(name)
    };
    let now = tokio::time::Instant::now();
    assert_eq!(patches.between(1, "300.json", "301.json", now, held).await, None);
    go.send(()).unwrap();
    go.send(()).unwrap();
    assert!(patches.between(1, "300.json", "301.json", late(), reader(&reads)).await.is_some());
    assert_eq!(reads.load(Ordering::SeqCst), 2, "nobody began anew");
}

#[tokio::test]
async fn what_is_gone_too_large_or_not_worth_it_is_remembered_as_a_file() {
    let (patches, reads) = (Patches::new(), Arc::new(AtomicUsize::new(0)));
    // 80 bytes each.
    let large = format!("{}.json", MAX_FILE_BYTES / 80 + 10_000);
    for (from, to) in
        [("gone.json", "2.json"), ("2.json", "gone.json"), ("0.json", "2.json"), ("2.json", &large)]
    {
        let before = reads.load(Ordering::SeqCst);
        for _ in 0..2 {
            assert_eq!(patches.between(1, from, to, late(), reader(&reads)).await, None, "{from} {to}");
        }
        assert!(reads.load(Ordering::SeqCst) - before <= 2, "{from} {to}");
    }
}

#[tokio::test]
async fn what_is_remembered_is_bounded_and_what_there_is_no_delta_of_makes_way() {
    let (patches, reads) = (Patches::new(), Arc::new(AtomicUsize::new(0)));
    let pair = |number: usize| (format!("{number}.json"), "other.json".to_owned());
    let good = patches.between(1, "300.json", "301.json", late(), reader(&reads)).await;
    assert!(good.is_some());
    for number in 0..MAX_PAIRS + 10 {
        let from = format!("gone-{number}.json");
        assert_eq!(patches.between(1, &from, "2.json", late(), reader(&reads)).await, None);
    }
    let count = || patches.made.lock().unwrap().patches.len();
    assert!(count() <= MAX_PAIRS);
    let before = reads.load(Ordering::SeqCst);
    assert_eq!(patches.between(1, "300.json", "301.json", late(), reader(&reads)).await, good);
    assert_eq!(reads.load(Ordering::SeqCst), before, "what there is was not forgotten");

    // All places have a delta, or wait for one.
    let patches = Patches::new();
    for number in 0..MAX_PAIRS {
        assert!(patches.place(1, pair(number)).is_some());
    }
    assert!(patches.place(1, pair(MAX_PAIRS)).is_none());
    assert!(patches.place(1, pair(0)).is_some(), "it has its place");
    assert!(patches.place(2, pair(MAX_PAIRS)).is_some(), "another generation begins anew");
}

#[tokio::test]
async fn the_bytes_of_what_is_kept_are_bounded_and_nothing_else_counts() {
    let (patches, reads) = (Patches::new(), Arc::new(AtomicUsize::new(0)));
    let ask = |from: &'static str| patches.between(1, from, "301.json", late(), reader(&reads));
    let kept = ask("300.json").await.unwrap();
    let bytes = patches.place(1, ("a".to_owned(), "b".to_owned())).unwrap().bytes;
    assert_eq!(bytes.load(Ordering::SeqCst), kept.len());
    bytes.store(MAX_BYTES - 1, Ordering::SeqCst);
    assert_eq!(ask("299.json").await, None, "no room for its bytes");
    assert_eq!(bytes.load(Ordering::SeqCst), MAX_BYTES - 1, "it is not kept, and not counted");
    bytes.store(MAX_BYTES, Ordering::SeqCst);
    let before = reads.load(Ordering::SeqCst);
    assert_eq!(ask("298.json").await, None);
    assert_eq!(reads.load(Ordering::SeqCst), before, "not even looked at");
}

#[tokio::test]
async fn who_would_wait_behind_many_others_gets_the_file_at_once_and_a_delta_later() {
    let (patches, reads) = (Patches::new(), Arc::new(AtomicUsize::new(0)));
    let (go, may_go) = std::sync::mpsc::channel::<()>();
    let may_go = Arc::new(Mutex::new(may_go));
    let held = |number: usize| {
        let (read, may_go) = (reader(&reads), Arc::clone(&may_go));
        let from = format!("{}.json", 200 + number);
        let read = move |name: &str| {
            may_go.lock().unwrap().recv().ok()?;
            read(name)
        };
        (from, read)
    };
    let now = tokio::time::Instant::now();
    for number in 0..MAX_WAITING {
        let (from, read) = held(number);
        assert_eq!(patches.between(1, &from, "301.json", now, read).await, None);
    }
    let ask = || patches.between(1, "300.json", "301.json", late(), reader(&reads));
    assert_eq!(ask().await, None, "it does not wait");
    assert_eq!(patches.made.lock().unwrap().patches.len(), MAX_WAITING, "and takes no place");
    for _ in 0..2 * MAX_WAITING {
        go.send(()).unwrap();
    }
    while ask().await.is_none() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_delta_is_sent_where_it_is_less_than_half_of_the_packed_file() {
    for (delta, packed, is_sent) in
        [(49, 100, true), (50, 100, false), (0, 0, false), (0, 1, false), (0, 2, true)]
    {
        assert_eq!(is_worth_sending(delta, packed), is_sent, "{delta} of {packed}");
    }
}

//! Epochs and views.

use std::sync::Arc;

use chrono::{Duration, Utc};
use futures::TryStreamExt;
use wardlake_core::{ErrorKind, HasErrorKind};
use wardlake_storage::{Commit, Epoch, EpochDraft, EpochRetention, Lake, OptimizeSpec, View};

use crate::support::{kv, lake, optimize, stream, table};

fn draft(version: u64) -> EpochDraft {
    EpochDraft { run_id: format!("run{version}"), tables: [(table("gold.t"), version)].into(), ..EpochDraft::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_are_numbered_compared_and_rolled_back() {
    let lake = lake().await;
    assert_eq!(lake.newest_epoch().await.unwrap(), None);
    for version in 0..3 {
        lake.publish(draft(version)).await.unwrap();
    }
    let diff = lake.diff(1, 3).await.unwrap();
    assert_eq!(diff.tables_changed[&table("gold.t")], (0, 2));
    let back = lake.rollback(1, "undo").await.unwrap();
    assert_eq!((back.number, back.parent, back.rollback_of), (4, Some(3), Some(1)));
    assert_eq!(lake.newest_epoch().await.unwrap().unwrap(), back);
    let listed: Vec<u64> = lake.epochs().await.unwrap().map_ok(|epoch| epoch.number).try_collect().await.unwrap();
    assert_eq!(listed, [4, 3, 2, 1]);
    assert_eq!(lake.epoch(9).await.unwrap_err().kind(), ErrorKind::NotFound);
    // The hint is only a hint.
    for hint in ["1", "99", "nonsense"] {
        std::fs::write(lake.folder.path().join("_epochs/_newest"), hint).unwrap();
        let other = Lake::open(lake.url().as_str()).await.unwrap();
        assert_eq!(other.newest_epoch().await.unwrap().unwrap().number, 4, "{hint}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_publishers_each_get_a_number() {
    let lake = lake().await;
    let lakes = [Arc::clone(&lake.lake), Lake::open(lake.url().as_str()).await.unwrap()];
    let tasks: Vec<_> = (0..16)
        .map(|i| {
            let lake = Arc::clone(&lakes[i % 2]);
            tokio::spawn(async move { lake.publish(draft(i as u64)).await.unwrap().number })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await.unwrap());
    }
    numbers.sort();
    assert_eq!(numbers, (1..=16).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_racing_publishers_lay_over_the_newest_epoch_adds_up() {
    let lake = lake().await;
    let lakes = [Arc::clone(&lake.lake), Lake::open(lake.url().as_str()).await.unwrap()];
    let tasks: Vec<_> = (0..16u64)
        .map(|i| {
            let lake = Arc::clone(&lakes[i as usize % 2]);
            tokio::spawn(async move {
                let lay_over = |newest: Option<&wardlake_storage::Epoch>| {
                    let mut tables = newest.map(|epoch| epoch.tables.clone()).unwrap_or_default();
                    tables.insert(table(&format!("gold.t{i}")), i);
                    Some(EpochDraft { tables, ..EpochDraft::default() })
                };
                lake.publish_over(lay_over).await.unwrap().unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(lake.newest_epoch().await.unwrap().unwrap().tables.len(), 16);
    assert_eq!(lake.publish_over(|_| None).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn views_are_kept_and_changes_by_others_are_seen() {
    let lake = lake().await;
    let (name, view) = (table("gold.kpi"), |sql: &str| View { sql: sql.into(), ..View::default() });
    assert_eq!(lake.view(&name).await.unwrap(), None);
    lake.put_view(&name, &view("SELECT 1")).await.unwrap();
    assert_eq!(lake.view(&name).await.unwrap(), Some(view("SELECT 1")));
    let other = Lake::open(lake.url().as_str()).await.unwrap();
    other.put_view(&name, &view("SELECT 2")).await.unwrap();
    assert_eq!(lake.view(&name).await.unwrap(), Some(view("SELECT 2")));
    assert_eq!(lake.views().await.unwrap(), [(name.clone(), view("SELECT 2"))]);
    assert!(lake.drop_view(&name).await.unwrap());
    assert!(!lake.drop_view(&name).await.unwrap());
    assert!(lake.views().await.unwrap().is_empty());
}

/// A map as a hospital's is: many tables and views, of which a wave moves a few.
fn large(version: u64) -> EpochDraft {
    let view = |number: u64| (table(&format!("gold.v{number}")), format!("select {number} {}", "x".repeat(1000)));
    let mut tables: std::collections::BTreeMap<_, _> =
        (0..100u64).map(|number| (table(&format!("silver.t{number}")), 1)).collect();
    tables.insert(table("silver.t7"), version);
    let views = (0..60).map(view).collect();
    EpochDraft { run_id: format!("run{version}"), tables, views, ..EpochDraft::default() }
}

fn record(lake: &Lake, number: u64) -> std::path::PathBuf {
    lake.local_path().unwrap().join(format!("_epochs/{number}.json"))
}

async fn all(lake: &Lake) -> Vec<Epoch> {
    lake.epochs().await.unwrap().try_collect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn c01_an_epoch_of_a_wave_is_small_and_read_as_it_was_published() {
    let lake = lake().await;
    let mut published = Vec::new();
    for version in 1..=1100 {
        published.push(lake.publish(large(version)).await.unwrap());
    }
    published.reverse();
    let other = Lake::open(lake.url().as_str()).await.unwrap();
    assert_eq!(all(&other).await, published);
    let size = |number| std::fs::metadata(record(&other, number)).unwrap().len();
    assert!(size(2) < 400, "{} bytes", size(2));
    let sum: u64 = (1..=1100).map(size).sum();
    assert!(sum < 1100 * 400, "{sum} bytes");
    // A view that goes and one that changes are differences, too.
    let mut draft = large(2000);
    draft.views.remove(&table("gold.v1"));
    draft.views.insert(table("gold.v2"), "select 'other'".to_owned());
    draft.tables.remove(&table("silver.t3"));
    let epoch = other.publish(draft).await.unwrap();
    assert_eq!(lake.newest_epoch().await.unwrap(), Some(epoch));
}

#[tokio::test(flavor = "multi_thread")]
async fn c02_epochs_are_thinned_by_age_and_what_stays_is_read() {
    let lake = lake().await;
    for version in 1..=40 {
        lake.publish(large(version)).await.unwrap();
    }
    let newest = lake.newest_epoch().await.unwrap();
    let thin =
        async |after: Duration| lake.thin_epochs(EpochRetention::default(), Utc::now() + after, 1000).await.unwrap();
    assert_eq!(thin(Duration::minutes(50)).await, 0);
    // Of one hour (two, if it ended meanwhile) the last stays, with the whole one that it is told from.
    let forgotten = thin(Duration::hours(3)).await;
    assert!((36..=37).contains(&forgotten), "{forgotten}");
    assert_eq!(all(&lake).await.len(), 40 - forgotten);
    thin(Duration::days(400)).await;
    let left = all(&Lake::open(lake.url().as_str()).await.unwrap()).await;
    assert_eq!((left.len(), left.first().cloned()), (2, newest));
    let versions = lake.published_versions().await.unwrap();
    assert_eq!(versions[&table("silver.t7")].keys().copied().collect::<Vec<u64>>(), [1, 40]);
}

/// A year later, some of them at a time.
async fn thin_all(lake: &Lake) {
    let later = Utc::now() + Duration::days(400);
    while lake.thin_epochs(EpochRetention::default(), later, 300).await.unwrap() > 0 {}
}

#[tokio::test(flavor = "multi_thread")]
async fn c02_a_pinned_epoch_outlives_the_one_it_was_told_from() {
    const PINNED: u64 = 100;
    let lake = lake().await;
    let mut published = Vec::new();
    for version in 1..=1100 {
        published.push(lake.publish(large(version)).await.unwrap());
    }
    lake.pin_epoch(PINNED, Some("report".to_owned())).await.unwrap();
    assert!(lake.pin_epoch(9999, None).await.is_err());
    thin_all(&lake).await;
    let other = Lake::open(lake.url().as_str()).await.unwrap();
    let left = all(&other).await;
    let of = |number: u64| published[number as usize - 1].clone();
    assert_eq!(
        left,
        [of(1100), of(1025), of(PINNED)],
        "the newest, the whole one that it is told from, the pinned one"
    );
    let pins = other.pinned_epochs().await.unwrap();
    assert_eq!(pins[&PINNED].note.as_deref(), Some("report"));
    // Who publishes after that is told from nothing that may go.
    let next = other.publish(large(2000)).await.unwrap();
    assert!(other.unpin_epoch(PINNED).await.unwrap() && !other.unpin_epoch(PINNED).await.unwrap());
    thin_all(&other).await;
    assert!(other.epoch(PINNED).await.is_err());
    assert_eq!(Lake::open(lake.url().as_str()).await.unwrap().newest_epoch().await.unwrap(), Some(next));
}

/// A server publishes with every wave, and merges and writes checkpoints now and then.
#[tokio::test(flavor = "multi_thread")]
async fn c01_of_an_hour_of_waves_the_epoch_right_behind_a_merge_stays() {
    let (lake, name) = (lake().await, table("s.t"));
    lake.note_costs(16 << 20);
    let append = async || {
        let rows = stream(kv(&[(Some(1), "x")]));
        lake.append(&name, rows, Commit::default()).await.unwrap().version()
    };
    let wave = async || {
        let tables = [(name.clone(), append().await)].into();
        lake.publish(EpochDraft { tables, ..EpochDraft::default() }).await.unwrap()
    };
    for _ in 0..10 {
        append().await;
    }
    for _ in 0..10 {
        wave().await;
    }
    optimize(&lake, &name, OptimizeSpec::all(32 << 20)).await.unwrap();
    lake.checkpoint(&name).await.unwrap();
    let cheapest = wave().await;
    for _ in 0..10 {
        wave().await;
    }
    let newest = wave().await;
    let later = Utc::now() + Duration::hours(3);
    lake.thin_epochs(EpochRetention::default(), later, 1000).await.unwrap();
    let left = all(&lake).await;
    assert!(left.contains(&cheapest) && left.contains(&newest), "{left:?}");
    assert!(left.len() <= 3, "one more where the hour ended meanwhile: {left:?}");
}

/// Tables that are made anew each time are large, and an hour has many refreshes.
#[tokio::test(flavor = "multi_thread")]
async fn c10_the_last_versions_of_a_rebuilt_table_stay() {
    let lake = lake().await;
    for version in 1..=20 {
        lake.publish(large(version)).await.unwrap();
    }
    lake.pin_epoch(3, None).await.unwrap();
    let rebuilt = std::collections::BTreeSet::from([table("silver.t7")]);
    let hour = std::time::Duration::from_secs(3600);
    let settled = async |after: Duration, settled_at| {
        lake.thin_rebuilt(&rebuilt, 5, hour, Utc::now() + after, settled_at).await.unwrap()
    };
    let thin = async |after: Duration| settled(after, Utc::now()).await;
    let before = Utc::now() - Duration::minutes(1);
    assert_eq!(settled(Duration::minutes(30), before).await, 0, "a clock that jumped ahead makes nothing old");
    assert_eq!(thin(Duration::minutes(5)).await, 0, "publishers count on from those of the last minutes");
    assert_eq!(thin(Duration::minutes(90)).await, 0, "older ones are thinned by age");
    assert_eq!(thin(Duration::minutes(30)).await, 13);
    let numbers: Vec<u64> = all(&lake).await.iter().map(|epoch| epoch.number).collect();
    assert_eq!(numbers, [20, 19, 18, 17, 16, 3, 1]);
    assert_eq!(thin(Duration::minutes(30)).await, 0);
    assert_eq!(lake.publish(large(21)).await.unwrap().number, 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_a_damaged_newest_epoch_is_passed_over() {
    let lake = lake().await;
    for version in 0..3 {
        lake.publish(draft(version)).await.unwrap();
    }
    for bytes in ["", "{", "{\"number\": 7}"] {
        std::fs::write(record(&lake, 3), bytes).unwrap();
        let other = Lake::open(lake.url().as_str()).await.unwrap();
        assert_eq!(other.newest_epoch().await.unwrap().unwrap().number, 2, "{bytes}");
    }
    let other = Lake::open(lake.url().as_str()).await.unwrap();
    let next = other.publish(draft(9)).await.unwrap();
    assert_eq!((next.number, next.parent), (4, Some(2)));
    assert_eq!(Lake::open(lake.url().as_str()).await.unwrap().newest_epoch().await.unwrap(), Some(next));
}

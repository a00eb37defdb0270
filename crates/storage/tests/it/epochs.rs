//! Epochs and views.

use std::sync::Arc;

use wardlake_core::{ErrorKind, HasErrorKind};
use wardlake_storage::{EpochDraft, Lake, View};

use crate::support::{lake, table};

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
    assert_eq!(lake.epochs().await.unwrap().len(), 4);
    assert_eq!(lake.epoch(9).await.unwrap_err().kind(), ErrorKind::NotFound);
    // The hint is only a hint.
    for hint in ["1", "99", "nonsense"] {
        std::fs::write(lake.folder.path().join("_epochs/_newest"), hint).unwrap();
        assert_eq!(lake.newest_epoch().await.unwrap().unwrap().number, 4, "{hint}");
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

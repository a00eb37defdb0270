//! Restore, optimize, vacuum.

use std::{collections::BTreeSet, time::Duration};

use wardlake_core::{ErrorKind, HasErrorKind};
use wardlake_storage::{Commit, Lake, LogReaders, OptimizeSpec, VacuumGrace};

use crate::support::{TestLake, data_files, kv, lake, ledger, optimize, rows, rows_at, stream, table};

async fn overwritten(times: i64) -> TestLake {
    let lake = lake().await;
    for i in 0..times {
        let commit = ledger(&[("up", i)]);
        lake.overwrite(&table("s.t"), stream(kv(&[(Some(i), "x")])), commit).await.unwrap();
    }
    lake
}

#[tokio::test(flavor = "multi_thread")]
async fn vacuum_keeps_what_epochs_name() {
    let lake = overwritten(5).await;
    let t = table("s.t");
    let kept = BTreeSet::from([1, 3]);
    let week = Duration::from_secs(7 * 86_400);
    assert_eq!(lake.vacuum(&t, VacuumGrace::both(week), &kept, false).await.unwrap().files.len(), 0);
    // An orphan of a killed write.
    std::fs::write(lake.folder.path().join("s/t/part-orphan.parquet"), b"half").unwrap();
    let planned = lake.vacuum(&t, VacuumGrace::both(Duration::ZERO), &kept, true).await.unwrap();
    assert_eq!((planned.files.len(), data_files(&lake, "s.t")), (3, 6));
    assert_eq!(lake.vacuum(&t, VacuumGrace::both(Duration::ZERO), &kept, false).await.unwrap(), planned);
    assert_eq!(data_files(&lake, "s.t"), 3);
    for version in [1, 3, 4] {
        assert_eq!(rows_at(&lake, "s.t", Some(version)).await, [format!("{version},x")]);
    }
    let gone = lake.restore(&t, 2, Commit::default()).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_killed_writers_left_goes_once_it_is_old() {
    let lake = overwritten(1).await;
    let leftovers = [
        "s/t/part-0.parquet#1",
        "s/t/_delta_log/00000000000000000001.json#77",
        "_epochs/1.json#5",
        "_landing/tmp/half",
    ];
    let kept = ["_epochs/1.json", "_views/a#b", "_landing/ab/ab12"];
    for name in leftovers.iter().chain(&kept) {
        let path = lake.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, b"half").unwrap();
    }
    let (t, none, hour) = (table("s.t"), BTreeSet::new(), Duration::from_secs(3600));
    assert_eq!(lake.vacuum(&t, VacuumGrace::both(hour), &none, false).await.unwrap().files.len(), 0);
    assert_eq!(lake.sweep(VacuumGrace::both(hour), false).await.unwrap().files.len(), 0);
    for dry_run in [true, false] {
        let in_table = lake.vacuum(&t, VacuumGrace::both(Duration::ZERO), &none, dry_run).await.unwrap();
        assert_eq!(in_table.files, ["_delta_log/00000000000000000001.json#77", "part-0.parquet#1"]);
        let beside = lake.sweep(VacuumGrace::both(Duration::ZERO), dry_run).await.unwrap();
        assert_eq!(
            (beside.files, beside.bytes),
            (["_landing/tmp/half", "_epochs/1.json#5"].map(str::to_owned).to_vec(), 8)
        );
    }
    assert!(leftovers.iter().all(|name| !lake.folder.path().join(name).exists()));
    assert!(kept.iter().all(|name| lake.folder.path().join(name).exists()));
    assert_eq!(rows(&lake, "s.t").await, ["0,x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_brings_rows_columns_and_ledger_back() {
    let lake = overwritten(2).await;
    let t = table("s.t");
    let other = crate::support::batch(&[("x", crate::support::texts(["other"]))]);
    lake.overwrite(&t, stream(other), ledger(&[("later", 1)])).await.unwrap();
    assert_eq!(lake.restore(&t, 0, Commit::default()).await.unwrap().version(), 3);
    assert_eq!(rows(&lake, "s.t").await, ["0,x"]);
    let now = lake.require(&t).await.unwrap();
    assert_eq!(now.consumed_all().await.unwrap(), [("up".to_owned(), 0)].into());
    assert_eq!(rows_at(&lake, "s.t", Some(2)).await, ["other"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn optimize_merges_small_files() {
    let lake = lake().await;
    let t = table("s.t");
    for i in 0..10 {
        lake.append(&t, stream(kv(&[(Some(i), "x")])), Commit::default()).await.unwrap();
    }
    let before = rows(&lake, "s.t").await;
    optimize(&lake, &t, OptimizeSpec::all(64 << 20)).await.unwrap();
    assert_eq!(lake.require(&t).await.unwrap().files().len(), 1);
    assert_eq!(rows(&lake, "s.t").await, before);
    assert_eq!(optimize(&lake, &t, OptimizeSpec::all(64 << 20)).await, None);
}

/// Upkeep that finds something to merge for ever would write for ever.
#[tokio::test(flavor = "multi_thread")]
async fn optimizing_comes_to_an_end() {
    let lake = lake().await;
    let t = table("s.t");
    let spec = OptimizeSpec { target_bytes: 64 << 10, alike: Some(8), held: None };
    let (mut merges, mut most) = (0, 0);
    for first in 0..120 {
        let rows = kv(&(0..700).map(|i| (Some(first * 700 + i), "noise")).collect::<Vec<_>>());
        lake.append(&t, stream(rows), Commit::default()).await.unwrap();
        merges += usize::from(optimize(&lake, &t, spec).await.is_some());
        most = most.max(lake.require(&t).await.unwrap().files().len());
    }
    assert!((15..=20).contains(&merges), "{merges} merges");
    assert!(most <= 8 + 8 + 8, "{most} files at once");
    assert_eq!(rows(&lake, "s.t").await.len(), 120 * 700);
    assert_eq!(optimize(&lake, &t, spec).await, None);
    while optimize(&lake, &t, OptimizeSpec::all(64 << 10)).await.is_some() {
        merges += 1;
        assert!(merges < 40, "it does not end");
    }
}

/// A table of a server: hundreds of small appends and a checkpoint now and then.
#[tokio::test(flavor = "multi_thread")]
async fn c01_a_cleaned_log_reads_the_newest_and_every_kept_version() {
    let (lake, t) = (lake().await, table("s.t"));
    for i in 0..230 {
        lake.append(&t, stream(kv(&[(Some(i), "x")])), ledger(&[("up", i)])).await.unwrap();
    }
    let log = lake.folder.path().join("s/t/_delta_log");
    let commits = || {
        std::fs::read_dir(&log)
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".json"))
    };
    assert_eq!(commits().count(), 230);
    let readers = LogReaders { versions: [60, 149].into(), changes_since: Some(190) };
    let (hour, none) = (Duration::from_secs(3600), Duration::ZERO);
    assert_eq!(lake.clean_log(&t, &readers, hour, false).await.unwrap().files.len(), 0);
    let planned = lake.clean_log(&t, &readers, none, true).await.unwrap();
    assert_eq!(lake.clean_log(&t, &readers, none, false).await.unwrap(), planned);
    assert!(commits().count() < 100, "{} commits are left", commits().count());
    let fresh = Lake::open(lake.url().as_str()).await.unwrap();
    let newest = fresh.snapshot(&t, None).await.unwrap().unwrap();
    assert_eq!((newest.version(), newest.consumed("up").await.unwrap()), (229, Some(229)));
    for (version, rows) in [(None, 230), (Some(60), 61), (Some(149), 150)] {
        let found = fresh.snapshot(&t, version).await.unwrap().unwrap();
        assert_eq!(found.num_rows(), Some(rows), "version {version:?}");
        assert_eq!(found.consumed("up").await.unwrap(), Some(rows as i64 - 1), "version {version:?}");
    }
    // What goes on, goes on; also in the process that had the table open.
    for lake in [&fresh, &lake.lake] {
        lake.append(&t, stream(kv(&[(Some(1), "y")])), Commit::default()).await.unwrap();
    }
    assert_eq!(fresh.snapshot(&t, None).await.unwrap().unwrap().num_rows(), Some(232));
}

//! A lake one of whose files is damaged: what is read is what was written, or an error says where it is, or it is told that something older
//! is shown. Never a panic, and never other rows without a word.

use std::{
    fs,
    path::{Path, PathBuf},
};

use arrow::util::pretty::pretty_format_batches;
use datafusion::{error::DataFusionError, prelude::SessionContext};
use futures::{StreamExt, stream};
use serde_json::Value;
use wardlake_storage::{Commit, EpochDraft, Lake};
use wardlake_testkit::damage::{Random, damage, files, without_checksum};

use crate::support::{kv, session, stream as rows, table};

/// A failure is repeated with the seed that it prints: `WARDLAKE_DAMAGE_SEED`.
const SEED: u64 = 20_261_130;
const ROUNDS: u64 = 1000;
const TABLES: [&str; 2] = ["bronze.t", "gold.w"];

/// In memory where there is such a folder: a thousand lakes are copied.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A table of seven appends with a checkpoint among them, one that was replaced five times, a view, and an epoch behind each.
async fn write(folder: &Path) {
    let lake = Lake::open(folder.to_str().unwrap()).await.unwrap();
    let [appended, replaced] = TABLES.map(table);
    let mut tables = std::collections::BTreeMap::new();
    for round in 0..7i64 {
        let batch = || kv(&[(Some(round * 10), "a"), (Some(round * 10 + 1), "b"), (None, "c")]);
        let version = lake.append(&appended, rows(batch()), Commit::default()).await.unwrap().version();
        tables.insert(appended.clone(), version);
        if round == 3 {
            lake.checkpoint(&appended).await.unwrap();
        }
        if round < 5 {
            let version = lake.overwrite(&replaced, rows(batch()), Commit::default()).await.unwrap().version();
            tables.insert(replaced.clone(), version);
        }
        let views = [(table("gold.v"), "select 1 as n".to_owned())].into();
        lake.publish(EpochDraft { tables: tables.clone(), views, ..EpochDraft::default() }).await.unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    for file in files(from).unwrap() {
        let copied = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(copied.parent().unwrap()).unwrap();
        fs::copy(&file, copied).unwrap();
    }
}

/// Damages a file of the log or of the epochs.
fn damage_one(lake: &Path, random: &mut Random) -> String {
    let is_known = |file: &PathBuf| ["_delta_log", "_epochs"].iter().any(|part| file.iter().any(|name| name == *part));
    let files: Vec<PathBuf> = files(lake).unwrap().into_iter().filter(is_known).collect();
    damage(lake, &files[random.below(files.len())], random).unwrap()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What a reader of the newest epoch sees, and whether something is told with it.
async fn answer(lake: &Lake) -> Result<(Vec<String>, bool), String> {
    let epoch = lake.newest_epoch().await.map_err(text)?;
    let is_told = lake.unreadable_epoch(epoch.as_ref()).is_some();
    let mut lines = Vec::new();
    for name in TABLES.map(table) {
        let Some(version) = epoch.as_ref().and_then(|epoch| epoch.tables.get(&name)) else { continue };
        let snapshot = lake.snapshot(&name, Some(*version)).await.map_err(text)?;
        let provider = snapshot.ok_or_else(|| format!("{name} is gone"))?.provider(&session()).await.map_err(text)?;
        // Whoever asks names the table.
        let failed = |error: DataFusionError| format!("{name}: {error}");
        let ctx = SessionContext::new();
        ctx.register_table("t", provider).map_err(failed)?;
        let frame =
            ctx.sql("SELECT count(*), sum(k), count(v) FROM t WHERE k > -1 OR k IS NULL").await.map_err(failed)?;
        lines.push(pretty_format_batches(&frame.collect().await.map_err(failed)?).map_err(text)?.to_string());
    }
    let views = epoch.map(|epoch| epoch.views).unwrap_or_default();
    lines.extend(views.into_iter().map(|(name, sql)| format!("{name}: {sql}")));
    Ok((lines, is_told))
}

/// Reads, and then goes on as a writer does: each works or says why not.
async fn read_and_go_on(folder: PathBuf) -> Result<(Vec<String>, bool), String> {
    let lake = Lake::open(folder.to_str().unwrap()).await.map_err(text)?;
    let read = answer(&lake).await;
    for name in TABLES.map(table) {
        let _ = lake.require(&name).await;
        let _ = lake.append(&name, rows(kv(&[(Some(1), "z")])), Commit::default()).await;
    }
    let _ = lake.publish(EpochDraft::default()).await;
    read
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a16_a_damaged_log_or_epoch_is_an_error_or_told() {
    let seed = std::env::var("WARDLAKE_DAMAGE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED);
    let whole = scratch();
    write(whole.path()).await;
    let (expected, is_told) = answer(&Lake::open(whole.path().to_str().unwrap()).await.unwrap()).await.unwrap();
    assert!(expected.len() == 3 && !is_told, "{expected:?}");

    let round = |number: u64| {
        let (expected, whole) = (expected.clone(), whole.path().to_owned());
        async move {
            let folder = scratch();
            copy(&whole, folder.path());
            let what = damage_one(folder.path(), &mut Random(seed.wrapping_add(number)));
            let what = format!("WARDLAKE_DAMAGE_SEED={seed}, round {number}: {what}");
            match tokio::spawn(read_and_go_on(folder.path().to_owned())).await {
                Err(panic) => Some(format!("{what}\n  {panic}")),
                Ok(Ok((got, is_told))) if got != expected && !is_told => {
                    Some(format!("{what}\n  {got:?} without a word"))
                }
                Ok(Err(error)) if !["bronze", "gold", "_epochs"].iter().any(|place| error.contains(place)) => {
                    Some(format!("{what}\n  does not say where: {error}"))
                }
                Ok(_) => None,
            }
        }
    };
    let wrong: Vec<String> =
        stream::iter(0..ROUNDS).map(round).buffer_unordered(4).filter_map(async |found| found).collect().await;
    assert!(wrong.is_empty(), "{} of {ROUNDS}\n{}", wrong.len(), wrong.join("\n"));
}

/// Another value in every field that an answer depends on, in JSON that is as good as before.
#[tokio::test(flavor = "multi_thread")]
async fn a16_a_digit_of_a_commit_that_is_another_is_an_error_that_names_the_file() {
    let folder = scratch();
    write(folder.path()).await;
    let url = folder.path().to_str().unwrap().to_owned();
    let commit = |name: &str, version: u64| folder.path().join(format!("{name}/_delta_log/{version:020}.json"));
    for (name, version) in [("gold/w", 0), ("gold/w", 4), ("bronze/t", 5), ("bronze/t", 6)] {
        let file = commit(name, version);
        let whole = fs::read_to_string(&file).unwrap();
        assert!(whole.starts_with("{\"commitInfo\":{\"wardlakeChecksum\":\""), "{whole}");
        let table = table(&name.replace('/', "."));
        let mut changed = 0;
        for (at, digit) in whole.char_indices().filter(|(_, digit)| digit.is_ascii_digit()) {
            let mut damaged = whole.clone().into_bytes();
            damaged[at] = if digit == '7' { b'6' } else { b'7' };
            if damaged.split(|byte| *byte == b'\n').any(|line| serde_json::from_slice::<Value>(line).is_err()) {
                continue;
            }
            fs::write(&file, &damaged).unwrap();
            let told = Lake::open(&url).await.unwrap().require(&table).await.map(drop).unwrap_err().to_string();
            let is_told = told.starts_with(&format!("{name}/_delta_log/{version:020}.json is damaged: "));
            assert!(is_told && told.contains("checksum"), "at {at}: {told}");
            changed += 1;
        }
        assert!(changed > 50, "{changed} of {whole}");
        // As others write it, and as it was written before there were checksums: it is read as it is.
        fs::write(&file, without_checksum(&whole).replace("\"numRecords\\\":3", "\"numRecords\\\":4")).unwrap();
        assert!(Lake::open(&url).await.unwrap().require(&table).await.is_ok());
        fs::write(&file, &whole).unwrap();
    }
    // Who reads only what a commit says about itself is told as well.
    let file = commit("gold/w", 1);
    let whole = fs::read_to_string(&file).unwrap();
    let lake = Lake::open(&url).await.unwrap();
    let newest = lake.require(&table("gold.w")).await.unwrap();
    assert_eq!(newest.history(None).await.unwrap().len(), 5);
    fs::write(&file, whole.replacen("\"wardlakeCommit\":\"", "\"wardlakeCommit\":\"0", 1)).unwrap();
    let told = newest.history(None).await.unwrap_err().to_string();
    assert!(told.contains("gold/w/_delta_log/00000000000000000001.json is damaged: "), "{told}");
    // Nothing at all is no commit either.
    fs::write(&file, "").unwrap();
    let told = Lake::open(&url).await.unwrap().require(&table("gold.w")).await.map(drop).unwrap_err().to_string();
    assert!(told.contains("00000000000000000001.json is damaged: it is empty"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_a_bit_of_a_checkpoint_that_is_another_is_an_error_that_names_the_file() {
    let folder = scratch();
    write(folder.path()).await;
    let file = folder.path().join("bronze/t/_delta_log/00000000000000000003.checkpoint.parquet");
    let note = file.with_extension("sum");
    let (whole, noted) = (fs::read(&file).unwrap(), fs::read(&note).unwrap());
    let require = async || {
        let lake = Lake::open(folder.path().to_str().unwrap()).await.unwrap();
        lake.require(&table("bronze.t")).await.map(|newest| newest.version())
    };
    let mut random = Random(SEED);
    for _ in 0..300 {
        let at = random.below(whole.len());
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << random.below(8);
        fs::write(&file, &damaged).unwrap();
        let told = require().await.unwrap_err().to_string();
        let name = "bronze/t/_delta_log/00000000000000000003.checkpoint.parquet is damaged: ";
        assert!(told.starts_with(name) && told.contains("checksum"), "at {at}: {told}");
    }
    fs::write(&file, &whole).unwrap();
    assert_eq!(require().await.unwrap(), 6);
    // A checkpoint that stands alone is read as it is, and so is one of another length than was noted.
    fs::write(&note, [&noted[..], b"0"].concat()).unwrap();
    assert_eq!(require().await.unwrap(), 6);
    fs::remove_file(&note).unwrap();
    assert_eq!(require().await.unwrap(), 6);
    // Of one that was there before nobody knows whether it is still what was written.
    let lake = Lake::open(folder.path().to_str().unwrap()).await.unwrap();
    let newest = file.with_file_name("00000000000000000006.checkpoint.sum");
    lake.checkpoint(&table("bronze.t")).await.unwrap();
    fs::remove_file(&newest).unwrap();
    lake.checkpoint(&table("bronze.t")).await.unwrap();
    assert!(!newest.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_the_damaged_file_of_a_log_is_named() {
    let folder = scratch();
    write(folder.path()).await;
    let log = folder.path().join("gold/w/_delta_log");
    let commit = log.join("00000000000000000002.json");
    let bytes = fs::read(&commit).unwrap();
    fs::write(&commit, &bytes[..bytes.len() / 2]).unwrap();
    let require = async || Lake::open(folder.path().to_str().unwrap()).await.unwrap().require(&table("gold.w")).await;
    let told = require().await.unwrap_err().to_string();
    assert!(told.contains("gold/w/_delta_log/00000000000000000002.json is damaged: "), "{told}");
    assert!(told.contains("restore it from a backup") && !told.contains("part-"), "{told}");
    fs::remove_file(&commit).unwrap();
    let told = require().await.unwrap_err().to_string();
    assert!(told.contains("gold/w/_delta_log/00000000000000000002.json is damaged: it is not there"), "{told}");
    fs::write(&commit, bytes).unwrap();
    require().await.unwrap();

    // The newest commit is gone: nothing of the log shows that, but what was published does.
    fs::remove_file(log.join("00000000000000000004.json")).unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap()).await.unwrap();
    let published = lake.newest_epoch().await.unwrap().unwrap().tables;
    assert_eq!(lake.set_back(&published).await.unwrap(), [(table("gold.w"), 3)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn c08_an_epoch_that_is_passed_over_is_told() {
    let folder = scratch();
    write(folder.path()).await;
    let newest = folder.path().join("_epochs/7.json");
    let whole = String::from_utf8(fs::read(&newest).unwrap()).unwrap();
    let open = async || {
        let lake = Lake::open(folder.path().to_str().unwrap()).await.unwrap();
        let epoch = lake.newest_epoch().await.unwrap();
        (epoch.as_ref().map(|epoch| epoch.number), lake.unreadable_epoch(epoch.as_ref()))
    };
    assert_eq!(open().await, (Some(7), None));
    // Another version of a table, as far as JSON can tell.
    for damaged in [Some(whole.replacen("bronze.t\":6", "bronze.t\":2", 1)), Some(String::new()), None] {
        match &damaged {
            Some(text) => fs::write(&newest, text).unwrap(),
            None => fs::remove_file(&newest).unwrap(),
        }
        assert_ne!(damaged.as_ref(), Some(&whole), "the record does not name the table as this test says");
        let (shown, told) = open().await;
        let told = told.unwrap();
        assert_eq!(shown, Some(6), "{told}");
        assert!(told.contains("_epochs/7.json") && told.contains("epoch 6 is shown in its place"), "{told}");
    }
}

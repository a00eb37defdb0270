//! Any sequence of writes leaves the rows that the same sequence leaves in memory.

use proptest::prelude::*;
use wardlake_storage::{Commit, DeleteInsertSpec, MergeSpec, OptimizeSpec};

use crate::support::{kv, lake, rows, session, stream, table};

type Rows = Vec<(Option<i64>, String)>;

#[derive(Debug, Clone)]
enum Step {
    Append(Rows),
    Overwrite(Rows),
    Merge(Rows),
    DeleteInsert(Rows),
    Delete(i64),
    Optimize,
}

fn any_rows() -> impl Strategy<Value = Rows> {
    prop::collection::vec((prop::option::weighted(0.9, 0i64..12), "[a-c]{1,2}"), 0..6)
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any_rows().prop_map(Step::Append),
        1 => any_rows().prop_map(Step::Overwrite),
        4 => any_rows().prop_map(Step::Merge),
        2 => any_rows().prop_map(Step::DeleteInsert),
        2 => (0i64..12).prop_map(Step::Delete),
        1 => Just(Step::Optimize),
    ]
}

/// The first row of each key, and all rows without one: what a merge accepts.
fn unique(rows: &Rows) -> Rows {
    let mut seen = std::collections::HashSet::new();
    rows.iter().filter(|row| row.0.is_none_or(|key| seen.insert(key))).cloned().collect()
}

fn apply(model: &mut Rows, step: &Step) {
    match step {
        Step::Append(rows) => model.extend(rows.clone()),
        Step::Overwrite(rows) => *model = rows.clone(),
        Step::Merge(rows) => {
            for (key, value) in unique(rows) {
                let mut matched = false;
                for row in model.iter_mut().filter(|row| key.is_some() && row.0 == key) {
                    row.1.clone_from(&value);
                    matched = true;
                }
                if !matched {
                    model.push((key, value));
                }
            }
        }
        Step::DeleteInsert(rows) => {
            model.retain(|row| row.0.is_none() || !rows.iter().any(|new| new.0 == row.0));
            model.extend(rows.clone());
        }
        Step::Delete(key) => model.retain(|row| row.0 != Some(*key)),
        Step::Optimize => {}
    }
}

async fn write(lake: &crate::support::TestLake, step: &Step) {
    let (t, session) = (table("s.t"), session());
    let rows = |rows: &Rows| stream(kv(&rows.iter().map(|(k, v)| (*k, v.as_str())).collect::<Vec<_>>()));
    let commit = Commit::default();
    let done = match step {
        Step::Append(new) => lake.append(&t, rows(new), commit).await,
        Step::Overwrite(new) => lake.overwrite(&t, rows(new), commit).await,
        Step::Merge(new) => lake.merge(&session, &t, rows(&unique(new)), MergeSpec::on(["k"]), commit).await,
        Step::DeleteInsert(new) => {
            let spec = DeleteInsertSpec { keys: vec!["k".into()], ..Default::default() };
            lake.delete_insert(&session, &t, rows(new), spec, commit).await
        }
        Step::Delete(key) => lake.replace_where(&session, &t, rows(&vec![]), &format!("k = {key}"), commit).await,
        Step::Optimize => {
            lake.optimize(&session, &lake.require(&t).await.unwrap(), OptimizeSpec::all(1 << 20), commit)
                .await
                .unwrap();
            return;
        }
    };
    done.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn tables_equal_their_model(steps in prop::collection::vec(any_step(), 1..8)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let lake = lake().await;
            let mut model = Rows::new();
            for step in std::iter::once(&Step::Overwrite(vec![(Some(0), "a".into())])).chain(&steps) {
                write(&lake, step).await;
                apply(&mut model, step);
                let mut expected: Vec<String> =
                    model.iter().map(|(k, v)| format!("{},{v}", k.map_or_else(String::new, |k| k.to_string()))).collect();
                expected.sort();
                assert_eq!(rows(&lake, "s.t").await, expected, "after {step:?}");
            }
        });
    }
}

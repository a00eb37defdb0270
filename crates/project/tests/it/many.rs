use std::fmt::Write as _;

use proptest::prelude::*;

use crate::support::Folder;

/// Two thousand models, each on the two before it and described with tests.
#[test]
fn two_thousand_models_parse() {
    let folder = Folder::new(&[("models/m0.sql", "select 1 as id"), ("models/m1.sql", "select 1 as id")]);
    let mut properties = String::from("models:\n");
    for i in 2..2000 {
        let (a, b) = (i - 1, i / 2);
        folder.write(
            &format!("models/f{}/m{i}.sql", i % 20),
            &format!("{{{{ config(tags=['t{}']) }}}}\nselect * from {{{{ ref('m{a}') }}}}\nunion all select * from {{{{ ref('m{b}') }}}}\n", i % 7),
        );
        let _ = writeln!(properties, "  - name: m{i}\n    columns:\n      - name: id\n        data_tests: [not_null]");
    }
    folder.write("models/schema.yml", &properties);
    let started = std::time::Instant::now();
    let project = folder.load();
    println!("2,000 models and 1,998 tests in {:?}", started.elapsed());
    assert_eq!(project.inventory()["model"], 2000);
    assert_eq!(project.inventory()["test"], 1998);
    assert_eq!(project.select(&["m10+".to_owned()], &[], None).unwrap().len(), 1990 + 1990);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever refers to whatever that comes before it: the order is topological, and ancestors and descendants agree.
    #[test]
    fn order_is_topological(edges in prop::collection::vec((1usize..12, 0usize..12), 0..30)) {
        let folder = Folder::new(&[]);
        let mut refs = vec![String::new(); 12];
        for (child, parent) in edges {
            if parent < child {
                let _ = writeln!(refs[child], " -- {{{{ ref('m{parent}') }}}}");
            }
        }
        for (i, text) in refs.iter().enumerate() {
            folder.write(&format!("models/m{i}.sql"), &format!("select 1\n{text}"));
        }
        let project = folder.load();
        let order = project.graph().topological_order();
        let rank = |id: &str| order.iter().position(|o| o == id);
        for id in order {
            for parent in project.graph().parents(id) {
                prop_assert!(rank(parent) < rank(id));
                prop_assert!(project.graph().descendants([parent], None).contains(id));
            }
        }
    }
}

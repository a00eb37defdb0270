#[test]
fn dump() {
    let Ok(dir) = std::env::var("PROJ_DIR") else { return };
    let t = std::time::Instant::now();
    let mut options = wardlake_project::LoadOptions::new(dir);
    options.log = std::sync::Arc::new(|m| println!("{m}"));
    match wardlake_project::Project::load(options) {
        Ok(p) => {
            println!("loaded {:?} in {:?}", p.inventory(), t.elapsed());
            for w in p.warnings() {
                println!("{w}");
            }
            let t = std::time::Instant::now();
            let adapter: std::sync::Arc<dyn wardlake_project::Adapter> = std::sync::Arc::new(crate::support::Empty);
            let mut compiled = std::collections::HashMap::new();
            if std::env::var("PROJ_COMPILE").is_ok() {
                for id in p.nodes().keys() {
                    match p.compile(id, &adapter, false) {
                        Ok(c) => {
                            compiled.insert(id.clone(), c);
                        }
                        Err(e) => println!("{id}: {e}"),
                    }
                }
                println!("compiled {} in {:?}", compiled.len(), t.elapsed());
            }
            if let Ok(out) = std::env::var("PROJ_OUT") {
                std::fs::write(out, serde_json::to_vec(&wardlake_project::Manifest::new(&p, &compiled)).unwrap())
                    .unwrap();
            }
        }
        Err(problems) => println!("{problems}"),
    }
}

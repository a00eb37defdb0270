//! Errors of the dialect name their place and what to write instead; rewriting twice changes nothing more.

use wardlake_engine::dialect;

#[test]
fn errors_have_a_place_and_help() {
    let check = |sql: &str, place: (usize, usize), message: &str, help: bool| {
        let error = dialect::rewrite(sql).unwrap_err();
        assert_eq!((error.line, error.column), place, "{sql}: {error}");
        assert!(error.message.contains(message), "{sql}: {error}");
        assert_eq!(error.help.is_some(), help, "{sql}");
    };
    check("selec 1", (1, 1), "Expected", false);
    check("select 1\nfrom t\nwhere )", (3, 7), "Expected", false);
    check("select ward\nform \"main\".\"wards\"", (2, 6), "Expected end of statement, found `\"main\"`", false);
    check("select x from t where y 'Smith'", (1, 25), "Expected end of statement, found a text in quotes", false);
    check("select 'open", (1, 8), "Unterminated string literal", false);
    check("select *\nfrom bed tablesample (10 percent)", (2, 6), "TABLESAMPLE", true);
    check("select x from t order by x fetch first 2 rows with ties", (1, 1), "WITH TIES", true);
    check("select json_value(x, y) from t", (1, 8), "path", true);
    check("select * from t unpivot (v for k in (a, b))", (1, 15), "UNPIVOT", true);
}

#[test]
fn statements_are_split_and_stable() {
    let once = dialect::rewrite("select iff(a, 1, 2) from t; select count_if(b) from t;").unwrap();
    assert_eq!(once.len(), 2);
    for statement in once {
        let text = statement.to_string();
        let twice = dialect::rewrite(&text).unwrap();
        assert_eq!(twice[0].to_string(), text);
    }
    assert!(dialect::rewrite(" -- nothing\n").unwrap().is_empty());
}

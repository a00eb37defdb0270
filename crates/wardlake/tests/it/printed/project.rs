//! The small worlds in which commands are run: a ward with two models, a source, tests, a withheld row and two epochs, and what may be wrong
//! with it.

use std::collections::BTreeMap;

use crate::world::World;

/// Where a command is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A folder with nothing in it.
    Elsewhere,
    /// A project that has no lake yet.
    New,
    /// A project with a lake that is loaded and built.
    Ward,
    /// Its YAML cannot be read.
    BrokenYaml,
    /// The Jinja of a model cannot be read, and another reads a model that is not there.
    BrokenJinja,
    /// The settings of its source are wrong.
    BrokenSource,
    /// Its models wait for each other.
    Ring,
    /// Its wardlake.yml cannot be read.
    BrokenTargets,
    /// The SQL of its models fails, each for another reason; it is loaded.
    BrokenSql,
    /// A test finds something, which nobody is to see.
    FailingTest,
    /// A seed is no CSV.
    BrokenSeed,
    /// A snapshot does not say how versions are told apart.
    BrokenSnapshot,
    /// A file of its source is not what it should be.
    BrokenFile,
    /// The lake is a file.
    NoLake,
}

impl Place {
    /// As snapshots name it.
    pub(super) fn described(self) -> &'static str {
        match self {
            Self::Elsewhere => "an empty folder",
            Self::New => "a project without a lake",
            Self::Ward => "a project that is built",
            Self::BrokenYaml => "YAML that cannot be read",
            Self::BrokenJinja => "Jinja that cannot be read, and a model that is not there",
            Self::BrokenSource => "wrong settings of a source",
            Self::Ring => "models that wait for each other",
            Self::BrokenTargets => "wrong settings in wardlake.yml",
            Self::BrokenSql => "models whose SQL fails",
            Self::FailingTest => "a test that finds something",
            Self::BrokenSeed => "a seed that cannot be used",
            Self::BrokenSnapshot => "a snapshot that cannot be used",
            Self::BrokenFile => "a file that is not what it should be",
            Self::NoLake => "a lake that is a file",
        }
    }

    fn world(self) -> World {
        if self == Self::Elsewhere {
            return World::empty();
        }
        let world = ward();
        match self {
            Self::Elsewhere | Self::New => {}
            Self::Ward => {
                world.ok(&["ingest"]);
                world.ok(&["build"]);
            }
            Self::BrokenYaml => world.write("models/models.yml", "version: 2\nmodels:\n  - name: [beds\n"),
            Self::BrokenJinja => {
                world.write("models/open.sql", "select {{ 1 + }} as one\n");
                world.write("models/lost.sql", "select * from {{ ref('stg_feed__stay') }}\n");
            }
            Self::BrokenSource => world.write(
                "models/feed.yml",
                SOURCE.replace("{path: 'landing/stays_*.csv'}", "{pth: landing, format: {type: cvs, delimiter: ';;'}}"),
            ),
            Self::Ring => {
                world.write("models/one.sql", "select * from {{ ref('other') }}\n");
                world.write("models/other.sql", "select * from {{ ref('one') }}\n");
            }
            Self::BrokenTargets => world.write(
                "wardlake.yml",
                "targets:\n  dev: {lake: lake, thread: 1, memory_limit: much, retention: {run: 3, load_log: 9}}\n",
            ),
            Self::BrokenSql => {
                world.write("models/no_column.sql", "select bed\nfrom {{ ref('wards') }}\n");
                world.write("models/no_statement.sql", "select ward\nform {{ ref('wards') }}\n");
                world.write("models/no_function.sql", "select length_of_stay(ward) from {{ ref('wards') }}\n");
                world.write("models/no_number.sql", table("select cast(name as bigint) from {{ ref('wards') }}\n"));
                world.ok(&["ingest"]);
            }
            Self::FailingTest => {
                world.write("tests/no_ward_is_empty.sql", "select ward from {{ ref('wards') }} where ward = 'B'\n");
                world.ok(&["ingest"]);
            }
            Self::BrokenSeed => world.write("seeds/wards.csv", "ward,name\nA,Surgery,3\n"),
            Self::BrokenSnapshot => {
                world.write("snapshots/snap_wards.sql", SNAPSHOT.replace("strategy='check', check_cols='all', ", ""));
            }
            Self::BrokenFile => {
                world.write("models/feed.yml", SOURCE.replace("stays_*.csv", "stays_*.csv*"));
                world.write("landing/stays_02.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03this is not packed");
            }
            Self::NoLake => world.write("lake", "a file"),
        }
        world
    }
}

/// The worlds that were needed so far.
#[derive(Default)]
pub(super) struct Places(BTreeMap<Place, World>);

impl Places {
    pub(super) fn of(&mut self, place: Place) -> &World {
        self.0.entry(place).or_insert_with(|| place.world())
    }
}

fn table(sql: &str) -> String {
    format!("{{{{ config(materialized='table') }}}}\n{sql}")
}

const SOURCE: &str = "version: 2
sources:
  - name: feed
    schema: bronze
    tables:
      - name: stays
        config:
          meta:
            wardlake: {path: 'landing/stays_*.csv'}
        columns: [{name: id}, {name: ward}, {name: beds}]
  - name: system
    schema: system
    tables:
      - name: identity_decisions
";
const STAYS: &str = "select
    id,
    ward,
    try_cast(beds as bigint) as beds,
    beds as _raw_beds,
    _source as _raw__source,
    _file as _raw__file,
    _position as _raw__position,
    _batch_id as _raw__batch_id,
    _row_hash as _raw__row_hash
from {{ source('feed', 'stays') }}
";
const MODELS: &str = "version: 2
models:
  - name: stg_feed__stays
    description: What each ward reports.
    config:
      meta:
        wardlake:
          input: source('feed', 'stays')
          row_key: id
          expectations:
            - {typed: beds, reason: beds must be a number}
    columns:
      - name: id
        tests: [unique, not_null]
  - name: beds_by_ward
    columns:
      - name: ward
        tests: [not_null]
  - name: int_person
    config:
      meta:
        wardlake:
          identity: {record: patient_id, decisions: ref('int_decisions'), review: ref('list_identity_review')}
";
const SNAPSHOT: &str = "{% snapshot snap_wards %}
{{ config(unique_key='ward', strategy='check', check_cols='all', target_schema='main') }}
select * from {{ ref('wards') }}
{% endsnapshot %}
";
const PERSONS: &str = "{{ config(materialized='table', schema='silver') }}
select patient_id from {{ ref('patients') }}
";
const DECISIONS: &str = "{{ config(materialized='table', schema='silver') }}
select patient_id_a, patient_id_b, decision
from (
    select *, row_number() over (partition by patient_id_a, patient_id_b order by \"at\" desc) as nth
    from {{ source('system', 'identity_decisions') }}
) as decided
where nth = 1 and decision <> 'unmerge'
";
const REVIEW: &str = "{{ config(materialized='view', schema='gold') }}
select one.patient_id as patient_id_a, other.patient_id as patient_id_b, 'probable' as kind, 0.9 as score
from {{ ref('int_person') }} as one
inner join {{ ref('int_person') }} as other on one.patient_id < other.patient_id
";

/// The files of the ward. One thread, so that nodes come in one order.
fn ward() -> World {
    let world = World::empty();
    world.write(
        "dbt_project.yml",
        "name: ward\nversion: '1.0'\nmodel-paths: [models]\nseed-paths: [seeds]\nsnapshot-paths: [snapshots]\n\
         test-paths: [tests]\n",
    );
    world.write("wardlake.yml", "targets:\n  dev: {lake: lake, threads: 1, memory_limit: 1GiB}\n");
    world.write(
        "macros/generate_schema_name.sql",
        "{% macro generate_schema_name(own, node) %}{{ own or target.schema }}{% endmacro %}\n",
    );
    world.write("models/feed.yml", SOURCE);
    world.write("models/stg_feed__stays.sql", table(STAYS));
    world.write(
        "models/beds_by_ward.sql",
        table("select ward, sum(beds) as beds from {{ ref('stg_feed__stays') }} group by ward\n"),
    );
    world.write("models/models.yml", MODELS);
    world.write("models/int_person.sql", PERSONS);
    world.write("models/list_identity_review.sql", REVIEW);
    world.write("models/int_decisions.sql", DECISIONS);
    world.write("seeds/wards.csv", "ward,name\nA,Surgery\nB,Medicine\n");
    world.write("seeds/patients.csv", "patient_id\nP1\nP2\n");
    world.write("snapshots/snap_wards.sql", SNAPSHOT);
    world.write("landing/stays_01.csv", "id,ward,beds\n1,A,4\n2,A,6\n3,B,five\n");
    world
}

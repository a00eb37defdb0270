//! Measures how fast the file connector reads: `throughput [MEGABYTES] [THREADS]` (default 500 and 1) writes a CSV and an
//! NDJSON file of made-up encounters, reads each, and prints MB/s of input.

use std::{
    error::Error,
    fs::File,
    io::{BufWriter, Write, stdout},
    path::Path,
    time::Instant,
};

use serde_json::{Value, json};
use wardlake_connect::{Event, FileTable, FoundFile, read};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let megabytes: u64 = arguments.next().map_or(Ok(500), |text| text.parse())?;
    let threads: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let size = megabytes * 1_000_000;
    for (name, record) in [
        ("plain.csv", csv_record as fn(u64) -> String),
        ("quoted.csv", quoted_record),
        ("lines.ndjson", json_record),
        ("array.json", json_record),
    ] {
        let path = folder.path().join(name);
        generate(&path, name, size, record)?;
        let file = FoundFile::at(&path)?;
        let table =
            FileTable::from_json(&Value::Null, &json!({"path": name})).map_err(|problems| format!("{problems:?}"))?;
        let mut rows = 0;
        let start = Instant::now();
        let report = read(&file, &table, None, None, threads, &mut |event| {
            if let Event::Chunk(chunk) = event {
                rows += chunk.rows;
            }
            Ok(())
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let speed = report.bytes_read as f64 / 1e6 / seconds;
        writeln!(stdout(), "{name}: {rows} rows, {} rejected, {seconds:.2} s, {speed:.0} MB/s", report.rejected)?;
        std::fs::remove_file(path)?;
    }
    Ok(())
}

fn generate(path: &Path, name: &str, size: u64, record: fn(u64) -> String) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(File::create(path)?);
    let is_array = name.ends_with(".json");
    let head = "encounter_id,patient_id,hospital,department,admitted_at,discharged_at,bed,diagnosis,amount,note\n";
    let mut written = 0;
    if is_array {
        out.write_all(b"[")?;
    } else if name.ends_with(".csv") {
        out.write_all(head.as_bytes())?;
    }
    for number in 0.. {
        let text = record(number);
        if is_array && number > 0 {
            out.write_all(b",")?;
        }
        out.write_all(text.as_bytes())?;
        written += text.len() as u64;
        if written >= size {
            break;
        }
    }
    if is_array {
        out.write_all(b"]")?;
    }
    out.flush()?;
    Ok(())
}

fn csv_record(n: u64) -> String {
    let (patient, bed, day) = (n * 7919 % 1_000_003, n % 500, n % 28 + 1);
    format!(
        "{n},P{patient:07},St. Anna,Cardiology,2025-03-{day:02}T08:15:00,2025-03-{day:02}T19:40:00,{bed},I50.9,{}.50,seen by consultant\n",
        n % 9000
    )
}

fn quoted_record(n: u64) -> String {
    let fields: Vec<String> = csv_record(n).trim_end().split(',').map(|field| format!("\"{field}\"")).collect();
    fields.join(",") + "\n"
}

fn json_record(n: u64) -> String {
    let (patient, bed, day) = (n * 7919 % 1_000_003, n % 500, n % 28 + 1);
    format!(
        "{{\"encounter_id\": {n}, \"patient_id\": \"P{patient:07}\", \"department\": \"Cardiology\", \"admission_time\": \"2025-03-{day:02}T08:15:00\", \"discharge_time\": \"2025-03-{day:02}T19:40:00\", \"bed_id\": {bed}, \"hospital_id\": {}}}\n",
        n % 7
    )
}

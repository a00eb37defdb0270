//! Events as lines for people, in dbt's manner: inventory, `N of M`, footer. Progress bars where someone is watching.

use std::{collections::HashMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tokio::sync::mpsc::UnboundedReceiver;
use wardlake_records::{FileLoad, NodeResult, RunEvent, Status, Totals};

use crate::{
    printing::{Stream, safe, safe_line, wrapped},
    teller::{Teller, timed},
};

/// Columns of the line up to the brackets, where there is room for so many.
const WIDTH: usize = 80;
/// Columns of the time before a line.
const TIME: usize = 10;

/// Prints events until the run is over. For a thread that may wait for whoever reads.
pub(crate) fn read(mut events: UnboundedReceiver<RunEvent>, teller: Teller, target: String) {
    let mut screen = Screen::new(teller, target);
    while let Some(event) = events.blocking_recv() {
        screen.show(event);
    }
}

struct Screen {
    teller: Teller,
    target: String,
    /// Columns that a line may have, without the time before it.
    room: Option<usize>,
    bars: Option<MultiProgress>,
    /// Whether a node's line stands for its beginning as well.
    hides_starts: bool,
    running: HashMap<String, ProgressBar>,
    failures: Vec<NodeResult>,
    warnings: Vec<NodeResult>,
    is_color: bool,
    reused: u64,
}

impl Screen {
    fn new(teller: Teller, target: String) -> Self {
        let is_watched = Stream::Err.is_terminal() && Stream::Out.is_terminal();
        // What draws bars waits for its terminal, which a server must not; and a terminal that cannot go back has none.
        let has_bars = is_watched && Stream::Err.is_screen() && !teller.quiet && !teller.never_waits();
        let bars = has_bars.then(MultiProgress::new).filter(|bars| !bars.is_hidden());
        Self {
            room: teller.stream().width().map(|width| width.saturating_sub(TIME)),
            hides_starts: is_watched && teller.never_waits(),
            is_color: Stream::Err.is_colored() && Stream::Out.is_colored(),
            bars,
            teller,
            target: safe_line(&target).into_owned(),
            running: HashMap::new(),
            failures: Vec::new(),
            warnings: Vec::new(),
            reused: 0,
        }
    }

    /// Shows a text whose parts are safe, unless only what went wrong is wanted.
    fn line(&self, text: &str) {
        if !self.teller.quiet {
            self.always(text);
        }
    }

    fn always(&self, text: &str) {
        let line = match self.room {
            _ if text.is_empty() => String::new(),
            None => timed(text),
            Some(room) => timed(&wrapped(text, room)).replace('\n', &format!("\n{}", " ".repeat(TIME))),
        };
        match &self.bars {
            Some(bars) => {
                let _ = bars.println(line);
            }
            None => self.teller.line(line),
        }
    }

    fn paint(&self, text: &str, color: u8) -> String {
        if self.is_color { format!("\x1b[{color}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn show(&mut self, event: RunEvent) {
        match event {
            RunEvent::RunStarted { inventory, total, threads, .. } => self.started(&inventory, total, threads),
            RunEvent::NodeStarted { index, total, unique_id, label } => {
                if self.bars.is_none() && (label.starts_with("test ") || self.hides_starts) {
                    return;
                }
                self.begin(index, total, unique_id, &safe_line(&label));
            }
            RunEvent::NodeProgress { unique_id, rows, .. } => {
                if let Some(bar) = self.running.get(&unique_id) {
                    bar.set_message(counted(rows, "row"));
                }
            }
            RunEvent::NodeFinished { index, total, result } => self.finished(index, total, result),
            RunEvent::FileLoaded { load } => self.loaded(&load),
            RunEvent::Message { level, text } => match level.as_str() {
                "warn" => self.line(&format!("{} {}", self.paint("WARN", 33), safe(&text))),
                _ => self.line(&safe(&text)),
            },
            RunEvent::Listening { protocol, source, address } => {
                let source = source.map(|source| format!(" (source {source})")).unwrap_or_default();
                self.line(&safe_line(&format!("Listening for {protocol} on {address}{source}")));
            }
            RunEvent::Alert { notice } => {
                let (word, color) = if notice.is_raised { ("ALERT", 31) } else { ("CLEAR", 32) };
                let text = format!("{}: {}", notice.alert, notice.message);
                self.line(&format!("{} {}", self.paint(word, color), safe_line(&text)));
            }
            // Several a second would hide everything else; the status page counts them.
            RunEvent::WaveFinished { .. } | RunEvent::UpkeepFinished { .. } => {}
            RunEvent::EpochPublished { epoch } => self.line(&format!("Published epoch {epoch}.")),
            RunEvent::RunFinished { totals, duration_s, unpublished, .. } => {
                self.ended(totals, duration_s, unpublished)
            }
        }
    }

    fn started(&self, inventory: &std::collections::BTreeMap<String, usize>, total: usize, threads: usize) {
        let found: Vec<String> = inventory.iter().map(|(kind, count)| counted(*count as u64, kind)).collect();
        self.line(&format!("Running with wardlake {}", env!("CARGO_PKG_VERSION")));
        self.line(&format!("Found {}", found.join(", ")));
        self.line("");
        self.line(&format!("Concurrency: {} (target='{}')", counted(threads as u64, "thread"), self.target));
        if total == 0 {
            self.line("Nothing to do. Check the selection.");
        }
        self.line("");
    }

    fn begin(&mut self, index: usize, total: usize, unique_id: String, label: &str) {
        match &self.bars {
            None => self.line(&dotted(&format!("{index} of {total} START {label}"), "RUN", self.room)),
            Some(bars) => {
                let bar = bars.add(ProgressBar::new_spinner());
                if let Ok(style) = ProgressStyle::with_template("          {spinner} {prefix} {elapsed} {msg}") {
                    bar.set_style(style);
                }
                bar.set_prefix(format!("{index} of {total} {label}"));
                bar.enable_steady_tick(Duration::from_millis(100));
                self.running.insert(unique_id, bar);
            }
        }
    }

    fn finished(&mut self, index: usize, total: usize, result: NodeResult) {
        if let Some(bar) = self.running.remove(&result.unique_id) {
            bar.finish_and_clear();
        }
        let seconds = (result.finished_at - result.started_at).num_milliseconds() as f64 / 1000.0;
        let is_test = result.resource_type == "test";
        let (word, color, detail) = match result.status {
            Status::Success if result.is_reused => ("OK unchanged", 32, format!("unchanged in {seconds:.2}s")),
            Status::Success => ("OK created", 32, written(&result, seconds)),
            Status::Pass => ("PASS", 32, format!("PASS in {seconds:.2}s")),
            Status::Warn if is_test => ("WARN", 33, format!("WARN {} in {seconds:.2}s", result.failures.unwrap_or(0))),
            Status::Warn => ("WARN", 33, written(&result, seconds)),
            Status::Fail => ("FAIL", 31, format!("FAIL {} in {seconds:.2}s", result.failures.unwrap_or(0))),
            Status::Error => ("ERROR", 31, format!("ERROR in {seconds:.2}s")),
            Status::Skipped => ("SKIP", 33, "SKIP".to_owned()),
        };
        let word = match (result.resource_type.as_str(), result.status, result.is_reused) {
            ("source", Status::Success, true) => "OK no news",
            ("source", Status::Success, false) => "OK loaded",
            _ => word,
        };
        self.reused += u64::from(result.is_reused);
        let line = dotted(&format!("{index} of {total} {word} {}", safe_line(&result.label)), &detail, self.room);
        self.line(&line.replacen(&format!("[{detail}]"), &format!("[{}]", self.paint(&detail, color)), 1));
        // What an audited model withheld, repaired and found.
        if let (Status::Success, "model", Some(remark)) =
            (result.status, result.resource_type.as_str(), &result.message)
        {
            self.line(&format!("    {}", self.paint(&safe_line(remark), 33)));
        }
        match result.status {
            Status::Fail | Status::Error => self.failures.push(result),
            Status::Warn => self.warnings.push(result),
            _ => {}
        }
    }

    /// One line per file that brought something, and one per change of its columns.
    fn loaded(&self, load: &FileLoad) {
        let news = load.inserted + load.updated + load.deleted + load.rejected;
        if news == 0 && load.drift.is_empty() {
            return;
        }
        let mut parts =
            vec![format!("+{} ~{} -{}", grouped(load.inserted), grouped(load.updated), grouped(load.deleted))];
        if load.unchanged > 0 {
            parts.push(format!("{} unchanged", grouped(load.unchanged)));
        }
        if load.repeated > 0 {
            parts.push(format!("{} repeated", grouped(load.repeated)));
        }
        if load.rejected > 0 {
            parts.push(self.paint(&format!("{} rejected", grouped(load.rejected)), 33));
        }
        self.line(&format!("    {} {}", safe_line(&load.file), parts.join(", ")));
        for drift in &load.drift {
            let detail = drift.detail.as_ref().map(|detail| format!(" ({})", safe_line(detail))).unwrap_or_default();
            let column = safe_line(&drift.column);
            self.line(&format!("      {} column {column}{detail}", self.paint(&drift.change, 33)));
        }
    }

    fn ended(&mut self, totals: Totals, duration_s: f64, unpublished: Option<String>) {
        self.line("");
        self.line(&format!("Finished running {} in {duration_s:.2}s.", counted(totals.total(), "node")));
        self.line("");
        for result in self.failures.iter().chain(&self.warnings) {
            let (word, color) = if result.status == Status::Warn { ("Warning", 33) } else { ("Failure", 31) };
            // What went wrong is told to those as well who want to hear nothing else.
            let tell = |text: &str| if result.status.is_failure() { self.always(text) } else { self.line(text) };
            tell(&format!("{} in {}", self.paint(word, color), safe_line(&result.label)));
            for line in result.message.as_deref().unwrap_or_default().lines() {
                tell(&format!("  {}", safe_line(line)));
            }
        }
        let verdict = match (totals.error, totals.warn) {
            (0, 0) => self.paint("Completed successfully", 32),
            (0, warnings) => format!("Completed with {}", counted(warnings, "warning")),
            (errors, warnings) => self.paint(
                &format!("Completed with {} and {}", counted(errors, "error"), counted(warnings, "warning")),
                31,
            ),
        };
        self.line(&verdict);
        if let Some(reason) = unpublished {
            self.line(&format!("Nothing was published: {}.", safe_line(&reason)));
        }
        let Totals { pass, warn, error, skip } = totals;
        self.line(&format!("Done. PASS={pass} WARN={warn} ERROR={error} SKIP={skip} TOTAL={}", totals.total()));
    }
}

fn written(result: &NodeResult, seconds: f64) -> String {
    match result.rows {
        Some(rows) => format!("{} in {seconds:.2}s", counted(rows, "row")),
        None => format!("OK in {seconds:.2}s"),
    }
}

/// `text ........ [detail]`, on two lines where one has no room for both.
fn dotted(text: &str, detail: &str, room: Option<usize>) -> String {
    let (width, behind) = (text.chars().count(), detail.chars().count() + " ".len() + " []".len());
    let wanted = WIDTH.saturating_sub(width + 1).max(3);
    let dots = room.map_or(wanted, |room| wanted.min(room.saturating_sub(width + behind)));
    match dots {
        0..3 => format!("{text}\n    [{detail}]"),
        _ => format!("{text} {} [{detail}]", ".".repeat(dots)),
    }
}

/// `1 row`, `2 rows`, `1,234 rows`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    let noun = if noun.ends_with("is") { noun.strip_suffix("is").map(|stem| format!("{stem}es")) } else { None }
        .filter(|_| count != 1)
        .unwrap_or_else(|| format!("{noun}{plural}"));
    format!("{} {noun}", grouped(count))
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_nouns_counted() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(2, "analysis"), "2 analyses");
    }

    #[test]
    fn lines_keep_their_brackets_in_one_column() {
        assert_eq!(dotted("1 of 2 OK", "x", None).find('['), dotted("1 of 2 SKIPPED", "x", None).find('['));
        for room in 10..120 {
            let line = dotted("1 of 2 OK created table", "12 rows in 0.1s", Some(room));
            assert!(line.lines().all(|line| line.chars().count() <= room.max(23)), "{room}: {line}");
        }
    }
}

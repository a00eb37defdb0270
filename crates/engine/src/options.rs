//! How much of the machine the engine may take.

use std::path::PathBuf;

/// Limits of one engine. All sessions of it share them.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Bytes of memory operators may hold before they spill.
    pub memory_limit_bytes: usize,
    /// Partitions a plan runs in at once.
    pub threads: usize,
    /// Where operators spill; the system's temporary folder if none.
    pub spill_dir: Option<PathBuf>,
    /// Bytes all spill files may take together.
    pub max_spill_bytes: u64,
    /// Schema of unqualified table names.
    pub default_schema: String,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            memory_limit_bytes: 2 << 30,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            spill_dir: None,
            max_spill_bytes: 100 << 30,
            default_schema: "main".to_owned(),
        }
    }
}

//! How much of the machine the engine may take.

use std::path::PathBuf;

use sysinfo::{MemoryRefreshKind, System};

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
            memory_limit_bytes: half_of_the_memory(),
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            spill_dir: None,
            max_spill_bytes: 100 << 30,
            default_schema: "main".to_owned(),
        }
    }
}

/// Half of the bytes of memory that the machine has, or the container it is one of.
fn half_of_the_memory() -> usize {
    let mut system = System::new();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let bytes = system.cgroup_limits().map_or_else(|| system.total_memory(), |limits| limits.total_memory);
    usize::try_from(bytes / 2).unwrap_or(usize::MAX)
}

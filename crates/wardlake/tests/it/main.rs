//! The binary from outside: real files in, a real lake on disk, SQL out.

mod commands;
mod drift;
mod examples;
mod history;
mod killed;
mod peers;
mod world;

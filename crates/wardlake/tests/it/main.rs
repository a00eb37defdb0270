//! The binary from outside: real files in, a real lake on disk, SQL out.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test ends where it fails"
)]

mod anew;
mod audit;
mod bed_ledger;
mod beside;
mod causes;
mod commands;
mod crash;
mod damaged;
mod doors;
mod drift;
mod examples;
mod faults;
mod feeds_and_files;
mod feeds_set_aside;
mod follow;
mod footing;
mod found;
mod handed;
mod history;
mod identity;
mod kafka;
mod keyboard;
mod killed;
mod lasting;
mod limits;
mod mllp;
mod names;
mod object_store;
mod own_models;
mod owners;
mod passing;
mod peers;
mod printed;
mod quality;
mod readings;
mod remaining;
mod replay;
mod retention;
mod schemas;
mod score;
mod serve;
mod served;
mod settings;
mod soak;
mod trust;
mod unreadable;
mod upgrade;
mod withheld;
mod world;

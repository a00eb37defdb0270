//! The project reader through its front door: folders on disk in, projects and problems out.

mod artifacts;
mod compile;
mod jinja;
mod load;
mod many;
mod problems;
mod select;
mod support;
mod tmp_dump;

//! The allocator, and how soon it gives memory back: a server asks large things now and then, and what they took is not to stay its
//! own until the next. Huge pages are left out for the same reason (feature `no_thp`): a page that is partly free cannot be given back.

use libmimalloc_sys::{mi_option_get, mi_option_set_default, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc's `purge_delay`, the milliseconds until what is free goes back. Its bindings name no options that may change.
const PURGE_DELAY: mi_option_t = 15;
/// What mimalloc 3 has by itself.
const LATE: std::ffi::c_long = 1000;
/// What mimalloc 2 had. Half the memory of [`LATE`], for no more time.
const SOON: std::ffi::c_long = 10;

/// From now on memory goes back soon, unless `MIMALLOC_PURGE_DELAY` says otherwise.
#[allow(unsafe_code, reason = "the library's options have no other door")]
pub(crate) fn give_back_soon() {
    // SAFETY: both calls read and write one number among the library's options, by its place, which it checks; at any time.
    unsafe {
        // Another number there is another option.
        if mi_option_get(PURGE_DELAY) == LATE {
            mi_option_set_default(PURGE_DELAY, SOON);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code, reason = "as above")]
    fn memory_goes_back_soon() {
        // SAFETY: as above.
        let now = || unsafe { mi_option_get(PURGE_DELAY) };
        assert!([LATE, SOON].contains(&now()), "this place is another option now");
        give_back_soon();
        assert_eq!(now(), SOON);
    }
}

//! Work on independent parts by several threads, its results taken in the order of the parts.

use std::collections::BTreeMap;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Does `work` on every item and hands the results to `take` in the order of the items, whatever order they came in. Stops
/// with the first error.
pub(crate) fn side_by_side<T: Send, R: Send, E>(
    items: &mut [T],
    threads: usize,
    work: impl Fn(&mut T) -> R + Sync,
    mut take: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    if threads <= 1 || items.len() <= 1 {
        return items.iter_mut().try_for_each(|item| take(work(item)));
    }
    let threads = threads.min(items.len());
    let next = Mutex::new(items.iter_mut().enumerate());
    let (send, receive) = sync_channel(threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next, work) = (send.clone(), &next, &work);
            scope.spawn(move || {
                loop {
                    let item = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((position, item)) = item else { return };
                    if send.send((position, work(item))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        let (mut early, mut expected) = (BTreeMap::new(), 0);
        // A receiver that is gone, after an error, ends the threads at their next result.
        for (position, result) in receive {
            early.insert(position, result);
            while let Some(result) = early.remove(&expected) {
                take(result)?;
                expected += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_an_error_ends_it() {
        for threads in [1, 2, 5] {
            let (mut items, mut taken): (Vec<u64>, _) = ((0..40).collect(), Vec::new());
            let result = side_by_side(
                &mut items,
                threads,
                |item| *item * 2,
                |double| {
                    taken.push(double);
                    if double == 50 { Err("enough") } else { Ok(()) }
                },
            );
            assert_eq!((result, taken), (Err("enough"), (0..=25).map(|item| item * 2).collect()));
        }
    }
}

//! Vectors of secrets that leave no copy behind when they grow.

use zeroize::Zeroize;

/// Makes room for `more` items. `Vec::reserve` would move the old ones and free their place as it is.
pub(crate) fn reserve<T: Zeroize>(items: &mut Vec<T>, more: usize) {
    if items.capacity() - items.len() >= more {
        return;
    }
    let mut larger = Vec::with_capacity(items.len() + more);
    larger.append(items);
    // Empty by now; what is wiped is the place where the items were.
    items.zeroize();
    *items = larger;
}

/// Collects exactly `count` items; collecting through `Result` would begin small and grow.
pub(crate) fn collect<T, E>(count: usize, mut item: impl FnMut() -> Result<T, E>) -> Result<Vec<T>, E> {
    let mut items = Vec::with_capacity(count);
    for _ in 0..count {
        items.push(item()?);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_stays_there_and_the_room_is_enough() {
        let mut items = vec![1_u32, 2, 3];
        items.shrink_to_fit();
        reserve(&mut items, 2);
        assert!(items.capacity() >= 5);
        let place = items.as_ptr();
        items.extend([4, 5]);
        assert_eq!(
            (items.as_slice(), items.as_ptr()),
            ([1, 2, 3, 4, 5].as_slice(), place)
        );
        reserve(&mut items, 0);
        assert_eq!(items.as_ptr(), place);
    }

    #[test]
    fn a_list_that_is_read_never_moves() {
        let mut number = 0;
        let items = collect(100, || {
            number += 1;
            Ok::<_, ()>(number)
        });
        let items = items.unwrap();
        assert_eq!((items.len(), items.capacity(), items[99]), (100, 100, 100));
        assert_eq!(collect(3, || Err::<u8, _>("spoilt")), Err("spoilt"));
    }
}

//! What waits for its time, in order. There are some dozens at any moment, most of what is added happens soon, and much never
//! happens: a list with the soonest at its end is cheaper for that than a heap, which keeps what was called off until its time.

use crate::timeline::Nanos;

/// Places of what waits, by time; of what happens at one time, the lower number comes first. No two have the same number.
#[derive(Debug)]
pub(crate) struct Queue(Vec<(Nanos, u64, usize)>);

impl Queue {
    pub(crate) const EMPTY: Self = Self(Vec::new());

    pub(crate) fn add(&mut self, at: Nanos, number: u64, place: usize) {
        let index = self.index(at, number);
        self.0.insert(index, (at, number, place));
    }

    /// When the next one happens, its number and its place.
    pub(crate) fn next(&self) -> Option<(Nanos, u64, usize)> {
        self.0.last().copied()
    }

    /// The next one, which then waits no more.
    pub(crate) fn take(&mut self) -> Option<(Nanos, u64, usize)> {
        self.0.pop()
    }

    /// It is called off.
    pub(crate) fn remove(&mut self, at: Nanos, number: u64) {
        let index = self.index(at, number);
        if self.0.get(index).is_some_and(|(_, found, _)| *found == number) {
            self.0.remove(index);
        }
    }

    /// How many happen later than that.
    fn index(&self, at: Nanos, number: u64) -> usize {
        self.0.partition_point(|(other_at, other, _)| (*other_at, *other) > (at, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_comes_in_order_and_what_was_called_off_never() {
        let mut queue = Queue::EMPTY;
        for (at, number) in [(30, 1), (10, 2), (20, 3), (10, 4), (40, 5)] {
            queue.add(at, number, usize::try_from(number).unwrap() * 100);
        }
        queue.remove(20, 3);
        queue.remove(20, 3);
        queue.remove(30, 9);
        assert_eq!(queue.next(), Some((10, 2, 200)));
        let order: Vec<_> = std::iter::from_fn(|| queue.take()).collect();
        assert_eq!(order, [(10, 2, 200), (10, 4, 400), (30, 1, 100), (40, 5, 500)]);
    }
}

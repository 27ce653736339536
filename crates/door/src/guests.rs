//! Who is connected, who of them has shown a token, and who has to go when there is no room.

use crate::Bounds;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Who floods a port must not flood the log.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// All connections.
pub(crate) struct Guests {
    bounds: Bounds,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    /// Counts who came.
    came: u64,
    /// The oldest first.
    all: BTreeMap<u64, Entry>,
    /// When it was last told that there is no room.
    told: Option<Instant>,
    /// Who found none or had to go since.
    untold: u64,
}

struct Entry {
    from: IpAddr,
    visitor: Visitor,
    leave: CancellationToken,
}

/// The connection that a request came on; among the extensions of each request.
#[derive(Clone)]
pub struct Visitor {
    known: Arc<AtomicBool>,
    body: Duration,
}

impl Visitor {
    /// A request has shown a good token: the connection is no stranger's.
    pub fn vouch(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// The body of a request should have arrived within that.
    pub fn body_within(&self) -> Duration {
        self.body
    }

    pub(crate) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }
}

/// A connection that was let in; its place is free when this is dropped.
pub(crate) struct Guest {
    number: u64,
    visitor: Visitor,
    leave: CancellationToken,
    guests: Arc<Guests>,
}

impl Guest {
    pub(crate) fn visitor(&self) -> Visitor {
        self.visitor.clone()
    }

    /// Cancelled when it has to go.
    pub(crate) fn leave(&self) -> &CancellationToken {
        &self.leave
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.guests.inside().all.remove(&self.number);
    }
}

impl Guests {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, inside: Mutex::default() }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets one in; where there is no room, a stranger has to go for it, and where nobody is one, it is refused.
    pub(crate) fn admit(self: &Arc<Self>, from: IpAddr) -> io::Result<Guest> {
        let mut inside = self.inside();
        let full = || io::Error::new(io::ErrorKind::QuotaExceeded, "too many connections, none of them a stranger's");
        let of_it = inside.all.values().filter(|entry| entry.from == from).count();
        let whose = if of_it >= self.bounds.from_one {
            Some(from)
        } else if inside.all.len() >= self.bounds.in_all {
            Some(inside.most_strangers().unwrap_or(from))
        } else {
            None
        };
        if let Some(whose) = whose {
            let room = inside.send_away(|entry| entry.from == whose);
            if let Some(count) = inside.count_one(Instant::now()) {
                tracing::warn!(last = %whose, count, "no room for more connections: whoever had shown no token was sent away");
            }
            room.ok_or_else(full)?;
        }
        inside.came += 1;
        let (number, leave) = (inside.came, CancellationToken::new());
        let visitor = Visitor { known: Arc::default(), body: self.bounds.body };
        inside.all.insert(number, Entry { from, visitor: visitor.clone(), leave: leave.clone() });
        Ok(Guest { number, visitor, leave, guests: Arc::clone(self) })
    }
}

impl Inside {
    /// The oldest stranger of those has to go; its place is free at once.
    fn send_away(&mut self, of: impl Fn(&Entry) -> bool) -> Option<()> {
        let oldest = self.all.iter().find(|(_, entry)| !entry.visitor.is_known() && of(entry)).map(|(n, _)| *n)?;
        self.all.remove(&oldest).map(|entry| entry.leave.cancel())
    }

    /// One more was sent away; how many there were, where it is time to tell.
    fn count_one(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.duration_since(told) < TELL_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }

    /// The address that has the most of them: one that opens many sends away its own.
    fn most_strangers(&self) -> Option<IpAddr> {
        let mut strangers: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for entry in self.all.values().filter(|entry| !entry.visitor.is_known()) {
            *strangers.entry(entry.from).or_default() += 1;
        }
        strangers.into_iter().max_by_key(|(_, count)| *count).map(|(from, _)| from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn room(from_one: usize, in_all: usize) -> Arc<Guests> {
        Arc::new(Guests::new(Bounds { from_one, in_all, ..Bounds::default() }))
    }

    fn gone(guest: &Guest) -> bool {
        guest.leave().is_cancelled()
    }

    #[test]
    fn the_oldest_stranger_of_an_address_goes_when_that_one_has_too_many() {
        let guests = room(2, 10);
        let other = guests.admit(ip(2)).unwrap();
        let (first, second, third) =
            (guests.admit(ip(1)).unwrap(), guests.admit(ip(1)).unwrap(), guests.admit(ip(1)).unwrap());
        assert_eq!([&other, &first, &second, &third].map(gone), [false, true, false, false]);
        drop(second);
        let fourth = guests.admit(ip(1)).unwrap();
        assert!(!gone(&third) && !gone(&fourth), "a place was free");
    }

    #[test]
    fn it_is_told_at_once_and_then_with_all_of_a_minute() {
        let mut inside = Inside::default();
        let began = Instant::now();
        let told: Vec<_> = [0, 1, 59, 61].map(|s| inside.count_one(began + Duration::from_secs(s))).into();
        assert_eq!(told, [Some(1), None, None, Some(3)]);
    }

    #[test]
    fn who_is_known_is_never_sent_away_and_a_stranger_of_the_busiest_address_is() {
        let guests = room(3, 5);
        let agent = guests.admit(ip(1)).unwrap();
        agent.visitor().vouch();
        let lone = guests.admit(ip(2)).unwrap();
        let many = [3, 3, 3].map(|last| guests.admit(ip(last)).unwrap());
        let next = guests.admit(ip(4)).unwrap();
        assert_eq!([&agent, &lone, &many[0], &many[1], &next].map(gone), [false, false, true, false, false]);
        for guest in [&lone, &many[1], &many[2], &next] {
            guest.visitor().vouch();
        }
        assert!(guests.admit(ip(5)).is_err(), "everybody is known");
        drop(next);
        assert!(guests.admit(ip(5)).is_ok());
    }

    #[test]
    fn an_address_whose_connections_are_all_known_gets_no_more() {
        let guests = room(1, 10);
        let only = guests.admit(ip(1)).unwrap();
        only.visitor().vouch();
        assert!(guests.admit(ip(1)).is_err() && guests.admit(ip(2)).is_ok());
    }
}

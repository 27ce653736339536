//! Standing orders: what a plan allows beforehand while something outside says that a region is in trouble.
//!
//! Border: who hears of that trouble gives the order and takes it back; here it is only kept, for every term of the
//! controller.
//!
//! Invariant: an order starts nothing. Where everything else lets a failover out of a lost region start by itself, and only
//! its fence would be too weak for `policy.least_fence`, the order says what is enough.

use pilotlight_core::effect::FenceAssurance;
use pilotlight_core::id::{Region, Unit};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Which unit may be failed over.
    pub unit: Unit,
    /// Out of which region.
    pub from: Region,
    /// With what least assurance of a fence.
    pub least_fence: FenceAssurance,
    /// Whose order it is, for the journal.
    pub why: String,
}

/// The orders that stand now. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Orders(Arc<Mutex<Vec<Order>>>);

impl Orders {
    fn orders(&self) -> MutexGuard<'_, Vec<Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It stands until it is taken back.
    pub fn give(&self, order: Order) {
        let mut orders = self.orders();
        if !orders.contains(&order) {
            orders.push(order);
        }
    }

    /// It stands no more.
    pub fn take_back(&self, order: &Order) {
        self.orders().retain(|o| o != order);
    }

    /// The one that speaks of a unit whose writer is in that region; of several the one that asks for most.
    pub(crate) fn of(&self, unit: &Unit, writer: &Region) -> Option<Order> {
        let orders = self.orders();
        orders.iter().filter(|o| &o.unit == unit && &o.from == writer).max_by_key(|o| o.least_fence).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_speaks_of_its_unit_and_its_region_until_it_is_taken_back() {
        let order = |from: &str, least_fence| Order {
            unit: "pay".into(),
            from: from.into(),
            least_fence,
            why: "alarm east".into(),
        };
        let orders = Orders::default();
        let (weak, less) = (order("east", FenceAssurance::None), order("east", FenceAssurance::ProviderAttested));
        orders.give(weak.clone());
        orders.give(less.clone());
        orders.give(less.clone());
        assert_eq!(orders.of(&"pay".into(), &"west".into()), None);
        assert_eq!(orders.of(&"books".into(), &"east".into()), None);
        assert_eq!(orders.of(&"pay".into(), &"east".into()), Some(less.clone()));
        orders.take_back(&less);
        assert_eq!(orders.of(&"pay".into(), &"east".into()), Some(weak.clone()));
        orders.take_back(&weak);
        assert_eq!(orders.of(&"pay".into(), &"east".into()), None);
    }
}

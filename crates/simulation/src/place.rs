//! Where things are, and what lies between: five places, and a way from each to each that can be cut, slow or lossy, one
//! direction at a time.

use crate::chance::Chance;
use crate::timeline::{Nanos, nanos};
use pilotlight_core::id::Region;
use std::time::Duration;

/// A place that can be lost or cut off as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// The controller, or the first of two, and the DNS authority.
    Control,
    /// A region.
    East,
    /// A region.
    West,
    /// Clients.
    Outside,
    /// The second controller.
    Spare,
}

/// Every place.
pub(crate) const PLACES: [Place; 5] = [Place::Control, Place::East, Place::West, Place::Outside, Place::Spare];
/// The two that are regions.
pub(crate) const REGIONS: [Place; 2] = [Place::East, Place::West];
/// Where controllers are.
pub(crate) const MEMBERS: [Place; 2] = [Place::Control, Place::Spare];

impl Place {
    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// The place of a region of the plan.
    pub(crate) fn of(region: &Region) -> Option<Self> {
        match region.as_str() {
            "east" => Some(Place::East),
            "west" => Some(Place::West),
            _ => None,
        }
    }

    pub(crate) fn region(self) -> Region {
        Region::from(self.name())
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Place::Control => "control",
            Place::East => "east",
            Place::West => "west",
            Place::Outside => "outside",
            Place::Spare => "spare",
        }
    }

    /// The other region.
    pub(crate) fn other(self) -> Self {
        if self == Place::East { Place::West } else { Place::East }
    }
}

/// One direction between two places.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Way {
    /// So many faults cut it.
    pub(crate) cuts: u32,
    /// Further delay of each message.
    pub(crate) slow: Nanos,
    /// So many messages out of a hundred vanish.
    pub(crate) lossy: u64,
    /// So many messages out of a hundred arrive twice.
    pub(crate) doubling: u64,
}

/// All ways.
#[derive(Debug, Default)]
pub(crate) struct Network([[Way; 5]; 5]);

impl Network {
    pub(crate) fn way(&self, from: Place, to: Place) -> &Way {
        &self.0[from.index()][to.index()]
    }

    pub(crate) fn way_mut(&mut self, from: Place, to: Place) -> &mut Way {
        &mut self.0[from.index()][to.index()]
    }

    pub(crate) fn is_cut(&self, from: Place, to: Place) -> bool {
        self.way(from, to).cuts > 0
    }

    /// Nothing gets through in one direction at least: no connection can be made.
    pub(crate) fn is_broken(&self, one: Place, other: Place) -> bool {
        self.is_cut(one, other) || self.is_cut(other, one)
    }

    /// How long a message takes that leaves now.
    pub(crate) fn takes(&self, from: Place, to: Place, chance: &mut Chance) -> Nanos {
        let (low, high) = match (from, to) {
            (a, b) if a == b => (50, 200),
            (Place::Outside, _) | (_, Place::Outside) => (500, 3_000),
            _ => (1_000, 8_000),
        };
        let base = nanos(Duration::from_micros(chance.between(low, high)));
        base + self.way(from, to).slow
    }
}

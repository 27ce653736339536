//! The cases: what is done to the pair, and what is asked of it.

use super::steps;
use clap::ValueEnum;
use serde::Serialize;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Case {
    /// The writer's region is cut off from everybody
    Cut,
    /// Cut off with its agent, its gate or both frozen; they thaw, still cut off, when the new writer writes
    Freeze,
    /// Every process of the region is frozen and the region is silent; all of it goes on in one moment
    Pause,
    /// Cut off, and back in the middle of the failover or right after the promotion
    Return,
    /// Cut off, and the controller is killed as a step of the failover begins or when it is done, another step each round
    Controller,
    /// The same with three controllers on a shared store: their leader is killed
    LeaderStep,
    /// The region dies, pauses or is cut off, and at a random instant something else dies, the next each round
    Random,
    /// Every process of the region is killed
    Node,
    /// The writer has lost its standby and is lost then; a person says that it is off
    Unopposed,
    /// The standby's region is lost, then every controller for longer than a lease, then PostgreSQL is killed
    Alone,
    /// PostgreSQL is killed; it is started again in place
    Postgres,
    /// A planned move
    Switchover,
    /// The third place, with controller and names, is cut off
    Third,
    /// Every controller is killed, for longer than a lease
    Controllers,
    /// The writer's agent is frozen, every other time with its gate
    Agent,
    /// Only the two regions are cut from each other
    Link,
    /// Only the writer's region and the third place are cut from each other
    LinkThird,
    /// Nothing that the writer's region sends arrives anywhere; what is sent to it does
    Mute,
    /// One direction between two of the writer, the standby and the third place is cut, another each round
    OneWay,
    /// What one place sends another arrives late, both ways: writer and standby, or writer and third, by 80 or 300 ms
    Slow,
    /// One of three controllers is killed or frozen while it leads, with nothing under way and in the middle of a run
    Leader,
    /// What the guarantee and the fences of the connections cost each commit
    Latency,
}

/// What a lane is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneKind {
    /// One controller, the network that was asked for.
    Usual,
    /// Three controllers on a shared store.
    Three,
    /// A relay on each way, which can delay.
    Slow,
}

/// What should come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    /// The writer is in the other region afterwards.
    Moves,
    /// The writer stays, and users notice nothing.
    Holds,
    /// The writer stays.
    Stays,
}

impl Case {
    /// What should come of it.
    pub(crate) fn expects(self) -> Expect {
        match self {
            Case::Third
            | Case::Controllers
            | Case::Agent
            | Case::Link
            | Case::LinkThird
            | Case::OneWay
            | Case::Slow => Expect::Holds,
            Case::Postgres | Case::Alone | Case::Leader | Case::Latency => Expect::Stays,
            _ => Expect::Moves,
        }
    }

    /// Whether nothing may be lost, in a bundle or not: no writer is lost, or it is not lost for good.
    pub(crate) fn loses_nothing(self) -> bool {
        self.expects() == Expect::Holds || matches!(self, Case::Switchover | Case::Postgres | Case::Alone)
    }

    /// Played on a set-up of its own, not on a lane.
    pub(crate) fn is_apart(self) -> bool {
        self.lane().is_none()
    }

    /// What kind of lane it is played on.
    pub(crate) fn lane(self) -> Option<LaneKind> {
        match self {
            Case::Leader | Case::Latency => None,
            Case::LeaderStep => Some(LaneKind::Three),
            Case::Slow => Some(LaneKind::Slow),
            _ => Some(LaneKind::Usual),
        }
    }

    /// So many rounds of it are all there is to it.
    pub(crate) fn all(self) -> Option<u32> {
        matches!(self, Case::Controller | Case::LeaderStep).then_some(steps::PLACES)
    }

    /// Its name as it is typed.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|v| v.get_name().to_owned()).unwrap_or_default()
    }
}

//! What is said to the built-in DNS authority over its control interface, as JSON over HTTP(S).
//!
//! - `PUT /v1/names/{name}` [`NamePut`] -> 200 [`PutReply`]. 409 when the epoch is older than the newest one seen for
//!   the unit, 412 when `if_version` is not the version published now, 422 when the answers would leave the name
//!   without an address, 507 when the disk is full. After every refusal the old answers stay.
//! - `GET /v1/names/{name}` -> 200 [`NameView`], 404 when the authority was never told the name.
//! - `GET /health` -> 200, without a token.
//!
//! Every other request carries `authorization: Bearer TOKEN`. Refusals have a [`Refusal`] as body.

use crate::id::{Epoch, Region, Unit};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What a name is to answer from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamePut {
    /// The unit whose traffic the name carries; epochs are compared per unit.
    pub unit: Unit,
    /// The epoch of the run.
    pub epoch: Epoch,
    /// Time to live of the answers, in seconds.
    pub ttl_s: u32,
    /// One per region. At least one has a weight above 0.
    pub answers: Vec<NameAnswer>,
    /// Only if this is the version published now (0: never told). A request that was given up by its sender and
    /// arrives late is refused by this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_version: Option<u64>,
}

/// One possible answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameAnswer {
    /// The region it leads to.
    pub region: Region,
    /// Where users go.
    pub address: IpAddr,
    /// How often it is given, relative to the others; 0 means never.
    pub weight: u32,
}

/// What became of a [`NamePut`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutReply {
    /// The answers or the time to live are others than before.
    pub changed: bool,
    /// The version published now.
    pub version: u64,
}

/// What the authority publishes under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameView {
    /// The unit it belongs to.
    pub unit: Unit,
    /// The newest epoch seen for the unit.
    pub epoch: Epoch,
    /// Time to live of the answers, in seconds.
    pub ttl_s: u32,
    /// The answers.
    pub answers: Vec<NameAnswer>,
    /// Counts the changes.
    pub version: u64,
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What was wrong, naming the thing.
    pub error: String,
    /// The newest epoch, when the one in the request was older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_epoch: Option<Epoch>,
}

//! Words of AWS read as ours: values in, values out, built with and without the SDK.
//!
//! Border: nothing here calls anything. What AWS's SDK says is put into types of this folder by the drivers beside it.

pub mod cluster;
pub mod datastore;
pub mod dial;
pub mod image;
pub mod instance;
pub mod need;
pub mod nodes;
pub mod origin;
pub mod rate;
pub mod reattach;
pub mod refusal;
pub mod replication;
pub mod right;
pub mod silence;
pub mod weight;
pub mod xml;

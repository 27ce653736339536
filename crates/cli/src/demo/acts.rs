//! The acts of the demo, in order.

mod home;
mod loss;
mod opening;
mod rescue;
mod return_;

pub(crate) use home::{Moved, switch_over};
pub(crate) use loss::{Lost, lose};
pub(crate) use opening::open;
pub(crate) use rescue::{Rescued, inserted, rescue};
pub(crate) use return_::come_back;

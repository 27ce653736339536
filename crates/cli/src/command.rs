//! The commands, one file each: plain functions that take what was asked and writers. Arguments are read elsewhere.

pub(crate) mod check;
pub(crate) mod explain;
pub(crate) mod init;

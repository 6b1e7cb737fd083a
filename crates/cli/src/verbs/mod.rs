//! One file for each verb: arguments, one engine call, words.

pub(crate) mod compile;
pub(crate) mod completion;
pub(crate) mod explain;
pub(crate) mod run;
pub(crate) mod system;
pub(crate) mod version;

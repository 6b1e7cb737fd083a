//! What the policy of the network is decided on.
//!
//! ```text
//!   an address, in any spelling ──▶ canonical ──▶ kind: public, or what it is instead
//! ```

mod kind;

pub use kind::{AddressKind, canonical};

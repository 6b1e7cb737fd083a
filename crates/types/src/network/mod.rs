//! The policy of the network, and what it is decided on.
//!
//! ```text
//!   an address, in any spelling ──▶ meant ──▶ kind: public, or what it is instead ──┐
//!   a name that is allowed ──▶ its answers ──▶ pins: address and name for a while ──┴──▶ policy
//! ```

mod kind;
mod lookup;
mod pins;
mod policy;
mod ports;
mod servers;

pub use kind::{AddressKind, canonical};
pub use lookup::{AskedName, Lookup, LookupError};
pub use pins::Pins;
pub use policy::{
    Destination, NetworkPolicy, PinnedName, Reach, Reason, Source, Transport, Verdict, meant,
};
pub use ports::PublishedPort;
pub use servers::{MOST_SERVERS, NameServer, NameServers};

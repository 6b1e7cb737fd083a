//! What the engine asks of the role that embeds it.

use lighter_types::refusal::Refusal;

/// The embedding role, as the host functions see it.
///
/// Host functions call it from whichever thread the guest runs on. Calls must be quick and must
/// not fail: a refusal that cannot be delivered is lost.
pub trait Host: Send + Sync {
    /// Tells that the guest was refused something. The same refusal may be told often; the
    /// implementation bounds and deduplicates.
    fn refused(&self, refusal: Refusal);
}

//! **Does:** tries its members in order: the next one only for a message that was certainly not sent and may be
//! rerouted (`may_reroute`). A member that fails is set aside, and after a while one call at a time checks whether it
//! is back. Members that are set aside are tried last, so a message is tried even if all of them are.
//!
//! **Never:** continues after a doubt: it is the message's outcome. It never reroutes a message that is itself at fault
//! (`Blocked`, `InvalidRecipient`, `InvalidText`), nor sets a vendor aside for it, and never repeats at the same
//! member.
//!
//! **Belongs** around the stack of each vendor, inside of [`Dedupe`](crate::Dedupe), the brakes and
//! [`Traced`](crate::Traced).

use std::{num::NonZeroUsize, time::Duration};

use postduif_core::{
    ConfigError, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};

use crate::{
    dispatch::{IN_FLIGHT, in_calls},
    pool::{Member, Members},
};

/// A layer over several vendors that sends to the next one if the previous certainly did not send.
///
/// Its profile declares what all members support, with their names joined by commas. It has no repeat window, since a
/// repeat might reach another vendor. An option that the profile does not declare is refused before any call, so that
/// the outcome does not depend on which member is available. Receipts and errors name the member that responded, and
/// their `attempts` the members tried before.
///
/// A member is set aside for any failure, doubts included, that is the vendor's rather than the message's: not for the
/// kinds above, `InvalidSender`, `Unsupported` or `Other`, and not for a refusal by a layer. A batch with one accepted
/// message sets no member aside. Any acceptance brings a member back.
///
/// A message that still waits inside of a member (for a turn, a token, a connection) when another message's failure
/// sets that member aside is withdrawn, and goes to the next one at once. While another member is open, a
/// [`Retry`](crate::Retry) inside of a member waits about a second at most.
///
/// A batch is first split into calls of the first member that is not set aside. If that member turns out to be down,
/// the calls that are not yet under way go straight to the next, instead of failing one after the other.
///
/// [`check`](SmsProvider::check) checks every member, and returns refused credentials if one has them, else unknown
/// ones if one cannot tell, and no balance. It does not show which member is at fault: a health page checks each by
/// itself.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use postduif::{layers::{Failover, Member}, SmsProvider as _};
///
/// # async fn example(
/// #     kpn: impl SmsProvider, cm: impl SmsProvider, message: Message
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let provider = Failover::new([Member::new("kpn", kpn), Member::new("cm", cm)])?;
/// let receipt = provider.send(&message).await?;
/// for attempt in receipt.attempts() {
///     println!("tried before: {attempt}"); // kpn: no connection
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Failover {
    members: Members,
    in_flight: NonZeroUsize,
}

impl Failover {
    /// Creates a layer that tries these in order: [`Member`]s, or pairs of a name and an `Arc<dyn SmsProvider>`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no member, two have the same name, or a name is empty or has a comma in it.
    pub fn new<M: Into<Member>>(members: impl IntoIterator<Item = M>) -> Result<Self, ConfigError> {
        let members = Members::new(members)?;
        Ok(Self {
            members,
            in_flight: IN_FLIGHT,
        })
    }

    /// Sets how long a member that failed is set aside, unless the vendor asks for less. Defaults to 30 s.
    #[must_use]
    pub const fn with_cooldown(mut self, pause: Duration) -> Self {
        self.members.set_cooldown(pause);
        self
    }

    /// Sets how many calls of one batch are under way at a time. Defaults to 8.
    #[must_use]
    pub const fn with_in_flight(mut self, calls: NonZeroUsize) -> Self {
        self.in_flight = calls;
        self
    }
}

#[async_trait]
impl SmsProvider for Failover {
    fn profile(&self) -> &Profile {
        self.members.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.members.send(0..self.members.len(), message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let size = self.members.call_size(messages);
        in_calls(messages, size, self.in_flight, async |piece| {
            self.members.send_batch(0..self.members.len(), piece).await
        })
        .await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.members.check().await
    }
}

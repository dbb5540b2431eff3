//! **Does:** tries its members in order: the next one only for what was certainly not sent and may travel on
//! (`may_reroute`). A member that fails is set aside, and one call at a time finds out after a while whether
//! it is back; set-aside members are tried last, so that with all of them set aside the first is tried all
//! the same.
//!
//! **Never:** goes on after a doubt: an unknown ends the message's way and is the whole's outcome; never takes
//! a message's own fault (`Blocked`, `InvalidRecipient`, `InvalidText`) elsewhere or holds it against a vendor;
//! never repeats at the same member.
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

/// The next vendor for what the one before certainly did not send.
///
/// Its profile is the weakest of its members', their names joined by commas, without a repeat window: a
/// repeat might reach another vendor. What this profile does not declare is refused before any member is
/// asked: otherwise it would depend on who is up whether a wish can be fulfilled. Receipt and error name the
/// member that answered, and their `attempts` those that were tried before.
///
/// What sets a member aside: any failure, doubts included, that speaks of the vendor and not of the message
/// (so not the kinds above, `InvalidSender`, `Unsupported` or `Other`), and that the vendor caused: a refusal of
/// our own limits does not. A batch of which it accepted one message does not. Any acceptance brings it back.
///
/// A message that still waits inside of a member (for a turn, a token, a connection) while another message's
/// failure sets that member aside is withdrawn, and goes to the next one at once. While another member is open,
/// a [`Retry`](crate::Retry) inside of a member is patient for about a second only.
///
/// A batch is first cut into calls of the first member that is not set aside: when that one turns out to be
/// dead, the calls that are not yet under way go straight to the next, instead of the whole batch waiting for
/// every one of its calls to fail.
///
/// [`check`](SmsProvider::check) asks every member: refused if one is, else "cannot tell" if one cannot, and
/// no balance. It tells whether all of them are good, not which one is not: a health page keeps the members and
/// checks each by itself.
///
/// ```
/// # use postduif_core::*;
/// use postduif_layers::{Failover, Member};
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
    /// Tries these in order: [`Member`]s, or pairs of a name and an `Arc<dyn SmsProvider>`.
    ///
    /// # Errors
    ///
    /// Where there is no member, two have the same name, or a name is empty or has a comma in it.
    pub fn new<M: Into<Member>>(members: impl IntoIterator<Item = M>) -> Result<Self, ConfigError> {
        let members = Members::new(members)?;
        Ok(Self {
            members,
            in_flight: IN_FLIGHT,
        })
    }

    /// Sets for how long a member that failed is set aside, unless the vendor asks for less. Defaults to 30 s.
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

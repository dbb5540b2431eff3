//! **Does:** distributes messages over its members by their weights, evenly (with weights 5 and 1, the second has
//! every sixth turn), and fails over as [`Failover`](crate::Failover) does. A batch is split into vendor calls first,
//! and each has its own turn.
//!
//! **Never:** does what `Failover` never does; never promises which member a message goes to.
//!
//! **Belongs** where `Failover` does.

use std::{cmp::Reverse, num::NonZeroUsize, sync::Mutex, time::Duration};

use postduif_core::{
    ConfigError, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};

use crate::{
    dispatch::{IN_FLIGHT, call_size, in_calls, lock},
    pool::{Member, Members},
};

/// A layer that distributes messages over several vendors by weight.
///
/// Profile, names, attempts, setting aside and [`check`](SmsProvider::check) are those of
/// [`Failover`](crate::Failover). The share of a member that is set aside goes to the others by their weights.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use std::num::NonZeroU32;
/// use postduif::layers::{Member, RoundRobin};
///
/// # fn example(kpn: impl SmsProvider, cm: impl SmsProvider) -> Result<(), ConfigError> {
/// let provider = RoundRobin::new([
///     Member::new("kpn", kpn).with_weight(NonZeroU32::new(3).unwrap()),
///     Member::new("cm", cm),
/// ])?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RoundRobin {
    members: Members,
    /// The turns that each member is owed; the sum stays zero.
    owed: Mutex<Vec<i64>>,
    in_flight: NonZeroUsize,
}

impl RoundRobin {
    /// Creates a layer that sends to these in turn: [`Member`]s, or pairs of a name and an `Arc<dyn SmsProvider>`,
    /// which have weight 1.
    ///
    /// # Errors
    ///
    /// As [`Failover::new`](crate::Failover::new).
    pub fn new<M: Into<Member>>(members: impl IntoIterator<Item = M>) -> Result<Self, ConfigError> {
        let members = Members::new(members)?;
        let owed = Mutex::new(vec![0; members.weights().count()]);
        Ok(Self {
            members,
            owed,
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

    /// Returns the members in the order of their turns: by nginx's smooth weighted round robin among those that are not
    /// set aside. The others keep the turns that they are owed until they are back.
    fn ranking(&self) -> Vec<usize> {
        let weights: Vec<_> = self.members.weights().collect();
        let none_open = !weights.iter().any(|&(_, open)| open);
        let mut owed = lock(&self.owed);
        let mut total = 0;
        let mut turns = Vec::with_capacity(weights.len());
        for (index, (owed, (weight, open))) in owed.iter_mut().zip(weights).enumerate() {
            if open || none_open {
                let weight = i64::from(weight.get());
                *owed = owed.saturating_add(weight);
                total += weight;
            }
            turns.push((Reverse(open), Reverse(*owed), index));
        }
        turns.sort_unstable();
        let ranking: Vec<_> = turns.into_iter().map(|(_, _, index)| index).collect();
        if let Some(owed) = ranking.first().and_then(|&first| owed.get_mut(first)) {
            *owed = owed.saturating_sub(total);
        }
        ranking
    }
}

#[async_trait]
impl SmsProvider for RoundRobin {
    fn profile(&self) -> &Profile {
        self.members.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let ranking = self.ranking();
        self.members.send(ranking.iter().copied(), message).await
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        let size = call_size(self.members.profile(), messages);
        in_calls(messages, size, self.in_flight, async |piece| {
            self.members.send_batch(self.ranking(), piece).await
        })
        .await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.members.check().await
    }
}

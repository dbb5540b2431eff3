//! What [`Failover`](crate::Failover) and [`RoundRobin`](crate::RoundRobin) share: named members, which of them are set
//! aside, and how a message goes from one to the next.

use std::{
    borrow::Cow,
    future::{Future, poll_fn},
    num::{NonZeroU32, NonZeroUsize},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
    time::Duration,
};

use postduif_core::{
    Attempt, BatchTexts, ConfigError, Credentials, ErrorKind, Health, Message, Outcomes, Profile,
    Receipt, SendError, SenderKind, SmsProvider, TextLimit,
    departure::{Departure, Proof, attempt},
};
use tokio::{sync::Notify, time::Instant};

use crate::{
    dispatch::{Trail, call_size, cut_off, is_cut_off, later, lock, put, refusal, send_some},
    scope::{PATIENCE, Progress, Scope},
};

/// A provider with its name in a group.
///
/// Receipts, errors and attempts carry the name, which distinguishes two accounts of one vendor.
///
/// ```
/// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
/// # use postduif::*;
/// use postduif::{layers::{Failover, Member}, SmsProvider as _};
///
/// # fn example(first: impl SmsProvider, second: impl SmsProvider) -> Result<(), ConfigError> {
/// let provider = Failover::new([Member::new("kpn-shop", first), Member::new("kpn-staff", second)])?;
/// assert_eq!(provider.profile().name(), "kpn-shop,kpn-staff");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Member {
    name: Cow<'static, str>,
    /// Whether the name is the provider's own, so that the group numbers duplicates.
    numbered: bool,
    provider: Arc<dyn SmsProvider>,
    weight: NonZeroU32,
}

impl Member {
    /// Creates a member with this name, which no other member has, without a comma in it.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, provider: impl SmsProvider) -> Self {
        (name, Arc::new(provider) as Arc<dyn SmsProvider>).into()
    }

    /// Creates a member with the name of its provider's profile, such as `kpn`. The second one of that name in a
    /// group is called `kpn-2`, the third `kpn-3`.
    ///
    /// ```
    /// # mod postduif { pub use postduif_core::*; pub use postduif_layers as layers; }
    /// # use postduif::*;
    /// use postduif::{layers::{Failover, Member}, Null, SmsProvider as _};
    ///
    /// let accounts = [Null::new(), Null::new()];
    /// let provider = Failover::new(accounts.map(Member::of))?;
    /// assert_eq!(provider.profile().name(), "null,null-2");
    /// # Ok::<(), ConfigError>(())
    /// ```
    #[must_use]
    pub fn of(provider: impl SmsProvider) -> Self {
        Self {
            numbered: true,
            ..Self::new(provider.profile().owned_name(), provider)
        }
    }

    /// Sets its share in a [`RoundRobin`](crate::RoundRobin), against the other members'. Defaults to 1.
    /// [`Failover`](crate::Failover) ignores it.
    #[must_use]
    pub const fn with_weight(mut self, weight: NonZeroU32) -> Self {
        self.weight = weight;
        self
    }

    /// Names the member in an outcome that its provider signed. A nested group's member keeps its name.
    fn sign(&self, outcome: Result<Receipt, SendError>) -> Result<Receipt, SendError> {
        match outcome {
            Ok(mut receipt) => {
                if self.renames(receipt.provider()) {
                    receipt = receipt.with_provider(self.name.clone());
                }
                Ok(match self.signed(receipt.attempts()) {
                    Some(attempts) => receipt.with_attempts(attempts),
                    None => receipt,
                })
            }
            Err(error) => Err(self.signed_error(error)),
        }
    }

    fn signed_error(&self, mut error: SendError) -> SendError {
        if error.provider().is_none_or(|name| self.renames(name)) {
            error = error.with_provider(self.name.clone());
        }
        match self.signed(error.attempts()) {
            Some(attempts) => error.with_attempts(attempts),
            None => error,
        }
    }

    /// Returns the provider's earlier attempts under the member's name, or `None` if nothing changes.
    fn signed(&self, attempts: &[Attempt]) -> Option<Vec<Attempt>> {
        if !attempts.iter().any(|tried| self.renames(tried.provider())) {
            return None;
        }
        let signed = |tried: &Attempt| {
            if self.renames(tried.provider()) {
                Attempt::new(self.name.clone(), self.signed_error(tried.error().clone()))
            } else {
                tried.clone()
            }
        };
        Some(attempts.iter().map(signed).collect())
    }

    fn renames(&self, name: &str) -> bool {
        name == self.provider.profile().name() && name != self.name
    }
}

impl<N: Into<Cow<'static, str>>> From<(N, Arc<dyn SmsProvider>)> for Member {
    fn from((name, provider): (N, Arc<dyn SmsProvider>)) -> Self {
        Self {
            name: name.into(),
            numbered: false,
            provider,
            weight: NonZeroU32::MIN,
        }
    }
}

/// Numbers duplicate names that members have from their providers: `kpn`, `kpn-2`.
fn number(members: &mut [Member]) {
    let mut names: Vec<Cow<'static, str>> = Vec::new();
    for member in members.iter_mut().filter(|member| member.numbered) {
        let earlier = names.iter().filter(|name| **name == member.name).count();
        names.push(member.name.clone());
        if earlier > 0 {
            member.name = format!("{}-{}", member.name, earlier + 1).into();
        }
    }
}

/// Several providers as one.
#[derive(Debug)]
pub(crate) struct Members {
    slots: Vec<Slot>,
    profile: Profile,
    pause: Duration,
}

impl Members {
    pub(crate) fn new<M: Into<Member>>(
        members: impl IntoIterator<Item = M>,
    ) -> Result<Self, ConfigError> {
        let mut members: Vec<Member> = members.into_iter().map(Into::into).collect();
        number(&mut members);
        for (index, member) in members.iter().enumerate() {
            if member.name.is_empty() || member.name.contains(',') {
                return Err(ConfigError::new(
                    "a member's name needs at least one character and no comma",
                ));
            }
            if members
                .iter()
                .skip(index + 1)
                .any(|m| m.name == member.name)
            {
                return Err(ConfigError::new(format!(
                    "two members have the name {}: give each a different one",
                    member.name
                )));
            }
        }
        let profile = members
            .iter()
            .map(|member| {
                let profile = member.provider.profile().clone();
                profile.with_name(member.name.clone())
            })
            .reduce(|one, other| weakest(&one, &other))
            .ok_or_else(|| ConfigError::new("at least one member is needed"))?
            .with_repeat_window(None);
        Ok(Self {
            slots: members.into_iter().map(Slot::new).collect(),
            profile,
            pause: Duration::from_secs(30),
        })
    }

    pub(crate) const fn set_cooldown(&mut self, pause: Duration) {
        self.pause = pause;
    }

    pub(crate) const fn profile(&self) -> &Profile {
        &self.profile
    }

    pub(crate) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns each member's weight, and whether it is open.
    pub(crate) fn weights(&self) -> impl Iterator<Item = (NonZeroU32, bool)> {
        let weight = |slot: &Slot| (slot.member.weight, slot.is_open());
        self.slots.iter().map(weight)
    }

    /// Returns how many of these messages one call to the first open member carries.
    pub(crate) fn call_size(&self, messages: &[Message]) -> NonZeroUsize {
        let open = self.slots.iter().find(|slot| slot.is_open());
        let profile = open.or(self.slots.first());
        let profile = profile.map_or(&self.profile, |slot| slot.member.provider.profile());
        call_size(profile, messages)
    }

    /// Sends one message to the members in this order, and to those that are set aside last.
    pub(crate) async fn send(
        &self,
        mut ranking: impl Iterator<Item = usize> + Clone + Send + Sync,
        message: &Message,
    ) -> Result<Receipt, SendError> {
        self.profile.validate(message)?;
        let mut trail = Trail::default();
        let before = Progress::current();
        let mut aside = Vec::new();
        // Added to the trail only when another member gets its turn.
        let mut refused: Option<(&Slot, SendError)> = None;
        let mut last_resort = false;
        loop {
            let slot = match ranking.next() {
                Some(index) => self.slots.get(index).map(|slot| (index, slot)),
                None if aside.is_empty() => break,
                None => {
                    last_resort = true;
                    let index = aside.remove(0);
                    self.slots.get(index).map(|slot| (index, slot))
                }
            };
            let Some((index, slot)) = slot else { continue };
            let Some(turn) = slot.turn(last_resort) else {
                aside.push(index);
                continue;
            };
            if is_cut_off() {
                break;
            }
            if let Some((slot, error)) = refused.take() {
                trail.push(slot.member.name.clone(), &error);
            }
            if let Some(before) = &before {
                let left = ranking.clone().chain(aside.iter().copied());
                self.progress(before, slot, &trail, left).publish();
            }
            let others = || ranking.clone().any(|other| self.is_open(other));
            let call = slot.member.provider.send(message);
            let outcome = match slot.call(call, others).await {
                Some(outcome) => outcome,
                None => {
                    aside.push(index);
                    Err(slot.withdrawn())
                }
            };
            turn.ends_in([&outcome], self.pause);
            match slot.member.sign(outcome) {
                Err(error) if error.may_reroute() => refused = Some((slot, error)),
                outcome => return trail.ends_in(outcome),
            }
        }
        trail.ends_in(Err(match refused {
            Some((_, error)) => error,
            None => cut_off(&self.profile),
        }))
    }

    /// Sends to the members in this order, and to those that are set aside last. Only messages that may be rerouted go
    /// on to the next member.
    pub(crate) async fn send_batch(
        &self,
        ranking: impl IntoIterator<Item = usize> + Send,
        messages: &[Message],
    ) -> Outcomes {
        let mut outcomes = Outcomes::in_doubt(messages);
        let mut pending = Vec::new();
        let cut_off = is_cut_off().then(|| cut_off(&self.profile));
        for (index, message) in messages.iter().enumerate() {
            match (self.profile.validate(message), &cut_off) {
                (Ok(()), None) => pending.push(index),
                (Ok(()), Some(error)) => outcomes.set(index, Err(error.clone())),
                (Err(error), _) => outcomes.set(index, Err(error)),
            }
        }
        let mut trails = vec![Trail::default(); messages.len()];
        let mut ranking: Vec<_> = ranking.into_iter().collect();
        let mut aside = Vec::new();
        let mut last_resort = false;
        let mut before: Option<Cow<'static, str>> = None;
        loop {
            if ranking.is_empty() {
                last_resort = true;
                ranking.append(&mut aside);
            }
            if pending.is_empty() || ranking.is_empty() || is_cut_off() {
                break;
            }
            let next = ranking.remove(0);
            let Some(slot) = self.slots.get(next) else {
                continue;
            };
            let Some(turn) = slot.turn(last_resort) else {
                aside.push(next);
                continue;
            };
            // The previous refusals join the trail now that another member has its turn.
            if let Some(before) = &before {
                for &index in &pending {
                    if let (Some(Err(error)), Some(trail)) =
                        (outcomes.get(index), trails.get_mut(index))
                    {
                        trail.push(before.clone(), error);
                    }
                }
            }
            let others = || ranking.iter().any(|&other| self.is_open(other));
            let call = send_some(&slot.member.provider, messages, &pending);
            match slot.call(call, others).await {
                Some(some) => put(&pending, some, &mut outcomes),
                None => {
                    aside.push(next);
                    for &index in &pending {
                        outcomes.set(index, Err(slot.withdrawn()));
                    }
                }
            }
            let ended = pending.iter().filter_map(|&index| outcomes.get(index));
            turn.ends_in(ended, self.pause);
            before = Some(slot.member.name.clone());
            pending.retain(|&index| {
                let Some(outcome) = outcomes.get(index).cloned() else {
                    return false;
                };
                let signed = slot.member.sign(outcome);
                let on = matches!(&signed, Err(error) if error.may_reroute());
                outcomes.set(index, signed);
                on
            });
        }
        for (index, trail) in trails.into_iter().enumerate() {
            if let Some(outcome) = outcomes.get(index).cloned() {
                outcomes.set(index, trail.ends_in(outcome));
            }
        }
        outcomes
    }

    /// Returns the progress of a message that this member has, with these members left.
    fn progress(
        &self,
        before: &Progress,
        slot: &Slot,
        trail: &Trail,
        left: impl Iterator<Item = usize>,
    ) -> Progress {
        let left = left.filter_map(|index| self.slots.get(index));
        let names = left.map(|slot| slot.member.name.clone());
        Progress {
            attempts: before.attempts.followed_by(trail),
            waits_for: Some(slot.member.name.clone()),
            not_tried: names.chain(before.not_tried.iter().cloned()).collect(),
        }
    }

    fn is_open(&self, index: usize) -> bool {
        self.slots.get(index).is_some_and(Slot::is_open)
    }

    /// Checks every member. Refused credentials of one are the result, since that member would refuse a message, too.
    pub(crate) async fn check(&self) -> Result<Health, SendError> {
        let (mut verified, mut fault) = (true, None);
        for slot in &self.slots {
            match Health::of(slot.member.provider.check().await) {
                Ok(health) => {
                    if let Some(refusal) = health.refusal() {
                        return Ok(Health::refused(slot.member.signed_error(refusal.clone())));
                    }
                    verified &= health.credentials() == Credentials::Verified;
                }
                Err(error) => fault = fault.or(Some(slot.member.signed_error(error))),
            }
        }
        match fault {
            Some(error) => Err(error),
            None if verified => Ok(Health::verified()),
            None => Ok(Health::unknown()),
        }
    }
}

/// A member, and whether it is set aside.
#[derive(Debug)]
struct Slot {
    member: Member,
    state: Mutex<State>,
    /// Notifies the calls that wait inside of it when it is set aside.
    set_aside: Notify,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Set aside until then. After that, one call at a time checks whether it is back.
    Aside {
        until: Instant,
        probed: bool,
    },
    Open,
}

impl Slot {
    const fn new(member: Member) -> Self {
        Self {
            member,
            state: Mutex::new(State::Open),
            set_aside: Notify::const_new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn log_aside(&self, error: &SendError, pause: Duration) {
        let pause = error.retry_after().map_or(pause, |hint| hint.min(pause));
        tracing::warn!(
            messaging.system = &*self.member.name,
            "error.type" = error.kind().as_str(),
            sms.code = error.code(),
            sms.aside_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
            sms.error = %error,
            "set aside"
        );
    }

    fn log_back(&self) {
        tracing::info!(messaging.system = &*self.member.name, "back in use");
    }

    fn is_open(&self) -> bool {
        match *self.state() {
            State::Open => true,
            State::Aside { until, probed } => !probed && Instant::now() >= until,
        }
    }

    /// Makes a call to the member. `None` means that it was withdrawn: the member was set aside while nothing of the
    /// call had left, and another one is open.
    async fn call<T: Proof>(
        &self,
        call: impl Future<Output = T> + Send,
        others: impl Fn() -> bool + Send + Sync,
    ) -> Option<T> {
        if !others() {
            return Some(attempt(call).await);
        }
        let scope = Scope {
            patience: Some(PATIENCE),
            ..Scope::current()
        };
        let departure = Departure::new();
        let outcome = {
            // Created before the call, so that no notification is missed.
            let mut set_aside = pin!(self.set_aside.notified());
            let mut call = pin!(departure.scope(scope.around(call)));
            let mut is_aside = false;
            poll_fn(|context| {
                if let Poll::Ready(outcome) = call.as_mut().poll(context) {
                    return Poll::Ready(Some(outcome));
                }
                is_aside = is_aside || set_aside.as_mut().poll(context).is_ready();
                // Closed only if nothing has left, since a call that has left continues.
                if is_aside && !departure.has_left() && others() && departure.close() {
                    return Poll::Ready(None);
                }
                Poll::Pending
            })
            .await
        };
        match &outcome {
            Some(outcome) => departure.end(outcome),
            None => departure.end(&Err::<Receipt, _>(self.withdrawn())),
        }
        outcome
    }

    fn withdrawn(&self) -> SendError {
        let message = "set aside while the message waited for its turn";
        refusal(
            self.member.provider.profile(),
            ErrorKind::Unavailable,
            message,
        )
        .with_provider(self.member.name.clone())
    }

    /// Returns a turn, or `None` if the member is set aside and this is not the last resort.
    fn turn(&self, last_resort: bool) -> Option<Turn<'_>> {
        let mut state = self.state();
        let probe = match &mut *state {
            State::Open => false,
            State::Aside { until, probed } if !*probed && Instant::now() >= *until => {
                *probed = true;
                true
            }
            State::Aside { .. } if last_resort => false,
            State::Aside { .. } => return None,
        };
        Some(Turn { slot: self, probe })
    }
}

/// A call to a member. A probe that is dropped lets another call be the next one.
struct Turn<'a> {
    slot: &'a Slot,
    probe: bool,
}

impl Turn<'_> {
    fn ends_in<'a>(
        mut self,
        outcomes: impl IntoIterator<Item = &'a Result<Receipt, SendError>>,
        pause: Duration,
    ) {
        let (mut works, mut failure) = (false, None);
        for outcome in outcomes {
            match outcome {
                Ok(_) => works = true,
                Err(error) => failure = vendors_failure(error).or(failure),
            }
        }
        let mut state = self.slot.state();
        let was_open = matches!(*state, State::Open);
        match failure {
            _ if works => *state = State::Open,
            Some(error) if was_open => {
                *state = aside(error, pause);
                self.slot.set_aside.notify_waiters();
            }
            Some(error) if self.probe => *state = aside(error, pause),
            _ => return,
        }
        self.probe = false;
        // Written to the log without the lock.
        drop(state);
        match failure {
            _ if works && !was_open => self.slot.log_back(),
            Some(error) if !works && was_open => self.slot.log_aside(error, pause),
            _ => {}
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.probe {
            return;
        }
        if let State::Aside { probed, .. } = &mut *self.slot.state() {
            *probed = false;
        }
    }
}

fn aside(error: &SendError, pause: Duration) -> State {
    let pause = error.retry_after().map_or(pause, |hint| hint.min(pause));
    State::Aside {
        until: later(Instant::now(), pause),
        probed: false,
    }
}

/// Returns the last failure that is evidence about the vendor. A refusal by a layer is not, since the vendor got no
/// request, and neither is an error of the message.
fn vendors_failure(error: &SendError) -> Option<&SendError> {
    let last = if error.is_local() {
        let mut tried = error.attempts().iter().rev().map(Attempt::error);
        tried.find(|error| !error.is_local())?
    } else {
        error
    };
    counts_against_the_vendor(last).then_some(last)
}

/// Returns whether a failure is evidence about the vendor rather than the message. A doubt is: a vendor whose responses
/// get lost would leave the next message in doubt, too.
fn counts_against_the_vendor(error: &SendError) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::Blocked
            | ErrorKind::InvalidRecipient
            | ErrorKind::InvalidSender
            | ErrorKind::InvalidText
            | ErrorKind::Other
            | ErrorKind::Unsupported
    )
}

/// Returns a profile that declares what both support.
fn weakest(one: &Profile, other: &Profile) -> Profile {
    let mut weakest = Profile::new("")
        .with_name(format!("{},{}", one.name(), other.name()))
        .with_batch(
            one.batch_size().min(other.batch_size()),
            match (one.batch_texts(), other.batch_texts()) {
                (BatchTexts::Mixed, BatchTexts::Mixed) => BatchTexts::Mixed,
                _ => BatchTexts::Same,
            },
        )
        .with_senders(common_senders(one.senders(), other.senders()))
        .with_sender_required(one.sender_required() || other.sender_required())
        .with_refused_characters(either(one.refused_characters(), other.refused_characters()))
        .with_reports(one.reports() && other.reports());
    if let (Some(one), Some(other)) = (one.max_schedule_ahead(), other.max_schedule_ahead()) {
        weakest = weakest.with_max_schedule_ahead(one.min(other));
    }
    if let (Some(one), Some(other)) = (one.validity(), other.validity()) {
        let shortest = *one.start().max(other.start());
        let longest = *one.end().min(other.end());
        if shortest <= longest {
            weakest = weakest.with_validity(shortest, longest);
        }
    }
    match (one.longest_text(), other.longest_text()) {
        (Some(one), Some(other)) => weakest.with_longest_text(shorter(one, other)),
        (Some(limit), None) | (None, Some(limit)) => weakest.with_longest_text(limit),
        (None, None) => weakest,
    }
}

/// Returns the characters of both, without duplicates.
fn either(one: &str, other: &str) -> String {
    let new = other.chars().filter(|&char| !one.contains(char));
    one.chars().chain(new).collect()
}

/// Returns the kinds that both support. A profile borrows a static list, so each possible result is listed here.
fn common_senders(one: &[SenderKind], other: &[SenderKind]) -> &'static [SenderKind] {
    use SenderKind::{Alphanumeric as A, MessagingService as M, Number as N, ShortCode as S};
    const SETS: [&[SenderKind]; 16] = [
        &[],
        &[A],
        &[M],
        &[A, M],
        &[N],
        &[A, N],
        &[M, N],
        &[A, M, N],
        &[S],
        &[A, S],
        &[M, S],
        &[A, M, S],
        &[N, S],
        &[A, N, S],
        &[M, N, S],
        &[A, M, N, S],
    ];
    let common = |kind| one.contains(kind) && other.contains(kind);
    let is_common = |set: &&&[SenderKind]| {
        SenderKind::ALL
            .iter()
            .all(|kind| common(kind) == set.contains(kind))
    };
    SETS.iter().find(is_common).copied().unwrap_or_default()
}

/// Returns a limit within both. A profile holds either characters or parts. Of the two kinds, the result is the parts
/// that certainly stay within the characters or, below one part of GSM 03.38, the characters that certainly stay within
/// the parts.
fn shorter(one: TextLimit, other: TextLimit) -> TextLimit {
    use TextLimit::{Characters, Parts};
    match (one, other) {
        (Characters(one), Characters(other)) => Characters(one.min(other)),
        (Parts(one), Parts(other)) => Parts(one.min(other)),
        // A part of GSM 03.38 holds 160 characters if it is the only one, else 153.
        (Characters(characters), Parts(parts)) | (Parts(parts), Characters(characters)) => {
            match characters {
                // UCS-2: 70 units, of which a character takes at most two.
                ..160 => Characters(characters.min(35)),
                160..306 => Parts(parts.min(1)),
                _ => Parts(parts.min(characters / 153)),
            }
        }
        // A kind of limit that this version does not know.
        (limit, _) => limit,
    }
}

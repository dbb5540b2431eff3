//! Every duration and count of the flow, with its reason.

use std::time::Duration;

// The window of a call-out.

/// The default time that Entra waits, within the 5 minutes to 3 hours that a lifecycle workflow allows.
pub(crate) const DEFAULT_WINDOW: Duration = minutes(30);

/// The default time between the deadline and the end of the window.
pub(crate) const DEFAULT_MARGIN: Duration = minutes(1);

/// The minimum margin: time to revoke a pass and to send Entra the verdict, each with a retry.
pub(crate) const MIN_MARGIN: Duration = seconds(20);

/// The part of a call-out's own window that the margin may take: the rest must be enough to issue and send.
pub(crate) const MARGIN_SHARE: u32 = 4;

/// The part of the margin that is kept for what must follow an effect: its entry, a revocation, the verdict.
pub(crate) const MARGIN_KEPT_SHARE: u32 = 2;

/// The maximum number of passes of one flow: one for a crash, one for a doubt, and one to succeed.
pub(crate) const ROUNDS: u8 = 3;

// Calls.

/// The maximum duration of any call except a send. Graph's own deadlines are shorter.
pub(crate) const MAX_CALL: Duration = minutes(1);

/// The minimum time that a call is given when the window is closing or closed: a shorter one would only fail.
pub(crate) const MIN_CALL: Duration = seconds(5);

/// The maximum age of an intent's entry when its effect begins. If the store took longer, another run may have
/// taken the flow over and stopped waiting.
pub(crate) const MAX_INTENT_AGE: Duration = seconds(10);

// Pauses.

/// The default pauses before retries, 77 seconds in all: Graph's replicas may not know a new user for that long.
pub(crate) const DEFAULT_PAUSES: [Duration; 5] = [
    seconds(2),
    seconds(5),
    seconds(10),
    seconds(20),
    seconds(40),
];

/// The maximum pause before a retry that leaves no entry, unless a configured pause or Graph's `Retry-After` is longer.
/// Longer ones would waste a window of half an hour.
pub(crate) const MAX_PAUSE: Duration = minutes(1);

/// The maximum pause before a retry that leaves entries. A journal holds a bounded number of them, so these pauses grow
/// longer.
pub(crate) const MAX_PAUSE_WITH_ENTRIES: Duration = minutes(15);

/// The part of the remaining time that such a pause may take, so that something can still follow it.
pub(crate) const PAUSE_SHARE: u32 = 16;

/// The maximum time that a waiting run sleeps at once: a report may arrive, a user's lock may be freed, and the wall
/// clock may be set.
pub(crate) const MAX_SLEEP: Duration = seconds(1);

/// The pause before another try to take a flow or a user that another run has: most of them have it for seconds.
pub(crate) const LOCK_PAUSE: Duration = seconds(1);

/// The maximum pause before another flow's pass is looked at again, unless a configured pause is longer: a report or a
/// list soon decides about it.
pub(crate) const OTHERS_PASS_PAUSE: Duration = seconds(10);

/// The first pause before an outcome is appended again: enough for a lost connection.
pub(crate) const FIRST_RECORD_PAUSE: Duration = Duration::from_millis(200);

/// The maximum pause before an outcome is appended again: no other process knows the outcome.
pub(crate) const MAX_RECORD_PAUSE: Duration = seconds(5);

/// The pauses before the retries of a revocation that no later step can retry.
pub(crate) const UNRECORDED_REVOKE_PAUSES: [Duration; 2] = [seconds(1), seconds(3)];

// Intake.

/// The maximum duration of each call to the journal before a call-out is taken. Entra waits for two seconds at most, and
/// a relay in front of it for longer.
pub(crate) const MAX_TAKE: Duration = seconds(2);

/// The first pause before a flow is run again whose journal failed.
pub(crate) const FIRST_RERUN_PAUSE: Duration = seconds(1);

/// The maximum pause before a flow is run again whose journal failed.
pub(crate) const MAX_RERUN_PAUSE: Duration = seconds(30);

/// How long after the end of its window a flow is still run again: it may have a pass to revoke.
pub(crate) const RERUN_AFTER_CLOSE: Duration = minutes(60);

// Users and passes.

/// The time for which a read and admitted user counts as such. A flow that waits longer, for the user's lock or for
/// Graph, reads the user again: the account may have been disabled.
pub(crate) const ADMISSION: Duration = minutes(1);

/// The time for which "the policy does not cover this user" is retried: group memberships spread within minutes.
pub(crate) const POLICY_DELAY: Duration = minutes(15);

/// The minimum lifetime of a pass that Graph allows.
pub(crate) const MIN_PASS: Duration = minutes(10);

/// The maximum lifetime of a pass that Graph allows: 30 days.
pub(crate) const MAX_PASS: Duration = minutes(43_200);

/// The part of a pass's life that must be left when its text is composed. If less is left, the store was too slow, and
/// the pass is revoked.
pub(crate) const LIFE_TO_SEND_SHARE: u32 = 2;

/// The minimum time before the deadline in which a usable pass is replaced: issuing and sending its successor takes
/// time.
pub(crate) const MIN_TIME_TO_REPLACE: Duration = seconds(30);

/// The remaining life of a pass that is enough to keep it for another flow.
pub(crate) const LIFE_TO_KEEP: Duration = minutes(30);

/// The part of a pass's life that is enough to keep it, if that is shorter than [`LIFE_TO_KEEP`].
pub(crate) const LIFE_TO_KEEP_SHARE: u32 = 2;

// What Graph does late.

/// The maximum lag of a list, in sums of all pauses: five minutes with the default pauses.
pub(crate) const LIST_LAG_IN_PAUSES: u32 = 4;

/// The time for which a list that cannot be read is tried, in maximum lags of a list: one to be conclusive, and one for
/// an outage.
pub(crate) const PATIENCE_IN_LAGS: u32 = 2;

/// The part of the sum of all pauses within which a request takes effect after its connection was lost: nineteen
/// seconds with the default pauses.
pub(crate) const LATE_EFFECT_SHARE: u32 = 4;

/// The maximum difference between Graph's clock and ours. A pass whose start is further from a request was not made
/// by it.
pub(crate) const CLOCK_SKEW: Duration = minutes(60);

/// The maximum difference for a settled doubt. A pass outside it probably belongs to an administrator.
pub(crate) const SETTLED_CLOCK_SKEW: Duration = minutes(5);

// Memory.

/// The number of entries at which a flow issues no further pass: a journal may hold no more than 4,096, and the last
/// ones are for the verdict and for cleaning up.
pub(crate) const MAX_ENTRIES_TO_ISSUE: usize = 4000;

/// The maximum number of steps that a run keeps for its ending: two weeks of waiting would fill the memory.
pub(crate) const MAX_STEPS: usize = 1000;

/// The longest wait that is added to an instant, a century: a longer one may overflow it.
pub(crate) const MAX_WAIT: Duration = minutes(100 * 365 * 24 * 60);

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

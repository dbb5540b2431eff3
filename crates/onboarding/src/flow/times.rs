//! Every length of time and every count that the flow goes by, and why it is what it is.

use std::time::Duration;

/// The most passes of one flow: a crash, a doubt and a try that has nothing against it.
pub(crate) const ROUNDS: u8 = 3;

/// How often a run that waits looks around: somebody may record a report, or free the user.
pub(crate) const LOOK_AROUND: Duration = Duration::from_secs(1);

/// How soon to ask again for what another flow holds.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The longest that any call may take but a send. Graph's own deadlines are shorter.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(60);

/// The least time that a call is given, when the window is closing or closed.
pub(crate) const SHORTEST_CALL: Duration = Duration::from_secs(5);

/// The longest pause between repeats.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The longest pause between repeats that leave entries in the journal: a part of the time that is left, so that
/// something can still follow it, and no more than this.
pub(crate) const LONGEST_PAUSE_WITH_ENTRIES: Duration = Duration::from_secs(15 * 60);
pub(crate) const PAUSE_SHARE: u32 = 16;

/// The first pause, and the longest, before an outcome is given to the journal again.
pub(crate) const FIRST_RECORD_PAUSE: Duration = Duration::from_millis(200);
pub(crate) const LONGEST_RECORD_PAUSE: Duration = Duration::from_secs(5);

/// The pauses before the repeats of a revocation that nothing else will repeat.
pub(crate) const REVOKE_AT_ONCE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// How long a person counts as admitted. Who waits longer, for the user's lock or for Graph, is read again: the
/// account may have been disabled meanwhile.
pub(crate) const ADMITTED_FOR: Duration = Duration::from_secs(60);

/// How long "this user is not in the policy's scope" is waited out: group memberships spread within minutes.
pub(crate) const POLICY_SPREADS_WITHIN: Duration = Duration::from_secs(15 * 60);

/// The least time before the deadline in which a pass that works is replaced: its successor needs to be issued
/// and sent.
pub(crate) const LEAST_TIME_TO_REPLACE: Duration = Duration::from_secs(30);

/// How long a pass must still live to be kept for another flow, or half its life where that is shorter.
pub(crate) const LONG_ENOUGH_TO_KEEP: Duration = Duration::from_secs(30 * 60);

/// How far Graph's clock and ours may be apart: a pass that starts further from a request than this was not
/// made by it.
pub(crate) const CLOCKS_APART: Duration = Duration::from_secs(60 * 60);

/// The same for a request whose doubt is settled: what looks like its pass is then rather an administrator's.
pub(crate) const CLOCKS_CLOSE: Duration = Duration::from_secs(5 * 60);

/// How many entries of its own a flow may have and still ask for a pass: a journal may hold no more than 4,096, and
/// the last ones tell Entra and clean up.
pub(crate) const MOST_ENTRIES_TO_ISSUE: usize = 4000;

/// The longest life of a pass that Graph allows at all.
pub(crate) const LONGEST_PASS: Duration = Duration::from_secs(43_200 * 60);

/// The part of a call-out's window that the margin may take.
pub(crate) const MARGIN_SHARE: u32 = 4;

/// The least margin: time to take a pass away and to tell Entra, each with a repeat.
pub(crate) const LEAST_MARGIN: Duration = Duration::from_secs(20);

/// How many pauses, all together, a list may lag behind what Graph has done: with the default pauses, five
/// minutes.
pub(crate) const LIST_LAG_IN_PAUSES: u32 = 4;

/// How old the entry of an intent may be when its effect begins: a store that took longer is out of order, and
/// whoever took the flow over meanwhile may have waited long enough already.
pub(crate) const FRESH_INTENT: Duration = Duration::from_secs(10);

/// The part of all pauses together in which an effect that nobody waits for any more comes to pass: with the
/// default pauses, nineteen seconds.
pub(crate) const LATE_EFFECT_SHARE: u32 = 4;

/// Where a run stops keeping what it did: a fortnight's waiting would fill memory.
pub(crate) const MOST_STEPS: usize = 1000;

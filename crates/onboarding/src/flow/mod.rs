//! The flow: a state machine over a journal. An intent is recorded before each effect, and the outcome after it.
//!
//! The table on [`Onboarding::step`](crate::Onboarding::step) maps the last entry to what comes next. This table
//! lists every request that leaves the process, and the journal entries around it:
//!
//! | request | made in | entry before | entry after | a crash in between |
//! |---|---|---|---|---|
//! | `Graph::user` | `admit` in `admit.rs` | none | none | changes nothing; the user is read again |
//! | `Guard::check` | `admit` in `admit.rs` | none | none | changes nothing here; the guards run again |
//! | `TapIssuer::list` | `list_passes` in `effects.rs` | none | none | changes nothing; the passes are listed again |
//! | `TapIssuer::issue` | `issue_pass` in `effects.rs`, for `issue_to` in `issue.rs` | `Issuing` | `Issued`, `NotIssued`, `IssueInDoubt` | may leave a pass whose secret is lost: `settle_doubt` looks for it and revokes it |
//! | `SmsProvider::send` | `send` in `issue.rs` | `Sending` | `Accepted`, `NotAccepted`, `InDoubt` | may leave a text on its way: unless a report says that it arrived, its pass is revoked, and `OnDoubt` decides what follows |
//! | `TapIssuer::revoke` | `revoke_pass` in `effects.rs`, for `revoke` in `finish.rs` | `Revoking` | `Revoked` | is harmless: the pass is revoked again, and a pass that is gone counts as revoked |
//! | `Graph::resume` | `resume` in `finish.rs` | `Resuming` | `Resumed` | is harmless: Entra gets the same verdict again, and says if it already has one |
//!
//! `NotAsked` and `NotSent` follow an intent whose request was not made after all. `Expired` replaces `Revoked` for a
//! pass that expired first. A crash between `Issued` and `Sending` loses the secret, which only the process holds, so
//! the pass is revoked.
//!
//! Two revocations have no entries of their own. `record_issued` in `issue.rs` revokes a new pass if the journal refuses
//! its `Issued`; a crash there leaves a pass after `Issuing`, as above. `look_for_pass` in `finish.rs` revokes a pass
//! that came of a request in doubt, possibly of another flow; a crash there leaves it for the next look.
//!
//! `Resuming` and `Resumed` are recorded without a request if the call-out has no callback. All other requests go to
//! the journal: in `effects.rs`, in `Run::give_back`, and in `onboarding.rs`.

mod admit;
pub(crate) mod effects;
pub(crate) mod ending;
mod finish;
pub(crate) mod history;
mod issue;
pub(crate) mod lock;
pub(crate) mod run;
pub(crate) mod step;
pub(crate) mod times;

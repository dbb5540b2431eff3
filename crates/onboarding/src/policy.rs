//! The options of a flow that choose between several right behaviours.

/// The treatment of a usable pass that the user already has. A user has at most one pass: a new one replaces it.
///
/// A pass is ours if a flow in the journal issued it, or may have issued it by a request in doubt. The secret of the
/// latter is lost, so it is replaced under any option.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExistingPass {
    /// Completes the flow with a pass of ours that the user has already received, without a second text.
    ///
    /// The pass must live for at least another 30 minutes, or for half its lifetime if that is shorter. Its text must
    /// have been accepted, or delivered under [`CompleteOn::Delivered`]. A pass that is too new for a list is waited
    /// for. Any other pass of ours is replaced, such as one whose text was not delivered. A pass of another issuer ends
    /// the flow with `pass_exists`.
    ///
    /// A journal holds no numbers, so a pass is also kept if the user's number has changed since. If numbers are
    /// corrected that way, use [`ReplaceOurs`](Self::ReplaceOurs).
    #[default]
    KeepOurs,
    /// Ends the flow with `pass_exists`.
    Refuse,
    /// Replaces any pass, including one that a help desk has just issued.
    Replace,
    /// Replaces a pass of ours, which is lost even if the new text is not accepted. A pass of another issuer ends the
    /// flow with `pass_exists`.
    ReplaceOurs,
}

/// The reaction to a text that is in doubt: the vendor may or may not have it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnDoubt {
    /// Revokes the pass and ends the flow with `in_doubt`.
    Fail,
    /// Revokes the pass, and sends a new pass in a new text. If the first text arrives after all, its pass no longer
    /// works.
    #[default]
    Reissue,
}

/// The moment at which a flow counts as completed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum CompleteOn {
    /// The vendor has accepted the text.
    #[default]
    Accepted,
    /// The vendor has reported all segments of the text as delivered.
    ///
    /// Without that report the pass is revoked at the deadline, or when it expires. Pass reports to
    /// [`Onboarding::report`](crate::Onboarding::report).
    Delivered,
}

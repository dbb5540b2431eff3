//! What a flow does where more than one thing is right.

/// What becomes of a usable pass that the user has already. A user has one pass: a new one replaces it.
///
/// A pass of ours is one that a flow of the journal issued, or may have issued when a request was in doubt. The
/// latter nobody knows, and it is replaced whatever is set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExistingPass {
    /// One of ours whose text was accepted (delivered, where delivery is waited for) and that lives for another
    /// half an hour, or half its life, completes the flow: the person has it, and gets no second text. Another
    /// of ours is replaced. A stranger's ends the flow: `pass_exists`.
    #[default]
    KeepOurs,
    /// The flow ends: `pass_exists`.
    Refuse,
    /// It is replaced, whoever issued it. That may cut off somebody at the help desk.
    Replace,
    /// One of ours is replaced, and is gone should the second text not be accepted; a stranger's is refused.
    ReplaceOurs,
}

/// What follows when nobody knows whether the vendor has the text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum OnDoubt {
    /// The pass is taken away and the flow ends: `in_doubt`.
    Fail,
    /// The pass is taken away, and another goes out in another text. If the earlier text still arrives, it
    /// holds a dead pass.
    #[default]
    Reissue,
}

/// When a flow counts as completed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum CompleteOn {
    /// When the vendor has the text.
    #[default]
    Accepted,
    /// When the vendor reports it delivered, all its segments. Without a report before the deadline and before the
    /// pass ends, the pass is taken away. Give reports to [`Onboarding::report`](crate::Onboarding::report).
    Delivered,
}

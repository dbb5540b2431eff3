//! What a flow does where more than one thing is right.

/// What becomes of a usable pass that the user has already. A user has one pass: a new one replaces it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExistingPass {
    /// The flow ends: `pass_exists`.
    Refuse,
    /// It is taken away, whoever issued it. That may cut off somebody at the help desk.
    Replace,
    /// It is taken away where our journal issued it; a stranger's is refused.
    #[default]
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
    /// When the vendor reports it delivered. Without a report before the deadline, the pass is taken away.
    Delivered,
}

//! What a flow does where more than one thing is right.

/// What happens to a usable pass that the user already has. A user has one pass: a new one replaces it.
///
/// A pass of ours is one that a flow of the journal issued, or may have issued when a request was in doubt. Nobody
/// knows the secret of the latter, so it is replaced with any setting.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum ExistingPass {
    /// Completes the flow with a pass of ours whose text was accepted (delivered, under
    /// [`CompleteOn::Delivered`]) and that lives for at least another 30 minutes, or half its life: the person has
    /// it, and gets no second text. One that no list shows yet is waited for, and one whose text is reported as
    /// undelivered is replaced, as is another pass of ours. A stranger's ends the flow: `pass_exists`.
    ///
    /// No journal holds numbers: a pass is kept also where the directory has another number since it was sent. Where
    /// numbers are corrected that way, choose [`ReplaceOurs`](Self::ReplaceOurs).
    #[default]
    KeepOurs,
    /// Ends the flow: `pass_exists`.
    Refuse,
    /// Replaces any pass. That may cut off somebody at the help desk.
    Replace,
    /// Replaces a pass of ours, which is then lost if the second text is not accepted. A stranger's ends the flow:
    /// `pass_exists`.
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

//! A tenant and a vendor in this process, as the workers of a queue see them.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use chrono::{DateTime, Utc};
use postduif_core::{
    Health, Message, Outcomes, Profile, Receipt, Reference, SendError, SmsProvider, async_trait,
    directory::{
        Callback, Callout, Graph, GraphError, GraphErrorKind, Roles, TapId, TapInfo, TapIssuer,
        TapRequest, TemporaryAccessPass, User, UserId, Verdict,
    },
};
use tokio::time::sleep;

/// Microsoft Graph, which replaces a pass by the next one, and a vendor that accepts every text. Each responds a moment
/// after the effect, so that a worker can die in between.
#[derive(Debug)]
pub(super) struct Tenant {
    state: Mutex<State>,
    profile: Profile,
}

#[derive(Debug, Default)]
struct State {
    passes: Vec<Pass>,
    texts: Vec<Sms>,
    heard: Vec<(Callback, Verdict)>,
    reads: HashMap<UserId, usize>,
    /// For how many reads a user does not exist yet.
    unknown_for: HashMap<UserId, usize>,
}

#[derive(Clone, Debug)]
struct Pass {
    user: UserId,
    id: TapId,
    secret: String,
    start: DateTime<Utc>,
    usable: bool,
}

#[derive(Debug)]
struct Sms {
    to: UserId,
    reference: Reference,
    secret: String,
}

impl Tenant {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            profile: Profile::new("example").with_reports(true),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a user not exist for a number of reads.
    pub(super) fn hide(&self, user: UserId, reads: usize) {
        self.state().unknown_for.insert(user, reads);
    }

    pub(super) fn reads(&self, user: UserId) -> usize {
        self.state().reads.get(&user).copied().unwrap_or_default()
    }

    pub(super) fn texts(&self) -> usize {
        self.state().texts.len()
    }

    /// Returns the reference of the last text to a user.
    pub(super) fn last_reference(&self, user: UserId) -> Option<Reference> {
        let state = self.state();
        let mut texts = state.texts.iter().rev();
        texts
            .find(|text| text.to == user)
            .map(|text| text.reference)
    }

    /// Checks what flows that have ended leave behind: Entra heard each once, no pass was sent twice, and who has a
    /// usable pass has it in the last text.
    #[track_caller]
    pub(super) fn assert_settled(&self, callouts: &[Callout]) {
        let state = self.state();
        for callout in callouts {
            let callback = callout.callback().expect("Entra waits for each");
            let heard = state.heard.iter().filter(|(heard, _)| heard == callback);
            assert_eq!(
                heard.count(),
                1,
                "Entra must hear once of {}",
                callout.flow()
            );
            let user = callout.user().expect("each has a user");
            let completed = callouts
                .iter()
                .filter(|other| other.user() == Some(user))
                .any(|other| {
                    let verdict = (
                        *other.callback().expect("Entra waits for each"),
                        Verdict::Completed,
                    );
                    state.heard.contains(&verdict)
                });
            let usable = state
                .passes
                .iter()
                .filter(|pass| pass.user == user && pass.usable);
            let usable: Vec<_> = usable.map(|pass| &pass.secret).collect();
            assert_eq!(
                usable.len(),
                usize::from(completed),
                "usable passes of a user"
            );
            let last = state.texts.iter().rfind(|text| text.to == user);
            if let (Some(pass), Some(last)) = (usable.first(), last) {
                assert!(
                    **pass == last.secret,
                    "the last text must contain the usable pass"
                );
            }
        }
        let mut secrets: Vec<_> = state.texts.iter().map(|text| &text.secret).collect();
        secrets.sort_unstable();
        assert!(
            secrets.is_sorted_by(|one, two| one < two),
            "a pass was sent twice"
        );
    }
}

/// Returns the number of a user, and the other way round: the last digits of both are the same.
fn number_of(user: UserId) -> String {
    let digits = u64::from_str_radix(&user.to_string()[..8], 16).unwrap_or_default() % 10_000_000;
    format!("+3161{digits:07}")
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

const RESPONSE: Duration = Duration::from_millis(10);

#[async_trait]
impl Graph for Tenant {
    async fn user(&self, id: &UserId) -> Result<User, GraphError> {
        sleep(RESPONSE).await;
        let mut state = self.state();
        *state.reads.entry(*id).or_default() += 1;
        if let Some(left) = state.unknown_for.get_mut(id).filter(|left| **left > 0) {
            *left -= 1;
            return Err(GraphError::not_accepted(
                GraphErrorKind::NotFound,
                "no such user yet",
            ));
        }
        let mut user = User::new(*id);
        user.display_name = Some("Example".into());
        user.mobile = Some(number_of(*id));
        user.enabled = Some(true);
        user.roles = Roles::Held(Vec::new());
        Ok(user)
    }

    async fn resume(&self, callback: &Callback, verdict: &Verdict) -> Result<(), GraphError> {
        let again = {
            let mut state = self.state();
            let again = state.heard.iter().any(|(heard, _)| heard == callback);
            if !again {
                state.heard.push((*callback, *verdict));
            }
            again
        };
        sleep(RESPONSE).await;
        if again {
            return Err(
                GraphError::not_accepted(GraphErrorKind::Conflict, "resumed before")
                    .with_code("conflict"),
            );
        }
        Ok(())
    }
}

#[async_trait]
impl TapIssuer for Tenant {
    async fn issue(
        &self,
        user: &UserId,
        _: &TapRequest,
    ) -> Result<TemporaryAccessPass, GraphError> {
        sleep(RESPONSE).await;
        let pass = {
            let mut state = self.state();
            let number = state.passes.len();
            let id = format!("tap-{number}").parse().expect("it is an id");
            for pass in state.passes.iter_mut().filter(|pass| pass.user == *user) {
                pass.usable = false;
            }
            let (start, secret) = (now(), format!("P{number:06}q"));
            let pass = Pass {
                user: *user,
                id,
                secret,
                start,
                usable: true,
            };
            state.passes.push(pass.clone());
            pass
        };
        sleep(RESPONSE).await;
        Ok(TemporaryAccessPass::new(pass.info(), pass.secret.into()))
    }

    async fn list(&self, user: &UserId) -> Result<Vec<TapInfo>, GraphError> {
        sleep(RESPONSE).await;
        let state = self.state();
        let own = state
            .passes
            .iter()
            .filter(|pass| pass.user == *user && pass.usable);
        Ok(own.map(Pass::info).collect())
    }

    async fn revoke(&self, _: &UserId, tap: &TapId) -> Result<(), GraphError> {
        for pass in self
            .state()
            .passes
            .iter_mut()
            .filter(|pass| pass.id == *tap)
        {
            pass.usable = false;
        }
        sleep(RESPONSE).await;
        Ok(())
    }
}

impl Pass {
    fn info(&self) -> TapInfo {
        TapInfo::new(self.id.clone(), self.start, Duration::from_secs(3600))
    }
}

#[async_trait]
impl SmsProvider for Tenant {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        sleep(RESPONSE).await;
        {
            let mut state = self.state();
            let text = message.text().as_str();
            let pass = state.passes.iter().find(|pass| text.contains(&pass.secret));
            let pass = pass.cloned().expect("each text contains a pass");
            let (to, secret) = (pass.user, pass.secret);
            state.texts.push(Sms {
                to,
                secret,
                reference: *message.reference(),
            });
        }
        sleep(RESPONSE).await;
        Ok(Receipt::new("example", *message.reference()))
    }

    async fn send_batch(&self, _: &[Message]) -> Outcomes {
        unreachable!("a flow sends single texts")
    }

    async fn check(&self) -> Result<Health, SendError> {
        Ok(Health::unknown())
    }
}

use std::{
    fmt,
    future::Future,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use postduif_core::{ErrorKind, SendError};
use secrecy::SecretString;
use tokio::time::Instant;

use super::SharedFetch;

/// A bearer token and its expiry, by the monotonic clock of this process.
pub struct Token {
    secret: SecretString,
    expires_at: Instant,
    fetched_at: Instant,
}

impl Token {
    /// Creates a token that was received now and is valid for `lifetime`.
    #[must_use]
    pub fn new(secret: SecretString, lifetime: Duration) -> Self {
        let now = Instant::now();
        // A lifetime beyond the clock's range is read as a day.
        let expires_at = now
            .checked_add(lifetime)
            .unwrap_or(now + Duration::from_secs(24 * 60 * 60));
        Self {
            secret,
            expires_at,
            fetched_at: now,
        }
    }

    pub(crate) const fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// Returns how long the token is still valid; zero once it has expired.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.expires_at.saturating_duration_since(Instant::now())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}

/// A source of tokens.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Fetches a new token. [`TokenCache`] limits how long this may take.
    ///
    /// # Errors
    ///
    /// Returns an error that is always not accepted: without a token, no text was sent.
    async fn fetch(&self) -> Result<Token, SendError>;
}

#[async_trait]
impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    async fn fetch(&self) -> Result<Token, SendError> {
        (**self).fetch().await
    }
}

/// What a response says about the token of its request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum TokenVerdict {
    /// The token was not rejected.
    Good,
    /// The request was provably refused because of its token, so the same request with a new one is safe.
    Refused,
    /// The token may be the reason, but repeating the request is not proven safe. The next request gets a new token.
    Suspect,
}

/// A cache of one token: shared while it is valid, and fetched once for all concurrent callers.
///
/// A fetch continues if the caller that started it gives up, and ends within 8 seconds. Fetches start at least a
/// second apart. A token that is still valid is used while its renewal runs. Waiting for a token never leaves a
/// message in doubt.
pub struct TokenCache<S>(Arc<Inner<S>>);

struct Inner<S> {
    source: S,
    minimum_life: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    current: Option<Arc<Token>>,
    fetching: Option<SharedFetch<Arc<Token>>>,
    /// How many fetches have begun.
    fetches: u64,
    /// Which of them fetched the current token.
    stored: u64,
    failed: Option<Failed>,
}

/// The token for a caller, or the fetch that it waits for.
type Next = ControlFlow<Arc<Token>, SharedFetch<Arc<Token>>>;

/// The fetch that failed last.
struct Failed {
    until: Instant,
    error: SendError,
}

/// The minimum use of a new token, even of an expired one: otherwise a server that issues expired tokens would get a
/// request for each message.
const SHORTEST_USE: Duration = Duration::from_secs(1);
/// A token that cannot be renewed is used while it is valid for longer than this.
const LAST_USE: Duration = Duration::from_secs(5);
/// A token that is refused within this time of its fetch is not replaced: the refusal has another cause.
const YOUNG: Duration = Duration::from_secs(5);
/// How long no fetch starts after a failure.
const FAILED_FOR: Duration = Duration::from_secs(1);
/// How long no fetch starts after refused credentials, which do not recover by themselves.
const REFUSED_FOR: Duration = Duration::from_secs(10);
/// The longest `Retry-After` that is respected.
const THROTTLED_FOR: Duration = Duration::from_secs(60);

impl<S: TokenSource> TokenCache<S> {
    /// Creates a cache that renews a token once it is valid for less than `minimum_life`.
    #[must_use]
    pub fn new(source: S, minimum_life: Duration) -> Self {
        Self(Arc::new(Inner {
            source,
            minimum_life,
            state: Mutex::default(),
        }))
    }

    /// Returns the token in use, or a new one.
    ///
    /// # Errors
    ///
    /// Returns the source's error, always not accepted; `Timeout` if the fetch took too long.
    pub async fn token(&self) -> Result<Arc<Token>, SendError> {
        self.wait(|state| {
            if let Some(token) = state.current.clone() {
                if self.0.is_fresh(&token) {
                    return Ok(ControlFlow::Break(token));
                }
                if token.remaining() > LAST_USE {
                    if state.failure().is_none() {
                        self.join(state);
                    }
                    return Ok(ControlFlow::Break(token));
                }
            }
            if let Some(error) = state.failure() {
                return Err(error);
            }
            Ok(ControlFlow::Continue(self.join(state)))
        })
        .await
    }

    /// Returns a new token even if one is in use, to check the credentials. One that was fetched within the last
    /// second counts as new.
    ///
    /// # Errors
    ///
    /// Returns the source's error, always not accepted; `Timeout` if the fetch took too long.
    pub async fn renew(&self) -> Result<Arc<Token>, SendError> {
        self.wait(|state| {
            let just_fetched = |token: &Arc<Token>| token.fetched_at.elapsed() < SHORTEST_USE;
            if let Some(token) = state.current.clone().filter(just_fetched) {
                return Ok(ControlFlow::Break(token));
            }
            if let Some(error) = state.failure() {
                return Err(error);
            }
            Ok(ControlFlow::Continue(self.join(state)))
        })
        .await
    }

    async fn wait(
        &self,
        next: impl Fn(&mut State) -> Result<Next, SendError> + Send + Sync,
    ) -> Result<Arc<Token>, SendError> {
        SharedFetch::wait_for(|| next(&mut self.0.state())).await?
    }

    /// Drops a token that the vendor refused, and returns whether to retry with another one.
    ///
    /// Returns `false` if the token was fetched just now. The vendor then refuses something else, and new tokens
    /// would be fetched and refused without end. If another token is in use by now, that one is kept.
    #[must_use]
    pub fn forget(&self, token: &Arc<Token>) -> bool {
        let mut state = self.0.state();
        let in_use = state
            .current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, token));
        if in_use && token.fetched_at.elapsed() < YOUNG {
            return false;
        }
        if in_use {
            state.current = None;
        }
        true
    }

    /// Makes a request with the token in use, and repeats it with a new one if only its token was refused.
    ///
    /// `call` makes one request, and returns its outcome and what that means for the token. A second request for a
    /// text must be safe: [`TokenVerdict::Refused`] needs a proof that the first was not accepted.
    ///
    /// # Errors
    ///
    /// Returns the error of the last request, or of the token.
    pub async fn with_token<T, E, F>(
        &self,
        call: impl Fn(Arc<Token>) -> F + Send + Sync,
    ) -> Result<T, E>
    where
        T: Send,
        E: From<SendError> + Send,
        F: Future<Output = (Result<T, E>, TokenVerdict)> + Send,
    {
        let token = self.token().await?;
        let (outcome, verdict) = call(Arc::clone(&token)).await;
        let is_replaced = match verdict {
            TokenVerdict::Good => return outcome,
            TokenVerdict::Refused | TokenVerdict::Suspect => self.forget(&token),
        };
        if !is_replaced || verdict == TokenVerdict::Suspect {
            return outcome;
        }
        call(self.token().await?).await.0
    }

    /// Returns the fetch in progress, or starts one.
    fn join(&self, state: &mut State) -> SharedFetch<Arc<Token>> {
        if let Some(fetching) = state.fetching.clone().filter(SharedFetch::is_running) {
            return fetching;
        }
        state.fetches += 1;
        let (turn, inner, owner) = (state.fetches, Arc::clone(&self.0), Arc::clone(&self.0));
        let fetching = SharedFetch::start(
            "token",
            async move { inner.source.fetch().await },
            move |fetched| owner.settle(turn, fetched),
        );
        state.fetching = Some(fetching.clone());
        fetching
    }
}

impl<S> Inner<S> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_fresh(&self, token: &Token) -> bool {
        token.remaining() > self.minimum_life || token.fetched_at.elapsed() < SHORTEST_USE
    }

    /// Stores the outcome of a fetch. A slow fetch may end after the one that replaced it. Its token is stored unless that
    /// one has stored another.
    fn settle(
        &self,
        turn: u64,
        fetched: Result<Token, SendError>,
    ) -> Result<Arc<Token>, SendError> {
        let mut state = self.state();
        let is_last = state.fetches == turn;
        if is_last {
            state.fetching = None;
        }
        match fetched {
            Ok(token) => {
                let token = Arc::new(token);
                if turn > state.stored {
                    state.stored = turn;
                    state.current = Some(Arc::clone(&token));
                    state.failed = None;
                }
                Ok(token)
            }
            Err(error) => {
                if is_last {
                    state.failed = Some(Failed {
                        until: Instant::now() + remembered_for(&error),
                        error: error.clone(),
                    });
                }
                Err(error)
            }
        }
    }
}

impl State {
    fn failure(&self) -> Option<SendError> {
        let failed = self.failed.as_ref()?;
        (Instant::now() < failed.until).then(|| failed.error.clone())
    }
}

fn remembered_for(error: &SendError) -> Duration {
    match error.kind() {
        // The runtime of one caller, not the endpoint: the next caller may have another.
        _ if error.is_local() => Duration::ZERO,
        ErrorKind::Unauthorized | ErrorKind::Misconfigured => REFUSED_FOR,
        _ => error
            .retry_after()
            .unwrap_or_default()
            .clamp(FAILED_FOR, THROTTLED_FOR),
    }
}

impl<S: fmt::Debug> fmt::Debug for TokenCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("source", &self.0.source)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::ready,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use postduif_core::{Acceptance, departure::Departure};

    use super::{super::fetch::FETCH_TIMEOUT, *};

    /// A source of tokens with this lifetime, each after a delay; `fails` decides which fetches fail.
    #[derive(Debug)]
    struct Source {
        fetched: AtomicUsize,
        life: Duration,
        takes: Duration,
        fails: fn(usize) -> Option<ErrorKind>,
    }

    impl Source {
        fn cache(life: u64, fails: fn(usize) -> Option<ErrorKind>) -> TokenCache<Self> {
            let source = Self {
                fetched: AtomicUsize::new(0),
                life: Duration::from_secs(life),
                takes: Duration::from_millis(10),
                fails,
            };
            TokenCache::new(source, Duration::from_secs(300))
        }

        /// Creates a source whose fetches stall after the first ones.
        fn that_stalls_after(first: usize, life: u64) -> TokenCache<Stalling> {
            let source = Stalling {
                fetched: AtomicUsize::new(0),
                succeeds: first,
                life: Duration::from_secs(life),
            };
            TokenCache::new(source, Duration::from_secs(120))
        }
    }

    #[derive(Debug)]
    struct Stalling {
        fetched: AtomicUsize,
        succeeds: usize,
        life: Duration,
    }

    #[async_trait]
    impl TokenSource for Stalling {
        async fn fetch(&self) -> Result<Token, SendError> {
            if self.fetched.fetch_add(1, Ordering::SeqCst) >= self.succeeds {
                std::future::pending::<()>().await;
            }
            Ok(Token::new("secret".into(), self.life))
        }
    }

    impl TokenCache<Stalling> {
        fn fetched(&self) -> usize {
            self.0.source.fetched.load(Ordering::SeqCst)
        }
    }

    impl TokenCache<Source> {
        fn fetched(&self) -> usize {
            self.0.source.fetched.load(Ordering::SeqCst)
        }
    }

    #[async_trait]
    impl TokenSource for Source {
        async fn fetch(&self) -> Result<Token, SendError> {
            let turn = self.fetched.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(self.takes).await;
            match (self.fails)(turn) {
                Some(kind) => Err(SendError::not_accepted(kind, "no token")),
                None => Ok(Token::new("secret".into(), self.life)),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_callers_share_one_fetch() {
        let cache = Source::cache(3600, |_| None);
        let tokens = futures_util::future::join_all((0..64).map(|_| cache.token())).await;
        assert!(tokens.iter().all(Result::is_ok));
        assert_eq!(cache.fetched(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_callers_share_one_failure() {
        let cache = Source::cache(3600, |turn| (turn == 0).then_some(ErrorKind::Unavailable));
        let tokens = futures_util::future::join_all((0..64).map(|_| cache.token())).await;
        assert!(tokens.iter().all(Result::is_err));
        assert_eq!(cache.fetched(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_no_fetch_begins_for_a_second() {
        let cache = Source::cache(3600, |turn| (turn == 0).then_some(ErrorKind::Unavailable));
        assert!(cache.token().await.is_err());
        tokio::time::advance(Duration::from_millis(900)).await;
        assert!(cache.token().await.is_err());
        assert_eq!(cache.fetched(), 1);
        tokio::time::advance(Duration::from_millis(100)).await;
        assert!(cache.token().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_before_it_expires_and_used_meanwhile() {
        let cache = Source::cache(3600, |_| None);
        let first = cache.token().await.unwrap();
        tokio::time::advance(Duration::from_secs(3299)).await;
        cache.token().await.unwrap();
        assert_eq!(cache.fetched(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        let meanwhile = cache.token().await.unwrap();
        assert!(Arc::ptr_eq(&first, &meanwhile));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(!Arc::ptr_eq(&first, &cache.token().await.unwrap()));
        assert_eq!(cache.fetched(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_valid_token_outlives_a_failed_renewal() {
        let cache = Source::cache(3600, |turn| (turn > 0).then_some(ErrorKind::Unavailable));
        cache.token().await.unwrap();
        tokio::time::advance(Duration::from_secs(3400)).await;
        assert!(cache.token().await.is_ok());
        tokio::time::advance(Duration::from_secs(197)).await;
        assert!(cache.token().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_valid_token_is_used_while_its_renewal_stalls() {
        let cache = Source::that_stalls_after(1, 100);
        cache.token().await.unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
        let started = Instant::now();
        for _ in 0..20 {
            assert!(cache.token().await.is_ok());
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        tokio::task::yield_now().await;
        assert_eq!(cache.fetched(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_stalls_ends_in_time_and_as_not_accepted() {
        let cache = Source::that_stalls_after(0, 100);
        let started = Instant::now();
        let error = cache.token().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.acceptance()),
            (ErrorKind::Timeout, Acceptance::NotAccepted)
        );
        assert!(started.elapsed() <= FETCH_TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_gives_up_cancels_no_fetch_and_causes_no_doubt() {
        let cache = Source::that_stalls_after(0, 100);
        for _ in 0..20 {
            let cut = tokio::time::sleep(Duration::from_millis(100));
            let call = Departure::new();
            let cut_off = call.run_until(cut, cache.token()).await;
            assert_eq!(cut_off.err(), Some(Acceptance::NotAccepted));
        }
        assert_eq!(cache.fetched(), 1, "one fetch for all");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_outlives_the_caller_that_started_it() {
        let cache = Source::cache(3600, |_| None);
        let cut_off = Departure::new().run_until(ready(()), cache.token()).await;
        assert!(cut_off.is_err());
        assert!(cache.token().await.is_ok());
        assert_eq!(cache.fetched(), 1);
    }

    #[test]
    fn a_fetch_on_a_runtime_that_ended_is_started_again() {
        let runtime = || {
            tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .unwrap()
        };
        let cache = Source::cache(3600, |_| None);
        let cut_off = runtime().block_on(Departure::new().run_until(ready(()), cache.token()));
        assert!(cut_off.is_err());
        runtime().block_on(cache.token()).unwrap();
    }

    /// Returns a cache whose first fetch never ends, and the runtime that drives that fetch.
    fn stalled() -> (TokenCache<StallingFirst>, tokio::runtime::Runtime) {
        let cache = TokenCache::new(StallingFirst::default(), Duration::from_secs(120));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let began = async {
            while cache.0.source.0.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
        };
        let cut_off = runtime.block_on(Departure::new().run_until(began, cache.token()));
        assert!(cut_off.is_err());
        (cache, runtime)
    }

    #[derive(Debug, Default)]
    struct StallingFirst(AtomicUsize);

    #[async_trait]
    impl TokenSource for StallingFirst {
        async fn fetch(&self) -> Result<Token, SendError> {
            if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
                tokio::time::sleep(FETCH_TIMEOUT * 2).await;
            }
            Ok(Token::new("secret".into(), Duration::from_secs(3600)))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_fetch_counts_until_the_one_that_replaced_it_has_ended() {
        let cache = Source::cache(3600, |_| None);
        cache.0.state().fetches = 2;
        let settle = |turn| {
            let token = Token::new("secret".into(), Duration::from_secs(3600));
            cache.0.settle(turn, Ok(token)).unwrap()
        };
        let first = settle(1);
        assert!(Arc::ptr_eq(&first, &cache.token().await.unwrap()));
        let second = settle(2);
        let _ = settle(1);
        assert!(Arc::ptr_eq(&second, &cache.token().await.unwrap()));
    }

    /// A runtime whose clock advances by itself.
    fn other() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
    }

    #[test]
    fn the_end_of_a_runtime_fails_no_caller_of_another() {
        let (cache, first) = stalled();
        let ends = async { first.shutdown_background() };
        let both = async { tokio::join!(cache.token(), ends).0 };
        other().block_on(both).unwrap();
    }

    #[test]
    fn a_runtime_that_does_not_run_fails_no_caller_of_another() {
        let (cache, _first) = stalled();
        other().block_on(cache.token()).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_expired_token_is_not_fetched_for_each_message() {
        let cache = Source::cache(0, |_| None);
        for _ in 0..100 {
            cache.token().await.unwrap();
        }
        assert_eq!(cache.fetched(), 1);
        tokio::time::advance(SHORTEST_USE).await;
        cache.token().await.unwrap();
        assert_eq!(cache.fetched(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn refused_credentials_are_not_tried_again_at_once() {
        let cache = Source::cache(3600, |turn| (turn == 0).then_some(ErrorKind::Unauthorized));
        for _ in 0..10 {
            assert_eq!(
                cache.token().await.unwrap_err().kind(),
                ErrorKind::Unauthorized
            );
        }
        assert_eq!(cache.fetched(), 1);
        tokio::time::advance(REFUSED_FOR).await;
        assert!(cache.token().await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_token_is_dropped_once() {
        let cache = Source::cache(3600, |_| None);
        let first = cache.token().await.unwrap();
        tokio::time::advance(YOUNG).await;
        assert!(cache.forget(&first));
        let second = cache.token().await.unwrap();
        assert!(cache.forget(&first), "another token is in use by now");
        assert!(Arc::ptr_eq(&second, &cache.token().await.unwrap()));
        assert_eq!(cache.fetched(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_refused_while_young_is_not_replaced() {
        let cache = Source::cache(3600, |_| None);
        let token = cache.token().await.unwrap();
        for _ in 0..50 {
            assert!(!cache.forget(&token));
            assert!(Arc::ptr_eq(&token, &cache.token().await.unwrap()));
        }
        assert_eq!(cache.fetched(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_fetches_a_new_token_but_not_within_a_second() {
        let cache = Source::cache(3600, |_| None);
        for _ in 0..10 {
            cache.renew().await.unwrap();
        }
        assert_eq!(cache.fetched(), 1);
        tokio::time::advance(SHORTEST_USE).await;
        cache.renew().await.unwrap();
        assert_eq!(cache.fetched(), 2);
    }
}

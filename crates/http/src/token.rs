use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use postduif_core::{ErrorKind, SendError};
use secrecy::SecretString;
use tokio::{sync::Mutex, time::Instant};

/// A bearer token and when it ends, by the monotonic clock of this process.
pub struct Token {
    secret: SecretString,
    expires_at: Instant,
    fetched_at: Instant,
}

impl Token {
    /// A token that was just received and lives so long.
    #[must_use]
    pub fn new(secret: SecretString, lifetime: Duration) -> Self {
        let now = Instant::now();
        // A life beyond what the clock can tell is as good as a day.
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

    fn remaining(&self) -> Duration {
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

/// Where tokens come from.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Gets a new token.
    ///
    /// # Errors
    ///
    /// Always not accepted: a token that could not be had means that no text was on its way.
    async fn fetch(&self) -> Result<Token, SendError>;
}

#[async_trait]
impl<S: TokenSource + ?Sized> TokenSource for Arc<S> {
    async fn fetch(&self) -> Result<Token, SendError> {
        (**self).fetch().await
    }
}

/// One token for all who need it: shared while it lives, fetched once for all who wait.
pub struct TokenCache<S> {
    source: S,
    minimum_life: Duration,
    current: RwLock<Option<Arc<Token>>>,
    /// How many fetches failed so far: whoever waits sees by it whether one failed meanwhile.
    failures: AtomicUsize,
    fetching: Mutex<Option<Refused>>,
}

/// The fetch that failed last, and when.
struct Refused {
    at: Instant,
    error: SendError,
}

/// A token just fetched is used for so long even if it is said to be over: a server that hands out dead
/// tokens is not to be asked for each message.
const SHORTEST_USE: Duration = Duration::from_secs(1);
/// A token that cannot be renewed is used while it lives longer than this.
const LAST_USE: Duration = Duration::from_secs(5);
/// Refused credentials are not tried again for so long: they do not mend themselves.
const REFUSED_FOR: Duration = Duration::from_secs(10);

impl<S: TokenSource> TokenCache<S> {
    /// Renews a token when less than `minimum_life` of it is left.
    #[must_use]
    pub fn new(source: S, minimum_life: Duration) -> Self {
        Self {
            source,
            minimum_life,
            current: RwLock::new(None),
            failures: AtomicUsize::new(0),
            fetching: Mutex::new(None),
        }
    }

    /// The token in use, or a new one.
    ///
    /// # Errors
    ///
    /// The source's, always not accepted.
    pub async fn token(&self) -> Result<Arc<Token>, SendError> {
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let failures = self.failures.load(Ordering::Acquire);
        let mut refused = self.fetching.lock().await;
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        if let Some(Refused { at, error }) = &*refused {
            let lasting = matches!(
                error.kind(),
                ErrorKind::Unauthorized | ErrorKind::Misconfigured
            );
            // Whoever waited while a fetch failed is told so, instead of failing in turn.
            let meanwhile = failures != self.failures.load(Ordering::Acquire);
            if meanwhile || (lasting && at.elapsed() < REFUSED_FOR) {
                return Err(error.clone());
            }
        }
        match self.source.fetch().await {
            Ok(token) => {
                *refused = None;
                Ok(self.keep(token))
            }
            Err(error) => {
                *refused = Some(Refused {
                    at: Instant::now(),
                    error: error.clone(),
                });
                self.failures.fetch_add(1, Ordering::Release);
                match self.current() {
                    Some(token) if token.remaining() > LAST_USE => Ok(token),
                    _ => Err(error),
                }
            }
        }
    }

    /// A new token, whatever is in use: how credentials are checked.
    ///
    /// # Errors
    ///
    /// The source's, always not accepted.
    pub async fn renew(&self) -> Result<Arc<Token>, SendError> {
        let mut refused = self.fetching.lock().await;
        let token = self.source.fetch().await?;
        *refused = None;
        Ok(self.keep(token))
    }

    /// Forgets a token that was refused. Once: where another is in use by now, that one stays.
    pub fn forget(&self, token: &Arc<Token>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, token))
        {
            *current = None;
        }
    }

    fn keep(&self, token: Token) -> Arc<Token> {
        let token = Arc::new(token);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&token));
        token
    }

    fn current(&self) -> Option<Arc<Token>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn fresh(&self) -> Option<Arc<Token>> {
        self.current().filter(|token| {
            token.remaining() > self.minimum_life || token.fetched_at.elapsed() < SHORTEST_USE
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for TokenCache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out tokens of this life after a tick, and fails where its turn says so.
    #[derive(Debug)]
    struct Source {
        fetched: AtomicUsize,
        life: Duration,
        fails: fn(usize) -> Option<ErrorKind>,
    }

    impl Source {
        fn cache(life: u64, fails: fn(usize) -> Option<ErrorKind>) -> TokenCache<Self> {
            let source = Self {
                fetched: AtomicUsize::new(0),
                life: Duration::from_secs(life),
                fails,
            };
            TokenCache::new(source, Duration::from_secs(300))
        }
    }

    impl TokenCache<Source> {
        fn fetched(&self) -> usize {
            self.source.fetched.load(Ordering::SeqCst)
        }
    }

    #[async_trait]
    impl TokenSource for Source {
        async fn fetch(&self) -> Result<Token, SendError> {
            let turn = self.fetched.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            match (self.fails)(turn) {
                Some(kind) => Err(SendError::not_accepted(kind, "no token")),
                None => Ok(Token::new("secret".into(), self.life)),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_share_one_fetch() {
        let cache = Source::cache(3600, |_| None);
        let tokens = futures(&cache, 64).await;
        assert!(tokens.iter().all(Result::is_ok));
        assert_eq!(cache.fetched(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_share_one_failure() {
        let cache = Source::cache(3600, |turn| (turn == 0).then_some(ErrorKind::Unavailable));
        let tokens = futures(&cache, 64).await;
        assert!(tokens.iter().all(Result::is_err));
        assert_eq!(cache.fetched(), 1);
        assert!(cache.token().await.is_ok(), "the next who asks tries again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_before_it_ends() {
        let cache = Source::cache(3600, |_| None);
        cache.token().await.unwrap();
        tokio::time::advance(Duration::from_secs(3299)).await;
        cache.token().await.unwrap();
        assert_eq!(cache.fetched(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
        cache.token().await.unwrap();
        assert_eq!(cache.fetched(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_living_token_outlives_a_failed_renewal() {
        let cache = Source::cache(3600, |turn| (turn > 0).then_some(ErrorKind::Unavailable));
        cache.token().await.unwrap();
        tokio::time::advance(Duration::from_secs(3400)).await;
        assert!(cache.token().await.is_ok());
        tokio::time::advance(Duration::from_secs(197)).await;
        assert!(cache.token().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_token_is_not_fetched_for_each_message() {
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
    async fn refused_credentials_are_left_alone_for_a_while() {
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
    async fn a_refused_token_is_forgotten_once() {
        let cache = Source::cache(3600, |_| None);
        let first = cache.token().await.unwrap();
        cache.forget(&first);
        let second = cache.token().await.unwrap();
        cache.forget(&first);
        assert!(Arc::ptr_eq(&second, &cache.token().await.unwrap()));
        assert_eq!(cache.fetched(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiter_that_gives_up_does_not_take_the_others_along() {
        let cache = Source::cache(3600, |_| None);
        {
            let first = cache.token();
            tokio::pin!(first);
            assert!(
                tokio::time::timeout(Duration::from_millis(1), first)
                    .await
                    .is_err()
            );
        }
        assert!(cache.token().await.is_ok());
    }

    async fn futures(
        cache: &TokenCache<Source>,
        count: usize,
    ) -> Vec<Result<Arc<Token>, SendError>> {
        let waiting: Vec<_> = (0..count).map(|_| Box::pin(cache.token())).collect();
        let mut told = Vec::new();
        // Polled together once, so that all wait for the one that fetches.
        let mut waiting = waiting;
        for future in &mut waiting {
            let _ = std::future::poll_fn(|context| {
                std::task::Poll::Ready(future.as_mut().poll(context).is_ready())
            })
            .await;
        }
        for future in waiting {
            told.push(future.await);
        }
        told
    }
}

//! A pool of connections for each tokio runtime.

use std::sync::{Mutex, MutexGuard, PoisonError};

use postduif_core::ConfigError;
use tokio::runtime::{Handle, Id};

use super::{Failure, runtime::NO_RUNTIME};

type Build = dyn Fn() -> Result<reqwest::Client, ConfigError> + Send + Sync;

/// One reqwest client, and with it one pool of connections, for each tokio runtime that sends.
///
/// A connection is driven by a task of the runtime that opened it. In a pool of several runtimes, a request may be
/// given a connection whose runtime is ending or is not running: the one is in doubt, and the other waits for nothing.
pub(crate) struct Pools {
    build: Box<Build>,
    pools: Mutex<Vec<Pool>>,
}

struct Pool {
    /// `None` until a runtime uses it.
    runtime: Option<Id>,
    client: reqwest::Client,
}

/// The most runtimes whose connections are kept. tokio does not tell that a runtime has ended, so its pool, then empty,
/// stays until as many others were used after it.
const MOST: usize = 64;

impl Pools {
    /// Builds the first client, so that a fault shows at once.
    pub(crate) fn new(
        build: impl Fn() -> Result<reqwest::Client, ConfigError> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let first = Pool {
            runtime: None,
            client: build()?,
        };
        Ok(Self {
            build: Box::new(build),
            pools: Mutex::new(vec![first]),
        })
    }

    /// Returns the client of the current runtime. Fails without one.
    pub(crate) fn current(&self) -> Result<reqwest::Client, Failure> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(Failure::runtime(NO_RUNTIME));
        };
        let runtime = runtime.id();
        if let Some(client) = find(&mut self.pools(), runtime) {
            return Ok(client);
        }
        // Built without the lock: the caller's own code may run in it.
        let built = (self.build)()
            .map_err(|_| Failure::before("the HTTP client cannot be built for this runtime"))?;
        let mut pools = self.pools();
        if let Some(client) = find(&mut pools, runtime) {
            return Ok(client);
        }
        let oldest = if pools.len() < MOST {
            None
        } else {
            pools.pop()
        };
        let pool = Pool {
            runtime: Some(runtime),
            client: built.clone(),
        };
        pools.insert(0, pool);
        drop(pools);
        // Its idle connections are closed without the lock.
        drop(oldest);
        Ok(built)
    }

    fn pools(&self) -> MutexGuard<'_, Vec<Pool>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Finds the client of this runtime, or one that no runtime uses yet, and moves it to the front.
fn find(pools: &mut [Pool], runtime: Id) -> Option<reqwest::Client> {
    let is_its_own = |pool: &Pool| pool.runtime.is_none_or(|owner| owner == runtime);
    let index = pools.iter().position(is_its_own)?;
    pools.get_mut(..=index)?.rotate_right(1);
    let first = pools.first_mut()?;
    first.runtime = Some(runtime);
    Some(first.client.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    fn runtime() -> Runtime {
        Builder::new_current_thread().build().unwrap()
    }

    /// The pools of a program, and how many clients were built.
    fn pools() -> (Pools, impl Fn() -> usize) {
        let built = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&built);
        let pools = Pools::new(move || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(reqwest::Client::builder()
                .tls_backend_preconfigured(super::super::tls(&[])?)
                .build()
                .unwrap())
        });
        (pools.unwrap(), move || built.load(Ordering::Relaxed))
    }

    fn take(pools: &Pools, runtime: &Runtime) {
        let _entered = runtime.enter();
        pools.current().unwrap();
    }

    #[test]
    fn a_runtime_uses_one_client_again() {
        let (pools, built) = pools();
        let runtimes = [runtime(), runtime()];
        for runtime in runtimes.iter().cycle().take(10) {
            take(&pools, runtime);
        }
        assert_eq!(built(), 2);
    }

    #[test]
    fn only_the_clients_of_the_last_runtimes_are_kept() {
        let (pools, built) = pools();
        let first = runtime();
        let others: Vec<_> = (0..MOST).map(|_| runtime()).collect();
        take(&pools, &first);
        for other in &others {
            take(&pools, other);
        }
        assert_eq!((pools.pools().len(), built()), (MOST, MOST + 1));
        take(&pools, &others[0]);
        assert_eq!(built(), MOST + 1, "it was used more recently");
        take(&pools, &first);
        assert_eq!(built(), MOST + 2, "it was used longest ago");
    }
}

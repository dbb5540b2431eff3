//! The sockets: two listeners on a thread of their own.

mod body;
mod exchange;
mod gzip_bomb;
mod socket;

use std::{
    future::Future,
    io,
    net::TcpListener as StdListener,
    sync::{Arc, atomic::AtomicBool},
    thread::{self, JoinHandle},
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::{self, Handle},
    sync::{Semaphore, oneshot},
    time,
};

use crate::world::World;
use socket::Socket;

/// How many connections are served at once; more wait in the listener's queue.
const CONNECTIONS: usize = 1024;

/// How large a request's head may be.
const HEAD: usize = 64 * 1024;

/// The running world: ends, and waits for its end, when it is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Serves on a runtime of its own, so that a test may stop its clock, block its thread or end its
/// runtime without the pretend world standing still with it.
pub(crate) fn start(
    world: Arc<World>,
    listener: StdListener,
    foreign: StdListener,
) -> io::Result<Running> {
    listener.set_nonblocking(true)?;
    foreign.set_nonblocking(true)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let (listener, foreign) = {
        let _inside = runtime.enter();
        (
            TcpListener::from_std(listener)?,
            TcpListener::from_std(foreign)?,
        )
    };
    let handle = runtime.handle().clone();
    let (stop, stopped) = oneshot::channel();
    let thread = thread::Builder::new()
        .name("postduif-sandbox".into())
        .spawn(move || {
            runtime.block_on(async move {
                tokio::spawn(accept(foreign, Arc::clone(&world), Side::Foreign));
                tokio::spawn(accept(listener, world, Side::World));
                // An error says that the other end is gone, which is also a wish to stop.
                let _ = stopped.await;
            });
        })?;
    Ok(Running {
        runtime: handle,
        stop: Some(stop),
        thread: Some(thread),
    })
}

impl Running {
    /// Does something among the world's own tasks.
    pub(crate) async fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.runtime
            .spawn(task)
            .await
            .expect("the runtime outlives `self`, and the task does not panic")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic over there was printed there; nothing is left to be done about it here.
            let _ = thread.join();
        }
    }
}

/// Which of the two listeners a connection came to.
#[derive(Clone, Copy, Debug)]
enum Side {
    Foreign,
    World,
}

async fn accept(listener: TcpListener, world: Arc<World>, side: Side) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    connection(stream, world, side).await;
                    drop(permit);
                });
            }
            // Out of descriptors, most likely: some come back when connections end.
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, world: Arc<World>, side: Side) {
    // Without it a slow body would leave in lumps.
    let _ = stream.set_nodelay(true);
    let reset = Arc::new(AtomicBool::new(false));
    let socket = Socket::new(stream, Arc::clone(&reset));
    let service = service_fn(|request| {
        let world = Arc::clone(&world);
        let reset = Arc::clone(&reset);
        async move {
            match side {
                Side::World => exchange::serve(&world, request, &reset).await,
                Side::Foreign => Ok(exchange::foreign(&world, request)),
            }
        }
    });
    // Errors are the callers' doing, or a fault's.
    let _ = http1::Builder::new()
        .max_buf_size(HEAD)
        .serve_connection(socket, service)
        .await;
}

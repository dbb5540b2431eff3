//! The listeners, on their own thread.

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

/// The most connections that are served at once; more wait in the listener's queue.
const MAX_CONNECTIONS: usize = 1024;

/// The largest head of a request.
const MAX_HEAD: usize = 64 * 1024;

/// The running servers, which stop when this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the servers on their own runtime, so that a test may pause its clock, block its thread or end its
/// runtime.
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
                // An error means that the sender was dropped, which stops the servers too.
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
    /// Runs a task on the servers' runtime.
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
            // A panic of the thread was printed by its hook.
            let _ = thread.join();
        }
    }
}

/// The listener of a connection.
#[derive(Clone, Copy, Debug)]
enum Side {
    Foreign,
    World,
}

async fn accept(listener: TcpListener, world: Arc<World>, side: Side) {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
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
            // Probably out of descriptors, some of which are freed when connections end.
            Err(_) => time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn connection(stream: TcpStream, world: Arc<World>, side: Side) {
    // With Nagle's algorithm, a slow body would leave in larger pieces.
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
    // Errors come from the caller or from a fault.
    let _ = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .serve_connection(socket, service)
        .await;
}

//! A proxy in front of a server, whose line can be cut.

use std::net::SocketAddr;

use tokio::{
    io,
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What a proxy does with connections, old and new.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Line {
    Open,
    /// Each is closed.
    Cut,
    /// Nothing passes, and nobody is told.
    Silent,
}

/// A proxy in front of a server.
pub(crate) struct Proxy {
    pub(crate) line: watch::Sender<Line>,
    pub(crate) address: SocketAddr,
}

impl Proxy {
    pub(crate) async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let line = watch::Sender::new(Line::Open);
        let watched = line.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), watched.clone()));
            }
        });
        Self { line, address }
    }
}

/// Passes bytes while the line is open. A connection of a silent line stays so.
async fn pass(mut client: TcpStream, server: String, mut line: watch::Receiver<Line>) {
    let mut server = TcpStream::connect(server).await.unwrap();
    loop {
        let now = *line.borrow_and_update();
        match now {
            Line::Cut => return,
            Line::Silent => {
                let _ = line.wait_for(|line| *line == Line::Cut).await;
                return;
            }
            // The line first: once it is another one, nothing passes any more.
            Line::Open => tokio::select! {
                biased;
                _ = line.changed() => {}
                _ = io::copy_bidirectional(&mut client, &mut server) => return,
            },
        }
    }
}

//! NATS servers of a test's own, on free ports of the loopback interface.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use async_nats::{Client, HeaderMap};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use postduif_core::Guid;
use postduif_queue::Queue;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Long enough for a call on a busy machine.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

/// Returns a server that is new enough: that of `NATS_SERVER`, or the one on the path.
fn binary() -> Option<&'static PathBuf> {
    static BINARY: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let binary = env::var_os("NATS_SERVER").map_or("nats-server".into(), PathBuf::from);
        is_new_enough(&version(&binary)?).then_some(binary)
    };
    BINARY.get_or_init(find).as_ref()
}

/// Returns what a binary says of its version: `nats-server: v2.15.1`.
fn version(binary: &Path) -> Option<String> {
    let output = Command::new(binary).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().rsplit_once('v')?.1.to_owned())
}

fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
    let (major, minor) = (numbers.next().flatten(), numbers.next().flatten());
    (major, minor) >= (Some(2), Some(10))
}

/// Returns whether there is a server to test with, and otherwise says that the test is skipped.
pub(crate) fn can_run() -> bool {
    let is_there = binary().is_some();
    if !is_there {
        assert!(
            env::var_os("CI").is_none(),
            "there is no nats-server of version 2.10 or newer: set NATS_SERVER"
        );
        eprintln!("skipped: there is no nats-server of version 2.10 or newer: set NATS_SERVER");
    }
    is_there
}

/// Returns a server on the path that is too old, if there is one.
pub(crate) fn old_binary() -> Option<PathBuf> {
    let binary = PathBuf::from("nats-server");
    let version = version(&binary)?;
    (!is_new_enough(&version)).then_some(binary)
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [_; N] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A server, which is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    binary: PathBuf,
    folder: PathBuf,
    port: u16,
    monitor: u16,
    child: Option<Child>,
}

impl Server {
    /// Starts a server that syncs each write.
    pub(crate) fn start() -> Self {
        Self::with("sync_interval: always", "")
    }

    /// Starts a server with lines of its `jetstream` block and others.
    pub(crate) fn with(jetstream: &str, others: &str) -> Self {
        let [port, monitor] = free_ports();
        let jetstream = format!("jetstream {{\nstore_dir: STORE\n{jetstream}\n}}\n{others}");
        Self::on(binary().unwrap(), port, monitor, &jetstream)
    }

    pub(crate) fn without_jetstream() -> Self {
        let [port, monitor] = free_ports();
        Self::on(binary().unwrap(), port, monitor, "")
    }

    /// Starts a server of another version.
    pub(crate) fn of(binary: &Path) -> Self {
        let [port, monitor] = free_ports();
        Self::on(binary, port, monitor, "jetstream { store_dir: STORE }")
    }

    /// Starts a server. `STORE` in the configuration is a folder of its own.
    fn on(binary: &Path, port: u16, monitor: u16, configuration: &str) -> Self {
        let folder = env::temp_dir().join(format!("postduif-nats-{}", Guid::random()));
        fs::create_dir_all(&folder).unwrap();
        let store = format!("{:?}", folder.join("store"));
        let configuration = format!(
            "listen: 127.0.0.1:{port}\nhttp: 127.0.0.1:{monitor}\n{}\n",
            configuration.replace("STORE", &store)
        );
        fs::write(folder.join("server.conf"), configuration).unwrap();
        let mut server = Self {
            binary: binary.to_owned(),
            folder,
            port,
            monitor,
            child: None,
        };
        server.run();
        server
    }

    /// Starts it again, on the same ports and with what it has stored.
    pub(crate) fn run(&mut self) {
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let mut command = Command::new("sh");
        // It dies with this process too, however that ends: the pipe is then closed.
        command
            .args(["-c", r#""$0" --config "$1" & read -r _; kill -9 $!; wait"#])
            .arg(&self.binary)
            .arg(self.folder.join("server.conf"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn monitor(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitor)
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://{}?single=sync_always", self.address())
    }

    /// Opens the store once the server listens.
    pub(crate) async fn open(&self) -> Queue {
        self.ready().await;
        let builder = postduif_queue_nats::builder(self.url()).with_lease(LEASE);
        builder.open().await.unwrap()
    }

    /// Connects to the server without the store.
    pub(crate) async fn client(&self) -> Client {
        self.ready().await;
        async_nats::connect(self.address()).await.unwrap()
    }

    /// Waits until the server accepts connections.
    pub(crate) async fn ready(&self) {
        let until = Instant::now() + Duration::from_secs(20);
        while tokio::net::TcpStream::connect(self.address())
            .await
            .is_err()
        {
            let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "the server does not start: {log}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Starts three servers of one cluster.
pub(crate) fn start_cluster() -> [Server; 3] {
    let routes: [u16; 3] = free_ports();
    let ports: [u16; 6] = free_ports();
    std::array::from_fn(|number| {
        let urls = routes.map(|route| format!("\"nats://127.0.0.1:{route}\""));
        let configuration = format!(
            "jetstream {{ store_dir: STORE }}\nserver_name: server-{number}\ncluster {{\nname: test\nlisten: 127.0.0.1:{}\nroutes: [{}]\n}}",
            routes[number],
            urls.join(", ")
        );
        let (port, monitor) = (ports[number], ports[number + 3]);
        Server::on(binary().unwrap(), port, monitor, &configuration)
    })
}

/// Calls JetStream without the store.
pub(crate) async fn call(client: &Client, name: &str, request: Value) -> Value {
    let payload = request.to_string().into();
    let response = client.request(format!("$JS.API.{name}"), payload).await;
    serde_json::from_slice(&response.unwrap().payload).unwrap()
}

/// Reads a key of the bucket without the store.
pub(crate) async fn read(client: &Client, key: &str) -> Option<Vec<u8>> {
    let request = json!({"last_by_subj": format!("$KV.postduif.{key}")});
    let response = call(client, "STREAM.MSG.GET.KV_postduif", request).await;
    let message = response.get("message")?;
    let data = message["data"].as_str().unwrap_or_default();
    Some(BASE64_STANDARD.decode(data).unwrap())
}

/// Writes a key of the bucket without the store.
pub(crate) async fn write(client: &Client, key: &str, value: impl Into<Vec<u8>>) {
    let subject = format!("$KV.postduif.{key}");
    let value = value.into().into();
    let sent = client.request_with_headers(subject, HeaderMap::new(), value);
    let response: Value = serde_json::from_slice(&sent.await.unwrap().payload).unwrap();
    assert!(response.get("error").is_none(), "{response}");
}

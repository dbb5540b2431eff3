//! The process.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// A running service. It is killed on drop.
pub(crate) struct Service {
    child: Child,
    pub(crate) url: String,
    logs: Option<thread::JoinHandle<String>>,
}

/// Returns the command with these options, and nothing of the environment that it would read.
pub(crate) fn command(options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postduif-receiver"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("POSTDUIF_") || name.starts_with("ENTRA_") {
            command.env_remove(&*name);
        }
    }
    command
        .args(options)
        .env("RUST_LOG", "trace")
        .env("POSTDUIF_STORE", "memory");
    command
}

impl Service {
    /// Starts a service on a free port, and waits until it listens.
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut child = command(options)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let logs = thread::spawn(move || {
            let mut logs = String::new();
            let _ = stderr.read_to_string(&mut logs);
            logs
        });
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let Ok(line) = lines.recv_timeout(Duration::from_secs(60)) else {
            let _ = child.kill();
            panic!("the service does not listen: {}", logs.join().unwrap());
        };
        let url = line.strip_prefix("listening on ").unwrap().to_owned();
        Self {
            child,
            url,
            logs: Some(logs),
        }
    }

    /// Sends a request as these bytes, and returns the whole response.
    pub(crate) fn send(&self, request: &[u8]) -> String {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        // The service may respond before it has read everything.
        let _ = stream.write_all(request);
        let mut response = Vec::new();
        let _ = stream.read_to_end(&mut response);
        String::from_utf8_lossy(&response).into_owned()
    }

    /// Sends a GET, and returns the whole response.
    pub(crate) fn get(&self, path: &str) -> String {
        self.send(format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes())
    }

    /// Kills the process.
    pub(crate) fn kill(self) {
        // By its drop.
    }

    /// Sends the process a signal.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Asks the process to stop, and returns its exit code and its logs.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
        self.signal("TERM");
        let code = self.child.wait().unwrap().code();
        (code, self.logs.take().unwrap().join().unwrap())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

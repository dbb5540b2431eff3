use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
};

use postduif_sandbox::{Cast, Fault, FaultSpec, Sandbox};

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_postduif-sandbox"))
}

fn run(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

/// The running program, which ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_prints_its_address_and_what_to_copy() {
    let child = program()
        .args(["--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut running = Running(child);
    let mut lines = BufReader::new(running.0.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first
        .strip_prefix("listening on http://")
        .unwrap_or_else(|| panic!("{first}"));
    let mut copied: Vec<String> = Vec::new();
    for line in lines {
        let line = line.unwrap();
        let is_last = line.starts_with("more: ");
        copied.push(line);
        if is_last {
            break;
        }
    }
    for vendor in Sandbox::vendors() {
        let url = format!("SMS_URL={vendor}://");
        let at = format!("@{address}/{vendor}");
        assert!(
            copied
                .iter()
                .any(|line| line.starts_with(&url) && line.contains(&at)),
            "{vendor}: {copied:?}"
        );
    }
    for api in [
        "api=v1",
        "api=classic",
        "api=channels&workspace=sandbox&channel=sandbox",
        "api=sms",
    ] {
        let is_whole = |line: &String| {
            line.starts_with("also: ")
                && line.contains(&format!("@{address}/"))
                && line.contains(api)
        };
        assert!(copied.iter().any(is_whole), "{api}: {copied:?}");
    }
    for name in [
        "GRAPH=",
        "LOGIN=",
        "ENTRA_TENANT_ID=",
        "ENTRA_CLIENT_ID=",
        "ENTRA_CLIENT_SECRET=",
    ] {
        assert!(copied.iter().any(|line| line.starts_with(name)), "{name}");
    }

    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /_sandbox HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut shown = String::new();
    stream.read_to_string(&mut shown).unwrap();
    assert!(shown.starts_with("HTTP/1.1 200"), "{shown}");
}

#[test]
fn an_address_in_use_is_an_error_with_a_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["--listen", &address]);
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(
        printed.contains(&format!("cannot serve on {address}")),
        "{printed}"
    );
    assert!(output.stdout.is_empty());
}

#[test]
fn an_invalid_address_is_refused() {
    for wrong in ["8160", "localhost", "127.0.0.1"] {
        let output = run(&["--listen", wrong]);
        assert_eq!(output.status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn other_machines_reach_it_only_if_that_is_meant() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let output = run(&["--listen", address]);
        let printed = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{printed}");
        assert!(printed.contains("--allow-remote"), "{printed}");
    }
    // An address of no machine, so that nothing is open to anyone.
    let output = run(&["--listen", "192.0.2.1:0", "--allow-remote"]);
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("cannot serve on 192.0.2.1:0"), "{printed}");
}

#[test]
fn its_help_lists_the_users_and_how_to_run_it() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        printed.contains("cargo run -p postduif-sandbox"),
        "{printed}"
    );
    for (id, what) in Cast::ALL {
        assert!(printed.contains(id) && printed.contains(what), "{id}");
    }
}

#[test]
fn its_help_lists_the_calls_and_the_faults() {
    let output = run(&["--help"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    for call in [
        "GET    /_sandbox ",
        "DELETE /_sandbox ",
        "GET    /_sandbox/messages",
        "GET    /_sandbox/requests",
        "GET    /_sandbox/passes",
        "GET    /_sandbox/resumes",
        "GET    /_sandbox/users",
        "POST   /_sandbox/users",
        "GET    /_sandbox/faults",
        "POST   /_sandbox/faults",
        "DELETE /_sandbox/faults",
        "POST   /_sandbox/callouts",
        "POST   /_sandbox/reports",
    ] {
        assert!(printed.contains(call), "{call}\n{printed}");
    }
    for fault in Fault::ALL {
        assert!(printed.contains(fault.name()), "{fault}\n{printed}");
    }
}

#[test]
fn the_fault_of_its_help_can_be_set() {
    let output = run(&["--help"]);
    let printed = String::from_utf8_lossy(&output.stdout);
    let (_, body) = printed.split_once("curl -d '").unwrap();
    let (body, _) = body.split_once('\'').unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let fault = body["fault"].as_str().unwrap().parse().unwrap();
    FaultSpec::new(body["at"].as_str().unwrap(), fault).unwrap();
}

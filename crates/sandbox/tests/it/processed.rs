//! What a fault leaves behind, for every vendor and every API: the tests of each vendor call [`assert_faults`].

use std::{fs, path::Path};

use postduif_sandbox::{Fault, FaultSpec, Sandbox};
use tokio::net::TcpStream;

use crate::client::{authority, read, soon, write};

/// A good request to send one text.
pub(crate) struct GoodCall {
    pub(crate) path: &'static str,
    pub(crate) headers: &'static [(&'static str, &'static str)],
    pub(crate) body: &'static str,
}

impl GoodCall {
    async fn write(&self, sandbox: &Sandbox) -> TcpStream {
        write(
            &authority(sandbox),
            "POST",
            self.path,
            self.headers,
            self.body,
        )
        .await
    }
}

/// Asserts for each of these requests that every fault leaves behind what it says.
pub(crate) async fn assert_faults(point: &str, calls: &[GoodCall]) {
    for call in calls {
        assert_faults_of(point, call.path, async |sandbox| call.write(sandbox).await).await;
    }
}

/// As [`assert_faults`], for a request that needs something of the sandbox, such as a token.
pub(crate) async fn assert_faults_of(
    point: &str,
    path: &str,
    send: impl AsyncFn(&Sandbox) -> TcpStream,
) {
    let sandbox = Sandbox::start().await;
    for fault in Fault::ALL {
        if FaultSpec::new(point, *fault).is_err() {
            continue;
        }
        let count = usize::from(fault.is_processed());
        sandbox.reset();
        sandbox.fault(point, *fault).ms(1);
        let stream = send(&sandbox).await;
        let ended = || sandbox.faults_left().is_empty().then_some(());
        soon(sandbox.wait_for(|_| ended())).await;
        match fault {
            // No response comes, or no end of it.
            Fault::HugeBody | Fault::Late | Fault::Stall => {
                let found = |sandbox: &Sandbox| sandbox.messages().pop();
                soon(sandbox.wait_for(found)).await;
            }
            Fault::StallBefore => {}
            // A broken response: only its end matters.
            _ => drop(read(stream).await),
        }
        let what = format!("{fault} at {path}");
        assert_eq!(sandbox.messages().len(), count, "{what}");
        // It struck once, and the request was good.
        let again = read(send(&sandbox).await).await.unwrap();
        assert!((200..300).contains(&again.status), "{what}: {again:?}");
        assert_eq!(sandbox.messages().len(), count + 1, "{what}");
    }
}

#[test]
fn every_vendor_has_a_file_of_tests_with_its_url_and_its_faults() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    for vendor in Sandbox::vendors() {
        assert!(main.contains(&format!("\nmod {vendor};\n")), "{vendor}");
        let tests = fs::read_to_string(folder.join(format!("{vendor}.rs"))).unwrap();
        let faults = ["assert_faults", "assert_faults_of"]
            .map(|assert| format!("{assert}(\"{vendor}.send\""));
        assert!(
            faults.iter().any(|faults| tests.contains(faults)),
            "{vendor} lacks {}",
            faults[0]
        );
        let url = format!("sms_url(\"{vendor}\")");
        assert!(tests.contains(&url), "{vendor} lacks {url}");
    }
}

#[tokio::test]
async fn every_vendor_has_a_url_to_copy_and_a_point_where_texts_are_sent() {
    let sandbox = Sandbox::start().await;
    let host = authority(&sandbox);
    for vendor in Sandbox::vendors() {
        let url = sandbox.sms_url(vendor);
        assert!(url.starts_with(&format!("{vendor}://")), "{url}");
        assert!(url.contains(&format!("@{host}/{vendor}?")), "{url}");
        let point = format!("{vendor}.send");
        assert!(Sandbox::fault_points().any(|name| name == point), "{point}");
        sandbox.fault(&point, Fault::NoCredit);
    }
}

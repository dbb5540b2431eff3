use std::{
    env, fs,
    num::{NonZeroU32, NonZeroUsize},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use postduif_core::{
    Acceptance, ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider,
    Text, async_trait,
};
use postduif_http::{BaseUrl, Client, Request};
use postduif_layers::RateLimit;
use postduif_testkit::{Reply, Server};

use crate::phases::client;

#[derive(Debug)]
struct Vendor {
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    client: Client,
    base: BaseUrl,
    profile: Profile,
}

#[async_trait]
impl SmsProvider for Vendor {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let request = Request::post(&self.base, "/send").with_json(&message.text().as_str());
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_under_way.fetch_max(under_way, Ordering::SeqCst);
        let response = self.client.send(request).await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        Err(response?.refused(None))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        Outcomes::in_doubt(messages)
    }

    async fn check(&self) -> Result<Health, SendError> {
        Ok(Health::unknown())
    }
}

/// Returns the peak memory of this process, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    kib.unwrap().parse().unwrap()
}

/// Runs in a child process, so that no other test's memory is measured.
#[test]
#[cfg(target_os = "linux")]
fn ten_thousand_sends_at_a_vendor_that_never_responds_are_bounded() {
    const CHILD: &str = "POSTDUIF_TEST_LOAD";
    if env::var_os(CHILD).is_none() {
        let child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "load::ten_thousand_sends_at_a_vendor_that_never_responds_are_bounded",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&child.stdout).into_owned()
            + &String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success(), "{shown}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = Server::start(|_| Reply::Stall).await;
        let vendor = Arc::new(Vendor {
            under_way: AtomicUsize::new(0),
            most_under_way: AtomicUsize::new(0),
            client: client(),
            base: BaseUrl::parse(&server.url()).unwrap(),
            profile: Profile::new("vendor"),
        });
        let limited = RateLimit::new(Arc::clone(&vendor), NonZeroU32::new(1_000_000).unwrap())
            .with_in_flight(NonZeroUsize::new(32).unwrap())
            .with_max_waiting(NonZeroUsize::new(1_000).unwrap())
            .with_max_wait(std::time::Duration::from_millis(300));
        let limited = Arc::new(limited);
        let before = peak();
        let sends: Vec<_> = (0..10_000)
            .map(|index| {
                let limited = Arc::clone(&limited);
                let text = Text::new(format!("Your code is {index}")).unwrap();
                let message = Message::new("+31612345678".parse().unwrap(), text);
                tokio::spawn(async move { limited.send(&message).await.unwrap_err() })
            })
            .collect();
        let (mut refused, mut in_doubt) = (0, 0);
        for send in sends {
            let error = send.await.unwrap();
            match error.acceptance() {
                Acceptance::NotAccepted => {
                    assert_eq!(error.kind(), ErrorKind::Throttled, "{error:?}");
                    refused += 1;
                }
                Acceptance::Unknown => in_doubt += 1,
            }
        }
        assert_eq!(refused + in_doubt, 10_000);
        assert!(in_doubt >= 1, "some were made");
        assert!(
            server.requests().len() <= in_doubt,
            "what was read is in doubt"
        );
        assert!(vendor.most_under_way.load(Ordering::SeqCst) <= 32);
        let grown = peak() - before;
        assert!(grown < 100 * 1024, "{grown} KiB more");
    });
}

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use chrono::Utc;
use serde_json::Value;

use crate::{
    AUDIENCE, CLIENT_ID, TENANT,
    callout::{self, CalloutOrder},
    client::Target,
    error::SandboxError,
    fault::Fault,
    fault_spec::FaultSpec,
    record::{Callout, CalloutKind, Pass, Resume, SeenRequest, SentMessage},
    report::{Report, ReportOrder},
    report_sender,
    serve::{self, Running},
    services, vendors,
    world::{Config, World},
};

/// A pretend world on loopback, for as long as this value lives.
///
/// It answers on a thread and a runtime of its own: a test may pause tokio's clock, or block, and
/// the sandbox still answers in real time. Dropping it closes every connection.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use postduif_sandbox::{Cast, Fault, Sandbox};
///
/// let sandbox = Sandbox::start().await;
/// sandbox.fault("kpn.send", Fault::LostAnswer).times(2);
///
/// // … the program under test sends through `sandbox.sms_url("kpn")` …
///
/// assert!(sandbox.messages().is_empty());
/// assert!(sandbox.usable_passes(Cast::JOINER).is_empty());
/// # }
/// ```
#[derive(Debug)]
pub struct Sandbox {
    world: Arc<World>,
    running: Running,
}

impl Sandbox {
    /// Starts a sandbox on a free port of 127.0.0.1.
    ///
    /// # Panics
    ///
    /// Loopback has no free port, or the system no thread left. [`Self::builder`] tells it as an error.
    pub async fn start() -> Self {
        Self::builder()
            .start()
            .await
            .expect("loopback has a free port and the system another thread")
    }

    /// Configures a sandbox before it starts.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token_life: Duration::from_secs(3599),
        }
    }

    /// The root of everything, such as `http://127.0.0.1:8160`, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.world.config.authority)
    }

    /// The connection URL of a vendor, credentials and sender included, to give to the program under test.
    ///
    /// # Panics
    ///
    /// The sandbox has no such vendor: [`Self::vendors`] names those it has.
    pub fn sms_url(&self, vendor: &str) -> String {
        match vendors::find(vendor) {
            Some(vendor) => vendor.url(&self.world.config.authority),
            None => panic!(
                "there is no vendor {vendor:?}; there are {}",
                Self::vendors().collect::<Vec<_>>().join(", ")
            ),
        }
    }

    /// Returns a connection URL for each API that [`Self::sms_url`] does not use, such as Spryng's v1.
    pub fn other_sms_urls(&self) -> Vec<String> {
        let authority = &self.world.config.authority;
        vendors::ALL
            .iter()
            .flat_map(|vendor| vendor.other_urls(authority))
            .collect()
    }

    /// The names of the vendors that the sandbox plays.
    pub fn vendors() -> impl Iterator<Item = &'static str> {
        vendors::ALL.iter().map(|vendor| vendor.name())
    }

    /// The points where a fault can strike, such as `kpn.send`.
    pub fn fault_points() -> impl Iterator<Item = &'static str> {
        services::fault_points().map(|point| point.name)
    }

    /// The root of Graph, to which `/v1.0/…` is added.
    pub fn graph_url(&self) -> String {
        format!("{}/graph", self.url())
    }

    /// The authority of Entra, to which `/{tenant}/oauth2/v2.0/token` is added.
    pub fn login_url(&self) -> String {
        format!("{}/login", self.url())
    }

    /// The only tenant there is.
    pub fn tenant(&self) -> &'static str {
        TENANT
    }

    /// The application that may ask for tokens.
    pub fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// That application's secret; everything else of the sandbox takes the same.
    pub fn client_secret(&self) -> &'static str {
        "sandbox"
    }

    /// The application for which the tokens of Entra's call-outs are meant.
    pub fn audience(&self) -> &'static str {
        AUDIENCE
    }

    /// The private key, in PEM, of the only application at Vonage, whose id is `sandbox`: for a program
    /// that signs its tokens instead of giving a key and a secret.
    pub fn vonage_private_key(&self) -> String {
        vendors::vonage::jwt::private_key()
    }

    /// Every text that a vendor accepted, in order.
    pub fn messages(&self) -> Vec<SentMessage> {
        self.world.state().messages.iter().cloned().collect()
    }

    /// The last text that was accepted for this number, in E.164.
    pub fn message_to(&self, number: &str) -> Option<SentMessage> {
        let state = self.world.state();
        state
            .messages
            .iter()
            .rev()
            .find(|message| message.to == number)
            .cloned()
    }

    /// Every pass that was made, a stranger's too, in order.
    pub fn passes(&self) -> Vec<Pass> {
        self.world.state().passes.records(Utc::now())
    }

    /// The passes with which this user could sign in at this moment.
    pub fn usable_passes(&self, user: &str) -> Vec<Pass> {
        self.passes()
            .into_iter()
            .filter(|pass| pass.usable && pass.user.eq_ignore_ascii_case(user))
            .collect()
    }

    /// Every call that resumed something or tried to, in order.
    pub fn resumes(&self) -> Vec<Resume> {
        self.world.state().resumes.iter().cloned().collect()
    }

    /// Every request, in order, but for those to `/_sandbox`.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.world.state().requests.iter().cloned().collect()
    }

    /// The requests that followed [`Fault::Redirect`] to the wrong host: there should be none.
    pub fn foreign_requests(&self) -> Vec<SeenRequest> {
        self.world.foreign()
    }

    /// Sets a fault that strikes the next request at this point; the result can change how often and how.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use postduif_sandbox::{Fault, Sandbox};
    /// # let sandbox = Sandbox::start().await;
    /// sandbox.fault("graph.tap", Fault::Throttle).times(3).ms(50);
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// The sandbox has no such point, or the fault means nothing there. [`Self::set_fault`] tells it as an error.
    pub fn fault(&self, at: &str, fault: Fault) -> SetFault<'_> {
        match FaultSpec::new(at, fault).and_then(|spec| self.set_fault(spec)) {
            Ok(set) => set,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sets a fault that was parsed or built before.
    ///
    /// # Errors
    ///
    /// Thousands of faults are set already.
    pub fn set_fault(&self, spec: FaultSpec) -> Result<SetFault<'_>, SandboxError> {
        let id = self.world.state().faults.set(spec)?;
        Ok(SetFault {
            world: &self.world,
            id,
        })
    }

    /// The faults that have not struck for the last time.
    pub fn faults_left(&self) -> Vec<FaultSpec> {
        self.world.state().faults.left().cloned().collect()
    }

    /// No more faults.
    pub fn clear_faults(&self) {
        self.world.state().faults.clear();
    }

    /// Leaves something waiting in Entra, and gives the body of the call-out that tells of it. Nothing is called.
    ///
    /// # Errors
    ///
    /// The user is not a GUID. It may be one that the directory does not know.
    pub fn callout(&self, user: &str, kind: CalloutKind) -> Result<Callout, SandboxError> {
        let order = CalloutOrder::new(user, kind);
        callout::play(&mut self.world.state(), &order, Utc::now())
    }

    /// Calls out as Entra does, with a signed token, and gives what was said and answered.
    ///
    /// # Errors
    ///
    /// The user is not a GUID, the window not a duration, or the target not an `http` URL. A target
    /// that does not answer is no error: [`Callout::status`] is `None` then.
    pub async fn deliver(
        &self,
        order: CalloutOrder,
        target: &str,
    ) -> Result<Callout, SandboxError> {
        let target = Target::parse(target)?;
        let world = Arc::clone(&self.world);
        // On the sandbox's runtime: the caller's may have a clock that stands still, or runs ahead.
        self.running
            .spawn(async move { callout::deliver(&world, &order, &target).await })
            .await
    }

    /// The calls that a vendor would make to this URL to report on a text that it took, signed if it signs.
    /// Nothing is called.
    ///
    /// # Errors
    ///
    /// No vendor took such a text, or the target is not an `http` URL.
    pub fn report(&self, order: &ReportOrder, target: &str) -> Result<Vec<Report>, SandboxError> {
        report_sender::make(&self.world.state(), order, Some(target))
    }

    /// Reports on a text as its vendor does, signed if it signs, and gives the status of the answer:
    /// the last one where each part of the text has its own report, `None` where no answer came.
    ///
    /// # Errors
    ///
    /// No vendor took such a text, or the target is not an `http` URL.
    pub async fn deliver_report(
        &self,
        order: ReportOrder,
        target: &str,
    ) -> Result<Option<u16>, SandboxError> {
        let target = target.to_owned();
        let world = Arc::clone(&self.world);
        // On the sandbox's runtime, as in `deliver`.
        self.running
            .spawn(async move { report_sender::deliver(&world, &order, Some(&target)).await })
            .await
    }

    /// The directory: Graph user objects, the cast first.
    pub fn users(&self) -> Vec<Value> {
        self.world.state().directory.users().to_vec()
    }

    /// Adds a Graph user object or replaces the one with its id, and gives that id.
    ///
    /// Beside properties it may hold `manager` (an object with an `id`) and `transitiveMemberOf` (a
    /// list of directory roles). Without an `id` it is given one.
    ///
    /// # Errors
    ///
    /// It is not an object, or its id is not a GUID.
    pub fn put_user(&self, user: Value) -> Result<String, SandboxError> {
        self.world.state().directory.put(user)
    }

    /// Everything back to the start: the cast, no faults, nothing recorded, every token dead.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Waits until a look at the sandbox finds something, without polling and without a deadline of its own.
    ///
    /// ```no_run
    /// # async fn wait(sandbox: &postduif_sandbox::Sandbox) {
    /// let message = sandbox.wait_for(|sandbox| sandbox.message_to("+31612345678")).await;
    /// # }
    /// ```
    pub async fn wait_for<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        let mut changes = self.world.changes();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            changes
                .changed()
                .await
                .expect("the sender lives in the world, and the world in `self`");
        }
    }
}

/// A fault that was set, to say more about: each call changes it in its place.
#[derive(Debug)]
pub struct SetFault<'a> {
    world: &'a World,
    id: u64,
}

impl SetFault<'_> {
    /// Strikes this often, as [`FaultSpec::times`].
    pub fn times(&self, times: u32) -> &Self {
        self.change(|spec| spec.times(times))
    }

    /// The wait that the fault is about, as [`FaultSpec::ms`].
    pub fn ms(&self, ms: u64) -> &Self {
        self.change(|spec| spec.ms(ms))
    }

    fn change(&self, change: impl FnOnce(FaultSpec) -> FaultSpec) -> &Self {
        self.world.state().faults.change(self.id, change);
        self
    }
}

/// What can be chosen about a sandbox.
#[derive(Clone, Debug)]
pub struct SandboxBuilder {
    listen: SocketAddr,
    token_life: Duration,
}

impl SandboxBuilder {
    /// Listens here; port 0 is any free one. The default is a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listen = address.into();
        self
    }

    /// Lets tokens live this long, in whole seconds; the default is 3599 seconds, as KPN and Entra have it.
    #[must_use]
    pub fn token_life(mut self, life: Duration) -> Self {
        self.token_life = life;
        self
    }

    /// Starts the sandbox.
    ///
    /// # Errors
    ///
    /// The address is taken or not ours, or the system has no thread or descriptor left.
    pub async fn start(self) -> io::Result<Sandbox> {
        let listener = TcpListener::bind(self.listen)?;
        // The stranger lives beside it, on a port of its own: another host, as far as HTTP goes.
        let foreign = TcpListener::bind((self.listen.ip(), 0))?;
        let world = Arc::new(World::new(Config {
            authority: reachable(listener.local_addr()?),
            foreign: reachable(foreign.local_addr()?),
            token_life: self.token_life,
        }));
        let running = serve::start(Arc::clone(&world), listener, foreign)?;
        Ok(Sandbox { world, running })
    }
}

/// An address to connect to: one that stands for all interfaces is no such thing everywhere.
fn reachable(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address.to_string()
}

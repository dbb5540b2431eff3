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
    inbound::{self, InboundOrder},
    record::{Callout, CalloutKind, Pass, Resume, SeenRequest, SentMessage},
    report::ReportOrder,
    report_sender,
    serve::{self, Running},
    services,
    vendor_request::VendorRequest,
    vendors,
    world::{Config, World},
};

/// A simulated world on loopback, which lives as long as this value.
///
/// It serves on its own thread and runtime: a test may pause tokio's clock, or block, and the sandbox still
/// responds in real time. Dropping it closes every connection.
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
    /// Panics if loopback has no free port or the system cannot start a thread.
    /// [`SandboxBuilder::start`] returns an error instead.
    pub async fn start() -> Self {
        Self::builder()
            .start()
            .await
            .expect("loopback has a free port and the system another thread")
    }

    /// Returns a builder, to configure a sandbox before it starts.
    pub fn builder() -> SandboxBuilder {
        SandboxBuilder {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            token_life: Duration::from_secs(3599),
        }
    }

    /// Returns the root of all URLs, such as `http://127.0.0.1:8160`, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.world.config.authority)
    }

    /// Returns the connection URL of a vendor for the program under test, with credentials and sender.
    ///
    /// # Panics
    ///
    /// Panics if the sandbox has no such vendor: see [`Self::vendors`].
    pub fn sms_url(&self, vendor: &str) -> String {
        match vendors::find(vendor) {
            Some(vendor) => vendor.url(&self.world.config.authority),
            None => panic!(
                "unknown vendor {vendor:?}; known: {}",
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

    /// Returns the names of the simulated vendors.
    pub fn vendors() -> impl Iterator<Item = &'static str> {
        vendors::ALL.iter().map(|vendor| vendor.name())
    }

    /// Returns the points where a fault can strike, such as `kpn.send`.
    pub fn fault_points() -> impl Iterator<Item = &'static str> {
        services::fault_points().map(|point| point.name)
    }

    /// Returns the root of Graph, to which `/v1.0/…` is appended.
    pub fn graph_url(&self) -> String {
        format!("{}/graph", self.url())
    }

    /// Returns the authority of Entra, to which `/{tenant}/oauth2/v2.0/token` is appended.
    pub fn login_url(&self) -> String {
        format!("{}/login", self.url())
    }

    /// Returns the id of the only tenant.
    pub fn tenant(&self) -> &'static str {
        TENANT
    }

    /// Returns the id of the application that may request tokens.
    pub fn client_id(&self) -> &'static str {
        CLIENT_ID
    }

    /// Returns that application's secret, which is also the secret everywhere else in the sandbox.
    pub fn client_secret(&self) -> &'static str {
        "sandbox"
    }

    /// Returns the audience of the tokens of Entra's call-outs.
    pub fn audience(&self) -> &'static str {
        AUDIENCE
    }

    /// Returns the private key, in PEM, of the only application at Vonage, whose id is `sandbox`.
    ///
    /// A program that signs its own tokens uses it instead of a key and a secret.
    pub fn vonage_private_key(&self) -> String {
        vendors::vonage::jwt::private_key()
    }

    /// Returns the texts that vendors accepted, in order.
    pub fn messages(&self) -> Vec<SentMessage> {
        self.world.state().messages.iter().cloned().collect()
    }

    /// Returns the last text that a vendor accepted for this number, in E.164.
    pub fn message_to(&self, number: &str) -> Option<SentMessage> {
        let state = self.world.state();
        state
            .messages
            .iter()
            .rev()
            .find(|message| message.to == number)
            .cloned()
    }

    /// Returns all passes in the order of their creation, including those that the program did not create.
    pub fn passes(&self) -> Vec<Pass> {
        self.world.state().passes.records(Utc::now())
    }

    /// Returns the passes with which this user could sign in now.
    pub fn usable_passes(&self, user: &str) -> Vec<Pass> {
        self.passes()
            .into_iter()
            .filter(|pass| pass.usable && pass.user.eq_ignore_ascii_case(user))
            .collect()
    }

    /// Returns the resume requests in order, including those that Graph refused.
    pub fn resumes(&self) -> Vec<Resume> {
        self.world.state().resumes.iter().cloned().collect()
    }

    /// Returns the requests in order, except those to `/_sandbox`.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.world.state().requests.iter().cloned().collect()
    }

    /// Returns the requests that followed [`Fault::Redirect`] to another host. There should be none.
    pub fn foreign_requests(&self) -> Vec<SeenRequest> {
        self.world.foreign()
    }

    /// Sets a fault that strikes the next request at this point. The result can change it further.
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
    /// Panics if the sandbox has no such point, if the fault cannot happen there, or if thousands of
    /// faults are set. [`FaultSpec::new`] and [`Self::set_fault`] return errors instead.
    pub fn fault(&self, at: &str, fault: Fault) -> SetFault<'_> {
        match FaultSpec::new(at, fault).and_then(|spec| self.set_fault(spec)) {
            Ok(set) => set,
            Err(error) => panic!("{error}"),
        }
    }

    /// Sets a fault that was parsed or built as a [`FaultSpec`].
    ///
    /// # Errors
    ///
    /// Returns an error if thousands of faults are set already.
    pub fn set_fault(&self, spec: FaultSpec) -> Result<SetFault<'_>, SandboxError> {
        let id = self.world.state().faults.set(spec)?;
        Ok(SetFault {
            world: &self.world,
            id,
        })
    }

    /// Returns the faults that are still to strike.
    pub fn faults_left(&self) -> Vec<FaultSpec> {
        self.world.state().faults.left().cloned().collect()
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.world.state().faults.clear();
    }

    /// Creates a pending execution in Entra and returns the body of its call-out, without sending it.
    ///
    /// # Errors
    ///
    /// Returns an error if the user is not a GUID. The directory need not know it.
    pub fn callout(&self, user: &str, kind: CalloutKind) -> Result<Callout, SandboxError> {
        let order = CalloutOrder::new(user, kind);
        callout::start(&mut self.world.state(), &order, Utc::now())
    }

    /// Sends a call-out as Entra does, with a signed token, and returns it with the status of the response.
    ///
    /// # Errors
    ///
    /// Returns an error if the user is not a GUID, the window not a duration, or the target not an
    /// `http` URL. A target that does not respond is no error: [`Callout::status`] is `None` then.
    pub async fn deliver(
        &self,
        order: CalloutOrder,
        target: &str,
    ) -> Result<Callout, SandboxError> {
        let target = Target::parse(target)?;
        let world = Arc::clone(&self.world);
        // On the sandbox's runtime: the caller's clock may be paused, or run ahead.
        self.running
            .spawn(async move { callout::deliver(&world, &order, &target).await })
            .await
    }

    /// Returns the requests by which a vendor would report to this URL on a text that it accepted, without
    /// sending them.
    ///
    /// They are signed where the vendor signs. Where it reports on each segment, there are several.
    ///
    /// # Errors
    ///
    /// Returns an error if no accepted text has the reference or the id of the order, the target is not an `http` or
    /// `https` URL, or the secret is not in the vendor's form. A text to KPN or Twilio has a reference only if its `report_url` carries `{reference}`; name it by
    /// [`ReportOrder::by_id`] otherwise.
    pub fn report(
        &self,
        order: &ReportOrder,
        target: &str,
    ) -> Result<Vec<VendorRequest>, SandboxError> {
        report_sender::make(&self.world.state(), order, Some(target))
    }

    /// Sends the vendor's delivery report on a text, and returns the status of the last response.
    ///
    /// Returns `None` where no response came. The requests are those of [`Self::report`].
    ///
    /// # Errors
    ///
    /// As [`Self::report`], and if the target is an `https` URL. A text to KPN or Twilio has a reference only if its `report_url` carries `{reference}`; name it by
    /// [`ReportOrder::by_id`] otherwise.
    pub async fn deliver_report(
        &self,
        order: &ReportOrder,
        target: &str,
    ) -> Result<Option<u16>, SandboxError> {
        let (order, target) = (order.clone(), target.to_owned());
        let world = Arc::clone(&self.world);
        // On the sandbox's runtime, as in `deliver`.
        self.running
            .spawn(async move { report_sender::deliver(&world, &order, Some(&target)).await })
            .await
    }

    /// Returns the request by which a vendor would deliver an inbound text to this URL, without sending it.
    ///
    /// Where the vendor names the text that it replies to, that is the last one that it accepted for the person.
    ///
    /// # Errors
    ///
    /// As [`InboundOrder::request`].
    pub fn inbound(
        &self,
        order: &InboundOrder,
        target: &str,
    ) -> Result<VendorRequest, SandboxError> {
        inbound::make(&self.world, order, target)
    }

    /// Delivers an inbound text as its vendor does, and returns the status of the response.
    ///
    /// Returns `None` where no response came. The request is that of [`Self::inbound`].
    ///
    /// # Errors
    ///
    /// As [`InboundOrder::request`], and if the target is an `https` URL.
    pub async fn deliver_inbound(
        &self,
        order: &InboundOrder,
        target: &str,
    ) -> Result<Option<u16>, SandboxError> {
        let (order, target) = (order.clone(), target.to_owned());
        let world = Arc::clone(&self.world);
        // On the sandbox's runtime, as in `deliver`.
        self.running
            .spawn(async move { inbound::deliver(&world, &order, &target).await })
            .await
    }

    /// Returns the directory's Graph user objects, [`Cast`](crate::Cast) first.
    pub fn users(&self) -> Vec<Value> {
        self.world.state().directory.users().to_vec()
    }

    /// Adds a Graph user object, or replaces the one with its id, and returns the id.
    ///
    /// Besides properties it may hold `manager` (an object with an `id`) and `transitiveMemberOf` (a
    /// list of directory roles). An object without an `id` gets a new one.
    ///
    /// # Errors
    ///
    /// Returns an error if it is not an object, its id is not a GUID, or the directory is full.
    pub fn put_user(&self, user: Value) -> Result<String, SandboxError> {
        self.world.state().directory.put(user)
    }

    /// Resets everything: the original users, no faults, no records, no valid tokens.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Waits until `look` returns something, without polling and without a deadline.
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

/// A fault that is set; each method changes it further.
#[derive(Debug)]
pub struct SetFault<'a> {
    world: &'a World,
    id: u64,
}

impl SetFault<'_> {
    /// Sets how often it strikes, as [`FaultSpec::times`].
    pub fn times(&self, times: u32) -> &Self {
        self.change(|spec| spec.times(times))
    }

    /// Sets the fault's duration, as [`FaultSpec::ms`].
    pub fn ms(&self, ms: u64) -> &Self {
        self.change(|spec| spec.ms(ms))
    }

    fn change(&self, change: impl FnOnce(FaultSpec) -> FaultSpec) -> &Self {
        self.world.state().faults.change(self.id, change);
        self
    }
}

/// A builder of a [`Sandbox`].
#[derive(Clone, Debug)]
pub struct SandboxBuilder {
    listen: SocketAddr,
    token_life: Duration,
}

impl SandboxBuilder {
    /// Sets the address to listen on; port 0 is any free one. Defaults to a free port of 127.0.0.1.
    #[must_use]
    pub fn listen(mut self, address: impl Into<SocketAddr>) -> Self {
        self.listen = address.into();
        self
    }

    /// Sets the lifetime of tokens, in whole seconds. Defaults to 3599 seconds, as at KPN and Entra.
    #[must_use]
    pub fn token_life(mut self, life: Duration) -> Self {
        self.token_life = life;
        self
    }

    /// Starts the sandbox.
    ///
    /// # Errors
    ///
    /// Returns an error if the address is in use or not local, or the system has no thread or descriptor left.
    pub async fn start(self) -> io::Result<Sandbox> {
        let listener = TcpListener::bind(self.listen)?;
        // The redirect's target has another port, which makes it another host as far as HTTP goes.
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

/// Returns an address to connect to: the unspecified address works as one on some systems only.
fn reachable(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    address.to_string()
}

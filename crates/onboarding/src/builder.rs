use std::{sync::Arc, time::Duration};

use postduif_core::{
    ConfigError, Message, Sender, SmsProvider,
    directory::{Graph, TapIssuer, TapRequest},
};

use crate::{
    Clock, CompleteOn, ExistingPass, Guard, Journal, MemoryJournal, Numbers, OnDoubt, Onboarding,
    flow::times::{DEFAULT_MARGIN, DEFAULT_PAUSES, DEFAULT_WINDOW, MAX_PASS, MIN_MARGIN, MIN_PASS},
    guard,
    template::Templates,
    time_zones::TimeZones,
};

/// Sets up an [`Onboarding`]. Nothing is checked before [`build`](Self::build).
#[derive(Debug)]
#[must_use = "it does nothing until it is built"]
pub struct OnboardingBuilder {
    graph: Option<Arc<dyn Graph>>,
    issuer: Option<Arc<dyn TapIssuer>>,
    provider: Option<Arc<dyn SmsProvider>>,
    journal: Option<Arc<dyn Journal>>,
    guards: Vec<Arc<dyn Guard>>,
    numbers: Numbers,
    known_numbers_only: bool,
    disabled: bool,
    administrators: bool,
    existing_pass: ExistingPass,
    on_doubt: OnDoubt,
    complete_on: CompleteOn,
    window: Duration,
    margin: Duration,
    pass: TapRequest,
    sender: Option<Sender>,
    templates: Option<Templates>,
    time_zone: String,
    time_zones: Vec<(String, String)>,
    pauses: Vec<Duration>,
    clock: Clock,
}

impl OnboardingBuilder {
    pub(crate) fn new() -> Self {
        Self {
            graph: None,
            issuer: None,
            provider: None,
            journal: None,
            guards: Vec::new(),
            numbers: Numbers::strict(),
            known_numbers_only: false,
            disabled: false,
            administrators: false,
            existing_pass: ExistingPass::default(),
            on_doubt: OnDoubt::default(),
            complete_on: CompleteOn::default(),
            window: DEFAULT_WINDOW,
            margin: DEFAULT_MARGIN,
            pass: TapRequest::new(),
            sender: None,
            templates: None,
            time_zone: "Europe/Amsterdam".into(),
            time_zones: Vec::new(),
            pauses: DEFAULT_PAUSES.into(),
            clock: Clock::system(),
        }
    }

    /// Sets who reads people and gives Entra the verdict.
    pub fn with_graph(mut self, graph: impl Graph) -> Self {
        self.graph = Some(Arc::new(graph));
        self
    }

    /// Sets who issues the passes; often the same as [`with_graph`](Self::with_graph).
    pub fn with_issuer(mut self, issuer: impl TapIssuer) -> Self {
        self.issuer = Some(Arc::new(issuer));
        self
    }

    /// Sets the provider of the texts. Retries and fail-over are layers around it: a flow sends once in each round.
    pub fn with_provider(mut self, provider: impl SmsProvider) -> Self {
        self.provider = Some(Arc::new(provider));
        self
    }

    /// Sets how the directory's numbers are read. Defaults to strictly.
    pub fn with_numbers(mut self, numbers: Numbers) -> Self {
        self.numbers = numbers;
        self
    }

    /// Refuses numbers in a range that the reader of [`with_numbers`](Self::with_numbers) does not know, as
    /// [`InvalidNumber`](postduif_core::directory::FailureReason::InvalidNumber). Defaults to going on with them, since new ranges
    /// are unknown to every reader for some months; an event and the ending say so.
    pub const fn refuse_unknown_numbers(mut self) -> Self {
        self.known_numbers_only = true;
        self
    }

    /// Sets the journal where [`Onboarding::run`] claims its flows and [`Onboarding::report`] stores reports. Defaults
    /// to a [`MemoryJournal`]. A run that was [started](Onboarding::start) with a claim uses that claim.
    pub fn with_journal(mut self, journal: impl Journal) -> Self {
        self.journal = Some(Arc::new(journal));
        self
    }

    /// Adds a guard, asked after our own and those added before.
    pub fn with_guard(mut self, guard: impl Guard) -> Self {
        self.guards.push(Arc::new(guard));
        self
    }

    /// Lets accounts that are still disabled get a pass too, where joiners are enabled only later.
    pub const fn allow_disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// Lets holders of directory roles get a pass too, and people whose roles were not read. A pass for an
    /// administrator opens the tenant to anyone who holds that phone.
    pub const fn allow_administrators(mut self) -> Self {
        self.administrators = true;
        self
    }

    /// Sets what happens to a pass that the user already has. Defaults to [`ExistingPass::KeepOurs`].
    pub const fn with_existing_pass(mut self, existing_pass: ExistingPass) -> Self {
        self.existing_pass = existing_pass;
        self
    }

    /// Sets what follows when it is unknown whether the vendor has the text. Defaults to [`OnDoubt::Reissue`].
    pub const fn with_on_doubt(mut self, on_doubt: OnDoubt) -> Self {
        self.on_doubt = on_doubt;
        self
    }

    /// Sets when a flow counts as completed. Defaults to [`CompleteOn::Accepted`].
    pub const fn with_complete_on(mut self, complete_on: CompleteOn) -> Self {
        self.complete_on = complete_on;
        self
    }

    /// Sets how long Entra waits, as configured there. Defaults to 30 minutes. A call-out's own value overrides it.
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets how long before the end of the window the deadline is, at least 20 seconds. Defaults to a minute, and is
    /// never more than a quarter of a call-out's own window. In that time a pass is still revoked and Entra gets the
    /// verdict.
    pub const fn with_margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// Sets what pass to ask for. Defaults to one that works once and lives as long as the policy says.
    pub const fn with_pass(mut self, pass: TapRequest) -> Self {
        self.pass = pass;
        self
    }

    /// Sets the sender of the text. Defaults to the provider's own.
    pub fn with_sender(mut self, sender: Sender) -> Self {
        self.sender = Some(sender);
        self
    }

    /// Sets what the texts say. Defaults to the built-in Dutch and English.
    pub fn with_templates(mut self, templates: Templates) -> Self {
        self.templates = Some(templates);
        self
    }

    /// Sets the zone of the times in a text, by its IANA name. Defaults to `Europe/Amsterdam`.
    pub fn with_time_zone(mut self, time_zone: impl Into<String>) -> Self {
        self.time_zone = time_zone.into();
        self
    }

    /// Sets the zone of the times in the texts for people of a country, by their `usageLocation`: its two letters,
    /// and the zone's IANA name.
    ///
    /// A country of several zones has the one in which most of your people start.
    pub fn with_time_zone_in(
        mut self,
        region: impl Into<String>,
        time_zone: impl Into<String>,
    ) -> Self {
        self.time_zones.push((region.into(), time_zone.into()));
        self
    }

    /// Sets how long to wait before each repeat of what may be repeated. Defaults to 2, 5, 10, 20 and 40 seconds.
    ///
    /// A user whom the directory does not know is read so many times more and no more. Other faults that
    /// pass by themselves are waited out until the deadline, with pauses that go on growing.
    ///
    /// They also say how slow Graph may be: a list of passes lags by no more than four times their sum (five
    /// minutes), and a call whose process is gone takes effect within a quarter of that sum (nineteen seconds).
    /// Pauses shorter than Graph's own delays lose what these waits protect.
    pub fn with_pauses(mut self, pauses: impl Into<Vec<Duration>>) -> Self {
        self.pauses = pauses.into();
        self
    }

    /// Sets where the time comes from. Defaults to the system's clock.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Checks all settings and builds the flow.
    ///
    /// # Errors
    ///
    /// Where something is missing, where delivery is waited for and the provider has no reports, where the
    /// provider could not send a text of this sender, and where a time makes no sense.
    pub fn build(self) -> Result<Onboarding, ConfigError> {
        let missing = |what| ConfigError::new(format!("onboarding needs {what}"));
        let graph = self.graph.ok_or_else(|| missing("a graph"))?;
        let issuer = self.issuer.ok_or_else(|| missing("an issuer of passes"))?;
        let provider = self.provider.ok_or_else(|| missing("a provider"))?;
        let time_zones = TimeZones::new(&self.time_zone, self.time_zones)?;
        let templates = match self.templates {
            Some(templates) => templates,
            None => Templates::built_in()?,
        };
        if self.complete_on == CompleteOn::Delivered && !provider.profile().reports() {
            return Err(ConfigError::new(format!(
                "no delivery report can arrive from {}: complete on accepted, or set up its reports",
                provider.profile().name()
            )));
        }
        if self.margin < MIN_MARGIN || self.margin >= self.window {
            return Err(ConfigError::new(format!(
                "the margin must be {} seconds at the least, and shorter than the window",
                MIN_MARGIN.as_secs()
            )));
        }
        if self.pauses.is_empty() || self.pauses.iter().any(Duration::is_zero) {
            return Err(ConfigError::new("there must be pauses, none of them empty"));
        }
        if self.pass.lifetime.is_some_and(|lifetime| {
            lifetime.subsec_nanos() != 0
                || lifetime.as_secs() % 60 != 0
                || !(MIN_PASS..=MAX_PASS).contains(&lifetime)
        }) {
            return Err(ConfigError::new(
                "a pass lives for whole minutes, 10 to 43,200",
            ));
        }
        sendable(&*provider, self.sender.as_ref(), &templates)?;

        let mut guards =
            guard::built_in(self.disabled, self.administrators, self.known_numbers_only);
        guards.extend(self.guards);
        Ok(Onboarding {
            graph,
            issuer,
            provider,
            journal: self
                .journal
                .unwrap_or_else(|| Arc::new(MemoryJournal::new())),
            guards,
            numbers: self.numbers,
            existing_pass: self.existing_pass,
            on_doubt: self.on_doubt,
            complete_on: self.complete_on,
            window: self.window,
            margin: self.margin,
            pass: self.pass,
            sender: self.sender,
            templates,
            time_zones,
            pauses: self.pauses,
            clock: self.clock,
        })
    }
}

/// Finds out before the first flow what the provider would refuse of every text, and of the longest.
fn sendable(
    provider: &dyn SmsProvider,
    sender: Option<&Sender>,
    templates: &Templates,
) -> Result<(), ConfigError> {
    let to = "+31612345678".parse();
    let to = to.map_err(|_| ConfigError::new("the sample's number is not valid"))?;
    for (language, text) in templates.longest() {
        let mut message = Message::new(to, text.clone());
        if let Some(sender) = sender {
            message = message.with_sender(sender.clone());
        }
        if let Some(problem) = provider.profile().problems(&message).into_iter().next() {
            return Err(ConfigError::new(format!(
                "{} could not send the text in {language}: {problem}",
                provider.profile().name()
            )));
        }
    }
    Ok(())
}

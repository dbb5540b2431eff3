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

/// A builder for [`Onboarding`]. [`build`](Self::build) checks all options.
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

    /// Sets the directory that reads users and reports the verdict to Entra.
    pub fn with_graph(mut self, graph: impl Graph) -> Self {
        self.graph = Some(Arc::new(graph));
        self
    }

    /// Sets the issuer of passes: often the same object as in [`with_graph`](Self::with_graph).
    pub fn with_issuer(mut self, issuer: impl TapIssuer) -> Self {
        self.issuer = Some(Arc::new(issuer));
        self
    }

    /// Sets the provider that sends the texts. Retries and failover are layers around it: a flow sends once per round.
    pub fn with_provider(mut self, provider: impl SmsProvider) -> Self {
        self.provider = Some(Arc::new(provider));
        self
    }

    /// Sets how phone numbers of the directory are read. Defaults to [`Numbers::strict`].
    pub fn with_numbers(mut self, numbers: Numbers) -> Self {
        self.numbers = numbers;
        self
    }

    /// Refuses numbers of an unknown range with
    /// [`InvalidNumber`](postduif_core::directory::FailureReason::InvalidNumber).
    ///
    /// [`with_numbers`](Self::with_numbers) decides which ranges are known. By default a number of an unknown range is
    /// used, since every new range is unknown for some months; an event and the ending report it.
    pub const fn refuse_unknown_numbers(mut self) -> Self {
        self.known_numbers_only = true;
        self
    }

    /// Sets the journal in which [`Onboarding::run`] claims flows and [`Onboarding::report`] stores reports.
    ///
    /// Defaults to a [`MemoryJournal`]. A run that is [started](Onboarding::start) with a claim uses that claim.
    pub fn with_journal(mut self, journal: impl Journal) -> Self {
        self.journal = Some(Arc::new(journal));
        self
    }

    /// Adds a guard. It runs after the built-in guards and those added earlier.
    pub fn with_guard(mut self, guard: impl Guard) -> Self {
        self.guards.push(Arc::new(guard));
        self
    }

    /// Allows passes for disabled accounts, for directories that enable new users later.
    pub const fn allow_disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// Allows passes for holders of directory roles, and for users whose roles were not read.
    ///
    /// A pass for an administrator opens the tenant to anyone with access to that phone.
    pub const fn allow_administrators(mut self) -> Self {
        self.administrators = true;
        self
    }

    /// Sets the treatment of a pass that the user already has. Defaults to [`ExistingPass::KeepOurs`].
    pub const fn with_existing_pass(mut self, existing_pass: ExistingPass) -> Self {
        self.existing_pass = existing_pass;
        self
    }

    /// Sets the reaction to a text that is in doubt. Defaults to [`OnDoubt::Reissue`].
    pub const fn with_on_doubt(mut self, on_doubt: OnDoubt) -> Self {
        self.on_doubt = on_doubt;
        self
    }

    /// Sets the moment at which a flow counts as completed. Defaults to [`CompleteOn::Accepted`].
    pub const fn with_complete_on(mut self, complete_on: CompleteOn) -> Self {
        self.complete_on = complete_on;
        self
    }

    /// Sets how long Entra waits, as configured there. Defaults to 30 minutes. The value of a call-out overrides it.
    pub const fn with_window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Sets the time between the deadline and the end of the window, at least 20 seconds. Defaults to one minute.
    ///
    /// In that time a pass is still revoked, and Entra gets the verdict. The margin is at most a quarter of the window.
    pub const fn with_margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// Sets the properties of the passes. Defaults to [`TapRequest::new`].
    pub const fn with_pass(mut self, pass: TapRequest) -> Self {
        self.pass = pass;
        self
    }

    /// Sets the sender of the texts. Defaults to the provider's default.
    pub fn with_sender(mut self, sender: Sender) -> Self {
        self.sender = Some(sender);
        self
    }

    /// Sets the templates of the texts. Defaults to the built-in Dutch and English ones.
    pub fn with_templates(mut self, templates: Templates) -> Self {
        self.templates = Some(templates);
        self
    }

    /// Sets the time zone of the times in a text, by its IANA name. Defaults to `Europe/Amsterdam`.
    pub fn with_time_zone(mut self, time_zone: impl Into<String>) -> Self {
        self.time_zone = time_zone.into();
        self
    }

    /// Sets the time zone for users of one country: the two letters of their `usageLocation`, and an IANA name.
    ///
    /// For a country with several zones, use the zone in which most of your users work.
    pub fn with_time_zone_in(
        mut self,
        region: impl Into<String>,
        time_zone: impl Into<String>,
    ) -> Self {
        self.time_zones.push((region.into(), time_zone.into()));
        self
    }

    /// Sets the pauses before retries. Defaults to 2, 5, 10, 20 and 40 seconds.
    ///
    /// If the directory does not know the user, or refuses the token, the read is retried once per pause. Other
    /// temporary errors are retried until the deadline. After the configured pauses each one is twice as long as the
    /// last: up to a minute, or up to a quarter of an hour between requests for a pass.
    ///
    /// The pauses also state how slow Graph may be. A list of passes lags by at most four times their sum, which is five
    /// minutes by default. A request whose connection was lost takes effect within a quarter of their sum, which is
    /// nineteen seconds. With pauses shorter than Graph's real delays, a pass in doubt may be missed.
    pub fn with_pauses(mut self, pauses: impl Into<Vec<Duration>>) -> Self {
        self.pauses = pauses.into();
        self
    }

    /// Sets the clock. Defaults to the system's clock.
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Checks all options and builds the flow.
    ///
    /// # Errors
    ///
    /// If the graph, the issuer or the provider is missing, or an option is invalid. Also if the provider cannot send
    /// the texts, or sends no reports under [`CompleteOn::Delivered`].
    pub fn build(self) -> Result<Onboarding, ConfigError> {
        let missing = |what| ConfigError::new(format!("onboarding needs {what}"));
        let graph = self
            .graph
            .ok_or_else(|| missing("a graph: call with_graph"))?;
        let issuer = self
            .issuer
            .ok_or_else(|| missing("an issuer of passes: call with_issuer"))?;
        let provider = self
            .provider
            .ok_or_else(|| missing("a provider: call with_provider"))?;
        let time_zones = TimeZones::new(&self.time_zone, self.time_zones)?;
        let templates = match self.templates {
            Some(templates) => templates,
            None => Templates::built_in()?,
        };
        if self.complete_on == CompleteOn::Delivered && !provider.profile().reports() {
            return Err(ConfigError::new(format!(
                "{} sends no delivery reports: set them up, or complete on acceptance",
                provider.profile().name()
            )));
        }
        if self.margin < MIN_MARGIN || self.margin >= self.window {
            return Err(ConfigError::new(format!(
                "invalid margin: at least {} seconds, and shorter than the window",
                MIN_MARGIN.as_secs()
            )));
        }
        if self.pauses.is_empty() || self.pauses.iter().any(Duration::is_zero) {
            return Err(ConfigError::new(
                "invalid pauses: at least one, each longer than zero",
            ));
        }
        if self.pass.lifetime.is_some_and(|lifetime| {
            lifetime.subsec_nanos() != 0
                || lifetime.as_secs() % 60 != 0
                || !(MIN_PASS..=MAX_PASS).contains(&lifetime)
        }) {
            return Err(ConfigError::new(
                "invalid lifetime of a pass: whole minutes, 10 to 43,200",
            ));
        }
        check_sendable(&*provider, self.sender.as_ref(), &templates)?;

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

/// Checks before the first flow that the provider can send the longest texts.
fn check_sendable(
    provider: &dyn SmsProvider,
    sender: Option<&Sender>,
    templates: &Templates,
) -> Result<(), ConfigError> {
    let to = "+31612345678".parse();
    let to = to.map_err(|_| ConfigError::new("invalid sample number"))?;
    for (language, text) in templates.longest() {
        let mut message = Message::new(to, text.clone());
        if let Some(sender) = sender {
            message = message.with_sender(sender.clone());
        }
        if let Some(problem) = provider.profile().problems(&message).into_iter().next() {
            return Err(ConfigError::new(format!(
                "{} cannot send the text in {language}: {problem}",
                provider.profile().name()
            )));
        }
    }
    Ok(())
}

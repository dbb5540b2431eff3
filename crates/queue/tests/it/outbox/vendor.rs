//! A vendor on a socket that counts what it gets, and its provider.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use postduif_core::{
    ErrorKind, Health, Message, Outcomes, Profile, Receipt, SendError, SmsProvider, async_trait,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What the vendor says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mood {
    Accepts,
    /// It says that it accepts nothing at the moment.
    Down,
    /// It refuses the number.
    Refuses,
    /// It has the message, and its response is lost.
    Loses,
    /// It has the message, and responds once the mood changes.
    Holds,
}

pub(crate) struct Vendor {
    address: SocketAddr,
    mood: watch::Sender<Mood>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// How often each reference came.
    received: HashMap<String, usize>,
    calls: usize,
}

impl Vendor {
    pub(crate) async fn start(mood: Mood) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = watch::channel(mood);
        let state = Arc::<Mutex<State>>::default();
        let vendor = Self {
            address,
            mood: sender,
            state: Arc::clone(&state),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, receiver.clone(), Arc::clone(&state)));
            }
        });
        vendor
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn provider(&self) -> Wire {
        Wire::new(self.address, Profile::new("wire"))
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// How often the message with this reference came.
    pub(crate) fn count(&self, reference: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.received.get(reference).copied().unwrap_or_default()
    }

    /// How many messages came, and how often the one that came most.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        let most = state.received.values().max();
        (state.received.len(), most.copied().unwrap_or_default())
    }

    pub(crate) fn calls(&self) -> usize {
        self.state.lock().unwrap().calls
    }

    pub(crate) async fn until_received(&self, messages: usize) {
        let begun = std::time::Instant::now();
        while self.counts().0 < messages {
            assert!(begun.elapsed() < super::PATIENCE, "{:?}", self.counts());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Reads the references of one call, and responds with one word.
async fn serve(stream: TcpStream, mut moods: watch::Receiver<Mood>, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    if stream.read_line(&mut line).await.is_err() || !line.ends_with('\n') {
        return;
    }
    let mood = *moods.borrow();
    {
        let mut state = state.lock().unwrap();
        state.calls += 1;
        if !matches!(mood, Mood::Down | Mood::Refuses) {
            for reference in line.split_whitespace() {
                *state.received.entry(reference.to_owned()).or_default() += 1;
            }
        }
    }
    let word = match mood {
        Mood::Accepts => "accepted\n",
        Mood::Down => "down\n",
        Mood::Refuses => "refused\n",
        Mood::Loses => return,
        Mood::Holds => {
            if moods.wait_for(|mood| *mood != Mood::Holds).await.is_err() {
                return;
            }
            "accepted\n"
        }
    };
    let _ = stream.write_all(word.as_bytes()).await;
}

/// The provider of that vendor.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    address: SocketAddr,
    profile: Profile,
}

impl Wire {
    pub(crate) const fn new(address: SocketAddr, profile: Profile) -> Self {
        Self { address, profile }
    }

    pub(crate) fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    async fn call(&self, messages: &[Message]) -> Result<(), SendError> {
        let name = self.profile.owned_name();
        let down = |message: &'static str| {
            SendError::not_accepted(ErrorKind::Unavailable, message).with_provider(name.clone())
        };
        let lost = |_| SendError::unknown(ErrorKind::Unavailable, "the connection broke");
        let mut stream = TcpStream::connect(self.address)
            .await
            .map_err(|_| down("no connection"))?;
        let references: Vec<_> = messages
            .iter()
            .map(|message| message.reference().as_str())
            .collect();
        let line = format!("{}\n", references.join(" "));
        stream.write_all(line.as_bytes()).await.map_err(lost)?;
        let mut word = String::new();
        let mut stream = BufReader::new(stream);
        stream.read_line(&mut word).await.map_err(lost)?;
        match word.as_str() {
            "accepted\n" => Ok(()),
            "down\n" => Err(down("it is down").with_code("503")),
            "refused\n" => Err(SendError::not_accepted(
                ErrorKind::InvalidRecipient,
                "no such number",
            )
            .with_provider(name)
            .with_code("7")),
            _ => Err(SendError::unknown(ErrorKind::Unavailable, "no response").with_provider(name)),
        }
    }

    fn receipt(&self, message: &Message) -> Receipt {
        let reference = *message.reference();
        Receipt::new(self.profile.owned_name(), reference).with_id(format!("id-{reference}"))
    }
}

#[async_trait]
impl SmsProvider for Wire {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        self.call(std::slice::from_ref(message)).await?;
        Ok(self.receipt(message))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        match self.call(messages).await {
            Ok(()) => Outcomes::from_fn(messages, |message| Ok(self.receipt(message))),
            Err(error) => Outcomes::failed(messages, &error),
        }
    }

    async fn check(&self) -> Result<Health, SendError> {
        Ok(Health::verified())
    }
}

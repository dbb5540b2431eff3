use std::{
    collections::HashMap,
    error::Error,
    future::pending,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use postduif_core::{ErrorKind, OptOut, PhoneNumber, SmsProvider as _, async_trait};
use postduif_layers::{
    Failover, Member, Retry, StartWithin, Suppress, SuppressedNumbers, SuppressionList,
};
use tokio::time::{Instant, sleep};

use crate::help::*;

/// What a list answers.
#[derive(Clone, Copy)]
enum Answer {
    Fails,
    Late,
    Listed,
    Never,
    Not,
}

/// A list that answers as it is told, and counts how often it is asked.
#[derive(Default)]
struct Scripted {
    answers: HashMap<PhoneNumber, Answer>,
    asked: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl Scripted {
    fn new<const N: usize>(answers: [(&str, Answer); N]) -> Arc<Self> {
        let answers = answers.map(|(number, answer)| (number.parse().unwrap(), answer));
        Arc::new(Self {
            answers: answers.into(),
            ..Self::default()
        })
    }
}

#[async_trait]
impl SuppressionList for Scripted {
    async fn contains(&self, number: PhoneNumber) -> Result<bool, Box<dyn Error + Send + Sync>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let _asking = Asking::of(&self.at_once);
        let at_once = self.at_once.load(Ordering::SeqCst);
        self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
        tokio::task::yield_now().await;
        match self.answers.get(&number) {
            None | Some(Answer::Not) => Ok(false),
            Some(Answer::Listed) => Ok(true),
            Some(Answer::Fails) => Err("the table is locked".into()),
            Some(Answer::Late) => {
                sleep(3 * SECOND).await;
                Ok(false)
            }
            Some(Answer::Never) => pending().await,
        }
    }
}

/// A question under way, also one that is dropped.
struct Asking<'a>(&'a AtomicUsize);

impl<'a> Asking<'a> {
    fn of(at_once: &'a AtomicUsize) -> Self {
        at_once.fetch_add(1, Ordering::SeqCst);
        Self(at_once)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

const ADA: &str = "+31612345678";
const BOB: &str = "+31687654321";

#[tokio::test(start_paused = true)]
async fn a_message_to_a_listed_number_is_refused_before_any_call_and_never_rerouted() {
    let (first, second) = (vendor("a", 1), vendor("b", 1));
    let members = [
        Member::new("a", first.clone()),
        Member::new("b", second.clone()),
    ];
    let list = Arc::new(SuppressedNumbers::from_iter([ADA.parse().unwrap()]));
    let provider = Suppress::new(Failover::new(members).unwrap(), Arc::clone(&list));
    let error = provider.send(&message_to(ADA, "x")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_local()), (ErrorKind::Blocked, true));
    assert!(!error.may_reroute() && !error.may_resend());
    assert!(!format!("{error} {error:?}").contains("612345678"));
    assert!(first.log().is_empty() && second.log().is_empty());

    provider.send(&message_to(BOB, "x")).await.unwrap();
    list.record(ADA.parse().unwrap(), OptOut::Start);
    provider.send(&message_to(ADA, "x")).await.unwrap();
    assert_eq!(first.log().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn inside_of_a_failover_a_listed_number_goes_to_no_other_member() {
    let (first, second) = (vendor("a", 1), vendor("b", 1));
    let list = Arc::new(SuppressedNumbers::from_iter([ADA.parse().unwrap()]));
    let members = [
        Member::new("a", Suppress::new(first, list)),
        Member::new("b", second.clone()),
    ];
    let provider = Failover::new(members).unwrap();
    let outcome = provider.send(&message_to(ADA, "x")).await;
    assert_eq!(kind_of(&outcome), refused(ErrorKind::Blocked));
    assert!(second.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_a_batch_only_the_listed_are_refused_and_the_order_is_kept() {
    let vendor = vendor("a", 10);
    let list = Scripted::new([
        (ADA, Answer::Listed),
        (BOB, Answer::Fails),
        ("+31600000001", Answer::Late),
        ("+31600000002", Answer::Not),
    ]);
    let provider = Suppress::new(vendor.clone(), list);
    let messages = [
        "+31600000001",
        ADA,
        "+31600000002",
        BOB,
        "+31600000003",
        ADA,
    ]
    .map(|to| message_to(to, "x"));
    let outcomes = provider.send_batch(&messages).await;
    let (blocked, unavailable) = (refused(ErrorKind::Blocked), refused(ErrorKind::Unavailable));
    assert_eq!(
        kinds(&outcomes),
        [None, blocked, None, unavailable, None, blocked]
    );
    let sent = [0, 2, 4].map(|index: usize| *messages[index].reference());
    assert_eq!(vendor.references(), sent);
    assert!(provider.send_batch(&[]).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_or_is_silent_stops_the_message() {
    let vendor = vendor("a", 10);
    let list = Scripted::new([(ADA, Answer::Fails), (BOB, Answer::Never)]);
    let provider = Suppress::new(vendor.clone(), list).with_max_wait(2 * SECOND);
    let error = provider.send(&message_to(ADA, "x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_local() && error.may_resend());
    let source = Error::source(&error).unwrap().to_string();
    assert_eq!(source, "the table is locked");

    let begin = Instant::now();
    let outcome = provider.send(&message_to(BOB, "x")).await;
    assert_eq!(kind_of(&outcome), refused(ErrorKind::Unavailable));
    assert_eq!(begin.elapsed(), 2 * SECOND);
    assert!(vendor.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_all_answers_together_no_longer_than_for_one() {
    let vendor = vendor("a", 100);
    let list = Scripted::new([(BOB, Answer::Never)]);
    let provider = Suppress::new(vendor.clone(), Arc::clone(&list)).with_max_wait(2 * SECOND);
    let batch: Vec<_> = (0..100).map(|_| message_to(BOB, "x")).collect();
    let begin = Instant::now();
    let outcomes = provider.send_batch(&batch).await;
    assert_eq!(begin.elapsed(), 2 * SECOND);
    assert_eq!(kinds(&outcomes), vec![refused(ErrorKind::Unavailable); 100]);
    assert!(list.most_at_once.load(Ordering::SeqCst) <= 8);
    assert!(vendor.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_the_list_is_cut_off_without_a_doubt() {
    let vendor = vendor("a", 1);
    let list = Scripted::new([(BOB, Answer::Never)]);
    let inner = Suppress::new(vendor.clone(), list).with_max_wait(HOUR);
    let provider = StartWithin::new(inner, SECOND);
    let outcome = provider.send(&message_to(BOB, "x")).await;
    assert_eq!(kind_of(&outcome), refused(ErrorKind::Timeout));
    let outcomes = provider.send_batch(&[message_to(BOB, "x")]).await;
    assert_eq!(kinds(&outcomes), [refused(ErrorKind::Timeout)]);
    assert!(vendor.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_retry_around_it_asks_once() {
    let vendor = vendor("a", 1);
    let list = Scripted::new([(ADA, Answer::Fails), (BOB, Answer::Listed)]);
    let provider = Retry::new(Suppress::new(vendor.clone(), Arc::clone(&list)));
    for (to, kind) in [(BOB, ErrorKind::Blocked), (ADA, ErrorKind::Unavailable)] {
        let outcome = provider.send(&message_to(to, "x")).await;
        assert_eq!(kind_of(&outcome), refused(kind));
    }
    assert_eq!(list.asked.load(Ordering::SeqCst), 2);
    assert!(vendor.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_sends_nothing() {
    let vendor = vendor("a", 1);
    let list = Scripted::new([(ADA, Answer::Late)]);
    let provider = Suppress::new(vendor.clone(), list);
    let message = message_to(ADA, "x");
    {
        let mut send = pin!(provider.send(&message));
        assert!(waits(send.as_mut()).await);
    }
    sleep(Duration::from_secs(60)).await;
    assert!(vendor.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn debug_shows_no_number_of_the_list() {
    let list = Arc::new(SuppressedNumbers::from_iter([ADA.parse().unwrap()]));
    let shown = format!(
        "{list:?} {:?}",
        Suppress::new(vendor("a", 1), Arc::clone(&list))
    );
    assert!(
        !shown.contains("61234") && shown.contains("numbers: 1"),
        "{shown}"
    );
}

use std::{
    error::Error,
    sync::{Arc, Mutex},
};

use postduif_core::{
    InboundMessage, InboundSink, OptOut, OptOutWords, PhoneNumber, ReportSinkError, async_trait,
    chrono::DateTime,
};
use postduif_layers::{OptOutList, OptOuts, SuppressedNumbers};

fn number() -> PhoneNumber {
    "+31612345678".parse().unwrap()
}

fn message(text: &str) -> InboundMessage {
    InboundMessage::new("kpn", number(), text)
}

/// Keeps the texts, or fails.
#[derive(Debug, Default)]
struct Kept {
    texts: Mutex<Vec<String>>,
    is_away: bool,
}

#[async_trait]
impl InboundSink for Kept {
    async fn store(&self, message: &InboundMessage) -> Result<(), ReportSinkError> {
        if self.is_away {
            return Err(ReportSinkError::new("away"));
        }
        self.texts
            .lock()
            .unwrap()
            .push(message.text.as_str().to_owned());
        Ok(())
    }
}

#[tokio::test]
async fn who_opts_out_is_on_the_list_until_opting_in() {
    let list = Arc::new(SuppressedNumbers::new());
    let sink = OptOuts::new(Arc::clone(&list));
    for (text, is_listed) in [
        ("What time?", false),
        ("Stop!", true),
        ("Stop by at eight", true),
        ("aan", false),
    ] {
        sink.store(&message(text)).await.unwrap();
        assert_eq!(list.has(number()), is_listed, "{text}");
    }
    // The vendor's own word counts without a text.
    let mut registered = message("");
    registered.opt_out = Some(OptOut::Stop);
    sink.store(&registered).await.unwrap();
    assert!(list.has(number()));
}

#[tokio::test]
async fn an_opt_in_that_comes_late_undoes_no_later_opt_out() {
    let list = Arc::new(SuppressedNumbers::new());
    let kept = Arc::new(Kept::default());
    let sink = OptOuts::new(Arc::clone(&list)).with_sink(Arc::clone(&kept));
    let sent = |text, second| {
        let mut message = message(text);
        message.at = DateTime::from_timestamp(second, 0);
        message
    };
    for (text, second, is_listed) in [
        ("Start", 1, false),
        ("Stop", 3, true),
        ("Start", 2, true),
        // Sent earlier too, and no harm.
        ("Stop", 2, true),
        ("Start", 2, true),
        ("Start", 4, false),
    ] {
        sink.store(&sent(text, second)).await.unwrap();
        assert_eq!(list.has(number()), is_listed, "{text} at {second}");
    }
    // Without a time it was sent when it came.
    for message in [message("Stop"), sent("Start", 5)] {
        sink.store(&message).await.unwrap();
    }
    assert!(list.has(number()));
    sink.store(&message("Start")).await.unwrap();
    assert!(!list.has(number()));
    assert_eq!(kept.texts.lock().unwrap().len(), 9);
}

#[tokio::test]
async fn words_of_ones_own_replace_the_others() {
    let list = Arc::new(SuppressedNumbers::new());
    let words = OptOutWords::none().with_words(OptOut::Stop, ["basta"]);
    let sink = OptOuts::new(Arc::clone(&list)).with_words(words);
    sink.store(&message("Stop")).await.unwrap();
    assert!(!list.has(number()));
    sink.store(&message("Basta.")).await.unwrap();
    assert!(list.has(number()));
}

#[tokio::test]
async fn every_message_goes_on_and_an_opt_out_counts_even_if_that_fails() {
    let list = Arc::new(SuppressedNumbers::new());
    let kept = Arc::new(Kept::default());
    let sink = OptOuts::new(Arc::clone(&list)).with_sink(Arc::clone(&kept));
    for text in ["What time?", "Stop"] {
        sink.store(&message(text)).await.unwrap();
    }
    assert_eq!(*kept.texts.lock().unwrap(), ["What time?", "Stop"]);

    let list = Arc::new(SuppressedNumbers::new());
    let away = Kept {
        is_away: true,
        ..Kept::default()
    };
    let sink = OptOuts::new(Arc::clone(&list)).with_sink(away);
    assert!(sink.store(&message("Stop")).await.is_err());
    assert!(list.has(number()));
}

#[tokio::test]
async fn an_opt_out_that_the_list_does_not_take_is_not_acknowledged() {
    struct Full;

    #[async_trait]
    impl OptOutList for Full {
        async fn record_opt_out(
            &self,
            _: PhoneNumber,
            _: OptOut,
        ) -> Result<(), Box<dyn Error + Send + Sync>> {
            Err("full".into())
        }
    }

    let kept = Arc::new(Kept::default());
    let sink = OptOuts::new(Full).with_sink(Arc::clone(&kept));
    let error = sink.store(&message("Stop")).await.unwrap_err();
    assert_eq!(error.to_string(), "the list of opt-outs failed");
    assert_eq!(error.source().unwrap().to_string(), "full");
    assert!(kept.texts.lock().unwrap().is_empty());
    sink.store(&message("What time?")).await.unwrap();
    assert!(!format!("{sink:?}").contains("612345678"));
}

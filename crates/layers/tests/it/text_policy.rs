use std::num::NonZeroUsize;

use postduif_core::{Acceptance, ErrorKind, Message, Profile, SmsProvider as _, Text};
use postduif_layers::TextPolicy;

use crate::recording::Recording;

fn message(text: &str) -> Message {
    Message::new("+31612345678".parse().unwrap(), Text::new(text).unwrap())
}

fn vendor() -> Recording {
    Recording::new(Profile::new("example"))
}

/// The texts that reached the vendor.
fn texts(vendor: &Recording) -> Vec<String> {
    let messages = vendor.log().into_iter().flat_map(|call| call.messages);
    messages
        .map(|message| message.text().as_str().to_owned())
        .collect()
}

#[tokio::test]
async fn auto_changes_and_refuses_nothing() {
    let vendor = vendor();
    let provider = TextPolicy::new(vendor.clone());
    for text in ["plain", "“curly” 🎉"] {
        provider.send(&message(text)).await.unwrap();
    }
    assert_eq!(texts(&vendor), ["plain", "“curly” 🎉"]);
}

#[tokio::test]
async fn forced_to_gsm_a_text_with_anything_else_is_refused_before_any_call() {
    let vendor = vendor();
    let provider = TextPolicy::new(vendor.clone()).with_forced_gsm();
    let outcomes = provider
        .send_batch(&[message("€ [ok]"), message("“no”")])
        .await;
    assert!(outcomes[0].is_ok());
    let error = outcomes[1].as_ref().unwrap_err();
    assert_eq!(
        (error.kind(), error.acceptance()),
        (ErrorKind::InvalidText, Acceptance::NotAccepted)
    );
    assert!(
        error
            .to_string()
            .contains("2 character(s) outside GSM 03.38"),
        "{error}"
    );
    assert_eq!(texts(&vendor), ["€ [ok]"]);
}

#[tokio::test]
async fn too_many_parts_are_refused_with_their_count() {
    let vendor = vendor();
    let provider = TextPolicy::new(vendor.clone()).with_max_parts(NonZeroUsize::MIN);
    provider.send(&message(&"x".repeat(160))).await.unwrap();
    let error = provider.send(&message(&"x".repeat(161))).await.unwrap_err();
    assert!(
        error.to_string().contains("takes 2 parts, and at most 1"),
        "{error}"
    );
    assert_eq!(vendor.log().len(), 1);
}

#[cfg(feature = "transliteration")]
#[tokio::test]
async fn a_text_is_transliterated_only_if_gsm_can_carry_it_then() {
    let vendor = vendor();
    let provider = TextPolicy::new(vendor.clone()).transliterate();
    let original = message("“ça va” ő");
    let receipt = provider.send(&original).await.unwrap();
    assert_eq!(receipt.reference(), original.reference());
    provider.send(&message("“ça” 🎉")).await.unwrap();
    provider.send(&message("é plain")).await.unwrap();
    assert_eq!(texts(&vendor), ["\"ca va\" ö", "“ça” 🎉", "é plain"]);
}

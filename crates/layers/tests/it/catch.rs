use std::time::Duration;

use postduif_core::{ErrorKind, SmsProvider as _};
use postduif_layers::{OnlyTo, Prefix, RedirectTo};

use crate::help::*;

fn prefixes<const N: usize>(texts: [&str; N]) -> [Prefix; N] {
    texts.map(|text| text.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn only_these_numbers_and_prefixes_get_a_text() {
    let vendor = vendor("a", 10);
    let provider = OnlyTo::new(vendor.clone(), prefixes(["+31612345678", "+1555"]));
    let to = [
        "+31612345678",
        "+31612345679",
        "+15550100",
        "+15650100",
        "+316123456",
    ];
    let messages = to.map(|to| message_to(to, "x"));
    let blocked = refused(ErrorKind::Blocked);
    let outcomes = provider.send_batch(&messages).await;
    assert_eq!(kinds(&outcomes), [None, blocked, None, blocked, blocked]);
    for (message, outcome) in messages.iter().zip(&outcomes) {
        assert_eq!(kind_of(&provider.send(message).await), kind_of(outcome));
    }
    assert_eq!(vendor.references().len(), 4);
    assert!(OnlyTo::new(vendor, []).send(&messages[0]).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn everything_goes_to_this_number_with_the_masked_original_in_front() {
    let vendor = vendor("a", 10);
    let target = "+31687654321".parse().unwrap();
    let provider = RedirectTo::new(vendor.clone(), target);
    let asked = message("Your code is 482913")
        .with_sender("Contoso".parse().unwrap())
        .with_validity(Duration::from_secs(60))
        .with_send_at(std::time::SystemTime::UNIX_EPOCH.into());
    provider.send(&asked).await.unwrap();
    let _ = provider
        .send_batch(&[asked.clone(), message_to("+31687654321", "x")])
        .await;
    for call in vendor.log() {
        assert!(call.messages.iter().all(|message| message.to() == target));
        let sent = &call.messages[0];
        assert_eq!(sent.text().as_str(), "[+316•••••678] Your code is 482913");
        assert_eq!(sent.reference(), asked.reference());
        assert_eq!(sent.sender(), asked.sender());
        assert_eq!(sent.validity(), asked.validity());
        assert_eq!(sent.send_at(), asked.send_at());
    }
}

#[tokio::test(start_paused = true)]
async fn inside_a_redirection_the_real_number_is_judged() {
    let (vendor, target) = (vendor("a", 1), "+31687654321".parse().unwrap());
    let allowed = OnlyTo::new(vendor.clone(), [Prefix::from(target)]);
    RedirectTo::new(allowed, target)
        .send(&message("x"))
        .await
        .unwrap();
    let other = OnlyTo::new(vendor.clone(), prefixes(["+31612345678"]));
    RedirectTo::new(other, target)
        .send(&message("x"))
        .await
        .unwrap_err();
    assert_eq!(vendor.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_too_long_with_the_original_is_refused() {
    let vendor = vendor("a", 1);
    let provider = RedirectTo::new(vendor.clone(), "+31687654321".parse().unwrap());
    let outcome = provider.send(&message(&"x".repeat(153 * 255))).await;
    assert_eq!(kind_of(&outcome), refused(ErrorKind::InvalidText));
    assert!(vendor.log().is_empty());
}

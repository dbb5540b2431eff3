use std::time::Duration;

use postduif_core::{ErrorKind, PhoneNumber, SmsProvider as _};
use postduif_layers::{OnlyTo, Prefix, RedirectTo, TextPolicy};

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
        assert_eq!(sent.text().as_str(), "(+316*****678) Your code is 482913");
        assert_eq!(sent.reference(), asked.reference());
        assert_eq!(sent.sender(), asked.sender());
        assert_eq!(sent.validity(), asked.validity());
        assert_eq!(sent.send_at(), asked.send_at());
    }
}

#[tokio::test(start_paused = true)]
async fn inside_a_redirection_the_actual_number_is_checked() {
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

#[tokio::test(start_paused = true)]
async fn a_whole_number_allows_no_longer_one() {
    let vendor = vendor("a", 1);
    let tester = "+43664123456";
    for prefix in [
        tester.parse().unwrap(),
        Prefix::from(tester.parse::<PhoneNumber>().unwrap()),
    ] {
        let provider = OnlyTo::new(vendor.clone(), [prefix]);
        provider.send(&message_to(tester, "x")).await.unwrap();
        let longer = message_to("+4366412345612", "x");
        assert_eq!(
            kind_of(&provider.send(&longer).await),
            refused(ErrorKind::Blocked)
        );
    }
}

#[test]
fn a_prefix_has_a_country() {
    for text in ["+3", "+2", "+9", "+35", "+42"] {
        assert!(text.parse::<Prefix>().is_err(), "{text}");
    }
    for text in ["+1", "+7", "+31", "+352", "+1876"] {
        assert!(text.parse::<Prefix>().is_ok(), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_redirected_text_stays_in_gsm_without_brackets() {
    let vendor = vendor("a", 1);
    let target = "+31687654321".parse().unwrap();
    let policy = TextPolicy::new(vendor.clone())
        .with_forced_gsm()
        .with_max_parts(size(1));
    let provider = RedirectTo::new(policy, target);
    provider.send(&message(&"x".repeat(145))).await.unwrap();
    let sent = vendor.log()[0].messages[0].text().as_str().to_owned();
    assert!(!sent.contains(['[', ']']), "{sent}");
}

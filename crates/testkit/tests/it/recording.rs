use std::time::Duration;

use postduif_core::{BatchTexts, ErrorKind, Message, Profile, SmsProvider as _, Text};
use postduif_testkit::Recording;

fn message() -> Message {
    Message::new("+31612345678".parse().unwrap(), Text::new("Hello").unwrap())
}

#[tokio::test]
async fn a_strict_recording_refuses_what_its_profile_refuses_and_sends_the_rest() {
    let size = 2.try_into().unwrap();
    let profile = Profile::new("example").with_batch(size, BatchTexts::Mixed);
    let unsupported = || message().with_validity(Duration::from_secs(600));
    let messages = [
        message(),
        unsupported(),
        message(),
        unsupported(),
        message(),
    ];

    let strict = Recording::new(profile.clone()).strict();
    let refused = strict.send(&unsupported()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    assert_eq!(refused.provider(), Some("example"));
    assert!(strict.log().is_empty());
    let outcomes = strict.send_batch(&messages).await;
    let accepted: Vec<_> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(accepted, [true, false, true, false, true]);
    let sent = [0, 2, 4].map(|index: usize| *messages[index].reference());
    assert_eq!(strict.references(), sent);
    assert_eq!(strict.sizes(), [2, 1]);

    let lenient = Recording::new(profile);
    assert!(lenient.send(&unsupported()).await.is_ok());
    assert_eq!(lenient.send_batch(&messages).await.accepted(), 5);
}

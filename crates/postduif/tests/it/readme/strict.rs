#[tokio::test]
async fn a_code_with_a_validity_period_is_refused() {
    use postduif::testing::Recording;
    use postduif::{Message, SmsProvider, Text};

    let real = postduif::from_url("smstools://id:secret@default?sender=Contoso").unwrap();
    let sms = Recording::new(real.profile().clone()).strict();

    let to = "+31612345678".parse().unwrap();
    let message = Message::new(to, Text::new("Your code is 482913").unwrap());
    assert!(sms.send(&message).await.is_ok());
    let message = message.with_validity(std::time::Duration::from_secs(600));
    assert!(sms.send(&message).await.is_err());
}

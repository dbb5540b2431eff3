#[tokio::test]
async fn a_code_in_doubt_is_sent_once() {
    use postduif::testing::{Recording, Scripted};
    use postduif::{ErrorKind, Message, Profile, SmsProvider, Text};

    async fn send_code(sms: &dyn SmsProvider) -> bool {
        let to = "+31612345678".parse().unwrap();
        let message = Message::new(to, Text::new("Your code is 482913").unwrap());
        sms.send(&message).await.is_ok()
    }

    let sms = Recording::new(Profile::new("example"));
    sms.script([Scripted::doubt(ErrorKind::Timeout)]);
    assert!(!send_code(&sms).await);
    assert_eq!(sms.log().len(), 1);
}

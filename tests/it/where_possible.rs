//! Options that are set where possible, at vendors with rules that no profile holds.

use std::time::{Duration, SystemTime};

use postduif::{Message, MessageOption, Text, chrono::DateTime};
use postduif_sandbox::Sandbox;

fn message() -> Message {
    let to = "+31612345678".parse().unwrap();
    Message::new(to, Text::new("Your code is 482913").unwrap())
}

#[tokio::test]
async fn a_sender_that_a_vendor_cannot_write_is_dropped_and_the_message_is_sent() {
    let sandbox = Sandbox::start().await;
    for (vendor, sender) in [("vonage", "Acme Shop"), ("twilio", "Shop#1"), ("cm", "A")] {
        for url in [
            sandbox.sms_url(vendor),
            format!("{}&rate=5", sandbox.sms_url(vendor)),
        ] {
            let sms = postduif::failover(&url).unwrap();
            let message = message().with_sender_where_possible(sender.parse().unwrap());
            let receipt = sms.send(&message).await.unwrap();
            assert_eq!(receipt.dropped(), [MessageOption::Sender], "{vendor}");
            let receipt = sms.send_batch(&[message]).await.into_single().unwrap();
            assert_eq!(receipt.dropped(), [MessageOption::Sender], "{vendor}");
        }
    }
}

#[tokio::test]
async fn a_time_that_twilio_cannot_schedule_is_dropped_and_the_message_is_sent() {
    let sandbox = Sandbox::start().await;
    let sms = postduif::from_url(&sandbox.sms_url("twilio")).unwrap();
    let service = "MG0123456789abcdef0123456789abcdef";
    for (sender, minutes) in [(service, 5), ("Contoso", 60)] {
        let ahead = Duration::from_secs(minutes * 60);
        let message = message()
            .with_sender(sender.parse().unwrap())
            .with_send_at_where_possible(DateTime::from(SystemTime::now() + ahead));
        let receipt = sms.send(&message).await.unwrap();
        assert_eq!(receipt.dropped(), [MessageOption::SendAt], "{sender}");
    }
}

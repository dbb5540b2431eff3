use postduif_core::{Sender, SmsProvider as _};
use postduif_layers::Senders;

use crate::help::*;

fn sender(text: &str) -> Sender {
    text.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_longest_prefix_decides_then_the_default() {
    let vendor = vendor("a", 10);
    let provider = Senders::new(vendor.clone())
        .with_default(sender("Contoso"))
        .with_sender("+1".parse().unwrap(), sender("+15550100"))
        .with_sender("+1242".parse().unwrap(), sender("Bahamas"))
        .with_sender("+33".parse().unwrap(), None);
    let to = ["+31612345678", "+15550111", "+12425550100", "+33612345678"];
    let messages = to.map(|to| message_to(to, "x"));
    let _ = provider.send_batch(&messages).await;
    let call = &vendor.log()[0];
    let senders: Vec<_> = call
        .messages
        .iter()
        .map(|m| m.sender().map(ToString::to_string))
        .collect();
    let expected = [Some("Contoso"), Some("+15550100"), Some("Bahamas"), None];
    assert_eq!(senders, expected.map(|sender| sender.map(str::to_owned)));
    for (sent, asked) in call.messages.iter().zip(&messages) {
        assert_eq!(
            (sent.reference(), sent.text()),
            (asked.reference(), asked.text())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_messages_own_sender_has_precedence() {
    let vendor = vendor("a", 1);
    let provider = Senders::new(vendor.clone())
        .with_default(sender("Contoso"))
        .with_sender("+31".parse().unwrap(), None);
    let own = message("x").with_sender(sender("Fabrikam"));
    provider.send(&own).await.unwrap();
    assert_eq!(vendor.log()[0].messages, [own]);
    assert!(!vendor.log()[0].batch);
}

#[test]
fn a_message_must_name_its_sender_only_if_a_rule_may_leave_it_out() {
    let vendor = || Recording::new(profile("a", 1).with_sender_required(true));
    let required = |senders: Senders<Recording>| senders.profile().sender_required();
    assert!(required(Senders::new(vendor())));
    let with_default = || Senders::new(vendor()).with_default(sender("Contoso"));
    assert!(!required(with_default()));
    assert!(required(
        with_default().with_sender("+33".parse().unwrap(), None)
    ));
}

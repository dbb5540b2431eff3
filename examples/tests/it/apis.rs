use postduif::{Message, Text};
use postduif_sandbox::Sandbox;

#[tokio::test]
async fn every_url_that_the_sandbox_prints_sends_a_text() {
    let sandbox = Sandbox::start().await;
    let urls: Vec<_> = Sandbox::vendors()
        .map(|vendor| sandbox.sms_url(vendor))
        .chain(sandbox.other_sms_urls())
        .collect();
    for url in &urls {
        let vendor = postduif::from_url(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        let message = Message::new("+31612345678".parse().unwrap(), Text::new("Hello").unwrap());
        if let Err(error) = vendor.send(&message).await {
            panic!("{url}: {error}");
        }
    }
    assert_eq!(sandbox.messages().len(), urls.len());
}

#[tokio::test]
async fn a_message_is_enqueued_once() -> Result<(), Box<dyn std::error::Error>> {
    use postduif::queue::{Keys, Queue};
    use postduif::{Message, SecretString, Text};

    let key = SecretString::from("6PDjC5CQXd5dXMZ6WmD2qyEtI1Hvgg4HkY+yuLxXcOM="); // 32 random bytes
    let queue = Queue::builder("memory") // or sqlite://orders.db, or postgres://…
        .with_keys(Keys::new("2027-01", &key)?)
        .open()
        .await?;
    let message = Message::new("+31612345678".parse()?, Text::new("Your order has left")?);
    assert!(
        queue
            .send(message.clone())
            .with_key("order-42")
            .await?
            .is_new
    );
    // The caller does not know whether that worked, and repeats it.
    assert!(!queue.send(message).with_key("order-42").await?.is_new);
    // In a task: queue.sender(sms).build().run_until(stopped).await
    Ok(())
}

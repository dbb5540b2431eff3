//! `cargo run --example inbound_texts`: a web service that receives what people send back, with axum. Who sends "Stop"
//! gets no more texts.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::Arc};

use postduif::{
    InboundMessage, InboundSink, Message, ReportSinkError, Settings, SmsProvider as _, Text,
    async_trait,
    layers::{OptOuts, Suppress, SuppressedNumbers},
    webhooks::{Inbound, Server},
};
use postduif_sandbox::{InboundOrder, Sandbox};

/// What else people write.
#[derive(Debug)]
struct Answers;

#[async_trait]
impl InboundSink for Answers {
    async fn store(&self, message: &InboundMessage) -> Result<(), ReportSinkError> {
        // Store it here. A repeated one has the same `message.id`.
        println!("received: {message:?}");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // In place of a vendor.
    let sandbox = Sandbox::start().await;
    let url = format!("{}&report_secret=sandbox", sandbox.sms_url("smstools"));
    let settings = Settings::from_url(&url)?;

    // In a service this list is a table, so that a restart does not forget it.
    let list = Arc::new(SuppressedNumbers::new());
    let sms = Suppress::new(settings.open()?, Arc::clone(&list));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let inbound = Inbound::builder(&origin, OptOuts::new(list).with_sink(Answers))
        .with_vendor("smstools", settings.inbound()?)
        .build()?;
    let server = Server::new(inbound.router());
    tokio::spawn(server.run_until(listener, std::future::pending()));

    let number = "+31612345678";
    let message = || -> Result<Message, Box<dyn Error>> {
        Ok(Message::new(number.parse()?, Text::new("See you at 9?")?))
    };
    println!("sent: {}", sms.send(&message()?).await?.reference());
    for text in ["Can it be an hour later?", "Stop!"] {
        let order = InboundOrder::new("smstools", number, "+3197010203040", text);
        let target = format!("{origin}/inbound/smstools");
        let status = sandbox.deliver_inbound(&order, &target).await?;
        println!("responded: {status:?}");
    }
    match sms.send(&message()?).await {
        Ok(receipt) => println!("sent: {}", receipt.reference()),
        Err(error) => println!("not sent: {error}"),
    }
    Ok(())
}

//! `cargo run --example send -- --to +31612345678 --text "Hallo van Postduif"`: one message, one attempt.

use std::process::ExitCode;

use postduif::{
    Acceptance, Message, SmsProvider as _,
    http::Client,
    layers::{Failover, Member, Timeout},
};
use postduif_examples::cli::{self, Stop, send::Args};

fn main() -> ExitCode {
    cli::send::run(send)
}

/// Tries each vendor once at most: the next one only if the text was certainly not sent.
async fn send(args: Args) -> Result<(), Stop> {
    // A little less than the whole, so that the error can say what the vendor's call waited for.
    let client = Client::builder()
        .with_timeout(args.timeout.mul_f64(0.95))
        .build()?;
    let members = args
        .urls
        .iter()
        .map(|url| postduif::from_url_with(url, &client).map(Member::of))
        .collect::<Result<Vec<_>, _>>()?;
    let sms = Timeout::new(Failover::new(members)?, args.timeout);
    let sms = args.safety.around(sms);

    let message = args.with_options(Message::new(args.to, args.text.clone()));
    let outcome = sms.send(&message).await;
    let sentence = match &outcome {
        Ok(receipt) => {
            let id = receipt.id().map(|id| format!(" as {id}"));
            let price = receipt.price().map(|price| format!(", for {price}"));
            format!(
                "accepted: {} has the text for {}{}{} (reference {})",
                receipt.provider(),
                message.to().masked(),
                id.unwrap_or_default(),
                price.unwrap_or_default(),
                receipt.reference(),
            )
        }
        // The vendor may have it, so that another try may be a second text.
        Err(error) if error.acceptance() == Acceptance::Unknown => {
            format!("in doubt: {error}; do not send it again")
        }
        Err(error) if error.may_resend() => format!("not accepted: {error}; it may be sent again"),
        Err(error) if error.may_reroute() => {
            format!("not accepted: {error}; another vendor may be tried")
        }
        Err(error) => format!("not accepted: {error}; the message itself is at fault"),
    };
    args.output.outcome(&outcome, sentence)
}

//! `cargo run --example failover`: what goes on to another vendor, what does not, and how a vendor comes back.

use std::{process::ExitCode, time::Duration};

use postduif::{
    Acceptance, Message, SmsProvider as _, Text,
    layers::{Failover, Member},
};
use postduif_examples::cli::{self, Stop, failover::Stage};
use postduif_sandbox::Fault;

fn main() -> ExitCode {
    cli::failover::run(failover)
}

async fn failover(mut stage: Stage) -> Result<(), Stop> {
    let kpn = postduif::from_url(&stage.sandbox.sms_url("kpn"))?;
    let kpn = Member::new("kpn", kpn);
    let cm = postduif::from_url(&stage.sandbox.sms_url("cm"))?;
    let cm = Member::new("cm", cm);
    let cooldown = Duration::from_millis(200);
    let sms = Failover::new([kpn, cm.clone()])?.with_cooldown(cooldown);

    stage.act("KPN refuses: too many requests. The text was certainly not sent, so CM gets it.");
    stage.sandbox.fault("kpn.send", Fault::Throttle);
    send(&sms, &mut stage).await?;

    stage.act("KPN was set aside for that. After the cooldown, one text finds it back.");
    tokio::time::sleep(cooldown * 2).await;
    send(&sms, &mut stage).await?;

    stage.act("KPN takes a text, and its response is lost. It is in doubt, so CM does not get it.");
    stage.sandbox.fault("kpn.send", Fault::LostAnswer);
    send(&sms, &mut stage).await?;

    stage.act("Nothing listens at KPN's address: the commonest outage. Nothing was sent.");
    let closed = postduif::from_url("kpn://id:secret@127.0.0.1:1?sender=Postduif")?;
    let sms = Failover::new([Member::new("kpn", closed), cm])?;
    send(&sms, &mut stage).await
}

/// Sends a text, and writes the attempts that failed and the outcome.
async fn send(sms: &Failover, stage: &mut Stage) -> Result<(), Stop> {
    let message = Message::new("+31612345678".parse()?, Text::new("Hello")?);
    let outcome = sms.send(&message).await;
    let (attempts, end) = match &outcome {
        Ok(receipt) => (
            receipt.attempts(),
            format!("accepted {}", receipt.provider()),
        ),
        Err(error) if error.acceptance() == Acceptance::NotAccepted => {
            (error.attempts(), format!("not sent {error}"))
        }
        Err(error) => (error.attempts(), format!("in doubt {error}")),
    };
    stage.write(&outcome, attempts, &end);
    Ok(())
}

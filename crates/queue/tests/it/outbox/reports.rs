use std::sync::{Arc, Mutex};

use postduif_core::{
    DeliveryReport, DeliveryStatus, Health, Message, Outcomes, Profile, Receipt, ReportSink,
    ReportSinkError, SendError, SmsProvider, Stored, async_trait,
};
use postduif_queue::{MessageStatus, Queue};

use super::{
    Store, Work, ended, message, on_each_store, until,
    vendor::{Mood, Vendor},
};

on_each_store!(
    a_report_finds_its_message_by_reference_and_by_id,
    the_reports_of_parts_are_joined,
    a_report_of_another_message_goes_to_the_other_sink,
    a_report_ends_a_doubt,
    a_message_that_a_report_is_about_is_not_sent_again,
    a_report_of_a_message_that_was_never_sent_is_not_ours,
);

fn report(status: DeliveryStatus, reference: &str) -> DeliveryReport {
    DeliveryReport::new("wire", status).with_reference_text(reference)
}

async fn store_of(queue: &Queue, report: &DeliveryReport) -> Stored {
    queue.message_reports().store(report).await.unwrap()
}

async fn sent(store: &Store, provider: impl SmsProvider) -> (Queue, String) {
    let queue = store.open().await;
    let message = message("hello");
    let reference = message.reference().to_string();
    queue.send(message).with_key("a").await.unwrap();
    let work = Work::of(&queue, provider);
    ended(&queue, "a").await;
    work.end().await;
    (queue, reference)
}

async fn a_report_finds_its_message_by_reference_and_by_id(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let (queue, reference) = sent(&store, vendor.provider()).await;
    let interim = report(DeliveryStatus::Sent, &reference);
    assert_eq!(store_of(&queue, &interim).await, Stored::Known);
    let status = queue.message("a").await.unwrap().unwrap();
    assert!(
        matches!(status, MessageStatus::Accepted { .. }),
        "{status:?}"
    );
    let mut by_id = DeliveryReport::new("wire", DeliveryStatus::Delivered);
    by_id.id = Some(format!("id-{reference}"));
    assert_eq!(store_of(&queue, &by_id).await, Stored::Known);
    let delivered = Some(MessageStatus::Delivered);
    assert_eq!(queue.message("a").await.unwrap(), delivered);
    // Later and lesser.
    store_of(&queue, &report(DeliveryStatus::Buffered, &reference)).await;
    assert_eq!(queue.message("a").await.unwrap(), delivered);
    let mut other = by_id.clone();
    other.provider = "other".into();
    assert_eq!(store_of(&queue, &other).await, Stored::Unknown);
}

/// A provider whose vendor reports two parts.
#[derive(Debug)]
struct Parts<P>(P);

#[async_trait]
impl<P: SmsProvider> SmsProvider for Parts<P> {
    fn profile(&self) -> &Profile {
        self.0.profile()
    }

    async fn send(&self, message: &Message) -> Result<Receipt, SendError> {
        let receipt = self.0.send(message).await?;
        let ids = ["part-1", "part-2"];
        Ok(receipt
            .with_part_ids(ids)
            .with_parts(2)
            .with_expected_reports(2))
    }

    async fn send_batch(&self, messages: &[Message]) -> Outcomes {
        self.0.send_batch(messages).await
    }

    async fn check(&self) -> Result<Health, SendError> {
        self.0.check().await
    }
}

async fn the_reports_of_parts_are_joined(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let (queue, _) = sent(&store, Parts(vendor.provider())).await;
    let part = |name: &str, status: DeliveryStatus| {
        let mut report = DeliveryReport::new("wire", status);
        report.part = Some(name.to_owned());
        report
    };
    let status = async || queue.message("a").await.unwrap().unwrap();
    // The vendor repeats one, since our response was lost.
    for _ in 0..2 {
        store_of(&queue, &part("part-1", DeliveryStatus::Delivered)).await;
        let now = status().await;
        assert!(
            matches!(now, MessageStatus::Accepted { parts: Some(2), .. }),
            "{now:?}"
        );
    }
    store_of(&queue, &part("part-2", DeliveryStatus::Failed)).await;
    let now = status().await;
    let MessageStatus::Undelivered { status, .. } = now else {
        panic!("{now:?}");
    };
    assert_eq!(status, DeliveryStatus::Failed);
}

#[derive(Clone, Debug, Default)]
struct Other(Arc<Mutex<Vec<DeliveryReport>>>);

#[async_trait]
impl ReportSink for Other {
    async fn store(&self, report: &DeliveryReport) -> Result<Stored, ReportSinkError> {
        self.0.lock().unwrap().push(report.clone());
        Ok(Stored::Known)
    }
}

async fn a_report_of_another_message_goes_to_the_other_sink(store: Store) {
    let vendor = Vendor::start(Mood::Accepts).await;
    let (queue, reference) = sent(&store, vendor.provider()).await;
    let other = Other::default();
    let sink = queue.message_reports().or(other.clone());
    let ours = report(DeliveryStatus::Delivered, &reference);
    let foreign = report(DeliveryStatus::Delivered, "another");
    for report in [&ours, &foreign] {
        assert_eq!(sink.store(report).await.unwrap(), Stored::Known);
    }
    assert_eq!(
        other.0.lock().unwrap().as_slice(),
        std::slice::from_ref(&foreign)
    );
    assert_eq!(store_of(&queue, &foreign).await, Stored::Unknown);
}

async fn a_report_ends_a_doubt(store: Store) {
    let vendor = Vendor::start(Mood::Loses).await;
    let (queue, reference) = sent(&store, vendor.provider()).await;
    let status = queue.message("a").await.unwrap().unwrap();
    assert!(
        matches!(status, MessageStatus::Unknown { .. }),
        "{status:?}"
    );
    store_of(&queue, &report(DeliveryStatus::Delivered, &reference)).await;
    assert_eq!(
        queue.message("a").await.unwrap(),
        Some(MessageStatus::Delivered)
    );
}

async fn a_message_that_a_report_is_about_is_not_sent_again(store: Store) {
    let vendor = Vendor::start(Mood::Down).await;
    let queue = store.open().await;
    let message = message("hello");
    let reference = message.reference().to_string();
    queue.send(message).with_key("a").await.unwrap();
    let work = Work::of(&queue, vendor.provider());
    until(&queue, "a", |status| {
        matches!(
            status,
            MessageStatus::Queued {
                last_error: Some(_),
                ..
            }
        )
    })
    .await;
    // The vendor said that it did not take it, and took it.
    store_of(&queue, &report(DeliveryStatus::Sent, &reference)).await;
    let status = ended(&queue, "a").await;
    assert!(
        matches!(status, MessageStatus::Unknown { .. }),
        "{status:?}"
    );
    vendor.set(Mood::Accepts);
    queue
        .send(super::message("other"))
        .with_key("b")
        .await
        .unwrap();
    ended(&queue, "b").await;
    work.end().await;
    assert_eq!(vendor.count(&reference), 0);
}

async fn a_report_of_a_message_that_was_never_sent_is_not_ours(store: Store) {
    let queue = store.open().await;
    let message = message("hello");
    let report = report(DeliveryStatus::Delivered, message.reference().as_str());
    queue.send(message).with_key("a").await.unwrap();
    assert_eq!(store_of(&queue, &report).await, Stored::Unknown);
    let status = queue.message("a").await.unwrap().unwrap();
    assert!(matches!(status, MessageStatus::Queued { .. }), "{status:?}");
}

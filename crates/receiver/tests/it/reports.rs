//! Delivery reports, from the vendor's request to the end of the flow.

use postduif_sandbox::{CalloutKind, CalloutOrder, Cast, ReportOrder, ReportStatus, Sandbox};

use crate::service::Service;

const SECRET: &str = "5f0c1e9a7b3d4862";

/// The vendors whose routes have a secret of ours.
const WITH_SECRET: [&str; 3] = ["cm", "kpn", "spryng"];

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_ends_with_the_signed_report_of_each_vendor() {
    for vendor in Sandbox::vendors() {
        let sandbox = Sandbox::start().await;
        let sms_url = sandbox.sms_url(vendor);
        let sandbox_url = sandbox.url();
        let mut options = vec!["--sandbox", &sandbox_url, "--sms-url", &sms_url];
        options.extend(["--complete-on", "delivered"]);
        let path_secret = format!("{vendor}={SECRET}");
        if WITH_SECRET.contains(&vendor) {
            options.extend(["--path-secret", &path_secret]);
        }
        let service = Service::start(&options);
        let target = format!("{}/callouts/lifecycle", service.url);
        let order = CalloutOrder::new(Cast::JOINER, CalloutKind::Lifecycle);
        sandbox.deliver(order, &target).await.unwrap();
        let message = sandbox
            .wait_for(|sandbox| sandbox.messages().first().cloned())
            .await;
        assert!(sandbox.resumes().is_empty(), "{vendor}");

        let mut target = format!("{}/reports/{vendor}", service.url);
        if WITH_SECRET.contains(&vendor) {
            target += &format!("/{SECRET}");
        }
        let order = match &message.reference {
            Some(reference) => ReportOrder::new(reference, ReportStatus::Delivered),
            None => ReportOrder::by_id(&message.id, ReportStatus::Delivered),
        };
        let statuses = sandbox.deliver_report(&order, &target).await.unwrap();
        assert!(
            statuses.iter().all(|status| *status == 200),
            "{vendor}: {statuses:?}"
        );
        let resume = sandbox
            .wait_for(|sandbox| sandbox.resumes().first().cloned())
            .await;
        assert_eq!(resume.status.as_deref(), Some("Completed"), "{vendor}");
        let (code, logs) = service.terminate();
        assert_eq!(code, Some(0));
        assert!(!logs.contains(SECRET), "{vendor}");
        let route = match WITH_SECRET.contains(&vendor) {
            true => r#"route="/reports/{vendor}/{secret}" status=200"#,
            false => r#"route="/reports/{vendor}" status=200"#,
        };
        assert!(logs.contains(route), "{vendor}");
    }
}

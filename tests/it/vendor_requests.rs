//! The signed requests that the sandbox makes without running, read by the parsers and by the routes.

use std::sync::{Arc, Mutex};

use postduif::{
    Acceptance, Authenticity, DeliveryReport, DeliveryStatus, InboundMessage, Message,
    ReportErrorKind, ReportOptions, ReportParser, ReportSink, ReportSinkError, SmsProvider as _,
    Stored, Text, async_trait,
    chrono::{DateTime, TimeDelta, Utc},
    spryng::Spryng,
    testing::{
        ReportCall,
        sandbox::{
            Fault, InboundOrder, ReceiptForm, ReportOrder, ReportStatus, Sandbox, SignatureMethod,
        },
    },
    webhooks::Reports,
};

const ORIGIN: &str = "https://hooks.example.com";
const REFERENCE: &str = "01J9Z8Q4T6M2V7X3";
/// In the form of MessageBird's platform, which is the only one that is checked.
const ID: &str = "sms_01krdgeqcxet5s7t44vh8rt9mg";
const PHONE: &str = "+31687654321";
const OURS: &str = "+3197010203040";

/// An API, and the secrets of a test. One that does not sign has its secret in the path.
struct Case {
    vendor: &'static str,
    api: Option<&'static str>,
    secret: &'static str,
    other: &'static str,
    authenticity: Authenticity,
    /// Whether a request is too old after a day and a minute.
    has_time: bool,
}

const RIGHT: &str = "a-secret-of-this-test";
const WRONG: &str = "a-secret-of-that-test";

fn cases() -> Vec<Case> {
    use Authenticity::{BodyOnly, Signed, Unsigned};
    let case = |vendor, api, authenticity, has_time| Case {
        vendor,
        api,
        secret: RIGHT,
        other: WRONG,
        authenticity,
        has_time,
    };
    let standard = |vendor, api| Case {
        secret: "whsec_YS1zZWNyZXQtb2YtdGhpcy10ZXN0",
        other: "whsec_YS1zZWNyZXQtb2YtdGhhdC10ZXN0",
        ..case(vendor, api, Signed, true)
    };
    vec![
        case("cm", None, Unsigned, false),
        case("kpn", None, BodyOnly, true),
        case("messagebird", Some("channels"), Signed, true),
        case("messagebird", Some("classic"), Signed, true),
        standard("messagebird", Some("platform")),
        case("smstools", None, Signed, true),
        case("spryng", Some("v1"), Unsigned, false),
        case("spryng", Some("v2"), Unsigned, false),
        case("twilio", None, Signed, false),
        case("vonage", Some("messages"), Signed, true),
        case("vonage", Some("sms"), Signed, true),
        standard("webhook", None),
    ]
}

impl Case {
    fn options(&self) -> ReportOptions {
        let options = ReportOptions::new([self.secret]);
        match self.api {
            Some(api) => options.with_api(api),
            None => options,
        }
    }

    fn parser(&self) -> Arc<dyn ReportParser> {
        postduif::report_parser(self.vendor, self.options()).unwrap()
    }

    /// The URL of the route, with this secret where a part of the path is one.
    fn url(&self, secret: &str) -> String {
        let url = format!("{ORIGIN}/reports/{}", self.vendor);
        match self.authenticity {
            Authenticity::Signed => url,
            _ => format!("{url}/{secret}"),
        }
    }

    fn report(&self, order: ReportOrder, secret: &str) -> ReportCall {
        let order = match self.api {
            Some(api) => order.api(api),
            None => order,
        };
        let url = self.url(if self.authenticity == Authenticity::BodyOnly {
            RIGHT
        } else {
            secret
        });
        let request = order.secret(secret).request(self.vendor, &url);
        ReportCall::from(request.unwrap())
    }

    fn inbound(&self, order: InboundOrder, secret: &str) -> ReportCall {
        let order = match self.api {
            Some(api) => order.api(api),
            None => order,
        };
        ReportCall::from(order.secret(secret).request(&self.url(secret)).unwrap())
    }

    fn name(&self) -> String {
        format!("{} {}", self.vendor, self.api.unwrap_or_default())
    }
}

fn now() -> DateTime<Utc> {
    "2026-02-01T14:00:09Z".parse().unwrap()
}

fn order(status: ReportStatus) -> ReportOrder {
    ReportOrder::new(REFERENCE, status).at(now())
}

#[test]
fn every_vendor_of_the_sandbox_is_among_the_cases() {
    for vendor in Sandbox::vendors() {
        assert!(cases().iter().any(|case| case.vendor == vendor), "{vendor}");
    }
    for case in cases() {
        assert_eq!(
            case.parser().authenticity(),
            case.authenticity,
            "{}",
            case.name()
        );
    }
}

#[test]
fn the_parser_of_every_vendor_reads_the_reports() {
    for case in cases() {
        let name = case.name();
        for (status, expected) in [
            (ReportStatus::Delivered, DeliveryStatus::Delivered),
            (ReportStatus::Sent, DeliveryStatus::Sent),
            (ReportStatus::Unknown, DeliveryStatus::Unknown),
        ] {
            let call = case.report(order(status).id(ID).to(PHONE), case.secret);
            let reports = call.parse(&*case.parser(), now()).unwrap();
            let [report] = reports.as_slice() else {
                panic!("{name}: {reports:?}");
            };
            assert_eq!(report.status, expected, "{name}");
            assert_eq!(report.reference.unwrap().as_str(), REFERENCE, "{name}");
            // Spryng's v1 names only the reference, and CM has no ids.
            if case.api != Some("v1") {
                assert_eq!(report.recipient.unwrap().to_string(), PHONE, "{name}");
                if case.vendor != "cm" {
                    assert_eq!(report.id.as_deref(), Some(ID), "{name}");
                }
            }
        }
        let call = case.report(order(ReportStatus::Failed), case.secret);
        let report = call.parse(&*case.parser(), now()).unwrap().remove(0);
        assert!(report.status.is_final(), "{name}");
        assert_ne!(report.status, DeliveryStatus::Delivered, "{name}");
    }
}

#[test]
fn a_report_by_the_vendors_id_alone_has_no_reference() {
    for case in cases() {
        let mut order = ReportOrder::by_id(ID, ReportStatus::Delivered).at(now());
        if let Some(api) = case.api {
            order = order.api(api);
        }
        let request = order
            .secret(case.secret)
            .request(case.vendor, &case.url(case.secret));
        if case.api == Some("classic") || case.vendor == "webhook" {
            assert!(request.unwrap_err().to_string().contains("reference"));
            continue;
        }
        let reports = ReportCall::from(request.unwrap()).parse(&*case.parser(), now());
        match (case.vendor, case.api) {
            // Without the reference nothing names the text.
            ("cm", _) | (_, Some("v1")) => {}
            _ => {
                let report = reports.unwrap().remove(0);
                assert_eq!(report.id.as_deref(), Some(ID), "{}", case.name());
                assert_eq!(report.reference, None, "{}", case.name());
            }
        }
    }
}

#[test]
fn a_report_with_another_secret_is_forged() {
    for case in cases() {
        let call = case.report(order(ReportStatus::Delivered), case.other);
        let error = call.parse(&*case.parser(), now()).unwrap_err();
        assert_eq!(error.kind(), ReportErrorKind::Forged, "{}", case.name());
    }
}

#[test]
fn a_report_is_stale_where_the_vendor_sends_the_time_of_its_signature() {
    for case in cases() {
        let late = now() - TimeDelta::minutes(24 * 60 + 1);
        let call = case.report(order(ReportStatus::Delivered).at(late), case.secret);
        let read = call.parse(&*case.parser(), now());
        let kind = read.err().map(|error| error.kind());
        let expected = case.has_time.then_some(ReportErrorKind::Stale);
        assert_eq!(kind, expected, "{}", case.name());
    }
}

#[test]
fn every_form_and_signature_method_of_vonages_sms_api_is_read() {
    for method in SignatureMethod::ALL {
        let options = ReportOptions::new([RIGHT])
            .with_api("sms")
            .with_signature_method(method.name());
        let parser = postduif::report_parser("vonage", options).unwrap();
        for form in ReceiptForm::ALL {
            let order = order(ReportStatus::Delivered)
                .api("sms")
                .form(*form)
                .signature_method(*method)
                .secret(RIGHT);
            let call = ReportCall::from(order.request("vonage", ORIGIN).unwrap());
            let reports = call.parse(&*parser, now()).unwrap();
            assert_eq!(
                reports[0].status,
                DeliveryStatus::Delivered,
                "{method:?} {form:?}"
            );
        }
    }
}

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<DeliveryReport>>);

#[async_trait]
impl ReportSink for Kept {
    async fn store(&self, report: &DeliveryReport) -> Result<Stored, ReportSinkError> {
        self.0.lock().unwrap().push(report.clone());
        Ok(Stored::Known)
    }
}

#[tokio::test]
async fn the_route_of_every_vendor_takes_the_genuine_report_and_no_forged_one() {
    for case in cases() {
        let kept = Arc::new(Kept::default());
        let mut builder =
            Reports::builder(ORIGIN, Arc::clone(&kept)).with_vendor(case.vendor, case.parser());
        if case.authenticity == Authenticity::BodyOnly {
            builder = builder.with_path_secrets(case.vendor, [case.secret]);
        }
        let routes = builder.build().unwrap();
        let mut answers = Vec::new();
        for secret in [case.other, case.secret] {
            let call = case.report(order(ReportStatus::Delivered), secret);
            let target = call.url.strip_prefix(ORIGIN).unwrap();
            let headers = call.headers.iter().map(|(name, value)| (name, value));
            let request = routes.request(&call.method, target, headers, &call.body);
            let reply = routes.receive_at(case.vendor, &request, now()).await;
            answers.push(reply.status());
        }
        // A wrong secret in the path is the path of nothing.
        let forged = if case.authenticity == Authenticity::Unsigned {
            404
        } else {
            401
        };
        assert_eq!(answers, [forged, 200], "{}", case.name());
        let kept = kept.0.lock().unwrap();
        assert_eq!(kept.len(), 1, "{}", case.name());
        assert_eq!(kept[0].reference.unwrap().as_str(), REFERENCE);
    }
}

fn read(case: &Case, call: &ReportCall) -> Result<Vec<InboundMessage>, ReportErrorKind> {
    let parser = postduif::inbound_parser(case.vendor, case.options()).unwrap();
    let read = call.with_request(|request| parser.parse(request, now()));
    read.map_err(|error| error.kind())
}

/// Those that document inbound texts.
fn with_inbound() -> impl Iterator<Item = Case> {
    cases().into_iter().filter(|case| case.api != Some("v1"))
}

#[test]
fn the_parser_of_every_vendor_reads_the_inbound_texts() {
    for case in with_inbound() {
        let name = case.name();
        for text in ["STOP", "Dank je & tot zo = ✓ {\"a\": 1}"] {
            let order = InboundOrder::new(case.vendor, PHONE, OURS, text).at(now());
            let call = case.inbound(order, case.secret);
            let message = read(&case, &call).unwrap().remove(0);
            assert_eq!(message.from.to_string(), PHONE, "{name}");
            assert_eq!(message.text.as_str(), text, "{name}");
            let to = message.to.unwrap();
            assert!(to.ends_with(&OURS[1..]), "{name}: {to}");
            // CM has no ids.
            assert_eq!(message.id.is_some(), case.vendor != "cm", "{name}");
            // Smstools' time has no zone, and Twilio sends none.
            let has_no_time = ["smstools", "twilio"].contains(&case.vendor);
            assert_eq!(message.at, (!has_no_time).then(now), "{name}");
            assert_eq!(call.parse(&*case.parser(), now()), Ok(Vec::new()), "{name}");
        }
    }
}

#[test]
fn an_inbound_text_with_another_secret_is_forged_and_an_old_one_stale() {
    for case in with_inbound() {
        let order = InboundOrder::new(case.vendor, PHONE, OURS, "STOP").at(now());
        let forged = case.inbound(order.clone(), case.other);
        assert_eq!(
            read(&case, &forged),
            Err(ReportErrorKind::Forged),
            "{}",
            case.name()
        );
        let stale = case.inbound(order.at(now() - TimeDelta::hours(25)), case.secret);
        let kind = read(&case, &stale).err();
        let expected = case.has_time.then_some(ReportErrorKind::Stale);
        assert_eq!(kind, expected, "{}", case.name());
    }
}

#[tokio::test]
async fn spryngs_look_up_finds_the_text_in_doubt_and_what_was_reported() {
    let sandbox = Sandbox::start().await;
    let mut urls = sandbox.other_sms_urls().into_iter();
    let url = urls.find(|url| url.starts_with("spryng://") && url.contains("api=v1"));
    let spryng = Spryng::from_url(&url.unwrap()).unwrap();
    let message = Message::new(PHONE.parse().unwrap(), Text::new("Hello").unwrap());
    let reference = *message.reference();
    assert_eq!(spryng.look_up(&reference).await.unwrap(), []);

    sandbox.fault("spryng.send", Fault::LostAnswer);
    let error = spryng.send(&message).await.unwrap_err();
    assert_eq!(error.acceptance(), Acceptance::Unknown);
    for (status, expected) in [
        (None, DeliveryStatus::Sent),
        (Some(ReportStatus::Delivered), DeliveryStatus::Delivered),
    ] {
        if let Some(status) = status {
            let order = ReportOrder::new(reference.as_str(), status);
            let nobody = "http://127.0.0.1:1/";
            sandbox.deliver_report(&order, nobody).await.unwrap();
        }
        let found = spryng.look_up(&reference).await.unwrap();
        let [report] = found.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!(report.status, expected);
        assert_eq!(report.recipient, Some(message.to()));
        assert_eq!(report.id.as_deref(), Some(&*sandbox.messages()[0].id));
    }
}

#[test]
fn what_cannot_be_made_is_an_error_that_says_why() {
    let order = order(ReportStatus::Delivered);
    for (error, part) in [
        (order.request("acme", ORIGIN).unwrap_err(), "kpn"),
        (
            order.request("kpn", "hooks.example.com").unwrap_err(),
            "https://",
        ),
        (
            order.request("kpn", "/reports/kpn").unwrap_err(),
            "https://",
        ),
        (
            order
                .clone()
                .api("v3")
                .request("spryng", ORIGIN)
                .unwrap_err(),
            "v2, v1",
        ),
        (
            order
                .clone()
                .secret("x")
                .request("webhook", ORIGIN)
                .unwrap_err(),
            "whsec_",
        ),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let inbound = |vendor, from, to| InboundOrder::new(vendor, from, to, "STOP").request(ORIGIN);
    for (error, part) in [
        (inbound("acme", PHONE, OURS).unwrap_err(), "kpn"),
        (inbound("kpn", "0612345678", OURS).unwrap_err(), "from"),
        (inbound("kpn", PHONE, "Contoso").unwrap_err(), "to"),
        (
            InboundOrder::new("spryng", PHONE, OURS, "STOP")
                .api("v1")
                .request(ORIGIN)
                .unwrap_err(),
            "v1",
        ),
    ] {
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(inbound("kpn", PHONE, "1008").is_ok());
}

#[test]
fn no_secret_and_no_text_of_an_order_is_shown() {
    let order = order(ReportStatus::Delivered).secret("hunter2-signing");
    let inbound = InboundOrder::new("kpn", PHONE, OURS, "hunter2-text").secret("hunter2-signing");
    let requests = [
        order
            .request("kpn", "https://hooks.example.com/hunter2")
            .unwrap(),
        inbound
            .request("https://hooks.example.com/hunter2")
            .unwrap(),
    ];
    let shown = format!("{order:?} {inbound:?} {requests:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains(&PHONE[1..]), "{shown}");
}

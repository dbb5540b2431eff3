//! What a fault leaves behind, for every vendor and every way to send.

use postduif_sandbox::{Fault, FaultSpec, Sandbox};

use crate::client::{BASIC, FORM, JSON, authority, read, soon, write};

/// A vendor's good call for one text.
struct Way {
    point: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
}

const ACCESS_KEY: (&str, &str) = ("Authorization", "AccessKey sandbox");

const WAYS: [Way; 9] = [
    Way {
        point: "cm.send",
        path: "/cm/v1.0/message",
        headers: &[JSON, ("X-CM-PRODUCTTOKEN", "sandbox")],
        body: r#"{"messages": {"msg": [{"from": "Acme", "to": [{"number": "0031612345678"}],
            "body": {"type": "auto", "content": "Hello"}, "reference": "a1"}]}}"#,
    },
    Way {
        point: "vonage.send",
        path: "/vonage/v1/messages",
        headers: &[JSON, BASIC],
        body: r#"{"channel": "sms", "message_type": "text", "to": "31612345678", "from": "Acme",
            "text": "Hello"}"#,
    },
    Way {
        point: "vonage.send",
        path: "/vonage/sms/json",
        headers: &[FORM, BASIC],
        body: "from=Acme&to=31612345678&text=Hello",
    },
    Way {
        point: "messagebird.send",
        path: "/messagebird/v1/sms/messages",
        headers: &[
            JSON,
            ("Authorization", "Bearer bk_eu1_sandbox"),
            ("User-Agent", "test"),
        ],
        body: r#"{"to": "+31612345678", "from": "Acme", "text": "Hello", "category": "service"}"#,
    },
    Way {
        point: "messagebird.send",
        path: "/messagebird/messages",
        headers: &[JSON, ACCESS_KEY],
        body: r#"{"originator": "Acme", "recipients": ["31612345678"], "body": "Hello"}"#,
    },
    Way {
        point: "messagebird.send",
        path: "/messagebird/workspaces/sandbox/channels/sandbox/messages",
        headers: &[JSON, ACCESS_KEY],
        body: r#"{"receiver": {"contacts": [{"identifierValue": "+31612345678"}]},
            "body": {"type": "text", "text": {"text": "Hello"}}}"#,
    },
    Way {
        point: "spryng.send",
        path: "/spryng/v2/messages",
        headers: &[JSON, ("X-Api-Key", "sandbox")],
        body: r#"{"accountReference": "SPNL0000000", "channel": "SMS", "from": "Acme",
            "body": {"text": "Hello"}, "recipients": [{"msisdn": "+31612345678"}]}"#,
    },
    Way {
        point: "spryng.send",
        path: "/spryng/v1/messages",
        headers: &[JSON, ("Authorization", "Bearer sandbox")],
        body: r#"{"body": "Hello", "originator": "Acme", "recipients": ["31612345678"]}"#,
    },
    Way {
        point: "smstools.send",
        path: "/smstools/v1/message/send",
        headers: &[
            JSON,
            ("X-Client-Id", "sandbox"),
            ("X-Client-Secret", "sandbox"),
        ],
        body: r#"{"message": "Hello", "to": "31612345678", "sender": "Acme"}"#,
    },
];

#[tokio::test]
async fn every_fault_leaves_behind_what_it_says_for_every_way_to_send() {
    let sandbox = Sandbox::start().await;
    let host = authority(&sandbox);
    for way in &WAYS {
        let send = || write(&host, "POST", way.path, way.headers, way.body);
        for fault in Fault::ALL {
            if FaultSpec::new(way.point, *fault).is_err() {
                continue;
            }
            let count = usize::from(fault.is_processed());
            sandbox.reset();
            sandbox.fault(way.point, *fault).ms(1);
            let stream = send().await;
            let ended = || sandbox.faults_left().is_empty().then_some(());
            soon(sandbox.wait_for(|_| ended())).await;
            match fault {
                // No answer comes, or no end of it.
                Fault::HugeBody | Fault::Late | Fault::Stall => {
                    let found = |sandbox: &Sandbox| sandbox.messages().pop();
                    soon(sandbox.wait_for(found)).await;
                }
                Fault::StallBefore => {}
                // Broken or bad: what matters is that it is over.
                _ => drop(read(stream).await),
            }
            let told = format!("{fault} at {}", way.path);
            assert_eq!(sandbox.messages().len(), count, "{told}");
            // It struck once, and the call was good.
            let again = read(send().await).await.unwrap();
            assert!((200..300).contains(&again.status), "{told}: {again:?}");
            assert_eq!(sandbox.messages().len(), count + 1, "{told}");
        }
    }
}

#[tokio::test]
async fn every_vendor_has_a_url_to_copy_and_a_point_to_strike() {
    let sandbox = Sandbox::start().await;
    let vendors: Vec<_> = Sandbox::vendors().collect();
    let all = ["kpn", "spryng", "cm", "messagebird", "vonage", "smstools"];
    assert_eq!(vendors, all);
    let host = authority(&sandbox);
    for (vendor, url) in [
        (
            "kpn",
            format!("kpn://sandbox:sandbox@{host}/kpn?sender=Postduif"),
        ),
        (
            "spryng",
            format!("spryng://sandbox@{host}/spryng?account=SPNL0000000&sender=Postduif"),
        ),
        ("cm", format!("cm://sandbox@{host}/cm?sender=Postduif")),
        (
            "messagebird",
            format!("messagebird://bk_eu1_sandbox@{host}/messagebird?sender=Postduif"),
        ),
        (
            "vonage",
            format!("vonage://sandbox:sandbox@{host}/vonage?sender=Postduif"),
        ),
        (
            "smstools",
            format!("smstools://sandbox:sandbox@{host}/smstools?sender=Postduif"),
        ),
    ] {
        assert_eq!(sandbox.sms_url(vendor), url);
        sandbox.fault(&format!("{vendor}.send"), Fault::Redirect);
    }
}

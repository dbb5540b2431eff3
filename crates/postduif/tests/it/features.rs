/// Each vendor, whether it is compiled in, and a URL of its own without the scheme.
const VENDORS: [(&str, bool, &str); 8] = [
    ("cm", cfg!(feature = "cm"), "hunter2@default?sender=Contoso"),
    (
        "kpn",
        cfg!(feature = "kpn"),
        "id:hunter2@default?sender=Contoso",
    ),
    (
        "messagebird",
        cfg!(feature = "messagebird"),
        "bk_eu1_hunter2@default?sender=Contoso",
    ),
    (
        "smstools",
        cfg!(feature = "smstools"),
        "id:hunter2@default?sender=Contoso",
    ),
    (
        "spryng",
        cfg!(feature = "spryng"),
        "hunter2@default?account=SPNL0000000&sender=Contoso",
    ),
    (
        "twilio",
        cfg!(feature = "twilio"),
        "AC0123456789abcdef0123456789abcdef:hunter2@default?sender=Contoso",
    ),
    (
        "vonage",
        cfg!(feature = "vonage"),
        "key:hunter2@default?sender=Contoso",
    ),
    (
        "webhook",
        cfg!(feature = "webhook"),
        "hunter2@sms.example.test/send?sender=Contoso",
    ),
];

/// A secret that every vendor takes as one.
const SECRET: &str = "whsec_YS1zZWNyZXQtb2Ytb3VyLW93bg==";

fn not_compiled_in(vendor: &str) -> String {
    format!("{vendor} is not compiled in: turn on the feature `{vendor}` of postduif")
}

#[test]
fn the_vendors_that_are_compiled_in_are_listed() {
    let compiled: Vec<_> = VENDORS
        .iter()
        .filter(|(_, is_compiled, _)| *is_compiled)
        .map(|(vendor, ..)| *vendor)
        .collect();
    assert_eq!(postduif::VENDORS, compiled);
}

#[test]
fn a_url_opens_the_vendor_that_is_compiled_in() {
    for (vendor, is_compiled, rest) in VENDORS {
        if is_compiled {
            let sms = postduif::from_url(&format!("{vendor}://{rest}")).unwrap();
            assert_eq!(sms.profile().name(), vendor);
        }
    }
}

#[test]
fn a_messaging_service_is_a_sender_only_where_the_vendor_has_them() {
    let service = "sender=MG0123456789abcdef0123456789abcdef";
    for (vendor, is_compiled, rest) in VENDORS {
        if is_compiled {
            let url = format!("{vendor}://{}", rest.replace("sender=Contoso", service));
            let error = postduif::from_url(&url)
                .err()
                .map(|error| error.to_string());
            if ["twilio", "webhook"].contains(&vendor) {
                assert_eq!(error, None);
            } else {
                let error = error.unwrap_or_default();
                assert!(error.starts_with("option sender: "), "{vendor}: {error}");
            }
        }
    }
}

#[test]
fn a_url_of_a_vendor_that_is_not_compiled_in_names_the_feature() {
    for (vendor, is_compiled, rest) in VENDORS {
        if !is_compiled {
            let error = postduif::from_url(&format!("{vendor}://{rest}")).unwrap_err();
            assert_eq!(error.to_string(), not_compiled_in(vendor));
            assert!(!format!("{error:?}").contains("hunter2"), "{vendor}");
        }
    }
}

#[test]
fn reports_of_a_vendor_that_is_not_compiled_in_name_the_feature() {
    for (vendor, is_compiled, _) in VENDORS {
        let parser = postduif::report_parser(vendor, postduif::ReportOptions::new([SECRET]));
        if is_compiled {
            assert!(parser.is_ok(), "{vendor}")
        } else {
            assert_eq!(parser.unwrap_err().to_string(), not_compiled_in(vendor))
        }
    }
}

#[test]
fn every_vendor_has_a_parser_of_inbound_texts_and_one_that_is_not_compiled_in_names_the_feature() {
    for (vendor, is_compiled, _) in VENDORS {
        let parser = postduif::inbound_parser(vendor, postduif::ReportOptions::new([SECRET]));
        if is_compiled {
            let shown = format!("{:?}", parser.unwrap());
            assert!(!shown.contains(SECRET), "{vendor}: {shown}");
            let none: [&str; 0] = [];
            let without = postduif::inbound_parser(vendor, postduif::ReportOptions::new(none));
            assert!(without.is_err(), "{vendor}");
        } else {
            assert_eq!(parser.unwrap_err().to_string(), not_compiled_in(vendor))
        }
    }
    let error =
        postduif::inbound_parser("pigeon", postduif::ReportOptions::new([SECRET])).unwrap_err();
    assert!(error.to_string().contains("smstools"), "{error}");
}

#[test]
fn a_scheme_that_no_vendor_has_is_told_which_there_are() {
    for url in ["pigeon://hunter2@default", "hunter2", ""] {
        let error = postduif::from_url(url).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
        for (vendor, ..) in VENDORS {
            assert!(error.contains(&format!("{vendor}://")), "{error}");
        }
    }
    let error =
        postduif::report_parser("pigeon", postduif::ReportOptions::new([SECRET])).unwrap_err();
    assert!(error.to_string().contains("smstools"), "{error}");
}

#[tokio::test]
async fn null_needs_no_feature_takes_every_text_and_sends_none() {
    let sms = postduif::from_url("null://id:hunter2@default?sender=Contoso").unwrap();
    assert_eq!(sms.profile().name(), "null");
    let sms = postduif::from_url("null://").unwrap();
    assert_eq!(sms.profile().name(), "null");
    let text = postduif::Text::new("Hello").unwrap();
    let message = postduif::Message::new("+31612345678".parse().unwrap(), text);
    let error = postduif::from_url("pigeon://x").unwrap_err();
    assert!(error.to_string().contains("null://"), "{error}");
    let receipt = sms.send(&message).await.unwrap();
    assert_eq!(
        (receipt.provider(), receipt.reference()),
        ("null", message.reference())
    );
}

#[cfg(feature = "layers")]
#[test]
fn a_failover_over_vendors_that_are_not_compiled_in_names_the_feature() {
    for (vendor, is_compiled, rest) in VENDORS {
        let error = postduif::failover(&format!("{vendor}://{rest}")).err();
        let expected = (!is_compiled).then(|| not_compiled_in(vendor));
        assert_eq!(error.map(|error| error.to_string()), expected);
    }
}

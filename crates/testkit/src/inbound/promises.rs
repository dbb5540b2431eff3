//! The promises of parsers of inbound messages, one function each, which panics if the promise is broken.

use postduif_core::{InboundMessage, OptOut, OptOutWords};

use super::FakeInbound;
use crate::{
    FakeReports as _, Key, RECIPIENT, REPORTED_TEXT, Verdict,
    report::{OUR_REFERENCE, promises::now},
    watch::{Watch, forms},
};

/// Returns the only message of a request for this text.
#[track_caller]
fn one(inbound: &impl FakeInbound, text: &str) -> InboundMessage {
    let mut read = match inbound.read(inbound.message(text)) {
        Ok(read) => read,
        Err(error) => panic!("{text:?}: refused: {error}"),
    };
    assert_eq!(read.len(), 1, "{text:?}: messages");
    read.remove(0)
}

/// Checks that all that the vendor says of a message is read.
pub fn every_field_of_a_message_is_read(inbound: &impl FakeInbound) -> Verdict {
    let mut expected = inbound.fields();
    expected.text = REPORTED_TEXT.into();
    let read = one(inbound, REPORTED_TEXT);
    assert_eq!(read, expected);
    assert_eq!(read.from.to_string(), RECIPIENT);
    Verdict::kept()
}

/// Checks that a text is read unchanged, whatever a person may write.
pub fn a_text_is_kept_as_it_was_written(inbound: &impl FakeInbound) -> Verdict {
    for text in [
        "",
        "7",
        " Stop \r\n\t",
        "a&b=c%20d+e;f#g?h/i\\j\"k'l<m>{n}[o]",
        "Één 👋🏽 ﷽ e\u{301} \u{200b}\u{feff}",
        "null",
        &"long ".repeat(2_000),
    ] {
        assert_eq!(one(inbound, text).text.as_str(), text);
    }
    Verdict::kept()
}

/// Checks that opt-outs and opt-ins in Dutch and English are recognized.
pub fn an_opt_out_is_recognized(inbound: &impl FakeInbound) -> Verdict {
    for (text, expected) in [
        ("STOP", Some(OptOut::Stop)),
        ("Uit.", Some(OptOut::Stop)),
        ("start", Some(OptOut::Start)),
        ("AAN", Some(OptOut::Start)),
        ("Stop by at eight", None),
        ("", None),
    ] {
        let read = OptOutWords::new().classify(&one(inbound, text));
        assert_eq!(read, expected, "{text:?}");
    }
    Verdict::kept()
}

/// Checks that a delivery report gives no message and no error, so that one URL can receive both.
pub fn a_delivery_report_is_no_message(inbound: &impl FakeInbound) -> Verdict {
    let reports = inbound.reports();
    let unknown = reports.unknown_status();
    let documented = reports.statuses().into_iter().map(|(status, _)| status);
    for status in documented.chain([unknown]) {
        let read = inbound.read(reports.report(&status, OUR_REFERENCE));
        assert_eq!(read, Ok(Vec::new()), "{status}");
    }
    Verdict::kept()
}

/// Checks that a message gives no delivery report and no error, so that one URL can receive both.
pub fn a_message_is_no_delivery_report(inbound: &impl FakeInbound) -> Verdict {
    let reports = inbound.reports();
    for text in [REPORTED_TEXT, "", "delivered", "status=delivered"] {
        let call = reports.prove(inbound.message(text), now(), Key::Right);
        let read = call.with_request(|request| reports.parser().parse(request, now()));
        assert_eq!(read, Ok(Vec::new()), "{text:?}");
    }
    Verdict::kept()
}

/// Checks that neither the text nor the whole number of a message is shown in any event or `Debug`.
pub fn no_text_and_no_number_of_a_message_is_shown(inbound: &impl FakeInbound) -> Verdict {
    let (shown, logged) = Watch::over(|| async {
        let read = inbound.read(inbound.message(REPORTED_TEXT));
        format!("{read:?} {read:#?}")
    });
    for private in ["482910", "Your code", "612345678"] {
        for form in forms(private) {
            assert!(
                !shown.contains(&form),
                "{form} is in what is shown: {shown}"
            );
            assert!(
                !logged.contains(&form),
                "{form} is in an event or span: {logged}"
            );
        }
    }
    Verdict::kept()
}

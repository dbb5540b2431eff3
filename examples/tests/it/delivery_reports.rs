use serde_json::json;

use super::row::{Row, config_error, row, rows};

/// A secret of our own, as the last segment of a path.
const CM: &str =
    "POST /reports/cm/a-secret-of-our-own HTTP/1.1\r\nHost: hooks.example.test\r\n\r\n";

fn cm(body: &str) -> Option<Vec<u8>> {
    Some(format!("{CM}{body}").into_bytes())
}

fn refused(kind: &str) -> Option<serde_json::Value> {
    Some(json!([{"error": {"kind": kind, "message": "<words>"}}]))
}

rows! {
    a_signed_report_is_believed => Row {
        args: &[
            "--provider", "kpn", "--secret", "sandbox", "--now", "2026-01-01T00:00:00Z", "--json",
            "examples/reports/kpn.http",
        ],
        prints: Some(json!([[{
            "provider": "kpn", "reference": "01J9Z8Q4T6M2V7X3", "reference_text": null, "id": "5f0c7f1e",
            "part": null, "recipient": "+31612345678", "status": "delivered", "final": true, "code": null,
            "at": "2025-12-31T23:59:50Z", "price": null,
        }]])),
        ..row("delivery_reports")
    };
    the_first_of_two_secrets_may_be_the_old_one => Row {
        args: &[
            "--provider", "kpn", "--secret", "another", "--secret", "sandbox", "--now", "2026-01-01T00:00:00Z",
            "examples/reports/kpn.http",
        ],
        tells: &[r#""status":"delivered""#],
        ..row("delivery_reports")
    };
    a_report_under_another_secret_is_forged => Row {
        args: &[
            "--provider", "kpn", "--secret", "another", "--now", "2026-01-01T00:00:00Z", "examples/reports/kpn.http",
        ],
        exit: 1,
        prints: refused("forged"),
        ..row("delivery_reports")
    };
    an_old_report_is_stale => Row {
        args: &["--provider", "kpn", "--secret", "sandbox", "examples/reports/kpn.http"],
        exit: 1,
        prints: refused("stale"),
        ..row("delivery_reports")
    };
    a_report_without_a_signature_is_unsigned => Row {
        args: &["--provider", "kpn", "--secret", "sandbox", "{file}"],
        file: Some(b"POST /kpn HTTP/1.1\r\nHost: hooks.example.test\r\n\r\n{\"Status\":\"1\"}".to_vec()),
        exit: 1,
        prints: refused("unsigned"),
        ..row("delivery_reports")
    };
    a_report_under_a_secret_of_ours_in_the_path_is_believed => Row {
        args: &["--provider", "cm", "--secret", "a-secret-of-our-own", "{file}"],
        file: cm(
            r#"{"messages":{"msg":{"received":"2026-01-01T00:00:00","to":"0031612345678","reference":"abc123",
                "status":{"code":"2","errorCode":"","errorDescription":"Delivered"}}}}"#,
        ),
        prints: Some(json!([[{
            "provider": "cm", "reference": "abc123", "reference_text": null, "id": null, "part": null,
            "recipient": "+31612345678", "status": "delivered", "final": true, "code": null,
            "at": null, "price": null,
        }]])),
        ..row("delivery_reports")
    };
    another_secret_in_the_path_is_forged => Row {
        args: &["--provider", "cm", "--secret", "another-secret-of-our-own", "{file}"],
        file: cm("{}"),
        exit: 1,
        prints: refused("forged"),
        ..row("delivery_reports")
    };
    a_body_that_is_no_report_is_malformed => Row {
        args: &["--provider", "cm", "--secret", "a-secret-of-our-own", "{file}"],
        file: cm("no JSON"),
        exit: 1,
        prints: refused("malformed"),
        ..row("delivery_reports")
    };
    a_vendor_that_nobody_knows_is_a_configuration_error => Row {
        args: &["--provider", "pigeon", "--secret", "sandbox", "--json", "examples/reports/kpn.http"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("delivery_reports")
    };
    a_missing_secret_is_a_configuration_error => Row {
        args: &["--provider", "kpn", "--json", "examples/reports/kpn.http"],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("delivery_reports")
    };
    a_file_that_is_no_request_is_a_configuration_error => Row {
        args: &["--provider", "kpn", "--secret", "sandbox", "--json", "{file}"],
        file: Some(b"nothing of the kind".to_vec()),
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("delivery_reports")
    };
    a_signature_method_belongs_to_one_api => Row {
        args: &[
            "--provider", "kpn", "--secret", "sandbox", "--signature-method", "sha256", "--json",
            "examples/reports/kpn.http",
        ],
        exit: 2,
        prints: Some(json!([config_error()])),
        ..row("delivery_reports")
    };
}

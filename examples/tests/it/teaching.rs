use serde_json::{Value, json};

use super::row::{Row, failed, row, rows};

fn accepted(provider: &str, id: &Value, parts: &Value) -> Value {
    json!({
        "accepted": true, "provider": provider, "id": id, "reference": "<reference>", "parts": parts, "price": null,
    })
}

rows! {
    a_failover_sends_on_what_certainly_did_not_leave_and_nothing_else => Row {
        args: &["--json"],
        prints: Some(json!([
            accepted("cm", &Value::Null, &json!(1)),
            accepted("kpn", &json!("<text>"), &Value::Null),
            failed(&json!({
                "kind": "unavailable", "acceptance": "unknown", "provider": "kpn", "may_reroute": false,
            })),
            accepted("cm", &Value::Null, &json!(1)),
        ])),
        ..row("failover")
    };
    a_failover_tells_the_verdict_of_each_attempt => Row {
        tells: &["tried    kpn: ", "accepted cm", "in doubt", "texts in the world: 1 (kpn)"],
        ..row("failover")
    };
    a_vendor_of_ones_own_takes_a_text_and_a_proxy_proves_nothing => Row {
        args: &["--json"],
        prints: Some(json!([
            accepted("acme", &json!("acme-1"), &Value::Null),
            failed(&json!({
                "kind": "protocol", "acceptance": "unknown", "provider": "acme", "may_reroute": false,
            })),
        ])),
        ..row("custom_provider")
    };
    swap_sends_through_the_vendor_it_was_built_with => Row {
        args: &["--json"],
        prints: Some(json!([accepted("kpn", &json!("<text>"), &Value::Null)])),
        ..row("swap")
    };
}

//! One vendor's settings from a table, the environment's form and a URL, as they arrive at the vendor.

use postduif::{
    Message, Settings, Text,
    testing::{Reply, Server},
};
use serde_json::json;

/// With every character that means something in a URL.
const SECRET: &str = "a+b/c:d@e?f#g&h=i%41 \"j";

#[tokio::test]
async fn a_secret_arrives_as_it_was_configured_whatever_the_form() {
    let server = Server::start(|_| Reply::json(200, r#"{"messageid": "1"}"#)).await;
    let host = server.address().to_string();
    let encoded = "a%2Bb%2Fc%3Ad%40e%3Ff%23g%26h%3Di%2541%20%22j";
    let settings = [
        serde_json::from_value(json!({
            "vendor": "smstools", "host": host, "id": "id", "secret": SECRET, "sender": "Contoso",
        }))
        .unwrap(),
        serde_json::from_value(json!({
            "url": format!("smstools://id:{encoded}@{host}"), "sender": "Contoso",
        }))
        .unwrap(),
        Settings::from_url(&format!(
            "smstools://{host}?id=id&secret={encoded}&sender=Contoso"
        ))
        .unwrap(),
    ];
    for settings in settings {
        let message = Message::new(
            "+31612345678".parse().unwrap(),
            Text::new("Your code is 482913").unwrap(),
        );
        settings.open().unwrap().send(&message).await.unwrap();
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert_eq!(request.header("x-client-secret"), Some(SECRET));
    }
}

use postduif_core::{BatchTexts, SenderKind, SmsProvider as _};
use postduif_http::{BaseUrl, Client};
use postduif_messagebird::{Api, Category, MessageBird};
use wiremock::MockServer;

use super::wire::{CHANNEL, WORKSPACE, message};

fn api(url: &str) -> Api {
    MessageBird::from_url(url).unwrap().api()
}

#[test]
fn the_api_is_selected_by_the_options() {
    let ids = format!("workspace={WORKSPACE}&channel={CHANNEL}");
    for (url, expected) in [
        ("messagebird://bk_eu1_abc@default".to_owned(), Api::Platform),
        (
            "messagebird://bk_us12_abc@default?sender=Acme".to_owned(),
            Api::Platform,
        ),
        (
            "messagebird://bk_eu1_abc@default?api=platform".to_owned(),
            Api::Platform,
        ),
        (
            "messagebird://default?key=bk_eu1_abc".to_owned(),
            Api::Platform,
        ),
        ("messagebird://live_abc@default".to_owned(), Api::Classic),
        (
            "messagebird://live_abc@default?api=classic&sender=Acme".to_owned(),
            Api::Classic,
        ),
        ("messagebird://bkeu1@default".to_owned(), Api::Classic),
        (format!("messagebird://abc@default?{ids}"), Api::Channels),
        (
            format!("messagebird://abc@default?api=channels&{ids}"),
            Api::Channels,
        ),
        // The format of a key is not checked if a host is set.
        (
            "messagebird://abc@proxy.example.test?api=platform".to_owned(),
            Api::Platform,
        ),
        (
            "messagebird://bk_live_abc@proxy.example.test".to_owned(),
            Api::Platform,
        ),
    ] {
        assert_eq!(api(&url), expected, "{url}");
    }
}

#[test]
fn an_invalid_configuration_is_refused_when_it_is_built() {
    let ids = format!("workspace={WORKSPACE}&channel={CHANNEL}");
    for (url, expected) in [
        ("messagebird://default".to_owned(), "key is missing"),
        (
            "kpn://hunter2@default".to_owned(),
            "expected messagebird://",
        ),
        (
            "messagebird://hunter2:hunter2@default".to_owned(),
            "expected one credential",
        ),
        (
            "messagebird://env:KEY@default".to_owned(),
            "write ?key=env:",
        ),
        (
            "messagebird://hunter2@default?api=rest".to_owned(),
            "option api: expected platform, classic or channels",
        ),
        (
            "messagebird://hunter2@default?account=x".to_owned(),
            "unknown option account; known are api, category",
        ),
        (
            "messagebird://bk_eu1_hunter2@default?api=classic".to_owned(),
            "expected platform for a key that starts with bk_",
        ),
        (
            format!("messagebird://bk_eu1_hunter2@default?api=channels&{ids}"),
            "expected platform for a key that starts with bk_",
        ),
        (
            format!("messagebird://bk_eu1_hunter2@default?{ids}"),
            "option channel: expected none for the API platform",
        ),
        (
            "messagebird://bk_hunter2@default".to_owned(),
            "expected one with a region",
        ),
        (
            "messagebird://bk_live_hunter2@default".to_owned(),
            "expected one with a region",
        ),
        (
            "messagebird://bk_eu_hunter2@default".to_owned(),
            "expected one with a region",
        ),
        (
            "messagebird://bk_eu1hunter2@default".to_owned(),
            "expected one with a region",
        ),
        (
            "messagebird://bk_EU1_hunter2@default".to_owned(),
            "expected one with a region",
        ),
        (
            "messagebird://bk_é1_hunter2@default".to_owned(),
            "expected one with a region",
        ),
        (
            "messagebird://hunter2@default?api=platform".to_owned(),
            "expected one with a region",
        ),
        (
            "messagebird://hunter2@default?api=channels".to_owned(),
            "workspace is missing: expected the option workspace",
        ),
        (
            format!("messagebird://hunter2@default?workspace={WORKSPACE}"),
            "channel is missing: expected the option channel",
        ),
        (
            format!("messagebird://hunter2@default?channel={CHANNEL}"),
            "workspace is missing: expected the option workspace",
        ),
        (
            format!("messagebird://hunter2@default?workspace=ws_abc&channel={CHANNEL}"),
            "invalid option workspace: expected an id",
        ),
        (
            format!("messagebird://hunter2@default?workspace={WORKSPACE}&channel=..%2Fx"),
            "invalid option channel: expected an id",
        ),
        (
            format!("messagebird://hunter2@default?{ids}&sender=Acme"),
            "option sender: expected none for the API channels",
        ),
        (
            format!("messagebird://hunter2@default?api=classic&{ids}"),
            "option channel: expected none for the API classic",
        ),
        (
            "messagebird://hunter2@default?category=service".to_owned(),
            "option category: expected none for the API classic",
        ),
        (
            "messagebird://bk_eu1_hunter2@default?category=x".to_owned(),
            "option category: expected transactional",
        ),
        (
            "messagebird://bk_eu1_hunter2@default?report_url=https://x.test".to_owned(),
            "option report_url: expected none for the API platform",
        ),
        (
            "messagebird://hunter2@default?report_url=x.test".to_owned(),
            "option report_url: invalid URL: expected one",
        ),
        (
            "messagebird://hunter2@default?report_url=http://x.test/hunter2".to_owned(),
            "option report_url: invalid URL: expected https://",
        ),
        (
            "messagebird://hunter2@default?report_url=https://u:hunter2@x.test/".to_owned(),
            "option report_url: invalid URL: expected no user",
        ),
        (
            "messagebird://hunter2@default?report_url=https://x.test/%3Freference=a".to_owned(),
            "option report_url: MessageBird adds the query parameter reference",
        ),
        (
            "messagebird://hunter2@default?report_url=https://x.test/%3Fx=1%26status=".to_owned(),
            "option report_url: MessageBird adds the query parameter status",
        ),
        (
            "messagebird://hunter2@default?sender=inbox".to_owned(),
            "a name other than inbox",
        ),
        (
            "messagebird://hunter2@default?sender=1008".to_owned(),
            "no short code as sender",
        ),
        (
            "messagebird://bk_eu1_hunter2@default?sender=cm.com".to_owned(),
            "letters, digits, spaces",
        ),
        (
            "messagebird://hunter2@default?sender=ThisIsTooLongAName".to_owned(),
            "at most 11 characters",
        ),
    ] {
        let error = MessageBird::from_url(&url).unwrap_err();
        assert!(error.to_string().contains(expected), "{url}: {error}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

#[test]
fn the_profile_of_each_api_has_the_documented_capabilities() {
    let [platform, classic, channels] =
        [Api::Platform, Api::Classic, Api::Channels].map(Api::profile);
    for profile in [&platform, &classic, &channels] {
        assert_eq!(profile.name(), "messagebird");
        assert!(profile.reports());
    }
    assert_eq!(
        (platform.batch_size().get(), platform.batch_texts()),
        (100, BatchTexts::Mixed)
    );
    assert_eq!(
        (classic.batch_size().get(), channels.batch_size().get()),
        (1, 1)
    );
    assert!(classic.validity().is_some() && classic.max_schedule_ahead().is_some());
    assert!(platform.validity().is_none() && platform.max_schedule_ahead().is_none());
    assert!(channels.validity().is_none() && channels.max_schedule_ahead().is_none());
    assert!(platform.senders().contains(&SenderKind::ShortCode));
    assert!(!classic.senders().contains(&SenderKind::ShortCode));
    assert!(channels.senders().is_empty() && !channels.sender_required());
    let required = |url: &str| {
        MessageBird::from_url(url)
            .unwrap()
            .profile()
            .sender_required()
    };
    for key in ["bk_eu1_x", "live_x"] {
        assert!(required(&format!("messagebird://{key}@default")));
        assert!(!required(&format!(
            "messagebird://{key}@default?sender=Acme"
        )));
    }
}

#[tokio::test]
async fn url_and_builder_give_the_same_provider_and_the_path_follows_the_prefix() {
    let ids = format!("&workspace={WORKSPACE}&channel={CHANNEL}");
    for (key, options, path) in [
        (
            "bk_eu1_x",
            "&category=service&sender=Acme",
            "/p/v1/sms/messages".to_owned(),
        ),
        (
            "live_x",
            "&report_url=https://x.test/r&sender=Acme",
            "/p/messages".to_owned(),
        ),
        (
            "x",
            ids.as_str(),
            format!("/p/workspaces/{WORKSPACE}/channels/{CHANNEL}/messages"),
        ),
    ] {
        let mut sent = Vec::new();
        for turn in 0..4 {
            let server = MockServer::start().await;
            let host = server.address();
            let client = Client::new().unwrap();
            let bird = match turn {
                0 => MessageBird::from_url(&format!(
                    "messagebird://{key}@{host}/p?{}",
                    &options[1..]
                )),
                1 => MessageBird::from_url(&format!("messagebird://{host}/p?key={key}{options}")),
                2 => MessageBird::from_url_with(
                    &format!("messagebird://{host}/p?key={key}{options}"),
                    &client,
                ),
                _ => {
                    let builder = MessageBird::builder(key)
                        .with_base(BaseUrl::parse(&format!("{}/p", server.uri())).unwrap())
                        .with_client(client);
                    match key {
                        "bk_eu1_x" => builder
                            .with_api(Api::Platform)
                            .with_category(Category::Service)
                            .with_sender("Acme".parse().unwrap()),
                        "live_x" => builder
                            .with_report_url("https://x.test/r")
                            .with_sender("Acme".parse().unwrap()),
                        _ => builder.with_workspace(WORKSPACE).with_channel(CHANNEL),
                    }
                    .build()
                }
            }
            .unwrap();
            // The fake vendor has no such path, so its response is irrelevant here.
            let _ = bird.send(&message()).await;
            let request = server.received_requests().await.unwrap().remove(0);
            let mut headers = request.headers.clone();
            headers.remove("host");
            sent.push((request.url.path().to_owned(), headers, request.body));
        }
        assert_eq!(sent[0].0, path);
        for other in &sent[1..] {
            assert_eq!(&sent[0], other);
        }
    }
}

#[test]
fn each_api_has_its_own_host_and_the_key_selects_the_region() {
    let ids = format!("workspace={WORKSPACE}&channel={CHANNEL}");
    for (url, host) in [
        (
            "messagebird://bk_eu1_x@default".to_owned(),
            "eu1.platform.bird.com",
        ),
        (
            "messagebird://bk_us1_x@default".to_owned(),
            "us1.platform.bird.com",
        ),
        (
            "messagebird://live_x@default".to_owned(),
            "rest.messagebird.com",
        ),
        (format!("messagebird://x@default?{ids}"), "api.bird.com"),
    ] {
        let shown = format!("{:?}", MessageBird::from_url(&url).unwrap());
        assert!(shown.contains(host), "{shown}");
    }
}

#[test]
fn a_key_that_no_header_can_hold_is_refused_without_showing_it() {
    for key in ["hunter\n2", "bk_eu1_hunter2\r\n", "hunter2\0"] {
        let error = MessageBird::builder(key).build().unwrap_err();
        assert!(error.to_string().starts_with("invalid key: "), "{error}");
        assert!(!format!("{error:?}").contains("hunter"));
    }
}

#[test]
fn debug_shows_no_credential_no_report_url_and_no_whole_number() {
    let sender: postduif_core::Sender = "+31687654321".parse().unwrap();
    for key in ["bk_eu1_hunter2", "hunter2"] {
        let mut builder = MessageBird::builder(key).with_sender(sender.clone());
        if key == "hunter2" {
            builder = builder.with_report_url("https://x.test/mb/hunter2?token=hunter2");
        }
        let shown = format!("{builder:?}");
        let shown = format!("{shown} {:?}", builder.build().unwrap());
        assert!(
            !shown.contains("hunter2") && !shown.contains("31687654321"),
            "{shown}"
        );
    }
}

#[test]
fn debug_shows_no_id_of_the_account() {
    let builder = MessageBird::builder("key")
        .with_workspace("whunter2")
        .with_channel("chunter2");
    let shown = format!("{builder:?}");
    let shown = format!("{shown} {:#?}", builder.build().unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_rate_of_each_api_is_that_of_its_page() {
    let rate = |api: Api| api.profile().rate().map(std::num::NonZeroU32::get);
    assert_eq!(rate(Api::Platform), Some(100));
    assert_eq!(rate(Api::Classic), Some(500));
    assert_eq!(rate(Api::Channels), Some(500));
}

use std::{sync::Arc, time::Duration};

use postduif_core::{
    Acceptance, BatchTexts, ErrorKind, Health, Price, Profile, Receipt, SendError, SenderKind,
    SmsProvider, TextLimit,
};
use postduif_layers::{Failover, Member, RateLimit, Retry, Timeout};

use crate::help::*;

use ErrorKind::{Blocked, InvalidRecipient, InvalidText, Unauthorized, Unavailable, Unsupported};

fn two() -> (Recording, Recording, Failover) {
    let (a, b) = (vendor("a", 10), vendor("b", 10));
    let provider =
        Failover::new([Member::new("a", a.clone()), Member::new("b", b.clone())]).unwrap();
    (a, b, provider)
}

fn trail(receipt: &Receipt) -> (String, Vec<String>) {
    let tried = receipt.attempts().iter();
    (
        receipt.provider().into(),
        tried.map(|a| a.provider().into()).collect(),
    )
}

#[tokio::test(start_paused = true)]
async fn the_next_vendor_gets_what_was_not_accepted_and_may_be_rerouted() {
    for &kind in ErrorKind::ALL {
        let (a, b, provider) = two();
        a.script([Scripted::refuse(kind)]);
        let travels = ![Blocked, InvalidRecipient, InvalidText].contains(&kind);
        match provider.send(&message("x")).await {
            Ok(receipt) => assert_eq!(trail(&receipt), ("b".into(), vec!["a".into()])),
            Err(error) => assert_eq!((error.kind(), error.provider()), (kind, Some("a"))),
        }
        assert_eq!(b.log().len(), usize::from(travels), "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_doubt_ends_the_failover_and_is_its_outcome() {
    for &kind in ErrorKind::ALL {
        let (a, b, provider) = two();
        a.script([Scripted::doubt(kind)]);
        let outcome = provider.send(&message("x")).await;
        assert_eq!(kind_of(&outcome), in_doubt(kind));
        assert_eq!(b.log().len(), 0);
    }
    let (a, b, provider) = two();
    a.script([Scripted::refuse(Unavailable)]);
    b.script([Scripted::doubt(Unavailable)]);
    let error = provider.send(&message("x")).await.unwrap_err();
    assert_eq!(
        (error.acceptance(), error.provider()),
        (Acceptance::Unknown, Some("b"))
    );
    assert_eq!(error.attempts().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_messages_that_may_be_rerouted_are() {
    let (a, b, provider) = two();
    let messages = messages(5);
    a.script([
        Scripted::accept(),
        Scripted::refuse(Unavailable),
        Scripted::doubt(Unavailable),
        Scripted::refuse(InvalidRecipient),
        Scripted::refuse(Unsupported),
    ]);
    b.script([Scripted::accept(), Scripted::refuse(Unauthorized)]);
    let outcomes = provider.send_batch(&messages).await;
    assert_eq!(
        kinds(&outcomes),
        [
            None,
            None,
            in_doubt(Unavailable),
            refused(InvalidRecipient),
            refused(Unauthorized)
        ]
    );
    assert_eq!(
        b.log()[0].messages,
        [messages[1].clone(), messages[4].clone()]
    );
    assert_eq!(trail(outcomes[0].as_ref().unwrap()), ("a".into(), vec![]));
    assert_eq!(
        trail(outcomes[1].as_ref().unwrap()),
        ("b".into(), vec!["a".into()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_fails_is_set_aside_and_one_call_probes_it() {
    let (a, b, provider) = two();
    let provider = Arc::new(provider.with_cooldown(30 * SECOND));
    a.script([Scripted::refuse(Unavailable)]);
    provider.send(&message("x")).await.unwrap();
    provider.send(&message("x")).await.unwrap();
    assert_eq!((a.log().len(), b.log().len()), (1, 2));

    tokio::time::advance(30 * SECOND).await;
    a.script([Scripted::accept().after(SECOND)]);
    let probe = Arc::clone(&provider);
    let probe = tokio::spawn(async move { probe.send(&message("x")).await });
    tokio::task::yield_now().await;
    for _ in 0..3 {
        provider.send(&message("x")).await.unwrap();
    }
    assert_eq!((a.log().len(), b.log().len()), (2, 5));
    assert_eq!(probe.await.unwrap().unwrap().provider(), "a");
    provider.send(&message("x")).await.unwrap();
    assert_eq!(a.log().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_lets_the_next_call_probe() {
    let (a, b, provider) = two();
    a.script([Scripted::refuse(Unavailable), Scripted::stall()]);
    provider.send(&message("x")).await.unwrap();
    tokio::time::advance(HOUR).await;
    tokio::time::timeout(SECOND, provider.send(&message("x")))
        .await
        .unwrap_err();
    assert_eq!(provider.send(&message("x")).await.unwrap().provider(), "a");
    assert_eq!((a.log().len(), b.log().len()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_sets_it_aside_again_for_the_time_it_asks_at_most() {
    let (a, _, provider) = two();
    a.script(vec![Scripted::refuse(Unavailable); 2]);
    let hinted = SendError::not_accepted(ErrorKind::Throttled, "x").with_retry_after(SECOND);
    a.script([Scripted::fail(hinted)]);
    for (pause, calls) in [(0, 1), (29, 1), (1, 2), (29, 2), (1, 3), (0, 3), (1, 4)] {
        tokio::time::advance(Duration::from_secs(pause)).await;
        provider.send(&message("x")).await.unwrap();
        assert_eq!(a.log().len(), calls);
    }
}

#[tokio::test(start_paused = true)]
async fn with_all_set_aside_the_first_is_still_tried() {
    let (a, b, provider) = two();
    a.script([Scripted::refuse(Unavailable)]);
    b.script([Scripted::refuse(Unavailable)]);
    provider.send(&message("x")).await.unwrap_err();
    assert_eq!(provider.send(&message("x")).await.unwrap().provider(), "a");
    assert_eq!((a.log().len(), b.log().len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_batch_does_not_wait_for_every_call_to_a_vendor_that_is_down() {
    let (a, b) = (vendor("a", 2), vendor("b", 100));
    let dead = Scripted::refuse(Unavailable).after(5 * SECOND);
    a.script(vec![dead; 1000]);
    let members = [Member::new("a", a.clone()), Member::new("b", b.clone())];
    let provider = Failover::new(members).unwrap().with_in_flight(size(3));
    let begun = tokio::time::Instant::now();
    let messages = messages(200);
    assert_eq!(provider.send_batch(&messages).await.accepted(), 200);
    assert!(begun.elapsed() < 6 * SECOND);
    assert_eq!(a.sizes(), [2, 2, 2]);
    assert_eq!(provider.send_batch(&messages).await.accepted(), 200);
    assert_eq!(b.sizes().last(), Some(&100));
}

#[tokio::test(start_paused = true)]
async fn a_messages_own_fault_does_not_count_against_the_vendor() {
    for kind in [
        Blocked,
        InvalidRecipient,
        InvalidText,
        Unsupported,
        ErrorKind::InvalidSender,
    ] {
        let (a, _, provider) = two();
        a.script([Scripted::refuse(kind)]);
        let _ = provider.send(&message("x")).await;
        assert_eq!(provider.send(&message("x")).await.unwrap().provider(), "a");
    }
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_leaves_doubts_is_set_aside() {
    let (a, _, _) = two();
    let b = vendor("b", 1);
    let members = [
        Member::new("a", Timeout::new(a.clone(), SECOND)),
        Member::new("b", b),
    ];
    let provider = Failover::new(members).unwrap();
    a.script([Scripted::stall()]);
    provider.send(&message("x")).await.unwrap_err();
    assert_eq!(provider.send(&message("x")).await.unwrap().provider(), "b");
}

#[tokio::test(start_paused = true)]
async fn two_accounts_of_one_vendor_are_distinguished() {
    let (one, two) = (vendor("kpn", 1), vendor("kpn", 1));
    let price: Price = "0.08 EUR".parse().unwrap();
    one.script([Scripted::refuse(Unauthorized)]);
    two.script([Scripted::accept_for(price)]);
    let members: Vec<(&str, Arc<dyn SmsProvider>)> =
        vec![("shop", Arc::new(one)), ("staff", Arc::new(two))];
    let provider = Failover::new(members).unwrap();
    assert_eq!(provider.profile().name(), "shop,staff");
    let receipt = provider.send(&message("x")).await.unwrap();
    assert_eq!(trail(&receipt), ("staff".into(), vec!["shop".into()]));
    assert_eq!(receipt.attempts()[0].error().provider(), Some("shop"));
    assert_eq!(receipt.price(), Some(price));
}

#[tokio::test(start_paused = true)]
async fn members_of_members_keep_their_names_and_their_trail() {
    let (a, b, inner) = two();
    let c = vendor("c", 1);
    a.script([Scripted::refuse(Unavailable)]);
    b.script([Scripted::refuse(Unauthorized)]);
    let outer = Failover::new([Member::new("ab", inner), Member::new("c", c)]).unwrap();
    let receipt = outer.send(&message("x")).await.unwrap();
    assert_eq!(trail(&receipt), ("c".into(), vec!["a".into(), "ab".into()]));
    assert_eq!(receipt.attempts()[1].error().provider(), Some("b"));
}

#[test]
fn members_need_different_names() {
    let member = |name: &'static str| Member::new(name, vendor("x", 1));
    assert!(Failover::new(Vec::<Member>::new()).is_err());
    assert!(Failover::new([member("a"), member("a")]).is_err());
    assert!(Failover::new([member("a,b")]).is_err());
    assert!(Failover::new([member("")]).is_err());
}

#[test]
fn the_profile_is_the_weakest_of_its_members() {
    let strong = Profile::new("s")
        .with_batch(size(100), BatchTexts::Mixed)
        .with_repeat_window(Some(HOUR))
        .with_max_schedule_ahead(48 * HOUR)
        .with_validity(SECOND, 72 * HOUR)
        .with_senders(&[
            SenderKind::Alphanumeric,
            SenderKind::Number,
            SenderKind::ShortCode,
        ])
        .with_longest_text(TextLimit::Characters(1000))
        .with_reports(true);
    let weak = Profile::new("w")
        .with_batch(size(10), BatchTexts::Mixed)
        .with_max_schedule_ahead(HOUR)
        .with_validity(60 * SECOND, 90 * HOUR)
        .with_senders(&[SenderKind::ShortCode, SenderKind::Alphanumeric])
        .with_sender_required(true)
        .with_longest_text(TextLimit::Parts(8));
    let both = Failover::new([
        Member::new("s", Recording::new(strong.clone())),
        Member::new("w", Recording::new(weak)),
    ]);
    assert_eq!(
        both.unwrap().profile(),
        &Profile::new("s,w")
            .with_batch(size(10), BatchTexts::Mixed)
            .with_max_schedule_ahead(HOUR)
            .with_validity(60 * SECOND, 72 * HOUR)
            .with_senders(&[SenderKind::Alphanumeric, SenderKind::ShortCode])
            .with_sender_required(true)
            .with_longest_text(TextLimit::Parts(6))
    );
    let alone = Failover::new([Member::new("s", Recording::new(strong.clone()))]).unwrap();
    assert_eq!(alone.profile(), &strong.with_repeat_window(None));
}

#[test]
fn the_senders_are_those_that_every_member_takes() {
    let kinds = SenderKind::ALL;
    for one in 0..1 << kinds.len() {
        for other in 0..1 << kinds.len() {
            let of = |set: usize| -> Vec<_> {
                let numbered = kinds.iter().enumerate();
                let chosen = numbered.filter(|(index, _)| set & 1 << index != 0);
                chosen.map(|(_, kind)| *kind).collect()
            };
            let member = |name: &'static str, set: usize| {
                let kinds: &'static [SenderKind] = of(set).leak();
                let profile = Profile::new(name).with_senders(kinds);
                Member::new(name, Recording::new(profile))
            };
            let both = Failover::new([member("a", one), member("b", other)]).unwrap();
            assert_eq!(both.profile().senders(), of(one & other));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_option_that_not_all_support_is_refused_before_any_call() {
    let (a, bare) = (vendor("a", 1), Recording::new(Profile::new("bare")));
    let members = [Member::new("a", a.clone()), Member::new("bare", bare)];
    let provider = Failover::new(members).unwrap();
    let wish = message("x").with_sender("Contoso".parse().unwrap());
    let outcomes = provider.send_batch(&[wish, message("x")]).await;
    assert_eq!(kinds(&outcomes), [refused(Unsupported), None]);
    assert_eq!(a.log().len(), 1);
}

#[tokio::test]
async fn check_checks_every_member() {
    let refusal = || Ok(Health::refused(SendError::not_accepted(Unauthorized, "x")));
    let refused_by_b = || {
        Ok(Health::refused(
            SendError::not_accepted(Unauthorized, "x").with_provider("b"),
        ))
    };
    let error = || Err(SendError::not_accepted(Unauthorized, "x"));
    let away = || Err(SendError::not_accepted(Unavailable, "x"));
    let rich = || Ok(Health::verified().with_balance("5 EUR".parse().unwrap()));
    for (one, other, expected) in [
        (rich(), rich(), Ok(Health::verified())),
        (rich(), Ok(Health::unknown()), Ok(Health::unknown())),
        (Ok(Health::unknown()), refusal(), refused_by_b()),
        (away(), refusal(), refused_by_b()),
        // From a provider that returns the refusal as an error.
        (away(), error(), refused_by_b()),
        (away(), rich(), Err(("a", Unavailable))),
    ] {
        let (a, b, provider) = two();
        a.script_checks([one]);
        b.script_checks([other]);
        let health = provider.check().await;
        let health = health
            .as_ref()
            .map_err(|e| (e.provider().unwrap(), e.kind()));
        assert_eq!(health.cloned(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn its_own_limits_do_not_set_a_member_aside() {
    let (a, b) = (vendor("a", 1), vendor("b", 1));
    let limit = RateLimit::new(a.clone(), count(1)).with_max_wait(SECOND / 2);
    let members = [Member::new("a", limit), Member::new("b", b.clone())];
    let provider = Failover::new(members).unwrap();
    for _ in 0..2 {
        provider.send(&message("x")).await.unwrap();
    }
    assert_eq!((a.log().len(), b.log().len()), (1, 1));
    tokio::time::advance(2 * SECOND).await;
    assert_eq!(provider.send(&message("x")).await.unwrap().provider(), "a");
}

#[tokio::test(start_paused = true)]
async fn earlier_attempts_at_a_member_carry_its_name() {
    let (one, two) = (vendor("kpn", 1), vendor("kpn", 1));
    one.script([Scripted::refuse(Unauthorized)]);
    two.script([Scripted::refuse(Unavailable)]);
    let provider = Failover::new([
        Member::new("shop", Retry::new(one)),
        Member::new("staff", Retry::new(two)),
    ])
    .unwrap();
    let receipt = provider.send(&message("x")).await.unwrap();
    assert_eq!(
        trail(&receipt),
        ("staff".into(), vec!["shop".into(), "staff".into()])
    );
    assert_eq!(receipt.attempts()[1].error().provider(), Some("staff"));
}

#[tokio::test(start_paused = true)]
async fn a_cooldown_without_end_sets_a_member_aside_for_good() {
    let (a, _, provider) = two();
    let provider = provider.with_cooldown(Duration::MAX);
    a.script([Scripted::refuse(Unavailable)]);
    for _ in 0..2 {
        provider.send(&message("x")).await.unwrap();
        tokio::time::advance(100 * HOUR).await;
    }
    assert_eq!(a.log().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_outcome_is_not_rerouted() {
    let (a, b, c) = (vendor("a", 10), vendor("b", 10), vendor("c", 10));
    a.script(vec![Scripted::refuse(Unavailable); 3]);
    let provider = Failover::new([
        Member::new("a", a),
        Member::new("b", Short(b)),
        Member::new("c", c.clone()),
    ])
    .unwrap();
    let outcomes = provider.send_batch(&messages(3)).await;
    assert_eq!(
        outcomes[2].as_ref().unwrap_err().acceptance(),
        Acceptance::Unknown
    );
    assert!(c.log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_waits_in_a_member_set_aside_goes_to_the_next_at_once() {
    for batch in [false, true] {
        let (a, b) = (vendor("a", 1), vendor("b", 1));
        let members = [
            Member::new("a", Slow::by_text(&a)),
            Member::new("b", b.clone()),
        ];
        let provider = Arc::new(Failover::new(members).unwrap());
        a.script([Scripted::refuse(Unavailable)]);
        let begun = tokio::time::Instant::now();
        let waiting = {
            let provider = Arc::clone(&provider);
            tokio::spawn(async move {
                let waiting = message("waits");
                if batch {
                    provider.send_batch(&[waiting]).await.into_single()
                } else {
                    provider.send(&waiting).await
                }
            })
        };
        tokio::task::yield_now().await;
        provider.send(&message("goes")).await.unwrap();
        assert_eq!(waiting.await.unwrap().unwrap().provider(), "b");
        assert_eq!(begun.elapsed(), Duration::ZERO);
        tokio::time::sleep(2 * HOUR).await;
        assert_eq!(a.log().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn no_message_waits_long_for_a_vendor_while_another_is_open() {
    let busy = SendError::not_accepted(ErrorKind::Throttled, "slower").with_retry_after(5 * SECOND);
    for scripted in [Scripted::fail(busy), Scripted::refuse(ErrorKind::Timeout)] {
        let (a, b) = (vendor("a", 1), vendor("b", 1));
        a.script([scripted]);
        let provider = Failover::new([
            Member::new("a", Retry::new(a.clone())),
            Member::new("b", Retry::new(b)),
        ])
        .unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(provider.send(&message("x")).await.unwrap().provider(), "b");
        assert_eq!((begun.elapsed(), a.log().len()), (Duration::ZERO, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_member_is_waited_for() {
    let (a, b) = (vendor("a", 1), vendor("b", 1));
    a.script([Scripted::refuse(Unauthorized)]);
    let busy = SendError::not_accepted(ErrorKind::Throttled, "slower").with_retry_after(5 * SECOND);
    b.script([Scripted::fail(busy)]);
    let provider = Failover::new([
        Member::new("a", Retry::new(a)),
        Member::new("b", Retry::new(b.clone())),
    ])
    .unwrap();
    assert_eq!(provider.send(&message("x")).await.unwrap().provider(), "b");
    assert_eq!(b.log().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_repeat_does_not_queue_while_another_member_is_open() {
    let (a, b) = (vendor("a", 1), vendor("b", 1));
    let limit = RateLimit::new(a.clone(), count(1)).with_burst(count(1));
    let provider = Arc::new(
        Failover::new([
            Member::new("a", Retry::new(limit)),
            Member::new("b", b.clone()),
        ])
        .unwrap(),
    );
    a.script([Scripted::refuse(Unavailable).after(SECOND / 2)]);
    let send = || {
        let provider = Arc::clone(&provider);
        tokio::spawn(async move { provider.send(&message("x")).await })
    };
    let begun = tokio::time::Instant::now();
    let first = send();
    let rest: Vec<_> = (0..20).map(|_| send()).collect();
    assert_eq!(first.await.unwrap().unwrap().provider(), "b");
    assert!(begun.elapsed() < 3 * SECOND, "{:?}", begun.elapsed());
    for send in rest {
        send.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_vendor_that_stalls_before_anything_leaves_costs_no_message_and_its_deadline_once() {
    let (a, b) = (vendor("a", 1), vendor("b", 1));
    let stack = |inner| Retry::new(RateLimit::new(Timeout::new(inner, 8 * SECOND), count(10)));
    let provider = Arc::new(
        Failover::new([
            Member::new("a", stack(slow(&a, HOUR))),
            Member::new("b", stack(slow(&b, Duration::ZERO))),
        ])
        .unwrap(),
    );
    let begun = tokio::time::Instant::now();
    let sends: Vec<_> = messages(200)
        .into_iter()
        .map(|message| {
            let provider = Arc::clone(&provider);
            tokio::spawn(async move { provider.send(&message).await })
        })
        .collect();
    for send in sends {
        assert_eq!(send.await.unwrap().unwrap().provider(), "b");
    }
    // The deadline once, and then what the rate of the second allows.
    assert!(begun.elapsed() < 28 * SECOND, "{:?}", begun.elapsed());
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!((a.log().len(), b.log().len()), (0, 200));
}

#[tokio::test(start_paused = true)]
async fn a_member_that_a_message_was_withdrawn_from_is_its_last_resort() {
    for batch in [false, true] {
        let (a, b) = (vendor("a", 2), vendor("b", 2));
        let failing = Scripted::refuse(ErrorKind::Unavailable).after(SECOND / 100);
        a.script([Scripted::accept(), failing]);
        let refusing = Scripted::refuse(ErrorKind::InsufficientBalance).after(SECOND / 100);
        b.script(vec![refusing; 10]);
        let members = [
            Member::new("a", RateLimit::new(a.clone(), count(1))),
            Member::new("b", b.clone()),
        ];
        let provider = Arc::new(Failover::new(members).unwrap());
        provider.send(&message("first")).await.unwrap();
        let sends: Vec<_> = messages(3)
            .into_iter()
            .map(|message| {
                let provider = Arc::clone(&provider);
                tokio::spawn(async move {
                    if batch {
                        provider.send_batch(&[message]).await.into_iter().next()
                    } else {
                        Some(provider.send(&message).await)
                    }
                })
            })
            .collect();
        let mut outcomes = Vec::new();
        for send in sends {
            outcomes.push(send.await.unwrap().unwrap());
        }
        let kinds: Vec<_> = outcomes.iter().map(kind_of).collect();
        assert_eq!(
            kinds,
            [refused(ErrorKind::InsufficientBalance), None, None],
            "batch {batch}"
        );
        for last in outcomes.iter().flatten() {
            let tried: Vec<_> = last.attempts().iter().map(|t| t.provider()).collect();
            assert_eq!((last.provider(), tried), ("a", vec!["a", "b"]));
        }
    }
}

use std::panic::{AssertUnwindSafe, catch_unwind};

use postduif_testkit::{FakeVendor, Verdict, block_on, promises};

use crate::acme::{Acme, Flaw, Modest, Nameless};

mod a_right_provider_keeps {
    postduif_testkit::conformance!(crate::acme::Acme(None));
}

mod a_modest_provider_keeps {
    postduif_testkit::conformance!(crate::acme::Modest);
}

#[track_caller]
fn assert_broken(flaw: Flaw, promise: impl FnOnce(Acme) -> Verdict) {
    let verdict = catch_unwind(AssertUnwindSafe(|| promise(Acme(Some(flaw)))));
    assert!(verdict.is_err(), "{flaw:?} was not found: {verdict:?}");
}

/// Makes a test of each promise, which each of these mistakes breaks.
macro_rules! mistakes {
    ($($promise:ident: $($flaw:ident)+;)+) => {
        mod a_wrong_provider_breaks {
            use super::*;

            $(
                #[test]
                fn $promise() {
                    for flaw in [$(Flaw::$flaw),+] {
                        assert_broken(flaw, |vendor| block_on(promises::$promise(&vendor)));
                    }
                }
            )+
        }

        const PROMISES: &[&str] = &[$(stringify!($promise)),+];

        /// Returns the skipped parts for a vendor, by promise.
        fn skipped(vendor: impl FakeVendor) -> Vec<(&'static str, Vec<String>)> {
            // Concurrently, since most of the time is waiting.
            std::thread::scope(|scope| {
                let tried = [$(
                    scope.spawn(|| block_on(promises::$promise(&vendor)).why_skipped().to_vec())
                ),+];
                let whys = tried.map(|tried| tried.join().unwrap());
                PROMISES.iter().copied().zip(whys).collect()
            })
        }
    };
}

mistakes! {
    a_message_arrives_as_it_is: ChangesText;
    a_refusal_by_the_vendor_was_not_sent: RefusalInDoubt;
    refused_credentials_are_unauthorized: CheckFailsOnRefusal CredentialsAreOther RepeatsRefusedCredentials;
    a_refused_connection_was_not_sent: ConnectionInDoubt;
    a_lost_response_is_unknown: LostResponseRefuses;
    a_stall_is_unknown_and_ends_in_time: SlowerThanDeadline;
    a_response_from_a_proxy_is_unknown: AnyBodyRefuses;
    foreign_json_is_unknown: AnyJsonRefuses;
    an_unlisted_refusal_is_not_sent_again: RepeatsUnlistedRefusal;
    a_refusal_beside_an_id_is_unknown: RefusalBesideIdRefuses;
    a_status_that_proves_no_refusal_is_unknown: GivingUpRefuses;
    a_status_given_before_reading_was_not_sent: StatusInDoubt;
    a_failing_server_is_unknown: ServerFailureRefuses OwnShapeRefusesAlways;
    a_redirect_is_not_followed: FollowsRedirects;
    rubbish_in_a_success_is_unknown: AnySuccessAccepts;
    a_broken_body_is_unknown: BrokenBodyAccepts;
    an_acceptance_without_a_usable_id_is_unknown: KeepsAnyId;
    an_acceptance_of_another_message_is_unknown: AcceptsAnyResponse;
    a_wrong_content_type_changes_nothing: InsistsOnContentType;
    nothing_of_the_message_is_in_an_error: RepeatsWords;
    a_code_that_echoes_the_text_is_not_kept: KeepsAnyCode;
    no_secret_is_shown_anywhere: ShowsKey ShowsKeyInError ShowsSender LogsKey LogsText;
    a_vendor_message_is_kept_only_if_asked_for: KeepsAnyWords ForgetsWords;
    a_vendor_message_repeats_nothing_of_ours: KeepsAnyWords;
    an_option_is_applied_or_refused: DropsValidity TakesScheduleUndeclared;
    an_option_where_possible_is_applied_or_dropped: DropsValidity IgnoresWherePossible ReportsNothingDropped;
    a_message_without_a_required_sender_is_refused: NeedsNoSender;
    a_text_too_long_is_refused_before_any_call: AcceptsAnyLength;
    a_declared_report_finds_its_message: ForgetsReference;
    a_repeat_inside_the_window_is_the_same_request: NewKeyForEachTry;
    a_check_sends_no_text: CheckSends;
    a_check_is_never_in_doubt: CheckInDoubt;
    a_stalled_token_request_is_not_accepted: DoubtWhileWaitingForToken;
    a_dropped_send_is_made_at_most_once: SendsTwice SendsAgainWhenDropped;
    a_message_in_doubt_is_not_sent_again_later: RepeatsDoubtLater;
    a_batch_has_one_outcome_for_each_message_in_order: LosesOutcomes;
    a_batch_sends_each_message_once: RepeatsFirstOfBatch;
    a_call_holds_one_text_where_the_vendor_takes_one: MixesTexts WastesCalls;
    a_refused_batch_was_not_sent: RefusesBatchesInDoubt;
    a_lost_response_to_a_batch_is_unknown: RepeatsBatchSingly RepeatsLateBatch;
    a_response_from_a_proxy_leaves_a_batch_in_doubt: RepeatsBlockedBatch RefusesBlockedBatch;
    a_failing_server_leaves_a_batch_in_doubt: RepeatsFailedBatch OwnShapeRefusesAlways;
    rubbish_in_a_success_leaves_a_batch_in_doubt: AcceptsRubbishBatch RepeatsBlockedBatch;
    a_batch_carries_each_message_as_a_send_does: DropsOptionsOfBatch AdmitsAnyBatch;
    shuffled_or_duplicate_entries_find_their_message: MatchesByPosition;
    a_missing_entry_is_unknown: LeftOutIsAccepted;
}

#[test]
fn every_promise_is_broken_by_a_flaw() {
    let sources = [
        include_str!("../../src/conformance/promises.rs"),
        include_str!("../../src/conformance/batches.rs"),
    ];
    let promises: Vec<_> = sources
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("pub async fn "))
        .filter_map(|rest| rest.split('(').next())
        .collect();
    assert_eq!(promises, PROMISES);
    // The macro makes a test of each.
    let list = include_str!("../../src/conformance/mod.rs");
    for promise in promises {
        let line = format!("            {promise}\n");
        assert_eq!(list.matches(&line).count(), 1, "{promise}");
    }
}

#[test]
fn nothing_is_skipped_for_a_vendor_with_every_feature() {
    for (promise, why) in skipped(Acme(None)) {
        assert_eq!(why, [""; 0], "{promise}");
    }
}

#[test]
fn a_promise_that_does_not_apply_is_skipped_by_name() {
    let skipped = skipped(Modest).into_iter();
    let skipped: Vec<_> = skipped
        .filter(|(_, why)| !why.is_empty())
        .map(|(promise, _)| promise)
        .collect();
    let expected = [
        "refused_credentials_are_unauthorized",
        "an_unlisted_refusal_is_not_sent_again",
        "a_status_that_proves_no_refusal_is_unknown",
        "an_acceptance_without_a_usable_id_is_unknown",
        "an_acceptance_of_another_message_is_unknown",
        "a_code_that_echoes_the_text_is_not_kept",
        "no_secret_is_shown_anywhere",
        "a_vendor_message_is_kept_only_if_asked_for",
        "a_vendor_message_repeats_nothing_of_ours",
        "a_message_without_a_required_sender_is_refused",
        "a_text_too_long_is_refused_before_any_call",
        "a_declared_report_finds_its_message",
        "a_repeat_inside_the_window_is_the_same_request",
        "a_stalled_token_request_is_not_accepted",
        "a_call_holds_one_text_where_the_vendor_takes_one",
        "shuffled_or_duplicate_entries_find_their_message",
        "a_missing_entry_is_unknown",
    ];
    assert_eq!(skipped, expected);
}

/// Returns the message of the panic of a broken promise.
fn panic_message(promise: impl FnOnce() -> Verdict) -> String {
    let broken = catch_unwind(AssertUnwindSafe(promise)).expect_err("the promise is broken");
    match broken.downcast_ref::<&str>() {
        Some(text) => (*text).to_owned(),
        None => *broken.downcast::<String>().expect("a message"),
    }
}

#[test]
fn a_provider_without_a_sender_panics_with_what_to_do() {
    let message = panic_message(|| block_on(promises::a_message_arrives_as_it_is(&Nameless)));
    for words in ["default sender", "FakeVendor::without_sender"] {
        assert!(message.contains(words), "{words}: {message}");
    }
}

#[test]
fn an_unusable_id_that_is_kept_panics_with_what_to_use() {
    let vendor = Acme(Some(Flaw::KeepsAnyId));
    let message = panic_message(|| {
        block_on(promises::an_acceptance_without_a_usable_id_is_unknown(
            &vendor,
        ))
    });
    assert!(message.contains("Response::message_id"), "{message}");
}

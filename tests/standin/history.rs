//! Each check across requests fails when it should, and only then.

use super::client::{Client, Request, T, ask, lines, push, stream};
use crate::support::loki::{Answer, Answered, Rules};
use crate::support::{Fault, Loki};

const HOUR: i64 = 3_600_000_000_000;

fn violated(loki: &Loki, why: &str) {
    let violations = loki.violations();
    let last = violations.last().map_or("nothing", String::as_str);
    assert!(last.contains(why), "{why:?} expected, got {last}");
}

#[test]
fn a_request_that_got_its_success_never_comes_again() {
    let loki = Loki::start();
    assert_eq!(push(&loki, lines(&[(T, "one")])).status, 204);
    assert_eq!(push(&loki, lines(&[(T, "one")])).status, 400);
    violated(&loki, "request 2: request 1 came again");
}

#[test]
fn a_request_refused_with_400_never_comes_again() {
    let loki = Loki::start();
    loki.fault(Fault::Status(400));
    let refusal = Answer::error(400, "couldn't parse labels: odd");
    loki.fault(Fault::Answer(refusal));
    push(&loki, lines(&[(T, "one")]));
    push(&loki, lines(&[(T, "one")]));
    assert!(
        loki.violations().is_empty(),
        "the first was no refusal of Loki's"
    );
    push(&loki, lines(&[(T, "one")]));
    violated(&loki, "request 2 came again");
}

#[test]
fn bytes_resent_after_a_lost_answer_are_kept_once() {
    let loki = Loki::start();
    loki.faults([
        Fault::LostAnswer,
        Fault::store_then(503),
        Fault::StoreThen(Answer::new(260)),
    ]);
    let json = lines(&[(T, "one"), (T + 1, "two")]);
    Client::connect(&loki)
        .ask(&Request::push(&json))
        .unwrap_err();
    assert_eq!(push(&loki, &json).status, 503);
    assert_eq!(push(&loki, &json).status, 260);
    assert_eq!(push(&loki, &json).status, 204);
    assert_eq!(loki.lines(), ["one", "two"]);
    loki.assert_clean();
}

#[test]
fn a_stored_entry_in_other_bytes_is_sent_twice() {
    let loki = Loki::start();
    loki.fault(Fault::LostAnswer);
    let whole = Request::push(lines(&[(T, "one"), (T + 1, "two")]));
    Client::connect(&loki).ask(&whole).unwrap_err();
    assert_eq!(push(&loki, lines(&[(T, "one")])).status, 400);
    violated(&loki, "entry sent twice: 1760000000000000000 \"one\"");
    // Another tenant's entry is another entry.
    let other = Request::push(lines(&[(T, "one")])).with("X-Scope-OrgID", "b");
    assert_eq!(ask(&loki, &other).status, 204);
}

#[test]
fn halves_of_a_request_that_was_not_stored_are_fine() {
    let loki = Loki::start();
    loki.fault(Fault::Status(413));
    push(&loki, lines(&[(T, "one"), (T + 1, "two")]));
    assert_eq!(push(&loki, lines(&[(T, "one")])).status, 204);
    assert_eq!(push(&loki, lines(&[(T + 1, "two")])).status, 204);
    loki.assert_clean();
}

#[test]
fn a_retry_is_not_stamped_anew() {
    let loki = Loki::start();
    loki.fault(Fault::Status(503));
    push(&loki, lines(&[(T, "one")]));
    assert_eq!(push(&loki, lines(&[(T + 5, "one")])).status, 400);
    violated(&loki, "stamped twice");
    loki.limits(|limits| limits.keep_times = false);
    assert_eq!(push(&loki, lines(&[(T + 6, "one")])).status, 204);
}

#[test]
fn a_retry_is_not_encoded_anew() {
    let loki = Loki::start();
    loki.fault(Fault::Status(429));
    let json = lines(&[(T, "one")]);
    push(&loki, &json);
    assert_eq!(push(&loki, format!("{json} ")).status, 400);
    violated(&loki, "encoded twice");
}

#[test]
fn equal_lines_that_were_delivered_are_no_retry() {
    let loki = Loki::start();
    loki.fault(Fault::Status(503));
    push(&loki, lines(&[(T, "tick")]));
    push(&loki, lines(&[(T, "tick")]));
    push(&loki, lines(&[(T + 1, "tick")]));
    assert_eq!(loki.lines(), ["tick", "tick"]);
    loki.assert_clean();
}

#[test]
fn one_stream_has_one_request_under_way() {
    let loki = Loki::start();
    loki.faults([Fault::Hang, Fault::Pass]);
    let mut first = Client::connect(&loki);
    first.send(&Request::push(lines(&[(T, "one")]))).unwrap();
    loki.wait_for_held(1);
    let other = stream(r#"{"app":"b"}"#, &[(T, "one")]);
    assert_eq!(push(&loki, other).status, 204);
    assert!(loki.violations().is_empty());
    assert_eq!(push(&loki, lines(&[(T + 1, "two")])).status, 400);
    violated(&loki, "request 1 of the same stream is still under way");
    loki.release();
    assert_eq!(first.reply().unwrap().status, 204);
    assert_eq!(loki.max_concurrent(), 2);
}

#[test]
fn a_client_that_gave_up_waiting_may_try_again() {
    let loki = Loki::start();
    loki.fault(Fault::Hang);
    let request = Request::push(lines(&[(T, "one")]));
    let mut first = Client::connect(&loki);
    first.send(&request).unwrap();
    loki.wait_for_held(1);
    drop(first);
    assert_eq!(ask(&loki, &request).status, 204);
    assert_eq!(loki.requests()[0].answered, Answered::Gone);
    assert_eq!(loki.max_concurrent(), 1);
    loki.release();
    loki.assert_clean();
}

#[test]
fn a_client_that_gave_up_on_a_request_just_read_may_try_again() {
    let loki = Loki::start();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let (wait, read) = (std::sync::Mutex::new(wait), std::sync::mpsc::channel());
    let told = read.0;
    loki.respond_with(move |push| {
        if push.number == 1 {
            told.send(()).unwrap();
            _ = wait.lock().unwrap().recv();
        }
        None
    });
    let request = Request::push(lines(&[(T, "one")]));
    let mut first = Client::connect(&loki);
    first.send(&request).unwrap();
    read.1.recv().unwrap();
    drop(first);
    assert_eq!(ask(&loki, &request).status, 204);
    assert_eq!(loki.requests()[0].answered, Answered::Gone);
    drop(go_on);
    loki.stop();
    loki.assert_clean();
}

#[test]
fn a_new_client_may_batch_and_stamp_anew() {
    let loki = Loki::start();
    push(&loki, lines(&[(T, "one"), (T + 1, "two")]));
    loki.fault(Fault::Status(503));
    push(&loki, lines(&[(T + 2, "three")]));
    loki.client_restarted();
    push(&loki, lines(&[(T + 1, "two")]));
    push(&loki, lines(&[(T + 3, "three")]));
    assert_eq!(loki.lines(), ["one", "two", "three"]);
    push(&loki, stream(r#"{"app":"b"}"#, &[(T, "x")]));
    loki.client_restarted();
    let mixed = [(T - 2 * HOUR, "y"), (T, "z")];
    push(&loki, stream(r#"{"app":"b"}"#, &mixed));
    loki.assert_clean();
}

#[test]
fn what_a_killed_client_had_answered_may_come_again_once() {
    let loki = Loki::start();
    let json = lines(&[(T, "one"), (T + 1, "two")]);
    push(&loki, &json);
    loki.client_restarted();
    assert_eq!(push(&loki, &json).status, 204);
    assert_eq!(loki.lines(), ["one", "two"]);
    assert!(loki.violations().is_empty());
    push(&loki, &json);
    violated(&loki, "request 2 came again");
}

#[test]
fn old_entries_keep_apart_from_fresh_ones() {
    let loki = Loki::start();
    push(&loki, lines(&[(T - 2 * HOUR, "a"), (T, "b")]));
    push(&loki, lines(&[(T - 2 * HOUR, "c"), (T - HOUR - 1, "d")]));
    assert!(loki.violations().is_empty());
    push(&loki, lines(&[(T - 2 * HOUR, "e"), (T - HOUR, "f")]));
    violated(&loki, "1 entries more than an hour behind");
}

#[test]
fn entries_refused_by_the_rules_are_not_stored_and_the_rest_is() {
    let loki = Loki::start();
    loki.validate(Rules {
        max_line: Some(3),
        ..Rules::default()
    });
    let reply = push(&loki, lines(&[(T, "one"), (T + 1, "three")]));
    assert_eq!(reply.status, 400);
    assert_eq!(loki.lines(), ["one"]);
    push(&loki, lines(&[(T, "one")]));
    violated(&loki, "entry sent twice");
}

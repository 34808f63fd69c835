//! Each fault does what it says.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::client::{Client, Request, T, ask, lines, push, stream};
use crate::support::loki::{Answer, Answered, Auth, PATIENCE};
use crate::support::{Fault, Loki};

fn one() -> Request {
    Request::push(lines(&[(T, "one")]))
}

#[test]
fn statuses_with_headers_and_bodies() {
    let loki = Loki::start();
    let own = Answer::new(429)
        .header("Retry-After", "7")
        .body("slow down");
    loki.faults([
        Fault::Status(503),
        Fault::Answer(own),
        Fault::retry_after(503, "3"),
        Fault::nginx_too_large(),
        Fault::Redirect("http://elsewhere/".into(), 301),
    ]);
    let mut client = Client::connect(&loki);
    let reply = client.ask(&one()).unwrap();
    assert_eq!((reply.status, &*reply.body), (503, "Service Unavailable\n"));
    let reply = client.ask(&one()).unwrap();
    assert_eq!((reply.status, &*reply.body), (429, "slow down"));
    assert!(reply.head.contains("Retry-After: 7\r\n"), "{reply:?}");
    assert!(reply.head.contains("Date: "), "{reply:?}");
    let reply = client.ask(&one()).unwrap();
    assert!(reply.head.contains("Retry-After: 3\r\n"), "{reply:?}");
    let reply = client.ask(&one()).unwrap();
    assert!(reply.status == 413 && reply.body.starts_with("<html>"));
    let reply = client.ask(&one()).unwrap();
    assert_eq!(reply.status, 301);
    assert!(reply.head.contains("Location: http://elsewhere/\r\n"));
    assert!(loki.entries().is_empty());
    assert_eq!(client.ask(&one()).unwrap().status, 204);
    assert_eq!(loki.connections(), 1);
    let answers: Vec<_> = loki.requests().iter().map(|p| p.answered).collect();
    let statuses = [503, 429, 503, 413, 301, 204].map(Answered::Status);
    assert_eq!(answers, statuses);
    loki.assert_clean();
}

#[test]
fn script_hook_and_standing_rule() {
    let loki = Loki::start();
    loki.always(Fault::Status(500));
    loki.faults([Fault::Pass, Fault::Status(502)]);
    let next = |i: i64| push(&loki, lines(&[(T + i, &i.to_string())])).status;
    assert_eq!([next(0), next(1), next(2), next(3)], [204, 502, 500, 500]);
    loki.respond_with(|push| (push.labels["app"] == "b").then_some(Fault::Status(429)));
    assert_eq!(next(4), 500);
    loki.clear();
    loki.respond_with(|push| (push.labels["app"] == "b").then_some(Fault::Status(429)));
    assert_eq!(next(5), 204);
    let other = stream(r#"{"app":"b"}"#, &[(T, "x")]);
    assert_eq!(push(&loki, other).status, 429);
    loki.clear();
    assert_eq!(next(6), 204);
    loki.assert_clean();
}

#[test]
fn a_lost_answer_is_a_plain_end() {
    let loki = Loki::start();
    loki.fault(Fault::LostAnswer);
    let mut client = Client::connect(&loki);
    client.send(&one()).unwrap();
    assert_eq!(client.0.read(&mut [0]).unwrap(), 0);
    assert_eq!(loki.lines(), ["one"]);
    assert_eq!(loki.requests()[0].answered, Answered::Dropped);
}

#[test]
fn a_reset_is_a_reset() {
    for fault in [Fault::Reset, Fault::ResetMidBody] {
        let loki = Loki::start();
        loki.fault(fault.clone());
        let mut client = Client::connect(&loki);
        // A client that is still sending may notice when it writes.
        let sent = client.send(&one());
        let error = sent.and_then(|()| client.0.read(&mut [0]));
        assert_eq!(error.unwrap_err().kind(), ErrorKind::ConnectionReset);
        assert!(loki.entries().is_empty());
        assert_eq!(loki.requests()[0].answered, Answered::Reset, "{fault:?}");
        assert_eq!(ask(&loki, &one()).status, 204);
        loki.assert_clean();
    }
}

#[test]
fn a_hook_can_drop_the_connection() {
    let loki = Loki::start();
    loki.respond_with(|push| (push.number == 1).then_some(Fault::Reset));
    let mut client = Client::connect(&loki);
    client.send(&one()).unwrap();
    assert!(matches!(client.0.read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!(loki.requests()[0].entries[0].line, "one");
    assert!(loki.entries().is_empty());
}

#[test]
fn slow_answers_late() {
    let loki = Loki::start();
    loki.fault(Fault::Slow(Duration::from_millis(80)));
    let began = Instant::now();
    assert_eq!(ask(&loki, &one()).status, 204);
    assert!(began.elapsed() >= Duration::from_millis(80));
    assert_eq!(loki.lines(), ["one"]);
}

#[test]
fn slow_and_hang_end_with_a_release() {
    for fault in [Fault::Slow(Duration::from_hours(1)), Fault::Hang] {
        let loki = Loki::start();
        let slow = fault != Fault::Hang;
        loki.fault(fault);
        let mut client = Client::connect(&loki);
        client.send(&one()).unwrap();
        loki.wait_for_held(1);
        assert_eq!(loki.entries().len(), usize::from(slow));
        loki.release();
        assert_eq!(client.reply().unwrap().status, 204);
        assert_eq!(loki.lines(), ["one"]);
        loki.assert_clean();
    }
}

#[test]
fn a_client_that_left_a_slow_answer_was_not_told() {
    let loki = Loki::start();
    loki.fault(Fault::Slow(Duration::from_millis(50)));
    let mut client = Client::connect(&loki);
    client.send(&one()).unwrap();
    loki.wait_for_entries(1);
    drop(client);
    loki.wait_for_answers(1);
    assert_eq!(loki.requests()[0].answered, Answered::Gone);
    assert_eq!(ask(&loki, &one()).status, 204);
    assert_eq!(loki.lines(), ["one"]);
    loki.assert_clean();
}

#[test]
fn stop_ends_everything_and_restart_keeps_what_was_stored() {
    let loki = Loki::start();
    assert_eq!(ask(&loki, &one()).status, 204);
    let mut idle = Client::connect(&loki);
    loki.fault(Fault::Hang);
    let mut hanging = Client::connect(&loki);
    let two = Request::push(lines(&[(T + 1, "two")]));
    hanging.send(&two).unwrap();
    loki.wait_for_held(1);
    loki.stop();
    assert!(matches!(idle.0.read(&mut [0]), Ok(0) | Err(_)));
    assert!(hanging.reply().is_err());
    let refused = TcpStream::connect(("127.0.0.1", loki.port()));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    loki.restart();
    assert_eq!(ask(&loki, &two).status, 204);
    assert_eq!(loki.lines(), ["one", "two"]);
    loki.restart();
    loki.restart();
    loki.assert_clean();
}

#[test]
fn nothing_listens_on_a_reserved_port_until_it_is_opened() {
    let loki = Loki::reserve();
    let refused = TcpStream::connect(("127.0.0.1", loki.port()));
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::ConnectionRefused);
    loki.restart();
    assert_eq!(ask(&loki, &one()).status, 204);
    let port = loki.port();
    drop(loki);
    let again = Loki::start_on(port);
    assert_eq!(ask(&again, &one()).status, 204);
    assert_eq!(again.url(), format!("http://127.0.0.1:{port}"));
}

#[test]
fn hang_up_ends_connections_and_goes_on_listening() {
    let loki = Loki::start();
    let mut client = Client::connect(&loki);
    assert_eq!(client.ask(&one()).unwrap().status, 204);
    loki.hang_up();
    assert!(matches!(client.0.read(&mut [0]), Ok(0) | Err(_)));
    let two = Request::push(lines(&[(T + 1, "two")]));
    assert_eq!(ask(&loki, &two).status, 204);
    assert_eq!(loki.connections(), 2);
}

#[test]
fn a_client_that_dies_in_the_middle_of_a_request_is_no_violation() {
    let loki = Loki::start();
    let mut client = Client::connect(&loki);
    let request = one();
    client.0.write_all(request.head().as_bytes()).unwrap();
    client.0.write_all(&request.body[..5]).unwrap();
    drop(client);
    loki.wait_for_answers(1);
    assert_eq!(loki.requests()[0].answered, Answered::Gone);
    loki.assert_clean();
}

#[test]
fn credentials() {
    let loki = Loki::start();
    loki.require(Auth::Bearer("t0k".into()));
    let reply = ask(&loki, &one());
    assert_eq!(reply.status, 401);
    assert!(reply.body.contains("401 Authorization Required"));
    let request = one().with("Authorization", "Bearer t0k");
    assert_eq!(ask(&loki, &request).status, 204);
    loki.require(Auth::Basic {
        user: "u".into(),
        password: "p".into(),
    });
    let two = Request::push(lines(&[(T + 1, "two")]));
    let reply = ask(&loki, &two);
    assert!(reply.head.contains("WWW-Authenticate: Basic"), "{reply:?}");
    let request = two.clone().with("Authorization", "Basic dTpw");
    assert_eq!(ask(&loki, &request).status, 204);
    assert_eq!(loki.entries().len(), 2);
    loki.assert_clean();
}

#[test]
fn a_tenant() {
    let loki = Loki::start();
    loki.require_tenant();
    let reply = ask(&loki, &one());
    assert_eq!((reply.status, &*reply.body), (401, "no org id\n"));
    let request = one().with("X-Scope-OrgID", "team");
    assert_eq!(ask(&loki, &request).status, 204);
    assert_eq!(loki.requests()[1].tenant, "team");
    loki.assert_clean();
}

#[test]
fn a_child_that_is_just_being_born_does_not_hinder_a_restart() {
    // Between its fork and its exec it holds a copy of the listening socket.
    let loki = Loki::start();
    let (born, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let deadline = Instant::now() + PATIENCE;
                while !over.load(Ordering::Relaxed) && Instant::now() < deadline {
                    let child = Command::new("true").process_group(0).status();
                    born.fetch_add(usize::from(child.is_ok()), Ordering::Relaxed);
                }
            });
        }
        (0..200).for_each(|_| loki.restart());
        over.store(true, Ordering::Relaxed);
    });
    assert!(born.into_inner() > 0);
    assert_eq!(ask(&loki, &one()).status, 204);
}

//! Draining a spool, and whose entries are whose: what goes to another URL, tenant, user or token
//! stays where it is until it is asked for.

use std::fs;
use std::path::Path;

use crate::support::loki::Answer;
use crate::support::{Dir, Fault, Finished, Loki, LokiPush};

/// A run with a spool that gives up soon where there is no Loki.
fn with_spool(loki: &Loki, dir: &Dir) -> LokiPush {
    let patience = if loki.is_open() { "30s" } else { "300ms" };
    LokiPush::new(loki)
        .args(["--summary", "json", "--flush-timeout", patience])
        .args(["--retry-backoff", "50ms", "--spool"])
        .arg(dir.join("spool"))
}

/// Leaves an entry in the spool.
fn leave(loki: &Loki, dir: &Dir, args: &[&str], line: &str) {
    let run = with_spool(loki, dir).args(args);
    let run = run.stdin_bytes(format!("{line}\n")).run().expect(0);
    assert_eq!(run.summary().spooled, 1, "{run:?}");
}

fn drain(loki: &Loki, dir: &Dir, args: &[&str]) -> Finished {
    with_spool(loki, dir).args(args).run()
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn a_drain_that_leaves_something_of_its_own_is_status_1() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    leave(&loki, &dir, &[], "one");
    let run = drain(&loki, &dir, &["--drain"]).expect(1);
    assert_eq!((run.summary().adopted, run.summary().adopted_left), (1, 1));
    loki.restart();
    loki.fault(Fault::Answer(Answer::error(
        400,
        "couldn't parse labels: odd",
    )));
    let run = drain(&loki, &dir, &["--drain"]).expect(1);
    assert_eq!(run.summary().adopted_refused, 1);
    drain(&loki, &dir, &["--drain"])
        .expect(0)
        .expect_no_message();
    assert!(is_empty(&dir.join("spool")));
}

#[test]
fn a_folder_that_does_not_exist_is_wrong_usage_and_is_not_created() {
    let (loki, dir) = (Loki::start(), Dir::new());
    for args in [&["--drain"], &["--drain=all"]] {
        let run = drain(&loki, &dir, args).expect(2);
        run.expect_stderr(["--drain", dir.join("spool").to_str().unwrap()]);
        assert!(!dir.join("spool").exists());
    }
}

#[test]
fn a_drain_of_all_delivers_what_was_meant_for_a_url_that_moved() {
    let (old, loki, dir) = (Loki::reserve(), Loki::start(), Dir::new());
    leave(&old, &dir, &[], "for the old url");
    let run = drain(&loki, &dir, &["--drain"]).expect(0);
    run.expect_stderr([&old.url(), "--drain=all"]);
    assert!(loki.entries().is_empty());
    let run = drain(&loki, &dir, &["--drain=all"])
        .expect(0)
        .expect_no_message();
    assert_eq!(run.summary().adopted_delivered, 1);
    assert_eq!(loki.lines(), ["for the old url"]);
    assert!(is_empty(&dir.join("spool")));
    loki.assert_clean();
}

#[test]
fn a_drain_of_all_takes_nothing_of_another_tenant_or_user() {
    let (old, loki, dir) = (Loki::reserve(), Loki::start(), Dir::new());
    leave(&old, &dir, &["--org-id", "red"], "tenant");
    leave(&old, &dir, &["--username", "u", "--password", "p"], "user");
    leave(&old, &dir, &["--bearer-token", "t1"], "token");
    leave(&old, &dir, &["--header", "X-Scope-OrgID: blue"], "header");
    let run = drain(&loki, &dir, &["--drain=all"]).expect(0);
    let run = run.expect_stderr(["tenant red", "user u", "token", "tenant blue"]);
    assert!(!run.stderr.contains("t1"), "{run:?}");
    assert!(loki.entries().is_empty(), "{run:?}");
    drain(&loki, &dir, &["--drain=all", "--org-id", "red"]).expect(0);
    drain(
        &loki,
        &dir,
        &["--drain=all", "--username", "u", "--password", "new"],
    )
    .expect(0);
    drain(&loki, &dir, &["--drain=all", "--bearer-token", "t1"]).expect(0);
    drain(&loki, &dir, &["--drain=all", "--org-id", "blue"]).expect(0);
    assert_eq!(loki.lines(), ["tenant", "user", "token", "header"]);
    assert!(is_empty(&dir.join("spool")));
}

#[test]
fn a_drain_by_variable_is_as_one_by_option() {
    let (old, loki, dir) = (Loki::reserve(), Loki::start(), Dir::new());
    leave(&old, &dir, &[], "moved");
    let run = |value| with_spool(&loki, &dir).env("LOKI_PUSH_DRAIN", value);
    run("false").args(["-m", "no drain"]).run().expect(0);
    assert_eq!(loki.lines(), ["no drain"]);
    run("true").run().expect(0);
    assert_eq!(loki.lines(), ["no drain"]);
    run("all").run().expect(0);
    // By their times.
    assert_eq!(loki.lines(), ["moved", "no drain"]);
}

#[test]
fn what_a_running_process_holds_is_named_and_does_not_count() {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.always(Fault::Status(503));
    let held = with_spool(&loki, &dir).args(["--flush-interval", "10ms"]);
    let held = held.stdin_open().spawn();
    held.write("held\n");
    loki.wait_for_requests(1);
    let run = drain(&loki, &dir, &["--drain"]).expect(0);
    let pid = held.pid.to_string();
    let run = run.expect_stderr(["running", pid.as_str()]);
    assert_eq!(run.summary().adopted, 0);
    loki.clear();
    held.wait().expect(0);
    drain(&loki, &dir, &["--drain"])
        .expect(0)
        .expect_no_message();
}

#[test]
fn entries_left_under_other_credentials_are_not_sent_with_these() {
    let file = |dir: &Dir, name: &str, token: &str| dir.write(name, token).display().to_string();
    let tokens = Dir::new();
    let (one, two) = (file(&tokens, "one", "1"), file(&tokens, "two", "2"));
    let secret = "swordfish";
    let basic = |user: &str, password: &str| {
        use base64::Engine;
        let pair = format!("{user}:{password}");
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        format!("Authorization: Basic {pair}")
    };
    let (basic_a, basic_b) = (basic("a", secret), basic("b", secret));
    let ways: [&[&str]; 10] = [
        &[],
        &["--bearer-token", secret],
        &["--bearer-token", "other"],
        &["--bearer-token-file", &one],
        &["--bearer-token-file", &two],
        &["--header", &basic_a],
        &["--header", &basic_b],
        &["--header", "X-Scope-OrgID: red"],
        &["--header", "AccountID: 12"],
        &["--header", "X-Tenant: 12"],
    ];
    let (loki, dir) = (Loki::reserve(), Dir::new());
    for (n, args) in ways.iter().enumerate() {
        leave(&loki, &dir, args, &format!("way {n}"));
    }
    for path in dir.files() {
        let bytes = dir.read(&path);
        assert!(
            memchr::memmem::find(&bytes, secret.as_bytes()).is_none(),
            "the secret is in {}",
            path.display()
        );
    }
    loki.restart();
    for (n, args) in ways.iter().enumerate() {
        let run = drain(&loki, &dir, &[&["--drain"], *args].concat()).expect(0);
        assert_eq!(run.summary().adopted_delivered, 1, "{args:?}: {run:?}");
        assert_eq!(loki.lines().last(), Some(&format!("way {n}")));
        assert!(!run.stderr.contains(secret), "{run:?}");
    }
    assert!(is_empty(&dir.join("spool")));
}

#[test]
fn a_renewed_secret_changes_nothing() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let token = dir.write("token", "old").display().to_string();
    let password = ["--username", "u", "--password"];
    leave(&loki, &dir, &["--bearer-token-file", &token], "token");
    leave(&loki, &dir, &[&password[..], &["old"]].concat(), "password");
    loki.restart();
    dir.write("token", "new");
    drain(&loki, &dir, &["--drain", "--bearer-token-file", &token]).expect(0);
    let args = [&["--drain"], &password[..], &["new"]].concat();
    drain(&loki, &dir, &args).expect(0).expect_no_message();
    assert_eq!(loki.lines(), ["token", "password"]);
}

#[test]
fn entries_that_differ_by_a_token_alone_are_named_with_the_command() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    leave(&loki, &dir, &["--bearer-token", "renewed"], "one");
    let token = dir.write("token", "old").display().to_string();
    leave(&loki, &dir, &["--bearer-token-file", &token], "two");
    loki.restart();
    let run = with_spool(&loki, &dir).args(["--bearer-token", "newer"]);
    let run = run.args(["-m", "three"]).run().expect(0);
    let file = format!("--bearer-token-file {token}");
    let run = run.expect_stderr(["--drain", "--spool", &file, "--bearer-token"]);
    assert!(!run.stderr.contains("renewed"), "{run:?}");
    assert_eq!(loki.lines(), ["three"]);
}

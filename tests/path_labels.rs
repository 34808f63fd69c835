//! Labels that do not come from the line: of the path, of the host; and how many there may be.

use std::fs;

use crate::support::loki::{Answer, Fault, Labels};
use crate::support::{Dir, Loki, LokiPush};

fn map(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    pairs.collect()
}

const PODS: &str = "pods/(?<namespace>[^_]+)_(?<pod>[^_]+)_[^/]+/(?<container>[^/]+)/";

#[test]
fn named_groups_of_a_path_become_labels() {
    let (loki, dir) = (Loki::start(), Dir::new());
    for pod in ["shop_web-1_a/api", "shop_web-2_b/api"] {
        fs::create_dir_all(dir.path().join("pods").join(pod)).unwrap();
        dir.write(format!("pods/{pod}/0.log"), "x\n");
    }
    dir.write("other.log", "y\n");
    let args = [
        "--path-labels",
        PODS,
        "-l",
        "container=mine",
        "pods/*/*/*.log",
        "other.log",
    ];
    let run = LokiPush::new(&loki).args(args).cwd(dir.path());
    run.run().expect(0).expect_silence();
    let labels = |pod: &str, file: &str| {
        map(&[
            ("app", "default"),
            ("container", "mine"),
            ("filename", file),
            ("namespace", "shop"),
            ("pod", pod),
        ])
    };
    let streams = loki.streams();
    assert!(
        streams.contains(&labels("web-1", "pods/shop_web-1_a/api/0.log")),
        "{streams:?}"
    );
    assert!(
        streams.contains(&labels("web-2", "pods/shop_web-2_b/api/0.log")),
        "{streams:?}"
    );
    assert_eq!(loki.lines_of(&[("filename", "other.log")]), ["y"]);
}

#[test]
fn rotation_does_not_change_the_labels_of_a_path() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let log = dir.write("shop.log", "one\n");
    let args = [
        "-f",
        "--from",
        "start",
        "--path-labels",
        r"(?<app>[a-z]+)\.log$",
        "shop.log",
    ];
    let run = LokiPush::new(&loki).args(args).cwd(dir.path());
    let running = run.args(["--flush-interval", "10ms"]).spawn();
    loki.wait_for_entries(1);
    fs::rename(&log, dir.path().join("shop.log.1")).unwrap();
    dir.write("shop.log", "two\n");
    loki.wait_for_entries(2);
    running.signal("TERM");
    running.wait_to_end().expect(0);
    // The default of --app gives way.
    assert_eq!(loki.lines_of(&[("app", "shop")]), ["one", "two"]);
}

#[test]
fn path_labels_count_as_label_sets() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let names: Vec<String> = (0..4).map(|n| format!("{n}.log")).collect();
    for name in &names {
        dir.write(name, format!("in {name}\n"));
    }
    let args = ["--max-streams", "3", "--path-labels", r"(?<n>\d)\.log"];
    let run = LokiPush::new(&loki).args(args).args(&names).cwd(dir.path());
    run.run()
        .expect(0)
        .expect_stderr(["3 label sets", "--max-streams"]);
    let named = loki
        .streams()
        .iter()
        .filter(|labels| labels.contains_key("n"))
        .count();
    assert_eq!((named, loki.lines().len()), (3, 4));
}

#[test]
fn wrong_path_labels_are_wrong_usage() {
    for (pattern, why) in [
        ("x", "no named group"),
        ("(?<a", "not a valid regular expression"),
        ("(?<__a>x)", "__a"),
    ] {
        let run = LokiPush::bare().args(["--dry-run", "--path-labels", pattern]);
        run.stdin_bytes("a\n")
            .run()
            .expect(2)
            .expect_stderr(["--path-labels", why]);
    }
}

#[test]
fn host_is_this_machine_or_the_name_given() {
    let own = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let host = |args: &[&str], env: &str| {
        let loki = Loki::start();
        let run = LokiPush::new(&loki).args(args).env("LOKI_PUSH_HOST", env);
        run.stdin_bytes("x\n").run().expect(0).expect_silence();
        loki.entries()[0].labels.get("host").cloned()
    };
    assert_eq!(host(&["--host"], "").as_deref(), Some(own.trim()));
    assert_eq!(host(&["--host=web1"], "").as_deref(), Some("web1"));
    assert_eq!(host(&[], "true").as_deref(), Some(own.trim()));
    assert_eq!(host(&[], "false"), None);
    assert_eq!(host(&[], "web2").as_deref(), Some("web2"));
    assert_eq!(
        host(&["--host=a", "-l", "host=b"], "").as_deref(),
        Some("b")
    );
    assert_eq!(host(&[], ""), None);
}

#[test]
fn labels_above_the_limit_stay_fields_and_are_reported_once() {
    let loki = Loki::start();
    let names: Vec<String> = (0..16).map(|n| format!("f{n:02}")).collect();
    let mut run = LokiPush::new(&loki).args(["--layout", "line"]);
    for name in &names {
        run = run.args(["--label-field", name]);
    }
    let line = format!(" {}=1", names.join("=1 "));
    let input = format!("x{line}\nERROR x{line}\n");
    let ended = run.stdin_bytes(input).run().expect(0);
    assert_eq!(ended.messages().len(), 1, "{}", ended.report());
    ended.expect_stderr(["15 labels", "--label-field"]);
    assert!(loki.streams().iter().all(|labels| labels.len() == 15));
    let mut lines = loki.lines();
    lines.sort();
    assert_eq!(lines, ["ERROR x | f13=1 f14=1 f15=1", "x | f14=1 f15=1"]);
}

#[test]
fn a_limit_that_loki_names_is_kept_to_for_the_rest_of_the_run() {
    let loki = Loki::start();
    loki.respond_with(|push| {
        let labels = push.labels.len();
        let text =
            format!("entry for stream '{{app=\"default\"}}' has {labels} label names; limit 3\n");
        (labels > 3).then(|| Fault::Answer(Answer::error(400, text)))
    });
    let names = ["a", "b", "c", "d"];
    let run = LokiPush::new(&loki).args(["--flush-interval", "10ms"]);
    let run = names
        .iter()
        .fold(run, |run, name| run.args(["--label-field", name]));
    let mut running = run.stdin_open().spawn();
    running.write("one a=1 b=1 c=1 d=1\n");
    running.wait_for_stderr("label names; limit 3");
    running.write("two a=1 b=1 c=1 d=1\n");
    running.close_stdin();
    running.wait_to_end().expect(1).expect_stderr(["3 labels"]);
    let labels = map(&[("app", "default"), ("a", "1"), ("b", "1")]);
    assert_eq!(loki.streams(), [labels]);
    assert_eq!(loki.lines(), ["two a=1 b=1 c=1 d=1"]);
}

//! `--redact`: matches leave in no form, wherever the line goes.

use crate::support::loki::Rules;
use crate::support::{Dir, Loki, LokiPush};

#[test]
fn a_match_is_replaced_in_everything_that_is_shipped() {
    let input = "ERROR token=s3cret user=ann x\n{\"msg\":\"by s3\\u0063ret\",\"key\":\"s3\\u0063ret\",\"a\":1}\ncard 4111-1111 s3cret\n";
    for layout in ["keep", "line", "metadata"] {
        let loki = Loki::start();
        let args = [
            "--layout",
            layout,
            "--redact",
            "s3cret",
            "--redact",
            r"\d{4}-\d{4}",
        ];
        let run =
            LokiPush::new(&loki)
                .args(args)
                .args(["--label-field", "token", "-k", "k=s3cret"]);
        run.stdin_bytes(input).run().expect(0).expect_silence();
        let shown = format!("{:?}", loki.entries());
        assert!(
            !shown.contains("s3cret") && !shown.contains("4111"),
            "{layout}: {shown}"
        );
        assert!(shown.contains("[redacted]"), "{layout}: {shown}");
        loki.assert_clean();
    }
}

#[test]
fn it_comes_after_the_filter_and_before_fields_and_levels() {
    let loki = Loki::start();
    let args = [
        "--include",
        "s3cret",
        "--redact",
        "s3cret|level=error",
        "--label-field",
        "user",
    ];
    let run = LokiPush::new(&loki).args(args).summed();
    let input = "a user=s3cret level=error\nnot this one\n\x1b[31ms3\x1b[0mcret\n";
    let ended = run.arg("--strip-ansi").stdin_bytes(input).run().expect(0);
    assert_eq!(ended.summary().filtered, 1);
    let lines = ["a user=[redacted] [redacted]", "[redacted]"];
    assert_eq!(loki.lines(), lines);
    assert_eq!(loki.lines_of(&[("user", "[redacted]")]), lines[..1]);
    assert!(
        loki.streams()
            .iter()
            .all(|labels| !labels.contains_key("level"))
    );
}

#[test]
fn neither_a_cut_nor_a_joined_line_hides_a_match() {
    let loki = Loki::start();
    let args = [
        "--max-line-size",
        "1KiB",
        "--redact",
        r"s3cret\nline",
        "--redact",
        "x{30}s3cret",
    ];
    let input = format!(
        "{}s3cret\nA s3cret\n line\nA s3cret\nline\n",
        "x".repeat(1_022)
    );
    let run = LokiPush::new(&loki)
        .args(args)
        .args(["--multiline", "^[xA]"]);
    run.stdin_bytes(input).run().expect(0);
    let lines = loki.lines();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[0].ends_with("x[redacted]") && lines[2] == "A [redacted]",
        "{lines:?}"
    );
    assert_eq!(lines[1], "A s3cret\n line");
}

#[test]
fn tee_passes_on_what_came_and_a_dry_run_shows_what_would_leave() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--tee", "--redact", "s3cret"]);
    let ended = run.stdin_bytes("s3cret\n").run().expect(0);
    assert_eq!(ended.stdout_text(), "s3cret\n");
    let run = LokiPush::bare().args(["--dry-run", "--redact", "s3cret"]);
    let shown = run.stdin_bytes("a s3cret\n").run().expect(0).stdout_text();
    assert!(shown.ends_with("a [redacted]\n"), "{shown}");
}

#[test]
fn spool_and_dead_letter_hold_no_match() {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.validate(Rules::of_loki());
    let run = LokiPush::new(&loki).cwd(dir.path());
    let run = run.args(["--redact", "s3cret", "--dead-letter", "dead", "--time", "t"]);
    run.stdin_bytes("old s3cret t=2001-01-01T00:00:00Z\n")
        .run()
        .expect(1);
    let dead = std::fs::read_to_string(dir.path().join("dead")).unwrap();
    assert!(
        dead.contains("old [redacted]") && !dead.contains("s3cret"),
        "{dead}"
    );
}

#[test]
fn a_pattern_that_matches_nothing_at_all_is_wrong_usage() {
    for pattern in ["", "x*", "^", "$", r"\b", "a|"] {
        let run = LokiPush::bare().args(["--dry-run", "--redact", pattern]);
        run.stdin_bytes("a\n")
            .run()
            .expect(2)
            .expect_stderr(["--redact", "empty text"]);
    }
    let run = LokiPush::bare().args(["--dry-run", "--redact", "(x"]);
    run.stdin_bytes("a\n")
        .run()
        .expect(2)
        .expect_stderr(["--redact: `(x` is not a valid regular expression"]);
}

#[test]
fn labels_and_the_exit_entry_are_shipped_without_a_match_too() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let args = [
        "--redact", "ann", "-e", "of-ann", "-l", "user=ann", "-k", "by=ann",
    ];
    dir.write("ann/a.log", "one\n");
    let run = LokiPush::new(&loki).cwd(dir.path()).args(args);
    let run = run.args(["--path-labels", "(?<owner>[^/]+)/a.log"]);
    run.arg("ann/*.log").run().expect(0);
    let entry = &loki.entries()[0];
    for (label, value) in [
        ("env", "of-[redacted]"),
        ("user", "[redacted]"),
        ("owner", "[redacted]"),
        ("filename", "[redacted]/a.log"),
    ] {
        assert_eq!(entry.labels[label], value, "{entry:?}");
    }
    let program = dir.write_program("ann.sh", "#!/bin/sh\necho two\n");
    let run = LokiPush::new(&loki).args(args).arg("--").arg(program);
    run.run().expect(0);
    let shown = format!("{:?}", loki.entries());
    assert!(!shown.contains("ann"), "{shown}");
    assert!(shown.contains("command=[redacted].sh"), "{shown}");
}

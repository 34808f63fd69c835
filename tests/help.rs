//! How the program explains itself.

use crate::support::LokiPush;

fn help(flag: &str) -> String {
    let run = LokiPush::bare().arg(flag).env("COLUMNS", "100");
    run.run().expect(0).expect_silence().stdout_text()
}

#[test]
fn help_is_grouped_by_topic_and_plain_in_a_pipe() {
    for flag in ["-h", "--help"] {
        let text = help(flag);
        let topics: Vec<_> = text.lines().filter(|line| line.ends_with(':')).collect();
        for topic in [
            "Input:",
            "Labels, level, fields, time:",
            "Delivery:",
            "Connection:",
            "Output:",
        ] {
            assert!(topics.contains(&topic), "{flag}: {topics:?}");
        }
        assert!(!text.contains('\x1b'), "{flag}");
    }
    assert!(help("-h").lines().count() <= 110);
    assert!(help("--help").lines().count() > help("-h").lines().count());
}

#[test]
fn a_mistyped_option_gets_a_suggestion() {
    for (typed, meant) in [
        ("--flsh-interval", "--flush-interval"),
        ("--tls-skip", "--tls-skip-verify"),
        ("--orgid", "--org-id"),
    ] {
        let run = LokiPush::bare().arg(typed).run().expect(2);
        let said = run.expect_stderr([typed, meant]).stderr;
        assert!(!said.contains("-- --"), "that would be a command: {said}");
    }
}

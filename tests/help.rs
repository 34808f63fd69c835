//! How the program explains itself.

use crate::support::LokiPush;

fn help(flag: &str, columns: &str) -> String {
    let run = LokiPush::bare().arg(flag).env("COLUMNS", columns);
    run.run().expect(0).expect_silence().stdout_text()
}

#[test]
fn help_is_grouped_by_topic_and_plain_in_a_pipe() {
    for flag in ["-h", "--help"] {
        let text = help(flag, "80");
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
}

#[test]
fn short_help_fits_one_screen() {
    for (columns, most) in [("80", 48), ("100", 48), ("120", 48)] {
        let text = help("-h", columns);
        let lines = text.lines().count();
        assert!(lines <= most, "{lines} lines of {columns} columns:\n{text}");
        for name in [
            "--follow",
            "--checkpoint",
            "--app",
            "--label",
            "--spool",
            "--url",
            "--help",
        ] {
            assert!(text.contains(name), "-h has no {name}");
        }
        // What the option does stands beside it, not below.
        let below = text
            .lines()
            .filter(|line| line.trim_start().starts_with('-') && line.trim_end().ends_with('>'));
        assert_eq!(below.collect::<Vec<_>>(), [""; 0], "{columns} columns");
    }
}

#[test]
fn the_committed_documents_are_in_the_program() {
    for (what, file) in [
        ("man", "man/loki-push.1"),
        ("bash", "completions/loki-push.bash"),
        ("zsh", "completions/_loki-push"),
        ("fish", "completions/loki-push.fish"),
    ] {
        let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let run = LokiPush::bare().args(["--generate", what]);
        let printed = run.run().expect(0).expect_silence().stdout_text();
        assert_eq!(printed, std::fs::read_to_string(path).expect("a file"));
    }
    let full = LokiPush::bare().args(["--generate", "man"]);
    let full = full.in_shell("exec \"$@\" >/dev/full").run();
    full.expect(1).expect_stderr(["standard output"]);
}

#[test]
fn no_line_of_the_help_is_wider_than_the_terminal() {
    for flag in ["-h", "--help"] {
        let text = help(flag, "80");
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{flag}: {line}");
        }
        // What is laid out by hand keeps its lines: it is the same at any greater width.
        let by_hand = |text: &str| {
            let (head, _) = text.split_once("Usage:").unwrap_or_default();
            let (_, foot) = text.rsplit_once("\n\n").unwrap_or_default();
            (head.to_owned(), foot.trim_start().to_owned())
        };
        assert_eq!(by_hand(&text), by_hand(&help(flag, "100")), "{flag}");
        // In a pipe, where no width is known, it is that of 80 columns.
        let piped = LokiPush::bare().arg(flag).run().expect(0).stdout_text();
        assert_eq!(piped, text, "{flag}");
    }
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
        // In a pipe others speak, too.
        assert!(said.starts_with("loki-push: "), "{said}");
        assert!(!said.contains("-- --"), "that would be a command: {said}");
    }
}

/// The options that users rely on: none may go without a new major version.
const PROMISED: [&str; 73] = [
    "--addr",
    "--app",
    "--auth-header",
    "--batch-bytes",
    "--batch-size",
    "--bearer-token",
    "--bearer-token-file",
    "--buffer",
    "--ca-cert",
    "--cert",
    "--check",
    "--checkpoint",
    "--connections",
    "--dead-letter",
    "--drain",
    "--dry-run",
    "--env",
    "--exclude",
    "--exclude-path",
    "--field",
    "--flush-interval",
    "--flush-timeout",
    "--follow",
    "--from",
    "--generate",
    "--gzip-level",
    "--header",
    "--help",
    "--host",
    "--include",
    "--key",
    "--label",
    "--label-field",
    "--layout",
    "--level",
    "--limit-rate",
    "--linger",
    "--max-backoff",
    "--max-line-size",
    "--max-retries",
    "--max-streams",
    "--message",
    "--metrics-file",
    "--multiline",
    "--multiline-wait",
    "--no-exit-entry",
    "--null",
    "--on-full",
    "--org-id",
    "--parse",
    "--password",
    "--password-file",
    "--path-labels",
    "--progress",
    "--proxy-url",
    "--quiet",
    "--redact",
    "--retry-backoff",
    "--spool",
    "--spool-size",
    "--spool-sync",
    "--strip-ansi",
    "--summary",
    "--tee",
    "--time",
    "--time-format",
    "--time-zone",
    "--timeout",
    "--tls-skip-verify",
    "--unwrap",
    "--url",
    "--username",
    "--verbose",
];

#[test]
fn every_promised_option_is_in_the_help_the_man_page_and_the_readme() {
    let help = help("--help", "100");
    let run = LokiPush::bare().args(["--generate", "man"]).run();
    let man = run.expect(0).stdout_text().replace("\\-", "-");
    let readme = include_str!("../README.md");
    for option in PROMISED {
        for (name, text) in [
            ("--help", &*help),
            ("the man page", &man),
            ("README", readme),
        ] {
            let found = text.match_indices(option).any(|(at, _)| {
                let next = text[at + option.len()..].chars().next();
                !next.is_some_and(|c| c.is_ascii_alphanumeric() || c == '-')
            });
            assert!(found, "{name} has no {option}");
        }
    }
}

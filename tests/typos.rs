//! Typical mistakes are answered with their remedy.

use crate::support::{Dir, Loki, LokiPush};

#[test]
fn a_forgotten_double_dash_shows_the_command_line_that_was_meant() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write_program("backup.sh", "#!/bin/sh\necho done\n");
    dir.write_program("bin/make-it", "#!/bin/sh\n");
    let path = format!("{}:/usr/bin:/bin", dir.join("bin").display());
    for (args, shown) in [
        (&["make-it", "test"][..], "loki-push -- make-it test"),
        (&["--app", "api", "make-it"], "--app api -- make-it"),
        (&["make-it", "-j4", "all"], "loki-push -- make-it -j4 all"),
        // Options that loki-push has, too: without the value, or with one that it does not accept.
        (&["make-it", "-l"], "loki-push -- make-it -l"),
        (
            &["make-it", "--time-zone", "nowhere", "--timeout", "long"],
            "loki-push -- make-it --time-zone nowhere --timeout long",
        ),
        (&["backup.sh"], "loki-push -- backup.sh"),
        (
            &["./backup.sh", "two words"],
            "loki-push -- ./backup.sh 'two words'",
        ),
        (
            &["--password", "s3cret", "--username", "me", "make-it"],
            "[OPTIONS] -- make-it",
        ),
        (&["make-it", "--password", "s3cret"], "-- make-it …"),
    ] {
        let run = LokiPush::bare().env("LOKI_ADDR", loki.url());
        let done = run.args(args).env("PATH", &path).cwd(dir.path()).run();
        let done = done.expect(2).expect_stderr([shown, "is a program"]);
        assert!(!done.stderr.contains("s3cret"), "{}", done.report());
    }
    assert!(loki.requests().is_empty());
}

#[test]
fn what_is_meant_as_a_file_gets_no_hint() {
    let (loki, dir) = (Loki::start(), Dir::new());
    // Executable, as everything on some mounts, but text.
    dir.write_program("app.log", "INFO one\n");
    dir.write("script.sh", "#!/bin/sh\n");
    for (args, status) in [
        (&["app.log"][..], 0),
        (&["script.sh"], 0),
        (&["no-such-file"], 1),
        (&["./cat"], 1),
    ] {
        let done = LokiPush::new(&loki)
            .args(args)
            .cwd(dir.path())
            .run()
            .expect(status);
        assert!(!done.stderr.contains("is a program"), "{}", done.report());
    }
    assert_eq!(loki.lines().len(), 2);
}

#[test]
fn an_unknown_variable_is_reported_once_with_the_nearest_name() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).env("LOKI_PUSH_ONFULL", "block");
    let run = run.env("LOKI_PUSH_SERVICE_HOST", "10.0.0.1");
    let run = run.env("LOKI_PUSH_PORT_3100_TCP_ADDR", "10.0.0.1");
    let done = run.stdin_bytes("a\n").run().expect(0);
    assert_eq!(
        done.stderr,
        "loki-push: unknown variable LOKI_PUSH_ONFULL; did you mean LOKI_PUSH_ON_FULL?\n"
    );
    assert_eq!(loki.lines(), ["a"]);
}

#[test]
fn unlikely_values_of_labels_and_messages_are_reported() {
    let loki = Loki::start();
    for (args, said) in [
        (&["-l", "host="][..], "--label host has no value"),
        (&["-l", "host=\"web\""], "the quotes are part of the value"),
        (&["-l", "host='web'"], "the quotes are part of the value"),
        (&["-e", "\"prod\""], "--env: the quotes are part"),
        (&["-l", "a=b,c=d"], "--label a: the value is `b,c=d`"),
        (&["-m", ""], "--message is empty"),
    ] {
        let done = LokiPush::new(&loki)
            .args(args)
            .stdin_bytes("a\n")
            .run()
            .expect(0);
        let done = done.expect_stderr([said]);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.report());
    }
    for value in [
        "a=b,c",
        "a=b, c",
        "a=\"",
        "a=1=2",
        "{a=\"b\",c=\"d\"}",
        "{a=\"b,c=d\"}",
    ] {
        let run = LokiPush::new(&loki).args(["-l", value]).stdin_bytes("a\n");
        run.run().expect(0).expect_silence();
    }
}

#[test]
fn a_variable_of_an_optional_value_also_works_as_a_switch() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let run = |value: &str| {
        let run = LokiPush::new(&loki).env("LOKI_PUSH_DRAIN", value);
        run.arg("--spool")
            .arg(dir.path())
            .summed()
            .stdin_bytes("a\n")
            .run()
            .expect(0)
    };
    assert_eq!(run("false").summary().read, 1, "no drain");
    assert_eq!(run("true").summary().read, 0, "a drain reads nothing");
}

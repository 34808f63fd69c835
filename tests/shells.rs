//! The completion scripts in the shells they are for, as a user meets them: keys go in through a
//! terminal, and the screen shows what came of them. A shell that is not installed is skipped.

use std::process::{Command, Stdio};

use crate::support::terminal::Terminal;
use crate::support::{Dir, LokiPush};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What the shell prints when it is ready.
const PROMPT: &str = "ready> ";

/// A line that is typed up to Tab, what is offered then, and what must not be.
const CASES: [(&str, &[&str], &[&str]); 12] = [
    (
        "loki-push --spool-s",
        &["--spool-size", "--spool-sync"],
        &["--spool "],
    ),
    (
        "loki-push --on-full=dr",
        &["drop-newest", "drop-oldest"],
        &["drop-file"],
    ),
    (
        "loki-push --on-full dr",
        &["drop-newest", "drop-oldest"],
        &["drop-file"],
    ),
    ("loki-push --level er", &["error"], &[]),
    ("loki-push --summary j", &["json"], &[]),
    ("loki-push --spool fo", &["fo-folder"], &["fo-file"]),
    ("loki-push --checkpoint fo-fi", &["fo-file"], &[]),
    ("loki-push --app x fo-fi", &["fo-file"], &[]),
    ("loki-push --app fo-fi", &[], &["fo-file"]),
    ("loki-push -- loki-test-to", &["loki-test-tool"], &[]),
    ("loki-push --app x -- cat fo-fi", &["fo-file"], &[]),
    ("loki-push -f dr", &["drop-file"], &["drop-newest"]),
];

#[test]
fn bash_completes() {
    completes_at_terminal(
        "bash",
        "exec bash --noprofile --norc -i >/dev/tty 2>&1",
        "bind 'set show-all-if-ambiguous on'; bind 'set completion-query-items 0'; \
         bind 'set enable-bracketed-paste off'; source completions/loki-push.bash; cd \"$HOME\"",
    );
}

#[test]
fn zsh_completes() {
    completes_at_terminal(
        "zsh",
        "exec zsh -f -i >/dev/tty 2>&1",
        "autoload -U compinit && compinit -u -D; unset zle_bracketed_paste; unsetopt list_ambiguous prompt_sp; \
         source completions/_loki-push; cd \"$HOME\"",
    );
}

#[test]
fn fish_completes() {
    let home = home();
    for (typed, offered, others) in CASES {
        let script = format!("source {ROOT}/completions/loki-push.fish; complete -C '{typed}'");
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", &script])
            .current_dir(home.path());
        fish.env("HOME", home.path())
            .env("PATH", path(&home))
            .stdin(Stdio::null());
        let done = match fish.output() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return eprintln!("skipped: no fish here");
            }
            done => done.expect("fish"),
        };
        let shown = String::from_utf8_lossy(&done.stdout).into_owned();
        let errors = String::from_utf8_lossy(&done.stderr);
        assert_eq!(errors, "", "{typed}");
        // Each line is what is offered, and a tab before what is said of it.
        let words: Vec<_> = shown
            .lines()
            .filter_map(|line| line.split('\t').next())
            .collect();
        let has = |text: &str| words.iter().any(|word| word.contains(text.trim()));
        for text in offered {
            assert!(has(text), "{typed}: no {text} in\n{shown}");
        }
        for text in others.iter().filter(|text| !text.ends_with(' ')) {
            assert!(!has(text), "{typed}: {text} in\n{shown}");
        }
    }
}

/// Types every case into an interactive shell.
fn completes_at_terminal(shell: &str, start: &str, setup: &str) {
    let found = Command::new(shell).arg("--version").output();
    if found.is_err() {
        return eprintln!("skipped: no {shell} here");
    }
    let Some(terminal) = Terminal::open() else {
        return;
    };
    let home = home();
    let _running = LokiPush::bare()
        .at_terminal(&terminal)
        .in_shell(start)
        .cwd(ROOT)
        .env("HOME", home.path())
        .env("PATH", path(&home))
        .env("TERM", "xterm")
        .env("PS1", PROMPT)
        .spawn();
    terminal.wait_until("a prompt", |shown| !shown.is_empty());
    terminal.press(&format!("{setup}\recho set-$((40 + 2))\r"));
    terminal.wait_for("set-42");
    let mut mark = terminal.shown().rfind("set-42").unwrap_or_default();
    for (n, (typed, offered, others)) in CASES.iter().enumerate() {
        terminal.wait_until("a prompt", |shown| shown[mark..].contains(PROMPT));
        let before = terminal.shown().len();
        let word = typed.rsplit([' ', '=']).next().unwrap_or_default();
        terminal.press(&format!("{typed}\t"));
        for text in *offered {
            // What is the only one is put in behind what was typed; more are listed.
            let rest = text.strip_prefix(word).unwrap_or(text);
            terminal.wait_until(&format!("{text} for {typed:?} in {shell}"), |shown| {
                shown[before..].contains(rest)
            });
        }
        // Keys are read in turn: this is after all that the Tab led to.
        terminal.press(&format!("\x15echo done-$(({n} + 1000))\r"));
        let done = format!("done-{}", n + 1000);
        terminal.wait_for(&done);
        mark = terminal.shown().rfind(&done).unwrap_or_default();
        let shown = terminal.shown()[before..].to_owned();
        for text in *others {
            assert!(
                !shown.contains(text),
                "{shell}: {typed}: {text} in\n{shown:?}"
            );
        }
    }
    terminal.press("exit\r");
}

/// A folder to stand in, with files, a folder and a program of its own.
fn home() -> Dir {
    let home = Dir::new();
    home.write("fo-file", "");
    home.write("drop-file", "");
    std::fs::create_dir(home.join("fo-folder")).expect("a folder");
    home.write_program("bin/loki-test-tool", "#!/bin/sh\n");
    home
}

fn path(home: &Dir) -> String {
    let others = std::env::var("PATH").unwrap_or_default();
    format!("{}:{others}", home.join("bin").display())
}

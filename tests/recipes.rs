//! The examples people copy: those of the README and of the man page are run as they stand, by a
//! shell, against the stand-in; the command lines in `examples/` are read by the program's own
//! parser.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::channel;
use std::time::Duration;

use flate2::write::GzEncoder;

use crate::support::run::BINARY;
use crate::support::{Dir, Finished, Loki, LokiPush};

/// Examples with one of these lead elsewhere, and are only read by the parser.
const ELSEWHERE: &[&str] = &["https://"];

/// Programs the examples call.
const PROGRAMS: [(&str, &str); 7] = [
    (
        "myapp",
        "printf 'INFO  listening port=8080\\n2026-08-24 ERROR no route to=db\\nGET /health\\n'\n\
         printf '{\"ts\":\"%s\",\"region\":\"eu\",\"msg\":\"hi\"}\\n' \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"",
    ),
    (
        "backup.sh",
        "echo saved 12 files; echo 'WARN skipped one' >&2",
    ),
    ("make", "echo building; echo 'main.c: ERROR: no such file'"),
    ("poll.sh", "echo nothing new"),
    ("hostname", "echo web-1"),
    (
        "journalctl",
        "case $* in *json*) printf '{\"MESSAGE\":\"started worker 1\",\"PRIORITY\":\"3\",' &&\n\
         printf '\"_SYSTEMD_UNIT\":\"nginx.service\",\"__REALTIME_TIMESTAMP\":\"%s000000\"}\\n' \"$(date +%s)\" ;;\n\
         *) echo 'started worker 1' ;; esac",
    ),
    ("chronic", "exec \"$@\""),
];

/// The files that examples follow, each with the form of its lines.
const FOLLOWED: [(&str, &str); 4] = [
    ("var/log/app/app.log", "INFO another line\n"),
    (
        "var/log/nginx/access.log",
        "10.0.0.7 - - [%d/%b/%Y:%H:%M:%S %z] \"GET / HTTP/1.1\" 502 157 \"-\" \"curl\"\n",
    ),
    (
        "var/log/pods/shop_api-7d9f_0a1b2c/api/0.log",
        "%Y-%m-%dT%H:%M:%S.%fZ stderr F ERROR another line\n",
    ),
    (
        "var/lib/docker/containers/0a1b2c3d4e5f60718293/0a1b2c3d4e5f60718293-json.log",
        "{\"log\":\"another line\\n\",\"stream\":\"stderr\",\"time\":\"%Y-%m-%dT%H:%M:%S.%fZ\"}\n",
    ),
];

#[test]
fn every_example_of_the_readme_works() {
    let examples = readme_examples();
    assert!(examples.len() > 10, "{examples:#?}");
    for (example, query) in &examples {
        works(example, query.as_deref());
    }
}

#[test]
fn every_recipe_has_the_query_that_goes_with_it() {
    let readme = read("README.md");
    let (_, recipes) = readme.split_once("\n## Recipes\n").expect("recipes");
    let recipes = recipes.split("\n## ").next().expect("their end");
    let recipes: Vec<_> = recipes.split("\n**").skip(1).collect();
    assert!(recipes.len() > 10, "{recipes:#?}");
    for recipe in recipes {
        // What delivers nothing new has nothing to be found by.
        let needs = !recipe.starts_with("Afterwards.");
        assert!(!needs || recipe.contains("```logql\n"), "{recipe}");
        assert!(recipe.contains("```sh\n"), "{recipe}");
    }
}

#[test]
fn every_example_of_the_man_page_works() {
    let examples = man_examples();
    assert!(examples.len() > 10, "{examples:#?}");
    examples.iter().for_each(|example| works(example, None));
}

#[test]
fn every_example_file_has_a_command_line_that_parses() {
    let lines = [
        ("loki-push.service", 1),
        ("loki-push-backup.service", 1),
        ("crontab", 3),
        ("Dockerfile", 2),
        ("compose.yaml", 1),
        ("kubernetes.yaml", 1),
    ];
    for (name, expected) in lines {
        let found = command_lines(name);
        assert_eq!(found.len(), expected, "{name}: {found:#?}");
        found.iter().for_each(|args| parses(args, name));
    }
}

#[test]
fn the_command_lines_of_the_example_files_work() {
    let mut ran = 0;
    for name in ["loki-push.service", "loki-push-backup.service", "crontab"] {
        for line in read(&format!("examples/{name}")).lines().map(str::trim) {
            let cron = || name == "crontab" && line.starts_with(|c: char| !c.is_alphabetic());
            let line = match line.strip_prefix("ExecStart=/usr/bin/") {
                Some(line) => line.replace("/var/log/app/*.log", "'/var/log/app/*.log'"),
                None if cron() && line.contains("loki-push --env") => {
                    let command = line.splitn(6, char::is_whitespace).nth(5);
                    command.unwrap_or_default().trim().to_owned()
                }
                None => continue,
            };
            let line = line
                .replace("%H", "\"$(hostname)\"")
                .replace("--label host=", "-l host=")
                .replace("--follow", "-f")
                .replace("${STATE_DIRECTORY}", "/var/lib/loki-push")
                .replace("$SPOOL", "/var/spool/loki-push")
                .replace("/usr/local/bin/", "");
            runs(&line, None);
            ran += 1;
        }
    }
    // Sidecars.
    for name in ["compose.yaml", "kubernetes.yaml"] {
        for args in command_lines(name) {
            let quoted = args.iter().map(|arg| format!("'{arg}'"));
            let line = quoted.collect::<Vec<_>>().join(" ");
            let line = line
                .replace("'--follow'", "-f")
                .replace("'host=$(POD)'", "host=\"$(hostname)\"")
                .replace("'host=compose'", "host=\"$(hostname)\"")
                .replace("'--label' ", "-l ")
                .replace("'/logs/", "'/var/log/app/")
                .replace("'/state/", "'/var/lib/loki-push/");
            runs(&format!("loki-push {line}"), None);
            ran += 1;
        }
    }
    // In a container: the entrypoint, with a program that ends.
    let file = read("examples/Dockerfile");
    let mut lines = file.lines().rev();
    let entry = lines.find_map(|line| line.strip_prefix("ENTRYPOINT "));
    let entry = list_of(entry.expect("an entrypoint"));
    runs(&format!("{} myapp", entry.join(" ")), None);
    assert_eq!(ran, 6);
}

/// The shell blocks of the README, each with the query that stands right below it.
fn readme_examples() -> Vec<(String, Option<String>)> {
    let readme = read("README.md");
    let blocks = readme.split("```sh\n").skip(1);
    blocks
        .filter_map(|rest| {
            let (example, below) = rest.split_once("```\n")?;
            let query = below.strip_prefix("```logql\n");
            let query = query.and_then(|rest| rest.split("```").next());
            Some((example.to_owned(), query.map(str::to_owned)))
        })
        .collect()
}

/// The labels a query selects by, those given in full.
fn selected(query: &str) -> Vec<(&str, &str)> {
    let (_, rest) = query.split_once('{').expect("a selector");
    let (selector, _) = rest.split_once('}').expect("its end");
    let matchers = selector.split(", ").filter_map(|one| one.split_once('='));
    matchers
        .filter(|(_, value)| value.starts_with('"'))
        .map(|(name, value)| (name, value.trim_matches('"')))
        .collect()
}

/// The examples of the man page.
fn man_examples() -> Vec<String> {
    let page = read("man/loki-push.1");
    let page = page.replace("\\-", "-").replace("\\e", "\\");
    let blocks = page.split(".EX\n").skip(1);
    blocks
        .filter_map(|rest| rest.split(".EE").next())
        .filter(|block| block.contains("loki-push"))
        .map(str::to_owned)
        .collect()
}

fn works(example: &str, query: Option<&str>) {
    let has = |words: &[&str]| words.iter().any(|word| example.contains(word));
    let asked = recorded(example);
    assert!(!asked.is_empty(), "no loki-push in\n{example}");
    asked.iter().for_each(|args| parses(args, example));
    if has(ELSEWHERE) {
        return;
    }
    runs(example, query);
}

/// Runs an example as it stands; its absolute paths lie in a directory of the test's own. The query
/// that goes with it finds something of what it ships.
fn runs(example: &str, query: Option<&str>) {
    let (dir, loki) = (Dir::new(), Loki::start());
    programs(&dir);
    symlink(BINARY, dir.join("bin/loki-push")).expect("a link");
    let now = jiff::Timestamp::now();
    dir.write("app.log.1", format!("{now} INFO the newer of two\n"));
    let mut gz = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let earlier = now - Duration::from_mins(5);
    gz.write_all(format!("{earlier} INFO the older of two\n").as_bytes())
        .expect("gzip in memory");
    dir.write("app.log.2.gz", gz.finish().expect("gzip in memory"));
    let folders = FOLLOWED.map(|(file, _)| Path::new(file).parent().expect("a folder"));
    let others = ["var/lib/loki-push", "var/spool/loki-push"].map(Path::new);
    for made in folders.into_iter().chain(others) {
        fs::create_dir_all(dir.join(made)).expect("a directory");
    }

    let run = LokiPush::bare()
        .env("PATH", path(&dir))
        .env("LOKI_ADDR", loki.url())
        .env("BRANCH", "main")
        .env("COMMIT", "8d16034")
        .env("NODE", "worker-3")
        .cwd(dir.path())
        .own_group()
        .after(&format!("set -e\n{}", at_home(example, dir.path())))
        // What runs behind the example; a shell does not end in the middle of it.
        .arg("--version");
    if example.contains("loki-push -f") {
        follows(run, &dir, &loki, example);
    } else {
        let done = run.run();
        let done = done.expect(0);
        if example.contains("--dry-run") {
            assert!(
                done.stdout_text().contains("{app=\"api\""),
                "{}",
                done.report()
            );
            assert!(loki.requests().is_empty(), "{}", done.report());
        } else {
            arrived(&loki, example, &done);
        }
    }
    if let Some(query) = query {
        let (wanted, entries) = (selected(query), loki.entries());
        let found = entries.iter().any(|entry| {
            let own = |name: &str| entry.labels.get(name).map(String::as_str);
            wanted.iter().all(|(name, value)| own(name) == Some(value))
        });
        assert!(found, "{query} finds nothing of\n{example}\n{entries:#?}");
    }
    loki.assert_clean();
}

/// Lets an example that follows files see some, and ends it.
fn follows(run: LokiPush, dir: &Dir, loki: &Loki, example: &str) {
    let (_never, pause) = channel::<()>();
    let run = run.spawn();
    // A file that is there at the start is followed from its end: until it was found, all that is
    // in it is old. So lines come until one of them arrives.
    for _ in 0..600 {
        for (file, form) in FOLLOWED {
            let line = jiff::Timestamp::now().strftime(form);
            dir.append(file, line.to_string());
        }
        if !loki.entries().is_empty() {
            break;
        }
        _ = pause.recv_timeout(Duration::from_millis(50));
    }
    run.signal_group("TERM");
    let done = run.wait();
    arrived(loki, example, &done);
}

fn arrived(loki: &Loki, example: &str, done: &Finished) {
    let entries = loki.entries();
    let none_expected = example.contains("--drain") || example.contains("--check ");
    assert!(
        none_expected || !entries.is_empty(),
        "nothing arrived of\n{example}\n{}",
        done.report()
    );
    if example.contains("host=\"$(hostname)\"") {
        for entry in entries {
            let host = entry.labels.get("host").map(String::as_str);
            assert_eq!(host, Some("web-1"), "{entry:?}");
        }
    }
}

/// The arguments of each `loki-push` an example runs, as the shell makes them.
fn recorded(script: &str) -> Vec<Vec<String>> {
    let dir = Dir::new();
    programs(&dir);
    fs::create_dir(dir.join("seen")).expect("a directory");
    let seen = dir.join("seen");
    let record = format!(
        "printf '%s\\n' \"$@\" > '{}'/$$\ncat > /dev/null",
        seen.display()
    );
    program(&dir, "loki-push", &record);
    let done = Command::new("sh")
        .args(["-ec", script])
        .env("PATH", path(&dir))
        .env("SPOOL", "/var/spool/loki-push")
        .env("BRANCH", "main")
        .env("COMMIT", "8d16034")
        .current_dir(dir.path())
        .stdin(std::process::Stdio::null())
        .output()
        .expect("a shell");
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}\n{script}\n{stderr}", done.status);
    let files = dir
        .files()
        .into_iter()
        .filter(|file| file.starts_with("seen"));
    files
        .map(|file| dir.read_text(file).lines().map(str::to_owned).collect())
        .collect()
}

fn parses(args: &[String], from: &str) {
    // The options are read, but nothing else is done.
    let done = LokiPush::bare()
        .args(["--generate", "man"])
        .args(args)
        .run();
    assert!(done.status == 0, "{from}\n{}", done.report());
}

/// The arguments of each `loki-push` in a file of `examples/`.
fn command_lines(name: &str) -> Vec<Vec<String>> {
    let text = read(&format!("examples/{name}"));
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(line) = line.strip_prefix("ExecStart=") {
            // systemd gives a pattern to the program as it is.
            let line = line.replace("%H", "web-1").replace('*', "\\*");
            found.extend(recorded(&line.replace("/usr/bin/loki-push", "loki-push")));
        } else if name == "crontab" && line.starts_with(|c: char| c == '*' || c.is_ascii_digit()) {
            let command = line
                .splitn(6, char::is_whitespace)
                .nth(5)
                .unwrap_or_default();
            found.extend(recorded(command.trim()));
        } else if let Some(list) = line.strip_prefix("ENTRYPOINT ") {
            found.push(list_of(list)[1..].to_vec());
        } else if let Some(list) = line.strip_prefix("CMD ") {
            found
                .last_mut()
                .expect("an entrypoint")
                .extend(list_of(list));
        } else if let Some(list) = line.strip_prefix("command: ") {
            let list = list_of(list);
            found.extend(list[0].starts_with('-').then_some(list));
        } else if let Some(list) = line.strip_prefix("args: ") {
            found.push(list_of(list));
        }
    }
    found
}

fn list_of(text: &str) -> Vec<String> {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn programs(dir: &Dir) {
    for (name, script) in PROGRAMS {
        program(dir, name, script);
    }
}

fn program(dir: &Dir, name: &str, script: &str) {
    dir.write_program(format!("bin/{name}"), format!("#!/bin/sh\n{script}\n"));
}

fn path(dir: &Dir) -> String {
    let others = std::env::var("PATH").unwrap_or_default();
    format!("{}:{others}", dir.join("bin").display())
}

/// An example with the machine's directories replaced by ones of the test's own.
fn at_home(example: &str, home: &Path) -> String {
    let mut text = example.to_owned();
    for top in ["/var/", "/etc/"] {
        text = text.replace(top, &format!("{}{top}", home.display()));
    }
    text
}

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_quickstart_plays_an_outage_and_shows_every_line() {
    let done = quickstart(None);
    for text in [
        "a stand-in plays Loki",
        "connection refused",
        "is accepting entries again",
        "{app=\"shop\", env=\"quickstart\", level=\"error\"}",
        "\tat shop.Cart.checkout",
        "read 12, delivered 12, refused 0, dropped 0",
        "Every line is there, once, and in order.",
    ] {
        assert!(done.contains(text), "no {text:?} in\n{done}");
    }
}

#[test]
fn the_quickstart_uses_the_loki_it_is_told() {
    let loki = Loki::start();
    let done = quickstart(Some(&loki));
    assert!(done.contains("Every line is there"), "{done}");
    assert!(!done.contains("stand-in"), "{done}");
    assert_eq!(loki.entries().len(), 12);
    loki.assert_clean();
}

/// Runs the example; gives what it printed.
fn quickstart(loki: Option<&Loki>) -> String {
    let mut command = Command::new(quickstart_binary());
    for (name, _) in std::env::vars_os() {
        let upper = name.to_string_lossy().to_uppercase();
        if upper.starts_with("LOKI_") || upper.ends_with("_PROXY") {
            command.env_remove(name);
        }
    }
    if let Some(loki) = loki {
        command.env("LOKI_ADDR", loki.url());
    }
    let done = command.output().expect("the quickstart");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}\n{said}\n{errors}", done.status);
    said
}

/// `cargo test` builds examples; a run of this one test binary alone does not.
fn quickstart_binary() -> PathBuf {
    let test = std::env::current_exe().expect("a path");
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("target/debug/deps");
    let path = profile.join("examples/quickstart");
    if !path.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--example", "quickstart"]);
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(
            built.is_ok_and(|status| status.success()),
            "{}",
            path.display()
        );
    }
    path
}

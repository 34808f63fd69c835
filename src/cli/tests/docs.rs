//! The documents say what the program is: man page and completions are generated from the clap
//! command, and every option that any text mentions exists.
//!
//! `UPDATE_DOCS=1 cargo test docs` writes man page and completions anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Stdio};

use clap::{Arg, Command, CommandFactory};

use super::completions;
use crate::cli::Cli;

const TEMPLATE: &str = include_str!("../../../man/template.1");

/// A generator of completion scripts.
type Script = fn(&Command) -> String;

/// The completion scripts, and what generates them.
const SHELLS: [(&str, Script); 3] = [
    ("loki-push.bash", completions::bash),
    ("_loki-push", completions::zsh),
    ("loki-push.fish", completions::fish),
];

/// The date of the man page: that of its last change which a reader would notice.
const DATE: &str = "2026-11-30";

/// The options `clap` adds by itself.
const STANDARD: [&str; 2] = ["help", "version"];

/// Options of other programs that our texts mention (cargo, docker, grep, logger, systemctl, and the
/// quickstart example).
const FOREIGN: [&str; 20] = [
    "as-loki-push",
    "build",
    "chown",
    "example",
    "features",
    "full",
    "ignored",
    "lib",
    "line-buffered",
    "locked",
    "no-act",
    "no-cache",
    "now",
    "path",
    "prio-prefix",
    "read-only",
    "release",
    "sd-param",
    "target",
    "test",
];

/// The command without its environment: what it is at home, whatever is set here.
fn command() -> Command {
    Cli::command()
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    let path = root(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_man_page_is_up_to_date() {
    up_to_date("man/loki-push.1", &man_page(command()));
}

#[test]
fn completions_are_up_to_date() {
    for (name, script) in SHELLS {
        up_to_date(&format!("completions/{name}"), &script(&command()));
    }
}

#[test]
fn suggested_values_belong_to_options() {
    completions::check(&command());
}

#[test]
fn the_environment_shows_in_no_document() {
    let bound = crate::cli::command();
    assert!(bound.get_arguments().any(|arg| arg.get_env().is_some()));
    // clap_mangen leaves out the first line of what `-h` does not show.
    let bound = bound.mut_args(|arg| arg.hide_short_help(false));
    assert!(
        man_page(bound.clone()) == man_page(command()),
        "the man page"
    );
    for (name, script) in SHELLS {
        assert!(script(&bound) == script(&command()), "{name}");
    }
}

/// Compares a generated file with what it should be; writes it if that was asked for.
fn up_to_date(path: &str, should_be: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        // Whole or not at all: another test may be reading it.
        let written = fs::write(root(path).with_extension("new"), should_be)
            .and_then(|()| fs::rename(root(path).with_extension("new"), root(path)));
        return written.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let is = fs::read_to_string(root(path)).unwrap_or_default();
    let differs = is.lines().zip(should_be.lines()).position(|(a, b)| a != b);
    let line = differs.unwrap_or(is.lines().count().min(should_be.lines().count()));
    assert!(
        is == should_be,
        "{path} is not what the command line gives, from line {} on:\n  is:        {}\n  \
         should be: {}\nWrite it anew: UPDATE_DOCS=1 cargo test docs",
        line + 1,
        is.lines().nth(line).unwrap_or("(nothing)"),
        should_be.lines().nth(line).unwrap_or("(nothing)"),
    );
}

/// The template with title and options put in.
fn man_page(command: Command) -> String {
    let version = command.get_version().unwrap_or_default().to_owned();
    let title = format!(".TH LOKI-PUSH 1 \"{DATE}\" \"loki-push {version}\" \"User Commands\"");
    let options = options(command);
    let mut page = String::from(
        ".\\\" Generated from man/template.1 and the clap command: UPDATE_DOCS=1 cargo test docs\n",
    );
    for line in TEMPLATE.lines() {
        match line {
            "@TITLE@" => page = page + &title + "\n.nh",
            "@OPTIONS@" => page += &options,
            _ if line.starts_with(".\\\"") => continue,
            // A plain `-` is a hyphen in print, and cannot be pasted into a shell.
            _ => page += &line.replace('-', "\\-"),
        }
        page.push('\n');
    }
    ascii(&page)
}

/// What is not ASCII, by troff's names, which need no preprocessor and no locale.
fn ascii(text: &str) -> String {
    let name = |c: char| match c {
        c if c.is_ascii() => c.to_string(),
        c => format!("\\[u{:04X}]", u32::from(c)),
    };
    text.chars().map(name).collect()
}

/// The options, as subsections by topic; those every program has come last.
fn options(command: Command) -> String {
    let headings: Vec<String> = command
        .get_arguments()
        .filter_map(Arg::get_help_heading)
        .map(str::to_owned)
        .collect();
    let mut rendered = Vec::new();
    clap_mangen::Man::new(command)
        .render_options_section(&mut rendered)
        .expect("a page in memory");
    let mut text = String::from_utf8(rendered).expect("UTF-8");
    for heading in headings {
        for old in [
            heading.to_uppercase(),
            format!("\"{}\"", heading.to_uppercase()),
        ] {
            text = text.replace(&format!(".SH {old}\n"), &format!(".SS {heading}\n"));
        }
    }
    // clap_mangen knows one name a positional argument, and separates paragraphs by empty lines.
    text = text
        .replace("[\\fIFILE\\fR]", "[\\fIFILE\\fR]...")
        .replace(
            "[\\fICOMMAND\\fR]",
            "\\fB\\-\\-\\fR \\fICOMMAND\\fR [\\fIARG\\fR]...",
        )
        .replace(".br\n\n.br\n", ".br\n")
        .replace(".RS 14\n", ".RS\n.PD 0\n")
        .replace(".RE\n", ".PD\n.RE\n")
        .replace("\n\n", "\n.sp\n");
    let (preamble, text) = text.split_once(".SH OPTIONS\n").expect("options");
    let (standard, topics) = text.split_once(".SS ").expect("topics");
    format!(
        "{preamble}.SH OPTIONS\n.SS {topics}.SS Help\n{}",
        standard.trim_end()
    )
}

#[test]
fn every_option_is_in_the_readme() {
    let readme = mentioned(&read("README.md"));
    let missing: Vec<_> = longs()
        .into_iter()
        .filter(|long| !readme.contains(long))
        .collect();
    assert!(
        missing.is_empty(),
        "the README does not mention {missing:?}"
    );
}

#[test]
fn every_option_that_is_mentioned_exists() {
    let mut texts = vec![
        ("README.md".to_owned(), read("README.md")),
        ("CONTRIBUTING.md".to_owned(), read("CONTRIBUTING.md")),
        (
            "the man page".to_owned(),
            man_page(command()).replace("\\-", "-"),
        ),
        (
            "--help".to_owned(),
            command().render_long_help().to_string(),
        ),
        ("-h".to_owned(), command().render_help().to_string()),
    ];
    for file in fs::read_dir(root("examples")).expect("examples") {
        let name = format!("examples/{}", file.expect("a file").file_name().display());
        let text = read(&name);
        texts.push((name, text));
    }
    let mut known = longs();
    let command_line = command();
    let aliases = command_line
        .get_arguments()
        .filter_map(clap::Arg::get_all_aliases);
    known.extend(aliases.flatten().map(str::to_owned));
    known.extend(STANDARD.iter().chain(&FOREIGN).map(|&name| name.to_owned()));
    for (name, text) in texts {
        let unknown: Vec<_> = mentioned(&text).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{name} mentions {unknown:?}");
    }
}

/// The long names of all options.
fn longs() -> BTreeSet<String> {
    let command = command();
    let names = command.get_arguments().filter_map(Arg::get_long);
    names.map(str::to_owned).collect()
}

/// Every `--name` in a text.
fn mentioned(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices("--") {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || "-_<!\\".contains(c)) {
            continue;
        }
        let name: String = text[at + 2..]
            .chars()
            .take_while(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-')
            .collect();
        let name = name.trim_end_matches('-');
        if name.starts_with(|c: char| c.is_ascii_lowercase()) {
            found.insert(name.to_owned());
        }
    }
    found
}

#[test]
fn the_readme_stays_readable() {
    let lines = read("README.md").lines().count();
    assert!(lines <= 450, "{lines} lines");
}

#[test]
fn what_the_package_holds_is_there() {
    let manifest = read("Cargo.toml");
    let (_, assets) = manifest.split_once("assets = [\n").expect("assets");
    let assets = assets.lines().take_while(|line| *line != "]");
    for line in assets {
        let asset = line.trim().trim_end_matches(',');
        let [from, ..]: [String; 3] = serde_json::from_str(asset).expect(line);
        // The program is built when the package is.
        let there = from == "target/release/loki-push" || root(&from).exists();
        assert!(there, "{from} is not there");
    }
}

#[test]
fn the_man_page_formats_without_a_warning() {
    for (name, args) in [
        (
            "groff",
            &["-man", "-Tutf8", "-ww", "-z", "man/loki-push.1"][..],
        ),
        (
            "mandoc",
            &["-T", "lint", "-W", "warning", "man/loki-push.1"],
        ),
    ] {
        if let Some(output) = tool(name, args) {
            assert_eq!(output, "", "{name}");
        }
    }
}

/// Runs a tool that this machine may have, in the project's directory; gives all it says.
fn tool(name: &str, args: &[&str]) -> Option<String> {
    let mut process = Process::new(name);
    process.args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
    process.stdin(Stdio::null());
    let done = match process.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        done => done.unwrap_or_else(|error| panic!("{name}: {error}")),
    };
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(done.status.success(), "{name}: {}\n{said}", done.status);
    Some(said)
}

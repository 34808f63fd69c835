//! Completion scripts for bash, zsh and fish, generated from the clap command.
//!
//! They offer an option's values, files where a file belongs, folders for `--spool`, and after `--`
//! whatever the shell offers for that command. The scripts of clap_complete do none of the last.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

/// Values worth offering for options that accept others as well.
const SUGGESTED: [(&str, &[&str]); 5] = [
    (
        "level",
        &[
            "trace", "debug", "info", "warn", "error", "critical", "fatal",
        ],
    ),
    ("drain", &["all"]),
    ("multiline", &["auto"]),
    ("time", &["arrival", "auto"]),
    (
        "gzip-level",
        &["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    ),
];

/// What an option's value is.
enum Value {
    /// The option has none.
    None,
    /// One of these, or something like them.
    OneOf(Vec<String>),
    File,
    Folder,
    /// Something only the user knows.
    Own,
}

/// An option as a completion script sees it.
struct Opt {
    /// `-a`, `--app`; the long name comes last.
    names: Vec<String>,
    help: String,
    value: Value,
    value_name: String,
    /// The value may be left out, and follows `=` if it is there.
    optional: bool,
    repeatable: bool,
}

impl Opt {
    fn new(arg: &Arg) -> Self {
        let long = arg.get_long().unwrap_or_default();
        let mut shorts: Vec<_> = arg.get_short().into_iter().collect();
        shorts.extend(arg.get_all_short_aliases().unwrap_or_default());
        let mut longs = vec![long];
        longs.extend(arg.get_all_aliases().unwrap_or_default());
        let shorts = shorts.into_iter().map(|c| format!("-{c}"));
        let names = shorts.chain(longs.iter().map(|name| format!("--{name}")));
        let value_name = arg.get_value_names().unwrap_or_default().first();
        let takes_value = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
        let suggested = SUGGESTED.iter().find(|(name, _)| *name == long);
        let possible = arg.get_possible_values();
        let possible = possible.iter().filter(|value| !value.is_hide_set());
        let possible: Vec<_> = possible.map(|value| value.get_name().to_owned()).collect();
        let value = match (value_name.map(clap::builder::Str::as_str), suggested) {
            _ if !takes_value => Value::None,
            _ if !possible.is_empty() => Value::OneOf(possible),
            (_, Some((_, values))) => Value::OneOf(values.iter().map(|&v| v.to_owned()).collect()),
            (Some("FILE"), _) => Value::File,
            (Some("DIR"), _) => Value::Folder,
            _ => Value::Own,
        };
        Self {
            names: names.collect(),
            help: arg.get_help().map(ToString::to_string).unwrap_or_default(),
            value,
            value_name: value_name.map(ToString::to_string).unwrap_or_default(),
            optional: takes_value && arg.get_num_args().is_some_and(|n| n.min_values() == 0),
            repeatable: matches!(arg.get_action(), ArgAction::Append),
        }
    }
}

fn options(command: &Command) -> Vec<Opt> {
    let mut command = command.clone();
    command.build();
    let options = command.get_arguments();
    let options = options.filter(|arg| arg.get_long().is_some() && !arg.is_hide_set());
    options.map(Opt::new).collect()
}

/// Every suggestion belongs to an option that exists.
pub fn check(command: &Command) {
    let options = options(command);
    let all: Vec<_> = options.iter().flat_map(|option| &option.names).collect();
    for (name, _) in SUGGESTED {
        let name = format!("--{name}");
        assert!(
            all.contains(&&name),
            "{name} is suggested, but is not an option"
        );
    }
}

const HEAD: &str = "Generated from the options of loki-push: UPDATE_DOCS=1 cargo test docs";

pub fn bash(command: &Command) -> String {
    let options = options(command);
    let mut cases = String::new();
    for option in &options {
        let does = match &option.value {
            Value::None => continue,
            Value::OneOf(values) => {
                format!(
                    "COMPREPLY=($(compgen -W '{}' -- \"$cur\"))",
                    values.join(" ")
                )
            }
            Value::File => "_loki_push_files file".into(),
            Value::Folder => "_loki_push_files directory".into(),
            Value::Own => ":".into(),
        };
        // Only after `=` is what follows the value of such an option.
        let names = if option.optional {
            option.names.iter().map(|name| format!("{name}=")).collect()
        } else {
            option.names.clone()
        };
        let mut patterns = names.join("|");
        if !option.optional {
            let longs = option.names.iter().filter(|name| name.starts_with("--"));
            longs.for_each(|name| _ = write!(patterns, "|{name}="));
        }
        _ = writeln!(cases, "        {patterns}) {does}; return ;;");
    }
    let names: Vec<_> = options
        .iter()
        .flat_map(|option| option.names.clone())
        .collect();
    format!(
        r#"# bash completion for loki-push. {HEAD}

_loki_push_files() {{
    # Readline completes paths itself, with `~` and quotes, where bash can ask it to.
    if [[ $1 == directory ]]; then
        compopt -o dirnames -o filenames 2>/dev/null && return
    else
        compopt -o default -o filenames 2>/dev/null && return
    fi
    local IFS=$'\n'
    COMPREPLY=($(compgen -A "$1" -- "$cur"))
}}

_loki_push() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} option=${{COMP_WORDS[COMP_CWORD-1]}} i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${{COMP_WORDS[i]}} == -- ]] || continue
        if declare -F _comp_command_offset >/dev/null; then
            _comp_command_offset $((i + 1))
        elif declare -F _command_offset >/dev/null; then
            _command_offset $((i + 1))
        elif ((i + 1 == COMP_CWORD)); then
            COMPREPLY=($(compgen -c -- "$cur"))
        else
            _loki_push_files file
        fi
        return
    done
    # Bash makes three words of --option=value.
    if [[ $cur == = ]]; then
        option+='=' cur=
    elif [[ $option == = ]]; then
        option=${{COMP_WORDS[COMP_CWORD-2]}}=
    fi
    case $option in
{cases}    esac
    if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W '{}' -- "$cur"))
    else
        _loki_push_files file
    fi
}}

complete -F _loki_push loki-push
"#,
        names.join(" ")
    )
}

pub fn zsh(command: &Command) -> String {
    let quoted = |text: &str| text.replace('\'', r"'\''");
    let mut specs = String::new();
    for option in options(command) {
        let value = match &option.value {
            Value::None => String::new(),
            Value::OneOf(values) => format!("({})", values.join(" ")),
            Value::File => "_files".into(),
            Value::Folder => "_files -/".into(),
            Value::Own => " ".into(),
        };
        let value = match &option.value {
            Value::None => String::new(),
            _ if option.optional => format!("::{}:{value}", option.value_name.replace(':', r"\:")),
            _ => format!(":{}:{value}", option.value_name.replace(':', r"\:")),
        };
        let help = option.help.replace('[', r"\[").replace(']', r"\]");
        for name in &option.names {
            let takes = match &option.value {
                Value::None => "",
                _ if option.optional => "=-",
                _ if name.starts_with("--") => "=",
                _ => "+",
            };
            let others = if option.repeatable {
                "*".into()
            } else {
                format!("({})", option.names.join(" "))
            };
            let spec = format!("{others}{name}{takes}[{help}]{value}");
            _ = writeln!(specs, "        '{}' \\", quoted(&spec));
        }
    }
    format!(
        r"#compdef loki-push
# {HEAD}

_loki-push() {{
    local curcontext=$curcontext ret=1
    # After `--` it is the command's turn.
    local -i dashes=${{words[(i)--]}}
    if (( dashes < CURRENT )); then
        shift dashes words
        (( CURRENT -= dashes ))
        _normal
        return
    fi
    _arguments -s -S \
{specs}        '*:file:_files'
}}

if [[ $funcstack[1] == _loki-push ]]; then
    _loki-push
else
    compdef _loki-push loki-push
fi
"
    )
}

pub fn fish(command: &Command) -> String {
    let mut lines = String::new();
    for option in options(command) {
        let mut line = String::from("complete -c loki-push");
        for name in &option.names {
            _ = match name.strip_prefix("--") {
                Some(long) => write!(line, " -l {long}"),
                None => write!(line, " -s {}", name.trim_start_matches('-')),
            };
        }
        let help = option.help.replace('\\', r"\\").replace('\'', r"\'");
        _ = write!(line, " -d '{help}'");
        let value = match &option.value {
            Value::None => String::new(),
            Value::OneOf(values) if option.optional => format!(" -f -a '{}'", values.join(" ")),
            Value::OneOf(values) => format!(" -x -a '{}'", values.join(" ")),
            Value::File => " -r -F".into(),
            Value::Folder => " -x -a '(__fish_complete_directories)'".into(),
            Value::Own if option.optional => String::new(),
            Value::Own => " -x".into(),
        };
        _ = writeln!(lines, "{line}{value}");
    }
    format!(
        "# fish completion for loki-push. {HEAD}

# The position of `--` among the words before the cursor.
function __loki_push_dashes
    contains -i -- -- (commandline -opc)
end

# After `--` it is the command's turn.
function __loki_push_command
    set -l words (commandline -opc)
    set -e words[1..(__loki_push_dashes)]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct | string collect))
end

complete -c loki-push -n __loki_push_dashes -f -a '(__loki_push_command)'
{lines}"
    )
}

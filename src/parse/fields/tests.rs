//! Fields read from lines, and written and read again.

use crate::random::Random;
use std::borrow::Cow;
use std::ops::ControlFlow;

use crate::parse::fields::level_field::level_index;
use crate::parse::fields::write::write_line;
use crate::parse::fields::*;
use crate::parse::level::Level;

/// Message, fields and whether the line was JSON.
pub(super) fn parsed(line: &str, how: Parse) -> (String, Vec<(String, String)>, bool) {
    let mut fields = Vec::new();
    let parsed = parse(line, how, &mut fields);
    let pairs = fields
        .into_iter()
        .map(|f| (f.name.into_owned(), f.value.into_owned()));
    (
        parsed.message.into_owned(),
        pairs.collect(),
        parsed.form == Form::Json,
    )
}

#[track_caller]
fn check(line: &str, message: &str, fields: &[(&str, &str)]) {
    let (read_message, read_fields, _) = parsed(line, Parse::Auto);
    let read: Vec<_> = read_fields
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    assert_eq!(
        (read_message.as_str(), read.as_slice()),
        (message, fields),
        "{line:?}"
    );
}

impl Random {
    pub(super) fn text(&mut self, alphabet: &[&str], most: usize) -> String {
        (0..self.below(most + 1))
            .map(|_| self.pick(alphabet))
            .collect()
    }
}

const VALUES: [&str; 30] = [
    "a", "B", "0", " ", "  ", "\"", "\\", "=", "|", "\n", "\r", "\t", "\0", "\x1b", "\x7f",
    "\u{85}", "é", "日", "🦀", "\u{fffd}", "\\u", "\\n", "'", ",", "{", "}", "[", ":", "/",
    "\u{a0}",
];

const LINES: [&str; 40] = [
    "a",
    "key",
    "level",
    "msg",
    "=",
    "=\"",
    "\"",
    "\\",
    "\\\"",
    "\\u12",
    "\\ud800",
    "{",
    "}",
    "{\"",
    "\":",
    "[",
    "]",
    ",",
    ":",
    "null",
    "1.10",
    "true",
    " ",
    "  ",
    "\t",
    "\n",
    "|",
    " | ",
    "\0",
    "\x01",
    "\x1b[1m",
    "\u{fffd}",
    "é",
    "日",
    "error",
    "a=b",
    "level=info",
    "\"level\":\"warn\"",
    "\"msg\":\"x\"",
    "-",
];

const MODES: [Parse; 4] = [Parse::Auto, Parse::Logfmt, Parse::Json, Parse::None];

#[test]
fn the_fields_that_end_a_line_are_taken_out_of_it() {
    check(
        "user login level=error user_id=42 ip=1.2.3.4",
        "user login",
        &[("level", "error"), ("user_id", "42"), ("ip", "1.2.3.4")],
    );
    check("a=1", "", &[("a", "1")]);
    check("a=1 b=2", "", &[("a", "1"), ("b", "2")]);
    check("  at x a=1  ", "  at x", &[("a", "1")]);
    check("_a.b-C9=x", "", &[("_a.b-C9", "x")]);
    check("a=", "", &[("a", "")]);
    check(
        "x a=1, b=2; c=\"3\", d=4;",
        "x",
        &[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")],
    );
    check(
        "x a=1 , b=2 | c=3",
        "x",
        &[("a", "1"), ("b", "2"), ("c", "3")],
    );
}

#[test]
fn fields_before_other_text_are_copied() {
    for (line, fields) in [
        ("x a=1 y", &[("a", "1")][..]),
        ("a=1 x", &[("a", "1")]),
        ("  a=1  x", &[("a", "1")]),
        ("a= b", &[("a", "")]),
        ("a=1\nb=2\nc", &[("a", "1"), ("b", "2")]),
        ("a=1, then b=\"2\"] x", &[("a", "1"), ("b", "2")]),
        ("m=\"a\"] ", &[("m", "a")]),
    ] {
        check(line, line, fields);
    }
    check(
        "x a=1 y b=2 z c=3",
        "x a=1 y b=2 z",
        &[("a", "1"), ("b", "2"), ("c", "3")],
    );
    check(
        "x  a=1\t b=2   y z ",
        "x  a=1\t b=2   y z ",
        &[("a", "1"), ("b", "2")],
    );
}

#[test]
fn what_stands_in_quotes_or_brackets_is_text() {
    for line in [
        "[LocalLog partition=a-2, dir=/x] Rolled",
        "got User{id=1, name=bob}",
        "\"GET /?q=a b=c\" 200",
        "[ex@1 iut=\"3\" eventID=\"1011\"] x",
        "ran `a b=c d` twice",
        "said 'a b=c'",
        "f(a b=c [ d=e) g",
        "\"curl \\\" level=fatal x\"",
        "(a (b=1 c=2) d=3) e",
        "] ) } x ( a=1 )",
    ] {
        check(line, line, &[]);
    }
    check("[ x a=1", "[ x", &[("a", "1")]);
    check("x ] a=1", "x ]", &[("a", "1")]);
    check("\"x a=1", "\"x", &[("a", "1")]);
    check("6\" pipe 3\" a=1", "6\" pipe 3\"", &[("a", "1")]);
    check(
        "the dogs' a=1 cats' b=2",
        "the dogs' a=1 cats'",
        &[("a", "1"), ("b", "2")],
    );
    check("(x a=1) b=2", "(x a=1)", &[("b", "2")]);
    check(
        "[x a=1 (b=2) c=3",
        "[x a=1 (b=2)",
        &[("a", "1"), ("c", "3")],
    );
}

#[test]
fn a_bare_value_reaches_to_where_its_bracket_closes() {
    check("x a=[b c] d=1", "x", &[("a", "[b c]"), ("d", "1")]);
    check(
        "x a={b=1, c={d=2 e=3}}, f=1",
        "x",
        &[("a", "{b=1, c={d=2 e=3}}"), ("f", "1")],
    );
    check("a=f(x=1 y=2)z b=1", "", &[("a", "f(x=1 y=2)z"), ("b", "1")]);
    check("x a='b c=d' e=1", "x", &[("a", "'b c=d'"), ("e", "1")]);
    check("a=b\"c d\"e f", "a=b\"c d\"e f", &[("a", "b\"c d\"e")]);
    check("x a=[b c=1", "x", &[("a", "[b"), ("c", "1")]);
}

#[test]
fn a_key_that_occurs_twice_stays_in_the_message() {
    for (line, message) in [
        ("a=1 a=2", "a=1 a=2"),
        ("x a=1 a=2 b=3", "x a=1 a=2"),
        ("x a=1 y a=2", "x a=1 y a=2"),
        ("x b=3 a=1 | c=4 a=2", "x a=1 a=2"),
    ] {
        let mut fields = Vec::new();
        assert_eq!(parse(line, Parse::Auto, &mut fields).message, message);
        for field in fields {
            assert_eq!(field.duplicate, field.name == "a", "{line}");
        }
    }
    let many: Vec<String> = (0..50).map(|n| format!("k{}={n}", n % 49)).collect();
    let (line, mut fields) = (many.join(" "), Vec::new());
    parse(&line, Parse::Auto, &mut fields);
    assert_eq!(fields.iter().filter(|field| field.duplicate).count(), 2);
}

#[test]
fn what_is_no_name_is_no_key() {
    let long = format!("{}=1", "k".repeat(65));
    for line in [
        &*long,
        "Basic dXNlcjpwYXNzd29yZDE=",
        "x eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9AAA=",
    ] {
        check(line, line, &[]);
    }
    check(&long[1..], "", &[(&long[1..65], "1")]);
    check("userName=", "", &[("userName", "")]);
    check("requestId12= x", "requestId12= x", &[("requestId12", "")]);
}

#[test]
fn assignments_and_conditions_in_code_are_text() {
    for line in [
        "x WHERE id=5 AND role='admin'",
        "select u.id from users u where u.id=? and u.name=\"bob\" or u.age=3",
        "UPDATE users SET name='bob', age=5, level='fatal' WHERE id=3",
        "update users set name=?, age=? having x=1",
        "JOIN b ON b.id=a.id WHERE level=error",
        "set x=5",
        "SET timestamp=1714557600;",
        "export A=1 B=2",
        "let x=5; y=6",
        "docker run -e A=b --env C=d image",
        "declare -x LEVEL=error",
    ] {
        check(line, line, &[]);
        assert_eq!(read_level(line, Parse::Auto), None, "{line}");
    }
    for (line, message, fields) in [
        (
            "x where id=5 took=3ms",
            "x where id=5",
            &[("took", "3ms")][..],
        ),
        ("x and y=5", "x and", &[("y", "5")]),
        ("we set x=5", "we set", &[("x", "5")]),
        ("a -> b=1", "a ->", &[("b", "1")]),
        ("a -5 b=1", "a -5", &[("b", "1")]),
        ("where=x and=y", "", &[("where", "x"), ("and", "y")]),
    ] {
        check(line, message, fields);
    }
}

#[test]
fn a_line_of_nothing_but_fields_is_logfmt() {
    for (line, form) in [
        ("a=1", Form::Logfmt),
        (" a=1, b=\"x\"; c= ", Form::Logfmt),
        ("a=1 | b=2", Form::Logfmt),
        ("a=1 x", Form::Text),
        ("x a=1", Form::Text),
        ("a=1 (b=2)", Form::Text),
        ("x", Form::Text),
        ("{}", Form::Json),
    ] {
        let mut fields = Vec::new();
        assert_eq!(parse(line, Parse::Auto, &mut fields).form, form, "{line}");
        assert_eq!(logfmt::is_logfmt(line), form == Form::Logfmt, "{line}");
    }
}

#[test]
fn a_line_without_fields_is_its_message() {
    for line in [
        "",
        " ",
        "  indented, trailing  ",
        "no fields",
        "x = y",
        "=",
        "=x",
        "a==b",
        "9a=1",
        "é=1",
    ] {
        check(line, line, &[]);
    }
    for line in [
        "http://x/?a=b&c=d",
        "f(x=1)",
        "--flag=1",
        "\"a=1\"",
        "a:b=c",
        "a,b=c",
        "{a=1}",
        "é\u{a0}a=1",
    ] {
        check(line, line, &[]);
    }
}

#[test]
fn quoted_values() {
    check(r#"m="a b" x"#, r#"m="a b" x"#, &[("m", "a b")]);
    check(r#"m="""#, "", &[("m", "")]);
    check(
        r#"m="\"\\\n\t\rA\/\b\f\'""#,
        "",
        &[("m", "\"\\\n\t\rA/\u{8}\u{c}'")],
    );
    check(
        r#"m="\ud83e\udd80 \ud800 \udc00x \u12""#,
        "",
        &[("m", "🦀 \u{fffd} \u{fffd}x \\u12")],
    );
    check(r#"m="\ud800\ud83e\udd80""#, "", &[("m", "\u{fffd}🦀")]);
    check(r#"p="C:\path\é""#, "", &[("p", r"C:\path\é")]);
    check(
        "m=\"two\nlines\" a=1",
        "",
        &[("m", "two\nlines"), ("a", "1")],
    );
    check(
        r#"m="a level=error" b=1"#,
        "",
        &[("m", "a level=error"), ("b", "1")],
    );
}

#[test]
fn what_is_no_quoted_value_stays_in_the_message() {
    check(
        r#"m="never closed a=1"#,
        r#"m="never closed"#,
        &[("a", "1")],
    );
    check(r#"m="a b"c d=1"#, r#"m="a b"c"#, &[("d", "1")]);
    check(r#"m=""#, r#"m=""#, &[]);
    check(r#"m="\"#, r#"m="\"#, &[]);
    check(r#"m="\""#, r#"m="\""#, &[]);
}

#[test]
fn bare_values_run_to_white_space() {
    check("a=b=c", "", &[("a", "b=c")]);
    check("x token=YWJj==", "x", &[("token", "YWJj==")]);
    check(r#"d a=b"c"#, "d", &[("a", "b\"c")]);
    check(r"a=C:\x\n", "", &[("a", r"C:\x\n")]);
}

#[test]
fn our_own_form_gives_back_the_message() {
    check(
        "message | key=val k2=\"v 2\"",
        "message",
        &[("key", "val"), ("k2", "v 2")],
    );
    check("a | b | key=val", "a | b", &[("key", "val")]);
    check("| key=val", "", &[("key", "val")]);
    check("a=1 | key=val", "", &[("a", "1"), ("key", "val")]);
    check(
        "x a=1 y | key=val",
        "x a=1 y",
        &[("a", "1"), ("key", "val")],
    );
    check("message| key=val", "message|", &[("key", "val")]);
    check(
        "message | key=val more",
        "message | key=val more",
        &[("key", "val")],
    );
    check("message | no field", "message | no field", &[]);
}

#[test]
fn json_members_are_fields() {
    check(
        r#" {"msg":"hi","a":1.10,"b":12345678901234567890123,"c":true,"d":false,"e":null,"f":"x"} "#,
        "hi",
        &[
            ("a", "1.10"),
            ("b", "12345678901234567890123"),
            ("c", "true"),
            ("d", "false"),
            ("f", "x"),
        ],
    );
    check(
        r#"{"a":{"b":{"c":-1E+2},"d":"x"},"e":[1, {"f":"]}"}],"g":{ },"h":{"i":null}}"#,
        "",
        &[
            ("a_b_c", "-1E+2"),
            ("a_d", "x"),
            ("e", r#"[1, {"f":"]}"}]"#),
            ("g", "{ }"),
        ],
    );
    check("{}", "", &[]);
    check(
        "\t{ \"a\" : \"b\" , \"c\" :\n2 }\r",
        "",
        &[("a", "b"), ("c", "2")],
    );
    check(
        r#"{"a\"\u0062":"\u00e9\ud83e\udd80\ud800"}"#,
        "",
        &[("a\"b", "é🦀\u{fffd}")],
    );
    check(r#"{"a":1,"a":2}"#, "", &[("a", "1"), ("a", "2")]);
    check(r#"{"":{"":1}}"#, "", &[("_", "1")]);
}

#[test]
fn the_message_of_a_json_line() {
    check(
        r#"{"log":{"message":"3"},"message":"2","msg":"1"}"#,
        "1",
        &[("log_message", "3"), ("message", "2")],
    );
    check(
        r#"{"log":{"message":"3"},"message":"2"}"#,
        "2",
        &[("log_message", "3")],
    );
    check(
        r#"{"log":{"message":"3","level":"warn"}}"#,
        "3",
        &[("log_level", "warn")],
    );
    check(r#"{"log.message":"3"}"#, "3", &[]);
    check(
        r#"{"log_message":"3","a":{"msg":"x"}}"#,
        "",
        &[("log_message", "3"), ("a_msg", "x")],
    );
    check(r#"{"msg":null,"message":"2"}"#, "2", &[]);
    check(r#"{"msg":{"a":1},"message":"2"}"#, "2", &[("msg_a", "1")]);
    check(r#"{"msg":1.0}"#, "1.0", &[]);
    check(r#"{"msg":1.0,"log":"x\n"}"#, "x", &[("msg", "1.0")]);
    check(
        r#"{"msg":" ","event":[1],"Body":"b"}"#,
        "b",
        &[("msg", " "), ("event", "[1]")],
    );
    check(r#"{"body":{"stringValue":"b"}}"#, "b", &[]);
    check(
        r#"{"fields":{"message":"m","a":1}}"#,
        "m",
        &[("fields_a", "1")],
    );
    check(r#"{"log":"\n"}"#, "", &[("log", "\n")]);
    for name in [
        "MESSAGE",
        "Event",
        "log",
        "short_message",
        "@m",
        "@mt",
        "renderedmessage",
        "textPayload",
        "Body",
        "MessageTemplate",
        "log.message",
        "fields.message",
    ] {
        check(&format!(r#"{{"a":1,"{name}":"m"}}"#), "m", &[("a", "1")]);
    }
    check(r#"{"\u006dsg":"x"}"#, "x", &[]);
}

#[test]
fn only_one_whole_object_is_json() {
    let lines = [
        "{",
        "}",
        "{}{}",
        "{} {}",
        "{}x",
        "x{}",
        "[1]",
        "1",
        "null",
        "\"a\"",
        "{a:1}",
        "{\"a\":01}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":+1}",
        "{\"a\":\"\t\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":nul}",
        "{'a':1}",
        "\u{a0}{}",
        "\u{feff}{}",
        "{\"a\":[}",
        "{\"a\":[1}}",
        "{\"a\":{\"b\":1}",
        "{,}",
        "{\"a\":1}}",
    ];
    for line in lines {
        let (message, fields, json) = parsed(line, Parse::Auto);
        assert!(!json && fields.is_empty() && message == line, "{line:?}");
    }
    assert!(parsed(" {} ", Parse::Auto).2);
}

#[test]
fn the_modes() {
    let json = r#"{"msg":"m a=1"}"#;
    assert_eq!(parsed(json, Parse::Json), ("m a=1".into(), vec![], true));
    assert_eq!(parsed(json, Parse::Logfmt), (json.into(), vec![], false));
    assert_eq!(parsed(json, Parse::None), (json.into(), vec![], false));
    assert_eq!(
        parsed("m a=1", Parse::Json),
        ("m a=1".into(), vec![], false)
    );
    assert_eq!(
        parsed("m a=1", Parse::None),
        ("m a=1".into(), vec![], false)
    );
    assert_eq!(
        parsed("m a=1", Parse::Logfmt),
        ("m".into(), vec![("a".into(), "1".into())], false)
    );
}

#[test]
fn nothing_is_copied_that_needs_no_change() {
    let mut fields = Vec::new();
    for line in [
        "m a=1 b=\"x y\"",
        "a=1 m b=2",
        r#"{"msg":"m","a":1,"b":"x","c":[1]}"#,
        "no field",
    ] {
        let message = parse(line, Parse::Auto, &mut fields).message;
        assert!(matches!(message, Cow::Borrowed(_)), "{line}");
        for field in &fields {
            assert!(
                matches!(
                    (&field.name, &field.value),
                    (Cow::Borrowed(_), Cow::Borrowed(_))
                ),
                "{line}"
            );
        }
    }
}

#[test]
fn no_nesting_is_too_deep() {
    let depth = 200_000;
    let objects = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    let (_, fields, json) = parsed(&objects, Parse::Auto);
    assert!(json);
    // 128 names of two bytes fill the 256 that joined names may take.
    let [(name, value)] = fields.as_slice() else {
        panic!("{} fields", fields.len())
    };
    assert_eq!(name.len(), 257);
    assert!(value.starts_with("{\"a\":{") && value.ends_with("}}"));
    let arrays = format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(parsed(&arrays, Parse::Auto).1.len(), 1);
    let broken = "{\"a\":".repeat(depth) + "}";
    assert!(!parsed(&broken, Parse::Auto).2);
    assert_eq!(read_level(&objects, Parse::Auto), None);
    assert_eq!(read_level(&broken, Parse::Auto), None);
}

#[test]
fn long_names_around_many_members_are_not_copied_for_each() {
    let inner = (0..20_000)
        .map(|n| format!("\"{n}\":1"))
        .collect::<Vec<_>>()
        .join(",");
    let line = format!("{{\"{}\":{{{inner}}}}}", "k".repeat(100_000));
    assert_eq!(parsed(&line, Parse::Auto).1.len(), 1);
    let line = format!("{{\"{}\":{{{inner}}}}}", "k".repeat(200));
    assert_eq!(parsed(&line, Parse::Auto).1.len(), 20_000);
}

/// Each would take minutes if quotes or keys were searched anew for every token.
#[test]
fn long_lines_take_linear_time() {
    let traps = [
        "a=\"",
        "a=\"b ",
        "a=\"\\",
        "a=\"\\\" ",
        "a=\"x\"y ",
        "a=\"b\\\"c\" ",
        "=",
        "a=",
        " a= ",
        "aaaa",
        "\"",
        "\\",
        "\\\"=",
        "a=\" =\\\"",
        "a==\"",
        "x | ",
        "{",
        "{\"a\":",
        "[",
        "{\"a\":\"",
        "\\ud800",
        "é=\"",
        "WHERE a=1 AND ",
        "update x set a=1, ",
        "-e a=1 ",
        "and a=1 ",
        "a=[ b=( ",
        ") ] } ",
        "'a ",
    ];
    for trap in traps {
        let body = trap.repeat((1 << 19) / trap.len());
        for line in [
            format!("a=\"{body}\""),
            format!("{{\"a\":\"{body}\"}}"),
            body,
        ] {
            let _ = parsed(&line, Parse::Auto);
            let _ = (
                read_level(&line, Parse::Auto),
                field(&line, Parse::Auto, "none"),
            );
        }
    }
}

#[test]
fn what_is_written_is_read() {
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    for _ in 0..4_000 {
        let message = random.text(&["word", " ", "é", "|", ":", "a|", "{"], 5);
        let message = message.trim();
        let message = if message.ends_with(" |") || message == "|" {
            "m"
        } else {
            message
        };
        let fields: Vec<(String, String)> = (0..random.below(5))
            .map(|n| {
                let name = random.pick(&["a", "_b", "C.d-e", "level"]);
                (format!("{name}{n}"), random.text(&VALUES, 8))
            })
            .collect();
        let mut line = String::new();
        let pairs = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        write_line(&mut line, message, pairs);
        assert_eq!(
            parsed(&line, Parse::Logfmt),
            (message.to_string(), fields, false),
            "{line:?}"
        );
        assert!(
            !line.bytes().any(|byte| byte < b' ' || byte == 0x7f),
            "{line:?}"
        );
    }
}

/// Asserts that a text line is its message and fields, in its order, up to what may stand between
/// fields.
fn rebuild(line: &str, message: &str, fields: &[Field<'_>]) {
    let text = |text: &str| -> String {
        let parts = |c: char| c.is_whitespace() || matches!(c, '"' | '\\' | ',' | ';' | '|');
        text.chars().filter(|c| !parts(*c)).collect()
    };
    if message == line {
        return;
    }
    let duplicate = |field: &&Field<'_>| field.duplicate;
    // Twins of the fields that end the line stand behind the message in their order.
    let moved: String = (0..=fields.len())
        .map(|at| {
            let run = &fields[at..];
            let own = run.iter().filter(|field| !duplicate(field));
            let rest = own.map(|field| format!("{}={}", field.name, field.value));
            rest.collect::<String>()
        })
        .find(|run| {
            let escaped = line.contains('\\');
            let mut all: Vec<char> = text(&format!("{message}{run}")).chars().collect();
            let mut whole: Vec<char> = text(line).chars().collect();
            all.sort_unstable();
            whole.sort_unstable();
            escaped || all == whole
        })
        .unwrap_or_else(|| panic!("{line:?}: {message:?} and {fields:?}"));
    let _ = moved;
}

#[test]
fn any_line_is_taken_and_no_text_is_lost() {
    let mut random = Random::new(0x2545_f491_4f6c_dd1d);
    for _ in 0..4_000 {
        let line = random.text(&LINES, 24);
        // Bytes torn from their characters, as a reader of broken input gives them on.
        let torn = &line.as_bytes()[random.below(2).min(line.len())..];
        let line = String::from_utf8_lossy(torn);
        for how in MODES {
            let mut fields = Vec::new();
            let Parsed { message, form } = parse(&line, how, &mut fields);
            if form != Form::Json {
                rebuild(&line, &message, &fields);
            }
            let mut scanned = Vec::new();
            let _ = scan(&line, how, |field| {
                scanned.push(field);
                ControlFlow::<()>::Continue(())
            });
            assert!(scanned.len() - fields.len() <= 1, "{line:?}");
            let level = level_of(&line, how, form, &fields).0;
            assert_eq!(read_level(&line, how), level, "{line:?}");
            for field_name in ["a", "key", "level", "a_key"] {
                let scanned = scanned.iter().find(|field| field.name == field_name);
                let expected = scanned.map(|field| field.value.clone());
                assert_eq!(field(&line, how, field_name), expected, "{line:?}");
            }
        }
    }
}

#[test]
fn levels_come_from_fields_first() {
    let cases = [
        ("x level=warn", Some(Level::Warn)),
        ("ERROR x level=info", Some(Level::Error)),
        ("<3>x level=info", Some(Level::Error)),
        ("INFO game started level=1", Some(Level::Info)),
        ("game started level=1", None),
        ("a=1 level=3", Some(Level::Error)),
        ("\"curl level=fatal x\"", None),
        ("[a level=fatal] x", None),
        ("x level=info y level=debug", Some(Level::Info)),
        ("web-1  | {\"level\":\"error\"}", Some(Level::Error)),
        ("@cee: {\"level\":\"error\"}", Some(Level::Error)),
        ("x {\"level\":\"error\"", None),
        (
            r#"{"log":"ERROR x\n","stream":"stderr","time":"2024-05-01T10:00:00Z"}"#,
            Some(Level::Error),
        ),
        (r#"{"log":"ERROR x\n","stream":"stderr","b":1}"#, None),
        ("ERROR x level=what", Some(Level::Error)),
        ("a=1 level=what lvl=debug", Some(Level::Debug)),
        (r#"{"log":{"level":"ERROR"}}"#, Some(Level::Error)),
        (r#"{"log.level":"ERROR"}"#, Some(Level::Error)),
        (r#"{"severity":{"text":"WARN"}}"#, Some(Level::Warn)),
        (r#"{"a":"x level=info","LEVEL":40}"#, Some(Level::Warn)),
        (r#"{"lev\u0065l":"\u0065rror"}"#, Some(Level::Error)),
        (r#"{"a":"x level=info y"}"#, None),
        (r#"{"a":{"level":"info"}}"#, None),
        (r#"{"s":"E"}"#, None),
        ("{worker-1} ERROR x level=info", Some(Level::Error)),
        ("{worker-1} level=info {x}", Some(Level::Info)),
        (r#"{"level":"error"} level=info"#, Some(Level::Info)),
        (r#"{"level":"error" level=info }"#, None),
    ];
    for (line, level) in cases {
        assert_eq!(read_level(line, Parse::Auto), level, "{line}");
    }
    assert_eq!(read_level("ERROR level=info", Parse::None), None);
    assert_eq!(read_level("x level=info", Parse::Json), None);
    assert_eq!(read_level(r#"{"level":"info"}"#, Parse::Logfmt), None);
    let mut fields = Vec::new();
    parse("x a=1 level=warn b=2", Parse::Auto, &mut fields);
    assert_eq!(level_index("", &fields, Form::Text), Some((1, Level::Warn)));
}

#[test]
fn one_field_by_name() {
    let value = |line, name| field(line, Parse::Auto, name).map(Cow::into_owned);
    assert_eq!(value("x a=1 ts=\"2 3\" a=4", "a").as_deref(), Some("1"));
    assert_eq!(value("x a=1 ts=\"2 3\"", "ts").as_deref(), Some("2 3"));
    assert_eq!(value("x a=1", "x"), None);
    assert_eq!(
        value(r#"{"a":{"b":1.10,"c":{"d":"\n"}}}"#, "a_b").as_deref(),
        Some("1.10")
    );
    assert_eq!(
        value(r#"{"a":{"b":1.10,"c":{"d":"\n"}}}"#, "a_c_d").as_deref(),
        Some("\n")
    );
    assert_eq!(value(r#"{"msg":"m"}"#, "msg").as_deref(), Some("m"));
    assert_eq!(value(r#"{"a":1"#, "a"), None);
}

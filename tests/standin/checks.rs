//! Each check of one request fails when it should, and only then.

use super::client::{Client, Request, T, ask, gzip, lines, push, stream};
use crate::support::Loki;
use crate::support::loki::parse_json;

/// Sends one request and gives the one thing that is wrong with it.
#[track_caller]
fn wrong(request: &Request) -> String {
    let loki = Loki::start();
    let reply = ask(&loki, request);
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(loki.entries().is_empty(), "nothing is stored");
    let violations = loki.violations();
    assert!(!violations.is_empty());
    assert!(violations[0].starts_with("request 1: "), "{violations:?}");
    violations.join("\n")
}

#[track_caller]
fn refuses(json: impl AsRef<[u8]>, why: &str) {
    let wrong = wrong(&Request::push(json));
    assert!(wrong.contains(why), "{why:?} expected, got {wrong}");
}

#[track_caller]
fn refuses_request(request: &Request, why: &str) {
    let wrong = wrong(request);
    assert!(wrong.contains(why), "{why:?} expected, got {wrong}");
}

#[track_caller]
fn accepts(json: impl AsRef<[u8]>) {
    let loki = Loki::start();
    let reply = push(&loki, json);
    assert_eq!(reply.status, 204, "{reply:?}");
    assert_eq!(reply.body, "");
    loki.assert_clean();
}

fn good() -> Request {
    Request::push(lines(&[(T, "one")]))
}

/// A push whose `values` are this JSON.
fn values(json: &str) -> String {
    format!(r#"{{"streams":[{{"stream":{{"app":"a"}},"values":{json}}}]}}"#)
}

/// A push of one entry with this metadata.
fn metadata(json: &str) -> String {
    values(&format!(r#"[["{T}","one",{json}]]"#))
}

#[test]
fn a_right_request_is_stored() {
    let loki = Loki::start();
    let json = format!(
        r#" {{"streams":[{{"values":[["{T}","a\nb\u0000é\ud83d\ude00"],["{T}","", {{"k.x":"v"}}]],
            "stream":{{"app":"a","_x9":"{{\"}}"}}}}]}} "#
    );
    assert_eq!(push(&loki, json).status, 204);
    assert_eq!(loki.lines(), ["a\nb\0é😀", ""]);
    let entries = loki.entries();
    assert_eq!(entries[0].labels["app"], "a");
    assert_eq!(entries[0].labels["_x9"], "{\"}");
    assert_eq!(entries[1].time, T);
    assert_eq!(entries[1].metadata["k.x"], "v");
    assert_eq!(loki.requests()[0].encoding.as_deref(), Some("gzip"));
    loki.assert_clean();
}

#[test]
fn plain_json_behind_a_prefix_in_chunks_is_stored() {
    let loki = Loki::start();
    let json = lines(&[(T, "one")]);
    let (first, second) = json.split_at(10);
    let (a, b) = (first.len(), second.len());
    let body = format!("{a:x};x=y\r\n{first}\r\n{b:X}\r\n{second}\r\n0\r\nTrailer: t\r\n\r\n");
    let request = Request::raw(body.into()).with("Transfer-Encoding", "chunked");
    let request = request.to("/some/prefix/loki/api/v1/push");
    let mut client = Client::connect(&loki);
    assert_eq!(client.ask(&request).unwrap().status, 204);
    let next = Request::push(lines(&[(T + 1, "two")])).with("Expect", "100-continue");
    client.0.set_nodelay(true).unwrap();
    std::io::Write::write_all(&mut client.0, next.head().as_bytes()).unwrap();
    assert_eq!(client.reply().unwrap().status, 100);
    std::io::Write::write_all(&mut client.0, &next.body).unwrap();
    assert_eq!(client.reply().unwrap().status, 204);
    assert_eq!(loki.lines(), ["one", "two"]);
    assert_eq!(loki.connections(), 1);
    let requests = loki.requests();
    assert_eq!(requests[0].path, "/some/prefix/loki/api/v1/push");
    assert_eq!(requests[0].encoding, None);
    loki.assert_clean();
}

#[test]
fn headers() {
    let other = |name, value: &str| good().without(name).with(name, value);
    refuses_request(&good().without("Content-Type"), "Content-Type is []");
    refuses_request(&other("Content-Type", "text/plain"), "Content-Type");
    refuses_request(
        &good().with("Content-Type", "application/json"),
        "Content-Type",
    );
    for coding in ["GZIP", "identity", "gzip, identity", "zstd", ""] {
        refuses_request(&other("Content-Encoding", coding), "Content-Encoding");
    }
    refuses_request(&other("User-Agent", "curl/8"), "User-Agent");
    refuses_request(&good().without("User-Agent"), "User-Agent");
    refuses_request(&good().to("/loki/api/v1/push?x=1"), "query");
}

#[test]
fn broken_http() {
    for (request, why) in [
        (good().without("Host"), "Host"),
        (good().with("Content-Length", "5"), "Content-Length"),
        (good().with("Content-Length", "x"), "Content-Length"),
        (good().with("Bad Name", "x"), "header name"),
        (good().to("/a b"), "request line"),
        (
            Request::raw(b"zz\r\n".into()).with("Transfer-Encoding", "chunked"),
            "chunk size",
        ),
    ] {
        let loki = Loki::start();
        assert_eq!(ask(&loki, &request).status, 400);
        let violations = loki.violations();
        assert!(violations[0].contains(why), "{why}: {violations:?}");
    }
}

#[test]
fn gzip_and_what_is_in_it() {
    let whole = good().body;
    let with = |body: Vec<u8>| Request::raw(body).with("Content-Encoding", "gzip");
    let cut = whole[..whole.len() - 5].to_vec();
    refuses_request(&with(cut), "broken gzip");
    let mut flipped = whole.clone();
    let crc = flipped.len() - 8;
    flipped[crc] ^= 1;
    refuses_request(&with(flipped), "broken gzip");
    let twice = [whole.clone(), gzip(b" ")].concat();
    refuses_request(&with(twice), "come after the gzip");
    refuses_request(&with(lines(&[(T, "one")]).into()), "broken gzip");
    refuses_request(&with(Vec::new()), "broken gzip");
    refuses_request(&Request::raw(whole), "not UTF-8");
}

#[test]
fn json() {
    let right = lines(&[(T, "one")]);
    refuses("", "broken JSON");
    refuses(&right[..right.len() - 1], "broken JSON");
    refuses(format!("{right}{right}"), "something comes after");
    refuses(format!("\u{feff}{right}"), "broken JSON");
    let line = |text: &str| values(&format!(r#"[["{T}","{text}"]]"#));
    refuses(line("a\tb"), "raw control character 0x09");
    refuses(line(r"\ud800"), "lone surrogate");
    refuses(line(r"\ud800\u0041"), "lone surrogate");
    refuses(line(r"\udc00"), "lone surrogate");
    refuses(line(r"\x41"), "no such escape");
    let mut raw = line("?").into_bytes();
    let at = raw.iter().position(|b| *b == b'?').unwrap();
    raw[at] = 0xff;
    refuses(raw, "not UTF-8");
}

#[test]
fn the_json_reader_agrees_with_serde_json() {
    for text in [
        r"{}",
        r"[]",
        r" [1,-0.5e+3,0] ",
        r"[01]",
        r"[1.]",
        r"[-]",
        r"[1,]",
        r#"{"a":1,}"#,
        r#"{"a" : [true,false,null]}"#,
        r#"{"a"}"#,
        r#""\u00e9\/\b\f\n\r\t\"\\""#,
        r#""\u12""#,
        r#""\u+123""#,
        r#""open"#,
        r"tru",
        r"nulls",
        r"1 2",
        "\u{a0}1",
        r"{1:2}",
    ] {
        let theirs = serde_json::from_str::<serde_json::Value>(text).is_ok();
        assert_eq!(parse_json(text).is_ok(), theirs, "{text}");
    }
}

#[test]
fn the_shape() {
    refuses("null", "the body is null");
    refuses("{}", "must have");
    refuses(r#"{"streams":null}"#, "`streams` is null");
    refuses(r#"{"streams":[]}"#, "0 streams");
    refuses(r#"{"streams":[],"streams":[]}"#, "must have");
    refuses(r#"{"Streams":[]}"#, "must have");
    let one = lines(&[(T, "one")]);
    let inner = &one[r#"{"streams":["#.len()..one.len() - 2];
    refuses(format!(r#"{{"streams":[{inner},{inner}]}}"#), "2 streams");
    refuses(format!(r#"{{"streams":[{inner}],"x":1}}"#), "must have");
    refuses(r#"{"streams":[7]}"#, "a stream is a number");
    refuses(r#"{"streams":[{"stream":{"a":"b"}}]}"#, "must have");
    refuses(
        r#"{"streams":[{"labels":"{}","entries":[]}]}"#,
        "a stream has the keys",
    );
}

#[test]
fn labels() {
    let with = |labels: &str| stream(labels, &[(T, "one")]);
    refuses(with("null"), "`stream` is null");
    refuses(with("{}"), "without labels");
    for name in ["", "9a", "a.b", "a-b", "a:b", "é", "__x__", r#"\"a\""#] {
        refuses(with(&format!(r#"{{"{name}":"v"}}"#)), "label name");
    }
    refuses(with(r#"{"a":1}"#), "\"a\" is a number");
    refuses(with(r#"{"a":"b","a":"c"}"#), "\"a\" twice");
    refuses(with(r#"{"a":"b","e":""}"#), "empty value");
    refuses(with(r#"{"a":"\ufffd"}"#), "U+FFFD");
    let pair = |value: usize| format!(r#"{{"a":"{}"}}"#, "v".repeat(value));
    accepts(with(&pair(2048)));
    refuses(with(&pair(2049)), "a value of 2049 bytes");
    let name = "n".repeat(1025);
    refuses(with(&format!(r#"{{"{name}":"v"}}"#)), "name of 1025 bytes");
    let many = |count| {
        let pairs: Vec<String> = (0..count).map(|i| format!(r#""l{i}":"v""#)).collect();
        format!("{{{}}}", pairs.join(","))
    };
    accepts(with(&many(15)));
    refuses(with(&many(16)), "16 labels");
}

#[test]
fn entries() {
    refuses(values("null"), "`values` is null");
    refuses(values("[]"), "without entries");
    refuses(values("[null]"), "entry 0: null");
    refuses(values("[[]]"), "an array of 0");
    refuses(values(&format!(r#"[["{T}"]]"#)), "an array of 1");
    refuses(values(&format!(r#"[["{T}","a",{{}},1]]"#)), "an array of 4");
    refuses(values(&format!(r#"[["{T}",null]]"#)), "the line is null");
    refuses(values(&format!(r#"[[{T},"a"]]"#)), "the time is a number");
    for time in [
        "",
        "0",
        "01760000000000000000",
        "+1760000000000000000",
        "-1760000000000000000",
        "1760000000000000000.5",
        "2025-01-01T00:00:00Z",
        "99999999999999999999",
    ] {
        refuses(values(&format!(r#"[["{time}","a"]]"#)), "the time is");
    }
    refuses(values(r#"[["1760000000000","a"]]"#), "no time");
    refuses(lines(&[(T + 1, "b"), (T, "a")]), "comes after");
    accepts(lines(&[(T, "b"), (T, "a")]));
    refuses(
        lines(&[(T, "a"), (T, "b"), (T, "a")]),
        "twice in one request",
    );
    accepts(lines(&[(T, &"x".repeat(262_144))]));
    refuses(lines(&[(T, &"x".repeat(262_145))]), "262145 bytes");
}

#[test]
fn the_longest_line_can_be_moved() {
    let loki = Loki::start();
    loki.limits(|limits| limits.line = 5);
    assert_eq!(push(&loki, lines(&[(T, "12345")])).status, 204);
    assert_eq!(push(&loki, lines(&[(T, "123456")])).status, 400);
    assert_eq!(loki.violations().len(), 1);
}

#[test]
fn the_protobuf_estimate() {
    let many = |count: i64| {
        let entries: Vec<(i64, &str)> = (0..count).map(|i| (T + i, "1234")).collect();
        lines(&entries)
    };
    // 50 bytes an entry: 83 886 of them are the most.
    accepts(many(83_886));
    refuses(many(83_887), "of protobuf");
}

#[test]
fn structured_metadata() {
    accepts(metadata(r#"{"a":"","b c":"\ufffd"}"#));
    refuses(metadata("null"), "metadata is null");
    refuses(metadata("[]"), "metadata is an array");
    refuses(metadata("{}"), "empty metadata");
    refuses(metadata(r#"{"a":1}"#), "\"a\" is a number");
    refuses(metadata(r#"{"a":null}"#), "\"a\" is null");
    refuses(metadata(r#"{"a":{"b":"c"}}"#), "\"a\" is an object");
    refuses(metadata(r#"{"a":"1","a":"2"}"#), "\"a\" twice");
    refuses(metadata(r#"{"a.b":"1","a_b":"2"}"#), "one name to Loki");
    for name in ["", "_", ".", "é", "日本", "__"] {
        refuses(metadata(&format!(r#"{{"{name}":"v"}}"#)), "metadata name");
    }
    let many = |count| {
        let pairs: Vec<String> = (0..count).map(|i| format!(r#""k{i}":"v""#)).collect();
        metadata(&format!("{{{}}}", pairs.join(",")))
    };
    accepts(many(128));
    refuses(many(129), "129 metadata pairs");
    let long = |bytes: usize| metadata(&format!(r#"{{"k":"{}"}}"#, "v".repeat(bytes - 1)));
    accepts(long(65_536));
    refuses(long(65_537), "65537 bytes of metadata");
}

#[test]
fn violations_nobody_looked_at_fail_the_test() {
    let loki = Loki::start();
    push(&loki, "{}");
    let dropped = std::thread::spawn(move || drop(loki)).join();
    let said = dropped.expect_err("the drop panics");
    let said = said.downcast_ref::<String>().expect("a text");
    assert!(said.contains("request 1: the body has the keys"), "{said}");

    let loki = Loki::start();
    push(&loki, "{}");
    assert_eq!(loki.violations().len(), 1);
    push(&loki, "[]");
    let dropped = std::thread::spawn(move || drop(loki)).join();
    dropped.expect_err("one violation is new");
}

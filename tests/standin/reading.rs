//! What the stand-in answers to questions.

use serde_json::{Value, json};

use super::client::{Reply, Request, T, ask, lines, push, stream};
use crate::support::Loki;
use crate::support::loki::{Answer, Auth};

fn get(loki: &Loki, path: &str) -> Reply {
    ask(loki, &Request::get(path))
}

fn parsed(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{reply:?}");
    serde_json::from_str(&reply.body).expect("JSON")
}

#[test]
fn paths() {
    let loki = Loki::start();
    assert_eq!(get(&loki, "/ready").body, "ready\n");
    let info = parsed(&get(&loki, "/a/loki/api/v1/status/buildinfo"));
    assert_eq!(info["version"], "3.8.0");
    let lost = get(&loki, "/loki/api/v1/push/");
    assert_eq!((lost.status, &*lost.body), (404, "404 page not found\n"));
    assert_eq!(get(&loki, "/loki/api/v1/push").status, 405);
    let reply = ask(&loki, &Request::push(lines(&[(T, "a")])).to("/ready"));
    assert_eq!(reply.status, 405);
    loki.answer("/ready", Answer::error(503, "Ingester not ready"));
    assert_eq!(get(&loki, "/ready").body, "Ingester not ready\n");
    assert_eq!(loki.others().len(), 6);
    loki.assert_clean();

    let request = Request::push(lines(&[(T, "a")])).to("//loki/api/v1/push");
    let moved = ask(&loki, &request);
    assert_eq!(moved.status, 301);
    assert!(moved.head.contains("Location: /loki/api/v1/push\r\n"));
    assert!(loki.violations()[0].contains("empty part"));
}

#[test]
fn credentials_are_asked_of_readers_too() {
    let loki = Loki::start();
    loki.require(Auth::Bearer("x".into()));
    loki.require_tenant();
    assert_eq!(get(&loki, "/loki/api/v1/labels").status, 401);
    assert_eq!(get(&loki, "/ready").status, 200);
    let request = Request::get("/loki/api/v1/labels").with("Authorization", "Bearer x");
    assert_eq!(ask(&loki, &request).body, "no org id\n");
    assert_eq!(ask(&loki, &request.with("X-Scope-OrgID", "t")).status, 200);
}

#[test]
fn label_names() {
    let loki = Loki::start();
    let empty = parsed(&get(&loki, "/loki/api/v1/labels"));
    assert_eq!(empty, json!({"status": "success"}));
    push(&loki, stream(r#"{"b":"1","app":"2"}"#, &[(T, "x")]));
    let names = parsed(&get(&loki, "/loki/api/v1/labels"));
    assert_eq!(names["data"], json!(["app", "b", "service_name"]));
}

/// `{app="a"}` and the parameters, in a query string.
fn query(parameters: &str) -> Request {
    let selector = "%7Bapp%3D%22a%22%7D";
    Request::get(&format!(
        "/loki/api/v1/query_range?query={selector}{parameters}"
    ))
}

fn loki_with_three() -> Loki {
    let loki = Loki::start();
    push(&loki, lines(&[(T, "one"), (T + 2, "three")]));
    let json = format!(
        r#"{{"streams":[{{"stream":{{"app":"a","level":"error"}},
            "values":[["{}","two",{{"k.x":"v","app":"z"}}]]}}]}}"#,
        T + 1
    );
    push(&loki, json);
    push(&loki, stream(r#"{"app":"b"}"#, &[(T, "other")]));
    loki
}

#[test]
fn a_range_with_categories() {
    let loki = loki_with_three();
    let request = query(&format!("&start={T}&end={}&direction=forward", T + 3))
        .with("X-Loki-Response-Encoding-Flags", "categorize-labels");
    let found = parsed(&ask(&loki, &request));
    assert_eq!(found["status"], "success");
    assert_eq!(found["data"]["resultType"], "streams");
    assert_eq!(found["data"]["encodingFlags"], json!(["categorize-labels"]));
    let metadata = |level: &str| json!({"structuredMetadata": {"detected_level": level}});
    assert_eq!(
        found["data"]["result"],
        json!([
            {
                "stream": {"app": "a", "service_name": "a"},
                "values": [
                    [T.to_string(), "one", metadata("unknown")],
                    [(T + 2).to_string(), "three", metadata("unknown")],
                ],
            },
            {
                "stream": {"app": "a", "level": "error", "service_name": "a"},
                "values": [[(T + 1).to_string(), "two", {"structuredMetadata": {
                    "app_extracted": "z", "detected_level": "error", "k_x": "v",
                }}]],
            },
        ])
    );
}

#[test]
fn a_range_without_categories_ends_before_its_end() {
    let loki = loki_with_three();
    let found = parsed(&ask(&loki, &query(&format!("&start={T}&end={}", T + 2))));
    let lines: Vec<&Value> = found["data"]["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stream| &stream["values"][0][1])
        .collect();
    assert_eq!(lines, ["two", "one"]);
    assert_eq!(found["data"]["result"][0]["stream"]["k_x"], "v");
    assert_eq!(found["data"]["encodingFlags"], Value::Null);

    let one = query(&format!(
        "&start={}&end=1760000001.5&limit=1",
        1_760_000_000
    ));
    let found = parsed(&ask(&loki, &one));
    assert_eq!(found["data"]["result"][0]["values"][0][1], "three");
    assert_eq!(found["data"]["result"].as_array().unwrap().len(), 1);
    // By default the last hour.
    let found = parsed(&ask(&loki, &query("")));
    assert_eq!(found["data"]["result"], json!([]));
}

#[test]
fn selectors() {
    let loki = loki_with_three();
    let range = format!("&start={T}&end={}", T + 9);
    let ask_for = |selector: &str| {
        let encoded: String = selector
            .bytes()
            .flat_map(|b| format!("%{b:02X}").into_bytes())
            .map(char::from)
            .collect();
        get(
            &loki,
            &format!("/loki/api/v1/query_range?query={encoded}{range}"),
        )
    };
    let count = |selector: &str| {
        let found = parsed(&ask_for(selector));
        found["data"]["result"].as_array().unwrap().len()
    };
    assert_eq!(count(r#"{app="a", level = "error"}"#), 1);
    assert_eq!(count(r#"{service_name="b",}"#), 1);
    assert_eq!(count(r#"{app="\"}"}"#), 0);
    for wrong in [
        "",
        "{}",
        r#"{app=""}"#,
        r#"{app=~"a"}"#,
        r#"{app="a""#,
        "app",
    ] {
        assert_eq!(ask_for(wrong).status, 400, "{wrong}");
    }
    let many = ask(&loki, &query("&limit=5001"));
    assert_eq!(many.status, 400);
}

#[test]
fn the_clock_can_be_ahead() {
    let loki = Loki::start();
    loki.clock_ahead(-1_000_000_000);
    let reply = get(&loki, "/ready");
    let date = reply.head.lines().find(|line| line.starts_with("Date: "));
    let date = date.expect("a Date");
    assert!(date.ends_with(" GMT"), "{date}");
    let year: i32 = date[17..23].trim().parse().expect("a year");
    assert!((1990..2020).contains(&year), "{date}");
}

//! The main job, for real, in a few seconds: `cargo run --example quickstart`.
//!
//! A made-up web shop writes its log into loki-push, which ships it to Loki. Without `LOKI_ADDR` a
//! stand-in for Loki plays the server on a free port, and is stopped for a while in the middle.
//! With `LOKI_ADDR` (and logcli's other variables) the lines go to that Loki. Either way they are
//! read back by query and shown by stream, next to the summary.
//!
//! Cargo does not build the program for an example, so the example is its own program: started
//! again with [`CHILD`] as its first argument it calls `loki_push::run`, as `main.rs` does.

#[path = "../tests/support/loki.rs"]
mod loki;

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use serde_json::Value;
use ureq::Agent;

/// The first argument of the child that is loki-push.
const CHILD: &str = "--as-loki-push";

/// How its summary begins.
const SUMMARY: &str = "read ";

/// How long something may take that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the shop prints: before the outage, in it, after it.
const LOG: [&str; 3] = [
    "2026-08-24T09:14:03.118Z INFO  shop 2.4.1 listening addr=0.0.0.0:8080 workers=4
2026-08-24T09:14:05.020Z INFO  GET /cart status=200 duration_ms=12 user=ada
2026-08-24T09:14:05.984Z DEBUG cache miss key=cart:1815
2026-08-24T09:14:07.311Z WARN  slow query table=orders duration_ms=1840
",
    "2026-08-24T09:14:09.402Z ERROR payment failed order=4711 cause=java.net.SocketTimeoutException
\tat shop.Pay.charge(Pay.java:88)
\tat shop.Cart.checkout(Cart.java:214)
\t... 31 more
{\"level\":\"warn\",\"msg\":\"retrying payment\",\"order\":4711,\"attempt\":2}
2026-08-24T09:14:12.077Z INFO  payment settled order=4711 attempt=2
",
    "2026-08-24T09:14:13.250Z INFO  GET /thanks status=200 duration_ms=9 user=ada
2026-08-24T09:14:14.000Z INFO  shop ends, nothing is pending
",
];

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == CHILD).is_some() {
        let args = std::iter::once(OsString::from("loki-push")).chain(args);
        return ExitCode::from(loki_push::run(args));
    }
    match show() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("quickstart: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the demonstration. Returns whether every line arrived, once and in order.
fn show() -> Result<bool, Box<dyn Error>> {
    let given = variable("LOKI_ADDR");
    let stand_in = given.is_none().then(loki::Loki::start);
    let address = match (&stand_in, given) {
        (Some(loki), _) => {
            let url = loki.url();
            println!("LOKI_ADDR is not set, so a stand-in plays Loki on {url}\n");
            url
        }
        (None, given) => given.unwrap_or_default(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let run = format!("{}-{}", now.as_secs(), std::process::id());
    println!("$ shop 2>&1 | loki-push --app shop --env quickstart -l run={run} --summary text\n");

    let (mut pipe, mut child) = start(&run, stand_in.is_some().then_some(address.as_str()))?;
    let notes = notes(&mut child)?;
    write(&mut pipe, LOG[0])?;
    if let Some(loki) = &stand_in {
        loki.wait_for_entries(LOG[0].lines().count());
        say("Loki", "has them, and is stopped");
        loki.stop();
    }
    write(&mut pipe, LOG[1])?;
    let mut said = Vec::new();
    if let Some(loki) = &stand_in {
        said.push(notes.recv_timeout(PATIENCE)?);
        loki.restart();
        say("Loki", "is started again");
    }
    write(&mut pipe, LOG[2])?;
    drop(pipe);
    let status = child.wait()?;
    said.extend(notes);
    say("loki-push", &format!("ended with {status}\n"));

    let streams = read_back(&address, &run)?;
    println!("What arrived, by stream:");
    let mut arrived = Vec::new();
    for (labels, entries) in &streams {
        println!("\n{{{labels}}}");
        for (time, line) in entries {
            println!("  {line}");
            arrived.push((*time, line.as_str()));
        }
    }
    arrived.sort_unstable();
    let wrote: Vec<&str> = LOG.iter().flat_map(|part| part.lines()).collect();
    let whole = arrived.iter().map(|(_, line)| *line).eq(wrote);
    println!("\nSummary:");
    for summary in said.iter().filter(|line| line.starts_with(SUMMARY)) {
        println!("  {}", summary.replace("; ", "\n  "));
    }
    println!(
        "\n{}",
        if whole {
            "Every line is there, once, and in order."
        } else {
            "What arrived is not what was written."
        }
    );
    Ok(whole && status.success())
}

/// Starts loki-push with a pipe. For the stand-in the environment is kept out.
fn start(run: &str, url: Option<&str>) -> Result<(ChildStdin, Child), Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([CHILD, "--app", "shop", "--env", "quickstart"]);
    command.args(["-l", &format!("run={run}"), "--summary", "text"]);
    if let Some(url) = url {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("LOKI_") {
                command.env_remove(name);
            }
        }
        // Shorter waits than the defaults, so that the show is.
        command.args(["--flush-interval", "200ms", "--retry-backoff", "500ms"]);
        command.args(["--max-backoff", "1s", "--url", url]);
    }
    command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let pipe = child.stdin.take().ok_or("no pipe")?;
    Ok((pipe, child))
}

/// What loki-push says on stderr, line by line; its messages are shown as they come.
fn notes(child: &mut Child) -> Result<Receiver<String>, Box<dyn Error>> {
    let stderr = child.stderr.take().ok_or("no stderr")?;
    let (sender, notes) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let message = line.strip_prefix("loki-push: ").unwrap_or(&line);
            if !message.starts_with(SUMMARY) {
                say("loki-push", &format!("“{message}”"));
            }
            if sender.send(message.to_owned()).is_err() {
                return;
            }
        }
    });
    Ok(notes)
}

fn write(pipe: &mut ChildStdin, text: &str) -> std::io::Result<()> {
    say("shop", &format!("writes {} lines", text.lines().count()));
    pipe.write_all(text.as_bytes())
}

fn say(who: &str, what: &str) {
    println!("  {who:<10} {what}");
}

/// Entries by their labels, as text, each with its time.
type Streams = BTreeMap<String, Vec<(i64, String)>>;

/// Reads the entries of this run back; waits a little for them.
fn read_back(address: &str, run: &str) -> Result<Streams, Box<dyn Error>> {
    let expected: usize = LOG.iter().map(|part| part.lines().count()).sum();
    let (_never, pause) = channel::<()>();
    let mut streams = Streams::new();
    for _ in 0..20 {
        streams = query(address, &format!("{{app=\"shop\",run=\"{run}\"}}"))?;
        if streams.values().map(Vec::len).sum::<usize>() >= expected {
            break;
        }
        // Loki may show an entry a moment after it took it.
        _ = pause.recv_timeout(Duration::from_millis(250));
    }
    Ok(streams)
}

/// `GET /loki/api/v1/query_range`, for the last hour.
fn query(address: &str, selector: &str) -> Result<Streams, Box<dyn Error>> {
    let base = address.trim_end_matches('/');
    let base = base.strip_suffix("/loki/api/v1/push").unwrap_or(base);
    let end = SystemTime::now().duration_since(UNIX_EPOCH)? + Duration::from_mins(1);
    let mut request = agent()
        .get(format!("{base}/loki/api/v1/query_range"))
        .query("query", selector)
        .query("limit", "1000")
        .query("direction", "forward")
        .query(
            "start",
            end.saturating_sub(Duration::from_hours(1))
                .as_nanos()
                .to_string(),
        )
        .query("end", end.as_nanos().to_string());
    for (name, value) in headers() {
        request = request.header(name, value);
    }
    let answer = request.call();
    let mut answer =
        answer.map_err(|why| format!("cannot read the lines back from {base}: {why}"))?;
    let text = answer.body_mut().read_to_string()?;
    if answer.status() != 200 {
        let status = answer.status();
        return Err(format!("cannot read the lines back: {status}: {}", text.trim()).into());
    }
    let document: Value = serde_json::from_str(&text)?;
    let mut streams = Streams::new();
    for stream in document["data"]["result"].as_array().into_iter().flatten() {
        let entries = streams.entry(shown(&stream["stream"])).or_default();
        for value in stream["values"].as_array().into_iter().flatten() {
            let text = |at: usize| value[at].as_str().unwrap_or_default();
            entries.push((text(0).parse()?, text(1).to_owned()));
        }
        entries.sort();
    }
    Ok(streams)
}

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE));
    config.build().new_agent()
}

/// The labels that were sent. Loki adds labels of its own to the streams that it returns.
fn shown(labels: &Value) -> String {
    let labels = labels.as_object().into_iter().flatten();
    let own =
        labels.filter(|(name, _)| !["service_name", "detected_level", "run"].contains(&&***name));
    let pairs: Vec<_> = own.map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(", ")
}

/// Tenant and credentials, from logcli's variables.
fn headers() -> Vec<(&'static str, String)> {
    let mut headers = Vec::new();
    headers.extend(variable("LOKI_ORG_ID").map(|tenant| ("X-Scope-OrgID", tenant)));
    if let (Some(user), Some(password)) = (variable("LOKI_USERNAME"), variable("LOKI_PASSWORD")) {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        headers.push(("Authorization", format!("Basic {pair}")));
    } else if let Some(token) = variable("LOKI_BEARER_TOKEN") {
        headers.push(("Authorization", format!("Bearer {token}")));
    }
    headers
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

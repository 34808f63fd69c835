//! What is read from a line of each kind that logs have, in a table: its time, level, message and
//! fields.

use std::collections::BTreeMap;
use std::fs::File;
use std::time::{Duration, UNIX_EPOCH};

use crate::support::loki::Entry;
use crate::support::{Dir, Loki, LokiPush, Random};

/// A line; its time in UTC, empty if it has none that can be read, `-` if that depends on the input;
/// its level, or empty; its message with the layout `metadata`; its fields as metadata.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// The message is the whole line.
const SAME: &str = "\0";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("2025-11-03 08:15:30 ERROR payment failed order=1042 amount=19.90", "2025-11-03T08:15:30Z", "error", "2025-11-03 08:15:30 ERROR payment failed", &[("order", "1042"), ("amount", "19.90")]),
    ("2025-11-03T08:15:30Z INFO checkout started cart=7 items=3", "2025-11-03T08:15:30Z", "info", "2025-11-03T08:15:30Z INFO checkout started", &[("cart", "7"), ("items", "3")]),
    ("2025-11-03T08:15:30.250+01:00 WARN slow query ms=1200", "2025-11-03T07:15:30.25Z", "warn", "2025-11-03T08:15:30.250+01:00 WARN slow query", &[("ms", "1200")]),
    ("2025-11-03 08:15:30,123 - shop.cart - DEBUG - adding item 12", "2025-11-03T08:15:30.123Z", "debug", SAME, &[]),
    ("[2025-11-03 08:15:30,678] INFO [Server id=3] started (kafka.server.KafkaServer)", "2025-11-03T08:15:30.678Z", "info", SAME, &[]),
    ("[2025-11-03 08:15:31,002] INFO [Log partition=orders-2, dir=/data/kafka] Rolled new segment at offset 991", "2025-11-03T08:15:31.002Z", "info", SAME, &[]),
    ("2025-11-03 08:15:30.678 [main] INFO  c.e.Shop - listening on port=8080", "2025-11-03T08:15:30.678Z", "info", "2025-11-03 08:15:30.678 [main] INFO  c.e.Shop - listening on", &[("port", "8080")]),
    ("2025-11-03T08:15:30.678+01:00  WARN 1 --- [nio-8080-exec-2] c.e.shop.CartService : User{id=9, name=ann} has no cart", "2025-11-03T07:15:30.678Z", "warn", SAME, &[]),
    ("Nov  3 08:15:30 web1 sshd[812]: error: maximum authentication attempts exceeded for root from 10.0.0.9 port 50122", "2025-11-03T08:15:30Z", "error", SAME, &[]),
    ("Nov  3 08:15:30 web1 sshd[812]: Accepted publickey for ann from 10.0.0.9 port 50122 ssh2", "2025-11-03T08:15:30Z", "", SAME, &[]),
    ("Nov  3 08:15:30 web1 kernel: [ 1042.250000] usb 1-1: new device number=7", "2025-11-03T08:15:30Z", "", "Nov  3 08:15:30 web1 kernel: [ 1042.250000] usb 1-1: new device", &[("number", "7")]),
    ("Nov  3 08:15:30 mail postfix/smtp[99]: 4F1A: to=<bob@example.org>, relay=mx.example.org[192.0.2.1]:25, delay=1.5, status=sent (250 ok)", "2025-11-03T08:15:30Z", "", SAME, &[("to", "<bob@example.org>"), ("relay", "mx.example.org[192.0.2.1]:25"), ("delay", "1.5"), ("status", "sent")]),
    ("Nov  3 08:15:30 mail postfix/smtpd[98]: warning: hostname x.example does not resolve", "2025-11-03T08:15:30Z", "warn", SAME, &[]),
    ("Nov  3 08:15:30 mail sympa[41]: info main::queue started", "2025-11-03T08:15:30Z", "info", SAME, &[]),
    ("Nov  3 08:15:30 esx1 hostd[2A]: verbose hostd[77] [Originator@6876 sub=Vimsvc] session up", "2025-11-03T08:15:30Z", "debug", SAME, &[]),
    ("<11>Nov  3 08:15:30 web1 app[5]: INFO the priority counts", "2025-11-03T08:15:30Z", "error", SAME, &[]),
    (r#"<165>1 2025-11-03T08:15:30Z web1 app 5 ID47 [ex@1 iut="3" eventID="1011"] an event"#, "2025-11-03T08:15:30Z", "info", SAME, &[]),
    ("<3>disk vda1 failed code=5", "", "error", "<3>disk vda1 failed", &[("code", "5")]),
    (r#"10.0.0.9 - ann [03/Nov/2025:08:15:30 +0000] "GET /?q=a b=c HTTP/1.1" 200 512 "-" "curl level=fatal x""#, "2025-11-03T08:15:30Z", "", SAME, &[]),
    (r#"10.0.0.9 - - [03/Nov/2025:08:15:30 +0000] "GET /error HTTP/1.1" 500 12 "-" "curl/8" rt=0.250"#, "2025-11-03T08:15:30Z", "", r#"10.0.0.9 - - [03/Nov/2025:08:15:30 +0000] "GET /error HTTP/1.1" 500 12 "-" "curl/8""#, &[("rt", "0.250")]),
    (r#"10.0.0.9 - - [03/Nov/2025:08:15:30 +0000] "GET / HTTP/1.1" 200 1 "-" "user=root \" level=error""#, "2025-11-03T08:15:30Z", "", SAME, &[]),
    (r#"2025/11/03 08:15:30 [error] 31#31: *7 open() "/srv/x" failed (2: No such file), client: 10.0.0.9, server: shop"#, "2025-11-03T08:15:30Z", "error", SAME, &[]),
    ("2025/11/03 08:15:30 [notice] 1#1: start worker process 31", "2025-11-03T08:15:30Z", "info", SAME, &[]),
    ("2025/11/03 08:15:30 http: TLS handshake error from 10.0.0.9:50122: EOF", "2025-11-03T08:15:30Z", "", SAME, &[]),
    ("2025/11/03 08:15:30.123456 main.go:42: retrying in 5s attempt=3", "2025-11-03T08:15:30.123456Z", "", "2025/11/03 08:15:30.123456 main.go:42: retrying in 5s", &[("attempt", "3")]),
    ("[Mon Nov 03 08:15:30.678901 2025] [core:error] [pid 12:tid 34] [client 10.0.0.9:50122] AH00126: Invalid URI", "2025-11-03T08:15:30.678901Z", "error", SAME, &[]),
    ("[Mon Nov 03 08:15:30 2025] [warn] [client 10.0.0.9] mod_x: timeout=5", "2025-11-03T08:15:30Z", "warn", "[Mon Nov 03 08:15:30 2025] [warn] [client 10.0.0.9] mod_x:", &[("timeout", "5")]),
    ("Mon Nov  3 08:15:30 UTC 2025 backup done files=12", "2025-11-03T08:15:30Z", "", "Mon Nov  3 08:15:30 UTC 2025 backup done", &[("files", "12")]),
    (r#"I1103 08:15:30.123456       1 server.go:42] "Started" addr=":8080""#, "2025-11-03T08:15:30.123456Z", "info", r#"I1103 08:15:30.123456       1 server.go:42] "Started""#, &[("addr", ":8080")]),
    ("E1103 08:15:30.123456       1 reflector.go:147] factory.go:150: Failed to watch *v1.Pod: timeout", "2025-11-03T08:15:30.123456Z", "error", SAME, &[]),
    ("W1103 08:15:30.123456       7 cache.go:12] stale entries n=3", "2025-11-03T08:15:30.123456Z", "warn", "W1103 08:15:30.123456       7 cache.go:12] stale entries", &[("n", "3")]),
    ("type=USER_LOGIN msg=audit(1762157730.250:512): pid=812 uid=0 res=failed", "2025-11-03T08:15:30.25Z", "", "audit(1762157730.250:512):", &[("type", "USER_LOGIN"), ("pid", "812"), ("uid", "0"), ("res", "failed")]),
    ("audit(1762157730.250:512): arch=c000003e syscall=59 success=yes", "2025-11-03T08:15:30.25Z", "", "audit(1762157730.250:512):", &[("arch", "c000003e"), ("syscall", "59"), ("success", "yes")]),
    ("03-Nov-2025 08:15:30.678 SEVERE [main] org.apache.catalina.core.StandardContext.startInternal One or more listeners failed", "2025-11-03T08:15:30.678Z", "error", SAME, &[]),
    ("03-Nov-2025 08:15:30.678 zone example.org/IN: loaded serial 7", "2025-11-03T08:15:30.678Z", "", SAME, &[]),
    ("[03-Nov-2025 08:15:30] WARNING: [pool www] server reached pm.max_children setting (5)", "2025-11-03T08:15:30Z", "warn", SAME, &[]),
    ("Nov 03, 2025 8:15:30 AM org.example.Main start", "2025-11-03T08:15:30Z", "", SAME, &[]),
    ("12:M 03 Nov 2025 08:15:30.678 # Warning: no config file", "2025-11-03T08:15:30.678Z", "warn", SAME, &[]),
    ("12:M 03 Nov 2025 08:15:30.678 * Ready to accept connections", "2025-11-03T08:15:30.678Z", "info", SAME, &[]),
    ("20251103T081530Z INFO compact time x=1", "2025-11-03T08:15:30Z", "info", "20251103T081530Z INFO compact time", &[("x", "1")]),
    ("1762157730 WARN epoch seconds", "2025-11-03T08:15:30Z", "warn", SAME, &[]),
    ("1762157730.25 INFO epoch with a fraction", "2025-11-03T08:15:30.25Z", "info", SAME, &[]),
    ("1762157730250 ERROR epoch in milliseconds", "2025-11-03T08:15:30.25Z", "error", SAME, &[]),
    ("2025-11-03-08.15.30.250000 RAS KERNEL INFO cache parity corrected", "-", "info", SAME, &[]),
    ("- 1762157730 2025.11.03 node1 2025-11-03-08.15.30.250000 node1 RAS KERNEL FATAL cache gone", "-", "fatal", SAME, &[]),
    ("2025-11-03 08:15:30 Warn Server: low on seats", "2025-11-03T08:15:30Z", "warn", SAME, &[]),
    ("2025-11-03 08:15:30 info exim[8003]: queue run", "2025-11-03T08:15:30Z", "info", SAME, &[]),
    ("2025-11-03 08:15:30 error rate is 5%", "2025-11-03T08:15:30Z", "", SAME, &[]),
    ("2025-11-03T08:15:30.678Z In(14) hostd[2099]: session opened", "2025-11-03T08:15:30.678Z", "info", SAME, &[]),
    ("2025-11-03T08:15:30.678Z Wa(180) vmkwarning: heap low", "2025-11-03T08:15:30.678Z", "warn", SAME, &[]),
    ("2025-11-03T08:15:30.678Z Er(3) storaged: path lost", "2025-11-03T08:15:30.678Z", "error", SAME, &[]),
    ("2025-11-03T08:15:30.678Z Db(167) hostd[2099]: tick", "2025-11-03T08:15:30.678Z", "debug", SAME, &[]),
    (r#"[2025-11-03 08:15:30] production.ERROR: Class "Cart" not found {"exception":"x"}"#, "2025-11-03T08:15:30Z", "error", SAME, &[]),
    ("[2025-11-03T08:15:30.678901+00:00] request.NOTICE: matched [] []", "2025-11-03T08:15:30.678901Z", "info", SAME, &[]),
    ("[2025-11-03T08:15:30.678901+00:00] security.ALERT: too many logins", "2025-11-03T08:15:30.678901Z", "critical", SAME, &[]),
    ("[2025-11-03T08:15:30.678901+00:00] app.EMERGENCY: no disk left", "2025-11-03T08:15:30.678901Z", "fatal", SAME, &[]),
    (r#"{"time":"2025-11-03T08:15:30Z","level":"INFO","msg":"hello","user":"ann","n":3}"#, "2025-11-03T08:15:30Z", "info", "hello", &[("time", "2025-11-03T08:15:30Z"), ("user", "ann"), ("n", "3")]),
    (r#"{"time":"2025-11-03T08:15:30Z","level":"ERROR+4","msg":"slog says","err":"x y"}"#, "2025-11-03T08:15:30Z", "error", "slog says", &[("time", "2025-11-03T08:15:30Z"), ("err", "x y")]),
    (r#"{"time":"2025-11-03T08:15:30Z","level":4,"msg":"slog in numbers"}"#, "2025-11-03T08:15:30Z", "warn", "slog in numbers", &[("time", "2025-11-03T08:15:30Z")]),
    (r#"{"time":"2025-11-03T08:15:30Z","level":-4,"msg":"slog in numbers"}"#, "2025-11-03T08:15:30Z", "debug", "slog in numbers", &[("time", "2025-11-03T08:15:30Z")]),
    (r#"{"level":30,"time":1762157730250,"pid":7,"hostname":"web1","msg":"pino"}"#, "2025-11-03T08:15:30.25Z", "info", "pino", &[("time", "1762157730250"), ("pid", "7"), ("hostname", "web1")]),
    (r#"{"name":"shop","hostname":"web1","pid":7,"level":60,"msg":"bunyan","time":"2025-11-03T08:15:30.250Z","v":0}"#, "2025-11-03T08:15:30.25Z", "fatal", "bunyan", &[("name", "shop"), ("hostname", "web1"), ("pid", "7"), ("time", "2025-11-03T08:15:30.250Z"), ("v", "0")]),
    (r#"{"level":"error","ts":1762157730.25,"caller":"cart/cart.go:42","msg":"zap","cart":{"id":7,"items":[1,2]}}"#, "2025-11-03T08:15:30.25Z", "error", "zap", &[("ts", "1762157730.25"), ("caller", "cart/cart.go:42"), ("cart_id", "7"), ("cart_items", "[1,2]")]),
    (r#"{"@timestamp":"2025-11-03T08:15:30.250Z","log.level":"warn","message":"ecs","ecs.version":"1.6.0"}"#, "2025-11-03T08:15:30.25Z", "warn", "ecs", &[("_timestamp", "2025-11-03T08:15:30.250Z"), ("ecs_version", "1.6.0")]),
    (r#"{"@timestamp":"2025-11-03T08:15:30.250Z","log":{"level":"error","logger":"cart"},"message":"ecs nested"}"#, "2025-11-03T08:15:30.25Z", "error", "ecs nested", &[("_timestamp", "2025-11-03T08:15:30.250Z"), ("log_logger", "cart")]),
    (r#"{"log":"docker says ERROR: no\n","stream":"stderr","time":"2025-11-03T08:15:30.250Z"}"#, "2025-11-03T08:15:30.25Z", "error", "docker says ERROR: no", &[("stream", "stderr"), ("time", "2025-11-03T08:15:30.250Z")]),
    (r#"{"log":"ERROR plain\n","stream":"stderr","time":"2025-11-03T08:15:30.250Z"}"#, "2025-11-03T08:15:30.25Z", "error", "ERROR plain", &[("stream", "stderr"), ("time", "2025-11-03T08:15:30.250Z")]),
    (r#"{"MESSAGE":"journald","PRIORITY":"3","_SYSTEMD_UNIT":"shop.service","__REALTIME_TIMESTAMP":"1762157730250000"}"#, "2025-11-03T08:15:30.25Z", "error", "journald", &[("_SYSTEMD_UNIT", "shop.service"), ("_REALTIME_TIMESTAMP", "1762157730250000")]),
    (r#"{"version":"1.1","host":"web1","short_message":"gelf","timestamp":1762157730.25,"level":4,"_cart":7}"#, "2025-11-03T08:15:30.25Z", "warn", "gelf", &[("version", "1.1"), ("host", "web1"), ("timestamp", "1762157730.25"), ("_cart", "7")]),
    (r#"{"timestamp":"2025-11-03T08:15:30Z","event":"structlog","level":"warning","cart":7}"#, "2025-11-03T08:15:30Z", "warn", "structlog", &[("timestamp", "2025-11-03T08:15:30Z"), ("cart", "7")]),
    (r#"{"@t":"2025-11-03T08:15:30.25Z","@m":"serilog said 7","@mt":"serilog said {N}","@l":"Verbose","N":7}"#, "2025-11-03T08:15:30.25Z", "trace", "serilog said 7", &[("_t", "2025-11-03T08:15:30.25Z"), ("_mt", "serilog said {N}"), ("N", "7")]),
    (r#"{"@t":"2025-11-03T08:15:30.25Z","@mt":"serilog said {N}","@l":"Fatal","N":7}"#, "2025-11-03T08:15:30.25Z", "fatal", "serilog said {N}", &[("_t", "2025-11-03T08:15:30.25Z"), ("N", "7")]),
    (r#"{"Timestamp":"2025-11-03T08:15:30.25Z","Level":"Warning","MessageTemplate":"cart {Id}","RenderedMessage":"cart 7"}"#, "2025-11-03T08:15:30.25Z", "warn", "cart 7", &[("Timestamp", "2025-11-03T08:15:30.25Z"), ("MessageTemplate", "cart {Id}")]),
    (r#"{"Timestamp":"2025-11-03T08:15:30.25Z","Level":"Warning","MessageTemplate":"cart {Id}","Id":7}"#, "2025-11-03T08:15:30.25Z", "warn", "cart {Id}", &[("Timestamp", "2025-11-03T08:15:30.25Z"), ("Id", "7")]),
    (r#"{"timestamp":"2025-11-03T08:15:30.25Z","level":"INFO","fields":{"message":"tracing","cart":7},"target":"shop"}"#, "2025-11-03T08:15:30.25Z", "info", "tracing", &[("timestamp", "2025-11-03T08:15:30.25Z"), ("fields_cart", "7"), ("target", "shop")]),
    (r#"{"timestamp":"2025-11-03T08:15:30.25Z","severity":"ERROR","textPayload":"gcp","insertId":"a1"}"#, "2025-11-03T08:15:30.25Z", "error", "gcp", &[("timestamp", "2025-11-03T08:15:30.25Z"), ("insertId", "a1")]),
    (r#"{"timeUnixNano":"1762157730250000000","severityNumber":17,"body":"otlp flat"}"#, "", "error", "otlp flat", &[("timeUnixNano", "1762157730250000000")]),
    (r#"{"timestamp":"2025-11-03T08:15:30.25Z","severityNumber":9,"body":{"stringValue":"otlp"},"traceId":"4bf9"}"#, "2025-11-03T08:15:30.25Z", "info", "otlp", &[("timestamp", "2025-11-03T08:15:30.25Z"), ("traceId", "4bf9")]),
    (r#"{"reqId":"a1","level":2,"time":"2025-11-03T08:15:30+00:00","app":"core","message":"nextcloud"}"#, "2025-11-03T08:15:30Z", "warn", "nextcloud", &[("reqId", "a1"), ("time", "2025-11-03T08:15:30+00:00"), ("app", "core")]),
    (r#"{"reqId":"a1","level":0,"time":"2025-11-03T08:15:30+00:00","app":"core","message":"nextcloud"}"#, "2025-11-03T08:15:30Z", "debug", "nextcloud", &[("reqId", "a1"), ("time", "2025-11-03T08:15:30+00:00"), ("app", "core")]),
    (r#"{"t":{"$date":"2025-11-03T08:15:30.250+00:00"},"s":"W","c":"NETWORK","id":22943,"ctx":"listener","msg":"mongo"}"#, "2025-11-03T08:15:30.25Z", "warn", "mongo", &[("t_date", "2025-11-03T08:15:30.250+00:00"), ("c", "NETWORK"), ("id", "22943"), ("ctx", "listener")]),
    (r#"{"text":"loguru","record":{"level":{"name":"SUCCESS","no":25},"message":"loguru"}}"#, "", "info", SAME, &[("text", "loguru"), ("record_level_no", "25"), ("record_message", "loguru")]),
    (r#"{"time":"2025-11-03T08:15:30Z","remote":"10.0.0.9","status":200,"path":"/"}"#, "2025-11-03T08:15:30Z", "", SAME, &[("time", "2025-11-03T08:15:30Z"), ("remote", "10.0.0.9"), ("status", "200"), ("path", "/")]),
    (r#"{"timestamp":"2025-11-03T08:15:30Z","logLevel":"Error","message":"spring"}"#, "2025-11-03T08:15:30Z", "error", "spring", &[("timestamp", "2025-11-03T08:15:30Z")]),
    (r#"{"timestamp":"2025-11-03T08:15:30Z","LogLevel":"Critical","Message":"dotnet","Category":"Shop"}"#, "2025-11-03T08:15:30Z", "critical", "dotnet", &[("timestamp", "2025-11-03T08:15:30Z"), ("Category", "Shop")]),
    (r#"{"datetime":"2025-11-03T08:15:30.25+00:00","level":300,"level_name":"WARNING","channel":"app","message":"monolog"}"#, "2025-11-03T08:15:30.25Z", "warn", "monolog", &[("datetime", "2025-11-03T08:15:30.25+00:00"), ("level", "300"), ("channel", "app")]),
    (r#"{"time":"2025-11-03T08:15:30Z","level":3,"message":"a number of nobody"}"#, "2025-11-03T08:15:30Z", "", "a number of nobody", &[("time", "2025-11-03T08:15:30Z"), ("level", "3")]),
    (r#"{"time":"2025-11-03T08:15:30Z","msg":"ERROR is only spoken of"}"#, "2025-11-03T08:15:30Z", "", "ERROR is only spoken of", &[("time", "2025-11-03T08:15:30Z")]),
    (r#"{"time":"2025-11-03T08:15:30Z","syslog":{"severity":4},"message":"syslog nested"}"#, "2025-11-03T08:15:30Z", "warn", "syslog nested", &[("time", "2025-11-03T08:15:30Z")]),
    (r#"{"time":"2025-11-03T08:15:30Z","severity_code":3,"message":"rsyslog"}"#, "2025-11-03T08:15:30Z", "error", "rsyslog", &[("time", "2025-11-03T08:15:30Z")]),
    (r#"{"time":"2025-11-03T08:15:30Z","msg":"","message":"the second one"}"#, "2025-11-03T08:15:30Z", "", r#"the second one | msg="""#, &[("time", "2025-11-03T08:15:30Z")]),
    (r#"{"time":"2025-11-03T08:15:30Z","msg":{"a":1},"log":"the next one"}"#, "2025-11-03T08:15:30Z", "", "the next one", &[("time", "2025-11-03T08:15:30Z"), ("msg_a", "1")]),
    (r#"{"time":"2025-11-03T08:15:30Z","fields":{"level":"warn"},"message":"below"}"#, "2025-11-03T08:15:30Z", "warn", "below", &[("time", "2025-11-03T08:15:30Z")]),
    (r#"time=2025-11-03T08:15:30Z level=info msg="loading plugin" type=io.containerd.content.v1"#, "2025-11-03T08:15:30Z", "info", "loading plugin", &[("time", "2025-11-03T08:15:30Z"), ("type", "io.containerd.content.v1")]),
    (r#"ts=2025-11-03T08:15:30.250Z caller=cart.go:42 level=warn msg="slow cart" duration=1.5s"#, "2025-11-03T08:15:30.25Z", "warn", "slow cart", &[("ts", "2025-11-03T08:15:30.250Z"), ("caller", "cart.go:42"), ("duration", "1.5s")]),
    (r#"t=2025-11-03T08:15:30+0000 lvl=eror msg="log15 says" code=5"#, "2025-11-03T08:15:30Z", "error", "log15 says", &[("t", "2025-11-03T08:15:30+0000"), ("code", "5")]),
    (r#"level=3 time=2025-11-03T08:15:30Z msg="a number in logfmt""#, "2025-11-03T08:15:30Z", "error", "a number in logfmt", &[("time", "2025-11-03T08:15:30Z")]),
    (r#"time="2025-11-03T08:15:30Z" level=debug msg="quoted \"twice\"" n=1"#, "2025-11-03T08:15:30Z", "debug", r#"quoted "twice""#, &[("time", "2025-11-03T08:15:30Z"), ("n", "1")]),
    ("time=2025-11-03T08:15:30Z level=WARN+2 msg=between", "2025-11-03T08:15:30Z", "warn", "between", &[("time", "2025-11-03T08:15:30Z")]),
    (r#"at=info method=GET path="/cart?id=7" host=shop.example status=200"#, "", "", SAME, &[("at", "info"), ("method", "GET"), ("path", "/cart?id=7"), ("host", "shop.example"), ("status", "200")]),
    (r#"a=1 b=2 c="3 4""#, "", "", SAME, &[("a", "1"), ("b", "2"), ("c", "3 4")]),
    ("a=1, b=2; c=3", "", "", SAME, &[("a", "1"), ("b", "2"), ("c", "3")]),
    ("WARN retrying level=error attempt=2", "", "warn", "WARN retrying", &[("level", "error"), ("attempt", "2")]),
    ("cart saved level=debug", "", "debug", "cart saved", &[]),
    ("INFO game started level=1", "", "info", "INFO game started", &[("level", "1")]),
    ("game started level=1", "", "", "game started", &[("level", "1")]),
    ("x level=info y level=debug", "", "info", SAME, &[]),
    ("plain words without anything", "", "", SAME, &[]),
    (r#"plain words | key=val other="two words""#, "", "", "plain words", &[("key", "val"), ("other", "two words")]),
    ("key=val more words", "", "", SAME, &[("key", "val")]),
    ("words a=1 more words b=2 c=3", "", "", "words a=1 more words", &[("a", "1"), ("b", "2"), ("c", "3")]),
    ("words a=1 a=2 b=3", "", "", "words a=1 a=2", &[("b", "3")]),
    ("user=ann wrote user=bob", "", "", SAME, &[]),
    ("SELECT * FROM carts WHERE id=5 AND role='admin'", "", "", SAME, &[]),
    ("export PATH=/usr/bin", "", "", SAME, &[]),
    ("token eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9AAA= accepted", "", "", SAME, &[]),
    ("Authorization: Basic dXNlcjpwYXNzd29yZDE=", "", "", SAME, &[]),
    ("x args=[a b=c] done=yes", "", "", "x", &[("args", "[a b=c]"), ("done", "yes")]),
    ("x filter={level=fatal, user=root} n=1", "", "", "x", &[("filter", "{level=fatal, user=root}"), ("n", "1")]),
    ("call(level=fatal a=1) returned code=0", "", "", "call(level=fatal a=1) returned", &[("code", "0")]),
    ("`make level=fatal` ran n=1", "", "", "`make level=fatal` ran", &[("n", "1")]),
    ("it said 'level=fatal now' n=1", "", "", "it said 'level=fatal now'", &[("n", "1")]),
    ("[ never closed a=1", "", "", "[ never closed", &[("a", "1")]),
    (r#""never closed a=1"#, "", "", r#""never closed"#, &[("a", "1")]),
    (r#"6" pipe 3" long a=1"#, "", "", r#"6" pipe 3" long"#, &[("a", "1")]),
    ("the dogs' bowls n=2", "", "", "the dogs' bowls", &[("n", "2")]),
    ("a==b c!=d e<=f", "", "", SAME, &[]),
    ("http://shop.example/?a=b&c=d opened", "", "", SAME, &[]),
    ("--flag=1 -x=2 name=val", "", "", "--flag=1 -x=2", &[("name", "val")]),
    ("x=1] rest y=2", "", "", "x=1] rest", &[("x", "1]"), ("y", "2")]),
    (r#"msg="text" trailing words"#, "", "", SAME, &[("msg", "text")]),
    (r#"m="a b", n="c d"; o=1"#, "", "", SAME, &[("m", "a b"), ("n", "c d"), ("o", "1")]),
    (r"C:\path\file key=C:\temp\x", "", "", r"C:\path\file", &[("key", r"C:\temp\x")]),
    ("naïve café=1 größe=2 n=3", "", "", "naïve café=1 größe=2", &[("n", "3")]),
    ("words with a trailing comma a=1,", "", "", "words with a trailing comma", &[("a", "1")]),
    ("words a= b=2", "", "", r#"words | a="""#, &[("b", "2")]),
    ("panic: runtime error: index out of range [5] with length 3", "", "fatal", SAME, &[]),
    ("Traceback (most recent call last):", "", "", SAME, &[]),
    ("    at com.example.Cart.add(Cart.java:12)", "", "", SAME, &[]),
    ("java.lang.IllegalStateException: no cart", "", "", SAME, &[]),
    (r#"web-1  | {"level":"error","msg":"compose"}"#, "", "error", SAME, &[]),
    (r#"@cee: {"level":"warn","msg":"cee"}"#, "", "warn", SAME, &[]),
    (r#"2025-11-03T08:15:30.250000000Z stdout F {"level":"error","msg":"cri"}"#, "2025-11-03T08:15:30.25Z", "error", SAME, &[]),
    ("2025-11-03T08:15:30.250000000Z stderr F ERROR cri text n=1", "2025-11-03T08:15:30.25Z", "error", "2025-11-03T08:15:30.250000000Z stderr F ERROR cri text", &[("n", "1")]),
    ("npm ERR! code ENOENT", "", "error", SAME, &[]),
    ("error[E0308]: mismatched types", "", "error", SAME, &[]),
    ("WARN[0003] the attribute `version` is obsolete", "", "warn", SAME, &[]),
    ("src/main.c:3:5: warning: unused variable 'x' [-Wunused-variable]", "", "warn", SAME, &[]),
    ("2025-11-03 08:15:30 UTC [123] LOG:  checkpoint complete: wrote 3 buffers", "2025-11-03T08:15:30Z", "info", SAME, &[]),
    (r#"2025-11-03 08:15:30 UTC [123] ann@shop ERROR:  relation "carts" does not exist"#, "2025-11-03T08:15:30Z", "error", SAME, &[]),
    ("2025-11-03T08:15:30.678901Z 0 [Warning] [MY-011068] [Server] The syntax 'x' is deprecated", "2025-11-03T08:15:30.678901Z", "warn", SAME, &[]),
    ("[ERROR] plugin/errors: 2 shop.example. A: i/o timeout", "", "error", SAME, &[]),
    ("08:15:30.678 request_id=abc [info] GET /", "-", "info", SAME, &[("request_id", "abc")]),
    ("[08:15:30] [Server thread/WARN]: Can't keep up!", "-", "warn", SAME, &[]),
    ("LOG_LEVEL=error is set", "", "", SAME, &[("LOG_LEVEL", "error")]),
];

/// The entries of these rows, in their order, each read from a file of its own that was last written
/// on the first of March 2026.
fn entries(rows: &[&Row], args: &[&str]) -> Vec<Entry> {
    let (loki, dir) = (Loki::start(), Dir::new());
    run(&loki, &dir, rows, args)
        .run()
        .expect(0)
        .expect_no_message();
    let mut entries = loki.entries();
    assert_eq!(entries.len(), rows.len());
    entries.sort_by(|a, b| a.labels["filename"].cmp(&b.labels["filename"]));
    entries
}

/// The name of the file of a row.
fn name(at: usize) -> String {
    format!("{at:03}.log")
}

fn run(loki: &Loki, dir: &Dir, rows: &[&Row], args: &[&str]) -> LokiPush {
    let mut run = LokiPush::new(loki).cwd(dir.path()).args(args).summed();
    for (at, row) in rows.iter().enumerate() {
        let path = dir.write(name(at), format!("{}\n", row.0));
        let file = File::options().append(true).open(path).unwrap();
        let time = UNIX_EPOCH + Duration::from_secs(1_772_323_200);
        file.set_modified(time).unwrap();
        run = run.arg(name(at));
    }
    run
}

#[test]
fn every_line_has_its_time_or_is_not_shipped() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let rows: Vec<&Row> = ROWS.iter().filter(|row| row.1 != "-").collect();
    let args = ["--time", "auto", "--time-zone", "utc"];
    run(&loki, &dir, &rows, &args).run().expect(1);
    let entries = loki.entries();
    let times: BTreeMap<&str, i64> = entries
        .iter()
        .map(|entry| (entry.labels["filename"].as_str(), entry.time))
        .collect();
    for (at, (line, time, ..)) in rows.into_iter().enumerate() {
        let expected = (!time.is_empty()).then(|| {
            let time: jiff::Timestamp = time.parse().unwrap();
            i64::try_from(time.as_nanosecond()).unwrap()
        });
        assert_eq!(times.get(&*name(at)).copied(), expected, "{line}");
    }
}

#[test]
fn every_line_gives_its_level_message_and_fields() {
    assert!(ROWS.len() >= 150);
    let rows: Vec<&Row> = ROWS.iter().collect();
    for (row, entry) in rows.iter().zip(entries(&rows, &["--layout", "metadata"])) {
        let (line, _, level, message, fields) = row;
        let message = if *message == SAME { line } else { message };
        assert_eq!(entry.line, *message, "{line}");
        assert_eq!(
            entry.labels.get("level").map_or("", String::as_str),
            *level,
            "{line}"
        );
        let fields = fields
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        assert_eq!(
            entry.metadata,
            fields.collect::<BTreeMap<String, String>>(),
            "{line}"
        );
    }
}

/// The characters of a text, but for those that may stand between moved fields and around their
/// values: white space, quotes, `,`, `;` and `|`.
fn characters(text: &str) -> Vec<char> {
    let is_between = |c: char| c.is_whitespace() || matches!(c, '"' | '\\' | ',' | ';' | '|');
    let mut all: Vec<char> = text.chars().filter(|c| !is_between(*c)).collect();
    all.sort_unstable();
    all
}

/// Whether all characters of one text are in another.
fn are_in(own: &[char], all: &[char]) -> bool {
    let mut all = all.iter().peekable();
    own.iter().all(|c| {
        while all.next_if(|other| *other < c).is_some() {}
        all.next_if_eq(&c).is_some()
    })
}

#[test]
fn message_and_moved_fields_are_the_whole_line() {
    let parts = [
        "word",
        "a=1",
        "b.c=2",
        "d-e=\"x y\"",
        "f=[g h=3]",
        "(i j=4)",
        "[k",
        "l]",
        "m=n,",
        "| o=p",
        "\"q r=s\"",
        "t=",
        "u='v w'",
        "a=1",
        "msg=n",
        "msg=\"o p\"",
        "WHERE q=r",
        "AND s='t'",
        "-e v=w,",
        "x: ",
        "INFO",
        "y=z;",
        "`k=v`",
        "é=ü",
        "'",
        "\"",
        "eyJhbGciOiJIUzI1NiJ9AAA=",
    ];
    let mut random = Random::new(1);
    let mut line = || {
        let words: Vec<&str> = (0..=random.below(7)).map(|_| random.pick(&parts)).collect();
        words.join(" ")
    };
    let random: Vec<String> = (0..3_000).map(|_| line()).collect();
    let table = ROWS.iter().map(|row| row.0.to_owned());
    let lines: Vec<String> = random
        .into_iter()
        .chain(table)
        .filter(|line| !line.starts_with('{'))
        .collect();
    for layout in ["line", "metadata"] {
        let loki = Loki::start();
        let args = ["--layout", layout, "--parse", "logfmt", "-l", "level=x"];
        let run = LokiPush::new(&loki).args(args).summed();
        run.stdin_bytes(lines.join("\n")).run().expect(0);
        let mut entries = loki.entries();
        entries.sort_by_key(|entry| entry.time);
        assert_eq!(entries.len(), lines.len());
        for (line, entry) in lines.iter().zip(entries) {
            // As Loki accepts names.
            let whole = characters(&line.replace(['.', '-'], "_"));
            let message = entry.line.split(" | ").next().unwrap_or_default();
            let invented = !are_in(&characters(&message.replace(['.', '-'], "_")), &whole);
            let fields = entry
                .metadata
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            let shipped = format!("{}{}", entry.line, fields.collect::<String>());
            let lost = !are_in(&whole, &characters(&shipped.replace(['.', '-'], "_")));
            // The message of a line that is nothing but fields loses its name.
            let named = format!("msg={shipped}").replace(['.', '-'], "_");
            let lost = lost && !(layout == "metadata" && are_in(&whole, &characters(&named)));
            assert!(!invented && !lost, "{layout}: {line:?} became {entry:?}");
        }
    }
}

#[test]
fn the_level_does_not_depend_on_the_layout() {
    let rows: Vec<&Row> = ROWS.iter().collect();
    for layout in ["keep", "line"] {
        for (row, entry) in rows.iter().zip(entries(&rows, &["--layout", layout])) {
            assert_eq!(
                entry.labels.get("level").map_or("", String::as_str),
                row.2,
                "{}",
                row.0
            );
            assert!(layout != "keep" || entry.line == row.0, "{}", row.0);
            assert!(!entry.line.is_empty(), "{}", row.0);
        }
    }
}

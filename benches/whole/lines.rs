//! Lines as programs write them, the same in every run: nginx, Java, logfmt, JSON, syslog and stack
//! traces, about 150 bytes each, which gzip -1 takes to about a quarter as it does real logs.
//!
//! What makes real logs compress so is that few clients, paths and messages make most of the lines,
//! and that times and counters move slowly; random digits would not.

use std::io::{self, Write};

/// Xorshift: the same numbers every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn wide(&mut self) -> u128 {
        u128::from(self.below(u64::MAX)) << 64 | u128::from(self.below(u64::MAX))
    }

    /// A number below the bound, small ones much more often than large ones.
    fn skewed(&mut self, bound: u64) -> u64 {
        let top = 1 + self.below(bound);
        let top = 1 + self.below(top);
        self.below(top)
    }

    fn of<'a>(&mut self, among: &[&'a str]) -> &'a str {
        among[self.skewed(among.len() as u64) as usize]
    }
}

const AGENTS: [&str; 5] = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0.0.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1) AppleWebKit/605.1.15",
    "curl/8.5.0",
    "kube-probe/1.31",
    "Prometheus/2.55.1",
];
const PATHS: [&str; 9] = [
    "/api/v1/orders",
    "/api/v1/users/me",
    "/healthz",
    "/metrics",
    "/api/v1/payments",
    "/static/app.3f9a1c.js",
    "/login",
    "/api/v2/search",
    "/favicon.ico",
];
const CLASSES: [&str; 8] = [
    "c.e.shop.order.OrderService",
    "c.e.shop.cart.CartController",
    "o.s.web.servlet.DispatcherServlet",
    "c.zaxxer.hikari.pool.HikariPool",
    "o.a.k.c.consumer.KafkaConsumer",
    "c.e.shop.payment.PaymentGateway",
    "o.h.engine.jdbc.spi.SqlExceptionHelper",
    "c.e.shop.user.SessionRegistry",
];
const MESSAGES: [&str; 10] = [
    "Order accepted,",
    "Session renewed after",
    "Cache miss, reading",
    "Connection acquired from",
    "Request finished with",
    "Payment authorised by",
    "Slow query, consider",
    "Retrying after a timeout of",
    "Could not reach the upstream: \"connection reset by peer\"",
    "Email queued for",
];
#[rustfmt::skip]
const WORDS: [&str; 48] = [
    "gateway", "pool", "customer", "index", "token", "refresh", "warehouse", "delivery", "worker",
    "shard", "replica", "primary", "region", "bucket", "upload", "invoice", "checkout", "basket",
    "voucher", "refund", "shipment", "carrier", "address", "profile", "avatar", "search", "ranking",
    "partition", "offset", "consumer", "producer", "topic", "schema", "migration", "lock", "lease",
    "leader", "follower", "snapshot", "segment", "compaction", "quota", "limit", "burst", "window",
    "batch", "handshake", "certificate",
];
const LEVELS: [&str; 5] = ["INFO", "DEBUG", "WARN", "ERROR", "TRACE"];
const HOSTS: [&str; 4] = ["web-1", "web-2", "db-1", "queue-1"];

/// Writes `count` lines.
pub fn write(out: &mut impl Write, count: u64) -> io::Result<()> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for n in 0..count {
        line(out, &mut random, n)?;
    }
    out.flush()
}

fn line(out: &mut impl Write, random: &mut Random, n: u64) -> io::Result<()> {
    // About 200 lines a second.
    let millis = n * 5 + random.below(5);
    let (h, m, s, ms) = (
        millis / 3_600_000 % 24,
        millis / 60_000 % 60,
        millis / 1000 % 60,
        millis % 1000,
    );
    let user = 1_000 + random.below(50_000);
    let mut word = || WORDS[random.below(WORDS.len() as u64) as usize];
    let words = [word(), word(), word(), word()].join(" ");
    let message = format!("{} {words}", random.of(&MESSAGES));
    let level = random.of(&LEVELS);
    let ip = format!(
        "10.{}.{}.{}",
        random.skewed(4),
        random.skewed(16),
        1 + random.skewed(200)
    );
    match random.below(20) {
        0..=4 => writeln!(
            out,
            "{ip} - - [23/Nov/2026:{h:02}:{m:02}:{s:02} +0000] \"GET {}/{user} HTTP/1.1\" {} {} \"-\" \"{}\" rid={:032x}",
            random.of(&PATHS),
            random.of(&["200", "304", "404", "500"]),
            200 + random.below(40_000),
            random.of(&AGENTS),
            random.wide(),
        ),
        5..=8 => writeln!(
            out,
            "2026-11-23 {h:02}:{m:02}:{s:02}.{ms:03} {level:<5} [shop,{:032x}] [exec-{}] {} : {message} (order={}, user={user}, took={} ms)",
            random.wide(),
            random.below(10),
            random.of(&CLASSES),
            100_000 + n,
            random.skewed(2_000),
        ),
        9..=11 => writeln!(
            out,
            "time=\"2026-11-23T{h:02}:{m:02}:{s:02}.{ms:03}Z\" level={} msg=\"{}\" caller=handler.go:{} user_id={user} ip={ip} duration_ms={} request_id={:032x}",
            level.to_ascii_lowercase(),
            message.replace('"', "\\\""),
            40 + random.below(60),
            random.skewed(3_000),
            random.wide(),
        ),
        12..=15 => writeln!(
            out,
            "{{\"level\":\"{}\",\"ts\":\"2026-11-23T{h:02}:{m:02}:{s:02}.{ms:03}Z\",\"logger\":\"http\",\"msg\":\"{}\",\"user\":{{\"id\":{user},\"ip\":\"{ip}\"}},\"path\":\"{}\",\"status\":{},\"trace_id\":\"{:032x}\"}}",
            level.to_ascii_lowercase(),
            message.replace('"', "\\\""),
            random.of(&PATHS),
            random.of(&["200", "201", "404", "500"]),
            random.wide(),
        ),
        16..=17 => writeln!(
            out,
            "Nov 23 {h:02}:{m:02}:{s:02} {} systemd[1]: session-{}.scope: Deactivated successfully, consumed {}ms CPU time.",
            random.of(&HOSTS),
            random.below(100_000),
            random.below(10_000),
        ),
        _ => writeln!(
            out,
            "    at com.example.shop.{}.handle({}.java:{}) ~[shop-core-1.24.{}.jar!/:1.24.{}] of worker thread {}",
            random.of(&[
                "order.OrderService",
                "cart.CartController",
                "payment.Gateway"
            ]),
            random.of(&["OrderService", "CartController", "Gateway"]),
            20 + random.skewed(400),
            random.below(3),
            random.below(3),
            random.below(16),
        ),
    }
}

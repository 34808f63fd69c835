//! A program that logs through the library, and through the macros of the `log` crate:
//! `cargo run --example library --features log`. The README shows the same, and a test compares.

use loki_push::{Config, Loki};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::var("LOKI_ADDR").unwrap_or("http://localhost:3100".into());
    let loki = Loki::new(Config::new(address).app("shop").environment("prod"))?;
    loki.info("listening", &[("port", &8080)]);

    loki.logger().install(log::LevelFilter::Info)?; // from here on the macros of `log` go to Loki
    log::warn!(order = 17; "payment is slow");

    let stats = loki.stop(); // delivers what waits, for 5 s at most
    println!("{stats}"); // logged 2, sent 2, refused 0, dropped 0, pending 0
    Ok(())
}

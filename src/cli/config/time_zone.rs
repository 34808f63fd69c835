//! Looks up a time zone by its name.
//!
//! Reads the files of the time zone database itself: jiff would list all its directories first, which
//! takes longer than the rest of the start.

use std::io::{self, ErrorKind};
use std::path::{Component, Path};

use crate::parse::timestamp::Zone;

/// The directories with the files of time zones.
const DIRECTORIES: [&str; 3] = [
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/etc/zoneinfo",
];

/// The zone for `local`, `utc`, an offset (`+02:00`) or a name (`Europe/Berlin`).
///
/// # Errors
/// If there is no such zone; the message names the missing files.
pub(super) fn named(text: &str) -> Result<Zone, String> {
    if text == "local" {
        return local();
    }
    if text.eq_ignore_ascii_case("utc") || text == "Z" {
        return Ok(Zone::utc());
    }
    if text.starts_with(['+', '-']) {
        return Zone::from_offset(text).ok_or_else(|| {
            format!(
                "`{}` is not an offset: write it as +02:00",
                text.escape_debug()
            )
        });
    }
    in_database(text).ok_or_else(|| missing(&format!("`{}`", text.escape_debug()), text))
}

/// The zone of this machine: `TZ` if it is set, else `/etc/localtime`, else UTC.
fn local() -> Result<Zone, String> {
    let Some(given) = std::env::var_os("TZ") else {
        return match std::fs::read("/etc/localtime") {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Zone::utc()),
            file => parsed("localtime", file).ok_or_else(|| {
                "cannot read the time zone in /etc/localtime; use --time-zone to name one".into()
            }),
        };
    };
    let given = given.to_string_lossy();
    let name = given.trim_start_matches(':');
    let zone = match name {
        "" => Some(Zone::utc()),
        _ if name.starts_with('/') => parsed(name, std::fs::read(name)),
        _ => in_database(name).or_else(|| Zone::from_rule(name)),
    };
    zone.ok_or_else(|| missing(&format!("TZ=`{}`", given.escape_debug()), name))
}

/// The zone with this name in the time zone database.
fn in_database(name: &str) -> Option<Zone> {
    let mut parts = Path::new(name).components();
    parts
        .all(|part| matches!(part, Component::Normal(_)))
        .then_some(())?;
    let own = std::env::var("TZDIR").ok();
    let all = own.as_deref().into_iter().chain(DIRECTORIES);
    all.map(|dir| Path::new(dir).join(name))
        .find_map(|path| parsed(name, std::fs::read(path)))
}

fn parsed(name: &str, file: io::Result<Vec<u8>>) -> Option<Zone> {
    Zone::from_file(name, &file.ok()?)
}

fn missing(shown: &str, name: &str) -> String {
    if name.starts_with('/') {
        return format!("unknown time zone {shown}: {name} is not a time zone file");
    }
    let there = DIRECTORIES.iter().any(|dir| Path::new(dir).is_dir());
    let files = DIRECTORIES.map(|dir| format!("{dir}/{name}"));
    let remedy = if there {
        "use a name such as Europe/Berlin, an offset such as +02:00, utc or local"
    } else {
        "install the package tzdata, or use an offset such as +02:00"
    };
    format!(
        "unknown time zone {shown}: there is no file {}; {remedy}",
        files.join(" or ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_zones_are_explained() {
        let missing = named("Europe/Berln").unwrap_err();
        assert!(
            missing.contains("/usr/share/zoneinfo/Europe/Berln"),
            "{missing}"
        );
        assert!(named("../zoneinfo/UTC").is_err());
        assert!(named("+2x").is_err() && named("+99:00").is_err());
        assert_eq!(named("UTC"), Ok(Zone::utc()));
    }
}

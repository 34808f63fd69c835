//! Environment variables that look like options but are none: typos.

use std::collections::BTreeSet;
use std::ffi::OsString;

use crate::cli::args::{command_without_env, env_name, env_var_of};

/// Prefixes of variables that Kubernetes sets for a service called loki-push.
const KUBERNETES: [&str; 2] = ["LOKI_PUSH_SERVICE_", "LOKI_PUSH_PORT"];

/// How alike two names must be for one to be suggested, from 0 to 1.
const ALIKE: f64 = 0.8;

/// A warning for each variable that begins like ours and is not one.
pub fn warnings(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let names = names.filter_map(|name| name.into_string().ok());
    let is_ours = |name: &String| {
        name.starts_with("LOKI_PUSH_") && !KUBERNETES.iter().any(|known| name.starts_with(known))
    };
    let names: BTreeSet<_> = names.filter(is_ours).collect();
    // Without such a variable nothing is built, as in nearly every run.
    if names.is_empty() {
        return Vec::new();
    }
    let command = command_without_env();
    let longs = command.get_arguments().flat_map(|arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        arg.get_long().into_iter().chain(aliases)
    });
    let mut known: Vec<_> = longs.filter_map(env_var_of).collect();
    known.push(env_name("addr"));
    let unknown = names.iter().filter(|name| !known.contains(name));
    unknown.map(|name| warning(name, &known)).collect()
}

fn warning(name: &str, known: &[String]) -> String {
    let alike = known
        .iter()
        .map(|other| (strsim::jaro_winkler(name, other), other));
    let nearest = alike.max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest.filter(|(alike, _)| *alike >= ALIKE) {
        Some((_, nearest)) => format!("unknown variable {name}; did you mean {nearest}?"),
        None => format!("unknown variable {name}: there is no such option"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_variable_gets_the_nearest_name() {
        let names = [
            "LOKI_PUSH_ONFULL",
            "LOKI_PUSH_FLUSH_INTERVALL",
            "LOKI_PUSH_APP",
            "LOKI_PUSH_SERVICE_HOST",
            "LOKI_PUSH_PORT_3100_TCP",
            "LOKI_ADDR",
            "PATH",
        ];
        let warnings = warnings(names.into_iter().map(OsString::from));
        assert_eq!(
            warnings,
            [
                "unknown variable LOKI_PUSH_FLUSH_INTERVALL; did you mean LOKI_PUSH_FLUSH_INTERVAL?",
                "unknown variable LOKI_PUSH_ONFULL; did you mean LOKI_PUSH_ON_FULL?",
            ]
        );
    }
}

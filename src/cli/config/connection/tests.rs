//! The precedence of options and variables, and which exclude each other.

use crate::cli::config::connection::*;
use crate::http::client::Scheme;

fn found(args: &[&str], env: &[(&str, &str)]) -> Result<(ResolvedConnection, Vec<String>)> {
    let args = ["loki-push"].iter().chain(args).map(OsString::from);
    let typed = ParsedArgs::parse(&args.collect::<Vec<_>>()).map_err(|error| anyhow!("{error}"))?;
    let env: Vec<(String, OsString)> = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), OsString::from(value)))
        .collect();
    let mut warnings = Vec::new();
    let look = |name: &str| {
        let pair = env.iter().find(|(own, _)| own == name);
        pair.map(|(_, value)| value.clone())
    };
    let found = resolve(&typed, &look, &|file| std::fs::read(file), &mut warnings)?;
    Ok((found, warnings))
}

fn header(found: &ResolvedConnection, name: &str) -> Option<String> {
    let headers = &found.connection.headers;
    let same: Vec<_> = headers.iter().filter(|(own, _)| own == name).collect();
    assert!(same.len() < 2, "{name} is there {} times", same.len());
    same.first().map(|(_, value)| value.clone())
}

fn basic(user: &str, password: &str) -> String {
    Scheme::Basic(user.to_owned()).value(password)
}

fn authorization(args: &[&str], env: &[(&str, &str)]) -> Option<String> {
    header(&found(args, env).unwrap().0, "Authorization")
}

const LOGCLI_BASIC: [(&str, &str); 2] = [("LOKI_USERNAME", "env"), ("LOKI_PASSWORD", "pw")];

#[test]
fn the_environment_that_makes_logcli_work_works() {
    let env = [
        ("LOKI_ADDR", "http://127.0.0.1:3100/prefix/"),
        ("LOKI_USERNAME", "env"),
        ("LOKI_PASSWORD", "pw"),
        ("LOKI_ORG_ID", "team"),
        ("LOKI_AUTH_HEADER", "X-Auth"),
        ("LOKI_TLS_SKIP_VERIFY", "true"),
        ("LOKI_ENV_PROXY", "true"),
    ];
    let (found, warnings) = found(&[], &env).unwrap();
    assert_eq!(
        found.connection.url,
        "http://127.0.0.1:3100/prefix/loki/api/v1/push"
    );
    assert_eq!(header(&found, "X-Auth").unwrap(), basic("env", "pw"));
    assert_eq!(header(&found, "X-Scope-OrgID").unwrap(), "team");
    assert!(found.connection.tls.skip_verify);
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn the_command_line_wins_over_the_environment_across_kinds() {
    let bearer = [("LOKI_BEARER_TOKEN", "env-token")];
    let user = ["--username", "me", "--password", "mine"];
    assert_eq!(
        authorization(&["--bearer-token", "mine"], &LOGCLI_BASIC).unwrap(),
        "Bearer mine"
    );
    assert_eq!(authorization(&user, &bearer).unwrap(), basic("me", "mine"));
    assert_eq!(
        authorization(&["--username", "me"], &LOGCLI_BASIC).unwrap(),
        basic("me", "pw")
    );
    assert_eq!(
        authorization(&["-u", "http://u:p@localhost"], &LOGCLI_BASIC).unwrap(),
        basic("u", "p")
    );
    assert_eq!(
        authorization(&[&user[..], &["-u", "http://u:p@localhost"]].concat(), &[]).unwrap(),
        basic("me", "mine")
    );
    assert_eq!(
        authorization(&["-u", "http://u@localhost", "--password", "x"], &[]).unwrap(),
        basic("u", "x")
    );
}

#[test]
fn what_excludes_each_other_says_so_without_the_secret() {
    for (args, env) in [
        (
            &[
                "--username",
                "s3cret",
                "--password",
                "s3cret",
                "--bearer-token",
                "s3cret",
            ][..],
            &[][..],
        ),
        (
            &["--password", "s3cret", "--password-file", "/nowhere"],
            &[],
        ),
        (&["--username", "me"], &[]),
        (&["--password", "s3cret"], &[]),
        (&["--header", "s3cret"], &[]),
        (&["--header", "content-type: s3cret"], &[]),
        (&["--cert", "/nowhere"], &[]),
        (&["--key", "/nowhere"], &[]),
        (
            &[],
            &[
                ("LOKI_USERNAME", "s3cret"),
                ("LOKI_PASSWORD", "s3cret"),
                ("LOKI_BEARER_TOKEN", "s3cret"),
            ],
        ),
        (&[], &[("LOKI_BEARER_TOKEN_FILE", "/nowhere")]),
        (&[], &[("LOKI_CA_CERT_PATH", "/nowhere")]),
    ] {
        let error = found(args, env)
            .err()
            .unwrap_or_else(|| panic!("{args:?} {env:?}"));
        let text = format!("{error:#}");
        let names = args.iter().chain(env.iter().map(|(name, _)| name));
        assert!(
            names.copied().any(|name| text.contains(name)),
            "{args:?}: {text}"
        );
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn half_a_pair_in_the_environment_is_a_warning_in_its_own_terms() {
    for (name, missing) in [
        ("LOKI_USERNAME", "LOKI_PASSWORD"),
        ("LOKI_PASSWORD", "LOKI_USERNAME"),
        ("LOKI_CLIENT_CERT_PATH", "LOKI_CLIENT_KEY_PATH"),
        ("LOKI_CLIENT_KEY_PATH", "LOKI_CLIENT_CERT_PATH"),
    ] {
        let half = (name, "s3cret");
        for (args, beside, left) in [
            (&[][..], None, None),
            (&[], Some(("LOKI_BEARER_TOKEN", "t")), Some("Bearer t")),
            (&["--bearer-token=t"], None, Some("Bearer t")),
        ] {
            let env: Vec<_> = [half].into_iter().chain(beside).collect();
            let (found, warnings) = found(args, &env).unwrap();
            assert_eq!(header(&found, "Authorization").as_deref(), left);
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            let said = &warnings[0];
            assert!(said.contains(name) && said.contains(missing), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
    let (_, warnings) = found(&["-u", "http://u:p@localhost"], &[LOGCLI_BASIC[0]]).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn a_file_that_is_not_needed_is_not_read() {
    let user = ["--username=me", "--password=mine"];
    let gone = [("LOKI_BEARER_TOKEN_FILE", "/nowhere")];
    assert_eq!(authorization(&user, &gone).unwrap(), basic("me", "mine"));
    let token = ["--bearer-token=t"];
    assert_eq!(authorization(&token, &gone).unwrap(), "Bearer t");
    let in_address = ["-u", "http://u:p@localhost"];
    assert_eq!(authorization(&in_address, &gone).unwrap(), basic("u", "p"));
}

#[test]
fn a_password_for_the_user_in_the_address_comes_from_anywhere() {
    let user = ["-u", "http://u@localhost"];
    assert_eq!(
        authorization(&user, &[LOGCLI_BASIC[1]]),
        Some(basic("u", "pw"))
    );
    let both = ["-u", "http://u:p@localhost"];
    assert_eq!(
        authorization(&both, &LOGCLI_BASIC).unwrap(),
        basic("u", "p")
    );
}

#[test]
fn credentials_over_plain_http_warn_but_not_on_this_machine() {
    let warned = |url: &str| {
        let args = ["-u", url, "--header", "authorization: x"];
        found(&args, &[]).unwrap().1.len() == 1
    };
    assert!(warned("http://loki.example:3100"));
    assert!(!warned("https://loki.example"));
    for here in [
        "http://localhost:1",
        "http://127.0.0.2",
        "http://[::1]:3100",
    ] {
        assert!(!warned(here), "{here}");
    }
}

#[test]
fn a_header_given_takes_the_place_of_ours() {
    let args = ["--org-id", "a", "--header", "x-scope-orgid: b"];
    let (found, _) = found(&args, &[]).unwrap();
    assert_eq!(header(&found, "X-Scope-OrgID"), None);
    assert_eq!(header(&found, "x-scope-orgid").unwrap(), "b");
}

#[test]
fn a_loopback_address_takes_no_proxy() {
    let env = [("LOKI_HTTP_PROXY_URL", "http://proxy:3128")];
    let (here, _) = found(&[], &env).unwrap();
    assert!(here.connection.no_proxy && here.connection.proxy.is_none());
    let (there, _) = found(&["-u", "http://loki:3100"], &env).unwrap();
    assert!(!there.connection.no_proxy);
    assert_eq!(there.connection.proxy.as_deref(), Some("http://proxy:3128"));
}

#[test]
fn debug_shows_no_secret() {
    let args = [
        "--bearer-token",
        "s3cret",
        "-u",
        "https://loki",
        "--proxy-url",
        "http://u:s3cret@p",
    ];
    let (found, _) = found(&args, &[]).unwrap();
    let shown = format!("{:?}", found.connection);
    assert!(
        shown.contains("Authorization") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[test]
fn unlikely_urls_are_reported_but_not_surrounding_blanks() {
    let refused = |args: &[&str]| match found(args, &[]) {
        Ok(_) => panic!("{args:?} was taken"),
        Err(error) => error.to_string(),
    };
    let said = refused(&["--username=s3cret:b", "--password=s3cret"]);
    assert!(
        said.contains("--username") && !said.contains("s3cret"),
        "{said}"
    );
    assert!(refused(&["--bearer-token="]).contains("--bearer-token is empty"));
    assert_eq!(
        authorization(&["--username=u", "--password="], &[]),
        Some(basic("u", ""))
    );
    let (blank, _) = found(&["--org-id="], &[("LOKI_ADDR", " http://loki:1\r\n")]).unwrap();
    assert_eq!(blank.connection.url, "http://loki:1/loki/api/v1/push");
    assert_eq!(header(&blank, "X-Scope-OrgID"), None);
}

#[test]
fn logclis_switch_is_yes_or_no() {
    let skip = |value| {
        found(&[], &[("LOKI_TLS_SKIP_VERIFY", value)]).map(|(f, _)| f.connection.tls.skip_verify)
    };
    for (value, skips) in [
        ("1", true),
        ("True", true),
        ("0", false),
        ("false", false),
        ("", false),
    ] {
        assert_eq!(skip(value).unwrap(), skips, "{value:?}");
    }
    let error = skip("maybe").unwrap_err().to_string();
    assert_eq!(error, "LOKI_TLS_SKIP_VERIFY must be true or false");
}

#[test]
fn a_tenant_that_loki_does_not_accept_is_wrong_usage() {
    let long = "x".repeat(151);
    for tenant in ["a|b", "a/b", &long] {
        let header = format!("x-scope-orgid: {tenant}");
        for (args, env, name) in [
            (&["--org-id", tenant][..], &[][..], "--org-id"),
            (&["--header", &header], &[], "--header"),
            (&[], &[("LOKI_ORG_ID", tenant)], "LOKI_ORG_ID"),
        ] {
            let error = found(args, env).err().map(|error| error.to_string());
            assert!(
                error.is_some_and(|text| text.contains(name)),
                "{tenant} {name}"
            );
        }
    }
}

#[test]
fn the_url_has_another_name() {
    let url = |args: &[&str], env: &[(&str, &str)]| found(args, env).unwrap().0.connection.url;
    assert_eq!(
        url(&["--addr", "http://a:1"], &[]),
        "http://a:1/loki/api/v1/push"
    );
    let own = ("LOKI_PUSH_ADDR", "http://b:1/loki");
    let logcli = ("LOKI_ADDR", "http://c:1");
    assert_eq!(url(&[], &[own, logcli]), "http://b:1/loki/api/v1/push");
    assert_eq!(
        url(&["-u", "http://d:1"], &[own]),
        "http://d:1/loki/api/v1/push"
    );
    let error = found(&[], &[("LOKI_PUSH_ADDR", "nowhere")])
        .err()
        .map(|error| error.to_string());
    assert!(error.is_some_and(|text| text.starts_with("LOKI_PUSH_ADDR: ")));
}

#[test]
fn credentials_to_an_unverified_server_are_reported() {
    let warned = |args: &[&str]| found(args, &[]).unwrap().1;
    let url = ["-u", "https://loki", "--tls-skip-verify"];
    assert_eq!(warned(&url), Vec::<String>::new());
    let said = warned(&[&url[..], &["--bearer-token", "s3cret"]].concat());
    assert!(
        said.len() == 1 && said[0].contains("--tls-skip-verify"),
        "{said:?}"
    );
    assert!(!said[0].contains("s3cret"));
}

#[test]
fn a_token_that_cannot_be_a_header_is_wrong_usage() {
    let file = std::env::temp_dir().join(format!("loki-push-token-{}", std::process::id()));
    let huge = "x".repeat(3_000_000);
    let shown = file.display().to_string();
    for (text, words) in [
        ("tök", "cannot carry"),
        ("a b", "cannot carry"),
        (&huge, "too large"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = found(&["--bearer-token-file", &shown], &[])
            .err()
            .map(|error| format!("{error:#}"));
        assert!(
            error.as_ref().is_some_and(|text| text.contains(words)),
            "{error:?}"
        );
    }
    std::fs::remove_file(&file).unwrap();
    assert!(found(&["--bearer-token", "tök"], &[]).is_err());
}

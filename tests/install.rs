//! What people install: the Debian package is built, installed into a root of its own and used from
//! there; the image's recipe fits the crate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::run::BINARY;
use crate::support::{Dir, Loki};

/// Everything the package puts somewhere, and what it is made of.
const HELD: [(&str, &str); 7] = [
    ("usr/share/man/man1/loki-push.1", "man/loki-push.1"),
    (
        "usr/share/bash-completion/completions/loki-push",
        "completions/loki-push.bash",
    ),
    (
        "usr/share/zsh/vendor-completions/_loki-push",
        "completions/_loki-push",
    ),
    (
        "usr/share/fish/vendor_completions.d/loki-push.fish",
        "completions/loki-push.fish",
    ),
    (
        "usr/lib/systemd/system/loki-push.service",
        "examples/loki-push.service",
    ),
    (
        "usr/lib/tmpfiles.d/loki-push.conf",
        "examples/loki-push.tmpfiles",
    ),
    (
        "usr/share/doc/loki-push/examples/loki-push-backup.service",
        "examples/loki-push-backup.service",
    ),
];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: &str) -> String {
    let path = root(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a tool to a good end; gives what it printed, or nothing if it is not there.
fn tool(command: &mut Command) -> Option<String> {
    let done = match command.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        done => done.unwrap_or_else(|error| panic!("{command:?}: {error}")),
    };
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    let good = done.status.success();
    assert!(good, "{command:?}: {}\n{said}{errors}", done.status);
    Some(said)
}

/// The package as `cargo deb` makes it, of the program that is tested.
fn by_cargo(dir: &Dir) -> Option<PathBuf> {
    tool(Command::new("cargo-deb").arg("--version"))?;
    // What cargo calls the profile `dev` lies in `debug`.
    let folder = Path::new(BINARY).parent()?.file_name()?.to_str()?;
    let profile = if folder == "debug" { "dev" } else { folder };
    let package = dir.join("by-cargo.deb");
    let mut command = Command::new("cargo-deb");
    command.args(["--no-build", "--no-strip", "--fast", "--profile", profile]);
    command.arg("--output").arg(&package);
    tool(command.current_dir(root("")))?;
    Some(package)
}

/// The package put together of what `Cargo.toml` says of it.
fn by_hand(dir: &Dir) -> Option<PathBuf> {
    // cargo-deb breaks a longer one, and the rest of it becomes the text below.
    assert!(env!("CARGO_PKG_DESCRIPTION").len() < 80);
    let manifest = read("Cargo.toml");
    let (_, assets) = manifest.split_once("assets = [\n").expect("assets");
    for line in assets.lines().take_while(|line| *line != "]") {
        let asset: [String; 3] =
            serde_json::from_str(line.trim().trim_end_matches(',')).expect(line);
        let [from, to, mode] = asset;
        let source = match from.strip_prefix("target/release/") {
            Some("loki-push") => PathBuf::from(BINARY),
            Some(other) => panic!("{other} is not built"),
            None => root(&from),
        };
        let name = Path::new(&from).file_name().expect("a name");
        let to = match to.strip_suffix('/') {
            Some(folder) => Path::new("tree").join(folder).join(name),
            None => Path::new("tree").join(&to),
        };
        let to = dir.write(to, fs::read(source).expect(&from));
        let mode = u32::from_str_radix(&mode, 8).expect("a mode");
        fs::set_permissions(to, fs::Permissions::from_mode(mode)).expect("a mode");
    }
    let architecture = tool(Command::new("dpkg").arg("--print-architecture"))?;
    let control = format!(
        "Package: loki-push\nVersion: {}\nArchitecture: {}\nMaintainer: {}\nDescription: {}\n",
        env!("CARGO_PKG_VERSION"),
        architecture.trim(),
        "The loki-push authors <loki-push@localhost>",
        env!("CARGO_PKG_DESCRIPTION"),
    );
    dir.write("tree/DEBIAN/control", control);
    let package = dir.join("by-hand.deb");
    let mut command = Command::new("dpkg-deb");
    command.args(["--build", "--root-owner-group", "-Znone"]);
    tool(command.arg(dir.join("tree")).arg(&package))?;
    Some(package)
}

/// Installs a package into a root of its own, as `dpkg -i` does into `/`: whoever may not do that
/// unpacks it.
fn install(package: &Path, into: &Dir) -> bool {
    fs::create_dir_all(into.join("var/lib/dpkg")).expect("a directory");
    let is_root = tool(Command::new("id").arg("-u")).is_some_and(|id| id.trim() == "0");
    if is_root {
        into.write("var/lib/dpkg/status", "");
        tool(dpkg(into).arg("--install").arg(package));
    } else {
        tool(
            Command::new("dpkg-deb")
                .arg("-x")
                .arg(package)
                .arg(into.path()),
        );
    }
    is_root
}

/// dpkg on a root of its own, where nothing else is installed.
fn dpkg(root: &Dir) -> Command {
    let mut command = Command::new("dpkg");
    command.arg(format!("--root={}", root.path().display()));
    command.arg(format!("--log={}", root.join("dpkg.log").display()));
    command.args(["--force-depends", "--force-bad-path"]);
    command
}

#[track_caller]
fn works_as_installed(package: &Path) {
    let home = Dir::new();
    let registered = install(package, &home);
    let program = home.join("usr/bin/loki-push");
    let mode = fs::metadata(&program).expect("the program").permissions();
    assert_eq!(mode.mode() & 0o7777, 0o755);
    let version = tool(Command::new(&program).arg("--version")).expect("the program");
    assert_eq!(
        version,
        concat!("loki-push ", env!("CARGO_PKG_VERSION"), "\n")
    );
    let loki = Loki::start();
    let mut run = Command::new(&program);
    run.args(["-m", "from a package"])
        .env_clear()
        .env("LOKI_ADDR", loki.url());
    tool(&mut run).expect("the program");
    assert_eq!(loki.lines(), ["from a package"]);

    for (to, from) in HELD {
        let packed = home.join(format!("{to}.gz"));
        let found = if packed.exists() {
            let text = tool(Command::new("gzip").arg("-dc").arg(packed));
            let Some(text) = text else { continue };
            text
        } else {
            home.read_text(to)
        };
        assert_eq!(found, read(from), "{to}");
    }
    let doc = fs::read_dir(home.join("usr/share/doc/loki-push")).expect("a directory");
    let names = doc.map(|item| item.expect("a name").file_name().into_string());
    let names: Vec<String> = names.map(|name| name.expect("UTF-8")).collect();
    let has = |wanted: &str| names.iter().any(|name| name.starts_with(wanted));
    assert!(has("README.md"), "{names:?}");
    // Debian has licences in `copyright`.
    assert!(has("LICENSE") || has("copyright"), "{names:?}");

    if registered {
        let listed = tool(dpkg(&home).args(["--listfiles", "loki-push"])).expect("dpkg");
        assert!(listed.contains("/usr/bin/loki-push\n"), "{listed}");
        tool(dpkg(&home).args(["--purge", "loki-push"]));
        assert!(!program.exists() && !home.join("usr/share/man").exists());
    }
}

#[test]
fn the_debian_package_installs_and_works() {
    let dir = Dir::new();
    match by_hand(&dir) {
        Some(package) => works_as_installed(&package),
        None => eprintln!("skipped: no dpkg"),
    }
}

#[test]
fn the_package_that_cargo_makes_installs_and_works() {
    let dir = Dir::new();
    match by_cargo(&dir) {
        Some(package) => works_as_installed(&package),
        None => eprintln!("skipped: no cargo-deb"),
    }
}

#[test]
fn the_image_is_built_by_a_toolchain_that_can() {
    let (manifest, image) = (read("Cargo.toml"), read("examples/Dockerfile"));
    let quoted = |line: &str| line.split('"').nth(1).map(str::to_owned);
    let wanted = manifest
        .lines()
        .find(|line| line.starts_with("rust-version"));
    let wanted = wanted.and_then(quoted).expect("a version");
    assert!(image.contains(&format!("FROM rust:{wanted}-")), "{wanted}");
    // What is copied into the image's build leaves out what it must not hold.
    let ignored = read(".dockerignore");
    for folder in ["target", ".git"] {
        assert!(ignored.lines().any(|line| line == folder), "{folder}");
    }
}

#[test]
fn containers_need_no_root_and_write_nowhere_but_to_their_volumes() {
    let image = read("examples/Dockerfile");
    let stages = image.split("\nFROM ").skip(2);
    assert!(stages.clone().count() == 2);
    for stage in stages {
        let user = stage.lines().find_map(|line| line.strip_prefix("USER "));
        assert_eq!(user, Some("65532:65532"), "{stage}");
    }
    let pod = read("examples/kubernetes.yaml");
    // What the restricted Pod Security Standard asks of a pod, and of each of its containers.
    for (setting, times) in [
        ("runAsNonRoot: true", 1),
        ("seccompProfile: {type: RuntimeDefault}", 1),
        ("allowPrivilegeEscalation: false", 2),
        ("capabilities: {drop: [ALL]}", 2),
        ("readOnlyRootFilesystem: true", 2),
    ] {
        assert_eq!(pod.matches(setting).count(), times, "{setting}");
    }
    // Without a tag each start would pull the image, and get any version of it.
    let version = concat!("loki-push:", env!("CARGO_PKG_VERSION"));
    assert!(pod.contains(&format!("image: {version}\n")));
    for file in ["examples/kubernetes.yaml", "examples/compose.yaml"] {
        let text = read(file);
        let images = text.lines().filter_map(|line| line.split_once("image: "));
        for (_, name) in images {
            assert!(name.contains(':'), "{file}: {name} has no tag");
        }
    }
}

/// The README's static program: `cargo test --test integration static -- --ignored`.
#[test]
#[ignore = "builds the program anew, which takes minutes; and chroot wants root"]
fn a_static_program_works_in_an_empty_root() {
    let version = tool(Command::new("rustc").arg("-vV")).expect("rustc");
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.expect("a host");
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--locked", "--target", host, "--target-dir"]);
    cargo
        .arg(&built)
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    tool(cargo.current_dir(root(""))).expect("cargo");
    let empty = Dir::new();
    let program = built.join(host).join("debug/loki-push");
    fs::copy(program, empty.join("loki-push")).expect("a program");

    let loki = Loki::start();
    loki.limits(|limits| limits.probes = true);
    let run = |args: &[&str]| {
        let mut run = Command::new("chroot");
        run.arg(empty.path()).arg("/loki-push").args(args);
        // There is no /etc/hosts to find it in.
        run.env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LOKI_ADDR", format!("http://localhost:{}", loki.port()));
        tool(&mut run).expect("chroot")
    };
    run(&["-m", "from an empty root"]);
    assert_eq!(loki.lines(), ["from an empty root"]);
    let sheet = run(&["--check"]);
    assert!(sheet.contains("✓ read back"), "{sheet}");
}

//! The shell scripts of the repository: all of them are clean, and the quick start says what a newcomer needs to know.

mod support;

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn every_script_passes_shellcheck() {
    for (script, _) in scripts() {
        succeeds(Command::new("shellcheck").arg("-x").arg(&script), "shellcheck");
    }
}

#[test]
fn every_script_is_understood_by_the_shell_that_it_names() {
    for (script, shell) in scripts() {
        succeeds(Command::new(shell).arg("-n").arg(&script), shell);
        if shell == "sh" {
            succeeds(Command::new("dash").arg("-n").arg(&script), "dash");
            succeeds(Command::new("busybox").args(["sh", "-n"]).arg(&script), "busybox");
        }
    }
}

#[test]
fn every_script_can_be_run() {
    let scripts = scripts();
    for (script, _) in &scripts {
        let mode = fs::metadata(script).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{} is not executable", script.display());
    }
    let root = Path::new(ROOT);
    for name in [
        ".ci/run",
        "tests/run",
        "contrib/quickstart",
        "contrib/pickup/billdrop-pickup",
        "contrib/simulators/try",
        "tests/peers/fetch",
    ] {
        assert!(
            scripts.iter().any(|(script, _)| *script == root.join(name)),
            "{name} was not found"
        );
    }
}

#[test]
fn the_quick_start_shows_the_record_and_what_to_do_next() {
    let checkout = Checkout::new(PLAYS_ALONG);
    let output = checkout.quickstart();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    let document = checkout
        .0
        .path()
        .canonicalize()
        .unwrap()
        .join("spool/host-20260115-093000.xml");
    for part in [
        "a table of",
        "What next",
        "scp ",
        "billdrop-pickup",
        &document.display().to_string(),
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

/// Whoever reads it stands in another directory by then.
#[test]
fn the_commands_that_the_quick_start_names_work_from_anywhere() {
    let checkout = Checkout::new(PLAYS_ALONG);
    let output = checkout.quickstart();
    let text = String::from_utf8_lossy(&output.stdout);
    let root = checkout.0.path().canonicalize().unwrap();
    let next = text.split_once("What next").expect("what to do next").1;
    for program in [
        "target/release/billdrop",
        "contrib/quickstart",
        "contrib/pickup/billdrop-pickup",
    ] {
        let named: Vec<&str> = next.split_whitespace().filter(|word| word.ends_with(program)).collect();
        assert_eq!(named, [root.join(program).to_str().unwrap()], "in {next}");
    }
    let spool = root.join("spool").display().to_string();
    assert!(next.contains(&format!("--spool {spool} status")), "{next}");
}

#[test]
fn a_second_quick_start_explains_why_there_is_nothing_new() {
    let checkout = Checkout::new(PLAYS_ALONG);
    assert!(checkout.quickstart().status.success());
    let output = checkout.quickstart();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    for part in [
        "Nothing new was captured",
        "one document at a time",
        "a table of",
        "What next",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
}

#[test]
fn the_quick_start_ends_as_the_capture_ends() {
    for status in [1, 69, 73, 75] {
        let checkout = Checkout::new(&format!("#!/bin/sh\necho 'billdrop: told why' >&2\nexit {status}\n"));
        let output = checkout.quickstart();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("told why"));
        assert!(!String::from_utf8_lossy(&output.stdout).contains("What next"));
    }
}

#[test]
fn without_cargo_or_with_an_old_one_the_quick_start_says_how_to_get_it() {
    let checkout = Checkout::new(PLAYS_ALONG);
    checkout.program("bin/cargo", "#!/bin/sh\necho 'cargo 1.65.0'\n");
    let output = checkout.quickstart();
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("cargo is 1.65.0, 1.89 or later is needed") && text.contains("rustup update"),
        "{text}"
    );

    // The host may have a cargo where its other tools are.
    let bin = checkout.0.path().join("bin");
    fs::remove_file(bin.join("cargo")).unwrap();
    for tool in ["dirname", "sed", "cut", "sort", "head"] {
        symlink(Path::new("/usr/bin").join(tool), bin.join(tool)).unwrap();
    }
    let output = checkout.quickstart_with(bin.to_str().unwrap());
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("sh.rustup.rs"));
}

/// systemd is no package that the tests ask for: where its checker is missing, they say so and go on.
#[test]
fn the_systemd_units_are_understood() {
    let directory = tempfile::tempdir().unwrap();
    let units = [
        "billdrop.service",
        "billdrop.timer",
        "billdrop-stream.service",
        "billdrop-ipdr.service",
    ]
    .map(|name| {
        let text = fs::read_to_string(Path::new(ROOT).join("contrib/systemd").join(name)).unwrap();
        let copy = directory.path().join(name);
        // The checker wants a program that is there.
        fs::write(
            &copy,
            text.replace("/usr/local/bin/billdrop", env!("CARGO_BIN_EXE_billdrop")),
        )
        .unwrap();
        copy
    });
    let checked = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .args(&units)
        .output();
    let output = match checked {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return support::say("the systemd units were not checked: systemd-analyze is not installed");
        }
        Err(error) => panic!("systemd-analyze: {error}"),
    };
    // A key that it does not know is a complaint and no failure.
    let complaints = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = complaints.lines().filter(|line| line.contains("billdrop")).collect();
    assert!(output.status.success() && ours.is_empty(), "{complaints}");
}

// ---- what the tests look at ----

/// Every shell script with its shell, found by its first line. What git does not keep is not looked at.
fn scripts() -> Vec<(PathBuf, &'static str)> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::from(ROOT)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_dir() && !["target", ".git", "spool", "spool.state"].contains(&name.as_str()) {
                directories.push(path);
            } else if kind.is_file()
                && let Some(shell) = shell_of(&path)
            {
                found.push((path, shell));
            }
        }
    }
    found.sort();
    found
}

fn shell_of(path: &Path) -> Option<&'static str> {
    let mut content = Vec::new();
    let file = fs::File::open(path).unwrap();
    file.take(100).read_to_end(&mut content).unwrap();
    let first = content.split(|octet| *octet == b'\n').next()?;
    let interpreter = std::str::from_utf8(first.strip_prefix(b"#!")?).ok()?;
    match interpreter.trim().rsplit(['/', ' ']).next()? {
        "sh" | "dash" => Some("sh"),
        "bash" => Some("bash"),
        _ => None,
    }
}

fn succeeds(command: &mut Command, package: &str) {
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "{}: {error}\n  apt-get install --no-install-recommends {package}",
            command.get_program().display()
        )
    });
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// In place of billdrop: one document at a time.
const PLAYS_ALONG: &str = r#"#!/bin/sh
case $1 in --spool) spool=$2; shift 2 ;; esac
case $1 in
capture)
    mkdir -p "$spool"
    file=$spool/host-20260115-093000.xml
    [ ! -e "$file" ] || { echo "billdrop: $file is not retrieved yet" >&2; exit 75; }
    echo document >"$file"
    echo "$file" ;;
show) echo "a table of $2" ;;
esac
"#;

/// As much of a checkout as the quick start looks at, with a cargo that builds nothing.
struct Checkout(tempfile::TempDir);

impl Checkout {
    fn new(billdrop: &str) -> Self {
        let checkout = Checkout(tempfile::tempdir().unwrap());
        for directory in ["contrib", "bin", "target/release", "tmp"] {
            fs::create_dir_all(checkout.0.path().join(directory)).unwrap();
        }
        for file in ["Cargo.toml", "contrib/quickstart"] {
            fs::copy(Path::new(ROOT).join(file), checkout.0.path().join(file)).unwrap();
        }
        checkout.program(
            "bin/cargo",
            "#!/bin/sh\n[ \"$1\" != --version ] || echo 'cargo 1.100.2 (abc 2026-01-01)'\n",
        );
        checkout.program("target/release/billdrop", billdrop);
        checkout
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn quickstart(&self) -> Output {
        self.quickstart_with(&format!("{}:/usr/bin:/bin", self.0.path().join("bin").display()))
    }

    fn quickstart_with(&self, path: &str) -> Output {
        Command::new(self.0.path().join("contrib/quickstart"))
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.0.path())
            .env("TMPDIR", self.0.path().join("tmp"))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

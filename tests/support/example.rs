//! The example programs of `contrib/`, beside this test.
//!
//! `cargo test` builds the examples; with `--test NAME` it does not, and then an example is built here when its sources
//! are newer.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::SystemTime,
};

/// The program of this name, whose sources lie in `contrib/NAME`; built if it has to be.
pub fn example(name: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let program = profile_directory().join("examples").join(name);
    let built = modified(&program);
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(name);
    if built.is_none_or(|built| newest_below(&sources) > built) {
        build(name);
    }
    program
}

/// `target/release`, of which this test is in `deps/`.
pub fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().to_owned()
}

/// With the cargo that runs this test, which waits for nobody while its tests run.
fn build(name: &str) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--offline", "--example", name]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(
        output.status.success(),
        "the example {name} cannot be built: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn newest_below(directory: &Path) -> SystemTime {
    fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| match path.is_dir() {
            true => Some(newest_below(&path)),
            false if path.extension().is_some_and(|end| end == "rs") => modified(&path),
            false => None,
        })
        .max()
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

//! The program itself, in a temporary directory with a spool of its own.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// A place where the binary runs: `DIR/spool`, `DIR/spool.state`, and `DIR/billdrop.toml` if a test writes it.
pub struct Place {
    directory: PathBuf,
    /// Removed with the place, if the place made it.
    _made: Option<TempDir>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

pub const BILLDROP: &str = env!("CARGO_BIN_EXE_billdrop");

impl Place {
    pub fn new() -> Self {
        let made = TempDir::with_prefix("billdrop-test-").expect("a temporary directory can be made");
        Place {
            directory: made.path().to_owned(),
            _made: Some(made),
        }
    }

    /// On a file system in memory, where `tests/run` names one: for tests of very many runs, in which waiting for the disk
    /// would show nothing more.
    #[allow(dead_code)] // each test binary uses a part
    pub fn in_memory() -> Self {
        let Some(memory) = env::var_os("BILLDROP_TEST_MEMORY") else {
            return Place::new();
        };
        let made = TempDir::with_prefix_in("billdrop-test-", memory).expect("a temporary directory can be made");
        Place {
            directory: made.path().to_owned(),
            _made: Some(made),
        }
    }

    /// In a directory that is there already, and stays.
    pub fn on(directory: &Path) -> Self {
        Place {
            directory: directory.to_owned(),
            _made: None,
        }
    }

    pub fn path(&self) -> &Path {
        &self.directory
    }

    pub fn spool(&self) -> PathBuf {
        self.path().join("spool")
    }

    pub fn state(&self) -> PathBuf {
        self.path().join("spool.state")
    }

    /// Writes `billdrop.toml`; every later run uses it.
    pub fn configure(&self, toml: &str) {
        fs::write(self.path().join("billdrop.toml"), toml).unwrap();
    }

    /// The binary with these arguments, in this place, with nothing of the user's environment that matters.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BILLDROP);
        command.current_dir(self.path()).stdin(Stdio::null());
        self.add_arguments(&mut command, arguments);
        command
    }

    /// The same below another program: `strace`, `faketime`.
    pub fn command_under(&self, program: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).arg(BILLDROP);
        command.current_dir(self.path()).stdin(Stdio::null());
        self.add_arguments(&mut command, arguments);
        command
    }

    fn add_arguments(&self, command: &mut Command, arguments: &[&str]) {
        if self.path().join("billdrop.toml").exists() {
            command.arg("--config").arg("billdrop.toml");
        }
        command.args(["--spool", "spool"]).args(arguments);
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    pub fn run_under(&self, program: &[&str], arguments: &[&str]) -> Ran {
        ran(&mut self.command_under(program, arguments))
    }

    /// Captures and returns the path of the new document.
    pub fn capture(&self) -> PathBuf {
        let ran = self.run(&["capture"]).expect(0);
        self.path().join(ran.stdout.trim_end())
    }

    /// Names in the spool, hidden ones too, sorted.
    pub fn listing(&self) -> Vec<String> {
        names(&self.spool())
    }

    pub fn status(&self) -> serde_json::Value {
        let ran = self.run(&["status", "--json"]).expect(0);
        serde_json::from_str(&ran.stdout).expect("status --json prints JSON")
    }

    /// The document as `show --format json` prints it.
    pub fn shown(&self, document: &Path) -> serde_json::Value {
        let ran = self
            .run(&["show", "--format", "json", document.to_str().unwrap()])
            .expect(0);
        serde_json::from_str(&ran.stdout).expect("show --format json prints JSON")
    }

    /// The document information record of a document.
    pub fn information(&self, document: &Path) -> serde_json::Value {
        let first = self.shown(document)["records"][0].clone();
        assert_eq!(first["recordType"], "DocumentInformation-Type", "{first}");
        first
    }
}

pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap_or_else(|e| panic!("{}: {e}", directory.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Runs to the end; a program that is not installed fails the test with the command that installs it.
pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap_or_else(|e| {
        panic!(
            "cannot run {:?}: {e}\n  tests/run installs what the tests need",
            command.get_program()
        )
    });
    Ran::from(output)
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Ran {
            // Killed by a signal: as a shell shows it.
            status: output.status.code().unwrap_or_else(|| {
                use std::os::unix::process::ExitStatusExt;
                128 + output.status.signal().unwrap_or(0)
            }),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }
}

//! What mandoc, groff and man-db say to the pages.

use std::process::{Command, Output};

use tempfile::TempDir;

use super::pages;

/// The pages in a directory of their own, so that it does not matter whether they are committed yet.
fn written() -> (TempDir, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let pages = pages::all();
    for (name, text) in &pages {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    (directory, pages.into_iter().map(|(name, _)| name).collect())
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|e| {
        panic!(
            "cannot start {}: {e}\n  apt-get install --no-install-recommends mandoc man-db",
            command.get_program().to_string_lossy()
        )
    })
}

/// Standard output and error, line by line.
fn said(output: &Output) -> Vec<String> {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}

#[test]
fn mandoc_has_nothing_to_complain_about() {
    let (directory, names) = written();
    for name in names {
        let output = run(Command::new("mandoc")
            .args(["-T", "lint", "-W", "style"])
            .arg(directory.path().join(&name)));
        let complaints: Vec<String> = said(&output)
            .into_iter()
            // Whether other pages are installed here says nothing about this one.
            .filter(|line| !line.contains("referenced manual not found") && !line.contains("mandoc.db"))
            .collect();
        assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    }
}

#[test]
fn man_formats_each_page_without_warnings() {
    let (directory, names) = written();
    for name in names {
        let mut command = Command::new("man");
        command
            .args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(directory.path().join(&name))
            .envs([("MANWIDTH", "80"), ("LC_ALL", "C.UTF-8")])
            .env_remove("MANROFFOPT");
        let output = run(&mut command);
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{name}: {output:?}"
        );
        assert!(!output.stdout.is_empty(), "{name}");
    }
}

#[test]
fn apropos_can_find_each_page() {
    let (directory, names) = written();
    for name in names {
        let output = run(Command::new("lexgrog").arg(directory.path().join(&name)));
        let title = name.rsplit_once('.').unwrap().0;
        let said = said(&output).join("\n");
        assert!(
            output.status.success() && said.contains(&format!("\"{title} - ")),
            "{name}: {said}"
        );
    }
}

//! Examples of the pages, tried; and words of the pages, compared with the program's.

use std::{fs, path::Path, process::Command};

use billdrop::ledger::{GapKind, State};
use billdrop::record::{self, INTERFACE_USAGE};

use super::{directory, markup};

fn part(name: &str) -> String {
    fs::read_to_string(directory().join("parts").join(name)).unwrap()
}

/// A real document in a directory of its own.
fn document(directory: &Path) -> std::path::PathBuf {
    let output = Command::new(env!("CARGO_BIN_EXE_billdrop"))
        .args(["--config", "/dev/null", "--spool"])
        .arg(directory.join("spool"))
        .arg("capture")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim_end().into()
}

fn says_whole(script: &str, file: &Path) -> bool {
    let output = Command::new("sh")
        .args(["-euc", script])
        .env("file", file)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout) == "whole\n"
}

#[test]
fn the_checksum_is_checked_as_the_manual_shows_it() {
    let examples = markup::examples(&part("billdrop-files.5"));
    let script = examples.iter().find(|example| example.contains("sha256sum")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = document(directory.path());
    assert!(says_whole(script, &file));

    let text = fs::read_to_string(&file).unwrap();
    let last_line = text.trim_end().rfind('\n').unwrap() + 1;
    for broken in [
        text.replacen("normal", "Normal", 1),
        text[..last_line].to_owned(),
        text[..text.len() / 2].to_owned(),
        text.replace(" -->\n", " -->"),
    ] {
        let copy = directory.path().join("copy");
        fs::write(&copy, &broken).unwrap();
        // A lost line feed at the very end is no damage.
        assert_eq!(says_whole(script, &copy), broken.ends_with(" -->"), "{broken}");
    }
}

#[test]
fn the_document_of_the_manual_is_as_the_program_writes_it() {
    let examples = markup::examples(&part("billdrop-files.5"));
    let shown = examples.iter().find(|example| example.starts_with("<?xml")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let written = fs::read_to_string(document(directory.path())).unwrap();
    // Line by line the same up to the values, as far as one record of each kind goes.
    let bare = |text: &str| -> Vec<String> {
        let begin = |line: &str| line.split(['>', '=', ' ']).next().unwrap_or("").to_owned();
        text.lines().map(begin).collect()
    };
    let (shown, written) = (bare(shown), bare(&written));
    let header = shown.iter().position(|line| line == "<sourceStatus").unwrap();
    assert_eq!(shown[..header], written[..header]);
    let names: Vec<String> = INTERFACE_USAGE
        .fields
        .iter()
        .map(|field| format!("<{}", field.name))
        .filter(|name| name != "<ifAlias")
        .collect();
    let first = shown.iter().rposition(|line| line == "<IPDR").unwrap() + 1;
    assert_eq!(shown[first..first + names.len()], names);
    assert_eq!(shown[shown.len() - 3..], written[written.len() - 3..]);
}

#[test]
fn the_document_of_the_manual_follows_the_schema() {
    let examples = markup::examples(&part("billdrop-files.5"));
    let shown = examples.iter().find(|example| example.starts_with("<?xml")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("document.xml");
    fs::write(&file, shown).unwrap();
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/schema/billdrop.xsd");
    let output = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema"])
        .arg(schema)
        .arg(&file)
        .output()
        .expect("xmllint is needed: apt-get install --no-install-recommends libxml2-utils");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// `.TP` and below it the word.
fn has_entry(page: &str, word: &str) -> bool {
    page.contains(&format!(".TP\n`{word}`\n"))
}

#[test]
fn the_manual_has_every_state_and_every_kind_of_gap() {
    let files = part("billdrop-files.5");
    for state in [State::Sealed, State::Offered, State::Retrieved, State::Released] {
        // A state that is added here without a line above does not compile.
        match state {
            State::Sealed | State::Offered | State::Retrieved | State::Released => {}
        }
        assert!(has_entry(&files, state.token()), "{state:?}");
    }
    let gaps = part("billdrop-gaps.1");
    use GapKind::*;
    for kind in [
        SourceFailed,
        SourceIncomplete,
        CaptureFailed,
        Released,
        LedgerRebuilt,
        IntervalSkipped,
        RecordsLost,
    ] {
        match kind {
            SourceFailed | SourceIncomplete | CaptureFailed | Released | LedgerRebuilt | IntervalSkipped
            | RecordsLost => {}
        }
        assert!(has_entry(&gaps, kind.token()), "{kind:?}");
    }
}

#[test]
fn the_manual_says_how_to_bill_with_every_discontinuity() {
    let files = part("billdrop-files.5");
    let billing = files.split(".SH BILLING").nth(1).unwrap().split(".SH ").next().unwrap();
    let (_, field) = INTERFACE_USAGE.field("discontinuity").unwrap();
    let record::Kind::Enum(tokens) = field.kind else {
        panic!("{field:?}")
    };
    for (_, token) in tokens {
        assert!(billing.contains(&format!("`{token}`")), "{token}");
    }
}

#[test]
fn the_table_of_the_manual_has_as_many_rows_as_the_one_that_recovery_follows() {
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/spool/recover.rs")).unwrap();
    let rows = |text: &str, separator: &str| -> Vec<Vec<String>> {
        let states = ["nothing", "sealed", "offered", "retrieved", "released"];
        text.lines()
            .map(|line| line.trim_start_matches("//! |").trim())
            .map(|line| {
                line.split(separator)
                    .take(3)
                    .map(|cell| cell.trim().to_owned())
                    .collect::<Vec<_>>()
            })
            .filter(|cells| cells.len() == 3 && states.contains(&cells[0].as_str()))
            .collect()
    };
    let head: String = source
        .lines()
        .filter(|line| line.starts_with("//!"))
        .map(|line| format!("{line}\n"))
        .collect();
    let decided = rows(&head, "|");
    assert!(decided.len() >= 11);
    assert_eq!(rows(&part("billdrop-files.5"), "\t"), decided);
}

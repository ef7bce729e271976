//! Which pages there are, and what stands at their heads.

use std::fs;

use clap::CommandFactory;

use super::{commands, directory, markup};

/// Day of the last change that a reader should notice. Set by hand, so that a page stays the same from run to run.
const DATE: &str = "2026-11-22";

/// Pages that belong to no command.
const TOPICS: [&str; 7] = [
    "billdrop.toml.5",
    "billdrop-accounting.5",
    "billdrop-files.5",
    "billing_config.csv.5",
    "billdrop-cms.7",
    "billdrop-cmts.7",
    "billdrop-cucm.7",
];

/// File name and text of every page.
pub fn all() -> Vec<(String, String)> {
    let mut program = billdrop::cli::Cli::command();
    program.build();
    let mut pages = vec![command(&program)];
    pages.extend(program.get_subcommands().map(command));
    pages.extend(TOPICS.map(|name| (name.to_owned(), head(name) + &markup::fold(&part(name)))));
    pages
}

fn command(command: &clap::Command) -> (String, String) {
    let name = format!("{}.1", commands::name(command));
    let text = head(&name) + &markup::fold(&(commands::sections(command) + &part(&name)));
    (name, text)
}

fn part(name: &str) -> String {
    let path = directory().join("parts").join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    markup::expand(name, &text)
}

fn head(name: &str) -> String {
    let (title, section) = name.rsplit_once('.').unwrap();
    let manual = match section {
        "1" => "User Commands",
        "7" => "Miscellaneous Information",
        _ => "File Formats",
    };
    // The first line tells man that there is a table in it.
    let tables = if ["billdrop-files.5", "billdrop-accounting.5"].contains(&name) {
        "'\\\" t\n"
    } else {
        ""
    };
    format!(
        "{tables}.\\\" Made by tests/man from the program and man/parts/{name}: change those, not this.\n\
         .TH {} {section} {DATE} \"billdrop {}\" \"{manual}\"\n",
        title.to_uppercase(),
        env!("CARGO_PKG_VERSION"),
    )
}

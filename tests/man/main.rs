//! The manual pages: made from the command line, the records, the exit statuses and the MIB, and from `man/parts`.
//!
//! `BILLDROP_BLESS=1 cargo test --release --test man` writes them anew. What stands in `man/parts` is roff (man(7))
//! with the additions that `markup` explains.

mod check;
mod commands;
mod examples;
mod markup;
mod pages;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

#[test]
fn the_pages_are_those_of_the_program() {
    let bless = std::env::var_os("BILLDROP_BLESS").is_some_and(|bless| bless == "1");
    for (name, made) in pages::all() {
        let path = directory().join(&name);
        if bless {
            fs::write(&path, &made).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        if let Some((n, (is, should))) = committed
            .lines()
            .chain([""])
            .zip(made.lines().chain([""]))
            .enumerate()
            .find(|(_, (is, should))| is != should)
        {
            panic!(
                "{name}, line {}: {is:?} is committed, {should:?} is made\n  \
                 run BILLDROP_BLESS=1 cargo test --release --test man, and look at the difference",
                n + 1
            );
        }
        assert_eq!(committed, made, "{name}");
    }
}

#[test]
fn there_is_a_part_for_each_page_and_no_page_besides() {
    let listed = |directory: &Path| -> BTreeSet<String> {
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().is_file())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect()
    };
    let made: BTreeSet<String> = pages::all().into_iter().map(|(name, _)| name).collect();
    assert_eq!(listed(&directory()), made);
    let mut parts = listed(&directory().join("parts"));
    parts.retain(|name| !markup::INCLUDED.contains(&name.as_str()));
    assert_eq!(parts, made);
}

#[test]
fn pages_are_the_same_each_time_they_are_made() {
    assert_eq!(pages::all(), pages::all());
}

//! The forced command by itself, with dash and with busybox: no root needed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::binary::{Ran, names, ran};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/pickup/pickup-shell");
const NAME: &str = "cmts1-20260115-093000.xml";

#[test]
fn the_words_of_every_client_are_understood() {
    with_each_shell(|spool| {
        for words in [
            "scp -f NAME",
            "scp -v -f NAME",
            "scp -p -f -- /spool/NAME",
            "scp -f '/spool/NAME'",
            "scp -pf 'NAME'",
        ] {
            let ran = spool.ask(words);
            assert!(
                ran.stdout.ends_with(&format!("C0644 9 {NAME}\ndocument\n\0")),
                "{words}: {ran:?}"
            );
            // The time comes before, if it is asked for.
            assert_eq!(ran.stdout.starts_with('T'), words.contains("-p"), "{words}: {ran:?}");
        }
        for words in ["ls", "ls -1", "ls /spool", "ls -1 /spool/", "ls '/spool'"] {
            assert_eq!(spool.ask(words).expect(0).stdout, format!("{NAME}\n"), "{words}");
        }
        for words in [
            "rm NAME",
            "rm -f NAME",
            "rm -f -- NAME",
            "rm /spool/NAME",
            "rm 'NAME'",
            "done NAME",
            "done /spool/NAME",
        ] {
            spool.fill();
            spool.ask(words).expect(0);
            assert!(!spool.names().contains(&NAME.to_owned()), "{words}");
        }
        spool.ask("rm -f NAME").expect(0);
        spool.ask("done NAME").expect(1);
        spool.fill();
    });
}

#[test]
fn only_plain_files_with_plain_names_are_there() {
    with_each_shell(|spool| {
        let before = spool.names();
        assert_eq!(spool.ask("ls").expect(0).stdout, format!("{NAME}\n"));
        for name in ["link.xml", "directory", "nothing", "pipe"] {
            for verb in ["scp -f", "rm", "done"] {
                let ran = spool.ask(&format!("{verb} {name}")).expect(1);
                assert_eq!(ran.stderr, format!("{name}: no such document\n"), "{verb}");
            }
        }
        for name in [
            ".hidden",
            "a;b",
            "a b",
            "-x",
            "../spool/NAME",
            "directory/inner",
            "''",
            "'",
            "'''NAME",
        ] {
            for verb in ["scp -f", "rm", "rm -f", "done"] {
                let words = format!("{verb} {name}");
                let ran = spool.ask(&words);
                // Two names, which there are not.
                assert!(
                    ran.status == 126 || name == "a b" && ran.status <= 1,
                    "{words}: {ran:?}"
                );
            }
        }
        // The first name is good, the second is not: neither goes.
        spool.ask("rm NAME .hidden").expect(126);
        assert_eq!(spool.names(), before);
    });
}

#[test]
fn a_spool_that_is_not_there_is_the_operators_business() {
    with_each_shell(|spool| {
        for arguments in [&[][..], &["/nowhere"], &["/tmp", "/tmp"]] {
            let ran = spool.run(arguments, "ls").expect(78);
            assert_eq!(ran.stderr, "this account is not set up: tell its operator\n");
        }
    });
}

struct Spool {
    directory: tempfile::TempDir,
    shell: &'static [&'static str],
}

fn with_each_shell(test: impl Fn(&Spool)) {
    for shell in [&["dash"][..], &["busybox", "sh"]] {
        let spool = Spool {
            directory: tempfile::tempdir().unwrap(),
            shell,
        };
        spool.fill();
        let at = |name| spool.directory.path().join(name);
        fs::write(at(".hidden"), "hidden").unwrap();
        fs::write(at("a;b"), "odd").unwrap();
        symlink("/etc/passwd", at("link.xml")).unwrap();
        fs::create_dir(at("directory")).unwrap();
        fs::write(at("directory").join("inner"), "inner").unwrap();
        ran(Command::new("mkfifo").arg(at("pipe"))).expect(0);
        test(&spool);
    }
}

impl Spool {
    fn fill(&self) {
        let path = self.directory.path().join(NAME);
        fs::write(&path, "document\n").unwrap();
        ran(Command::new("chmod").arg("644").arg(path)).expect(0);
    }

    fn names(&self) -> Vec<String> {
        names(self.directory.path())
    }

    fn ask(&self, words: &str) -> Ran {
        self.run(&[self.directory.path().to_str().unwrap()], &words.replace("NAME", NAME))
    }

    fn run(&self, arguments: &[&str], words: &str) -> Ran {
        // The answers that the near scp would give: fine, four times.
        let fine = self.directory.path().with_extension("fine");
        fs::write(&fine, [0; 4]).unwrap();
        let mut command = Command::new(self.shell[0]);
        command.args(&self.shell[1..]).arg(Path::new(SCRIPT)).args(arguments);
        command
            .env("SSH_ORIGINAL_COMMAND", words)
            .env("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22");
        let ran = ran(command.stdin(Stdio::from(fs::File::open(&fine).unwrap())));
        fs::remove_file(fine).unwrap();
        ran
    }
}

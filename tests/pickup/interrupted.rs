//! A pickup that ends half-way: killed, or cut off before it could delete. Nothing is lost and nothing comes twice.

use std::fs;
use std::path::{Path, PathBuf};

use crate::NAME;
use crate::site::{Protocol, Shell, Site, all_in, document, everywhere, write_program};
use crate::support::sshd::Sshd;

#[test]
fn what_was_fetched_but_not_deleted_does_not_come_again() {
    // The account may do everything but delete.
    let refuse_rm = "ForceCommand case \"$SSH_ORIGINAL_COMMAND\" in rm*) echo no >&2; exit 1;; \
                     *internal-sftp*) exec /usr/lib/openssh/sftp-server -P remove;; *) exec sh -c \"$SSH_ORIGINAL_COMMAND\";; esac";
    everywhere(refuse_rm, |site| {
        site.offer(NAME, &document(2));
        let run = site.pick_up(&[]);
        run.expect(7, "cannot delete");
        assert_eq!(
            run.stdout,
            format!("{}\n", site.fetched(NAME).display()),
            "it is fetched nevertheless"
        );
        assert_eq!(site.spooled(), [NAME]);

        // The application takes the document away, before the deletion succeeds.
        fs::remove_file(site.fetched(NAME)).unwrap();
        let run = site.pick_up(&[]);
        run.expect(7, "was fetched before");
        assert_eq!(run.stdout, "");
        assert!(!site.fetched(NAME).exists());

        let open = Sshd::start(&site.root.path().join("open"));
        let run = site.pick_up_from(&open, &[]);
        run.expect(0, "was fetched before");
        assert_eq!(run.stdout, "");
        assert_eq!(site.spooled(), [""; 0]);
        assert_eq!(site.names_in_inbox(), [""; 0]);
        assert_eq!(all_in(&site.inbox), [""; 0], "no notes are left");
    });
}

#[test]
fn killed_before_the_deletion_the_next_run_only_deletes() {
    everywhere("", |site| {
        site.offer(NAME, &document(2));
        // In place of the program that deletes: one that kills the script, by the number in its lock.
        let bin = site.root.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for program in ["sftp", "ssh"] {
            let kill = format!(
                "#!/bin/sh\nif printf '%s ' \"$@\" | grep -q 'rm -f' || grep -qs '^rm' \"{lock}/batch\"; then\n\
                 read -r pid rest <\"{lock}/owner\"; kill -KILL \"$pid\"; exit 1; fi\nexec /usr/bin/{program} \"$@\"\n",
                lock = site.inbox.join(".billdrop-pickup.lock").display()
            );
            write_program(&bin.join(program), &kill);
        }
        let run = site.with_path(&bin).pick_up(&[]);
        assert_eq!(run.status, None, "killed: {}", run.stderr);
        assert_eq!(site.spooled(), [NAME]);
        assert_eq!(fs::read(site.fetched(NAME)).unwrap(), document(2));

        let run = site.pick_up(&[]);
        run.expect(0, "took over the lock");
        assert_eq!(site.spooled(), [""; 0]);
        assert_eq!(all_in(&site.inbox), [NAME]);
    });
}

/// The far side is a directory here, so that every step can be tried: what counts is the order of the script's steps.
#[test]
fn killed_at_any_step_nothing_is_lost_and_nothing_comes_twice() {
    let site = Site::new(Shell::Dash, Protocol::Sftp, "");
    let bin = site.root.path().join("bin");
    fs::create_dir(&bin).unwrap();
    write_program(&bin.join("sftp"), &fake_sftp(&site.spool));
    let lock = site.inbox.join(".billdrop-pickup.lock");
    let counter = site.root.path().join("counter");
    let deadly = site.root.path().join("deadly");
    fs::create_dir(&deadly).unwrap();
    let tools = [
        "sftp", "sync", "mv", "rm", "cksum", "cut", "awk", "sed", "tr", "wc", "cmp", "grep", "cat", "xmllint",
    ];
    for tool in tools {
        // Counts down; at zero the script dies before this tool has done anything.
        let real = if tool == "sftp" {
            bin.join("sftp")
        } else {
            PathBuf::from(format!("/usr/bin/{tool}"))
        };
        let program = format!(
            "#!/bin/sh\nif [ -s \"{lock}/owner\" ] && read -r n <\"{counter}\"; then\n\
             echo $((n - 1)) >\"{counter}\"\n\
             if [ $n -eq 0 ]; then read -r pid rest <\"{lock}/owner\"; kill -KILL \"$pid\"; exit 1; fi\nfi\nexec {real} \"$@\"\n",
            lock = lock.display(),
            counter = counter.display(),
            real = real.display(),
        );
        write_program(&deadly.join(tool), &program);
    }
    let site_with_fake = site.with_path(&bin);
    let site_that_dies = site.with_path(&deadly);
    let taken = site.root.path().join("taken");
    let mut steps = 0;
    loop {
        let name = format!("cmts1-20260115-{:06}.xml", 100_000 + steps);
        site.offer(&name, &document(2));
        fs::write(&counter, format!("{steps}\n")).unwrap();
        let died = site_that_dies.pick_up(&[]).status.is_none();
        let mut handed_over = 0;
        // The application takes what it sees at once, also between the two runs.
        handed_over += usize::from(fs::rename(site.fetched(&name), &taken).is_ok());
        let again = site_with_fake.pick_up(&[]);
        handed_over += usize::from(fs::rename(site.fetched(&name), &taken).is_ok());
        assert_eq!(handed_over, 1, "killed at step {steps}, then: {}", again.stderr);
        assert_eq!(fs::read(&taken).unwrap(), document(2));
        assert_eq!(
            site.spooled(),
            [""; 0],
            "killed at step {steps}, then: {}",
            again.stderr
        );
        if !died {
            break;
        }
        steps += 1;
    }
    assert!(steps > 15, "only {steps} steps were tried");
    site_with_fake.pick_up(&[]).expect(1, "");
    assert_eq!(all_in(&site.inbox), [""; 0], "no notes are left");
}

/// As much of sftp as the script uses, on a directory of this host.
fn fake_sftp(spool: &Path) -> String {
    format!(
        "#!/bin/sh\nwhile [ \"$1\" != -b ]; do shift; done\nbatch=$2\ncd {} || exit 1\n\
         while read -r verb name to; do\nname=${{name#\\\"}} name=${{name%\\\"}} to=${{to#\\\"}} to=${{to%\\\"}}\n\
         case $verb in\n\
         ls) for f in *; do [ ! -f \"$f\" ] || echo \"-rw-r--r-- ? 0 0 $(/usr/bin/wc -c <\"$f\") Jan 15 09:30 $f\"; done;;\n\
         get) /usr/bin/cp \"$name\" \"$to\" || exit 1;;\n\
         rm) /usr/bin/rm \"$name\" || exit 1;;\nesac\ndone <\"$batch\"\n",
        spool.display()
    )
}

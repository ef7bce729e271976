//! Documents brought to real servers: OpenSSH in its several kinds, and tftpd-hpa.

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant, SystemTime},
};

use billdrop::config::Push;
use billdrop::deliver::{self, DeliveryError, Destination, Failure, Receipt, Shipment, Verified};
use billdrop::exit::Exit;
use sha2::{Digest, Sha256};
use support::{
    namespace, proxy, say,
    sshd::{self, Sshd},
    tftpd::Tftpd,
};

/// A document that is to be delivered.
struct Document {
    file: PathBuf,
    octets: u64,
    sha256: String,
}

const MODIFIED: u64 = 1_795_363_651;

impl Document {
    /// Octets that cannot be compressed, and are the same each time.
    fn new(directory: &Path, octets: usize) -> Self {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let content: Vec<u8> = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .take(octets.div_ceil(8))
        .flatten()
        .take(octets)
        .collect();
        Document::with(directory, &content)
    }

    fn with(directory: &Path, content: &[u8]) -> Self {
        let file = directory.join("document");
        fs::write(&file, content).unwrap();
        Document {
            file,
            octets: content.len() as u64,
            sha256: Sha256::digest(content).iter().map(|b| format!("{b:02x}")).collect(),
        }
    }

    fn shipment<'a>(&'a self, remote_name: &'a str) -> Shipment<'a> {
        Shipment {
            file: &self.file,
            remote_name,
            octets: self.octets,
            sha256: &self.sha256,
            mode: 0o604,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED),
        }
    }

    #[track_caller]
    fn assert_is(&self, path: &Path) {
        assert!(
            fs::read(path).unwrap() == fs::read(&self.file).unwrap(),
            "{} is another",
            path.display()
        );
    }
}

fn destination(url: &str, more: &str) -> Destination {
    let text = format!("name = \"billing\"\nurl = \"{url}\"\n{more}\n");
    let push: Push = toml::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    Destination::new(&push).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// How to reach a server of ours with its own key.
fn by_key(sshd: &Sshd, user: &str, scheme: &str, port: u16, directory: &str, more: &str) -> Destination {
    // Through a proxy it is still the same host.
    let known = fs::read_to_string(sshd.known_hosts()).unwrap();
    let file = sshd.known_hosts().with_extension(port.to_string());
    fs::write(&file, known.replace(&sshd.port.to_string(), &port.to_string())).unwrap();
    destination(
        &format!("{scheme}://{user}@127.0.0.1:{port}{directory}/"),
        &format!("identity = {:?}\nknown-hosts = {file:?}\n{more}", sshd.identity()),
    )
}

fn put(destination: &Destination, shipment: &Shipment<'_>) -> Result<Receipt, DeliveryError> {
    deliver::connect(destination)?.put(shipment, &mut |_| ())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A place with a directory for what arrives.
struct Place {
    directory: tempfile::TempDir,
    inbox: PathBuf,
}

fn place() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let inbox = directory.path().canonicalize().unwrap().join("it's $(the) inbox");
    fs::create_dir(&inbox).unwrap();
    Place { directory, inbox }
}

impl Place {
    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// As it stands in a URL.
    fn url(&self) -> String {
        self.inbox.to_str().unwrap().replace(' ', "%20")
    }
}

/// A server without a shell for `scp -t` and `scp -f` only.
const SCP_ONLY: &str = r#"ForceCommand case "$SSH_ORIGINAL_COMMAND" in "scp -pt "*|"scp -pf "*) eval "$SSH_ORIGINAL_COMMAND";; *) echo refused >&2; exit 126;; esac"#;

#[test]
fn a_document_arrives_octet_for_octet_with_mode_and_time() {
    let place = place();
    let full = Sshd::start(&place.path().join("full"));
    let plain = Sshd::start_with(&place.path().join("plain"), SCP_ONLY);
    let user = sshd::account();
    for (what, sshd, scheme, verified, renamed) in [
        ("sftp", &full, "sftp", Verified::Sha256, true),
        ("scp", &full, "scp", Verified::Sha256, true),
        ("scp without a shell", &plain, "scp", Verified::Size, false),
    ] {
        let to = by_key(sshd, &user, scheme, sshd.port, &place.url(), "");
        let mut link = deliver::connect(&to).unwrap_or_else(|e| panic!("{what}: {e}"));
        for octets in [0, 1, 1000, 32 << 10, 3_000_001] {
            let document = Document::new(place.path(), octets);
            let name = format!("{scheme} {renamed} {octets}.xml");
            let mut progress = Vec::new();
            let receipt = link.put(&document.shipment(&name), &mut |sent| progress.push(sent));
            let receipt = receipt.unwrap_or_else(|e| panic!("{what} {octets}: {e}\n{}", sshd.log()));
            let arrived = place.inbox.join(&name);
            document.assert_is(&arrived);
            let found = fs::metadata(&arrived).unwrap();
            assert_eq!(
                (found.mode() & 0o7777, found.mtime()),
                (0o604, MODIFIED as i64),
                "{what}"
            );
            assert_eq!(progress.last().copied().unwrap_or(0), octets as u64, "{what}");
            assert!(progress.is_sorted());
            assert_eq!(
                (
                    receipt.octets,
                    receipt.verified,
                    receipt.renamed,
                    receipt.attributes,
                    receipt.found
                ),
                (octets as u64, verified, renamed, true, false),
                "{what}"
            );
        }
    }
    assert!(names(&place.inbox).iter().all(|name| !name.starts_with('.')));
}

#[test]
fn a_program_can_make_the_connection() {
    let place = place();
    let sshd = Sshd::start(&place.path().join("sshd"));
    let document = Document::new(place.path(), 3_000_001);
    let command = format!("command = [\"ssh\", \"-F\", {:?}]", sshd.ssh_config);
    for scheme in ["sftp", "scp"] {
        let url = format!("{scheme}://{}@127.0.0.1:{}{}/", sshd::account(), sshd.port, place.url());
        let receipt = put(&destination(&url, &command), &document.shipment(scheme)).unwrap();
        document.assert_is(&place.inbox.join(scheme));
        assert!(receipt.renamed);
    }
    sshd.expect_another_host_key();
    let url = format!("sftp://{}@127.0.0.1:{}{}/", sshd::account(), sshd.port, place.url());
    let error = put(&destination(&url, &command), &document.shipment("b")).unwrap_err();
    assert!(error.to_string().contains("Host key verification failed"), "{error}");
    let missing = put(
        &destination(&url, "command = [\"/no/such/ssh\"]"),
        &document.shipment("b"),
    )
    .unwrap_err();
    assert_eq!(missing.failure(), Failure::Configuration, "{missing}");
}

#[test]
fn an_answer_may_take_as_long_as_the_limit_says() {
    let place = place();
    // Longer than the time between two questions whether the server is still there.
    let slow = r#"case "$SSH_ORIGINAL_COMMAND" in "scp -pt "*) sleep 17;; esac; eval"#;
    let sshd = Sshd::start_with(&place.path().join("sshd"), &SCP_ONLY.replace("eval", slow));
    let document = Document::new(place.path(), 100_000);
    let to = by_key(&sshd, &sshd::account(), "scp", sshd.port, &place.url(), "");
    put(&to, &document.shipment("a")).unwrap_or_else(|e| panic!("{e}\n{}", sshd.log()));
    document.assert_is(&place.inbox.join("a"));
}

/// As long as what is worth a second connection.
const LARGE: usize = 17 << 20;

#[test]
fn large_documents_go_over_one_faster_connection_more() {
    let place = place();
    let full = Sshd::start(&place.path().join("full"));
    let plain = Sshd::start_with(&place.path().join("plain"), SCP_ONLY);
    let document = Document::new(place.path(), LARGE);
    for (what, sshd, scheme, verified) in [
        ("sftp", &full, "sftp", Verified::Sha256),
        ("scp", &full, "scp", Verified::Sha256),
        ("plain", &plain, "scp", Verified::Size),
    ] {
        for (more, connections) in [("", 2), ("bulk-program = \"\"", 1), ("rate-limit = \"1GiB\"", 1)] {
            let before = sshd.log().matches("Accepted publickey").count();
            let to = by_key(sshd, &sshd::account(), scheme, sshd.port, &place.url(), more);
            let mut link = deliver::connect(&to).unwrap();
            for name in ["a", "b"] {
                let mut progress = Vec::new();
                let receipt = link
                    .put(&document.shipment(name), &mut |sent| progress.push(sent))
                    .unwrap_or_else(|e| panic!("{what}: {e}\n{}", sshd.log()));
                let arrived = place.inbox.join(name);
                document.assert_is(&arrived);
                let found = fs::metadata(&arrived).unwrap();
                assert_eq!(
                    (found.mode() & 0o7777, found.mtime()),
                    (0o604, MODIFIED as i64),
                    "{what}"
                );
                assert_eq!((receipt.verified, receipt.found), (verified, false), "{what}");
                assert_eq!(progress.last(), Some(&document.octets));
                fs::remove_file(arrived).unwrap();
            }
            // Without a shell each command is a login of its own.
            let more_logins = if what == "plain" { connections - 1 } else { 0 };
            let logins = sshd.log().matches("Accepted publickey").count() - before;
            assert_eq!(logins, connections + more_logins, "{what} {more}: {}", sshd.log());
            assert_eq!(names(&place.inbox), [""; 0], "{what}");
        }
    }
}

/// A program in place of ssh(1).
fn script(place: &Place, text: &str) -> String {
    let file = place.path().join("program");
    fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    format!("bulk-program = {file:?}")
}

#[test]
fn where_the_faster_connection_fails_the_first_one_brings_the_document() {
    let place = place();
    let full = Sshd::start(&place.path().join("full"));
    let plain = Sshd::start_with(&place.path().join("plain"), SCP_ONLY);
    let document = Document::new(place.path(), LARGE);
    let programs = [
        "bulk-program = \"/no/such/ssh\"".to_owned(),
        script(&place, "echo no >&2; exit 255"),
    ];
    let breaking = script(&place, "head -c 5000000 | ssh \"$@\"").replace("program\"", "breaking\"");
    fs::rename(place.path().join("program"), place.path().join("breaking")).unwrap();
    let _ = script(&place, "echo no >&2; exit 255");
    for (sshd, scheme) in [(&full, "sftp"), (&full, "scp"), (&plain, "scp")] {
        for more in programs.iter().chain([&breaking]) {
            let more = &format!("{more}\ntimeout = \"10s\"");
            let to = by_key(sshd, &sshd::account(), scheme, sshd.port, &place.url(), more);
            let receipt = put(&to, &document.shipment("a")).unwrap_or_else(|e| panic!("{more}: {e}\n{}", sshd.log()));
            assert!(!receipt.found, "{scheme} {more}");
            document.assert_is(&place.inbox.join("a"));
            fs::remove_file(place.inbox.join("a")).unwrap();
            assert_eq!(names(&place.inbox), [""; 0], "{scheme} {more}");
        }
    }
}

#[test]
fn the_faster_connection_trusts_nobody_but_the_host_that_was_checked() {
    let place = place();
    let right = Sshd::start(&place.path().join("right"));
    let wrong = Sshd::start(&place.path().join("wrong"));
    // It would let us in.
    fs::copy(
        place.path().join("right/authorized_keys"),
        place.path().join("wrong/authorized_keys"),
    )
    .unwrap();
    let document = Document::new(place.path(), LARGE);
    for scheme in ["sftp", "scp"] {
        let port = proxy::changing(&[right.port, wrong.port]);
        let to = by_key(&right, &sshd::account(), scheme, port, &place.url(), "");
        put(&to, &document.shipment(scheme)).unwrap();
        document.assert_is(&place.inbox.join(scheme));
    }
    assert!(wrong.log().contains("Connection closed"), "{}", wrong.log());
    assert!(!wrong.log().contains("Accepted"), "{}", wrong.log());
    assert_eq!(right.log().matches("Accepted publickey").count(), 2);
}

#[test]
fn what_is_there_already_is_not_sent_again_and_never_overwritten() {
    let place = place();
    let full = Sshd::start(&place.path().join("full"));
    let plain = Sshd::start_with(&place.path().join("plain"), SCP_ONLY);
    let user = sshd::account();
    for (name, sshd, scheme) in [("a", &full, "sftp"), ("b", &full, "scp"), ("c", &plain, "scp")] {
        let to = by_key(sshd, &user, scheme, sshd.port, &place.url(), "");
        let document = Document::new(place.path(), 100_000);
        assert!(!put(&to, &document.shipment(name)).unwrap().found);
        let inode = fs::metadata(place.inbox.join(name)).unwrap().ino();
        let again = put(&to, &document.shipment(name)).unwrap();
        assert!(again.found && again.verified == Verified::Sha256, "{name}: {again:?}");
        assert_eq!(fs::metadata(place.inbox.join(name)).unwrap().ino(), inode);

        // As long, longer and (but for a beginning) shorter.
        let before = fs::read(place.inbox.join(name)).unwrap();
        for other in [100_000, 99_999, 100_001] {
            let other = Document::with(place.path(), &vec![b'x'; other]);
            let error = put(&to, &other.shipment(name)).unwrap_err();
            assert_eq!(
                (error.failure(), error.exit()),
                (Failure::Conflict, Exit::CannotCreate),
                "{name}: {error}"
            );
            assert!(error.to_string().contains("never") || error.to_string().contains("nothing was overwritten"));
        }
        assert!(fs::read(place.inbox.join(name)).unwrap() == before, "{name}");
        assert_eq!(names(&place.inbox), [name]);
        fs::remove_file(place.inbox.join(name)).unwrap();

        // Neither a symbolic link nor a directory is followed or filled.
        for make in [
            (|at: &Path| std::os::unix::fs::symlink("/dev/null", at).unwrap()) as fn(&Path),
            |at| fs::create_dir(at).unwrap(),
        ] {
            if name == "c" {
                continue; // nobody can see there what a name is
            }
            make(&place.inbox.join(name));
            let error = put(&to, &document.shipment(name)).map(|_| ()).unwrap_err();
            assert_eq!(error.failure(), Failure::Conflict, "{name}: {error}");
            let _ = fs::remove_file(place.inbox.join(name)).or_else(|_| fs::remove_dir(place.inbox.join(name)));
        }
    }
}

#[test]
fn a_connection_that_is_cut_at_any_tenth_leaves_no_partial_file_and_the_next_run_completes_it() {
    let place = place();
    let full = Sshd::start(&place.path().join("full"));
    let plain = Sshd::start_with(&place.path().join("plain"), SCP_ONLY);
    let user = sshd::account();
    let document = Document::new(place.path(), 2_000_000);
    for (what, sshd, scheme) in [("sftp", &full, "sftp"), ("scp", &full, "scp"), ("plain", &plain, "scp")] {
        for tenth in 0..=10 {
            let name = format!("{what}-{tenth}");
            let port = proxy::cutting(sshd.port, 6000 + tenth * 199_000);
            let error = put(
                &by_key(sshd, &user, scheme, port, &place.url(), ""),
                &document.shipment(&name),
            )
            .unwrap_err();
            assert!(
                matches!(error.failure(), Failure::Interrupted | Failure::Unreachable),
                "{name}: {error}"
            );
            assert_eq!(error.exit(), Exit::Unavailable);
            let final_name = place.inbox.join(&name);
            if what != "plain" {
                assert!(!final_name.exists(), "{name} is there");
            }
            let to = by_key(sshd, &user, scheme, sshd.port, &place.url(), "");
            put(&to, &document.shipment(&name)).unwrap_or_else(|e| panic!("{name}: {e}"));
            document.assert_is(&final_name);
            let mine = names(&place.inbox)
                .into_iter()
                .filter(|found| found.contains(&name[..]));
            assert_eq!(mine.count(), 1, "{name}: once, and nothing else");
            fs::remove_file(final_name).unwrap();
        }
    }
}

#[test]
fn a_server_that_is_killed_before_the_rename_has_no_document_and_gets_it_once() {
    let place = place();
    let sshd = Sshd::start(&place.path().join("sshd"));
    let document = Document::new(place.path(), 1_000_000);
    for scheme in ["sftp", "scp"] {
        let to = by_key(&sshd, &sshd::account(), scheme, sshd.port, &place.url(), "");
        let mut link = deliver::connect(&to).unwrap();
        let error = link.put(&document.shipment(scheme), &mut |sent| {
            if sent == document.octets {
                sshd.cut_connections();
            }
        });
        let error = error.unwrap_err();
        assert_eq!(error.failure(), Failure::Interrupted, "{error}");
        assert!(!place.inbox.join(scheme).exists());
        put(&to, &document.shipment(scheme)).unwrap();
        document.assert_is(&place.inbox.join(scheme));
        fs::remove_file(place.inbox.join(scheme)).unwrap();
        assert_eq!(names(&place.inbox), [""; 0], "{scheme}");
    }
}

#[test]
fn a_server_that_stops_reading_is_given_up_in_time() {
    let place = place();
    let sshd = Sshd::start(&place.path().join("sshd"));
    // More than all buffers on the way hold.
    let document = Document::new(place.path(), 30_000_000);
    for scheme in ["sftp", "scp"] {
        let to = by_key(
            &sshd,
            &sshd::account(),
            scheme,
            sshd.port,
            &place.url(),
            "timeout = \"1s\"",
        );
        let mut link = deliver::connect(&to).unwrap();
        let mut stopped = None;
        let error = link.put(&document.shipment(scheme), &mut |sent| {
            if sent > 1_000_000 && stopped.is_none() {
                sshd.stop();
                stopped = Some(Instant::now());
            }
        });
        let error = error.unwrap_err();
        drop(link);
        let took = stopped.expect("it was stopped on the way").elapsed();
        sshd.continue_();
        assert_eq!(error.failure(), Failure::Interrupted, "{error}");
        assert!(error.to_string().contains("no answer in time"), "{error}");
        assert!(took < Duration::from_secs(8), "{scheme}: {took:?}");
        assert!(!place.inbox.join(scheme).exists());
    }
}

#[test]
fn a_host_that_is_unknown_and_one_that_has_changed_are_different_errors() {
    let place = place();
    let sshd = Sshd::start(&place.path().join("sshd"));
    let document = Document::new(place.path(), 10);
    let user = sshd::account();
    let line = fs::read_to_string(sshd.known_hosts()).unwrap();
    let public = line.split(' ').nth(2).unwrap();
    let listed = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(sshd.known_hosts())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let fingerprint = listed.split(' ').nth(1).unwrap();

    let to = by_key(&sshd, &user, "sftp", sshd.port, &place.url(), "");
    let known = sshd.known_hosts().with_extension(sshd.port.to_string());
    fs::write(&known, "").unwrap();
    let unknown = put(&to, &document.shipment("a")).unwrap_err();
    assert_eq!(
        (unknown.failure(), unknown.exit()),
        (Failure::UnknownHost, Exit::Denied),
        "{unknown}"
    );
    let text = unknown.to_string();
    assert!(
        text.contains(&format!("ED25519 {fingerprint}")),
        "{text} has no {fingerprint}"
    );
    let added = text.lines().last().unwrap().trim();
    assert!(
        added.contains(public) && added.starts_with(&format!("[127.0.0.1]:{} ", sshd.port)),
        "{text}"
    );

    // The line that it shows is the one that helps; hashed it is as good.
    fs::write(&known, format!("{added}\n")).unwrap();
    put(&to, &document.shipment("a")).unwrap();
    let hashed = Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(&known)
        .output()
        .unwrap();
    assert!(hashed.status.success() && fs::read_to_string(&known).unwrap().starts_with("|1|"));
    put(&to, &document.shipment("b")).unwrap();

    let trusting = by_key(&sshd, &user, "sftp", sshd.port, &place.url(), "accept-new = true");
    fs::write(&known, "# nothing").unwrap();
    put(&trusting, &document.shipment("c")).unwrap();
    assert_eq!(fs::read_to_string(&known).unwrap(), format!("# nothing\n{added}\n"));
    put(&to, &document.shipment("d")).unwrap();

    sshd.expect_another_host_key();
    let strict = by_key(&sshd, &user, "sftp", sshd.port, &place.url(), "accept-new = true");
    let changed = put(&strict, &document.shipment("e")).unwrap_err();
    assert_eq!(
        (changed.failure(), changed.exit()),
        (Failure::ChangedHost, Exit::Denied),
        "{changed}"
    );
    let text = changed.to_string();
    assert!(
        text.contains("has changed") && text.contains("ssh-keygen -R") && text.contains(fingerprint),
        "{text}"
    );
    assert!(!place.inbox.join("e").exists());
}

#[test]
fn a_host_with_several_keys_is_asked_for_the_one_that_is_known() {
    let place = place();
    let rsa = place.path().join("rsa");
    sshd::make_key_of("rsa", "", &rsa);
    let sshd = Sshd::start_with(&place.path().join("sshd"), &format!("HostKey {}", rsa.display()));
    let key = fs::read_to_string(rsa.with_extension("pub")).unwrap();
    fs::write(sshd.known_hosts(), format!("[127.0.0.1]:{} {key}", sshd.port)).unwrap();
    let to = by_key(&sshd, &sshd::account(), "sftp", sshd.port, &place.url(), "");
    put(&to, &Document::new(place.path(), 10).shipment("a")).unwrap();
}

#[test]
fn each_kind_of_key_opens_the_door_and_a_wrong_one_says_what_was_tried() {
    let place = place();
    let sshd = Sshd::start(&place.path().join("sshd"));
    let authorized = place.path().join("sshd/authorized_keys");
    let document = Document::new(place.path(), 10);
    let user = sshd::account();
    let with = |more: &str| {
        let url = format!("sftp://{user}@127.0.0.1:{}{}/", sshd.port, place.url());
        destination(&url, &format!("known-hosts = {:?}\n{more}", sshd.known_hosts()))
    };
    for (kind, passphrase) in [
        ("ed25519", ""),
        ("rsa", ""),
        ("ecdsa", ""),
        ("ed25519", "open sesame"),
        ("rsa", "open sesame"),
    ] {
        let key = place.path().join(format!("{kind}{}", passphrase.len()));
        sshd::make_key_of(kind, passphrase, &key);
        fs::copy(key.with_extension("pub"), &authorized).unwrap();
        let secret = match passphrase {
            "" => String::new(),
            text => format!("passphrase = {text:?}"),
        };
        let name = key.file_name().unwrap().to_str().unwrap();
        let to = with(&format!("identity = {key:?}\n{secret}"));
        put(&to, &document.shipment(name)).unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert!(!format!("{to:?}").contains("sesame"));
    }
    // The key of the last round, which the server knows, with the wrong passphrase; and one that it does not know.
    for (key, more) in [("rsa11", "passphrase = \"hunter2\""), ("ed255190", "")] {
        let to = with(&format!("identity = {:?}\n{more}", place.path().join(key)));
        let error = put(&to, &document.shipment("x")).unwrap_err();
        assert_eq!(
            (error.failure(), error.exit()),
            (Failure::Login, Exit::Denied),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains(key) && text.contains("it takes: publickey") && !text.contains("hunter2"),
            "{text}"
        );
    }
    let open = place.path().join("rsa0");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let error = put(&with(&format!("identity = {open:?}")), &document.shipment("x")).unwrap_err();
    assert!(
        error.failure() == Failure::Configuration && error.to_string().contains("chmod 600"),
        "{error}"
    );
    let error = put(&with("identity = \"/no/such/key\""), &document.shipment("x")).unwrap_err();
    assert!(
        error.failure() == Failure::Configuration && error.to_string().contains("/no/such/key"),
        "{error}"
    );
}

#[test]
fn an_agent_is_asked_if_it_shall_be() {
    const TEST: &str = "an_agent_is_asked_if_it_shall_be";
    if std::env::var_os("SSH_AUTH_SOCK").is_none_or(|_| std::env::var_os("BILLDROP_TEST_NAMESPACE").is_none()) {
        // The library reads the environment, which other tests in this process must not see change.
        let mut agent = Command::new("ssh-agent");
        agent.arg("env");
        namespace::again(agent, TEST, "agent");
        return;
    }
    let place = place();
    let sshd = Sshd::start(&place.path().join("sshd"));
    let document = Document::new(place.path(), 10);
    let url = format!("sftp://{}@127.0.0.1:{}{}/", sshd::account(), sshd.port, place.url());
    let to = destination(&url, &format!("known-hosts = {:?}\nagent = true", sshd.known_hosts()));
    let error = put(&to, &document.shipment("a")).unwrap_err();
    assert!(
        error.failure() == Failure::Login && error.to_string().contains("agent"),
        "{error}"
    );
    let added = Command::new("ssh-add").arg("-q").arg(sshd.identity()).output().unwrap();
    assert!(added.status.success(), "{added:?}");
    put(&to, &document.shipment("a")).unwrap();
}

/// Letting another account in than one's own takes root.
fn is_root_for(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        say(&format!(
            "{what}: not tried; a server lets another account in only when root runs it"
        ));
    }
    root
}

#[test]
fn a_password_is_tried_once() {
    if !is_root_for("passwords") {
        return;
    }
    let place = place();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    chown(&place.inbox, Some(sshd::BILL), Some(sshd::BILL)).unwrap();
    let sshd = Sshd::start_for_bill(&place.path().join("sshd"), "open sesame", "PasswordAuthentication yes");
    let document = Document::new(place.path(), 1000);
    let with = |password: &str| {
        let url = format!("scp://bill@127.0.0.1:{}{}/", sshd.port, place.url());
        let more = format!("known-hosts = {:?}\npassword = {password:?}", sshd.known_hosts());
        destination(&url, &more)
    };
    put(&with("open sesame"), &document.shipment("a")).unwrap_or_else(|e| panic!("{e}\n{}", sshd.log()));
    document.assert_is(&place.inbox.join("a"));
    let error = put(&with("hunter2"), &document.shipment("b")).unwrap_err();
    assert_eq!(error.failure(), Failure::Login, "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert_eq!(sshd.log().matches("Failed password").count(), 1, "{}", sshd.log());
}

#[test]
fn a_directory_that_is_missing_or_closed_is_named_as_the_reason() {
    if !is_root_for("directories without permission") {
        return;
    }
    let place = place();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let sshd = Sshd::start_for_bill(&place.path().join("sshd"), "x", "");
    let document = Document::new(place.path(), 1000);
    for scheme in ["sftp", "scp"] {
        let to = by_key(&sshd, "bill", scheme, sshd.port, &place.url(), "");
        let error = put(&to, &document.shipment("a")).unwrap_err();
        assert_eq!(
            (error.failure(), error.exit()),
            (Failure::Denied, Exit::Denied),
            "{scheme}: {error}"
        );
        assert!(
            error.to_string().to_lowercase().contains("permission denied"),
            "{error}"
        );
        let to = by_key(&sshd, "bill", scheme, sshd.port, "/no/such/place", "");
        let error = put(&to, &document.shipment("a")).unwrap_err();
        assert_eq!(
            (error.failure(), error.exit()),
            (Failure::Missing, Exit::CannotCreate),
            "{scheme}: {error}"
        );
    }
    assert_eq!(names(&place.inbox), [""; 0]);
}

/// Runs a test with mounts of its own, which end with it.
fn with_own_mounts(test: &str, body: impl FnOnce()) {
    if std::env::var_os("BILLDROP_TEST_NAMESPACE").is_some() {
        return body();
    }
    if !rustix::process::geteuid().is_root() {
        return say(&format!(
            "{test}: not tried; it needs root to mount, and sshd as root to change accounts"
        ));
    }
    let mut unshare = Command::new("unshare");
    unshare.arg("--mount");
    namespace::again(unshare, test, "made");
}

#[test]
fn a_full_disk_there_is_named_as_the_reason_and_nothing_is_left_on_it() {
    with_own_mounts(
        "a_full_disk_there_is_named_as_the_reason_and_nothing_is_left_on_it",
        || {
            let place = place();
            namespace::output(
                "mount",
                ["-t", "tmpfs", "-o", "size=1m", "none", place.inbox.to_str().unwrap()],
            );
            let sshd = Sshd::start(&place.path().join("sshd"));
            let user = sshd::account();
            for scheme in ["sftp", "scp"] {
                let to = by_key(&sshd, &user, scheme, sshd.port, &place.url(), "");
                let error = put(&to, &Document::new(place.path(), 3_000_000).shipment("a")).unwrap_err();
                assert_eq!(
                    (error.failure(), error.exit()),
                    (Failure::RemoteFull, Exit::CannotCreate),
                    "{scheme}: {error}"
                );
                assert_eq!(names(&place.inbox), [""; 0], "{scheme}");
                let small = Document::new(place.path(), 500_000);
                put(&to, &small.shipment("a")).unwrap();
                small.assert_is(&place.inbox.join("a"));
                fs::remove_file(place.inbox.join("a")).unwrap();
            }
        },
    );
}

#[test]
fn a_dialogue_that_asks_for_the_password_is_answered_once() {
    with_own_mounts("a_dialogue_that_asks_for_the_password_is_answered_once", || {
        let place = place();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        chown(&place.inbox, Some(sshd::BILL), Some(sshd::BILL)).unwrap();
        // PAM asks the system itself who there is, so these files stand over the host's own, for this test alone.
        let hash = namespace::output("openssl", ["passwd", "-6", "open sesame"]);
        let hash = String::from_utf8(hash).unwrap();
        let pam = "auth required pam_unix.so nodelay\naccount required pam_unix.so\nsession required pam_permit.so\n";
        for (over, line) in [
            ("/etc/passwd", format!("bill:x:{0}:{0}::/:/bin/sh\n", sshd::BILL)),
            ("/etc/shadow", format!("bill:{}:20000:0:99999:7:::\n", hash.trim())),
            ("/etc/pam.d/sshd", pam.to_owned()),
        ] {
            let mut text = fs::read_to_string(over).unwrap();
            if over == "/etc/pam.d/sshd" {
                text.clear();
            }
            let own = place.path().join(over.replace('/', "_"));
            fs::write(&own, text + &line).unwrap();
            namespace::output("mount", ["--bind", own.to_str().unwrap(), over]);
        }
        let pam = "UsePAM yes\nKbdInteractiveAuthentication yes";
        let sshd = Sshd::start_for_account("bill", &place.path().join("sshd"), pam);
        let document = Document::new(place.path(), 1000);
        for (password, works) in [("open sesame", true), ("hunter2", false)] {
            let url = format!("sftp://bill@127.0.0.1:{}{}/", sshd.port, place.url());
            let more = format!("known-hosts = {:?}\npassword = {password:?}", sshd.known_hosts());
            let outcome = put(&destination(&url, &more), &document.shipment("a"));
            let failure = outcome.map_err(|e| e.failure()).map(|_| ());
            assert_eq!(
                failure,
                if works { Ok(()) } else { Err(Failure::Login) },
                "{}",
                sshd.log()
            );
        }
        assert_eq!(
            sshd.log().matches("PAM: Authentication failure").count(),
            1,
            "{}",
            sshd.log()
        );
    });
}

#[test]
fn a_chrooted_account_for_sftp_alone_is_enough() {
    with_own_mounts("a_chrooted_account_for_sftp_alone_is_enough", || {
        // Each directory above a chroot must be closed to others, as no temporary directory is.
        namespace::output("mount", ["-t", "tmpfs", "-o", "mode=755", "none", "/srv"]);
        fs::create_dir_all("/srv/jail/in").unwrap();
        let place = place();
        let jail = "ChrootDirectory /srv/jail\nForceCommand internal-sftp\nDisableForwarding yes";
        let sshd = Sshd::start_with(&place.path().join("sshd"), jail);
        let user = sshd::account();
        let to = by_key(&sshd, &user, "sftp", sshd.port, "/in", "mode = \"0640\"");
        let mut link = deliver::connect(&to).unwrap();
        for name in ["a", "b"] {
            let document = Document::new(place.path(), 1_000_000);
            let receipt = link.put(&document.shipment(name), &mut |_| ()).unwrap();
            document.assert_is(&Path::new("/srv/jail/in").join(name));
            assert_eq!((receipt.verified, receipt.renamed), (Verified::Size, true));
        }
        assert_eq!(fs::metadata("/srv/jail/in/a").unwrap().mode() & 0o7777, 0o640);
        // There is no scp in it.
        let document = Document::new(place.path(), 10);
        let to = by_key(&sshd, &user, "scp", sshd.port, "/in", "");
        let error = put(&to, &document.shipment("c")).unwrap_err();
        assert_eq!(error.failure(), Failure::Remote, "{error}");
    });
}

#[test]
fn tftp_brings_a_document_that_a_real_server_has_whole() {
    let place = place();
    let Some(tftpd) = Tftpd::start(place.path()) else {
        return;
    };
    let to = destination(&format!("tftp://127.0.0.1:{}/", tftpd.port), "");
    let mut link = deliver::connect(&to).unwrap();
    // Around the ends of blocks; an empty one ends what fills the last block.
    for octets in [0, 1, 511, 512, 65464, 3_000_001] {
        let document = Document::new(place.path(), octets);
        let name = format!("a{octets}");
        let receipt = link
            .put(&document.shipment(&name), &mut |_| ())
            .unwrap_or_else(|e| panic!("{octets}: {e}"));
        document.assert_is(&tftpd.root.join(&name));
        assert_eq!(
            (receipt.verified, receipt.renamed, receipt.attributes, receipt.found),
            (Verified::Size, false, false, false)
        );
        assert!(
            link.put(&document.shipment(&name), &mut |_| ()).unwrap().found,
            "{octets}"
        );
    }
    let other = Document::with(place.path(), &[b'x'; 512]);
    let error = link.put(&other.shipment("a512"), &mut |_| ()).unwrap_err();
    assert_eq!(error.failure(), Failure::Conflict, "{error}");
    // What a cut transfer has left is completed.
    let document = Document::new(place.path(), 100_000);
    fs::write(tftpd.root.join("cut"), &fs::read(&document.file).unwrap()[..40_000]).unwrap();
    chown(tftpd.root.join("cut"), Some(65534), Some(65534)).unwrap();
    put(&to, &document.shipment("cut")).unwrap();
    document.assert_is(&tftpd.root.join("cut"));

    let nowhere = destination(&format!("tftp://127.0.0.1:{}/no/such/", tftpd.port), "");
    let error = put(&nowhere, &document.shipment("a")).unwrap_err();
    assert_eq!(error.failure(), Failure::Missing, "{error}");
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let nobody = destination(&format!("tftp://127.0.0.1:{port}/"), "timeout = \"1s\"");
    let error = put(&nobody, &document.shipment("a")).unwrap_err();
    assert_eq!(
        (error.failure(), error.exit()),
        (Failure::Unreachable, Exit::Unavailable),
        "{error}"
    );
}

#[test]
fn more_blocks_than_tftp_has_numbers_arrive_in_order() {
    let place = place();
    let Some(tftpd) = Tftpd::start_with(place.path(), &["--blocksize", "512"]) else {
        return;
    };
    let to = destination(&format!("tftp://127.0.0.1:{}/", tftpd.port), "");
    let mut link = deliver::connect(&to).unwrap();
    // 65,536 blocks have a number of their own.
    let document = Document::new(place.path(), 65_600 * 512 + 1);
    let receipt = link.put(&document.shipment("long"), &mut |_| ()).unwrap();
    document.assert_is(&tftpd.root.join("long"));
    assert_eq!((receipt.verified, receipt.octets), (Verified::Size, document.octets));
    // TFTP knows no modes and no times.
    assert!(!receipt.attributes);
    assert!(
        link.put(&document.shipment("long"), &mut |_| ()).unwrap().found,
        "read back"
    );
}

#[test]
fn a_rate_limit_and_an_own_address_are_kept() {
    let place = place();
    let sshd = Sshd::start(&place.path().join("sshd"));
    let document = Document::new(place.path(), 300_000);
    for scheme in ["sftp", "scp"] {
        let more = "rate-limit = \"300000\"\nbind = \"127.0.0.9\"";
        let to = by_key(&sshd, &sshd::account(), scheme, sshd.port, &place.url(), more);
        let receipt = put(&to, &document.shipment(scheme)).unwrap();
        assert!(
            receipt.elapsed > Duration::from_millis(850),
            "{scheme}: {:?}",
            receipt.elapsed
        );
        document.assert_is(&place.inbox.join(scheme));
    }
    assert!(sshd.log().contains("from 127.0.0.9 port"), "{}", sshd.log());
}

#[test]
fn a_file_that_is_not_what_it_was_is_not_sent() {
    let place = place();
    let full = Sshd::start(&place.path().join("full"));
    let plain = Sshd::start_with(&place.path().join("plain"), SCP_ONLY);
    let sftp_only = Sshd::start_with(&place.path().join("sftp-only"), "ForceCommand internal-sftp");
    let user = sshd::account();
    let tftpd = Tftpd::start(place.path());
    let by_tftp = tftpd
        .as_ref()
        .map(|tftpd| destination(&format!("tftp://127.0.0.1:{}/", tftpd.port), ""));
    let mut ways = vec![
        by_key(&full, &user, "sftp", full.port, &place.url(), ""),
        by_key(&full, &user, "scp", full.port, &place.url(), ""),
        by_key(&plain, &user, "scp", plain.port, &place.url(), ""),
        by_key(&sftp_only, &user, "sftp", sftp_only.port, &place.url(), ""),
    ];
    ways.extend(by_tftp);
    for (way, to) in ways.iter().enumerate() {
        // Small ones are compared in another way than large ones.
        for octets in [1000, 200_000] {
            let document = Document::new(place.path(), octets);
            let mut shipment = document.shipment("a");
            shipment.octets += 1;
            assert_eq!(put(to, &shipment).unwrap_err().failure(), Failure::Local);
            // As long, but other octets than those that were promised: no server is to blame.
            let mut shipment = document.shipment("a");
            let promised = "0".repeat(64);
            shipment.sha256 = &promised;
            let error = put(to, &shipment).unwrap_err();
            assert_eq!(error.failure(), Failure::Local, "{way} {octets}: {error}");
            let mut shipment = document.shipment("../a");
            shipment.remote_name = "../a";
            assert_eq!(put(to, &shipment).unwrap_err().failure(), Failure::Configuration);
            assert_eq!(names(&place.inbox), [""; 0], "{way} {octets}");
            if let Some(tftpd) = &tftpd {
                assert_eq!(names(&tftpd.root), [""; 0], "{way} {octets}");
            }
        }
    }
}

#[test]
fn addresses_of_both_kinds_work() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return say("IPv6 was not tried: this host has no ::1");
    }
    let place = place();
    let sshd = Sshd::start_with(&place.path().join("sshd"), "ListenAddress ::1");
    let known = fs::read_to_string(sshd.known_hosts()).unwrap();
    fs::write(sshd.known_hosts(), known.replace("[127.0.0.1]", "[::1]")).unwrap();
    let url = format!("sftp://{}@[::1]:{}{}/", sshd::account(), sshd.port, place.url());
    let keys = format!(
        "identity = {:?}\nknown-hosts = {:?}",
        sshd.identity(),
        sshd.known_hosts()
    );
    for command in ["", "command = [\"ssh\", \"-F\", \"none\"]"] {
        let to = destination(&url, &format!("{keys}\n{command}"));
        let document = Document::new(place.path(), 1000 + command.len());
        let name = format!("a{}", command.len());
        put(&to, &document.shipment(&name)).unwrap_or_else(|e| panic!("{e}\n{}", sshd.log()));
        document.assert_is(&place.inbox.join(name));
    }
}

/// What `scp` would take a hundred connections for.
#[test]
fn many_documents_go_over_one_connection() {
    let place = place();
    let sshd = Sshd::start(&place.path().join("sshd"));
    let document = Document::new(place.path(), 1000);
    for scheme in ["sftp", "scp"] {
        let before = sshd.log().matches("Accepted publickey").count();
        let to = by_key(&sshd, &sshd::account(), scheme, sshd.port, &place.url(), "");
        let mut link = deliver::connect(&to).unwrap();
        for number in 0..100 {
            let receipt = link.put(&document.shipment(&format!("{scheme}{number}")), &mut |_| ());
            assert_eq!(receipt.unwrap().verified, Verified::Sha256);
        }
        assert_eq!(sshd.log().matches("Accepted publickey").count(), before + 1);
    }
    assert_eq!(names(&place.inbox).len(), 200);
    document.assert_is(&place.inbox.join("scp99"));
}

#[test]
fn nobody_there_is_unreachable() {
    let place = place();
    let port = support::free_port();
    let url = format!("sftp://a@127.0.0.1:{port}/");
    let document = Document::new(place.path(), 10);
    let error = put(&destination(&url, "password = \"hunter2\""), &document.shipment("a")).unwrap_err();
    assert_eq!(
        (error.failure(), error.exit()),
        (Failure::Unreachable, Exit::Unavailable),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .starts_with(&format!("billing (sftp://127.0.0.1:{port}): cannot connect")),
        "{error}"
    );
    // Something that takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("scp://a@127.0.0.1:{}/", silent.local_addr().unwrap().port());
    let begin = Instant::now();
    let error = put(
        &destination(&url, "password = \"hunter2\"\ntimeout = \"1s\""),
        &document.shipment("a"),
    )
    .unwrap_err();
    assert_eq!(error.failure(), Failure::Unreachable, "{error}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

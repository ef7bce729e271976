//! Proves to the server who we are: keys of the agent, the private key, the password.
//!
//! Each is tried once: servers count failures, and lock accounts.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::Path,
    time::Duration,
};

use nix::unistd::{User, geteuid};
use ssh2::{KeyboardInteractivePrompt, Prompt, Session};

use crate::{
    config::Secret,
    deliver::{DeliveryError, Destination, Failure, Result, error::said},
};

/// How many keys of an agent are shown to the server. OpenSSH's sshd ends the connection at the sixth failure.
const MOST_AGENT_KEYS: usize = 3;

pub fn log_in(session: &Session, destination: &Destination) -> Result<()> {
    let user = &destination.endpoint.user;
    // What is wrong with our own files comes first, before the server counts anything.
    let passphrase = reveal("passphrase", &destination.passphrase)?;
    let password = reveal("password", &destination.password)?;
    if let Some(identity) = &destination.identity {
        check_identity(identity)?;
    }
    let mut attempts = Attempts {
        session,
        user,
        offered: offered(session, user)?,
        refused: Vec::new(),
    };
    if destination.agent {
        attempts.agent(destination.identity.as_deref(), destination.timeout)?;
    }
    if let Some(identity) = &destination.identity {
        attempts.identity(identity, passphrase.as_deref())?;
    }
    if let Some(password) = &password {
        attempts.password(password)?;
    }
    attempts.outcome()
}

/// An encrypted secret is not asked for before it is needed.
fn reveal(key: &str, secret: &Option<Secret>) -> Result<Option<String>> {
    let revealed = secret.as_ref().map(Secret::reveal).transpose();
    revealed.map_err(|e| DeliveryError::new(Failure::Configuration, format!("{key}: {e}")))
}

/// A private key that others can read is no proof any more. As with ssh(1) a file of root's may be read by a group: what
/// lies in /etc for this program alone has to be.
pub fn check_identity(path: &Path) -> Result<()> {
    let refuse = |reason: String| DeliveryError::new(Failure::Configuration, format!("identity: {reason}"));
    let own = || match User::from_uid(geteuid()) {
        Ok(Some(user)) => user.name,
        _ => geteuid().to_string(),
    };
    let found = File::open(path).and_then(|file| file.metadata());
    let found = found.map_err(|e| {
        let error = refuse(format!("cannot read {}: {e}", path.display()));
        match e.kind() {
            io::ErrorKind::PermissionDenied => error.next(format!("chown {} {}", own(), path.display())),
            _ => error,
        }
    })?;
    let others = match found.uid() == geteuid().as_raw() {
        true => 0o077,
        false => 0o007,
    };
    match found.mode() & others {
        _ if !found.is_file() => Err(refuse(format!("{} is not a file", path.display()))),
        0 => Ok(()),
        _ => Err(refuse(format!(
            "others can read {} (mode {:04o})",
            path.display(),
            found.mode() & 0o7777
        ))
        .next(format!("chown {0} {1}; chmod 600 {1}", own(), path.display()))),
    }
}

/// What the server takes: `publickey,password`. Nothing, if it lets everybody in.
fn offered(session: &Session, user: &str) -> Result<String> {
    match session.auth_methods(user) {
        Ok(methods) => Ok(methods.to_owned()),
        Err(_) if session.authenticated() => Ok(String::new()),
        Err(e) => Err(DeliveryError::wire("asking how to log in", &e.into())),
    }
}

struct Attempts<'a> {
    session: &'a Session,
    user: &'a str,
    offered: String,
    /// What was tried, and came to nothing.
    refused: Vec<String>,
}

impl Attempts<'_> {
    fn wants(&self, method: &str) -> bool {
        !self.session.authenticated() && self.offered.split(',').any(|offered| offered == method)
    }

    /// A refusal is noted; anything else is the end of the connection.
    fn note(&mut self, what: String, result: std::result::Result<(), ssh2::Error>) -> Result<()> {
        let Err(e) = result else { return Ok(()) };
        match io::Error::from(ssh2::Error::new(e.code(), "")).kind() {
            io::ErrorKind::TimedOut => Err(DeliveryError::wire("logging in", &io::ErrorKind::TimedOut.into())),
            _ => {
                self.refused.push(format!("{what} ({})", said(e.message().as_bytes())));
                Ok(())
            }
        }
    }

    /// With an identity whose public half lies beside it, only that key of the agent.
    fn agent(&mut self, identity: Option<&Path>, limit: Duration) -> Result<()> {
        if !self.wants("publickey") {
            return Ok(());
        }
        if let Err(e) = agent_answers(limit) {
            let why = match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
                _ => e.to_string(),
            };
            self.refused.push(format!("agent ({why})"));
            return Ok(());
        }
        let wanted = identity.and_then(public_half);
        let list = || {
            let mut agent = self.session.agent()?;
            agent.connect()?;
            agent.list_identities()?;
            let keys = agent.identities()?;
            Ok((agent, keys))
        };
        let (agent, keys) = match list() {
            Ok(found) => found,
            Err(e) => return self.note("agent".to_owned(), Err(e)),
        };
        let mut fit = keys
            .iter()
            .filter(|key| wanted.as_ref().is_none_or(|wanted| key.blob() == wanted.as_slice()))
            .peekable();
        if fit.peek().is_none() {
            self.refused.push("agent (it has no key for this)".to_owned());
        }
        for key in fit.take(MOST_AGENT_KEYS) {
            if self.wants("publickey") {
                let what = format!("key {:?} of the agent", said(key.comment().as_bytes()));
                self.note(what, agent.userauth(self.user, key))?;
            }
        }
        Ok(())
    }

    fn identity(&mut self, identity: &Path, passphrase: Option<&str>) -> Result<()> {
        if !self.wants("publickey") {
            return Ok(());
        }
        let result = self.session.userauth_pubkey_file(self.user, None, identity, passphrase);
        self.note(format!("identity {}", identity.display()), result)
    }

    /// Once, by one method: two would count as two failures of the same account.
    fn password(&mut self, password: &str) -> Result<()> {
        if self.wants("password") {
            let result = self.session.userauth_password(self.user, password);
            self.note("password".to_owned(), result)
        } else if self.wants("keyboard-interactive") {
            let mut answer = Answer {
                password: Some(password),
            };
            let result = self.session.userauth_keyboard_interactive(self.user, &mut answer);
            self.note("password, asked for by a dialogue".to_owned(), result)
        } else {
            Ok(())
        }
    }

    fn outcome(self) -> Result<()> {
        if self.session.authenticated() {
            return Ok(());
        }
        let refused = match self.refused.is_empty() {
            true => "nothing that is configured could be tried".to_owned(),
            false => format!("tried without success: {}", self.refused.join(", ")),
        };
        let reason = format!(
            "the server does not let {} in; {refused}; it takes: {}",
            self.user,
            said(self.offered.as_bytes())
        );
        Err(DeliveryError::new(Failure::Login, reason))
    }
}

/// Asks the agent for its keys, with a time limit, which the library does not have: that of a session that is over may never
/// answer. Without an agent there is nothing to ask.
fn agent_answers(limit: Duration) -> io::Result<()> {
    /// SSH_AGENTC_REQUEST_IDENTITIES (draft-ietf-sshm-ssh-agent), with its length.
    const WHICH_KEYS: [u8; 5] = [0, 0, 0, 1, 11];
    let Some(socket) = std::env::var_os("SSH_AUTH_SOCK") else {
        return Ok(());
    };
    let mut agent = UnixStream::connect(socket)?;
    agent.set_read_timeout(Some(limit))?;
    agent.set_write_timeout(Some(limit))?;
    agent.write_all(&WHICH_KEYS)?;
    agent.read_exact(&mut [0; 5])
}

/// `identity.pub`, without its comment.
fn public_half(identity: &Path) -> Option<Vec<u8>> {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let mut path = identity.as_os_str().to_owned();
    path.push(".pub");
    let text = std::fs::read_to_string(path).ok()?;
    BASE64_STANDARD.decode(text.split_ascii_whitespace().nth(1)?).ok()
}

/// Answers one question whose answer is not shown, once. Whoever asks for more wants a second factor that is not here.
struct Answer<'a> {
    password: Option<&'a str>,
}

impl KeyboardInteractivePrompt for Answer<'_> {
    fn prompt(&mut self, _user: &str, _instructions: &str, prompts: &[Prompt<'_>]) -> Vec<String> {
        match prompts {
            [question] if !question.echo => vec![self.password.take().unwrap_or_default().to_owned()],
            questions => vec![String::new(); questions.len()],
        }
    }
}

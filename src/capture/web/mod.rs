//! The conversation with one device over HTTPS.
//!
//! Everything that a device sends is hostile until it is read: the conversation has one deadline for all of it, an
//! answer has a limit, redirections are not followed, the proxy settings of the environment are not used. What goes
//! wrong is told in words that name the device, and never with its password in it.

mod body;
mod names;
mod patience;
mod refusal;
mod scrub;

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    time::{Duration, Instant},
};

use chrono::{DateTime, Datelike, Utc};
use reqwest::{
    Method, Proxy,
    blocking::{Client, ClientBuilder, Response},
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, DATE, HeaderMap, HeaderValue, SET_COOKIE},
    redirect::Policy,
};

use super::SourceError;
use crate::{config::Device, tls};

pub use body::Body;
pub use patience::Patience;
pub use scrub::Scrubber;

/// Longest time that a connection may take to come about. Addresses that nobody answers for would use up all time else.
const CONNECT: Duration = Duration::from_secs(20);

/// Shorter values of cookies are settings, and words of our own sentences.
const SHORTEST_COOKIE: usize = 8;

/// A device that is being talked to, until the deadline.
pub struct Conversation {
    client: Client,
    base: String,
    /// `address:port`, for messages.
    shown: String,
    deadline: Instant,
    timeout: Duration,
    refusal: tls::Refusal,
    authorization: HeaderValue,
    scrubber: RefCell<Scrubber>,
    /// Whether there was any answer.
    answered: Cell<bool>,
}

/// What is asked.
#[derive(Debug, Default, Clone, Copy)]
pub struct Question<'a> {
    /// With a leading slash.
    pub path: &'a str,
    /// None: GET; else POST of this text/xml.
    pub body: Option<&'a [u8]>,
    /// The value of SOAPAction, quotes included.
    pub soap_action: Option<&'a str>,
    /// The value of Cookie. With one, name and password are not sent.
    pub cookie: Option<&'a str>,
    /// Octets that the answer may have.
    pub limit: u64,
}

/// The device's clock, where its answer tells it.
pub type Date = Option<DateTime<Utc>>;

/// What came back, whatever the status is.
pub struct Answer {
    pub status: u16,
    pub date: Date,
    /// Values of Set-Cookie.
    pub cookies: Vec<String>,
    pub body: Body,
}

impl Conversation {
    /// Looks up the device's name; nothing is sent to the device yet. The time of the whole conversation begins to run.
    ///
    /// # Errors
    /// What cannot be read on this side: the password's file, the CA file. A name that nobody knows.
    pub fn open(device: &Device) -> Result<Self, SourceError> {
        if device.tls.insecure {
            tracing::warn!(
                "{}: its certificate is not checked (tls_insecure): whoever stands between can read the password and \
                 change the usage",
                device.name
            );
        }
        let password = device.password.reveal().map_err(SourceError::Unavailable)?;
        let scrubber = Scrubber::new(&device.user, &password);
        let authorization = scrub::basic(&device.user, &password).map_err(SourceError::Unavailable)?;
        let tls::Client { config, refusal } = tls::client(&device.tls).map_err(SourceError::Unavailable)?;
        let host = refusal::host(&device.address);
        let shown = format!("{host}:{}", device.port);
        let deadline = Instant::now() + device.timeout.0;
        let client = addresses(device)
            .and_then(|addresses| {
                builder(device, &addresses)
                    .and_then(|builder| builder.tls_backend_preconfigured(config).build())
                    .map_err(|e| refusal::sentence(&e))
            })
            .map_err(|why| SourceError::Unavailable(format!("{shown}: {why}")))?;
        Ok(Conversation {
            client,
            base: format!("https://{host}:{}", device.port),
            shown,
            deadline,
            timeout: device.timeout.0,
            refusal,
            authorization,
            scrubber: RefCell::new(scrubber),
            answered: Cell::new(false),
        })
    }

    /// Asks once, and returns when the head of the answer is there.
    pub fn ask(&self, question: &Question<'_>) -> Result<Answer, SourceError> {
        let left = self.left()?;
        let method = if question.body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let mut request = self
            .client
            .request(method.clone(), format!("{}{}", self.base, question.path))
            .header(ACCEPT, "text/xml")
            .timeout(left);
        request = match question.cookie {
            Some(cookie) => {
                self.learn(cookie);
                request.header(COOKIE, sensitive(cookie)?)
            }
            None => request.header(AUTHORIZATION, self.authorization.clone()),
        };
        if let Some(action) = question.soap_action {
            request = request.header("SOAPAction", action);
        }
        if let Some(body) = question.body {
            request = request
                .header(CONTENT_TYPE, "text/xml;charset=UTF-8")
                .body(body.to_vec());
        }
        let response = request.send().map_err(|e| self.unanswered(&e))?;
        self.answered.set(true);
        let status = response.status().as_u16();
        tracing::debug!("{}: {method} {} {status}", self.shown, question.path);
        Ok(self.answer(response, question.limit))
    }

    fn answer(&self, response: Response, limit: u64) -> Answer {
        let headers = response.headers();
        let cookies: Vec<String> = headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect();
        cookies.iter().for_each(|cookie| self.learn(cookie));
        Answer {
            status: response.status().as_u16(),
            date: date(headers),
            cookies,
            body: Body::new(response, limit, self.deadline),
        }
    }

    /// What is left of the time.
    pub fn left(&self) -> Result<Duration, SourceError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.too_slow());
        }
        Ok(left)
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// A failure of this device, as a sentence that names it.
    pub fn unavailable(&self, why: impl std::fmt::Display) -> SourceError {
        SourceError::Unavailable(self.about(why))
    }

    /// The device refused us.
    pub fn denied(&self, why: impl std::fmt::Display) -> SourceError {
        SourceError::Denied(self.about(why))
    }

    /// The device's answer cannot be right.
    pub fn bad_data(&self, why: impl std::fmt::Display) -> SourceError {
        SourceError::BadData(self.about(why))
    }

    /// What went wrong while a body was read: our time limit, our size limit, or the connection.
    pub fn broken(&self, error: &std::io::Error) -> SourceError {
        if Instant::now() >= self.deadline || refusal::is_timeout(error) {
            return self.too_slow();
        }
        match body::is_limit(error) {
            true => self.bad_data(error),
            false => self.unavailable(format_args!("the answer broke off: {}", refusal::innermost(error))),
        }
    }

    /// `why` with the device's name before it and without its secrets.
    pub fn about(&self, why: impl std::fmt::Display) -> String {
        self.scrub(&format!("{}: {why}", self.shown))
    }

    /// `why`, all of it words of ours or without secrets already, with the device's name before it. Nothing is taken
    /// out: a password that is an ordinary word would be told by the gap it leaves.
    pub fn in_our_words(&self, why: impl std::fmt::Display) -> String {
        format!("{}: {why}", self.shown)
    }

    pub fn scrub(&self, text: &str) -> String {
        self.scrubber.borrow().scrub(text)
    }

    /// A session's cookie, `NAME=VALUE; …`, is as good as a password while the session lasts.
    fn learn(&self, cookie: &str) {
        let pair = cookie.split(';').next().unwrap_or_default();
        let value = pair
            .split_once('=')
            .map_or(pair, |(_, value)| value)
            .trim()
            .trim_matches('"');
        if value.len() >= SHORTEST_COOKIE {
            self.scrubber.borrow_mut().learn(value);
        }
    }

    fn too_slow(&self) -> SourceError {
        let what = match self.answered.get() {
            true => "has not answered all questions",
            false => "has answered nothing",
        };
        SourceError::Unavailable(self.in_our_words(format_args!(
            "{what} within {}; the limit is the device's timeout",
            humantime::format_duration(self.timeout)
        )))
    }

    fn unanswered(&self, error: &reqwest::Error) -> SourceError {
        if let Some(reason) = self.refusal.take() {
            return self.denied(reason);
        }
        if Instant::now() >= self.deadline {
            return self.too_slow();
        }
        if error.is_timeout() && error.is_connect() {
            return self.unavailable(format_args!("no connection within {} s", CONNECT.as_secs()));
        }
        self.unavailable(refusal::sentence(error))
    }
}

/// Of the device, or of the proxy, which looks up the device itself.
fn addresses(device: &Device) -> Result<Vec<SocketAddr>, String> {
    names::look_up(first_hop(device), CONNECT.min(device.timeout.0))
}

fn first_hop(device: &Device) -> &str {
    device.proxy.as_deref().map_or(device.address.as_str(), names::host_of)
}

fn builder(device: &Device, addresses: &[SocketAddr]) -> reqwest::Result<ClientBuilder> {
    let builder = Client::builder()
        .timeout(None)
        .connect_timeout(CONNECT.min(device.timeout.0))
        .redirect(Policy::none())
        .pool_max_idle_per_host(1)
        .http1_only()
        .tcp_nodelay(true)
        .user_agent(concat!("billdrop/", env!("CARGO_PKG_VERSION")))
        .no_proxy();
    // Where there are none, the host is an address itself.
    let builder = match addresses.is_empty() {
        true => builder,
        false => builder.resolve_to_addrs(first_hop(device), addresses),
    };
    match &device.proxy {
        Some(proxy) => Ok(builder.proxy(Proxy::https(proxy)?)),
        None => Ok(builder),
    }
}

fn sensitive(value: &str) -> Result<HeaderValue, SourceError> {
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| SourceError::BadData("the device's session cookie cannot be sent back".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// RFC 9110, section 5.6.7; only the form that servers write today.
fn date(headers: &HeaderMap) -> Date {
    let text = headers.get(DATE)?.to_str().ok()?;
    let date = DateTime::parse_from_rfc2822(text).ok()?.to_utc();
    // A clock that no record can tell costs none.
    (1..=9999).contains(&date.year()).then_some(date)
}

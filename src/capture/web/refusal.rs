//! Why a device could not be asked, in words for the operator.

use std::{error::Error, io};

/// The host as it stands in a URL.
pub(super) fn host(address: &str) -> String {
    match address.contains(':') && !address.starts_with('[') {
        true => format!("[{address}]"),
        false => address.to_owned(),
    }
}

/// One sentence of what went wrong, the innermost reason: the outer ones repeat the URL and say nothing.
pub(super) fn sentence(error: &reqwest::Error) -> String {
    let reason = innermost(error);
    match (error.is_connect(), error.is_builder()) {
        (true, _) if speaks_no_tls(&reason) => {
            format!("what answers does not speak TLS: {reason}; is the port right?")
        }
        (true, _) => format!("cannot connect: {reason}; does it run, and are address and port right?"),
        (false, true) => format!("cannot be asked: {reason}"),
        (false, false) => format!("its answer cannot be understood: {reason}"),
    }
}

fn speaks_no_tls(reason: &str) -> bool {
    reason.contains("corrupt message")
}

pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    // An error of ours inside an io::Error is the io::Error's own text, not its source.
    while let Some(source) = innermost.source().or_else(|| inner_of_io(innermost)) {
        innermost = source;
    }
    match innermost.to_string() {
        // rustls goes on with the address of its manual, and both libraries are the only ones to know the terms.
        text if text.contains("close_notify") => "the connection was cut".to_owned(),
        text if text.contains("before message length reached") => "it is shorter than announced".to_owned(),
        text if text.contains("before message completed") => "the connection was closed without one".to_owned(),
        text => text,
    }
}

fn inner_of_io<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
    Some(inner)
}

/// Whether a time limit was the reason, wherever in the chain it stands.
pub(super) fn is_timeout(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::TimedOut);
        if io
            || error
                .downcast_ref::<reqwest::Error>()
                .is_some_and(reqwest::Error::is_timeout)
        {
            return true;
        }
        next = error.source().or_else(|| inner_of_io(error));
    }
    false
}

//! TLS: whose certificate is believed.
//!
//! The work is rustls's; the rule is ours. By default a certificate must be issued by an authority that this system
//! trusts, for the address that was configured, as in a browser. Equipment seldom has one like that: it has a
//! certificate that it made itself, for a name of its own. So an operator can name a CA file, the certificate's
//! fingerprint, and the name that stands in it. Everything is checked in the handshake, before a password is sent.

mod trust;
mod verifier;

use std::sync::Arc;

use rustls::{ClientConfig, crypto::CryptoProvider};

use crate::config;

pub use verifier::Refusal;

/// TLS towards one peer: 1.2 or 1.3, certificates checked as configured.
pub struct Client {
    pub config: ClientConfig,
    /// Why the last handshake was refused by us.
    pub refusal: Refusal,
}

/// Makes ready what `tls` says.
///
/// # Errors
/// A sentence that names the file which cannot be read or holds no certificate.
pub fn client(tls: &config::Tls) -> Result<Client, String> {
    let provider = provider();
    let refusal = Refusal::default();
    let verifier = verifier::Verifier::new(trust::Trust::new(tls, &provider)?, &provider, refusal.clone());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Client { config, refusal })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests;

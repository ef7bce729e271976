//! TLS: whose certificate is believed.
//!
//! The work is rustls's; the rule is ours. By default a certificate must be issued by an authority that this system
//! trusts, for the address that was configured, as in a browser. Equipment seldom has one like that: it has a
//! certificate that it made itself, for a name of its own. So an operator can name a CA file, the certificate's
//! fingerprint, and the name that stands in it. Everything is checked in the handshake, before a password is sent.

mod server;
mod trust;
mod verifier;

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig,
    crypto::CryptoProvider,
    pki_types::{PrivateKeyDer, pem::PemObject},
};

use crate::config;

pub use server::server;
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
    client_with(tls, None)
}

/// The same, with a certificate of ours for a peer that wants to see one: its chain and its private key, both in PEM.
///
/// # Errors
/// Besides, when the files of the certificate cannot be read or do not belong together.
pub fn client_with(tls: &config::Tls, identity: Option<(&Path, &Path)>) -> Result<Client, String> {
    let provider = provider();
    let refusal = Refusal::default();
    let verifier = verifier::Verifier::new(trust::Trust::new(tls, &provider)?, &provider, refusal.clone());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let about = |file: &Path, why: String| format!("{}: {why}", file.display());
            let certificates = trust::certificates(chain)?;
            let private = trust::read(key)
                .and_then(|pem| {
                    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| "there is no private key in it (PEM)".to_owned())
                })
                .map_err(|e| about(key, e))?;
            let with = builder.with_client_auth_cert(certificates, private);
            with.map_err(|e| about(chain, format!("does not go with the private key: {e}")))?
        }
    };
    Ok(Client { config, refusal })
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

#[cfg(test)]
mod tests;

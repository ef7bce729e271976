//! TLS for those who connect to us.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::{provider, trust};

/// TLS 1.2 or 1.3 with a certificate of ours: its chain and its private key, both in PEM. With `client_ca`, whoever
/// connects must show a certificate that one of the authorities in that file has issued.
///
/// # Errors
/// A sentence that names the file which cannot be read, or holds not what it should.
pub fn server(chain: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Arc<ServerConfig>, String> {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| format!("TLS cannot be set up: {e}"))?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(trust::certificates(file)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|e| format!("{}: {e}", file.display()))?)
        }
    };
    let private = trust::read(key)
        .and_then(|pem| {
            PrivateKeyDer::from_pem_slice(&pem).map_err(|_| "there is no private key in it (PEM)".to_owned())
        })
        .map_err(|why| format!("{}: {why}", key.display()))?;
    builder
        .with_single_cert(trust::certificates(chain)?, private)
        .map(Arc::new)
        .map_err(|e| format!("{}: does not go with the private key: {e}", chain.display()))
}

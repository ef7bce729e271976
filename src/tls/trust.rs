//! The rule by which one peer's certificate is believed.

use std::{
    fs::File,
    io::Read,
    path::Path,
    sync::{Arc, OnceLock},
};

use rustls::{
    CertificateError, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};
use sha2::{Digest, Sha256};

use crate::config;

/// Longest CA file, in octets.
const LIMIT: u64 = 4 << 20;

/// What a certificate must fulfil.
#[derive(Debug)]
pub(super) struct Trust {
    insecure: bool,
    fingerprint: Option<[u8; 32]>,
    /// None: the fingerprint says it all.
    authority: Option<Authority>,
    name: Option<ServerName<'static>>,
    any_name: bool,
}

/// Those who may have issued it.
#[derive(Debug)]
enum Authority {
    /// Those that this system trusts.
    System(Arc<CryptoProvider>),
    File {
        /// The certificates of the CA file. A device's own may stand there: it is believed without an issuer.
        listed: Vec<CertificateDer<'static>>,
        chain: Option<Arc<WebPkiServerVerifier>>,
    },
}

impl Trust {
    pub(super) fn new(tls: &config::Tls, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let name = tls
            .name
            .as_deref()
            .map(|name| ServerName::try_from(name.to_owned()).map_err(|_| format!("{name:?} is no name of a host")))
            .transpose()?;
        let authority = match (&tls.ca, tls.insecure, tls.fingerprint) {
            (_, true, _) => None,
            (Some(file), false, _) => Some(Authority::of_file(file, provider)?),
            (None, false, Some(_)) => None,
            (None, false, None) => Some(Authority::System(provider.clone())),
        };
        Ok(Trust {
            insecure: tls.insecure,
            fingerprint: tls.fingerprint,
            authority,
            name,
            any_name: tls.any_name,
        })
    }

    /// Whether this certificate is believed; if not, why not, in words.
    pub(super) fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        address: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), String> {
        if self.insecure {
            return Ok(());
        }
        if let Some(wanted) = self.fingerprint
            && fingerprint(certificate) != wanted
        {
            return Err(format!(
                "its certificate has another fingerprint than configured. If the device itself shows this one, configure \
                 it: {}; otherwise somebody else answers in its place",
                shown(&fingerprint(certificate))
            ));
        }
        let Some(authority) = &self.authority else {
            return Ok(());
        };
        let name = self.name.as_ref().unwrap_or(address);
        authority.judge(certificate, intermediates, name, self.any_name, now).map_err(|why| {
            format!(
                "its certificate is not to be believed: {why}. Its SHA-256 fingerprint is {}; once you have compared \
                 that with the device's own, configure it (tls_fingerprint), or a CA file (tls_ca)",
                shown(&fingerprint(certificate))
            )
        })
    }
}

impl Authority {
    fn of_file(file: &Path, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let listed = certificates(file).map_err(|why| format!("CA file {why}"))?;
        let mut roots = RootCertStore::empty();
        // What cannot be an authority can still be the device's own certificate.
        roots.add_parsable_certificates(listed.iter().cloned());
        Ok(Authority::File {
            listed,
            chain: verifier_of(roots, provider)?,
        })
    }

    fn judge(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        any_name: bool,
        now: UnixTime,
    ) -> Result<(), String> {
        let chain = match self {
            Authority::File { listed, .. } if listed.iter().any(|listed| listed == certificate) => return Ok(()),
            Authority::File { chain, .. } => chain.as_ref(),
            Authority::System(provider) => system(provider),
        };
        let Some(chain) = chain else {
            return Err("there is no authority to compare it with".to_owned());
        };
        match chain.verify_server_cert(certificate, intermediates, name, &[], now) {
            Ok(_) => Ok(()),
            // The name is looked at last: all else is in order.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if any_name => Ok(()),
            Err(rustls::Error::InvalidCertificate(error)) => Err(reason(&error, name)),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The certificates of a PEM file, one at least.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let about = |why: String| format!("{}: {why}", file.display());
    let pem = read(file).map_err(about)?;
    let listed = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| about(format!("not PEM: {e}")))?;
    match listed.is_empty() {
        true => Err(about(
            "there is no certificate in it (PEM, BEGIN CERTIFICATE)".to_owned(),
        )),
        false => Ok(listed),
    }
}

/// A whole file of certificates or of a key.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, String> {
    let mut pem = Vec::new();
    File::open(file)
        .and_then(|file| file.take(LIMIT + 1).read_to_end(&mut pem))
        .map_err(|e| e.to_string())?;
    match pem.len() as u64 > LIMIT {
        true => Err(format!("longer than {LIMIT} octets")),
        false => Ok(pem),
    }
}

fn verifier_of(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<WebPkiServerVerifier>>, String> {
    if roots.is_empty() {
        return Ok(None);
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map(Some)
        .map_err(|e| format!("TLS cannot be set up: {e}"))
}

/// Read once, and not before it is needed: there may be hundreds of devices, and more than a hundred authorities.
fn system(provider: &Arc<CryptoProvider>) -> Option<&'static Arc<WebPkiServerVerifier>> {
    static SYSTEM: OnceLock<Option<Arc<WebPkiServerVerifier>>> = OnceLock::new();
    SYSTEM
        .get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            verifier_of(roots, provider).ok().flatten()
        })
        .as_ref()
}

fn reason(error: &CertificateError, name: &ServerName<'_>) -> String {
    match error {
        CertificateError::UnknownIssuer => "no authority that is trusted here has issued it".to_owned(),
        CertificateError::BadSignature => {
            "an authority is trusted here under the same name, but it has not signed it; has it been made anew?"
                .to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; is this host's clock right?".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "it is not made out for {} (tls_name can name the one that stands in it)",
            name.to_str()
        ),
        // webpki's way to say that a certificate which may issue others is shown as a device's own.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the device has issued it for itself".to_owned()
        }
        other => other.to_string(),
    }
}

pub(super) fn fingerprint(certificate: &CertificateDer<'_>) -> [u8; 32] {
    Sha256::digest(certificate).into()
}

/// As `openssl x509 -fingerprint` writes it.
fn shown(fingerprint: &[u8; 32]) -> String {
    let pairs: Vec<String> = fingerprint.iter().map(|octet| format!("{octet:02X}")).collect();
    pairs.join(":")
}

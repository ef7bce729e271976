//! A CA of this run, and a certificate for each device.

use std::net::IpAddr;
use std::sync::Arc;

use chrono::{Datelike, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, Error, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

use crate::credentials::hex;
use crate::device::{Certificate, Device};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What a device listens with.
pub struct Identity {
    pub tls: Arc<ServerConfig>,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
}

impl Authority {
    pub fn new() -> Result<Self, Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        name(&mut params, "Simulators CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Authority(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// For a device that listens on `address`.
    pub fn identity(&self, device: &Device, address: IpAddr) -> Result<Identity, Box<dyn std::error::Error>> {
        let names = match device.certificate {
            Certificate::WrongName => vec!["elsewhere.example.com".to_owned()],
            _ => vec![
                "127.0.0.1".into(),
                "::1".into(),
                "localhost".into(),
                address.to_string(),
            ],
        };
        let mut params = CertificateParams::new(names)?;
        name(&mut params, &device.name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if device.certificate == Certificate::Expired {
            params.not_before = date_time_ymd(2015, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let key = KeyPair::generate()?;
        let certificate = if device.certificate == Certificate::SelfSigned {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages.push(KeyUsagePurpose::KeyCertSign);
            params.self_signed(&key)?
        } else {
            params.signed_by(&key, &self.0)?
        };
        let der: CertificateDer<'static> = certificate.into();
        let fingerprint = hex(&Sha256::digest(&der));
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let tls = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![der], key)?;
        Ok(Identity {
            tls: Arc::new(tls),
            fingerprint,
        })
    }
}

/// Good from last year to the year after next.
fn name(params: &mut CertificateParams, common_name: &str) {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let year = Utc::now().year();
    params.not_before = date_time_ymd(year - 1, 1, 1);
    params.not_after = date_time_ymd(year + 2, 1, 1);
}

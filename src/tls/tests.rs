//! Handshakes in memory: our client's side, and a server with each kind of certificate that equipment has.

use std::io::Write;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConnection, ServerConfig, ServerConnection};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::client;
use crate::config::Tls;

/// A server's certificate with its key.
struct Identity {
    certificate: CertificateDer<'static>,
    pem: String,
    key: PrivateKeyDer<'static>,
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

/// As equipment makes it for itself: one that may issue others, too.
fn of_equipment() -> Identity {
    let mut params = params(&["cucm.example.net"]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Identity {
        certificate: certificate.der().clone(),
        pem: certificate.pem(),
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = params(&[]);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued(params: &CertificateParams, by: &CertifiedIssuer<'static, KeyPair>) -> Identity {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    Identity {
        certificate: certificate.der().clone(),
        pem: certificate.pem(),
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    }
}

fn file(pem: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(pem.as_bytes()).unwrap();
    file
}

fn fingerprint(identity: &Identity) -> [u8; 32] {
    Sha256::digest(&identity.certificate).into()
}

/// Why the handshake fails, if it does.
fn handshake(tls: &Tls, address: &str, identity: &Identity) -> Result<(), String> {
    let ours = client(tls)?;
    let server = ServerConfig::builder_with_provider(super::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![identity.certificate.clone()], identity.key.clone_key())
        .unwrap();
    let name = ServerName::try_from(address.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(ours.config), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut octets = Vec::new();
        client.write_tls(&mut octets).unwrap();
        server.read_tls(&mut &octets[..]).unwrap();
        server.process_new_packets().map_err(|e| e.to_string())?;
        octets.clear();
        server.write_tls(&mut octets).unwrap();
        client.read_tls(&mut &octets[..]).unwrap();
        client
            .process_new_packets()
            .map_err(|e| ours.refusal.take().unwrap_or(e.to_string()))?;
    }
    Ok(())
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused_with_its_fingerprint() {
    let device = of_equipment();
    let reason = handshake(&Tls::default(), "10.0.0.1", &device).unwrap_err();
    let octets: Vec<String> = fingerprint(&device).iter().map(|o| format!("{o:02X}")).collect();
    assert!(reason.contains(&octets.join(":")), "{reason}");
    assert!(
        reason.contains("tls_fingerprint") && reason.contains("tls_ca"),
        "{reason}"
    );
}

#[test]
fn a_device_s_own_certificate_is_believed_by_its_fingerprint_and_by_its_file() {
    let device = of_equipment();
    let pinned = Tls {
        fingerprint: Some(fingerprint(&device)),
        ..Tls::default()
    };
    handshake(&pinned, "10.0.0.1", &device).unwrap();
    let exported = file(&device.pem);
    let listed = Tls {
        ca: Some(exported.path().to_owned()),
        ..Tls::default()
    };
    handshake(&listed, "10.0.0.1", &device).unwrap();
    let other = of_equipment();
    let reason = handshake(&pinned, "10.0.0.1", &other).unwrap_err();
    assert!(reason.contains("another fingerprint than configured"), "{reason}");
    handshake(&listed, "10.0.0.1", &other).unwrap_err();
}

#[test]
fn an_authority_s_certificate_must_be_for_the_address_or_the_configured_name() {
    let authority = authority();
    let device = issued(&params(&["cucm.example.net"]), &authority);
    let pem = file(&authority.pem());
    let mut tls = Tls {
        ca: Some(pem.path().to_owned()),
        ..Tls::default()
    };
    handshake(&tls, "cucm.example.net", &device).unwrap();
    let reason = handshake(&tls, "10.0.0.1", &device).unwrap_err();
    assert!(
        reason.contains("not made out for 10.0.0.1") && reason.contains("tls_name"),
        "{reason}"
    );
    tls.name = Some("cucm.example.net".to_owned());
    handshake(&tls, "10.0.0.1", &device).unwrap();
    handshake(&tls, "10.0.0.1", &issued(&params(&["10.0.0.1"]), &authority)).unwrap_err();
}

#[test]
fn an_expired_certificate_is_refused() {
    let authority = authority();
    let mut old = params(&["10.0.0.1"]);
    old.not_before = date_time_ymd(2019, 1, 1);
    old.not_after = date_time_ymd(2020, 1, 1);
    let pem = file(&authority.pem());
    let tls = Tls {
        ca: Some(pem.path().to_owned()),
        ..Tls::default()
    };
    let reason = handshake(&tls, "10.0.0.1", &issued(&old, &authority)).unwrap_err();
    assert!(reason.contains("it has expired"), "{reason}");
}

#[test]
fn a_ca_file_and_a_fingerprint_must_both_hold() {
    let authority = authority();
    let device = issued(&params(&["10.0.0.1"]), &authority);
    let pem = file(&authority.pem());
    let both = |fingerprint| Tls {
        ca: Some(pem.path().to_owned()),
        fingerprint: Some(fingerprint),
        ..Tls::default()
    };
    handshake(&both(fingerprint(&device)), "10.0.0.1", &device).unwrap();
    handshake(&both([7; 32]), "10.0.0.1", &device).unwrap_err();
    let stranger = of_equipment();
    handshake(&both(fingerprint(&stranger)), "10.0.0.1", &stranger).unwrap_err();
}

#[test]
fn whoever_wants_no_check_gets_none() {
    let insecure = Tls {
        insecure: true,
        ..Tls::default()
    };
    handshake(&insecure, "10.0.0.1", &of_equipment()).unwrap();
}

#[test]
fn a_ca_file_without_a_certificate_is_refused_by_its_name() {
    let empty = file("");
    let key = file(&KeyPair::generate().unwrap().serialize_pem());
    for pem in [&empty, &key] {
        let tls = Tls {
            ca: Some(pem.path().to_owned()),
            ..Tls::default()
        };
        let reason = client(&tls).map(drop).unwrap_err();
        assert!(reason.contains(pem.path().to_str().unwrap()), "{reason}");
    }
}

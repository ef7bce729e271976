//! TLS, both ways.

use std::{io::Write, net::TcpListener, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConnection, ServerConnection, StreamOwned, pki_types::ServerName};

use super::*;
use crate::{
    config,
    protocol::ipdr::{ConnectResponse, Frame},
    tls,
};

/// An authority, and files of certificates for 127.0.0.1 that it has issued.
struct Files {
    directory: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Files {
    fn new() -> Files {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = Files {
            directory: tempfile::tempdir().unwrap(),
            authority,
        };
        std::fs::write(files.path("ca.pem"), files.authority.pem()).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Certificate and key.
    fn issue(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        let paths = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        std::fs::write(&paths.0, certificate.pem()).unwrap();
        std::fs::write(&paths.1, key.serialize_pem()).unwrap();
        paths
    }

    fn trust(&self) -> config::Tls {
        config::Tls {
            ca: Some(self.path("ca.pem")),
            ..config::Tls::default()
        }
    }
}

/// Sends and receives over any stream.
fn exchange(stream: &mut (impl Read + Write), send: &[(u8, Body)], until: fn(&Body) -> bool) -> Vec<Body> {
    for (session, body) in send {
        let mut octets = Vec::new();
        Message::new(*session, body.clone()).encode(&mut octets).unwrap();
        stream.write_all(&octets).unwrap();
    }
    let mut reader = FrameReader::new(1 << 20);
    let mut received = Vec::new();
    loop {
        let mut octets = [0];
        stream.read_exact(&mut octets).unwrap();
        let frame: Option<Frame<'_>> = reader.read(&mut octets.as_slice()).unwrap();
        if let Some(frame) = frame {
            received.push(Message::decode(&frame).unwrap().body);
            if received.last().is_some_and(until) {
                return received;
            }
        }
    }
}

#[test]
fn a_collector_connects_by_tls_and_takes_a_document() {
    let files = Files::new();
    let (certificate, key) = files.issue("exporter");
    let secure = Settings {
        tls: Some(ListenerTls {
            certificate,
            key,
            client_ca: None,
        }),
        ..settings(&[(1, 1)])
    };
    let mut stage = Stage::new(secure, vec![session(1)]);
    stage.document(0, 5000);
    let client = tls::client(&files.trust()).unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let session = ClientConnection::new(Arc::new(client.config), name).unwrap();
    let mut stream = StreamOwned::new(session, dial(address(1), stage.at));
    exchange(&mut stream, &[(0, connect(0))], |body| {
        matches!(body, Body::ConnectResponse(_))
    });
    exchange(&mut stream, &[(1, Body::FlowStart)], |body| {
        matches!(body, Body::TemplateData(_))
    });
    let mut send = vec![(1, Body::FinalTemplateDataAck)];
    let mut received = 0;
    while received < 5000 {
        let bodies = exchange(
            &mut stream,
            &send,
            |body| matches!(body, Body::Data(data) if data.sequence % 200 == 199),
        );
        received += bodies.iter().filter(|body| matches!(body, Body::Data(_))).count() as u64;
        let sequence = received - 1;
        send = vec![(1, Body::DataAck { config_id: 0, sequence })];
    }
    exchange(&mut stream, &send, |body| matches!(body, Body::SessionStop { .. }));
    assert_eq!(stage.until_delivered(), (5000, 0));
}

#[test]
fn who_speaks_no_tls_or_has_no_certificate_gets_nothing() {
    let files = Files::new();
    let (certificate, key) = files.issue("exporter");
    let secure = Settings {
        tls: Some(ListenerTls {
            certificate,
            key,
            client_ca: Some(files.path("ca.pem")),
        }),
        ..settings(&[(1, 1)])
    };
    let stage = Stage::new(secure, vec![session(1)]);
    let mut plain = Collector::silent(&stage, 1);
    plain.send(0, connect(0));
    let mut answer = Vec::new();
    // An alert at most.
    let _ = plain.socket.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");
    let (chain, own_key) = files.issue("collector");
    for identity in [None, Some((chain.as_path(), own_key.as_path()))] {
        let client = tls::client_with(&files.trust(), identity).unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let session = ClientConnection::new(Arc::new(client.config), name).unwrap();
        let mut stream = StreamOwned::new(session, dial(address(1), stage.at));
        let mut hello = Vec::new();
        Message::new(0, connect(0)).encode(&mut hello).unwrap();
        let answer = stream.write_all(&hello).and_then(|()| stream.read(&mut [0]));
        assert_eq!(answer.is_ok_and(|octets| octets == 1), identity.is_some());
    }
}

#[test]
fn a_collector_is_dialled_by_tls_if_its_certificate_is_believed() {
    let files = Files::new();
    let (certificate, key) = files.issue("collector");
    let server = tls::server(&certificate, &key, None).unwrap();
    for (trust, is_believed) in [(files.trust(), true), (config::Tls::default(), false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut dialling = settings(&[(1, 1)]);
        dialling.collectors[0].dial = Some(Dial {
            to: listener.local_addr().unwrap(),
            from: None,
            tls: Some(DialTls { trust, identity: None }),
        });
        let stage = Stage::new(dialling, vec![session(1)]);
        let session = ServerConnection::new(Arc::clone(&server)).unwrap();
        let mut stream = StreamOwned::new(session, listener.accept().unwrap().0);
        if !is_believed {
            assert!(stream.read(&mut [0]).is_err());
            let reason = stage.until(|event| match event {
                Event::CannotConnect { reason, .. } => Some(reason.clone()),
                _ => None,
            });
            assert!(reason.contains("certificate is not to be believed"), "{reason}");
            continue;
        }
        exchange(&mut stream, &[], |body| matches!(body, Body::Connect(_)));
        let response = ConnectResponse {
            capabilities: Capabilities(0),
            keep_alive_seconds: 60,
            vendor: String::new(),
        };
        let send = [(0, Body::ConnectResponse(response)), (1, Body::FlowStart)];
        exchange(&mut stream, &send, |body| matches!(body, Body::TemplateData(_)));
    }
}

#[test]
fn a_certificate_that_cannot_be_read_is_told_by_its_file() {
    let files = Files::new();
    let secure = Settings {
        tls: Some(ListenerTls {
            certificate: files.path("none.pem"),
            key: files.path("none.key"),
            client_ca: None,
        }),
        ..settings(&[])
    };
    struct Nobody;
    impl Watch for Nobody {
        fn event(&self, _: &Event) {}
        fn snapshot(&self, _: &Snapshot) {}
    }
    let refused = Exporter::new(secure, Vec::new(), Inbox::new().unwrap(), Box::new(Nobody))
        .err()
        .unwrap();
    assert!(refused.to_string().contains("none.key"), "{refused}");
}

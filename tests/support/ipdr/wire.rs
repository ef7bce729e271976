//! The transport of a connection: TCP with a source address and a receive buffer of choice, or TLS above it.

use std::{
    fs::File,
    io::{self, BufReader, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

use super::script::{Script, Tape};

/// How long a read waits before the timers are looked at.
const TICK: Duration = Duration::from_millis(5);

pub struct Wire {
    stream: Stream,
    tape: Option<Tape>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Connects from this address.
    pub fn dial(source: IpAddr, to: SocketAddr, script: &Script) -> io::Result<Self> {
        let family = if to.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        if let Some(octets) = script.receive_buffer {
            sockopt::set_socket_recv_buffer_size(&socket, octets)?;
        }
        bind(&socket, &SocketAddr::new(source, 0))?;
        connect(&socket, &to)?;
        Wire::over(TcpStream::from(socket), script)
    }

    /// Over a connection that is there.
    pub fn over(socket: TcpStream, script: &Script) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TICK))?;
        let Some((authority, identity)) = &script.tls else {
            return Ok(Wire {
                stream: Stream::Plain(socket),
                tape: script.tape.clone(),
            });
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(authority).map_err(io::Error::other)? {
            roots
                .add(certificate.map_err(io::Error::other)?)
                .map_err(io::Error::other)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_reader_iter(BufReader::new(File::open(certificate)?))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(io::Error::other)?;
                let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
                config.with_client_auth_cert(chain, key).map_err(io::Error::other)?
            }
        };
        let name = ServerName::from(socket.peer_addr()?.ip());
        let connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        Ok(Wire {
            stream: Stream::Tls(Box::new(StreamOwned::new(connection, socket))),
            tape: script.tape.clone(),
        })
    }

    /// Some octets; none when nothing has come for a tick. The end is an error.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.stream {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        };
        match read {
            Ok(0) => Err(io::Error::new(ErrorKind::UnexpectedEof, "closed by the exporter")),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(0),
            Ok(read) => {
                self.record(true, &buffer[..read]);
                Ok(read)
            }
            Err(error) => Err(error),
        }
    }

    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.record(false, octets);
        match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(octets),
            Stream::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
        }
    }

    fn record(&self, is_theirs: bool, octets: &[u8]) {
        if let Some(tape) = &self.tape {
            tape.lock().unwrap().push((is_theirs, octets.to_vec()));
        }
    }

    fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    pub fn local_address(&self) -> SocketAddr {
        self.socket().local_addr().unwrap()
    }

    /// Little waits in the kernel from now on.
    pub fn narrow(&self) {
        sockopt::set_socket_recv_buffer_size(self.socket(), 1024).unwrap();
    }

    /// Torn down, not closed.
    pub fn reset(self) {
        let _ = sockopt::set_socket_linger(self.socket(), Some(Duration::ZERO));
    }
}

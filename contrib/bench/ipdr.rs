//! For `contrib/bench/ipdr`:
//!
//! * `ipdr fill DIRECTORY RECORDS` puts a document of SAMIS-TYPE-1 records into a session's store.
//! * `ipdr collect ADDRESS:PORT SESSION RECORDS` is a collector that only reads; prints the seconds from SESSION_START to the
//!   last record.
//! * `ipdr slow ADDRESS:PORT SESSION` is one with a receive buffer of 1 kB that reads a few octets at a time, for ever.
//! * `ipdr stream RECORDS` writes the same messages to standard output, `ipdr sink ADDRESS:PORT RECORDS` reads them from one
//!   connection as the collector does.

use std::{
    error::Error,
    io::{self, BufWriter, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use billdrop::{
    deliver::ipdr::store::{Meta, Store},
    protocol::ipdr::{
        Body, Capabilities, Connect, DocumentIdForm, FrameReader, Message, RecordEncoder, Template, TemplateNames,
    },
    record::{Record, SAMIS_TYPE_1, Text, Value},
};
use chrono::{DateTime, Utc};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["fill", directory, records] => fill(Path::new(directory), records.parse()?),
        ["stream", records] => stream(records.parse()?),
        ["collect", address, session, records] => collect(address.parse()?, session.parse()?, records.parse()?),
        ["slow", address, session] => slow(address.parse()?, session.parse()?),
        ["sink", address, records] => sink(address.parse()?, records.parse()?),
        _ => Err("ipdr fill | collect | slow | stream | sink".into()),
    }
}

/// As long as those of a real CMTS: 191 octets on average.
fn record(number: u64) -> Record {
    let text = |text: &str| Value::Text(Text::new(text).expect("it is printable"));
    let number32 = number as u32;
    Record {
        definition: &SAMIS_TYPE_1,
        values: vec![
            text("cmts"),
            Value::UnsignedInt(65_489_981),
            Value::Ipv4([192, 0, 2, 1].into()),
            Value::Absent,
            text("cable-mac 1"),
            Value::UnsignedInt(0x2000_0002),
            Value::MacAddress([0, 0, 0x5e, 0, (number >> 8) as u8, number as u8]),
            Value::Ipv4([192, 0, 2, 82].into()),
            Value::Absent,
            Value::Absent,
            Value::Int(2),
            Value::Int(8),
            Value::DateTime(DateTime::UNIX_EPOCH),
            Value::Int(1),
            Value::DateTime(DateTime::UNIX_EPOCH),
            Value::Octets(vec![1, 2, 3]),
            Value::UnsignedInt(0),
            Value::Boolean(false),
            Value::UnsignedInt(number32),
            Value::UnsignedInt(0),
            text(""),
            Value::Int(1),
            Value::UnsignedLong(number * 1000),
            Value::UnsignedLong(number),
            Value::UnsignedInt(0),
            Value::UnsignedInt(0),
            Value::UnsignedInt(40_543),
            Value::UnsignedInt(654_494),
        ],
    }
}

fn template() -> Result<Template, Box<dyn Error>> {
    Ok(Template::of(&SAMIS_TYPE_1, 1, TemplateNames::of(&SAMIS_TYPE_1))?)
}

fn fill(directory: &Path, records: u64) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(directory)?;
    let (store, _) = Store::open(directory)?;
    let template = template()?;
    let encoder = RecordEncoder::new(&SAMIS_TYPE_1, 1, 0, &template)?;
    let number = store.waiting().documents;
    let now = Utc::now();
    let mut writing = store.begin(Meta {
        id: DocumentIdForm::TimeNumberMac.make(now.timestamp() as u32, number, [0, 0, 0x5e, 0, 0x53, 0x21]),
        created: now,
        config_id: 0,
        template: Arc::new(template),
    })?;
    let mut octets = Vec::new();
    for number in 0..records {
        octets.clear();
        encoder.append_values(&mut octets, &record(number))?;
        writing.push(&octets)?;
    }
    writing.seal(true, &[])?;
    Ok(())
}

fn stream(records: u64) -> Result<(), Box<dyn Error>> {
    let encoder = RecordEncoder::new(&SAMIS_TYPE_1, 1, 0, &template()?)?;
    let mut out = BufWriter::with_capacity(1 << 20, io::stdout().lock());
    let mut octets = Vec::new();
    for number in 0..records {
        octets.clear();
        encoder.append(&mut octets, number, false, &record(number))?;
        out.write_all(&octets)?;
    }
    Ok(out.flush()?)
}

fn say(mut socket: &TcpStream, session_id: u8, body: Body) -> Result<(), Box<dyn Error>> {
    let mut octets = Vec::new();
    Message { session_id, body }.encode(&mut octets)?;
    Ok(socket.write_all(&octets)?)
}

fn connect(socket: &TcpStream, address: [u8; 4]) -> Result<(), Box<dyn Error>> {
    socket.set_nodelay(true)?;
    let connect = Connect {
        address,
        port: 0,
        capabilities: Capabilities(Capabilities::MULTISESSION.0),
        keep_alive_seconds: 300,
        vendor: "bench".to_owned(),
    };
    say(socket, 0, Body::Connect(connect))
}

/// What is no DATA: answered as a collector does.
fn answer(socket: &TcpStream, session: u8, body: Body) -> Result<(), Box<dyn Error>> {
    match body {
        Body::ConnectResponse(_) => say(socket, session, Body::FlowStart),
        Body::TemplateData(_) => say(socket, session, Body::FinalTemplateDataAck),
        Body::Error { description, .. } => Err(description.into()),
        _ => Ok(()),
    }
}

/// Reads until so many records of the session have come. What DATA holds is not looked at.
fn read(mut socket: &TcpStream, session: u8, records: u64) -> Result<Duration, Box<dyn Error>> {
    let mut reader = FrameReader::new(1 << 20);
    let mut octets = vec![0; 1 << 20];
    let (mut began, mut received) = (Instant::now(), 0);
    while received < records {
        let read = socket.read(&mut octets)?;
        if read == 0 {
            return Err("the exporter has closed the connection".into());
        }
        let mut rest = &octets[..read];
        while let Some(frame) = reader.read(&mut rest)? {
            if frame.header.message_id == 0x20 {
                received += u64::from(frame.header.session_id == session);
                continue;
            }
            let body = Message::decode(&frame)?.body;
            if matches!(body, Body::SessionStart(_)) {
                began = Instant::now();
            }
            answer(socket, session, body)?;
        }
    }
    Ok(began.elapsed())
}

fn collect(address: SocketAddr, session: u8, records: u64) -> Result<(), Box<dyn Error>> {
    let socket = TcpStream::connect(address)?;
    connect(&socket, [127, 0, 0, 1])?;
    let took = read(&socket, session, records)?;
    println!("{:.3}", took.as_secs_f64());
    let sequence = records - 1;
    say(&socket, session, Body::DataAck { config_id: 0, sequence })
}

fn sink(address: SocketAddr, records: u64) -> Result<(), Box<dyn Error>> {
    let (socket, _) = TcpListener::bind(address)?.accept()?;
    read(&socket, 1, records)?;
    Ok(())
}

fn slow(address: SocketAddr, session: u8) -> Result<(), Box<dyn Error>> {
    let socket = TcpStream::connect(address)?;
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 1024)?;
    connect(&socket, [127, 0, 0, 2])?;
    let mut reader = FrameReader::new(1 << 20);
    let mut octets = [0; 256];
    loop {
        let read = (&socket).read(&mut octets)?;
        if read == 0 {
            return Ok(());
        }
        let mut rest = &octets[..read];
        while let Some(frame) = reader.read(&mut rest)? {
            if frame.header.session_id == session || frame.header.message_id != 0x20 {
                match Message::decode(&frame)?.body {
                    Body::Data(data) if data.sequence % 50 == 0 => {
                        let sequence = data.sequence;
                        say(&socket, session, Body::DataAck { config_id: 0, sequence })?;
                    }
                    body => answer(&socket, session, body)?,
                }
            }
        }
    }
}

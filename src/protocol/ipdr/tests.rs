//! Octets that real peers sent, octets of the specification's examples, and octets of nobody.

mod exchange;
mod hostile;
mod records;

use super::*;

/// Octets from hexadecimal digits, blanks between them ignored, and texts in quotation marks.
fn octets(notation: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for (index, piece) in notation.split('"').enumerate() {
        if index % 2 == 1 {
            octets.extend_from_slice(piece.as_bytes());
            continue;
        }
        let digits: Vec<u8> = piece.bytes().filter(|octet| !octet.is_ascii_whitespace()).collect();
        for pair in digits.chunks(2) {
            let pair = std::str::from_utf8(pair).unwrap();
            octets.push(u8::from_str_radix(pair, 16).unwrap());
        }
    }
    octets
}

/// The one message that `octets` are.
#[track_caller]
fn message(octets: &[u8]) -> Message {
    decode(octets).unwrap()
}

#[track_caller]
fn decode(octets: &[u8]) -> Result<Message, DecodeError> {
    let mut rest = octets;
    let mut reader = FrameReader::new(u32::MAX);
    let frame = reader.read(&mut rest).unwrap().expect("the message is not whole");
    let message = Message::decode(&frame);
    assert!(rest.is_empty(), "{} octets behind the message", rest.len());
    message
}

fn encode(message: &Message) -> Vec<u8> {
    let mut out = Vec::new();
    message.encode(&mut out).unwrap();
    out
}

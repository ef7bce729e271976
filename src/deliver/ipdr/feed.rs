//! From the store into the output of a connection: the inner loop. A record is copied twice, from its file and into the
//! output, and nothing is allocated for it.

use std::io;

use super::{
    connection::{Connection, HIGH},
    store::{self, Damaged, Reader, Store, Stored},
};
use crate::protocol::ipdr::{Outgoing, VERSION};

/// Octets that one session gives one connection at a time: others have their turn, too.
const PORTION: usize = 128 << 10;

/// DATA before its record: header, templateId, configId, flags, sequenceNum, length of the record (IPDR/SP 2.1 §8).
const HEAD: usize = 8 + 2 + 2 + 1 + 8 + 4;

/// Brings the records of one document, in order from any of them.
#[derive(Debug, Default)]
pub(super) struct Feed {
    reader: Option<Reader>,
    /// Given out by the session, and not sent yet.
    pending: Option<Outgoing>,
}

/// Why no more records came.
#[derive(Debug)]
pub(super) enum Stopped {
    /// The session gives no more now.
    Enough,
    /// There is more, and it is for the next turn.
    Portion,
    /// These cannot be read, ever.
    Damaged(Damaged),
    /// The disk cannot be read now.
    Trouble(io::Error),
}

impl Feed {
    /// Another document, or another collector.
    pub(super) fn reset(&mut self) {
        *self = Feed::default();
    }

    /// Appends records as DATA, as `next` gives them out.
    pub(super) fn fill(
        &mut self,
        connection: &mut Connection,
        session: (usize, u8),
        document: &Stored,
        store: &Store,
        mut next: impl FnMut() -> Option<Outgoing>,
    ) -> Stopped {
        let head = head(
            if connection.writes_zero { 0 } else { session.1 },
            document.template.template_id,
            document.config_id,
        );
        let begin = connection.wire.appended();
        loop {
            if connection.wire.queued() >= HIGH || connection.wire.appended() - begin >= PORTION as u64 {
                return Stopped::Portion;
            }
            let Some(outgoing) = self.pending.take().or_else(&mut next) else {
                return Stopped::Enough;
            };
            match self.record(document.number, outgoing.sequence, store) {
                Ok(record) => {
                    put(connection.wire.out(), &head, outgoing, record);
                    connection.mark(session.0, outgoing.sequence);
                }
                Err(error) => {
                    self.reader = None;
                    return match store::damaged(&error) {
                        Some(damaged) => Stopped::Damaged(damaged.clone()),
                        None => {
                            self.pending = Some(outgoing);
                            Stopped::Trouble(error)
                        }
                    };
                }
            }
        }
    }

    #[inline]
    fn record(&mut self, number: u64, sequence: u64, store: &Store) -> io::Result<&[u8]> {
        if self.reader.as_ref().is_none_or(|reader| reader.position() != sequence) {
            let reader = store.reader(number, sequence).map_err(io::Error::other)?;
            self.reader = Some(reader);
        }
        let Some(reader) = &mut self.reader else {
            return Err(io::ErrorKind::NotFound.into());
        };
        reader.next_record()?.ok_or_else(|| {
            let reason = format!("record {sequence} of document {number} is not there");
            io::Error::new(io::ErrorKind::NotFound, reason)
        })
    }
}

fn head(session_id: u8, template_id: u16, config_id: u16) -> [u8; HEAD] {
    const DATA: u8 = 0x20;
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&[VERSION, DATA, session_id, 0]);
    head[8..10].copy_from_slice(&template_id.to_be_bytes());
    head[10..12].copy_from_slice(&config_id.to_be_bytes());
    head
}

#[inline]
fn put(out: &mut Vec<u8>, head: &[u8; HEAD], outgoing: Outgoing, record: &[u8]) {
    // The store takes no record that does not fit into a message.
    let length = record.len() as u32;
    let mut head = *head;
    head[4..8].copy_from_slice(&(HEAD as u32 + length).to_be_bytes());
    head[12] = outgoing.is_duplicate.into();
    head[13..21].copy_from_slice(&outgoing.sequence.to_be_bytes());
    head[21..].copy_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(record);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ipdr::{Body, Collector, FrameReader, Message};

    #[test]
    fn data_is_written_as_its_message_is() {
        let outgoing = Outgoing {
            collector: Collector(0),
            sequence: 0x0102_0304_0506_0708,
            is_duplicate: true,
        };
        let mut out = Vec::new();
        put(&mut out, &head(7, 13, 3), outgoing, b"record");
        let mut rest = out.as_slice();
        let mut reader = FrameReader::new(100);
        let message = Message::decode(&reader.read(&mut rest).unwrap().unwrap()).unwrap();
        let mut again = Vec::new();
        message.encode(&mut again).unwrap();
        assert_eq!(again, out);
        let Body::Data(data) = message.body else { panic!() };
        assert_eq!((message.session_id, data.template_id, data.config_id), (7, 13, 3));
        assert_eq!((data.sequence, data.is_duplicate), (outgoing.sequence, true));
        assert_eq!(data.record, b"record");
    }
}

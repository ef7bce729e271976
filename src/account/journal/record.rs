//! A record as octets. Pure; whatever the octets are, reading them does not panic.
//!
//! ```text
//! 0  length of the body      u32, little-endian like all numbers
//! 4  kind                    u8
//! 5  number of the event     u64
//! 13 CRC-32 of the body      u32
//! 17 CRC-32 of the position (u64) and of octets 0 to 16
//! 21 body
//! ```
//!
//! The position is part of the check, so octets of another place or another journal are no record here.

pub const HEAD: usize = 21;

/// Longest body in octets: an event's line has 64 KiB at most, a few more as canonical JSON.
pub const LONGEST: usize = 512 << 10;

/// What a record says, beside the number of the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Event(EventRecord),
    Outcome(Outcome),
    /// The module of this bit was caught up.
    Settled {
        lane: u64,
        module: u16,
    },
    /// The operator has given the event up for the module of this bit.
    GivenUp {
        lane: u64,
        module: u16,
    },
    /// Events before this number, which lie before `position`, have their lines in the CDR file, synced; those from it on
    /// are behind the place in the file that `file` describes. What the billing documents hold ends at `billed`.
    Checkpoint {
        position: u64,
        billed: u64,
        file: Vec<u8>,
    },
}

/// An event as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// Microseconds since 1970.
    pub received: i64,
    /// What is in order among itself: the events of one call have one lane.
    pub lane: u64,
    /// What tells a repetition from a second event.
    pub key: String,
    /// Canonical JSON.
    pub json: Vec<u8>,
}

/// What the chain has made of an event. Modules are bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Position of the event.
    pub event: u64,
    pub lane: u64,
    /// Modules that have logged it.
    pub logged: u16,
    /// Modules that were asked and have not.
    pub failed: u16,
    /// Those of them that are caught up later.
    pub waits: u16,
    pub verdict: bool,
}

/// Begins the body of an event; its JSON follows. The key is cut to what its length can say.
pub fn begin_event(received: i64, lane: u64, key: &str, body: &mut Vec<u8>) {
    let key = &key.as_bytes()[..key.len().min(u16::MAX.into())];
    body.extend_from_slice(&received.to_le_bytes());
    body.extend_from_slice(&lane.to_le_bytes());
    body.extend_from_slice(&(key.len() as u16).to_le_bytes());
    body.extend_from_slice(key);
}

impl Body {
    pub fn kind(&self) -> u8 {
        match self {
            Body::Event(_) => 1,
            Body::Outcome(_) => 2,
            Body::Settled { .. } => 3,
            Body::Checkpoint { .. } => 4,
            Body::GivenUp { .. } => 5,
        }
    }

    pub fn to_octets(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        match self {
            Body::Event(e) => {
                begin_event(e.received, e.lane, &e.key, &mut out);
                out.extend_from_slice(&e.json);
            }
            Body::Outcome(o) => {
                out.extend_from_slice(&o.event.to_le_bytes());
                out.extend_from_slice(&o.lane.to_le_bytes());
                for mask in [o.logged, o.failed, o.waits] {
                    out.extend_from_slice(&mask.to_le_bytes());
                }
                out.push(o.verdict.into());
            }
            Body::Settled { lane, module } | Body::GivenUp { lane, module } => {
                out.extend_from_slice(&lane.to_le_bytes());
                out.extend_from_slice(&module.to_le_bytes());
            }
            Body::Checkpoint { position, billed, file } => {
                out.extend_from_slice(&position.to_le_bytes());
                out.extend_from_slice(&billed.to_le_bytes());
                out.extend_from_slice(file);
            }
        }
        out
    }

    /// [`None`]: not the body of that kind.
    pub fn from_octets(kind: u8, octets: &[u8]) -> Option<Self> {
        let mut cut = Cut(octets);
        Some(match kind {
            1 => {
                let (received, lane) = (cut.u64()? as i64, cut.u64()?);
                let length = cut.u16()?;
                let key = std::str::from_utf8(cut.take(length.into())?).ok()?.to_owned();
                let json = cut.0.to_vec();
                Body::Event(EventRecord {
                    received,
                    lane,
                    key,
                    json,
                })
            }
            2 => Body::Outcome(Outcome {
                event: cut.u64()?,
                lane: cut.u64()?,
                logged: cut.u16()?,
                failed: cut.u16()?,
                waits: cut.u16()?,
                verdict: *cut.take(1)?.first()? != 0,
            }),
            3 => Body::Settled {
                lane: cut.u64()?,
                module: cut.u16()?,
            },
            4 => Body::Checkpoint {
                position: cut.u64()?,
                billed: cut.u64()?,
                file: cut.0.to_vec(),
            },
            5 => Body::GivenUp {
                lane: cut.u64()?,
                module: cut.u16()?,
            },
            _ => return None,
        })
    }
}

struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_le_bytes(self.take(2)?.try_into().ok()?))
    }
}

/// CRC of a body, to be computed before the record's position is known.
pub fn check(body: &[u8]) -> u32 {
    crc32fast::hash(body)
}

/// Appends a record that will lie at `position`.
pub fn write(out: &mut Vec<u8>, position: u64, kind: u8, number: u64, body: &[u8], body_check: u32) {
    let mut head = [0; HEAD];
    head[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    head[4] = kind;
    head[5..13].copy_from_slice(&number.to_le_bytes());
    head[13..17].copy_from_slice(&body_check.to_le_bytes());
    let head_check = head_check(position, &head[..17]);
    head[17..].copy_from_slice(&head_check.to_le_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(body);
}

/// What the octets at a place are.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A record of this length, head and all.
    Record { kind: u8, number: u64, length: usize },
    /// The head of a record with this length, which goes on behind the octets that are there.
    Short(usize),
    /// No record, or fewer octets than a head has.
    None,
}

/// Looks at the octets that lie at `position`.
pub fn look(octets: &[u8], position: u64) -> Found {
    let Some(head) = octets.first_chunk::<HEAD>() else {
        return Found::None;
    };
    let number_at = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let body_length = number_at(0) as usize;
    if body_length > LONGEST || number_at(17) != head_check(position, &head[..17]) {
        return Found::None;
    }
    let length = HEAD + body_length;
    let Some(body) = octets.get(HEAD..length) else {
        return Found::Short(length);
    };
    if check(body) != number_at(13) {
        return Found::None;
    }
    let number = u64::from_le_bytes([
        head[5], head[6], head[7], head[8], head[9], head[10], head[11], head[12],
    ]);
    Found::Record {
        kind: head[4],
        number,
        length,
    }
}

fn head_check(position: u64, head: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&position.to_le_bytes());
    hasher.update(head);
    hasher.finalize()
}

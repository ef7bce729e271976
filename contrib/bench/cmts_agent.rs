//! An SNMP agent, version 2c, that answers GET, GETNEXT and GETBULK from rows in memory: for the bench of the walk, and
//! for tests, which add their quirks. It knows just enough BER for that; what it does not understand has no answer.

/// A value as an agent gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    Integer(i64),
    Octets(&'a [u8]),
    IpAddress([u8; 4]),
    Counter32(u32),
    Gauge32(u32),
    TimeTicks(u32),
    Counter64(u64),
    /// Tag, length and content as they are, right or wrong.
    Raw(&'a [u8]),
}

pub const GET: u8 = 0xa0;
pub const GET_NEXT: u8 = 0xa1;
pub const GET_BULK: u8 = 0xa5;
pub const SET: u8 = 0xa3;
const RESPONSE: u8 = 0xa2;
const NO_SUCH_INSTANCE: &[u8] = &[0x81, 0];
const END_OF_MIB_VIEW: &[u8] = &[0x82, 0];

/// Rows in the order of their names.
#[derive(Default, Clone)]
pub struct Rows {
    /// Names, and the whole variable bindings in BER.
    rows: Vec<(Vec<u32>, Vec<u8>)>,
}

impl Rows {
    pub fn push(&mut self, name: Vec<u32>, value: Value<'_>) {
        let varbind = varbind(&name, &value_octets(value));
        self.rows.push((name, varbind));
    }

    /// To be called after the last push.
    pub fn sort(&mut self) {
        self.rows.sort();
    }

    pub fn retain(&mut self, keep: impl Fn(&[u32]) -> bool) {
        self.rows.retain(|(name, _)| keep(name));
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    fn at(&self, name: &[u32]) -> usize {
        self.rows.partition_point(|(row, _)| row.as_slice() < name)
    }

    fn behind(&self, name: &[u32]) -> usize {
        self.rows.partition_point(|(row, _)| row.as_slice() <= name)
    }

    /// The variable bindings that answer a request, at most `most` octets of them.
    pub fn answer(&self, request: &Request<'_>, most: usize) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(4096);
        match request.pdu {
            GET => {
                for name in &request.names {
                    match self.rows.get(self.at(name)).filter(|(row, _)| row == name) {
                        Some((_, varbind)) => out.extend_from_slice(varbind),
                        None => out.extend(self::varbind(name, NO_SUCH_INSTANCE)),
                    }
                }
            }
            GET_NEXT => request.names.iter().for_each(|name| self.next(name, &mut out)),
            GET_BULK => {
                let single = usize::try_from(request.first).ok()?.min(request.names.len());
                let (single, columns) = request.names.split_at(single);
                single.iter().for_each(|name| self.next(name, &mut out));
                let mut places: Vec<usize> = columns.iter().map(|name| self.behind(name)).collect();
                let mut repetitions = request.second;
                while repetitions > 0 && !columns.is_empty() {
                    for (place, name) in places.iter_mut().zip(columns) {
                        match self.rows.get(*place) {
                            Some((_, varbind)) if out.len() + varbind.len() > most => return Some(out),
                            Some((_, varbind)) => out.extend_from_slice(varbind),
                            None => out.extend(self.end(name)),
                        }
                        *place = (*place + 1).min(self.rows.len());
                    }
                    repetitions -= 1;
                    if places.iter().all(|place| *place == self.rows.len()) {
                        break;
                    }
                }
            }
            _ => return None,
        }
        Some(out)
    }

    fn next(&self, name: &[u32], out: &mut Vec<u8>) {
        match self.rows.get(self.behind(name)) {
            Some((_, varbind)) => out.extend_from_slice(varbind),
            None => out.extend(self.end(name)),
        }
    }

    /// The last name there is, so that names never go back.
    fn end(&self, name: &[u32]) -> Vec<u8> {
        let last = self.rows.last().map_or(name, |(last, _)| last.as_slice());
        varbind(last.max(name), END_OF_MIB_VIEW)
    }
}

/// A request of version 2c.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    pub community: &'a [u8],
    pub pdu: u8,
    /// request-id as it stands there.
    pub id: &'a [u8],
    /// Of GETBULK the non-repeaters and the repetitions; else error status and index.
    pub first: i64,
    pub second: i64,
    pub names: Vec<Vec<u32>>,
    /// The values as they stand there; of all but SET they say nothing.
    pub values: Vec<&'a [u8]>,
}

impl<'a> Request<'a> {
    pub fn read(octets: &'a [u8]) -> Option<Self> {
        let (0x30, mut message, _) = take(octets)? else {
            return None;
        };
        let mut field = |tag| {
            let (found, content, rest) = take(message)?;
            message = rest;
            (found == tag || tag == 0).then_some((found, content))
        };
        let (_, version) = field(2)?;
        let (_, community) = field(4)?;
        let (pdu, mut content) = field(0)?;
        if version != [1] {
            return None;
        }
        let mut number = || {
            let (2, content_of, rest) = take(content)? else {
                return None;
            };
            content = rest;
            Some(content_of)
        };
        let (id, first, second) = (number()?, number()?, number()?);
        let (0x30, mut list, _) = take(content)? else {
            return None;
        };
        let (mut names, mut values) = (Vec::new(), Vec::new());
        while !list.is_empty() {
            let (0x30, varbind, rest) = take(list)? else {
                return None;
            };
            let (6, name, value) = take(varbind)? else { return None };
            names.push(arcs(name)?);
            values.push(value);
            list = rest;
        }
        Some(Request {
            community,
            pdu,
            id,
            first: integer(first)?,
            second: integer(second)?,
            names,
            values,
        })
    }

    /// The response message around these variable bindings.
    pub fn response(&self, status: u8, index: u8, varbinds: &[u8]) -> Vec<u8> {
        response(self.community, self.id, status, index, varbinds)
    }
}

/// A response message of version 2c.
pub fn response(community: &[u8], id: &[u8], status: u8, index: u8, varbinds: &[u8]) -> Vec<u8> {
    let mut pdu = element(2, id);
    pdu.extend([2, 1, status, 2, 1, index]);
    pdu.extend(element(0x30, varbinds));
    let mut message = vec![2, 1, 1];
    message.extend(element(4, community));
    message.extend(element(RESPONSE, &pdu));
    element(0x30, &message)
}

pub fn varbind(name: &[u32], value: &[u8]) -> Vec<u8> {
    let mut content = element(6, &name_octets(name));
    content.extend_from_slice(value);
    element(0x30, &content)
}

pub fn value_octets(value: Value<'_>) -> Vec<u8> {
    let unsigned = |tag, number: u64| {
        let octets = number.to_be_bytes();
        let first = octets.iter().position(|octet| *octet != 0).unwrap_or(7);
        let mut content = Vec::with_capacity(9);
        if octets[first] >= 0x80 {
            content.push(0);
        }
        content.extend_from_slice(&octets[first..]);
        element(tag, &content)
    };
    match value {
        Value::Integer(number) => {
            let octets = number.to_be_bytes();
            let sign = if number < 0 { 0xff } else { 0 };
            let spare = |at: &usize| octets[*at] == sign && (octets[*at + 1] ^ sign) < 0x80;
            let first = (0..7).take_while(spare).count();
            element(2, &octets[first..])
        }
        Value::Octets(octets) => element(4, octets),
        Value::IpAddress(octets) => element(0x40, &octets),
        Value::Counter32(number) => unsigned(0x41, number.into()),
        Value::Gauge32(number) => unsigned(0x42, number.into()),
        Value::TimeTicks(number) => unsigned(0x43, number.into()),
        Value::Counter64(number) => unsigned(0x46, number),
        Value::Raw(octets) => octets.to_vec(),
    }
}

pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    match content.len() {
        short @ 0..0x80 => out.push(short as u8),
        long => {
            let octets = long.to_be_bytes();
            let first = octets.iter().position(|octet| *octet != 0).unwrap_or(7);
            out.push(0x80 | (octets.len() - first) as u8);
            out.extend_from_slice(&octets[first..]);
        }
    }
    out.extend_from_slice(content);
    out
}

pub fn name_octets(name: &[u32]) -> Vec<u8> {
    let (head, tail) = name.split_at(name.len().min(2));
    let first = head.first().copied().unwrap_or(0) * 40 + head.get(1).copied().unwrap_or(0);
    let mut out = Vec::with_capacity(name.len() + 8);
    for arc in std::iter::once(&first).chain(tail) {
        for shift in [28, 21, 14, 7] {
            if *arc >> shift != 0 {
                out.push(0x80 | (*arc >> shift & 0x7f) as u8);
            }
        }
        out.push((*arc & 0x7f) as u8);
    }
    out
}

/// Tag, content, and what follows.
pub fn take(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = octets.split_first()?;
    let (length, mut rest) = rest.split_first()?;
    let mut size = usize::from(*length);
    if size >= 0x80 {
        let (octets, behind) = rest.split_at_checked(size & 0x7f)?;
        size = octets.iter().try_fold(0_usize, |size, octet| {
            size.checked_mul(256).map(|size| size + usize::from(*octet))
        })?;
        rest = behind;
    }
    let (content, rest) = rest.split_at_checked(size)?;
    Some((*tag, content, rest))
}

fn integer(octets: &[u8]) -> Option<i64> {
    let negative = *octets.first()? >= 0x80;
    let start = if negative { -1 } else { 0 };
    (octets.len() <= 8).then(|| {
        octets
            .iter()
            .fold(start, |number, octet| number << 8 | i64::from(*octet))
    })
}

fn arcs(octets: &[u8]) -> Option<Vec<u32>> {
    let mut arcs = Vec::with_capacity(20);
    let mut arc = 0_u32;
    for octet in octets {
        arc = arc.checked_mul(128)? | u32::from(octet & 0x7f);
        if *octet < 0x80 {
            if arcs.is_empty() {
                arcs.extend([(arc / 40).min(2), arc - 40 * (arc / 40).min(2)]);
            } else {
                arcs.push(arc);
            }
            arc = 0;
        }
    }
    Some(arcs)
}

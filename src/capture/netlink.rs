//! Netlink messages about network interfaces, as octets: what is asked, and what the kernel answers.
//!
//! No socket here: everything is a function of octets, so that it can be tested with any. An answer with a length that
//! cannot be right is refused as a whole, since nothing after the wrong length can be trusted; messages and attributes
//! of unknown types are stepped over. Layouts: RFC 3549, rtnetlink(7), `linux/if_link.h`; numbers have the host's order.

/// Two octets of length and two of type.
const ATTRIBUTE_HEADER: usize = 4;
/// Length, type, flags, sequence number, port.
const MESSAGE_HEADER: usize = 16;
/// `struct ifinfomsg`: family, type, index, flags, change mask.
const LINK_HEADER: usize = 16;
/// Messages and attributes begin at multiples of this.
pub const ALIGNMENT: usize = 4;

const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;

const NLM_F_REQUEST: u16 = 0x001;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x010;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_IFALIAS: u16 = 20;
const IFLA_STATS64: u16 = 23;
/// The two highest bits of an attribute's type are flags.
const NLA_TYPE_MASK: u16 = 0x3fff;

const IFF_UP: u32 = 1;

/// The longest interface name that is taken; Linux itself has 15 octets (IFNAMSIZ).
const MAX_NAME: usize = 255;

/// The request for all interfaces with their counters.
///
/// Without IFLA_EXT_MASK: any bit in it makes the kernel compute the size of every interface's answer in advance,
/// and bit RTEXT_FILTER_SKIP_STATS, with the counters from RTM_GETSTATS, was slower than this one dump, which has name
/// and counters of an interface in one message so that they cannot be those of two.
pub fn all_links(sequence: u32) -> [u8; MESSAGE_HEADER + LINK_HEADER] {
    const LENGTH: usize = MESSAGE_HEADER + LINK_HEADER;
    let mut request = [0; LENGTH];
    request[0..4].copy_from_slice(&(LENGTH as u32).to_ne_bytes());
    request[4..6].copy_from_slice(&RTM_GETLINK.to_ne_bytes());
    request[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    request[8..12].copy_from_slice(&sequence.to_ne_bytes());
    request
}

/// Which answer is meant: messages that bear another sequence number or port are not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub sequence: u32,
    /// Our own port, as the kernel gave it to our socket.
    pub port: u32,
}

/// Why an answer cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the answer of the kernel is damaged: {0}")]
    Malformed(&'static str),
    /// The kernel's reason, an `errno`.
    #[error("{}", std::io::Error::from_raw_os_error(*.0))]
    Refused(i32),
    #[error("the kernel lost a part of its answer (overrun)")]
    Overrun,
}

/// What one datagram means for the answer that it is a part of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Messages of this answer in the datagram.
    pub messages: usize,
    /// Interfaces were made or deleted while the kernel went through them: one may be missing from the answer.
    pub interrupted: bool,
    /// The answer ends here.
    pub done: bool,
}

impl Progress {
    /// Takes the next datagram of the same answer into account.
    pub fn add(&mut self, next: Progress) {
        self.messages += next.messages;
        self.interrupted |= next.interrupted;
        self.done |= next.done;
    }
}

impl Answer {
    /// Looks at the message headers only.
    pub fn progress(self, datagram: &[u8]) -> Result<Progress, Fault> {
        let mut progress = Progress::default();
        for message in self.messages(datagram) {
            let message = message?;
            progress.messages += 1;
            progress.interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
            progress.done |= message.kind == NLMSG_DONE;
        }
        Ok(progress)
    }

    /// The interfaces that are described in a datagram. Ends after the first fault.
    pub fn links(self, datagram: &[u8]) -> impl Iterator<Item = Result<Link<'_>, Fault>> {
        self.messages(datagram).filter_map(|message| match message {
            Ok(message) if message.kind == RTM_NEWLINK => Some(Link::parse(message.payload)),
            Ok(_) => None,
            Err(fault) => Some(Err(fault)),
        })
    }

    fn messages(self, datagram: &[u8]) -> Messages<'_> {
        Messages {
            answer: self,
            rest: datagram,
        }
    }
}

struct Messages<'a> {
    answer: Answer,
    rest: &'a [u8],
}

struct Message<'a> {
    kind: u16,
    flags: u16,
    payload: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.take_one().transpose()?;
        if !matches!(message, Ok(Message { kind, .. }) if kind != NLMSG_DONE) {
            self.rest = &[];
        }
        Some(message)
    }
}

impl<'a> Messages<'a> {
    /// The next message of this answer; what tells of a failure becomes one.
    fn take_one(&mut self) -> Result<Option<Message<'a>>, Fault> {
        while !self.rest.is_empty() {
            let header = self
                .rest
                .first_chunk::<MESSAGE_HEADER>()
                .ok_or(Fault::Malformed("a message header is cut off"))?;
            let length = u32_at(header, 0) as usize;
            if length < MESSAGE_HEADER {
                return Err(Fault::Malformed("a message is shorter than its header"));
            }
            let (message, after) = self
                .rest
                .split_at_checked(length)
                .ok_or(Fault::Malformed("a message is longer than the datagram"))?;
            self.rest = without_padding(length, after);

            let (kind, flags) = (u16_at(header, 4), u16_at(header, 6));
            let sent_to = Answer {
                sequence: u32_at(header, 8),
                port: u32_at(header, 12),
            };
            if sent_to != self.answer {
                continue;
            }
            let payload = &message[MESSAGE_HEADER..];
            match kind {
                NLMSG_NOOP => continue,
                NLMSG_OVERRUN => return Err(Fault::Overrun),
                NLMSG_ERROR | NLMSG_DONE => {
                    let code = payload
                        .first_chunk::<4>()
                        .map(|octets| i32::from_ne_bytes(*octets))
                        .ok_or(Fault::Malformed("an error code is cut off"))?;
                    if code != 0 {
                        return Err(Fault::Refused(code.saturating_abs()));
                    }
                    if kind == NLMSG_ERROR {
                        continue; // an acknowledgement
                    }
                }
                _ => {}
            }
            return Ok(Some(Message { kind, flags, payload }));
        }
        Ok(None)
    }
}

/// One network interface as the kernel describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// 1 or more.
    pub index: u32,
    /// 1 to 255 octets, any but NUL.
    pub name: &'a [u8],
    /// Any octets, not none.
    pub alias: Option<&'a [u8]>,
    /// Only addresses of six octets that are not all zero.
    pub address: Option<[u8; 6]>,
    /// Whether the operator wants the interface up.
    pub up: bool,
    /// The kernel's `IF_OPER_…`, 0 where it says nothing.
    pub oper_state: u8,
    pub counters: Counters,
}

/// The counters of an interface since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub in_octets: u64,
    pub out_octets: u64,
    pub in_packets: u64,
    pub out_packets: u64,
    pub in_errors: u64,
    pub out_errors: u64,
    pub in_discards: u64,
    pub out_discards: u64,
}

impl<'a> Link<'a> {
    /// `message` is an RTM_NEWLINK without its header.
    fn parse(message: &'a [u8]) -> Result<Self, Fault> {
        let (header, attributes) = message
            .split_first_chunk::<LINK_HEADER>()
            .ok_or(Fault::Malformed("an interface's header is cut off"))?;
        let index = u32_at(header, 4);
        if index == 0 || i32::try_from(index).is_err() {
            return Err(Fault::Malformed("an interface has an index that is not positive"));
        }
        let (mut name, mut alias, mut address, mut oper_state, mut counters) = (None, None, None, 0, None);
        for attribute in (Attributes { rest: attributes }) {
            let (kind, value) = attribute?;
            match kind {
                IFLA_IFNAME => name = Some(until_nul(value)),
                IFLA_IFALIAS => alias = Some(until_nul(value)).filter(|alias| !alias.is_empty()),
                IFLA_ADDRESS => address = value.try_into().ok().filter(|octets| *octets != [0; 6]),
                IFLA_OPERSTATE => {
                    oper_state = *value
                        .first()
                        .ok_or(Fault::Malformed("an interface's operational state is cut off"))?;
                }
                IFLA_STATS64 => counters = Some(Counters::parse(value)?),
                _ => {}
            }
        }
        let name = name.ok_or(Fault::Malformed("an interface has no name"))?;
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Fault::Malformed("an interface has a name of no or too many octets"));
        }
        Ok(Link {
            index,
            name,
            alias,
            address,
            up: u32_at(header, 8) & IFF_UP != 0,
            oper_state,
            counters: counters.ok_or(Fault::Malformed("an interface has no 64-bit counters"))?,
        })
    }
}

impl Counters {
    /// The begin of `struct rtnl_link_stats64`, which grows at its end from kernel to kernel.
    fn parse(value: &[u8]) -> Result<Self, Fault> {
        let stats = value
            .first_chunk::<64>()
            .ok_or(Fault::Malformed("an interface's counters are cut off"))?;
        let counter = |n: usize| {
            let octets: &[u8; 8] = stats[n * 8..]
                .first_chunk()
                .expect("eight counters of eight octets are there");
            u64::from_ne_bytes(*octets)
        };
        Ok(Counters {
            in_packets: counter(0),
            out_packets: counter(1),
            in_octets: counter(2),
            out_octets: counter(3),
            in_errors: counter(4),
            out_errors: counter(5),
            in_discards: counter(6),
            out_discards: counter(7),
        })
    }
}

struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Attributes<'a> {
    /// Type and value.
    type Item = Result<(u16, &'a [u8]), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let attribute = self.take_one();
        if attribute.is_err() {
            self.rest = &[];
        }
        Some(attribute)
    }
}

impl<'a> Attributes<'a> {
    fn take_one(&mut self) -> Result<(u16, &'a [u8]), Fault> {
        let header = self
            .rest
            .first_chunk::<ATTRIBUTE_HEADER>()
            .ok_or(Fault::Malformed("an attribute's header is cut off"))?;
        let length = usize::from(u16_at(header, 0));
        if length < ATTRIBUTE_HEADER {
            return Err(Fault::Malformed("an attribute is shorter than its header"));
        }
        let (attribute, after) = self
            .rest
            .split_at_checked(length)
            .ok_or(Fault::Malformed("an attribute is longer than its message"))?;
        self.rest = without_padding(length, after);
        Ok((u16_at(header, 2) & NLA_TYPE_MASK, &attribute[ATTRIBUTE_HEADER..]))
    }
}

/// What follows something of this length. The padding after the last one may be left out.
fn without_padding(length: usize, after: &[u8]) -> &[u8] {
    let padding = (ALIGNMENT - length % ALIGNMENT) % ALIGNMENT;
    after.get(padding..).unwrap_or_default()
}

fn until_nul(value: &[u8]) -> &[u8] {
    value.split(|octet| *octet == 0).next().unwrap_or_default()
}

fn u16_at<const N: usize>(header: &[u8; N], at: usize) -> u16 {
    u16::from_ne_bytes([header[at], header[at + 1]])
}

fn u32_at<const N: usize>(header: &[u8; N], at: usize) -> u32 {
    u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

#[cfg(test)]
mod tests;

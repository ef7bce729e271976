//! A capture file of one TCP connection, made of what went over it: as tcpdump would have written it, without the right to
//! capture.

const COLLECTOR: [u8; 4] = [127, 0, 0, 2];
const EXPORTER: [u8; 4] = [127, 0, 0, 1];
/// Where dissectors look for IPDR/SP.
pub const PORT: u16 = 4737;

/// One segment for each piece: whether it comes from the exporter, and its octets, at most 65,000.
pub fn capture<'a>(pieces: impl IntoIterator<Item = (bool, &'a [u8])>) -> Vec<u8> {
    let mut file = Vec::new();
    // Octets in our order, version 2.4, seconds and microseconds, raw IP.
    file.extend(0xa1b2_c3d4_u32.to_be_bytes());
    file.extend([0, 2, 0, 4]);
    file.extend([0; 8]);
    file.extend(262_144_u32.to_be_bytes());
    file.extend(101_u32.to_be_bytes());
    let mut connection = Connection {
        file,
        next: [1000, 5000],
        packets: 0,
    };
    connection.segment(false, 0x02, &[]);
    connection.segment(true, 0x12, &[]);
    connection.segment(false, 0x10, &[]);
    for (is_theirs, octets) in pieces {
        for segment in octets.chunks(65_000) {
            connection.segment(is_theirs, 0x18, segment);
        }
    }
    connection.file
}

struct Connection {
    file: Vec<u8>,
    /// Sequence numbers of the collector and of the exporter.
    next: [u32; 2],
    packets: u32,
}

impl Connection {
    fn segment(&mut self, is_theirs: bool, flags: u8, payload: &[u8]) {
        let (source, destination, ports) = match is_theirs {
            true => (EXPORTER, COLLECTOR, [PORT, 40_000]),
            false => (COLLECTOR, EXPORTER, [40_000, PORT]),
        };
        let length = 40 + payload.len();
        let mut packet = Vec::with_capacity(length);
        packet.extend([0x45, 0]);
        packet.extend((length as u16).to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        packet.extend(source);
        packet.extend(destination);
        let check = checksum(&packet);
        packet[10..12].copy_from_slice(&check.to_be_bytes());
        let own = usize::from(is_theirs);
        packet.extend(ports[0].to_be_bytes());
        packet.extend(ports[1].to_be_bytes());
        packet.extend(self.next[own].to_be_bytes());
        packet.extend(self.next[1 - own].to_be_bytes());
        // The checksum of TCP is left to hardware, as often.
        packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
        packet.extend(payload);
        let syn = u32::from(flags & 0x02 != 0);
        self.next[own] = self.next[own].wrapping_add(payload.len() as u32 + syn);
        self.packets += 1;
        self.file.extend((1_577_508_300 + self.packets / 1000).to_be_bytes());
        self.file.extend((self.packets % 1000 * 1000).to_be_bytes());
        self.file.extend((length as u32).to_be_bytes());
        self.file.extend((length as u32).to_be_bytes());
        self.file.extend(packet);
    }
}

/// RFC 1071.
fn checksum(head: &[u8]) -> u16 {
    let words = head
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

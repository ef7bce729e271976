//! What clients of our status port type, and what they are told.

/// The longest line that is read. A client that sends more is sent away.
const LONGEST: usize = 1024;

/// What is answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Nothing,
    Text(String),
    Version,
    Statistics,
    Who,
    /// The client's trace level from now on.
    Trace(u8, String),
    Leave,
}

const COMMANDS: [(&str, &str, &str); 6] = [
    ("exit", "q", "end the connection"),
    ("help", "h", "these commands"),
    ("statistics", "s", "calls since the start"),
    ("trace", "", "0: no event lines; 1, 2: event lines"),
    ("version", "v", "name, version, time of the start"),
    ("who", "", "the clients"),
];

/// The answer to one line. Words in any case; the beginning of a word is enough if only one command has it.
pub(super) fn answer(line: &str, trace: u8) -> Reply {
    let mut words = line.split_ascii_whitespace();
    let Some(word) = words.next() else {
        return Reply::Nothing;
    };
    match command(&word.to_ascii_lowercase()) {
        Some("exit") => Reply::Leave,
        Some("help") => {
            let lines = COMMANDS.iter().map(|(name, short, text)| match *short {
                "" => format!("{name} : {text}\r\n"),
                _ => format!("{name}, {short} : {text}\r\n"),
            });
            Reply::Text(format!("Commands:\r\n{};\r\n", lines.collect::<String>()))
        }
        Some("statistics") => Reply::Statistics,
        Some("version") => Reply::Version,
        Some("who") => Reply::Who,
        Some("trace") => {
            let level = match words.next().map(str::to_ascii_lowercase).as_deref() {
                None => trace,
                Some("0" | "min") => 0,
                Some("1") => 1,
                Some("2" | "max") => 2,
                Some(_) => return Reply::Text("Syntax Error: trace 0|1|2|\"min\"|\"max\"\r\n".into()),
            };
            Reply::Trace(level, format!("Output trace level is {level}\r\n"))
        }
        _ => {
            let shown: String = word.chars().filter(|c| !c.is_control()).take(80).collect();
            Reply::Text(format!("Error: Unknown command '{shown}'\r\n"))
        }
    }
}

fn command(word: &str) -> Option<&'static str> {
    if let Some((name, ..)) = COMMANDS.iter().find(|(name, short, _)| *name == word || *short == word) {
        return Some(name);
    }
    if word == "quit" {
        return Some("exit");
    }
    let mut candidates = COMMANDS.iter().filter(|(name, ..)| name.starts_with(word));
    match (candidates.next(), candidates.next()) {
        (Some((name, ..)), None) => Some(name),
        _ => None,
    }
}

/// Lines out of octets. LF, CR and CR LF end a line; TELNET negotiation (RFC 854) is passed over.
#[derive(Default)]
pub(super) struct Input {
    line: Vec<u8>,
    negotiation: u8,
}

impl Input {
    /// The lines that have ended; an error in place of one that is too long.
    pub(super) fn take(&mut self, octets: &[u8]) -> Vec<Result<String, ()>> {
        const IAC: u8 = 0xff;
        let mut lines = Vec::new();
        for octet in octets {
            match (self.negotiation, *octet) {
                (0, IAC) => self.negotiation = 2,
                (0, b'\r' | b'\n') => {
                    let line = std::mem::take(&mut self.line);
                    if !line.is_empty() {
                        lines.push(Ok(String::from_utf8_lossy(&line).into_owned()));
                    }
                }
                (0, _) if self.line.len() >= LONGEST => {
                    self.line.clear();
                    lines.push(Err(()));
                }
                (0, octet) => self.line.push(octet),
                // WILL, WON'T, DO, DON'T have one more octet; other commands stand alone.
                (2, 0xfb..=0xfe) => self.negotiation = 1,
                _ => self.negotiation = 0,
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_known_in_any_case_and_by_their_beginning() {
        for (line, reply) in [
            ("Statistics", Reply::Statistics),
            ("s", Reply::Statistics),
            ("stat", Reply::Statistics),
            ("v", Reply::Version),
            ("VERSION now", Reply::Version),
            ("q", Reply::Leave),
            ("quit", Reply::Leave),
            ("exit", Reply::Leave),
            ("w", Reply::Who),
            ("", Reply::Nothing),
            ("trace", Reply::Trace(2, "Output trace level is 2\r\n".into())),
            ("trace 1", Reply::Trace(1, "Output trace level is 1\r\n".into())),
            ("trace min", Reply::Trace(0, "Output trace level is 0\r\n".into())),
            (
                "trace 7",
                Reply::Text("Syntax Error: trace 0|1|2|\"min\"|\"max\"\r\n".into()),
            ),
            ("bogus", Reply::Text("Error: Unknown command 'bogus'\r\n".into())),
            ("\u{1b}[2Jx", Reply::Text("Error: Unknown command '[2Jx'\r\n".into())),
        ] {
            assert_eq!(answer(line, 2), reply, "{line}");
        }
    }

    #[test]
    fn any_line_end_ends_a_line_and_negotiation_is_no_text() {
        let mut input = Input::default();
        let octets = b"\xff\xfb\x05tra\xff\xfc\x01ce\r\nv\rs\n\n\xff\xf1q";
        let mut lines = Vec::new();
        for octet in octets {
            lines.extend(input.take(&[*octet]));
        }
        let expected: Vec<Result<String, ()>> = ["trace", "v", "s"].map(|line| Ok(line.to_owned())).into();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_line_that_does_not_end_is_refused() {
        let lines = Input::default().take(&[b'x'; LONGEST + 1]);
        assert_eq!(lines, [Err(())]);
    }
}

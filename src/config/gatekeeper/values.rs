//! Values as the gatekeeper reads them, and what it reads otherwise than people write it.

/// Booleans that the class library reads: in capitals T or Y at the begin, or a number that is not 0.
pub fn truth(text: &str) -> bool {
    matches!(text.bytes().next(), Some(b't' | b'T' | b'y' | b'Y')) || integer(text) != 0
}

/// Booleans that the gatekeeper reads itself, by their first letter. `2` is false here.
pub fn flag(text: &str) -> bool {
    matches!(
        text.bytes().next().map(|first| first.to_ascii_lowercase()),
        Some(b't' | b'1' | b'y' | b'a')
    )
}

/// C's `strtol`: the number that the text begins with, else 0.
pub fn integer(text: &str) -> i64 {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = digits.bytes().take_while(u8::is_ascii_digit).fold(0i64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    if negative { -number } else { number }
}

/// Whether a person means yes or no by it. `None`: nobody knows.
pub fn meant(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "y" | "yes" | "on" | "enable" | "enabled" | "a" | "accept" | "allow" => Some(true),
        "0" | "f" | "false" | "n" | "no" | "off" | "disable" | "disabled" => Some(false),
        number => number.parse::<i64>().ok().map(|number| number != 0),
    }
}

/// Whether all of the text is a number.
pub fn is_number(text: &str) -> bool {
    text.parse::<i64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_kinds_of_booleans_differ_as_they_do_at_the_gatekeeper() {
        for (text, by_number, by_letter) in [
            ("1", true, true),
            ("yes", true, true),
            ("True", true, true),
            ("accept", false, true),
            ("2", true, false),
            ("-1", true, false),
            ("10", true, true),
            ("on", false, false),
            ("enabled", false, false),
            ("0", false, false),
            ("no", false, false),
            ("", false, false),
        ] {
            assert_eq!((truth(text), flag(text)), (by_number, by_letter), "{text}");
        }
    }

    #[test]
    fn a_number_ends_where_it_is_no_number_any_more() {
        for (text, number) in [
            ("12", 12),
            ("07", 7),
            ("-5s", -5),
            ("2 000", 2),
            ("abc", 0),
            ("", 0),
            ("+3", 3),
            ("0x1F", 0),
        ] {
            assert_eq!(integer(text), number, "{text}");
        }
        assert_eq!(integer("99999999999999999999"), i64::MAX);
        assert_eq!(integer("-99999999999999999999"), -i64::MAX);
    }
}

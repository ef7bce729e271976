//! Decimal numbers, digit by digit as a device wrote them.

/// A decimal number that keeps its digits: `1.000` stays `1.000`, and no digit is lost in a floating-point number on
/// the way to an invoice.
///
/// Two decimals are equal when their digits are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal(Box<str>);

impl Decimal {
    /// Characters that a decimal may have, sign and point included.
    pub const MAX_CHARS: usize = 40;

    /// Digits that a decimal may have, zeros at its begin not counted: as many as each program that reads XML Schema
    /// must know (part 2, 3.2.3; libxml2 knows 24).
    pub const MAX_DIGITS: usize = 18;

    /// Takes an optional minus, digits, and optionally a point and digits; nothing around them. [`None`] for every
    /// other text, and for one of more than [`Decimal::MAX_CHARS`] characters or [`Decimal::MAX_DIGITS`] digits.
    pub fn new(text: &str) -> Option<Decimal> {
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let is_decimal = match unsigned.split_once('.') {
            Some((whole, fraction)) => is_number(whole) && is_number(fraction),
            None => is_number(unsigned),
        };
        let digits = unsigned
            .trim_start_matches('0')
            .bytes()
            .filter(u8::is_ascii_digit)
            .count();
        (is_decimal && text.len() <= Self::MAX_CHARS && digits <= Self::MAX_DIGITS).then(|| Decimal(text.into()))
    }

    /// The digits as they were written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number as floating point, if it has so few digits that each number of them is another floating-point
    /// number, and is written with the same digits again (15: IEEE 754, binary64).
    pub fn to_f64(&self) -> Option<f64> {
        const DIGITS: usize = 15;
        let digits = self.0.bytes().filter(u8::is_ascii_digit);
        let significant = digits.skip_while(|digit| *digit == b'0').count();
        self.0.parse().ok().filter(|_| significant <= DIGITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stay_as_they_were_written() {
        for text in ["0", "1.000", "0.025", "-0.50", "007", "-12", "-123456789012.345678"] {
            assert_eq!(Decimal::new(text).unwrap().as_str(), text);
        }
        let longest = "0".repeat(Decimal::MAX_CHARS - Decimal::MAX_DIGITS) + &"9".repeat(Decimal::MAX_DIGITS);
        assert_eq!(Decimal::new(&longest).unwrap().as_str(), longest);
    }

    #[test]
    fn what_is_no_plain_decimal_is_refused() {
        let too_long = "0".repeat(Decimal::MAX_CHARS + 1);
        let too_many = "9".repeat(Decimal::MAX_DIGITS + 1);
        for text in [
            "", "-", ".", "1.", ".5", "+1", "--1", "1e3", "1,5", "1.2.3", " 1", "1 ", "NaN", "٣", &too_long, &too_many,
        ] {
            assert_eq!(Decimal::new(text), None, "{text:?}");
        }
    }

    #[test]
    fn only_numbers_that_floating_point_keeps_become_floating_point() {
        let number = |text| Decimal::new(text).unwrap().to_f64();
        assert_eq!(number("1.000"), Some(1.0));
        assert_eq!(number("0.025"), Some(0.025));
        assert_eq!(number("999999999999999"), Some(999_999_999_999_999.0));
        assert_eq!(number("9007199254740993"), None);
        assert_eq!(number("0.1000000000000001"), None);
    }
}

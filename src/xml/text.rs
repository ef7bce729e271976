//! Texts of others: their white space, and how much of them a message shows.

/// White space of XML. Other white space of Unicode is text.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Enough of a hostile text to recognise it in a message.
pub(crate) fn clip(text: &str) -> String {
    clip_to(text, 60)
}

pub(crate) fn clip_to(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

//! What a source has to say beside its records, in sentences that fit the document information record.

/// Remarks, while they are gathered.
#[derive(Debug, Default)]
pub struct Remarks {
    sentences: Vec<String>,
    /// Interfaces of the last document that are not there any more.
    pub gone: Names,
    /// Interfaces that bear another name now: `OLD to NEW`.
    pub renamed: Names,
    /// Interfaces whose name or alias is not as it was set.
    pub not_for_xml: Names,
}

impl Remarks {
    pub fn add(&mut self, sentence: String) {
        self.sentences.push(sentence);
    }

    pub fn finish(mut self) -> Option<String> {
        let lists = [
            self.gone.sentence(
                "1 interface of the last document is gone",
                "interfaces of the last document are gone",
            ),
            self.renamed.sentence(
                "1 interface was renamed since the last document",
                "interfaces were renamed since the last document",
            ),
            self.not_for_xml.sentence(
                "1 interface has a name or alias that XML cannot hold, U+FFFD stands for what is left out",
                "interfaces have a name or alias that XML cannot hold, U+FFFD stands for what is left out",
            ),
        ];
        self.sentences.extend(lists.into_iter().flatten());
        (!self.sentences.is_empty()).then(|| self.sentences.join("; "))
    }
}

/// Names that are counted, but not all written down.
#[derive(Debug, Default)]
pub struct Names {
    count: usize,
    first: Vec<String>,
}

impl Names {
    const SHOWN: usize = 20;

    pub fn push(&mut self, name: &str) {
        self.count += 1;
        if self.first.len() < Self::SHOWN {
            self.first.push(name.to_owned());
        }
    }

    fn sentence(&self, one: &str, many: &str) -> Option<String> {
        let names = self.first.join(", ");
        let more = self.count - self.first.len();
        match self.count {
            0 => None,
            1 => Some(format!("{one}: {names}")),
            count if more == 0 => Some(format!("{count} {many}: {names}")),
            count => Some(format!("{count} {many}: {names} and {more} more")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_remarkable_is_no_remark() {
        assert_eq!(Remarks::default().finish(), None);
    }

    #[test]
    fn at_most_twenty_names_are_written() {
        let mut remarks = Remarks::default();
        for n in 1..=20 {
            remarks.gone.push(&format!("ppp{n}"));
        }
        remarks.renamed.push("eth0 to wan0");
        let before = remarks.gone.sentence("", "gone").unwrap();
        assert!(
            before.starts_with("20 gone: ppp1, ppp2, ") && before.ends_with(", ppp19, ppp20"),
            "{before}"
        );
        remarks.gone.push("ppp21");
        let remark = remarks.finish().unwrap();
        assert!(
            remark.ends_with(", ppp20 and 1 more; 1 interface was renamed since the last document: eth0 to wan0"),
            "{remark}"
        );
    }
}

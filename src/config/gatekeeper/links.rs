//! `[Gatekeeper::Acct]`: which modules log, in which order, and what their success means.
//!
//! The gatekeeper takes every line. What it does not know it reads as `required`, as no event, or as no module, without a
//! word: a chain with a typing error logs less than its operator believes. Here such a line is refused.

use super::{
    Control, EventKind, Events, Link, LinkKind, Skipped,
    ini::Key,
    known,
    modules::LACKING,
    reading::{Reading, hint, shortened},
    values,
};

/// The links in file order, and the modules that billdrop lacks.
pub fn links(reading: &mut Reading<'_>) -> (Vec<Link>, Vec<Skipped>) {
    let (mut links, mut skipped) = (Vec::new(), Vec::new());
    let section = reading.ini.section(known::CHAIN);
    for key in section.map_or(&[][..], |section| &section.keys) {
        if reading.is_full() {
            break;
        }
        let value = reading.decoded(known::CHAIN, key);
        if let [first, second, ..] = key.lines[..] {
            let what = format!(
                "module {} stands in line {first} already: give it one line",
                shortened(&key.name)
            );
            reading.refuse(second, &what, "makes one value of both, with a line feed between them");
            if !reading.is_lenient() {
                continue;
            }
        }
        let module = LinkKind::ALL.into_iter().find(|kind| kind.name() == key.name);
        match module {
            Some(kind) => links.push(link(reading, kind, key, &value)),
            None if LACKING.contains(&key.name.as_str()) => {
                reading.notice(
                    key.line(),
                    format!("billdrop has no {}: it is left out of the chain", key.name),
                );
                skipped.push(Skipped {
                    line: key.line(),
                    module: key.name.clone(),
                });
            }
            None => {
                let names = LinkKind::ALL.map(LinkKind::name).into_iter().chain(LACKING);
                let what = format!(
                    "{} is not the name of a module{}",
                    shortened(&key.name),
                    hint(&key.name, names)
                );
                reading.refuse(key.line(), &what, "leaves it out of the chain");
            }
        }
    }
    if section.is_none_or(|section| section.keys.is_empty()) {
        let line = section.map_or(0, |section| section.line);
        let what = format!("[{}] names no module: nothing would be logged", known::CHAIN);
        reading.refuse(line, &what, "says `ok` to everything then");
    }
    (links, skipped)
}

fn link(reading: &mut Reading<'_>, kind: LinkKind, key: &Key, value: &str) -> Link {
    let typed: Vec<&str> = value.split([';', ',']).collect();
    let clean: Vec<&str> = typed.iter().map(|token| token.trim()).collect();
    let line = key.line();
    let tokens = if reading.is_lenient() { &typed } else { &clean };
    let (kind, control) = match kind {
        LinkKind::Default(_) => (status(reading, line, tokens[0]), Control::Required),
        kind => (kind, control(reading, line, kind, tokens[0])),
    };
    let events = match tokens.get(1..) {
        None | Some([]) => Events::ALL,
        Some(words) => events(reading, line, kind, words),
    };
    let link = Link {
        line,
        kind,
        control,
        events,
    };
    // The typed words, as the gatekeeper takes them.
    let gatekeeper = Link {
        control: match kind {
            LinkKind::Default(_) => control,
            _ => control_named(typed[0]).unwrap_or(Control::Required),
        },
        events: typed
            .get(1..)
            .filter(|words| !words.is_empty())
            .map_or(Events::ALL, |words| {
                words.iter().filter_map(|word| event_named(word)).collect()
            }),
        ..link
    };
    if typed != clean && gatekeeper != link {
        reading.notice(
            line,
            format!(
                "{}: billdrop reads this line as {}; the gatekeeper minds the blanks and reads it as {}",
                kind.name(),
                told(&link),
                told(&gatekeeper)
            ),
        );
    }
    link
}

/// `optional for start, stop`
fn told(link: &Link) -> String {
    format!("{} for {}", link.control.name(), link.events)
}

fn control_named(word: &str) -> Option<Control> {
    Control::ALL
        .into_iter()
        .find(|control| control.name().eq_ignore_ascii_case(word))
}

fn event_named(word: &str) -> Option<EventKind> {
    EventKind::ALL
        .into_iter()
        .find(|kind| kind.name().eq_ignore_ascii_case(word))
}

fn control(reading: &mut Reading<'_>, line: usize, kind: LinkKind, word: &str) -> Control {
    if let Some(control) = control_named(word) {
        return control;
    }
    let names = Control::ALL.map(Control::name);
    let what = match word {
        "" => format!("{}: no control word; write one of {}", kind.name(), names.join(", ")),
        word => format!(
            "{}: `{}` is not a control word{}; write one of {}",
            kind.name(),
            shortened(word),
            hint(word.trim(), names),
            names.join(", ")
        ),
    };
    reading.refuse(line, &what, "takes it for `required`");
    Control::Required
}

/// What `default=WORD` says.
fn status(reading: &mut Reading<'_>, line: usize, word: &str) -> LinkKind {
    const GOOD: [&str; 4] = ["accept", "allow", "yes", "true"];
    const BAD: [&str; 5] = ["fail", "reject", "deny", "no", "false"];
    let read = values::flag(word);
    let lower = word.trim().to_ascii_lowercase();
    let is_known = match read {
        true => GOOD.contains(&lower.as_str()) || matches!(lower.as_str(), "1" | "a" | "t" | "y"),
        false => BAD.contains(&lower.as_str()) || matches!(lower.as_str(), "0" | "f" | "n"),
    };
    if !is_known {
        let what = match word {
            "" => "default: no word; write accept or fail".to_owned(),
            word => format!(
                "default: `{}` is not known{}; write accept or fail",
                shortened(word),
                hint(word.trim(), GOOD.into_iter().chain(BAD))
            ),
        };
        let does = if read {
            "takes it for `accept`"
        } else {
            "takes it for `fail`"
        };
        reading.refuse(line, &what, does);
    }
    LinkKind::Default(read)
}

/// Nobody reads more of one line.
const MOST_UNKNOWN: usize = 20;

/// The events of a list that is there, though perhaps empty.
fn events(reading: &mut Reading<'_>, line: usize, kind: LinkKind, words: &[&str]) -> Events {
    let events: Events = words.iter().filter_map(|word| event_named(word)).collect();
    let name = kind.name();
    let unknown: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !word.is_empty() && event_named(word).is_none())
        .collect();
    let never = events == Events::NONE;
    let does = if never {
        "never calls the module"
    } else {
        "passes over it"
    };
    if unknown.is_empty() && never {
        let what = format!("{name}: the list of events is empty; leave the semicolon away for all events");
        reading.refuse(line, &what, does);
    }
    for word in unknown.iter().take(MOST_UNKNOWN) {
        let comment = match word.trim().contains([' ', '#']) {
            true => ": nothing that follows a value is a comment; give comments lines of their own".to_owned(),
            false => hint(word.trim(), EventKind::ALL.map(EventKind::name)),
        };
        let what = format!("{name}: `{}` is not an event{comment}", shortened(word));
        reading.refuse(line, &what, does);
    }
    let supported = events.and(kind.supported());
    if never || supported == events {
        return events;
    }
    if supported == Events::NONE {
        let what = format!("{name} can log {}, and not {events}", kind.supported());
        reading.refuse(line, &what, "never calls the module");
    } else {
        let beyond = Events(events.0 & !supported.0);
        reading.notice(line, format!("{name} cannot log {beyond}: it is not called for that"));
    }
    events
}

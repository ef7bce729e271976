//! What an operator's chain does, in words: who is asked for which event, and which verdicts are not what one expects.
//!
//! Every combination of outcomes is tried on the chain itself ([`super::chain`]), so nothing here knows the rules a second
//! time.

use super::chain::{Verdict, verdict};
use crate::config::gatekeeper::{Control, EventKind, Events, Gatekeeper, Link, LinkKind};

/// Lines for `billdrop check`: the modules, then for each group of events who is asked, then what surprises.
pub fn explain(gatekeeper: &Gatekeeper) -> Vec<String> {
    let mut lines: Vec<String> = gatekeeper.chain.iter().map(module).collect();
    lines.extend(gatekeeper.skipped.iter().map(|skipped| {
        format!(
            "{} (line {}): billdrop has no such module; it is left out",
            skipped.module, skipped.line
        )
    }));
    for group in groups(gatekeeper) {
        lines.push(group.asked());
        lines.extend(group.surprises());
    }
    lines
}

/// `RadAcct (line 12): alternative; start, stop`
fn module(link: &Link) -> String {
    let word = match link.kind {
        LinkKind::Default(true) => "accept",
        LinkKind::Default(false) => "fail",
        _ => link.control.name(),
    };
    let events = link.events.and(link.kind.supported());
    format!("{} (line {}): {word}; {events}", link.kind.name(), link.line)
}

/// Events for which the same modules are asked, with the same prospects.
struct Group<'a> {
    kinds: Vec<EventKind>,
    links: Vec<&'a Link>,
    /// What each of them says whatever happens.
    fixed: Vec<Option<bool>>,
    /// Events that are not even handed on.
    is_off: bool,
}

fn groups(gatekeeper: &Gatekeeper) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for kind in EventKind::ALL {
        let is_off = kind == EventKind::Update && gatekeeper.update_interval.is_zero();
        let is_asked = |link: &&Link| !is_off && link.events.and(link.kind.supported()).contains(kind);
        let links: Vec<&Link> = gatekeeper.chain.iter().filter(is_asked).collect();
        let fixed: Vec<Option<bool>> = links.iter().map(|link| fixed(gatekeeper, link.kind, kind)).collect();
        let same = groups
            .iter_mut()
            .find(|group| group.is_off == is_off && group.links == links && group.fixed == fixed);
        match same {
            Some(group) => group.kinds.push(kind),
            None => groups.push(Group {
                kinds: vec![kind],
                links,
                fixed,
                is_off,
            }),
        }
    }
    groups
}

/// Without a query an event fails each time.
fn fixed(gatekeeper: &Gatekeeper, module: LinkKind, kind: EventKind) -> Option<bool> {
    let of = if kind == EventKind::Connect {
        EventKind::Update
    } else {
        kind
    };
    match (module, &gatekeeper.sql) {
        (LinkKind::SqlAcct, Some(sql)) if sql.queries.iter().all(|(kind, _, _)| *kind != of) => Some(false),
        _ => module.always(),
    }
}

impl Group<'_> {
    fn events(&self) -> String {
        self.kinds.iter().copied().collect::<Events>().to_string()
    }

    /// `start, stop: RadAcct, then FileAcct`
    fn asked(&self) -> String {
        let named = self.links.iter().zip(&self.fixed).map(|(link, fixed)| {
            let note = match (link.kind, fixed) {
                (LinkKind::Default(true), _) => " (ok)",
                (LinkKind::Default(false), _) => " (fail)",
                (LinkKind::SqlAcct, Some(false)) => " (no query: fails each time)",
                _ => "",
            };
            format!("{}{note}", link.kind.name())
        });
        let names: Vec<String> = named.collect();
        let events = self.events();
        match names.is_empty() {
            true if self.is_off => format!("{events}: nobody is asked, since AcctUpdateInterval is 0; always ok"),
            true => format!("{events}: nobody is asked; always ok"),
            false => format!("{events}: {}{}", names.join(", then "), self.constant()),
        }
    }

    /// Where the verdict is the same whatever happens.
    fn constant(&self) -> &'static str {
        let verdicts: Vec<bool> = self.combinations().iter().map(|tried| tried.verdict.ok).collect();
        match &verdicts[..] {
            all if all.iter().all(|ok| *ok) => "; always ok",
            all if all.iter().all(|ok| !*ok) => "; always fail",
            _ => "",
        }
    }

    /// What nobody expects who does not know the rules by heart.
    fn surprises(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for tried in self.combinations() {
            if let Some(why) = self.surprise(&tried) {
                let outcomes: Vec<String> = tried.asked.iter().map(|(at, ok)| self.says(*at, *ok)).collect();
                let word = if tried.verdict.ok { "ok" } else { "fail" };
                lines.push(format!("{}: {}: {word}, {why}", self.events(), outcomes.join(", ")));
            }
        }
        lines.extend(self.unreached());
        lines.extend(self.behind_default());
        lines
    }

    fn says(&self, at: usize, ok: bool) -> String {
        format!("{} {}", self.links[at].kind.name(), if ok { "ok" } else { "fails" })
    }

    fn surprise(&self, tried: &Tried) -> Option<String> {
        let (decided, link) = tried.verdict.decided_by.map(|at| (at, self.links[at]))?;
        let (last, last_ok) = *tried.asked.last()?;
        let name = link.kind.name();
        match (tried.verdict.ok, link.control) {
            (false, Control::Optional | Control::Alternative) => Some(format!(
                "although {name} is {}: it is the last one that is asked",
                link.control.name()
            )),
            (false, Control::Sufficient) if last != decided => Some(format!(
                "although {name} is sufficient: its failure stays, and the others are asked all the same"
            )),
            (false, Control::Required) if last_ok && matches!(self.links[last].kind, LinkKind::Default(_)) => Some(
                format!("although default accepts: the failure of {name}, which is required, stays"),
            ),
            _ => None,
        }
    }

    /// A call that never comes to SpoolAcct is in no billing document.
    fn unreached(&self) -> Vec<String> {
        let all = self.combinations();
        let never =
            (0..self.links.len()).filter(|at| all.iter().all(|tried| tried.asked.iter().all(|(asked, _)| asked != at)));
        let mut lines: Vec<String> = never
            .map(|at| {
                format!(
                    "{}: {} is never asked: a module before it always says ok, and ends the chain",
                    self.events(),
                    self.links[at].kind.name()
                )
            })
            .collect();
        let spool = self.links.iter().position(|link| link.kind == LinkKind::SpoolAcct);
        let missed = spool.and_then(|spool| {
            let missed = |tried: &&Tried| tried.asked.iter().all(|(at, _)| *at != spool);
            all.iter().find(missed)
        });
        if let Some(tried) = missed {
            let outcomes: Vec<String> = tried.asked.iter().map(|(at, ok)| self.says(*at, *ok)).collect();
            lines.push(format!(
                "{}: {}: SpoolAcct is not asked, and the call is in no billing document; put SpoolAcct first",
                self.events(),
                outcomes.join(", ")
            ));
        }
        lines
    }

    fn behind_default(&self) -> Option<String> {
        let default = self
            .links
            .iter()
            .position(|link| matches!(link.kind, LinkKind::Default(_)))?;
        let behind = self.links.get(default + 1)?;
        Some(format!(
            "{}: default stands before {}, so it decides nothing unless it says fail; put it last",
            self.events(),
            behind.kind.name()
        ))
    }

    /// Each way in which it can go, once.
    fn combinations(&self) -> Vec<Tried> {
        let free: Vec<usize> = (0..self.links.len()).filter(|at| self.fixed[*at].is_none()).collect();
        let links: Vec<Link> = self.links.iter().map(|link| (*link).clone()).collect();
        let mut all: Vec<Tried> = Vec::new();
        for bits in 0..1u32 << free.len() {
            let says = |at: usize| match free.iter().position(|free| *free == at) {
                Some(bit) => bits >> bit & 1 == 0,
                None => self.fixed[at].unwrap_or(true),
            };
            let tried = Tried::new(&links, self.kinds[0], says);
            if !all.contains(&tried) {
                all.push(tried);
            }
        }
        all
    }
}

/// One way in which it can go.
#[derive(PartialEq)]
struct Tried {
    /// Position and outcome of each that was asked.
    asked: Vec<(usize, bool)>,
    verdict: Verdict,
}

impl Tried {
    fn new(links: &[Link], kind: EventKind, says: impl Fn(usize) -> bool) -> Self {
        let mut asked = Vec::new();
        let supported = |link: &Link| link.kind.supported();
        // Every link of a group is asked in its turn, so positions count up.
        let verdict = verdict(links, supported, kind, |_| {
            let at = asked.len();
            asked.push((at, says(at)));
            says(at)
        });
        Tried { asked, verdict }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::gatekeeper::{Leniency, parse};

    fn explained(chain: &str) -> String {
        let text = format!(
            "[Gatekeeper::Acct]\n{chain}\n[FileAcct]\nDetailFile=/c\n[RadAcct]\nServers=192.0.2.1:1:2:s\n[SQLAcct]\nDriver=SQLite\n\
             Database=/d\nStartQuery=a\nStopQuery=b\nUpdateQuery=c\n[CallTable]\nAcctUpdateInterval=60\n"
        );
        let (gatekeeper, _) = parse(text.as_bytes(), Path::new("gk.ini"), Leniency::Strict).unwrap();
        explain(&gatekeeper).join("\n")
    }

    #[track_caller]
    fn assert_says(chain: &str, lines: &[&str]) {
        let said = explained(chain);
        for line in lines {
            assert!(said.lines().any(|said| said == *line), "{line}\n---\n{said}");
        }
    }

    #[test]
    fn the_second_example_is_told_module_by_module_and_event_by_event() {
        assert_eq!(
            explained("RadAcct=alternative;start,stop\nFileAcct=sufficient;stop\ndefault=accept"),
            "RadAcct (line 2): alternative; start, stop\n\
             FileAcct (line 3): sufficient; stop\n\
             default (line 4): accept; all events\n\
             start: RadAcct, then default (ok); always ok\n\
             stop: RadAcct, then FileAcct, then default (ok)\n\
             stop: RadAcct fails, FileAcct fails, default ok: fail, although FileAcct is sufficient: its failure stays, and the \
             others are asked all the same\n\
             update, on, off, connect, alert, register, unregister, reject, mediafail: default (ok); always ok"
        );
    }

    #[test]
    fn every_chain_that_surprises_is_explained() {
        let last = "it is the last one that is asked";
        assert_says(
            "RadAcct=optional;start",
            &[&format!(
                "start: RadAcct fails: fail, although RadAcct is optional: {last}"
            )],
        );
        assert_says(
            "SQLAcct=required;start\nRadAcct=optional;start",
            &[&format!(
                "start: SQLAcct ok, RadAcct fails: fail, although RadAcct is optional: {last}"
            )],
        );
        assert_says(
            "RadAcct=required;start\ndefault=accept;start",
            &[
                "start: RadAcct fails, default ok: fail, although default accepts: the failure of RadAcct, which is required, stays",
            ],
        );
        assert_says(
            "RadAcct=sufficient;start\nSQLAcct=required;start",
            &[
                "start: RadAcct fails, SQLAcct ok: fail, although RadAcct is sufficient: its failure stays, and the others are \
               asked all the same",
            ],
        );
        assert_says(
            "default=accept;start\nRadAcct=alternative;start",
            &[
                &format!("start: default ok, RadAcct fails: fail, although RadAcct is alternative: {last}"),
                "start: default stands before RadAcct, so it decides nothing unless it says fail; put it last",
            ],
        );
        assert_says("FileAcct=required", &["stop: FileAcct"]);
        assert!(explained("FileAcct=required").contains("reject, mediafail: nobody is asked; always ok"));
        assert_says(
            "SQLAcct=required",
            &["on, off, alert, register, unregister: SQLAcct (no query: fails each time); always fail"],
        );
    }

    #[test]
    fn a_call_that_misses_its_billing_document_is_told() {
        assert_says(
            "RadAcct=sufficient;stop\nSpoolAcct=required;stop",
            &["stop: RadAcct ok: SpoolAcct is not asked, and the call is in no billing document; put SpoolAcct first"],
        );
        assert!(!explained("SpoolAcct=required;stop\nRadAcct=sufficient;stop").contains("no billing document"));
        assert_says(
            "StatusAcct=sufficient;stop\nFileAcct=required",
            &["stop: FileAcct is never asked: a module before it always says ok, and ends the chain"],
        );
    }

    #[test]
    fn without_an_interval_nobody_is_asked_about_updates() {
        let text = "[Gatekeeper::Acct]\nStatusAcct=optional\nHttpAcct=required\n";
        let (gatekeeper, _) = parse(text.as_bytes(), Path::new("gk.ini"), Leniency::Strict).unwrap();
        let said = explain(&gatekeeper);
        assert!(
            said.contains(&"update: nobody is asked, since AcctUpdateInterval is 0; always ok".to_owned()),
            "{said:?}"
        );
        assert!(said[1].starts_with("HttpAcct (line 3): billdrop has no such module"));
    }
}

//! What a chain says to an event: the gatekeeper's verdict.
//!
//! The modules are asked in file order. A `required` or `sufficient` module that fails makes the verdict `fail`, and nothing
//! that follows can change that. A `sufficient` or `alternative` module that succeeds is the last one that is asked. The
//! module that was asked last must have succeeded, whatever its control: an `optional` one, too. When none is asked the
//! verdict is `ok`. The truth table stands in `billdrop-accounting.5` and is tested here.

use std::time::Duration;

use crate::config::gatekeeper::{Control, EventKind, Events, Link};

/// What came of an event as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub ok: bool,
    /// Position of the link that made it so: the first one whose failure holds to the end, else the last one that was
    /// asked. [`None`]: nobody was.
    pub decided_by: Option<usize>,
}

/// Asks `log` of each link whose module supports the event and is configured for it, until one ends the chain.
pub fn verdict(
    links: &[Link],
    supported: impl Fn(&Link) -> Events,
    kind: EventKind,
    mut log: impl FnMut(&Link) -> bool,
) -> Verdict {
    let (mut failed_for_good, mut last) = (None, None);
    for (position, link) in links.iter().enumerate() {
        if !link.events.and(supported(link)).contains(kind) {
            continue;
        }
        let ok = log(link);
        last = Some((position, ok));
        match (ok, link.control) {
            (false, Control::Required | Control::Sufficient) => {
                failed_for_good.get_or_insert(position);
            }
            (true, Control::Sufficient | Control::Alternative) => break,
            _ => {}
        }
    }
    Verdict {
        ok: failed_for_good.is_none() && last.is_none_or(|(_, ok)| ok),
        decided_by: failed_for_good.or(last.map(|(position, _)| position)),
    }
}

/// Whether the gatekeeper would hand on an update at all. `since`: how long ago the last one of this call was handed on, else
/// when the call began. What is not due is `ok` without anybody being asked.
pub fn update_is_due(interval: Duration, since: Option<Duration>) -> bool {
    !interval.is_zero() && since.is_some_and(|since| since >= interval)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::gatekeeper::LinkKind;

    fn link(control: Control, events: Events) -> Link {
        Link {
            line: 1,
            kind: LinkKind::SqlAcct,
            control,
            events,
        }
    }

    /// The links' outcomes one after the other; says the verdict and how many were asked.
    fn asked(links: &[Link], outcomes: &[bool]) -> (Verdict, usize) {
        let mut asked = 0;
        let verdict = verdict(
            links,
            |link| link.kind.supported(),
            EventKind::Stop,
            |link| {
                let position = links.iter().position(|other| std::ptr::eq(link, other)).unwrap();
                asked += 1;
                outcomes[position]
            },
        );
        (verdict, asked)
    }

    /// Rows of the first table behind this heading of the manual page.
    fn table(heading: &str) -> Vec<Vec<String>> {
        let page = include_str!("../../man/parts/billdrop-accounting.5");
        let (_, behind) = page.split_once(&format!(".SS {heading}\n")).unwrap();
        let table = behind.split_once(".TS\n").unwrap().1.split_once(".TE\n").unwrap().0;
        let rows = table.lines().skip_while(|line| !line.ends_with('.')).skip(2);
        rows.map(|row| row.split('\t').map(str::to_owned).collect()).collect()
    }

    fn control(word: &str) -> Control {
        Control::ALL.into_iter().find(|control| control.name() == word).unwrap()
    }

    #[test]
    fn one_module_behaves_as_the_manual_says() {
        let rows = table("One module");
        assert_eq!(rows.len(), 9);
        for row in rows {
            let [word, says, holds, more, last] = &row[..] else {
                panic!("{row:?}");
            };
            if word == "any" {
                let (verdict, asked) = asked(&[link(Control::Required, Events::of(1))], &[false]);
                assert_eq!((verdict.ok, asked), (true, 0));
                assert_eq!((&says[..], &more[..]), ("nothing", "yes"));
                continue;
            }
            let (control, ok) = (control(word), says == "ok");
            let alone = asked(&[link(control, Events::ALL)], &[ok]).0;
            assert_eq!(alone.ok, last == "ok", "{row:?}");
            // A second one that succeeds.
            let links = [link(control, Events::ALL), link(Control::Required, Events::ALL)];
            let (both, count) = asked(&links, &[ok, true]);
            assert_eq!(count == 2, more == "yes", "{row:?}");
            assert_eq!(both.ok, holds == "no", "{row:?}");
        }
    }

    #[test]
    fn two_modules_behave_as_the_manual_says_whatever_the_control_of_the_second() {
        let rows = table("Two modules");
        assert_eq!(rows.len(), 9);
        for row in rows {
            let [first, more, if_ok, if_fails] = &row[..] else {
                panic!("{row:?}");
            };
            let (word, says) = first.split_once(' ').unwrap_or((first, ""));
            let first = match word {
                "none" => link(Control::Required, Events::NONE),
                word => link(control(word), Events::ALL),
            };
            for second in Control::ALL {
                let links = [first.clone(), link(second, Events::ALL)];
                for (outcome, expected) in [(true, if_ok), (false, if_fails)] {
                    let (verdict, count) = asked(&links, &[says == "ok", outcome]);
                    assert_eq!(verdict.ok, expected == "ok", "{row:?} {second:?}");
                    assert_eq!(
                        count,
                        usize::from(word != "none") + usize::from(more == "yes"),
                        "{row:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_link_that_decided_is_named() {
        let links = [
            Control::Optional,
            Control::Required,
            Control::Sufficient,
            Control::Optional,
        ]
        .map(|control| link(control, Events::ALL));
        let by = |outcomes| asked(&links, outcomes).0.decided_by;
        assert_eq!(by(&[false, true, true, false]), Some(2));
        assert_eq!(by(&[false, false, false, true]), Some(1));
        assert_eq!(by(&[true, true, false, true]), Some(2));
        assert_eq!(
            asked(&[], &[]).0,
            Verdict {
                ok: true,
                decided_by: None
            }
        );
    }

    #[test]
    fn updates_come_at_the_interval_and_never_without_one() {
        let seconds = Duration::from_secs;
        assert!(update_is_due(seconds(10), Some(seconds(10))));
        assert!(!update_is_due(seconds(10), Some(Duration::from_millis(9999))));
        assert!(!update_is_due(seconds(10), None));
        assert!(!update_is_due(Duration::ZERO, Some(seconds(100))));
    }

    /// The procedure once more, by recursion: what comes of the rest, given whether a failure holds and what the last one said.
    fn model(links: &[(Control, Option<bool>)], failed: bool, last: bool) -> bool {
        match links {
            [] => !failed && last,
            [(_, None), rest @ ..] => model(rest, failed, last),
            [(Control::Sufficient | Control::Alternative, Some(true)), ..] => !failed,
            [(Control::Required | Control::Sufficient, Some(false)), rest @ ..] => model(rest, true, false),
            [(_, Some(ok)), rest @ ..] => model(rest, failed, *ok),
        }
    }

    proptest! {
        #[test]
        fn every_chain_gives_the_verdict_of_the_model(
            links in prop::collection::vec((prop::sample::select(&Control::ALL[..]), prop::option::of(any::<bool>())), 0..8),
        ) {
            let chain: Vec<Link> = links.iter().map(|(control, outcome)| link(*control, match outcome {
                Some(_) => Events::ALL,
                None => Events::of(1),
            })).collect();
            let outcomes: Vec<bool> = links.iter().map(|(_, outcome)| outcome.unwrap_or(false)).collect();
            let (verdict, _) = asked(&chain, &outcomes);
            prop_assert_eq!(verdict.ok, model(&links, false, true));
            prop_assert_eq!(verdict.decided_by.is_none(), links.iter().all(|(_, outcome)| outcome.is_none()));
        }
    }
}

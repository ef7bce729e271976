//! When documents are due.

use chrono::{DateTime, Days, Local, NaiveTime, TimeDelta, TimeZone, Utc};

use crate::config::{Stream, TimeOfDay};

/// The first time after `now` at which a document is due.
///
/// Multiples of the interval since midnight UTC of 1970, so that a restart changes nothing; or the next time of the
/// schedule on this host's clocks. A time that the clocks leave out in spring counts as the first one behind the hole, one
/// that they show twice in autumn as the first of the two.
pub fn next(stream: &Stream, now: DateTime<Utc>) -> DateTime<Utc> {
    match stream.schedule.is_empty() {
        true => next_multiple(stream.interval.0.as_secs(), now),
        false => next_of_day(&stream.schedule, now, &Local),
    }
}

/// When the next document is due that was due at `due`: sooner, if the clock was set back meanwhile.
pub fn sooner(stream: &Stream, due: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    due.min(next(stream, now))
}

/// How many documents fell due after `due` and up to `now`.
pub fn missed(stream: &Stream, due: DateTime<Utc>, now: DateTime<Utc>) -> u32 {
    const ENOUGH: u32 = 10_000;
    let mut missed = 0;
    let mut at = next(stream, due);
    while at <= now && missed < ENOUGH {
        missed += 1;
        at = next(stream, at);
    }
    missed
}

fn next_multiple(interval: u64, now: DateTime<Utc>) -> DateTime<Utc> {
    let interval = i64::try_from(interval.max(1)).unwrap_or(i64::MAX);
    let seconds = (now.timestamp().div_euclid(interval) + 1).saturating_mul(interval);
    DateTime::from_timestamp(seconds, 0).unwrap_or(now)
}

fn next_of_day<Z: TimeZone>(schedule: &[TimeOfDay], now: DateTime<Utc>, zone: &Z) -> DateTime<Utc> {
    let today = now.with_timezone(zone).date_naive();
    let days = (0..3).filter_map(|days| today.checked_add_days(Days::new(days)));
    days.flat_map(|day| schedule.iter().map(move |time| (day, time)))
        .filter_map(|(day, time)| {
            let wall = day.and_time(NaiveTime::from_hms_opt(time.hour.into(), time.minute.into(), 0)?);
            // Holes are an hour or two; nobody moves the clocks by a day.
            (0..=24 * 4).find_map(|quarters| {
                let wall = wall + TimeDelta::minutes(15 * quarters);
                zone.from_local_datetime(&wall).earliest()
            })
        })
        .map(|at| at.with_timezone(&Utc))
        .filter(|at| *at > now)
        .min()
        .unwrap_or(now + TimeDelta::days(1))
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn stream(keys: &str) -> Stream {
        toml::from_str(&format!("primary = {{ address = \"h:1\" }}\n{keys}")).unwrap()
    }

    #[test]
    fn documents_are_due_at_whole_multiples_whenever_the_program_was_started() {
        let quarter = stream("interval = \"15m\"");
        assert_eq!(next(&quarter, at("2026-11-22T10:01:00Z")), at("2026-11-22T10:15:00Z"));
        assert_eq!(next(&quarter, at("2026-11-22T10:15:00Z")), at("2026-11-22T10:30:00Z"));
        assert_eq!(
            next(&quarter, at("2026-11-22T10:14:59.999Z")),
            at("2026-11-22T10:15:00Z")
        );
        let day = stream("interval = \"1day\"");
        assert_eq!(next(&day, at("2026-11-22T10:01:00Z")), at("2026-11-23T00:00:00Z"));
    }

    #[test]
    fn what_fell_due_meanwhile_is_counted() {
        let quarter = stream("interval = \"15m\"");
        let due = at("2026-11-22T10:15:00Z");
        assert_eq!(missed(&quarter, due, at("2026-11-22T10:29:59Z")), 0);
        assert_eq!(missed(&quarter, due, at("2026-11-22T10:30:00Z")), 1);
        assert_eq!(missed(&quarter, due, at("2026-11-22T11:16:00Z")), 4);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_put_the_next_document_off() {
        let quarter = stream("interval = \"15m\"");
        let due = at("2026-11-22T10:15:00Z");
        assert_eq!(sooner(&quarter, due, at("2026-11-22T10:14:59Z")), due);
        assert_eq!(sooner(&quarter, due, at("2026-11-22T10:15:00Z")), due, "it is due");
        assert_eq!(sooner(&quarter, due, at("2026-11-25T10:15:00Z")), due, "it is late");
        assert_eq!(
            sooner(&quarter, due, at("2026-11-20T03:01:00Z")),
            at("2026-11-20T03:15:00Z")
        );
    }

    #[test]
    fn a_schedule_is_one_of_the_host_s_own_clocks() {
        let times = [TimeOfDay { hour: 6, minute: 0 }, TimeOfDay { hour: 18, minute: 30 }];
        let zone = FixedOffset::east_opt(3600).unwrap();
        let next = |now| next_of_day(&times, at(now), &zone);
        assert_eq!(next("2026-11-22T04:59:59Z"), at("2026-11-22T05:00:00Z"));
        assert_eq!(next("2026-11-22T05:00:00Z"), at("2026-11-22T17:30:00Z"));
        assert_eq!(next("2026-11-22T17:30:00Z"), at("2026-11-23T05:00:00Z"));
    }
}

//! `billdrop resend`: what the billing system has lost is offered again, or brought to a destination again.

use chrono::Utc;

use super::{deliver, print, push, release::operator, setting::Setting};
use crate::{
    cli::{self, Selection},
    config::STREAM,
    exit::{Error, Exit, Result},
    ledger::{Ledger, Row, State},
    spool::{self, CopyError, Lock, Spool},
};

pub fn run(cli: &cli::Cli, args: &cli::Resend) -> Result<()> {
    let setting = Setting::load(cli)?;
    Ledger::open_existing(&setting.config.state_directory())?;
    let spool = Spool::prepare(&setting.config)?;
    let lock = Lock::open(&spool.state)?;
    let Some(locked) = lock.try_hold()? else {
        return Err(Error::new(
            Exit::Blocked,
            "a capture is running; try again when it has ended",
        ));
    };
    let now = Utc::now();
    let mut ledger = spool::open_ledger(&spool, &setting.hostname, &setting.managers(), now, &locked)?;
    let tell = |row: &Row| setting.tell_offer(row);
    spool::recover(&spool, &mut ledger, &tell, now, &locked)?;
    if args.cancel {
        return cancel(&mut ledger, args.documents.as_ref());
    }
    let Some(documents) = &args.documents else {
        return Err(Error::new(Exit::Usage, "which documents?"));
    };
    let rows = selected(&ledger, documents)?;
    // In streaming mode there is no spool to offer them in.
    let stream = setting.config.stream.as_ref().map(|_| STREAM.to_owned());
    let to = args.to.clone().or(stream);
    // All or nothing: before one is sent, every one is found to be what was written.
    for row in &rows {
        check(&spool, row, to.is_some())?;
    }
    let sequences: Vec<u64> = rows.iter().map(|row| row.sequence).collect();
    match &to {
        Some(destination) => {
            refuse_unknown(&setting, &ledger, destination)?;
            for row in &rows {
                unpack(&spool, &mut ledger, row)?;
            }
            ledger.resend(&sequences, Some(destination), &operator(), now)?;
        }
        None => {
            if push::can_free_the_spool(&setting) {
                tracing::warn!(
                    "what is offered again waits for its pickup, whatever [spool] retrieved says, and no other is captured \
                     meanwhile; billdrop resend --to NAME brings it to a destination instead"
                );
            }
            ledger.resend(&sequences, None, &operator(), now)?;
            // With one that waits already this changes nothing.
            spool::recover(&spool, &mut ledger, &tell, now, &locked)?;
        }
    }
    let said = say(&spool, &ledger, &rows, to.as_deref());
    deliver::due(&mut ledger, &setting);
    said
}

/// What waits for its turn, not what is offered already: that is for `release`.
fn cancel(ledger: &mut Ledger, selection: Option<&Selection>) -> Result<()> {
    let now = Utc::now();
    let wanted = match selection {
        None => None,
        Some(Selection::Numbers(first, last)) => Some((*first, *last)),
        Some(selection) => selected(ledger, selection)?
            .first()
            .map(|row| (row.sequence, row.sequence)),
    };
    let mut queue = ledger.queue()?;
    queue.retain(|wish| wanted.is_none_or(|(first, last)| (first..=last).contains(&wish.sequence)));
    if queue.is_empty() {
        return Err(
            Error::new(Exit::Unavailable, "none of these documents waits for its turn").next(
                "billdrop status shows the queue. The document that is offered is moved aside by billdrop release.",
            ),
        );
    }
    let who = operator();
    let wishes: Vec<i64> = queue.iter().map(|wish| wish.id).collect();
    ledger.resends_cancelled(&wishes, &format!("cancelled by {who}"), now)?;
    print(|out| {
        queue
            .iter()
            .try_for_each(|wish| writeln!(out, "document {}: is not offered again", wish.sequence))
    })
}

fn say(spool: &Spool, ledger: &Ledger, rows: &[Row], destination: Option<&str>) -> Result<()> {
    let waiting = spool::survey(spool, ledger)?.waiting;
    print(|out| {
        for row in rows {
            let is_offered = waiting.as_ref().is_some_and(|waiting| waiting.sequence == row.sequence);
            match destination {
                Some(name) => writeln!(out, "document {}: will be brought to {name}", row.sequence)?,
                None if is_offered => {
                    writeln!(out, "document {}: {}", row.sequence, spool.path(&row.name).display())?;
                }
                None => writeln!(out, "document {}: will be offered when its turn comes", row.sequence)?,
            }
        }
        Ok(())
    })
}

fn selected(ledger: &Ledger, selection: &Selection) -> Result<Vec<Row>> {
    let missing = |what: String| {
        Err(Error::new(Exit::Unavailable, format!("{what} is not in the ledger"))
            .next("billdrop history lists the documents that are."))
    };
    match selection {
        Selection::DocId(id) => match ledger.by_doc_id(&id.to_string())? {
            Some(row) => Ok(vec![row]),
            None => missing(format!("document {id}")),
        },
        Selection::Numbers(first, last) => {
            let rows = ledger.between(*first, *last)?;
            let mut wanted = *first;
            for row in &rows {
                if row.sequence != wanted {
                    break;
                }
                wanted += 1;
            }
            match wanted > *last {
                true => Ok(rows),
                false => missing(format!("document {wanted}")),
            }
        }
    }
}

fn check(spool: &Spool, row: &Row, to_destination: bool) -> Result<()> {
    let about = format!("document {} ({})", row.sequence, row.name);
    let is_on_its_way = matches!(row.state, State::Sealed | State::Offered);
    if is_on_its_way && !to_destination {
        return Err(Error::new(Exit::Unavailable, format!("{about} is offered already"))
            .next("It waits in the spool for its pickup."));
    }
    if row.sha256.is_empty() {
        return Err(Error::new(
            Exit::Unavailable,
            format!("{about} cannot be sent again: the rebuilt ledger does not know what was in it"),
        ));
    }
    if is_on_its_way && spool.stored(&row.name).is_some() {
        return Ok(());
    }
    spool.archive.checked(row).map(drop).map_err(|e| {
        let expired = row.copy.as_ref().and_then(|copy| copy.expired);
        let exit = match e {
            CopyError::Gone(_) => Exit::Unavailable,
            CopyError::Damaged { .. } => Exit::BadData,
            CopyError::Unreadable { .. } | CopyError::Unwritten { .. } => Exit::Io,
        };
        let why = match (&e, expired, &row.copy) {
            (CopyError::Gone(_), Some(at), _) => {
                format!("its copy was removed on {}", at.format("%Y-%m-%d at %H:%M UTC"))
            }
            (CopyError::Gone(_), None, None) => "no copy of it was ever made".to_owned(),
            _ => e.to_string(),
        };
        Error::new(exit, format!("{about} cannot be sent again: {why}"))
            .next("Nothing is sent. [archive] keep says how long copies are kept.")
    })
}

/// Who brings documents to destinations reads the file itself.
fn unpack(spool: &Spool, ledger: &mut Ledger, row: &Row) -> Result<()> {
    if spool.stored(&row.name).is_some() {
        return Ok(());
    }
    let copy = spool
        .archive
        .unpack(row)
        .map_err(|e| Error::new(Exit::Io, format!("document {}: {e}", row.sequence)))?;
    Ok(ledger.archived(row.sequence, &copy)?)
}

fn refuse_unknown(setting: &Setting, ledger: &Ledger, name: &str) -> Result<()> {
    let mut known = setting.config.destinations();
    known.extend(ledger.destinations()?.into_iter().map(|destination| destination.name));
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    known.sort();
    known.dedup();
    let next = match known.is_empty() {
        true => "No destination is configured.".to_owned(),
        false => format!("There are: {}.", known.join(", ")),
    };
    Err(Error::new(Exit::Configuration, format!("there is no destination {name:?}")).next(next))
}

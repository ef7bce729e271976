//! All coSpaces of a CMS, each once, with their details where those are wanted.

use std::io;

use super::{
    paging,
    rest::{Rest, Trouble},
};
use crate::{
    capture::{
        SourceError,
        outlet::Story,
        records::Records,
        web::{Body, Date},
    },
    config,
    protocol::cms::{self, CoSpace},
    record::ConferenceSpace,
};

/// Octets of what lists say of spaces whose details are not asked for yet.
const MOST_WAITING: usize = 64 << 20;

/// Reads all spaces and makes a record of each. Those that came before the connection broke, or the time was over, stay.
pub fn read(
    rest: &Rest<'_>,
    settings: &config::Cms,
    records: &mut Records<'_, '_>,
    story: &mut Story,
) -> Result<(), SourceError> {
    let limit = paging::size(settings.page_size);
    // Asked for when the list is complete: in between, the list would have more time to change.
    let mut waiting = Vec::new();
    let mut octets = 0;
    let mut without = Without::default();
    let listed = paging::read(rest, "spaces", |offset, seen| {
        rest.get(&format!("/coSpaces?offset={offset}&limit={limit}"), |body, date| {
            seen.begin_page();
            cms::read_co_spaces(body, &mut |space| {
                if !seen.insert(&space.id) {
                    return Ok(());
                }
                if settings.details && octets < MOST_WAITING {
                    let listed = Listed::new(&space);
                    octets += listed.octets();
                    waiting.push(listed);
                    return Ok(());
                }
                without.unasked += u64::from(settings.details);
                push(records, date, &space)
            })
        })
    });
    if let Some(refused) = records.refused() {
        return Err(refused);
    }
    let mut broken = None;
    match listed {
        Ok(None) => {}
        Ok(Some(why)) => story.missing(why),
        Err(Trouble::NotThere(said)) => story.missing(format!("there is no list of spaces ({said})")),
        Err(Trouble::Refused(said)) => story.missing(format!("the list of spaces is refused ({said})")),
        Err(Trouble::Answer(why)) => story.missing(format!("the list of spaces is not whole: {why}")),
        Err(Trouble::Source(error @ SourceError::Unavailable(_))) => broken = Some(error),
        Err(Trouble::Source(error)) => return Err(error),
    }
    for listed in waiting {
        let mut told = (listed.space(), None);
        if broken.is_some() {
            without.unasked += 1;
        } else {
            match detailed(rest, &listed, &mut without) {
                Ok(Some(detailed)) => told = detailed,
                Ok(None) => {}
                Err(error @ SourceError::Unavailable(_)) => {
                    without.unasked += 1;
                    broken = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        let (space, date) = told;
        push(records, date, &space).map_err(|e| records.refused().unwrap_or(SourceError::Sink(e)))?;
    }
    without.tell(story);
    broken.map_or(Ok(()), Err)
}

fn push(records: &mut Records<'_, '_>, date: Date, space: &CoSpace) -> io::Result<()> {
    let name = || format!("space {}", space.id);
    records
        .push_named(date, name, |head| Some(record(space).to_record(head)))
        .map(drop)
}

/// Spaces that are told of as they were listed.
#[derive(Default)]
struct Without {
    deleted: u64,
    /// Their details were not asked for, or not answered.
    unasked: u64,
    refused: u64,
    /// Why the first of them is refused.
    said: String,
}

impl Without {
    fn tell(self, story: &mut Story) {
        let Without {
            deleted,
            unasked,
            refused,
            said,
        } = self;
        if unasked > 0 {
            story.missing(format!("the details of spaces, of {unasked}, have not been asked for"));
        }
        if refused > 0 {
            story.missing(format!("the details of spaces are refused, of {refused} ({said})"));
        }
        if deleted > 0 {
            story.remark(format!(
                "spaces that were deleted after they were listed have no details: {deleted}"
            ));
        }
    }
}

/// The space with its details; [`None`] where it has been deleted since, is refused, or told wrongly.
fn detailed(rest: &Rest<'_>, listed: &Listed, without: &mut Without) -> Result<Option<(CoSpace, Date)>, SourceError> {
    let id = listed.id();
    let path = format!("/coSpaces/{}", super::escaped(id));
    let read = |body: &mut Body, date| Ok((cms::read_co_space(body)?, date));
    // A path that ends in dots is another path, however it is written.
    let asked = match id {
        "." | ".." => Err(Trouble::Refused("its id cannot be asked for".to_owned())),
        _ => rest.get(&path, read),
    };
    let said = match asked {
        Ok((space, date)) if space.id == id => return Ok(Some((space, date))),
        Ok((space, _)) => format!("asked for space {id}, it told of {}", space.id),
        Err(Trouble::NotThere(_)) => {
            without.deleted += 1;
            return Ok(None);
        }
        Err(Trouble::Refused(said) | Trouble::Answer(said)) => said,
        Err(Trouble::Source(error)) => return Err(error),
    };
    without.refused += 1;
    if without.said.is_empty() {
        without.said = said;
    }
    Ok(None)
}

/// What a list says of a space, in one piece: all of them wait in memory while the details are asked for.
struct Listed {
    texts: Box<str>,
    /// Where each text ends; of one that is not there, [`Listed::ABSENT`].
    ends: [u32; Listed::TEXTS],
    auto_generated: Option<bool>,
}

impl Listed {
    const TEXTS: usize = 6;
    const ABSENT: u32 = u32::MAX;

    fn new(space: &CoSpace) -> Self {
        let texts: [Option<&str>; Listed::TEXTS] = [
            Some(&space.id),
            space.name.as_deref(),
            space.uri.as_deref(),
            space.call_id.as_deref(),
            space.secondary_uri.as_deref(),
            space.tenant.as_deref(),
        ];
        let mut all = String::with_capacity(texts.iter().flatten().map(|text| text.len()).sum());
        let ends = texts.map(|text| match text {
            Some(text) => {
                all.push_str(text);
                // An item of an answer has less than a few MiB.
                u32::try_from(all.len()).unwrap_or(Self::ABSENT)
            }
            None => Self::ABSENT,
        });
        Listed {
            texts: all.into(),
            ends,
            auto_generated: space.auto_generated,
        }
    }

    fn id(&self) -> &str {
        self.texts.get(..self.ends[0] as usize).unwrap_or_default()
    }

    fn octets(&self) -> usize {
        size_of::<Listed>() + self.texts.len()
    }

    fn space(&self) -> CoSpace {
        let mut begin = 0;
        let [id, name, uri, call_id, secondary_uri, tenant] = self.ends.map(|end| {
            let text = self.texts.get(begin..end as usize)?.to_owned();
            begin = end as usize;
            Some(text)
        });
        CoSpace {
            id: id.unwrap_or_default(),
            name,
            uri,
            call_id,
            secondary_uri,
            tenant,
            auto_generated: self.auto_generated,
            ..CoSpace::default()
        }
    }
}

fn record(space: &CoSpace) -> ConferenceSpace<'_> {
    ConferenceSpace {
        co_space_id: &space.id,
        name: space.name.as_deref(),
        auto_generated: space.auto_generated,
        uri: space.uri.as_deref(),
        secondary_uri: space.secondary_uri.as_deref(),
        call_id: space.call_id.as_deref(),
        tenant: space.tenant.as_deref(),
        owner_id: space.owner_id.as_deref(),
        owner_jid: space.owner_jid.as_deref(),
        cdr_tag: space.cdr_tag.as_deref(),
        call_profile: space.call_profile.as_deref(),
        call_leg_profile: space.call_leg_profile.as_deref(),
        non_member_access: space.non_member_access,
        default_layout: space.default_layout.as_deref(),
        num_access_methods: space.num_access_methods,
        meeting_scheduler: space.meeting_scheduler.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_listed_comes_back() {
        let text = |text: &str| Some(text.to_owned());
        let whole = CoSpace {
            id: "1".into(),
            name: text("Zoë: a,\nb"),
            auto_generated: Some(false),
            uri: text("u"),
            call_id: text(""),
            secondary_uri: text("s"),
            tenant: text("t"),
            ..CoSpace::default()
        };
        let least = CoSpace {
            id: "é".into(),
            ..CoSpace::default()
        };
        let between = CoSpace {
            id: "2".into(),
            uri: text("u"),
            tenant: text("t"),
            ..CoSpace::default()
        };
        for space in [whole, least, between] {
            assert_eq!(Listed::new(&space).space(), space);
        }
    }
}

//! All coSpaces of a CMS, each once, with their details where those are wanted.

use super::{
    paging::{self, Ids},
    rest::{Rest, Trouble},
};
use crate::{
    capture::{
        SourceError,
        outlet::{Outlet, Story},
        web::Date,
    },
    protocol::cms::{self, CoSpace},
    record::{ConferenceSpace, DeviceHead},
};

/// Reads all spaces and makes a record of each.
pub fn read(
    rest: &Rest<'_>,
    page_size: u32,
    details: bool,
    head: &DeviceHead,
    outlet: &mut Outlet<'_>,
    story: &mut Story,
) -> Result<(), SourceError> {
    let mut head = head.clone();
    let mut taken = Ids::default();
    // Asked for when the list is complete: in between, the list would have more time to change.
    let mut waiting = Vec::new();
    let listed = paging::read(rest, "spaces", |offset, seen| {
        rest.get(&format!("/coSpaces?offset={offset}&limit={page_size}"), |body, date| {
            head.device_time = date.or(head.device_time);
            cms::read_co_spaces(body, &mut |space| {
                seen.insert(&space.id);
                match (taken.insert(&space.id), details) {
                    (false, _) => Ok(()),
                    (true, true) => {
                        waiting.push(space);
                        Ok(())
                    }
                    (true, false) => outlet.push(&record(&space).to_record(&head)),
                }
            })
        })
    });
    if let Some(refused) = outlet.refused() {
        return Err(refused);
    }
    match listed {
        Ok(None) => {}
        Ok(Some(why)) => story.missing(why),
        Err(Trouble::NotThere(said)) => story.missing(format!("there is no list of spaces ({said})")),
        Err(Trouble::Source(error)) => return Err(error),
    }
    for space in waiting {
        let (space, date) = detailed(rest, space)?;
        head.device_time = date.or(head.device_time);
        outlet.take(&record(&space).to_record(&head))?;
    }
    Ok(())
}

/// The space with its details; as it was listed, where it has been deleted since.
fn detailed(rest: &Rest<'_>, listed: CoSpace) -> Result<(CoSpace, Date), SourceError> {
    let path = format!("/coSpaces/{}", super::escaped(&listed.id));
    match rest.get(&path, |body, date| Ok((cms::read_co_space(body)?, date))) {
        Ok((space, _)) if space.id != listed.id => {
            Err(rest.bad_data(format_args!("asked for space {}, it told of {}", listed.id, space.id)))
        }
        Ok(told) => Ok(told),
        Err(Trouble::NotThere(_)) => Ok((listed, None)),
        Err(Trouble::Source(error)) => Err(error),
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

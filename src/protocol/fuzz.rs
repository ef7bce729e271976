//! What a fuzzer calls: every reader of what strangers write, on the same octets. For `contrib/fuzz`, and for the tests that do the same for a
//! shorter time. A fault shows as a panic, as an endless loop or as memory that grows.

use std::collections::HashSet;
use std::path::Path;

use super::ipdr::{Body, FrameReader, Message, SessionStart, Template, TemplateNames, VersionRequest};
use super::{axl, cms, gatekeeper_status, ipdr, radius};
use crate::account::explain::explain;
use crate::config::{
    self,
    gatekeeper::{self, Leniency, ini::Ini, rewrite},
};
use crate::record;

/// The octets as a reply to every call.
pub fn axl_reply(octets: &[u8]) {
    let (mut rows, mut users) = (0, 0);
    let counted = axl::read_rows(octets, &mut |row| {
        assert!(row.len() <= 256, "a row of {} columns", row.len());
        rows += 1;
        Ok(())
    });
    if let Ok(counted) = counted {
        assert_eq!(counted, rows);
    }
    let counted = axl::read_licensed_users(octets, &mut |_| {
        users += 1;
        Ok(())
    });
    if let Ok(counted) = counted {
        assert_eq!(counted, users);
    }
    let texts = [
        axl::read_ccm_version(octets).map(drop),
        axl::read_num_devices(octets).map(drop),
        axl::read_smart_license_status(octets).map(drop),
    ];
    for error in texts.into_iter().filter_map(Result::err) {
        assert!(error.to_string().len() < 8 << 10);
    }
}

/// The octets as a fault, and as the page of an unknown version.
pub fn axl_fault(octets: &[u8]) {
    if let Some(fault) = axl::read_fault(octets) {
        assert!(fault.text.chars().count() <= 1001);
        let again = axl::read_num_devices(octets);
        assert!(matches!(again, Err(axl::ReplyError::Fault(again)) if again == fault));
    }
    let versions = axl::supported_versions(octets).unwrap_or_default();
    assert!(versions.is_sorted_by(|newer, older| newer > older));
}

/// The octets as the answer of every resource.
pub fn cms_answer(octets: &[u8]) {
    let mut items = 0;
    let page = cms::read_co_spaces(octets, &mut |space| {
        assert!(!space.id.is_empty() && space.id.chars().count() <= 255);
        items += 1;
        Ok(())
    });
    if let Ok(page) = page {
        assert_eq!(page.returned, items);
    }
    let page = cms::read_license_usage(octets, &mut |_| Ok(()));
    let texts = [
        page.map(drop),
        cms::read_co_space(octets).map(drop),
        cms::read_status(octets).map(drop),
        cms::read_multiparty_licensing(octets).map(drop),
        cms::read_known_hosts(octets, &mut |_| Ok(())).map(drop),
    ];
    for error in texts.into_iter().filter_map(Result::err) {
        assert!(error.to_string().len() < 8 << 10);
    }
    assert!(cms::read_failure(octets).len() <= 32);
}

/// The octets as what a gatekeeper's status port says: the same items, however they are cut.
pub fn gatekeeper_status(octets: &[u8]) {
    let read = |size: usize| {
        let (mut reader, mut items) = (gatekeeper_status::Reader::new(), Vec::new());
        for piece in octets.chunks(size) {
            reader.take(piece, &mut items);
        }
        reader.finish(&mut items);
        items
    };
    let whole = read(octets.len().max(1));
    for size in [1, 3, 37] {
        assert_eq!(read(size), whole, "in pieces of {size}");
    }
    for item in whole {
        if let gatekeeper_status::Item::Record(record) = item {
            assert_eq!(record.uuid.len(), 36);
            assert!(record.value("gkip").len() <= gatekeeper_status::LIMIT);
        }
    }
}

/// The octets as a connection of IPDR/SP in pieces of the length of the first octet, as a datagram, and as a record. What
/// could be read is written and read again.
pub fn ipdr(octets: &[u8]) {
    const LIMIT: u32 = 4096;
    let _ = VersionRequest::decode(octets);
    let [piece, connection @ ..] = octets else {
        return;
    };
    ipdr_record(connection);
    let mut reader = FrameReader::new(LIMIT);
    for mut piece in connection.chunks(usize::from(*piece).max(1)) {
        loop {
            match reader.read(&mut piece) {
                Ok(Some(frame)) => ipdr_message(&frame),
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(piece.is_empty());
    }
}

fn ipdr_message(frame: &ipdr::Frame<'_>) {
    let Ok(message) = Message::decode(frame) else {
        return;
    };
    let mut written = Vec::new();
    message.encode(&mut written).expect("it is not long");
    let mut rest = written.as_slice();
    let mut reader = FrameReader::new(u32::MAX);
    let frame = reader.read(&mut rest).expect("it is a message").expect("it is whole");
    assert_eq!(Message::decode(&frame).as_ref(), Ok(&message));
    assert!(rest.is_empty());
    if let Body::SessionStart(SessionStart { document_id, .. }) = &message.body {
        assert_eq!(document_id.to_string().len(), 36);
    }
    if let Body::TemplateData(templates) = &message.body {
        for template in &templates.templates {
            let _ = ipdr::read_record(&template.fields, &written);
        }
    }
}

/// What is read as a record is written and read again. Compared as octets: a number may be NaN.
fn ipdr_record(octets: &[u8]) {
    let definition = &record::SAMIS_TYPE_1;
    let template = Template::of(definition, 1, TemplateNames::of(definition)).expect("it has no lists");
    let write = |values: &[ipdr::XdrValue]| {
        let mut out = Vec::new();
        values
            .iter()
            .for_each(|value| value.put(&mut out).expect("it is not long"));
        out
    };
    if let Ok(values) = ipdr::read_record(&template.fields, octets) {
        let written = write(&values);
        let again = ipdr::read_record(&template.fields, &written).expect("it was read before");
        assert_eq!(write(&again), written);
    }
}

/// The octets as a list of devices, `billing_config.csv`.
pub fn devices_csv(octets: &[u8]) {
    match config::parse_devices(octets, Path::new("list.csv")) {
        Ok(listed) => {
            let names: HashSet<&str> = listed.iter().map(|listed| listed.device.name.as_str()).collect();
            assert_eq!(names.len(), listed.len(), "a name is there twice");
        }
        Err(problems) => assert!(!problems.to_string().is_empty()),
    }
}

/// The octets as a reply of a RADIUS server, as they are and as one that is signed rightly.
pub fn radius_reply(octets: &[u8]) {
    let mut sent = radius::Sent {
        identifier: octets.get(1).copied().unwrap_or_default(),
        authenticator: &[0x55; 16],
        secret: b"testing123",
        message_authenticator: false,
    };
    let _ = radius::read_reply(octets, &sent);
    let mut signed = octets.to_vec();
    if radius::sign_reply(&mut signed, sent.authenticator, sent.secret) {
        let lax = radius::read_reply(&signed, &sent);
        assert_ne!(lax, Err(radius::ReplyError::Authenticator));
        sent.message_authenticator = true;
        let strict = radius::read_reply(&signed, &sent);
        assert!(strict.is_err() || strict == lax);
    }
    if let Ok(attributes) = radius::parse(octets) {
        let length: usize = attributes.iter().map(|(_, value)| 2 + value.len()).sum();
        assert_eq!(length, octets.len());
    }
}

/// The octets as a gatekeeper's ini: read in both ways, explained, and with a password written into it.
pub fn gatekeeper_ini(octets: &[u8]) {
    let read = |leniency| gatekeeper::parse(octets, Path::new("gk.ini"), leniency);
    let (strict, lenient) = (read(Leniency::Strict), read(Leniency::Lenient));
    if let Ok((strict, _)) = &strict {
        let (lenient, _) = lenient.as_ref().expect("what is good is good for the lenient, too");
        assert_eq!(strict.chain.len(), lenient.chain.len());
    }
    for result in [strict, lenient] {
        match result {
            Ok((gatekeeper, _)) => assert!(explain(&gatekeeper).len() < 200),
            Err(problems) => assert!(!problems.to_string().is_empty()),
        }
    }
    if let Ok(changed) = rewrite::with_value(octets, "SQLAcct", "Password", "new=") {
        let ini = Ini::parse(&changed);
        let value = ini.key("SQLAcct", "Password").map(|key| &key.value[..]);
        assert_eq!(value, Some(&b"new="[..]));
    }
}

//! The state of the server, and its licences in use now.

use chrono::{DateTime, SecondsFormat, Utc};

use super::{Cms, DECLARATION, usage};

pub fn status(cms: &Cms, now: DateTime<Utc>) -> Vec<u8> {
    let time = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut body = format!("{DECLARATION}<status>\n");
    let host = usage::host(cms.seed, 0);
    let uptime = (604_800 + cms.begun.elapsed().as_secs()).to_string();
    let fields: [(&str, &str); 14] = [
        ("hostId", &host),
        ("softwareVersion", &cms.quirks.version),
        ("uptimeSeconds", &uptime),
        ("cdrTime", &time),
        ("activated", "true"),
        ("clusterEnabled", if cms.quirks.hosts > 1 { "true" } else { "false" }),
        ("cdrCorrelatorIndex", "1293"),
        ("callLegsActive", "6"),
        ("callLegsMaxActive", "41"),
        ("callLegsCompleted", "388"),
        ("audioBitRateOutgoing", "301224"),
        ("audioBitRateIncoming", "288019"),
        ("videoBitRateOutgoing", "8123004"),
        ("videoBitRateIncoming", "7340120"),
    ];
    let unnamed = usize::from(cms.quirks.nameless);
    push(&mut body, &fields[unnamed..]);
    body.push_str("</status>\n");
    body.into()
}

pub fn multiparty_licensing(now: DateTime<Utc>) -> Vec<u8> {
    let time = now.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut body = format!("{DECLARATION}<multipartyLicensing>\n");
    push(
        &mut body,
        &[
            ("timestamp", &time),
            ("personalLicenseLimit", "250"),
            ("sharedLicenseLimit", "40"),
            ("capacityUnitLimit", "0"),
            ("users", "184"),
            ("personalLicenses", "120"),
            ("participantsActive", "6"),
            ("callsActive", "3"),
            ("weightedCallsActive", "2.000"),
            ("callsWithoutPersonalLicense", "1"),
            ("weightedCallsWithoutPersonalLicense", "0.500"),
            ("capacityUnitUsage", "0.150"),
            ("capacityUnitUsageWithoutPersonalLicense", "0.025"),
        ],
    );
    body.push_str("</multipartyLicensing>\n");
    body.into()
}

fn push(body: &mut String, fields: &[(&str, &str)]) {
    for (name, value) in fields {
        body.push_str(&format!("  <{name}>{value}</{name}>\n"));
    }
}

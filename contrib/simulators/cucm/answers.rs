//! The answers to the operations.

use std::fmt::Write;

use chrono::{DateTime, Utc};

use super::data::{self, escaped};
use super::fault::Fault;
use super::request::Call;
use super::sql::{Query, What};
use super::versions;
use crate::device::{CucmQuirks, Nulls};
use crate::http::Answer;

pub const XML: &str = "text/xml;charset=utf-8";
pub const ENVELOPE: &str = "<?xml version='1.0' encoding='UTF-8'?>\n<soapenv:Envelope \
     xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body>";
const XSI: &str = " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"";

pub fn answer(quirks: &CucmQuirks, call: &Call, now: DateTime<Utc>) -> Result<Answer, Fault> {
    match call.operation.as_str() {
        "getCCMVersion" => {
            let version = versions::component(&quirks.version);
            let inner = format!("<return><componentVersion><version>{version}</version></componentVersion></return>");
            Ok(response(call, "", &inner))
        }
        "executeSQLQuery" => rows(quirks, call, now),
        "getNumDevices" => devices(call),
        "getSmartLicenseStatus" if versions::order(&call.version) >= (12, 5) => Ok(response(call, "", &smart(now))),
        "listLicensedUser" if versions::order(&call.version) >= (11, 0) => users(quirks, call),
        other => Err(Fault::new(
            -1,
            format!("AXL {} has no operation {other}", call.version),
            other,
        )),
    }
}

fn response(call: &Call, attributes: &str, inner: &str) -> Answer {
    let Call { version, operation, .. } = call;
    let mut body = String::with_capacity(inner.len() + 400);
    let _ = write!(
        body,
        "{ENVELOPE}<ns:{operation}Response xmlns:ns=\"http://www.cisco.com/AXL/API/{version}\"{attributes}>{inner}\
         </ns:{operation}Response></soapenv:Body></soapenv:Envelope>"
    );
    Answer::new(200, XML, body)
}

fn devices(call: &Call) -> Result<Answer, Fault> {
    let class = call.field("class").unwrap_or_default();
    let count = data::devices_of_class(class).ok_or_else(|| Fault::known(5007, &call.operation))?;
    let attribute = format!(" class=\"{}\"", escaped(class));
    Ok(response(call, &attribute, &format!("<return>{count}</return>")))
}

type Row = Vec<(String, Option<String>)>;

fn rows(quirks: &CucmQuirks, call: &Call, now: DateTime<Utc>) -> Result<Answer, Fault> {
    let sql = call.field("sql").unwrap_or_default();
    let query = Query::read(sql).ok_or_else(|| Fault::new(-201, "A syntax error has occurred.", &call.operation))?;
    let mut rows: Vec<Row> = match &query.what {
        What::LicenseTotals(_) if quirks.licenses_absent => {
            let text = "Routine (licensetotals) can not be resolved.";
            return Err(Fault::new(-674, text, &call.operation));
        }
        What::LicenseTotals(columns) => data::license_totals(quirks, now)
            .into_iter()
            .enumerate()
            .map(|(index, license)| license_row(columns, index, &license))
            .collect(),
        What::DevicesByModel(columns) => data::models(quirks).map(|model| model_row(columns, &model)).collect(),
    };
    for window in &query.windows {
        rows = rows.into_iter().skip(window.skip).take(window.take).collect();
    }
    refuse_too_many(quirks, call, rows.len())?;
    let nulls = nulls(quirks, call);
    let mut inner = String::from("<return>");
    for row in rows {
        inner.push_str("<row>");
        for (column, value) in row {
            match (value, nulls) {
                (Some(value), _) => {
                    let _ = write!(inner, "<{column}>{}</{column}>", escaped(&value));
                }
                (None, Nulls::NilEach) => {
                    let _ = write!(inner, "<{column} xsi:nil=\"true\"{XSI}/>");
                }
                (None, Nulls::NilOnce) => {
                    let _ = write!(inner, "<{column} xsi:nil=\"true\"/>");
                }
                (None, Nulls::Plain) => {
                    let _ = write!(inner, "<{column}/>");
                }
            }
        }
        inner.push_str("</row>");
    }
    if inner == "<return>" {
        inner = "<return/>".into();
    } else {
        inner.push_str("</return>");
    }
    Ok(response(call, if nulls == Nulls::NilOnce { XSI } else { "" }, &inner))
}

fn nulls(quirks: &CucmQuirks, call: &Call) -> Nulls {
    quirks.nulls.unwrap_or(match versions::order(&call.version) {
        (14.., _) => Nulls::NilOnce,
        _ => Nulls::NilEach,
    })
}

fn license_row(columns: &[(String, usize)], index: usize, license: &data::License) -> Row {
    let (name, value, users, devices) = license;
    columns
        .iter()
        .map(|(column, which)| {
            let value = match which {
                0 => Some(format!("{index:08x}-0000-4000-8000-000000000000")),
                1 => Some(name.clone()),
                2 => Some(value.clone()),
                3 => users.map(|users| users.to_string()),
                _ => devices.map(|devices| devices.to_string()),
            };
            (column.clone(), value)
        })
        .collect()
}

fn model_row(columns: &[(String, bool)], (model, count): &(String, usize)) -> Row {
    columns
        .iter()
        .map(|(column, is_count)| {
            let value = if *is_count { count.to_string() } else { model.clone() };
            (column.clone(), Some(value))
        })
        .collect()
}

fn refuse_too_many(quirks: &CucmQuirks, call: &Call, rows: usize) -> Result<(), Fault> {
    if rows >= quirks.too_large {
        return Err(Fault::too_large(
            rows,
            quirks.too_large,
            quirks.suggested,
            &call.operation,
        ));
    }
    Ok(())
}

fn users(quirks: &CucmQuirks, call: &Call) -> Result<Answer, Fault> {
    let number = |path: &str| call.field(path).and_then(|text| text.trim().parse::<usize>().ok());
    // As documented, skip counts only together with first.
    let (skip, take) = match (number("skip"), number("first")) {
        (skip, Some(first)) => (skip.unwrap_or(0), first),
        (_, None) => (0, usize::MAX),
    };
    let pattern = call.field("searchCriteria/userId").unwrap_or("%");
    let matches = |id: &str| match pattern.strip_suffix('%') {
        Some(prefix) => id.starts_with(prefix),
        None => id == pattern,
    };
    let found: Vec<usize> = (0..quirks.users)
        .filter(|index| matches(&data::user_id(quirks, *index)))
        .skip(skip)
        .take(take)
        .collect();
    refuse_too_many(quirks, call, found.len())?;
    let mut inner = String::from("<return>");
    for index in found {
        inner.push_str("<licensedUser>");
        for (name, value) in data::user(quirks, index) {
            if !call.has(&format!("returnedTags/{name}")) {
                continue;
            }
            match value {
                Some(value) => {
                    let _ = write!(inner, "<{name}>{}</{name}>", escaped(&value));
                }
                None => {
                    let _ = write!(inner, "<{name}/>");
                }
            }
        }
        inner.push_str("</licensedUser>");
    }
    inner.push_str("</return>");
    Ok(response(call, "", &inner))
}

/// Texts and tags are guesses: no real answer is public.
fn smart(now: DateTime<Utc>) -> String {
    let time = |days: i64| {
        let time = now.checked_add_signed(chrono::TimeDelta::days(days)).unwrap_or(now);
        time.format("%b %d %H:%M:%S %Y UTC").to_string()
    };
    let entitlement = |name: &str, guid: u32, count: u32| {
        format!(
            "<Entitlement><Tag>regid.2016-07.com.cisco.{name},12.0_{guid:08x}-0000-4000-8000-0000000000a1</Tag>\
             <Count>{count}</Count><Status>InCompliance</Status></Entitlement>"
        )
    };
    format!(
        "<return>Success</return><LicenseDetails><SmartLicensing>ENABLED</SmartLicensing><Registration>\
         <Status>REGISTERED</Status><SmartAccount>Demo Account</SmartAccount><VirtualAccount>Demo Voice</VirtualAccount>\
         <LastRenewalAttempt>{}</LastRenewalAttempt><NextRenewalAttempt>{}</NextRenewalAttempt>\
         <LastRenewalStatus>SUCCEEDED</LastRenewalStatus><RegistrationFailedReason/>\
         <RegistrationExpires>{}</RegistrationExpires><ProductUDI>PID:UCM,SN:DEMO0001</ProductUDI>\
         <ExportControlFunctionality>Allowed</ExportControlFunctionality></Registration><Authorization>\
         <Status>AUTHORIZED</Status><LastCommunicationAttempt>{}</LastCommunicationAttempt>\
         <NextCommunicationAttempt>{}</NextCommunicationAttempt><LastCommunicationStatus>SUCCEEDED</LastCommunicationStatus>\
         <AuthorizationFailedReason/><AuthorizationExpires>{}</AuthorizationExpires>\
         <EvaluationPeriodRemaining>0</EvaluationPeriodRemaining></Authorization><LicenseStatus>{}{}{}</LicenseStatus>\
         </LicenseDetails>",
        time(-10),
        time(170),
        time(355),
        time(-1),
        time(29),
        time(89),
        entitlement("UCM_EnhancedPlus", 0xa1, 34),
        entitlement("UCM_Enhanced", 0xa2, 410),
        entitlement("UCM_Basic", 0xa3, 57),
    )
}

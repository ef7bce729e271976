//! How devices are asked, and what for: `[capture]`, `[cucm]` and `[cms]`.

use std::path::PathBuf;

use serde::Deserialize;

use super::Span;

/// `[capture]`: what all conversations with devices have in common.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Capture {
    /// The list of devices. Default: `billing_config.csv` in the working directory, if it is there.
    pub devices: Option<PathBuf>,
    /// How long the whole conversation with one device may take, unless it has a limit of its own.
    pub timeout: Span,
    /// How many devices are asked at once.
    pub concurrency: u16,
    /// How often a request is repeated that a device could not take for the time being.
    pub retries: u8,
    /// How long to wait before the first repetition. Doubled each time.
    pub retry_wait: Span,
    /// Whether all sources have one document, or each CMTS its own.
    pub documents: Documents,
}

/// Whose usage stands in one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Documents {
    /// That of all sources.
    #[default]
    Together,
    /// That of one CMTS; each has a drop-box of its own.
    Each,
}

impl Default for Capture {
    fn default() -> Self {
        Capture {
            devices: None,
            timeout: Span::seconds(60),
            concurrency: 64,
            retries: 3,
            retry_wait: Span::seconds(5),
            documents: Documents::Together,
        }
    }
}

/// `[cucm]`: what each Unified Communications Manager is asked for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Cucm {
    /// Version of the AXL schema, `14.0`. Default: agreed on with each CUCM.
    pub axl_version: Option<String>,
    /// SQL that lists the licences: the columns `name` and `value`, and `uservalue` and `devicevalue` if wanted.
    pub license_query: String,
    /// Classes whose devices are counted, as AXL's getNumDevices knows them.
    pub device_classes: Vec<String>,
    /// Whether devices are counted by model, too.
    pub device_models: bool,
    /// SQL that counts them: the columns `model` and `n`.
    pub model_query: String,
    /// Whether each user that takes a licence is listed.
    pub licensed_users: bool,
}

/// LicenseTotals() is a table function of the CUCM that Cisco does not document; the names in the last brackets are ours.
const LICENSE_QUERY: &str =
    "select name,value FROM TABLE (FUNCTION LicenseTotals()) (pkid,name,value,UserValue,DeviceValue)";

/// Telephones alone (class 1), without CTI ports (model 72) and the universal device template (model 645).
const MODEL_QUERY: &str = "select tm.name as model, count(*) as n from device as d \
     inner join typemodel as tm on tm.enum=d.tkmodel \
     where d.tkclass=1 and not (d.tkmodel=72 or d.tkmodel=645) group by tm.name";

const DEVICE_CLASSES: [&str; 9] = [
    "Phone",
    "Gateway",
    "Conference Bridge",
    "Media Termination Point",
    "Voice Mail",
    "CTI Route Point",
    "Music On Hold",
    "Trunk",
    "Remote Destination Profile",
];

impl Default for Cucm {
    fn default() -> Self {
        Cucm {
            axl_version: None,
            license_query: LICENSE_QUERY.to_owned(),
            device_classes: DEVICE_CLASSES.map(str::to_owned).to_vec(),
            device_models: true,
            model_query: MODEL_QUERY.to_owned(),
            licensed_users: false,
        }
    }
}

/// `[cms]`: what each Meeting Server is asked for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Cms {
    /// How many items one page is to have. The server may give fewer.
    pub page_size: u32,
    /// Whether each space is asked for its details: one more request for each.
    pub details: bool,
    /// Whether the licences in use now are asked for.
    pub license_usage: bool,
    pub license_history: LicenseHistory,
    /// How far back the history goes in the first document of a CMS.
    pub first_history: Span,
}

impl Default for Cms {
    fn default() -> Self {
        Cms {
            page_size: 100,
            details: false,
            license_usage: true,
            license_history: LicenseHistory::Own,
            first_history: Span::hours(24),
        }
    }
}

/// Whose history of licence usage a CMS is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LicenseHistory {
    /// That of the CMS itself, so that no member of a cluster is counted twice.
    #[default]
    Own,
    /// That of every host of its cluster.
    All,
    Off,
}

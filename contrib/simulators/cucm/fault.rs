//! SOAP faults: HTTP 500 with the text in `faultstring` and the code in `axlError`.

use std::fmt::Write;

use super::data::escaped;
use crate::device::FaultForm;
use crate::http::Answer;

pub const MEMORY: &str =
    "Maximum AXL Memory Allocation Consumed. Please retry once requests in progress have completed";

pub struct Fault {
    code: i64,
    pub text: String,
    request: String,
}

impl Fault {
    pub fn new(code: i64, text: impl Into<String>, request: &str) -> Self {
        Fault {
            code,
            text: text.into(),
            request: request.into(),
        }
    }

    /// With the text that belongs to the code, as far as one is known.
    pub fn known(code: i64, request: &str) -> Self {
        let text = match code {
            5003 => "You do not have the privilege to update this End User as you have lower User Rank".into(),
            5007 => "Item not valid: the specified item was not found".into(),
            11617 => "Could not insert new row - duplicate value in a UNIQUE INDEX column".into(),
            _ => format!("The request {request} failed with code {code}"),
        };
        Fault::new(code, text, request)
    }

    pub fn too_large(matched: usize, fewer_than: usize, suggested: bool, request: &str) -> Self {
        let word = if suggested { "Suggested" } else { "Suggestive" };
        let text = format!(
            "Query request too large. Total rows matched: {matched} rows. {word} Row Fetch: less than {fewer_than} rows"
        );
        Fault::new(-1, text, request)
    }

    pub fn plain(&self) -> Answer {
        self.answer(FaultForm::Plain, "14.0")
    }

    pub fn answer(&self, form: FaultForm, version: &str) -> Answer {
        let Fault { code, request, .. } = self;
        let text = escaped(&self.text);
        let detail = match form {
            FaultForm::Plain => format!(
                "<axlError><axlcode>{code}</axlcode><axlmessage>{text}</axlmessage><request>{request}</request></axlError>"
            ),
            FaultForm::Prefixed => format!(
                "<ns2:axlError xmlns:ns2=\"http://www.cisco.com/AXL/API/{version}\"><axlcode>{code}</axlcode>\
                 <axlmessage>{text}</axlmessage><request>{request}</request></ns2:axlError>"
            ),
            FaultForm::Old => format!(
                "<axl:error xmlns:axl=\"http://www.cisco.com/AXL/API/{version}\"><code>{code}</code>\
                 <message>{text}</message></axl:error>"
            ),
        };
        envelope("soapenv:Server", &text, &format!("<detail>{detail}</detail>"))
    }
}

/// A request that is wrong in itself: no AXL code.
pub fn client(why: &str) -> Answer {
    envelope("soapenv:Client", &escaped(why), "")
}

fn envelope(code: &str, text: &str, detail: &str) -> Answer {
    let mut body = String::from(super::answers::ENVELOPE);
    let _ = write!(
        body,
        "<soapenv:Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring>{detail}</soapenv:Fault>\
         </soapenv:Body></soapenv:Envelope>"
    );
    Answer::new(500, super::answers::XML, body)
}

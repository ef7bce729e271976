//! What managers have been told of which document.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::{CollectionStatus, Event, Ledger, Result, Row, deliveries::time};

/// A manager, and when it got the notification that a document is there.
pub type Told = (String, DateTime<Utc>);

impl Ledger {
    /// For each of the documents, by name, the managers who were told of it. Forgotten after ninety days.
    pub fn told_of<'a>(&self, rows: &'a [Row]) -> Result<HashMap<&'a str, Vec<Told>>> {
        let notifications: Vec<(String, String, Option<DateTime<Utc>>)> = self.run("list notifications", |db| {
            db.prepare("SELECT manager, event, delivered FROM notification WHERE delivered IS NOT NULL ORDER BY id")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, time(row, 2)?)))?
                .collect()
        })?;
        let mut told: HashMap<&str, Vec<Told>> = rows.iter().map(|row| (row.name.as_str(), Vec::new())).collect();
        for (manager, event, at) in notifications {
            let (
                Ok(Event::Collection {
                    status, destination, ..
                }),
                Some(at),
            ) = (serde_json::from_str(&event), at)
            else {
                continue;
            };
            if status != CollectionStatus::Success {
                continue;
            }
            // Before the name stands what [snmp] filesystem said at that time.
            let name = (0..destination.len())
                .filter_map(|start| destination.get(start..))
                .find(|end| told.contains_key(end));
            if let Some(entry) = name.and_then(|name| told.get_mut(name)) {
                entry.push((manager, at));
            }
        }
        Ok(told)
    }
}

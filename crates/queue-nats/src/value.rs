//! The values of the bucket.
//!
//! | key | value | written |
//! |---|---|---|
//! | `flow.FLOW` | [`Flow`]: all there is about a flow | by compare-and-set |
//! | `user.USER` | [`Flows`]: the flows of a user | by compare-and-set, before a flow's first value |
//! | `lock.USER` | [`Lock`]: the flow that has locked a user, and for how long | by compare-and-set |
//! | `ref.REFERENCE` | the flow that sent a text | before the entry `Sending` |
//! | `id.HASH` | the flow of a vendor's id | before the entry `Accepted` |
//!
//! Only the value of a flow is believed by itself. What another key says about a flow counts where the flow's value says
//! so too, so that a crash between two writes leaves nothing that is believed wrongly.

use std::{fmt::Write as _, time::Duration};

use chrono::{DateTime, Utc};
use postduif_core::{
    Guid, Reference,
    directory::{Callout, FlowId, UserId},
};
use postduif_onboarding::{
    Ending, Entries, Entry, JournalError, JournalErrorKind, Memo, Record, Report,
};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// All there is about a flow. Entries, reports and the ending stay as they were written, so that a version that cannot
/// read one of them does not lose it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Flow {
    #[serde(rename = "v")]
    version: u16,
    pub(crate) callout: Callout,
    /// The number of claims.
    #[serde(default)]
    pub(crate) epoch: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) holder: Option<Holder>,
    /// How often in a row a holder left the flow to its lease.
    #[serde(default)]
    pub(crate) takeovers: u32,
    /// The sequence number of the message that wakes the flow, as far as one was delivered. Earlier ones are obsolete.
    #[serde(default)]
    pub(crate) wake: u64,
    /// Whether something arrived from outside since the last claim.
    #[serde(default)]
    pub(crate) woken: bool,
    /// How long a flow without a holder waits, counted from when this value was stored.
    #[serde(default)]
    pub(crate) pause_ms: u64,
    #[serde(default)]
    pub(crate) entries: Vec<Value>,
    #[serde(default)]
    pub(crate) reports: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stop: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) memo: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) done: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ending: Option<Value>,
    /// What a newer version added.
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Who holds a flow: a random id of the claim, and the length of its lease, counted from when the value was stored.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Holder {
    pub(crate) claim: Guid,
    pub(crate) lease_ms: u64,
}

/// The flows of a user, with the times at which their call-outs were received.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Flows {
    pub(crate) flows: Vec<(FlowId, DateTime<Utc>)>,
}

/// The flow that has locked a user, and for how long, counted from when the value was stored.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Lock {
    pub(crate) flow: FlowId,
    pub(crate) at_most_ms: u64,
}

impl Flows {
    /// Reads the flows of a user, none if there is no value.
    pub(crate) fn read(bytes: Option<&[u8]>) -> Result<Self, JournalError> {
        match bytes {
            None | Some([]) => Ok(Self::default()),
            Some(bytes) => read(bytes),
        }
    }
}

impl Flow {
    pub(crate) fn new(callout: &Callout) -> Self {
        Self {
            version: VERSION,
            callout: callout.clone(),
            epoch: 0,
            holder: None,
            takeovers: 0,
            wake: 0,
            woken: false,
            pause_ms: 0,
            entries: Vec::new(),
            reports: Vec::new(),
            stop: None,
            memo: None,
            done: None,
            ending: None,
            rest: Map::new(),
        }
    }

    /// Reads the value of a flow.
    pub(crate) fn read(bytes: &[u8], flow: &FlowId) -> Result<Self, JournalError> {
        let read: Self = read(bytes)?;
        if read.version > VERSION || read.callout.flow() != *flow {
            return Err(unreadable());
        }
        Ok(read)
    }

    pub(crate) fn id(&self) -> FlowId {
        self.callout.flow()
    }

    pub(crate) fn records(&self) -> Result<Vec<Record>, JournalError> {
        parse_all(&self.entries)
    }

    pub(crate) fn parse(&self) -> Result<Entries, JournalError> {
        let mut entries = Entries::new(self.id());
        entries.records = self.records()?;
        entries.reports = parse_all(&self.reports)?;
        entries.stop = self.stop;
        Ok(entries)
    }

    /// Returns the memo. `None` if there is none that this version can read.
    pub(crate) fn read_memo(&self) -> Option<Memo> {
        Memo::deserialize(self.memo.as_ref()?).ok()
    }

    /// Returns the ending: that of its last run, or what follows from its entries.
    pub(crate) fn read_ending(&self) -> Result<Option<Ending>, JournalError> {
        let stored = self.ending.as_ref().map(Ending::deserialize);
        match stored {
            Some(Ok(ending)) => Ok(Some(ending)),
            Some(Err(_)) | None => Ok(Ending::of(&self.parse()?)),
        }
    }

    /// Returns whether the value may still be stored with another entry.
    pub(crate) fn has_room(&self) -> bool {
        self.entries.len() < MAX_ENTRIES && size(&self.entries) < MAX_ENTRIES_BYTES
    }

    /// Adds a report, and returns whether that changed anything.
    pub(crate) fn add_report(&mut self, report: &Report) -> Result<bool, JournalError> {
        let known: Vec<Report> = parse_all(&self.reports)?;
        if known.iter().any(|known| known.says_the_same_as(report)) {
            return Ok(false);
        }
        let new = to_value(report)?;
        let is_full = |reports: &[Value]| {
            reports.len() >= MAX_REPORTS
                || size(reports) + size(std::slice::from_ref(&new)) > MAX_REPORTS_BYTES
        };
        if is_full(&self.reports) && report.status.is_final() {
            // A final status decides the flow.
            let oldest = known.iter().position(|known| !known.status.is_final());
            oldest.map(|oldest| self.reports.remove(oldest));
        }
        let has_room = !is_full(&self.reports);
        if has_room {
            self.reports.push(new);
        }
        Ok(has_room)
    }

    /// Returns whether the flow sent the text with this reference.
    pub(crate) fn sent(&self, text: &Reference) -> bool {
        self.readable()
            .any(|entry| matches!(entry, Entry::Sending { reference, .. } if reference == *text))
    }

    /// Returns whether this provider accepted a text of the flow, or a segment, under this id.
    pub(crate) fn accepted(&self, name: &str, text: &str) -> bool {
        self.readable().any(|entry| match entry {
            Entry::Accepted {
                provider,
                id,
                part_ids,
                ..
            } => provider == name && id.iter().chain(&part_ids).any(|id| id == text),
            _ => false,
        })
    }

    fn readable(&self) -> impl Iterator<Item = Entry> {
        let records = self.entries.iter().map(Record::deserialize);
        records.filter_map(|record| Some(record.ok()?.entry))
    }
}

fn size(values: &[Value]) -> usize {
    values.iter().map(|value| value.to_string().len() + 1).sum()
}

fn parse_all<T: DeserializeOwned>(values: &[Value]) -> Result<Vec<T>, JournalError> {
    let parsed = values.iter().map(T::deserialize);
    parsed.collect::<Result<_, _>>().map_err(|_| unreadable())
}

/// Reads a value. The error does not show it.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JournalError> {
    serde_json::from_slice(bytes).map_err(|_| unreadable())
}

pub(crate) fn unreadable() -> JournalError {
    JournalError::new(
        JournalErrorKind::Unreadable,
        "a value in the store is of a newer version, or was not written by this library",
    )
}

pub(crate) fn to_value<T: Serialize>(value: &T) -> Result<Value, JournalError> {
    serde_json::to_value(value).map_err(not_encoded)
}

pub(crate) fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, JournalError> {
    serde_json::to_vec(value).map_err(not_encoded)
}

fn not_encoded(error: serde_json::Error) -> JournalError {
    let message = "a value cannot be encoded";
    JournalError::new(JournalErrorKind::Unavailable, message).with_source(error)
}

pub(crate) fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

pub(crate) fn flow_key(flow: &FlowId) -> String {
    format!("flow.{flow}")
}

pub(crate) fn user_key(user: &UserId) -> String {
    format!("user.{user}")
}

pub(crate) fn lock_key(user: &UserId) -> String {
    format!("lock.{user}")
}

pub(crate) fn reference_key(reference: &Reference) -> String {
    format!("ref.{reference}")
}

/// Returns the key of a vendor's id. A key allows few characters and a limited length, so it has a hash.
pub(crate) fn id_key(provider: &str, id: &str) -> String {
    let text = format!("{}.{provider}.{id}", provider.len());
    let mut key = "id.".to_owned();
    for byte in digest(&SHA256, text.as_bytes()).as_ref() {
        let _ = write!(key, "{byte:02x}");
    }
    key
}

/// The version that this release writes.
const VERSION: u16 = 1;

/// The maximum number of entries of one flow. Two weeks of refused passes take 2,700.
const MAX_ENTRIES: usize = 4096;

/// The maximum size of the entries of one flow. With the reports it leaves room in a message of 1 MiB, the default
/// `max_payload` of a server.
const MAX_ENTRIES_BYTES: usize = 700 << 10;

/// The maximum number of reports of one flow, and their size. No text has more segments.
const MAX_REPORTS: usize = 256;
const MAX_REPORTS_BYTES: usize = 192 << 10;

#[cfg(test)]
mod tests {
    use postduif_core::{DeliveryReport, DeliveryStatus};
    use serde_json::json;

    use super::*;

    fn flow() -> Flow {
        let [flow, user] = [Guid::random(), Guid::random()];
        let callout = Callout::new(flow.into(), user.into(), None, DateTime::UNIX_EPOCH);
        Flow::new(&callout)
    }

    fn report(number: usize, status: DeliveryStatus, code: &str) -> Report {
        let mut report = DeliveryReport::new("kpn", status);
        report.part = Some(number.to_string());
        report.code = Some(code.into());
        Report::new(&report, DateTime::UNIX_EPOCH)
    }

    #[test]
    fn what_a_newer_version_added_is_kept() {
        let mut value = to_value(&flow()).unwrap();
        value["colour"] = json!({"of": "a pigeon"});
        value["entries"] = json!([{"v": 2, "entry": {"recalled": {}}}]);
        value["reports"] = json!([{"provider": "kpn", "status": "eaten"}]);
        value["ending"] = json!({"verdict": "unclear"});
        value["memo"] = json!({"failures": "many"});
        let read: Flow = serde_json::from_value(value.clone()).unwrap();
        assert_eq!(to_value(&read).unwrap(), value);
        assert!(read.parse().is_err() && read.read_memo().is_none());
    }

    #[test]
    fn a_value_of_a_newer_version_and_one_of_another_flow_are_unreadable() {
        let flow = flow();
        let mut value = to_value(&flow).unwrap();
        let id = flow.id();
        assert!(Flow::read(&to_bytes(&value).unwrap(), &id).is_ok());
        let other = Guid::random().into();
        assert!(Flow::read(&to_bytes(&value).unwrap(), &other).is_err());
        value["v"] = json!(2);
        let error = Flow::read(&to_bytes(&value).unwrap(), &id).unwrap_err();
        assert_eq!(error.kind(), JournalErrorKind::Unreadable);
        for hostile in ["", "null", "[]", "{}", "{\"v\":1}", "\u{0}", "{\"v\":-1}"] {
            assert!(Flow::read(hostile.as_bytes(), &id).is_err(), "{hostile}");
        }
    }

    #[test]
    fn a_full_value_fits_into_a_message() {
        let mut flow = flow();
        let cause = json!({"kind": "unavailable", "message": "x".repeat(150)});
        let entry = json!({"not_issued": {"round": 1, "cause": cause}});
        let record = json!({"v": 1, "at": DateTime::UNIX_EPOCH, "entry": entry});
        while flow.has_room() {
            flow.entries.extend(vec![record.clone(); 50]);
        }
        assert!(flow.entries.len() > 2700, "{} entries", flow.entries.len());
        let long = "9".repeat(1000);
        for number in 0..1000 {
            let report = report(number, DeliveryStatus::Sent, &long);
            flow.add_report(&report).unwrap();
        }
        assert!(flow.reports.len() > 100, "{} reports", flow.reports.len());
        let last = report(1000, DeliveryStatus::Delivered, &long);
        assert!(flow.add_report(&last).unwrap(), "it decides the flow");
        let size = to_bytes(&flow).unwrap().len();
        assert!(size < 1_000_000, "{size} bytes");
    }

    #[test]
    fn ids_of_two_vendors_have_two_keys() {
        let keys = [
            id_key("kpn", "a"),
            id_key("kp", "na"),
            id_key("kpn.a", ""),
            id_key("cm", "a"),
            id_key("cm", &"é *>".repeat(10_000)),
        ];
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(key.len(), 3 + 64);
            assert!(!keys[..number].contains(key));
        }
    }
}

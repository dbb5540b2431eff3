//! The SMS API's delivery receipts, one for each segment, and the signature of receipts and requests.

use chrono::{DateTime, Utc};
use md5::{Digest, Md5};
use ring::hmac;
use serde_json::{Map, Value};

use super::network;
use crate::{
    digest,
    inbound::InboundText,
    proof::{Proof, ReceiptForm, SignatureMethod},
    random,
    record::SentMessage,
    report::{ReportOrder, ReportStatus},
    segments::is_gsm,
    vendor_request::{self, VendorRequest},
};

pub(super) fn of(
    message: &SentMessage,
    order: &ReportOrder,
    target: &str,
    now: DateTime<Utc>,
) -> Vec<VendorRequest> {
    let ids = std::iter::once(&message.id).chain(&message.extra.more_ids);
    ids.map(|id| one(message, id, order, target, now)).collect()
}

fn one(
    message: &SentMessage,
    id: &str,
    order: &ReportOrder,
    target: &str,
    now: DateTime<Utc>,
) -> VendorRequest {
    let (status, code) = match order.status {
        ReportStatus::Sent => ("accepted", "0"),
        ReportStatus::Buffered => ("buffered", "0"),
        ReportStatus::Delivered => ("delivered", "0"),
        ReportStatus::Expired => ("expired", "2"),
        ReportStatus::Failed => ("failed", "1"),
        ReportStatus::Rejected => ("rejected", "6"),
        ReportStatus::Unknown => ("unknown", "1"),
    };
    let scts = now.format("%y%m%d%H%M").to_string();
    let at = now.format("%Y-%m-%d %H:%M:%S").to_string();
    let mut fields = vec![
        // Unlike in the request, the recipient is `msisdn`, and `to` is the sender.
        ("msisdn", message.to_digits()),
        ("to", &message.sender),
        ("network-code", network(&message.to).unwrap_or("00000")),
        ("messageId", id),
        ("price", "0.07270000"),
        ("status", status),
        ("scts", &scts),
        ("err-code", order.code.as_deref().unwrap_or(code)),
        ("api-key", "sandbox"),
        ("message-timestamp", &at),
    ];
    if let Some(reference) = &message.reference {
        fields.push(("client-ref", reference));
    }
    signed(fields, target, &order.proof, now)
}

/// Returns the webhook of an inbound text, which is one part however long it is.
pub(super) fn inbound(text: &InboundText<'_>, target: &str) -> VendorRequest {
    let id = random::hex_id()[..16].to_uppercase();
    let (keyword, at) = (
        text.keyword(),
        text.now.format("%Y-%m-%d %H:%M:%S").to_string(),
    );
    let fields = vec![
        ("api-key", "sandbox"),
        ("msisdn", text.sender_digits()),
        ("to", text.recipient_digits()),
        ("messageId", &id),
        ("text", text.text),
        ("type", if is_gsm(text.text) { "text" } else { "unicode" }),
        ("keyword", &keyword),
        ("message-timestamp", &at),
    ];
    signed(fields, target, text.proof, text.now)
}

/// Returns a webhook in the account's form, signed by its method over all fields and the time.
fn signed(
    fields: Vec<(&str, &str)>,
    target: &str,
    proof: &Proof,
    now: DateTime<Utc>,
) -> VendorRequest {
    let (timestamp, nonce) = (now.timestamp().to_string(), random::guid());
    let mut fields: Vec<(&str, &str)> = fields;
    fields.extend([("timestamp", timestamp.as_str()), ("nonce", &nonce)]);
    let signature = sign(&fields, proof);
    fields.push(("sig", &signature));
    match proof.form {
        ReceiptForm::Get => {
            let query = vendor_request::form(fields);
            VendorRequest::get(vendor_request::with_query(target, &query))
        }
        ReceiptForm::Post => VendorRequest::post(
            target.to_owned(),
            "application/x-www-form-urlencoded",
            vendor_request::form(fields),
        ),
        ReceiptForm::PostJson => {
            let members: Map<_, _> = fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::from(value)))
                .collect();
            VendorRequest::post_json(target.to_owned(), Value::Object(members).to_string())
        }
    }
}

/// Returns the signature over all fields by the vendor's rules: sorted by name, each after a `&`, and with `_`
/// for `&` and `=` in values.
pub(super) fn sign(fields: &[(&str, &str)], proof: &Proof) -> String {
    let mut fields = fields.to_vec();
    fields.sort_by_key(|(name, _)| *name);
    let base: String = fields
        .iter()
        .map(|(name, value)| format!("&{name}={}", value.replace(['&', '='], "_")))
        .collect();
    let secret = proof.secret();
    let keyed = |algorithm| {
        let key = hmac::Key::new(algorithm, secret.as_bytes());
        digest::hex(hmac::sign(&key, base.as_bytes()).as_ref()).to_uppercase()
    };
    // Lower case for the hash and upper case for the rest, as in the vendor's samples.
    match proof.method {
        SignatureMethod::Md5Hash => digest::hex(&Md5::digest(format!("{base}{secret}"))),
        SignatureMethod::Md5 => digest::hex(&hmac_md5(secret, &base)).to_uppercase(),
        SignatureMethod::Sha1 => keyed(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        SignatureMethod::Sha256 => keyed(hmac::HMAC_SHA256),
        SignatureMethod::Sha512 => keyed(hmac::HMAC_SHA512),
    }
}

/// Returns the HMAC of RFC 2104 over MD5, which ring lacks.
fn hmac_md5(key: &str, text: &str) -> Vec<u8> {
    // A key longer than a block is hashed first.
    let key = match key.len() {
        0..=64 => key.as_bytes().to_vec(),
        _ => Md5::digest(key).to_vec(),
    };
    let block = |pad: u8| {
        let mut block = [pad; 64];
        for (byte, key) in block.iter_mut().zip(&key) {
            *byte ^= key;
        }
        block
    };
    let inner = Md5::new()
        .chain_update(block(0x36))
        .chain_update(text)
        .finalize();
    Md5::new()
        .chain_update(block(0x5c))
        .chain_update(inner)
        .finalize()
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_md5_is_that_of_rfc_2202() {
        let digest = hmac_md5("Jefe", "what do ya want for nothing?");
        assert_eq!(digest::hex(&digest), "750c783e6ab0b503eaa86e310a5db738");
    }

    #[test]
    fn fields_are_signed_in_the_order_of_their_bytes() {
        let fields = [("messageId", "a&b=c"), ("message-timestamp", "2020")];
        let base = "&message-timestamp=2020&messageId=a_b_c";
        assert_eq!(
            sign(&fields, &Proof::default()),
            digest::hex(&Md5::digest(format!("{base}sandbox")))
        );
    }
}

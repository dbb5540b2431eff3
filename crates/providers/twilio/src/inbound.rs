use std::sync::Arc;

use chrono::{DateTime, Utc};
use postduif_core::{
    Authenticity, ConfigError, InboundMessage, InboundParser, OptOut, ReportError, ReportOptions,
    ReportParser as _, ReportRequest,
};
use postduif_http::vendor::reports::{self, inbound, message_id, receiver};
use secrecy::SecretString;
use serde_json::Value;

use crate::{
    reports::{TwilioReports, reply},
    signed::Fields,
};

/// Parser of what people send to numbers at Twilio: signed over the URL and every parameter, as the callbacks of
/// [`TwilioReports`] are.
///
/// With Advanced Opt-Out, Twilio's messaging services say which messages are an opt-out or an opt-in, by the words that
/// are set there. Twilio sends no time, and signs none.
#[derive(Debug)]
pub struct TwilioInbound(TwilioReports);

impl TwilioInbound {
    /// Creates a parser that accepts a signature by any of these secrets, as [`TwilioReports::new`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`TwilioReports::new`].
    pub fn new(secrets: Vec<SecretString>) -> Result<Self, ConfigError> {
        TwilioReports::new(secrets).map(Self)
    }
}

/// Creates a parser of what people send to numbers at Twilio, chosen at run time.
///
/// # Errors
///
/// Returns the errors of [`TwilioInbound::new`], and an error if the options name an API or a signature method: Twilio
/// has one API, and its request names the method.
pub fn inbound_parser(options: ReportOptions) -> Result<Arc<dyn InboundParser>, ConfigError> {
    reports::one_api(&options)?;
    Ok(Arc::new(TwilioInbound::new(options.into_secrets())?))
}

impl InboundParser for TwilioInbound {
    fn authenticity(&self) -> Authenticity {
        self.0.authenticity()
    }

    fn parse(
        &self,
        request: &ReportRequest<'_>,
        _: DateTime<Utc>,
    ) -> Result<Vec<InboundMessage>, ReportError> {
        let fields = self.0.verified(request)?;
        if !is_inbound(&fields)? {
            return match fields.status()? {
                Some(_) => Ok(Vec::new()),
                None => Err(ReportError::malformed("the request has no inbound text")),
            };
        }
        let value = |name| Ok(fields.text(name)?.map_or(Value::Null, Value::from));
        // The sender of another channel has its name before the number, as in `whatsapp:+31…`: that is no number.
        let read = inbound("twilio", &value("From")?, &value("Body")?);
        let mut messages = read.into_result("the text has no sender")?;
        for message in &mut messages {
            message.id = message_id(&match value("MessageSid")? {
                Value::Null => value("SmsSid")?,
                id => id,
            });
            message.to = receiver(&value("To")?);
            message.opt_out = match fields.text("OptOutType")? {
                Some(kind) if kind.eq_ignore_ascii_case("STOP") => Some(OptOut::Stop),
                Some(kind) if kind.eq_ignore_ascii_case("START") => Some(OptOut::Start),
                _ => None,
            };
        }
        Ok(messages)
    }

    /// Returns no body: Twilio sends a plain text body back to the phone.
    fn reply(&self, result: &Result<Vec<InboundMessage>, ReportError>) -> (u16, &'static str) {
        reply(result)
    }
}

/// Returns whether a callback is an incoming text. Its status is not in Twilio's documentation, and may be missing.
pub(crate) fn is_inbound(fields: &Fields) -> Result<bool, ReportError> {
    Ok(match fields.status()? {
        Some(status) => ["received", "receiving"].contains(&status),
        None => fields.has("Body") && fields.text("From")?.is_some(),
    })
}

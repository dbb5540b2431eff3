//! The events and spans of the code under test, by `tracing`, at any level.

use std::{
    fmt::{self, Write as _},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Keeps all events, spans and fields as text. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Watch {
    logged: Arc<Mutex<String>>,
    spans: Arc<AtomicU64>,
}

impl Watch {
    /// Runs work on a new thread, and returns its output and all that was logged there.
    ///
    /// A subscriber is set for one thread, so the runtime of that thread has no other.
    pub(crate) fn over<F: Future>(work: impl FnOnce() -> F + Send) -> (F::Output, String)
    where
        F::Output: Send,
    {
        let watch = Self::default();
        let logged = Arc::clone(&watch.logged);
        let output = std::thread::scope(|scope| {
            let watched = scope.spawn(|| {
                let _guard = tracing::subscriber::set_default(watch);
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                runtime.expect("a runtime starts").block_on(work())
            });
            match watched.join() {
                Ok(output) => output,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        });
        let logged = std::mem::take(&mut *logged.lock().unwrap_or_else(PoisonError::into_inner));
        (output, logged)
    }

    fn log(&self, metadata: &Metadata<'_>, fields: impl FnOnce(&mut Fields<'_>)) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        logged.push_str(metadata.name());
        fields(&mut Fields(&mut logged));
        logged.push('\n');
    }
}

impl Subscriber for Watch {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.log(span.metadata(), |fields| span.record(fields));
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed) + 1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        values.record(&mut Fields(&mut logged));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.log(event.metadata(), |fields| event.record(fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").expect("a String takes all");
    }
}

/// Returns a secret in the forms in which it could be shown: as it is, in hexadecimal, percent-encoded, and in base64.
pub(crate) fn forms(secret: &str) -> [String; 4] {
    let hexadecimal = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let encoded = secret
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect();
    let packed = match secret.len() {
        // A few letters of base64 may occur by chance.
        ..6 => secret.to_owned(),
        _ => base64(secret),
    };
    [secret.to_owned(), hexadecimal, encoded, packed]
}

/// Encodes a text without the last characters, which depend on what follows.
fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    text.as_bytes()
        .chunks_exact(3)
        .flat_map(|bytes| {
            let bits = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
            [18, 12, 6, 0].map(|shift| char::from(LETTERS[(bits >> shift & 63) as usize]))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_all_its_forms() {
        let expected = ["key+1/", "6b65792b312f", "key%2B1%2F", "a2V5KzEv"];
        assert_eq!(forms("key+1/"), expected);
        // RFC 4648: "foobar" is Zm9vYmFy.
        assert_eq!(base64("foobar!"), "Zm9vYmFy");
    }

    #[test]
    fn events_spans_and_later_fields_are_kept_at_every_level() {
        let (output, logged) = Watch::over(|| async {
            let span = tracing::trace_span!("a span", field = "one", later = tracing::field::Empty);
            span.record("later", "two");
            let within = tokio::spawn(async { tracing::trace!(answer = 3, "four") });
            within.await.expect("it ends");
            5
        });
        assert_eq!(output, 5);
        for word in ["a span", "one", "two", "answer=3", "four"] {
            assert!(logged.contains(word), "{word} is not in {logged}");
        }
    }
}

//! A journal in a file: one JSON line for each thing that is written, synced before it counts.
//!
//! It needs no lock between processes: an entry names its number, and of two entries of one number the first in
//! the file is the one.

use std::{
    collections::{HashMap, HashSet},
    fmt, fs,
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use postduif::{
    Callout, FlowId, Guid, Reference, UserId, async_trait,
    onboarding::{
        Claim, Entries, Entry, Journal, JournalError, JournalErrorKind, Memo, Record, Report,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// When the process is to end, as by `kill -9`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Death {
    Never,
    /// Before or after the entry of this number, counted over this process, is written.
    Before(usize),
    After(usize),
}

#[derive(Clone)]
pub(crate) struct FileJournal(Arc<Inner>);

struct Inner {
    path: PathBuf,
    file: Mutex<File>,
    written: AtomicUsize,
    death: Death,
    claimed: Mutex<HashSet<FlowId>>,
    users: Mutex<HashMap<UserId, (FlowId, Instant)>>,
}

/// A line of the file.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Callout(Callout),
    Memo {
        flow: FlowId,
        /// As JSON of its own, so that one that cannot be read harms nothing else.
        memo: Value,
    },
    Entry {
        flow: FlowId,
        number: usize,
        /// Tells two writers of the same number apart.
        writer: String,
        record: Record,
    },
    Report {
        flow: FlowId,
        report: Report,
    },
    Stop {
        flow: FlowId,
        at: chrono::DateTime<chrono::Utc>,
    },
}

impl FileJournal {
    pub(crate) fn open(path: impl AsRef<Path>, death: Death) -> Result<Self, JournalError> {
        let path = path.as_ref().to_owned();
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let journal = Self(Arc::new(Inner {
            path,
            file: Mutex::new(file.map_err(|error| away("open", error))?),
            written: AtomicUsize::new(0),
            death,
            claimed: Mutex::default(),
            users: Mutex::default(),
        }));
        journal.0.give_users_back()?;
        Ok(journal)
    }
}

fn away(what: &'static str, error: std::io::Error) -> JournalError {
    JournalError::new(JournalErrorKind::Unavailable, what).with_source(error)
}

fn unreadable(error: serde_json::Error) -> JournalError {
    JournalError::new(JournalErrorKind::Unreadable, "a line is of a newer version")
        .with_source(error)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The flow that a line is about, even where the rest of it cannot be read.
fn flow_of(line: &Value) -> Option<FlowId> {
    let (_, about) = line.as_object()?.iter().next()?;
    serde_json::from_value(about["flow"].clone()).ok()
}

impl Inner {
    fn lines(&self) -> Result<Vec<Value>, JournalError> {
        let text = fs::read_to_string(&self.path).map_err(|error| away("read", error))?;
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().map_err(unreadable)
    }

    /// The entries that can be read: who looks for a text is not stopped by another flow's newer words.
    fn readable_entries(&self) -> Result<Vec<Line>, JournalError> {
        let lines = self.lines()?.into_iter();
        let entries = lines.filter(|line| line.get("entry").is_some());
        Ok(entries
            .filter_map(|line| serde_json::from_value(line).ok())
            .collect())
    }

    /// The lines that satisfy `wanted`, which sees them before they are read.
    fn read(&self, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Line>, JournalError> {
        let lines = self.lines()?.into_iter().filter(|line| wanted(line));
        let lines = lines.map(serde_json::from_value);
        lines.collect::<Result<_, _>>().map_err(unreadable)
    }

    fn write(&self, line: &Line) -> Result<(), JournalError> {
        let text = serde_json::to_string(line).map_err(unreadable)? + "\n";
        let mut file = lock(&self.file);
        file.write_all(text.as_bytes())
            .and_then(|()| file.sync_data())
            .map_err(|error| away("write", error))
    }

    fn callouts(&self) -> Result<Vec<Callout>, JournalError> {
        let lines = self.read(|line| line.get("callout").is_some())?;
        let callouts = lines.into_iter().filter_map(|line| match line {
            Line::Callout(callout) => Some(callout),
            _ => None,
        });
        Ok(callouts.collect())
    }

    fn entries(&self, flow: FlowId) -> Result<(Entries, Vec<String>), JournalError> {
        let mut entries = Entries::new(flow);
        let mut writers = Vec::new();
        for line in self.read(|line| flow_of(line) == Some(flow))? {
            match line {
                Line::Entry {
                    number,
                    writer,
                    record,
                    ..
                } if number == entries.records.len() => {
                    entries.records.push(record);
                    writers.push(writer);
                }
                // Somebody else was before it.
                Line::Callout(_) | Line::Memo { .. } | Line::Entry { .. } => {}
                Line::Report { report, .. } => {
                    let known = |known: &Report| known.says_the_same_as(&report);
                    if !entries.reports.iter().any(known) {
                        entries.reports.push(report);
                    }
                }
                Line::Stop { at, .. } => {
                    entries.stop.get_or_insert(at);
                }
            }
        }
        Ok((entries, writers))
    }

    /// A flow in whose course the process died has its user still.
    fn give_users_back(&self) -> Result<(), JournalError> {
        const WINDOW: Duration = Duration::from_secs(30 * 60);
        for callout in self.callouts()? {
            let held = self.entries(callout.flow());
            let Some(user) = callout.user() else { continue };
            // What cannot be read may be open as well.
            if held.is_ok_and(|(entries, _)| !entries.holds_user()) {
                continue;
            }
            let began: SystemTime = callout.window_start().into();
            let window = callout.window().unwrap_or(WINDOW);
            let left = window.saturating_sub(began.elapsed().unwrap_or_default());
            lock(&self.users).insert(user, (callout.flow(), Instant::now() + left));
        }
        Ok(())
    }

    fn die(&self, death: Death) {
        if self.death == death {
            // No destructor, no flush: as by `kill -9`.
            process::abort();
        }
    }
}

impl fmt::Debug for FileJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileJournal").finish_non_exhaustive()
    }
}

#[async_trait]
impl Journal for FileJournal {
    async fn claim(&self, callout: &Callout) -> Result<Option<Box<dyn Claim>>, JournalError> {
        let flow = callout.flow();
        let mut callouts = self.0.callouts()?.into_iter();
        let callout = match callouts.find(|known| known.flow() == flow) {
            Some(first) => first,
            None => {
                self.0.write(&Line::Callout(callout.clone()))?;
                callout.clone()
            }
        };
        if !lock(&self.0.claimed).insert(flow) {
            return Ok(None);
        }
        let memos = self.0.read(|line| line.get("memo").is_some() && flow_of(line) == Some(flow));
        let memo = memos?.pop().and_then(|line| match line {
            Line::Memo { memo, .. } => serde_json::from_value(memo).ok(),
            _ => None,
        });
        static CLAIMS: AtomicU64 = AtomicU64::new(0);
        let claim = CLAIMS.fetch_add(1, Ordering::SeqCst);
        Ok(Some(Box::new(FileClaim {
            journal: Arc::clone(&self.0),
            callout,
            memo,
            writer: format!("{}-{claim}", Guid::random()),
        })))
    }

    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError> {
        Ok(self.0.entries(*flow)?.0)
    }

    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError> {
        let entries = self.0.readable_entries()?;
        Ok(entries.into_iter().find_map(|line| match line {
            Line::Entry { flow, record, .. } => match record.entry {
                Entry::Sending { reference: of, .. } if of == *reference => Some(flow),
                _ => None,
            },
            _ => None,
        }))
    }

    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError> {
        let entries = self.0.readable_entries()?;
        Ok(entries.into_iter().find_map(|line| match line {
            Line::Entry { flow, record, .. } => match record.entry {
                Entry::Accepted {
                    provider: by,
                    id: of,
                    part_ids,
                    ..
                } if by == provider
                    && (of.as_deref() == Some(id) || part_ids.iter().any(|part| part == id)) =>
                {
                    Some(flow)
                }
                _ => None,
            },
            _ => None,
        }))
    }

    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError> {
        self.0.write(&Line::Report {
            flow: *flow,
            report: report.clone(),
        })
    }

    async fn stop(
        &self,
        flow: &FlowId,
        at: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), JournalError> {
        self.0.write(&Line::Stop { flow: *flow, at })
    }
}

struct FileClaim {
    journal: Arc<Inner>,
    callout: Callout,
    memo: Option<Memo>,
    writer: String,
}

impl fmt::Debug for FileClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileClaim")
            .field("flow", &self.callout.flow())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Claim for FileClaim {
    fn callout(&self) -> &Callout {
        &self.callout
    }

    fn memo(&self) -> Option<Memo> {
        self.memo.clone()
    }

    async fn give_back(
        &self,
        _: chrono::DateTime<chrono::Utc>,
        memo: &Memo,
    ) -> Result<(), JournalError> {
        self.journal.write(&Line::Memo {
            flow: self.callout.flow(),
            memo: serde_json::to_value(memo).map_err(unreadable)?,
        })
    }

    fn holds(&self) -> bool {
        true
    }

    async fn entries(&self) -> Result<Entries, JournalError> {
        Ok(self.journal.entries(self.callout.flow())?.0)
    }

    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError> {
        let place = self.journal.written.fetch_add(1, Ordering::SeqCst);
        self.journal.die(Death::Before(place));
        let flow = self.callout.flow();
        if self.journal.entries(flow)?.0.records.len() != at {
            return Err(JournalError::lost());
        }
        self.journal.write(&Line::Entry {
            flow,
            number: at,
            writer: self.writer.clone(),
            record: record.clone(),
        })?;
        let (_, writers) = self.journal.entries(flow)?;
        if writers.get(at) != Some(&self.writer) {
            return Err(JournalError::lost());
        }
        self.journal.die(Death::After(place));
        Ok(())
    }

    async fn of_user(&self) -> Result<Vec<Entries>, JournalError> {
        let user = self.callout.user();
        let callouts = self.journal.callouts()?;
        let flows = callouts.iter().filter(|callout| callout.user() == user);
        let entries = flows.map(|callout| Ok(self.journal.entries(callout.flow())?.0));
        entries.collect()
    }

    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError> {
        let Some(user) = self.callout.user() else {
            return Ok(true);
        };
        let (flow, now) = (self.callout.flow(), Instant::now());
        let mut users = lock(&self.journal.users);
        match users.get(&user) {
            Some((owner, until)) if *owner != flow && *until > now => Ok(false),
            _ => {
                users.insert(user, (flow, now + at_most));
                Ok(true)
            }
        }
    }

    async fn free_user(&self) -> Result<(), JournalError> {
        let mut users = lock(&self.journal.users);
        if let Some(user) = self.callout.user()
            && users
                .get(&user)
                .is_some_and(|(owner, _)| *owner == self.callout.flow())
        {
            users.remove(&user);
        }
        Ok(())
    }
}

impl Drop for FileClaim {
    fn drop(&mut self) {
        lock(&self.journal.claimed).remove(&self.callout.flow());
    }
}

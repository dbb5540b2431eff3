//! A journal in a file, durable and shared by the processes of one machine: a worked example of a store.
//!
//! Each record is a line of JSON, and the file only grows. Every call locks the file, reads the lines that others have
//! appended since its last read, decides by all lines, and appends its own. It returns once they are synced. A call has
//! therefore read every earlier line, and compare-and-append only has to compare the number of entries. In a database, a
//! transaction does the same.
//!
//! - **A claim is a number.** Each claim of a flow has the next number, and a call of an earlier claim is refused at any
//!   time. This alone keeps a flow from two runs. The lease only avoids useless attempts: without it, another process
//!   would take a flow over at once.
//! - **A lease ends by two clocks.** In the file it ends by the wall clock. For its holder it ends by the monotonic
//!   clock, which is read before the lease is written. A lease has to be longer than any one step.
//! - **An entry of a newer version is kept.** Entries are stored as they were written. One that cannot be read keeps its
//!   number, and makes only its own flow unreadable.
//! - **A process that dies in the middle of a line leaves half of it.** The next call cuts it off: no call has reported
//!   it as written.
//!
//! A call blocks its thread for as long as the file takes. The example never removes a flow, and holds all of them in
//! memory. A service removes flows that are older than 30 days.

use std::{
    collections::HashMap,
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use chrono::{DateTime, TimeDelta, Utc};
use postduif::{
    Guid, Reference, async_trait,
    directory::{Callout, FlowId, UserId},
    onboarding::{
        Claim, Entries, Entry, Journal, JournalError, JournalErrorKind, Memo, Record, Report,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How long a call waits for the file.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How often it looks whether the file is free.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The most reports of one flow.
const MOST_REPORTS: usize = 256;

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
    /// Tells the claims of this process from those of others.
    process: Guid,
    lease: Duration,
    disk: Mutex<Disk>,
    written: AtomicUsize,
    death: Death,
}

/// The file, and what this process has read of it.
struct Disk {
    file: File,
    read: u64,
    flows: HashMap<FlowId, Flow>,
    users: HashMap<UserId, (FlowId, DateTime<Utc>)>,
    by_reference: HashMap<Reference, FlowId>,
    by_id: HashMap<(String, String), FlowId>,
    /// The claims that this process holds.
    own: HashMap<FlowId, u64>,
}

struct Flow {
    callout: Callout,
    epoch: u64,
    /// Who has the flow, and until when; nobody where it was given back.
    holder: Option<(Guid, DateTime<Utc>)>,
    records: Vec<Value>,
    reports: Vec<Report>,
    stop: Option<DateTime<Utc>>,
    memo: Option<Value>,
    /// Whether a line about it is of a newer version.
    is_unreadable: bool,
}

/// A line of the file.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Claim {
        flow: FlowId,
        epoch: u64,
        process: Guid,
        until: DateTime<Utc>,
        /// With the first claim only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        callout: Option<Callout>,
    },
    Entry {
        flow: FlowId,
        record: Value,
    },
    Report {
        flow: FlowId,
        report: Report,
    },
    Stop {
        flow: FlowId,
        at: DateTime<Utc>,
    },
    GivenBack {
        flow: FlowId,
        memo: Value,
    },
    Locked {
        flow: FlowId,
        user: UserId,
        until: DateTime<Utc>,
    },
    Freed {
        flow: FlowId,
        user: UserId,
    },
}

impl FileJournal {
    /// Opens a journal whose claims keep a flow from other processes for this long after they were last used.
    /// With a lease of zero another process takes a flow over at once.
    pub(crate) fn open(
        path: impl AsRef<Path>,
        death: Death,
        lease: Duration,
    ) -> Result<Self, JournalError> {
        let file = create(path.as_ref()).map_err(|error| away("open", error))?;
        Ok(Self(Arc::new(Inner {
            process: Guid::random(),
            lease,
            disk: Mutex::new(Disk {
                file,
                read: 0,
                flows: HashMap::new(),
                users: HashMap::new(),
                by_reference: HashMap::new(),
                by_id: HashMap::new(),
                own: HashMap::new(),
            }),
            written: AtomicUsize::new(0),
            death,
        })))
    }
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.create(true).read(true).append(true).open(path)?;
    // The name of a new file has to last as well.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        let here = folder.as_os_str().is_empty();
        let folder = if here { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

fn away(what: &'static str, error: io::Error) -> JournalError {
    JournalError::new(JournalErrorKind::Unavailable, what).with_source(error)
}

fn unreadable() -> JournalError {
    JournalError::new(JournalErrorKind::Unreadable, "a line is of a newer version")
}

fn to_json<T: Serialize>(value: &T) -> Result<Value, JournalError> {
    serde_json::to_value(value).map_err(|error| {
        JournalError::new(JournalErrorKind::Unavailable, "encode").with_source(error)
    })
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

fn after(now: DateTime<Utc>, time: Duration) -> DateTime<Utc> {
    let time = TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX);
    now.checked_add_signed(time)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The flow that a line is about, even where the rest of it cannot be read.
fn flow_of(line: &Value) -> Option<FlowId> {
    let (_, about) = line.as_object()?.iter().next()?;
    serde_json::from_value(about.get("flow")?.clone()).ok()
}

impl Flow {
    const fn new(callout: Callout) -> Self {
        Self {
            callout,
            epoch: 0,
            holder: None,
            records: Vec::new(),
            reports: Vec::new(),
            stop: None,
            memo: None,
            is_unreadable: false,
        }
    }

    fn entries(&self) -> Result<Entries, JournalError> {
        if self.is_unreadable {
            return Err(unreadable());
        }
        let mut entries = Entries::new(self.callout.flow());
        let records = self.records.iter().map(Record::deserialize);
        entries.records = records
            .collect::<Result<_, _>>()
            .map_err(|error| unreadable().with_source(error))?;
        entries.reports.clone_from(&self.reports);
        entries.stop = self.stop;
        Ok(entries)
    }

    /// Whether a report changes anything: it is new and has room, or decides the flow and gets the room of one that
    /// does not.
    fn has_room_for(&self, report: &Report) -> bool {
        let mut reports = self.reports.iter();
        let again = reports.any(|known| known.says_the_same_as(report));
        !again && (self.reports.len() < MOST_REPORTS || self.gives_way_to(report).is_some())
    }

    fn gives_way_to(&self, report: &Report) -> Option<usize> {
        let mut reports = self.reports.iter();
        let oldest = reports.position(|known| !known.status.is_final());
        oldest.filter(|_| report.status.is_final())
    }

    fn keep(&mut self, report: Report) {
        if !self.has_room_for(&report) {
            return;
        }
        if self.reports.len() >= MOST_REPORTS
            && let Some(oldest) = self.gives_way_to(&report)
        {
            self.reports.remove(oldest);
        }
        self.reports.push(report);
    }
}

impl Disk {
    /// Reads what was written since the last call.
    fn catch_up(&mut self) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(self.read))
            .and_then(|_| self.file.read_to_end(&mut bytes))
            .map_err(|error| away("read", error))?;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !line.ends_with(b"\n") {
                return self
                    .file
                    .set_len(self.read)
                    .map_err(|error| away("cut", error));
            }
            let value = serde_json::from_slice::<Value>(line);
            let value = value.map_err(|error| unreadable().with_source(error))?;
            match Line::deserialize(&value) {
                Ok(line) => self.apply(line),
                Err(error) => {
                    let flow = flow_of(&value).and_then(|flow| self.flows.get_mut(&flow));
                    let flow = flow.ok_or_else(|| unreadable().with_source(error))?;
                    flow.is_unreadable = true;
                }
            }
            self.read += line.len() as u64;
        }
        Ok(())
    }

    fn write(&mut self, lines: Vec<Line>) -> Result<(), JournalError> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        for line in &lines {
            text += &to_json(line)?.to_string();
            text.push('\n');
        }
        // Where this fails the next call reads, or cuts off, what came of it.
        self.file
            .write_all(text.as_bytes())
            .and_then(|()| self.file.sync_data())
            .map_err(|error| away("write", error))?;
        self.read += text.len() as u64;
        for line in lines {
            self.apply(line);
        }
        Ok(())
    }

    fn apply(&mut self, line: Line) {
        let (Line::Claim { flow, .. }
        | Line::Entry { flow, .. }
        | Line::Report { flow, .. }
        | Line::Stop { flow, .. }
        | Line::GivenBack { flow, .. }
        | Line::Locked { flow, .. }
        | Line::Freed { flow, .. }) = line;
        if let Line::Claim {
            callout: Some(callout),
            ..
        } = &line
        {
            let new = || Flow::new(callout.clone());
            self.flows.entry(flow).or_insert_with(new);
        }
        let Some(known) = self.flows.get_mut(&flow) else {
            return;
        };
        match line {
            Line::Claim {
                epoch,
                process,
                until,
                ..
            } => {
                known.epoch = epoch;
                known.holder = Some((process, until));
            }
            Line::Entry { record, .. } => {
                match Record::deserialize(&record).map(|record| record.entry) {
                    Ok(Entry::Sending { reference, .. }) => {
                        self.by_reference.insert(reference, flow);
                    }
                    Ok(Entry::Accepted {
                        provider,
                        id,
                        part_ids,
                        ..
                    }) => {
                        for id in id.into_iter().chain(part_ids) {
                            self.by_id.insert((provider.clone(), id), flow);
                        }
                    }
                    // One that cannot be read is told where the flow is read.
                    _ => {}
                }
                known.records.push(record);
            }
            Line::Report { report, .. } => known.keep(report),
            Line::Stop { at, .. } => {
                known.stop.get_or_insert(at);
            }
            Line::GivenBack { memo, .. } => {
                known.memo = Some(memo);
                known.holder = None;
            }
            Line::Locked { user, until, .. } => {
                self.users.insert(user, (flow, until));
            }
            Line::Freed { user, .. } => {
                self.users.remove(&user);
            }
        }
    }
}

impl Inner {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides by all that is written, and writes what was decided, while nobody else can.
    async fn decide<T>(
        &self,
        decide: impl Fn(&Disk) -> Result<(Vec<Line>, T), JournalError> + Send + Sync,
    ) -> Result<T, JournalError> {
        let free = async {
            loop {
                if let Some(decided) = self.decide_if_free(&decide) {
                    return decided;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let decided = tokio::time::timeout(LONGEST_WAIT, free).await;
        decided.unwrap_or_else(|_| {
            let kind = JournalErrorKind::Unavailable;
            Err(JournalError::new(kind, "another process keeps the file"))
        })
    }

    fn decide_if_free<T>(
        &self,
        decide: impl Fn(&Disk) -> Result<(Vec<Line>, T), JournalError>,
    ) -> Option<Result<T, JournalError>> {
        let mut disk = self.disk();
        match disk.file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return None,
            Err(TryLockError::Error(error)) => return Some(Err(away("lock", error))),
        }
        let decided = disk.catch_up().and_then(|()| {
            let (lines, decided) = decide(&disk)?;
            disk.write(lines)?;
            Ok(decided)
        });
        // The lock ends with the process, if not here.
        let freed = disk.file.unlock();
        Some(decided.and_then(|decided| {
            freed.map_err(|error| away("unlock", error))?;
            Ok(decided)
        }))
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
        let (flow, own) = (callout.flow(), self.0.process);
        // Before anything is written, so that the lease ends here first.
        let until = Instant::now() + self.0.lease;
        let claimed = self.0.decide(|disk| {
            let known = disk.flows.get(&flow);
            let taken = known.and_then(|known| known.holder.map(|holder| (known.epoch, holder)));
            let is_taken = taken.is_some_and(|(epoch, (process, until))| {
                if process == own {
                    disk.own.get(&flow) == Some(&epoch)
                } else {
                    until > now()
                }
            });
            if is_taken {
                return Ok((Vec::new(), None));
            }
            let epoch = known.map_or(0, |known| known.epoch) + 1;
            let line = Line::Claim {
                flow,
                epoch,
                process: own,
                until: after(now(), self.0.lease),
                callout: known.is_none().then(|| callout.clone()),
            };
            let first = known.map_or(callout, |known| &known.callout).clone();
            let memo = known.and_then(|known| known.memo.as_ref());
            // A memo with a newer word is none: the flow is as safe without it.
            let memo = memo.and_then(|memo| Memo::deserialize(memo).ok());
            Ok((vec![line], Some((epoch, first, memo))))
        });
        let Some((epoch, callout, memo)) = claimed.await? else {
            return Ok(None);
        };
        self.0.disk().own.insert(flow, epoch);
        Ok(Some(Box::new(FileClaim {
            journal: Arc::clone(&self.0),
            callout,
            memo,
            epoch,
            until: Mutex::new(until),
            is_lost: AtomicBool::new(false),
        })))
    }

    async fn entries(&self, flow: &FlowId) -> Result<Entries, JournalError> {
        let read = self.0.decide(|disk| {
            let known = disk.flows.get(flow).map(Flow::entries);
            Ok((
                Vec::new(),
                known.unwrap_or_else(|| Ok(Entries::new(*flow)))?,
            ))
        });
        read.await
    }

    async fn flow_of(&self, reference: &Reference) -> Result<Option<FlowId>, JournalError> {
        let found = |disk: &Disk| Ok((Vec::new(), disk.by_reference.get(reference).copied()));
        self.0.decide(found).await
    }

    async fn flow_by_id(&self, provider: &str, id: &str) -> Result<Option<FlowId>, JournalError> {
        let key = (provider.to_owned(), id.to_owned());
        let found = |disk: &Disk| Ok((Vec::new(), disk.by_id.get(&key).copied()));
        self.0.decide(found).await
    }

    async fn report(&self, flow: &FlowId, report: &Report) -> Result<(), JournalError> {
        let kept = self.0.decide(|disk| {
            let known = disk.flows.get(flow);
            let line = known.filter(|known| known.has_room_for(report)).map(|_| {
                let (flow, report) = (*flow, report.clone());
                Line::Report { flow, report }
            });
            Ok((line.into_iter().collect(), ()))
        });
        kept.await
    }

    async fn stop(&self, flow: &FlowId, at: DateTime<Utc>) -> Result<(), JournalError> {
        let ordered = self.0.decide(|disk| {
            let known = disk.flows.get(flow);
            let line = known.filter(|known| known.stop.is_none()).map(|_| {
                let flow = *flow;
                Line::Stop { flow, at }
            });
            Ok((line.into_iter().collect(), ()))
        });
        ordered.await
    }
}

struct FileClaim {
    journal: Arc<Inner>,
    callout: Callout,
    memo: Option<Memo>,
    epoch: u64,
    /// When the lease ends, as far as this process is certain.
    until: Mutex<Instant>,
    is_lost: AtomicBool,
}

impl fmt::Debug for FileClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileClaim")
            .field("flow", &self.callout.flow())
            .finish_non_exhaustive()
    }
}

impl FileClaim {
    fn until(&self) -> MutexGuard<'_, Instant> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides where this claim still has the flow, and extends its lease where half of it is over.
    async fn decide<T>(
        &self,
        decide: impl Fn(&Disk, &Flow) -> Result<(Vec<Line>, T), JournalError> + Send + Sync,
    ) -> Result<T, JournalError> {
        let (flow, lease) = (self.callout.flow(), self.journal.lease);
        let began = Instant::now();
        let left = self.until().saturating_duration_since(began);
        let extends = !lease.is_zero() && left < lease / 2;
        let decided = self.journal.decide(|disk| {
            let known = disk.flows.get(&flow);
            let known = known.filter(|known| known.epoch == self.epoch);
            let Some(known) = known else {
                self.is_lost.store(true, Ordering::SeqCst);
                return Err(JournalError::lost());
            };
            let (decided, output) = decide(disk, known)?;
            let lease = extends.then(|| Line::Claim {
                flow,
                epoch: self.epoch,
                process: self.journal.process,
                until: after(now(), lease),
                callout: None,
            });
            Ok((lease.into_iter().chain(decided).collect(), output))
        });
        let decided = decided.await?;
        if extends {
            *self.until() = began + lease;
        }
        Ok(decided)
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

    async fn give_back(&self, _: DateTime<Utc>, memo: &Memo) -> Result<(), JournalError> {
        let memo = to_json(memo)?;
        let flow = self.callout.flow();
        let given_back = self.decide(|_, _| {
            let memo = memo.clone();
            Ok((vec![Line::GivenBack { flow, memo }], ()))
        });
        let given_back = given_back.await;
        // From here on others can have it.
        self.is_lost.store(true, Ordering::SeqCst);
        given_back
    }

    fn holds(&self) -> bool {
        if !self.journal.lease.is_zero() && *self.until() <= Instant::now() {
            self.is_lost.store(true, Ordering::SeqCst);
        }
        !self.is_lost.load(Ordering::SeqCst)
    }

    async fn lost(&self) {
        if self.journal.lease.is_zero() {
            std::future::pending().await
        }
        while self.holds() {
            let until = *self.until();
            tokio::time::sleep_until(until.into()).await;
        }
    }

    async fn entries(&self) -> Result<Entries, JournalError> {
        self.decide(|_, known| Ok((Vec::new(), known.entries()?)))
            .await
    }

    async fn append(&self, at: usize, record: &Record) -> Result<(), JournalError> {
        let number = self.journal.written.fetch_add(1, Ordering::SeqCst);
        self.journal.die(Death::Before(number));
        let flow = self.callout.flow();
        let record = to_json(record)?;
        let appended = self.decide(|_, known| {
            if known.records.len() != at {
                return Err(JournalError::lost());
            }
            let record = record.clone();
            Ok((vec![Line::Entry { flow, record }], ()))
        });
        appended.await?;
        self.journal.die(Death::After(number));
        Ok(())
    }

    async fn of_user(&self) -> Result<Vec<Entries>, JournalError> {
        let Some(user) = self.callout.user() else {
            return Ok(Vec::new());
        };
        let known = self.decide(|disk, _| {
            let flows = disk.flows.values();
            let flows = flows.filter(|flow| flow.callout.user() == Some(user));
            let entries: Result<_, _> = flows.map(Flow::entries).collect();
            Ok((Vec::new(), entries?))
        });
        known.await
    }

    async fn lock_user(&self, at_most: Duration) -> Result<bool, JournalError> {
        let Some(user) = self.callout.user() else {
            return Ok(true);
        };
        let flow = self.callout.flow();
        let locked = self.decide(|disk, _| {
            let owner = disk.users.get(&user);
            if owner.is_some_and(|(owner, until)| *owner != flow && *until > now()) {
                return Ok((Vec::new(), false));
            }
            let until = after(now(), at_most);
            Ok((vec![Line::Locked { flow, user, until }], true))
        });
        locked.await
    }

    async fn free_user(&self) -> Result<(), JournalError> {
        let Some(user) = self.callout.user() else {
            return Ok(());
        };
        let flow = self.callout.flow();
        let freed = self.decide(|disk, _| {
            let owner = disk.users.get(&user);
            let own = owner.filter(|(owner, _)| *owner == flow);
            let line = own.map(|_| Line::Freed { flow, user });
            Ok((line.into_iter().collect(), ()))
        });
        freed.await
    }
}

impl Drop for FileClaim {
    fn drop(&mut self) {
        let mut disk = self.journal.disk();
        let flow = self.callout.flow();
        if disk.own.get(&flow) == Some(&self.epoch) {
            disk.own.remove(&flow);
        }
    }
}

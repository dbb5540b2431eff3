//! Opens a file of SQLite for this process alone.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use postduif_core::ConfigError;
use sqlx::{
    ConnectOptions as _,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};

use super::db::Server;

pub(super) fn in_memory() -> Server {
    Server::Sqlite {
        options: Box::new(
            SqliteConnectOptions::new()
                .in_memory(true)
                .disable_statement_logging(),
        ),
        _lock: None,
    }
}

/// Opens the file of a URL without its scheme: `//FILE`. Beside the process that has it, it takes no lock and creates
/// nothing.
pub(super) fn file(rest: &str, is_beside: bool) -> Result<Server, ConfigError> {
    let path = rest.strip_prefix("//").unwrap_or_default();
    if path.is_empty() || path.starts_with(':') || path.ends_with('/') {
        return Err(ConfigError::new(
            "a store in a file is sqlite://FILE, such as sqlite:///var/lib/postduif/flows.db",
        ));
    }
    if path.contains(['?', '#']) {
        return Err(ConfigError::new("sqlite://FILE has no options"));
    }
    let path = real_path(Path::new(path))?;
    if let Some(kind) = network_file_system(&mounts(), &path) {
        return Err(ConfigError::new(format!(
            "the file is on {kind}, a file system of other machines, on which SQLite loses data: use a local disk, or \
             PostgreSQL",
        )));
    }
    // The lock first: a second handle of the file that is closed would end the locks of SQLite.
    let lock = if is_beside {
        None
    } else {
        let lock = locked(&path)?;
        create(&path).map_err(|error| cannot("create the file", &error))?;
        Some(lock)
    };
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Wal)
        // With less, a loss of power loses entries that were announced as durable.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .disable_statement_logging();
    Ok(Server::Sqlite {
        options: Box::new(options),
        _lock: lock,
    })
}

/// Resolves links, so that one file has one lock.
fn real_path(path: &Path) -> Result<PathBuf, ConfigError> {
    if let Ok(path) = fs::canonicalize(path) {
        return Ok(path);
    }
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")))
        .map_err(|error| cannot("find the folder of the file", &error))?;
    let name = path.file_name().unwrap_or_default();
    Ok(folder.join(name))
}

fn locked(path: &Path) -> Result<File, ConfigError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock = create(Path::new(&name)).map_err(|error| cannot("create its lock", &error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(ConfigError::new(
            "another process has the store, or this one has it open already: a file belongs to one process; for \
             several use PostgreSQL",
        )),
        Err(TryLockError::Error(error)) => Err(cannot("lock the file", &error)),
    }
}

/// Creates a file that nobody else may read, or opens it.
fn create(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).read(true).write(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn cannot(what: &str, error: &std::io::Error) -> ConfigError {
    // Not the path: somebody may have written a secret in its place.
    ConfigError::new(format!("the store cannot {what}: {}", error.kind()))
}

/// Returns the mounted file systems. Empty where the system lists none.
fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

/// Returns the kind of file system that has the file, if it belongs to other machines.
///
/// `mounts` is as in `proc_pid_mountinfo(5)`: the fifth field is where it is mounted, and after a lone hyphen comes its
/// kind.
fn network_file_system<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    let found = mounts.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let at = unescaped(mount.split(' ').nth(4)?);
        let kind = kind.split(' ').next()?;
        path.starts_with(&at).then_some((at.len(), kind))
    });
    // The last of equals hides the others.
    let (_, kind) = found.max_by_key(|(length, _)| *length)?;
    NETWORK.contains(&kind).then_some(kind)
}

/// In the list a space, a tab, a line end and a backslash are octal.
fn unescaped(at: &str) -> String {
    let words = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    words
        .iter()
        .fold(at.to_owned(), |at, (word, is)| at.replace(word, is))
}

/// File systems whose locks or memory maps do not hold between machines, as Linux names them.
const NETWORK: [&str; 22] = [
    "9p",
    "afs",
    "ceph",
    "cifs",
    "coda",
    "fuse.ceph",
    "fuse.cephfs",
    "fuse.blobfuse",
    "fuse.blobfuse2",
    "fuse.gcsfuse",
    "fuse.glusterfs",
    "fuse.juicefs",
    "fuse.mountpoint-s3",
    "fuse.rclone",
    "fuse.s3fs",
    "fuse.smbnetfs",
    "fuse.sshfs",
    "lustre",
    "nfs",
    "nfs4",
    "smb3",
    "smbfs",
];

const BUSY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_another_machine_is_recognized() {
        // Lines as `proc_pid_mountinfo(5)` shows them.
        let mounts = concat!(
            "36 35 98:0 / / rw,noatime master:1 - ext4 /dev/root rw,errors=continue\n",
            "40 36 0:35 / /srv/my\\040share rw - nfs4 files:/export rw\n",
            "41 40 8:1 / /srv/my\\040share/local rw - ext4 /dev/sdb1 rw\n",
            "42 36 0:36 / /home/shop rw - fuse.sshfs shop@files: rw\n",
        );
        for (path, expected) in [
            ("/var/lib/flows.db", None),
            ("/srv/my share/flows.db", Some("nfs4")),
            ("/srv/my share/local/flows.db", None),
            ("/srv/my shared/flows.db", None),
            ("/home/shop/flows.db", Some("fuse.sshfs")),
        ] {
            let found = network_file_system(mounts, Path::new(path));
            assert_eq!(found, expected, "{path}");
        }
    }
}

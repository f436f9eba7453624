//! What runs in the folder of a fleet, written down: a starter that is killed can stop nothing, and the next one has to find it.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use marquee_backends::Identity;

use crate::Error;

/// How long what was left behind may take to stop.
const STOP: Duration = Duration::from_secs(20);

const FOLDER: &str = "running";

/// The right to run a fleet in a folder; the kernel gives it back however the process ends.
#[derive(Debug)]
pub(crate) struct Alone {
    _lock: File,
}

/// Takes the folder for this process, and ends the processes that one before has left behind.
pub(crate) fn take(folder: &Path, say: &mut dyn FnMut(&str)) -> Result<Alone, Error> {
    let records = folder.join(FOLDER);
    fs::create_dir_all(&records).map_err(Error::io(&records))?;
    let path = records.join(".lock");
    let lock = File::create(&path).map_err(Error::io(&path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(Error::Runs(folder.to_owned())),
        Err(TryLockError::Error(source)) => return Err(Error::Io { path, source }),
    }
    let left = left_behind(&records)?;
    std::thread::scope(|scope| {
        for (name, identity) in &left {
            say(&format!(
                "ending {name} (process {}), left behind by a start before",
                identity.pid
            ));
            scope.spawn(|| identity.end(STOP));
        }
    });
    Ok(Alone { _lock: lock })
}

/// Names and processes. Records of what has ended are removed.
fn left_behind(records: &Path) -> Result<Vec<(String, Identity)>, Error> {
    let mut left = Vec::new();
    for entry in fs::read_dir(records).map_err(Error::io(records))? {
        let path = entry.map_err(Error::io(records))?.path();
        let Some(name) = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".json"))
        else {
            continue;
        };
        // One that was not written to its end is of a process that was killed in that very moment.
        let identity = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Identity>(&bytes).ok());
        if let Some(identity) = identity.filter(Identity::runs) {
            left.push((name.to_owned(), identity));
        }
        forget(&path);
    }
    Ok(left)
}

/// Where it is written down that the part of that name runs in that folder.
pub(crate) fn record_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(FOLDER).join(format!("{name}.json"))
}

pub(crate) fn write(record: &Path, pid: u32) -> Result<(), Error> {
    let Some(identity) = Identity::of(pid) else {
        // It has ended already, as whoever waits for it will see.
        return Ok(());
    };
    let text = serde_json::to_vec(&identity).map_err(|error| Error::Io {
        path: record.to_owned(),
        source: error.into(),
    })?;
    fs::write(record, text).map_err(Error::io(record))
}

pub(crate) fn forget(record: &Path) {
    // What is left of it names a process that has ended, which is seen by whoever reads it.
    let _ = fs::remove_file(record);
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;
    use crate::{Process, ports};

    const FOLDER: &str = "MARQUEE_TEST_STARTER_FOLDER";

    /// Starts a process in a folder and lives until it is killed.
    #[test]
    #[ignore = "a child process of another test"]
    fn starter() {
        let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
        let _alone = take(&folder, &mut |_| {}).unwrap();
        // Nobody asks it anything.
        let address = ports::local(9);
        let mut process = Process::new("sleeper", "sleep".into(), folder.join("log"), address, "/")
            .arguments(["600"])
            .recorded(record_of(&folder, "sleeper"));
        process.start().unwrap();
        println!("\nstarted {}", process.pid().unwrap());
        std::thread::sleep(Duration::from_secs(600));
    }

    #[test]
    fn what_a_killed_starter_has_left_behind_is_ended_and_what_one_runs_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut starter = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "running::tests::starter"])
            .env(FOLDER, folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = BufReader::new(starter.stdout.take().unwrap())
            .lines()
            .find_map(|line| line.unwrap().strip_prefix("started ")?.parse().ok())
            .unwrap();
        let sleeper = Identity::of(pid).unwrap();
        assert!(matches!(take(folder, &mut |_| {}), Err(Error::Runs(_))));
        assert!(sleeper.runs());

        // As `kill -9` does.
        starter.kill().unwrap();
        starter.wait().unwrap();
        assert!(sleeper.runs());
        let mut said = Vec::new();
        let alone = take(folder, &mut |line| said.push(line.to_owned())).unwrap();
        assert!(!sleeper.runs());
        assert_eq!(
            said,
            [format!(
                "ending sleeper (process {pid}), left behind by a start before"
            )]
        );
        drop(alone);
        take(folder, &mut |line| panic!("there is nothing left: {line}")).unwrap();
    }

    #[test]
    fn a_process_that_was_stopped_is_not_written_down_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let _alone = take(folder, &mut |_| {}).unwrap();
        let record = record_of(folder, "sleeper");
        let address = ports::local(9);
        let mut process = Process::new("sleeper", "sleep".into(), folder.join("log"), address, "/")
            .arguments(["600"])
            .recorded(record.clone());
        process.start().unwrap();
        assert!(record.is_file());
        process.stop().unwrap();
        assert!(!record.exists());
    }
}

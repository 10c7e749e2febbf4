//! Tells the other commands of a project that its sandbox runs, by a file in the user's cache folder: the project's own
//! folder may be a stranger's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::plugin::Digest;
use crate::regular_file;
use crate::whole_file::{Lasting, make_folders, write_whole};

/// The folder in the cache folder.
const FOLDER: &str = "running";
/// The most bytes to read of a file: it holds an address and two paths.
const LONGEST: u64 = 64 * 1024;

/// A sandbox with a watch. It may have ended: its watch holds the lock of the state folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The folder of the project, absolute and without links.
    pub project: PathBuf,
    /// The address of the server, without a trailing slash.
    pub url: String,
    /// The state folder of its watch.
    pub state: PathBuf,
}

/// The file that tells of a sandbox. Dropping this removes it.
#[must_use = "the file goes with this value"]
pub struct Announcement {
    file: PathBuf,
    running: Running,
}

impl Running {
    /// Tells of this sandbox. Others of the same project may run, too.
    pub fn announce(self, cache: &Path) -> io::Result<Announcement> {
        let folder = cache.join(FOLDER);
        make_folders(&folder, Lasting::Written)?;
        let names = format!("{}\n{}", self.project.to_string_lossy(), self.url);
        let file = folder.join(format!("{}.json", Digest::of_text(&names)));
        // A power cut ends the sandbox, too.
        write_whole(&file, &serde_json::to_vec(&self)?, Lasting::Written)?;
        Ok(Announcement { file, running: self })
    }

    /// The sandboxes of this project, the newest first.
    #[must_use]
    pub fn of(cache: &Path, project: &Path) -> Vec<Self> {
        all(cache).filter(|running| running.project == project).collect()
    }
}

/// All sandboxes that were told of, the newest first.
fn all(cache: &Path) -> impl Iterator<Item = Running> {
    let files = fs::read_dir(cache.join(FOLDER)).into_iter().flatten().filter_map(Result::ok);
    let mut files: Vec<_> =
        files.map(|file| (file.metadata().and_then(|data| data.modified()).ok(), file.path())).collect();
    files.sort_unstable_by(|one, other| other.cmp(one));
    files.into_iter().filter_map(|(_, file)| read(&file))
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // Another sandbox may have this address by now.
        if read(&self.file).is_some_and(|running| running == self.running) {
            fs::remove_file(&self.file).ok();
        }
    }
}

fn read(file: &Path) -> Option<Running> {
    serde_json::from_slice(&regular_file::read_no_follow(file, LONGEST).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(project: &str, url: &str) -> Running {
        Running { project: project.into(), url: url.to_owned(), state: "/state".into() }
    }

    #[test]
    fn a_sandbox_is_found_by_its_project_while_it_runs() {
        let cache = tempfile::tempdir().unwrap();
        let (here, there) = (running("/here", "http://h:1"), running("/there", "http://h:2"));
        let told = here.clone().announce(cache.path()).unwrap();
        let _other = there.clone().announce(cache.path()).unwrap();
        assert_eq!(Running::of(cache.path(), Path::new("/here")), [here]);
        assert_eq!(Running::of(cache.path(), Path::new("/there")), [there]);
        assert_eq!(Running::of(cache.path(), Path::new("/elsewhere")), []);
        drop(told);
        assert_eq!(Running::of(cache.path(), Path::new("/here")), []);
    }

    #[test]
    fn the_end_of_one_sandbox_hides_no_other_of_its_project() {
        for is_first_the_earlier in [true, false] {
            let cache = tempfile::tempdir().unwrap();
            let (earlier, later) = (running("/here", "http://h:1"), running("/here", "http://h:2"));
            let first = earlier.clone().announce(cache.path()).unwrap();
            fs::File::open(&first.file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
            let second = later.clone().announce(cache.path()).unwrap();
            let running = || Running::of(cache.path(), Path::new("/here"));
            assert_eq!(running(), [later.clone(), earlier.clone()]);
            let (ends, left) = if is_first_the_earlier { (first, later) } else { (second, earlier) };
            drop(ends);
            assert_eq!(running(), [left]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let cache = tempfile::tempdir().unwrap();
        let told = running("/here", "http://h:1").announce(cache.path()).unwrap();
        let elsewhere = cache.path().join("elsewhere");
        fs::rename(&told.file, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &told.file).unwrap();
        assert_eq!(Running::of(cache.path(), Path::new("/here")), []);
    }
}

//! Which file system a folder is on. Network drives and folders that a virtual machine shares send no events for
//! what others write.

use std::path::{Path, PathBuf};

use crate::paths::canonical;

/// File systems whose files another machine writes, as Linux names them.
const SHARED: [&str; 20] = [
    "9p",
    "afs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "drvfs",
    "fakeowner",
    "gfs2",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "prl_fs",
    "smb3",
    "smbfs",
    "vboxsf",
    "virtiofs",
];
/// FUSE programs of the same kind.
const SHARED_BY_FUSE: [&str; 9] =
    ["ceph", "davfs", "gcsfuse", "glusterfs", "grpcfuse", "rclone", "s3fs", "smbnetfs", "sshfs"];

/// The network file system that a folder is on; `None` for a local one, and where the system does not tell.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the system tells its mounts as a file")]
pub fn network_file_system(folder: &Path) -> Option<String> {
    let real = canonical(folder).ok()?;
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    file_system(&table, &real).filter(|name| is_shared(name)).map(str::to_owned)
}

/// The file system of a path, from the table of mounts. Of two mounts at one place the later covers the earlier.
fn file_system<'t>(table: &'t str, path: &Path) -> Option<&'t str> {
    let mounts = table.lines().filter_map(|line| {
        let (place, system) = line.split_once(" - ")?;
        let place = unescaped(place.split(' ').nth(4)?);
        path.starts_with(&place).then_some((place.components().count(), system.split(' ').next()?))
    });
    mounts.max_by_key(|(depth, _)| *depth).map(|(_, system)| system)
}

/// A path of the table, in which blanks are octal numbers.
fn unescaped(text: &str) -> PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (escape, char)| text.replace(escape, char)).into()
}

fn is_shared(system: &str) -> bool {
    system.strip_prefix("fuse.").map_or(SHARED.contains(&system), |program| SHARED_BY_FUSE.contains(&program))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_and_latest_mount_decides() {
        let table = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /home rw shared:2 master:1 - nfs4 server:/home rw
31 30 0:27 / /home/me/my\\040plugins rw - fuse.sshfs me@host:/plugins rw
32 30 8:2 / /home/me rw - ext4 /dev/sdb1 rw
33 22 0:28 / /mnt rw - cifs //server/share rw
34 22 8:3 / /mnt rw - xfs /dev/sdc1 rw
35 22 0:29 / /home/me/fast rw - fuse.mergerfs pool rw
";
        let system = |path: &str| file_system(table, Path::new(path));
        assert_eq!(system("/srv/plugins"), Some("ext4"));
        assert_eq!(system("/home/you/plugins"), Some("nfs4"));
        assert_eq!(system("/home/me/plugins"), Some("ext4"));
        assert_eq!(system("/home/me/my plugins/pipes"), Some("fuse.sshfs"));
        assert_eq!(system("/mnt/plugins"), Some("xfs"));
        let shared = ["/home/you", "/home/me/my plugins", "/home/me/fast", "/mnt"]
            .map(|path| system(path).is_some_and(is_shared));
        assert_eq!(shared, [true, true, false, false]);
        assert_eq!(file_system("", Path::new("/")), None);
    }

    #[test]
    fn a_temporary_folder_is_local() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(network_file_system(folder.path()), None);
        assert_eq!(network_file_system(&folder.path().join("gone")), None);
    }
}

//! The bare programs: each does only what nobody can leave out, with nothing between it and the kernel. This program is
//! started again as one of them, so that candidate and floor are both processes of their own.

use std::fs;
use std::io::Write as _;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

use crate::wire::{Wire, form};

/// The name of the one that is asked for, and its arguments.
pub(crate) fn asked_for(arguments: &[String]) -> Option<(&str, &[String])> {
    match arguments {
        [floor, name, rest @ ..] if floor == "floor" => Some((name, rest)),
        _ => None,
    }
}

pub(crate) fn run(name: &str, arguments: &[String]) {
    match (name, arguments) {
        ("sender", [folder, address]) => sender(Path::new(folder), address),
        ("requests", [folder, address]) => requests(Path::new(folder), address),
        ("watch", [folder, address]) => watch(Path::new(folder), address),
        ("parser", [folder]) => parser(Path::new(folder)),
        ("nothing", []) => {}
        _ => panic!("no such floor: {name} {arguments:?}"),
    }
}

/// Sends each file of one folder that is saved, on a connection that is there.
fn sender(folder: &Path, address: &str) {
    let mut wire = Wire::to(address.parse().unwrap());
    let inotify = inotify::init(CreateFlags::CLOEXEC).unwrap();
    inotify::add_watch(&inotify, folder, WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO).unwrap();
    ready();
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = inotify::Reader::new(inotify, &mut buffer);
    loop {
        let event = events.next().unwrap();
        debug_assert!(!event.events().contains(ReadFlags::QUEUE_OVERFLOW));
        let Some(name) = event.file_name().and_then(|name| name.to_str().ok()) else { continue };
        let Some(id) = name.strip_suffix(".py") else { continue };
        let text = fs::read_to_string(folder.join(name)).unwrap();
        wire.post(&format!("/api/v1/functions/id/{id}/update"), &form(id, &text));
    }
}

/// Makes the two requests that tell whether everything is as it was, and asks the file system the same.
fn requests(folder: &Path, address: &str) {
    let mut wire = Wire::to(address.parse().unwrap());
    assert_eq!(wire.get("/api/version").0, 200);
    let sizes: u64 = files(folder).iter().map(|file| file.metadata().unwrap().len()).sum();
    assert!(sizes > 0);
    assert_eq!(wire.get("/api/v1/functions/export").0, 200);
}

/// Watches every folder, looks at every file, and asks the server who it is.
fn watch(folder: &Path, address: &str) {
    let mut wire = Wire::to(address.parse().unwrap());
    let inotify = inotify::init(CreateFlags::CLOEXEC).unwrap();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        inotify::add_watch(&inotify, &folder, WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO).unwrap();
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.metadata().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert_eq!(wire.get("/api/version").0, 200);
    ready();
    std::thread::park();
}

/// Reads and parses every Python file, on all cores.
fn parser(folder: &Path) {
    let files: Vec<_> =
        files(folder).into_iter().filter(|file| file.extension().is_some_and(|it| it == "py")).collect();
    let cores = std::thread::available_parallelism().unwrap().get();
    std::thread::scope(|scope| {
        for share in files.chunks(files.len().div_ceil(cores)) {
            scope.spawn(move || {
                for file in share {
                    ruff_python_parser::parse_module(&fs::read_to_string(file).unwrap()).unwrap();
                }
            });
        }
    });
    ready();
    std::thread::park();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files
}

fn ready() {
    std::io::stdout().write_all(b".").unwrap();
    std::io::stdout().flush().unwrap();
}

//! Makes a script of a seed.

use std::fmt::Write as _;

use fastrand::Rng;
use owui_watch::engine::TESTED;

/// The files, and so the ids of what has none in its header.
const FILES: [&str; 4] = ["a", "b", "c", "t"];

/// The texts that are made up so far, so that older ones come again.
struct Author {
    random: Rng,
    versions: u16,
    once: bool,
}

/// The script of a seed.
pub(super) fn script(seed: u64) -> String {
    let mut random = Rng::with_seed(seed);
    let mut script = format!("seed {seed}");
    let mut one_in = |n: u8, words: &str, random: &mut Rng| {
        if random.u8(0..n) == 0 {
            write!(script, " {words}").unwrap();
            true
        } else {
            false
        }
    };
    let old = TESTED[random.usize(..TESTED.len() - 1)];
    one_in(2, old, &mut random);
    one_in(5, "quiet", &mut random);
    let once = one_in(8, "once", &mut random);
    one_in(8, "force", &mut random);
    one_in(25, "dry-run", &mut random);
    one_in(5, "activate", &mut random);
    let _ = one_in(4, "hold", &mut random) || one_in(5, "overwrite", &mut random);
    one_in(3, "adopt-never", &mut random);
    let _ = one_in(4, "delete", &mut random) || one_in(4, "deactivate", &mut random);
    one_in(4, "keep 2", &mut random);
    one_in(20, "only a", &mut random);
    one_in(3, "try", &mut random);
    one_in(4, "block", &mut random);
    let jobs = random.u8(1..5);
    one_in(1, &format!("jobs {jobs}"), &mut random);
    let mut author = Author { random, versions: 0, once };
    // What there was before.
    for file in FILES {
        if author.random.u8(0..3) > 0 {
            let text = author.text(file);
            write!(script, "\n0 write {file} {text}").unwrap();
            if author.random.bool() {
                let theirs = if author.random.bool() { text } else { author.text(file) };
                if theirs.starts_with(file) && theirs.contains(|c: char| c.is_ascii_digit()) {
                    write!(script, "\n0 hand {file} {}", theirs.trim_end_matches(['!', '*', '#', '?', '%'])).unwrap();
                }
            }
        }
    }
    script.push_str("\n200 start");
    for _ in 0..author.random.u32(12..40) {
        let line = author.line();
        let pause = author.pause();
        write!(script, "\n{pause} {line}").unwrap();
    }
    script
}

impl Author {
    fn pause(&mut self) -> u64 {
        match self.random.u8(0..20) {
            0..6 => self.random.u64(0..10),
            6..12 => self.random.u64(0..200),
            12..17 => self.random.u64(0..2000),
            17..19 => self.random.u64(0..12_000),
            _ => self.random.u64(0..60_000),
        }
    }

    fn file(&mut self) -> &'static str {
        FILES[self.random.usize(..FILES.len())]
    }

    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.random.usize(..words.len())]
    }

    /// A text for a file, mostly a new and a good one.
    fn text(&mut self, file: &str) -> String {
        match self.random.u8(0..40) {
            0 => return "broken".to_owned(),
            1 => return "empty".to_owned(),
            2 => return "other".to_owned(),
            _ => {}
        }
        let again = self.versions > 0 && self.random.u8(0..5) == 0;
        let version = if again {
            self.random.u16(1..=self.versions)
        } else {
            self.versions += 1;
            self.versions
        };
        let id = match self.random.u8(0..14) {
            0 => self.file(),
            1 if file != "t" => "-",
            _ => file,
        };
        // An older text is as it was.
        let sign = if again {
            ""
        } else {
            match self.random.u8(0..24) {
                0..4 => "!",
                4 => "*",
                5 => "#",
                6 | 7 if id != "-" => "~",
                8 | 9 => "%",
                _ => "",
            }
        };
        format!("{id}{version}{sign}")
    }

    fn good(&mut self, id: &str) -> String {
        self.versions += 1;
        format!("{id}{}", self.versions)
    }

    fn line(&mut self) -> String {
        match self.random.u8(0..100) {
            0..45 => self.save(),
            45..60 => self.fault(),
            60..70 => self.daemon(),
            70..88 => self.server(),
            _ => self.disk(),
        }
    }

    fn save(&mut self) -> String {
        let file = self.file();
        let text = self.text(file);
        match self.random.u8(0..20) {
            0..8 => format!("write {file} {text}"),
            8..13 => format!("swap {file} {text}"),
            13..15 => {
                let half = match self.random.u8(0..3) {
                    0 => "empty".to_owned(),
                    1 => "broken".to_owned(),
                    _ => format!("{}?", self.good(file)),
                };
                format!("slow {file} {half} {text} {}", self.random.u16(1..900))
            }
            15..17 => {
                let half = self.of(&["empty", "gone", "broken"]);
                format!("blink {file} {half} {text} {}", self.random.u16(1..400))
            }
            17 => format!("delete {file}"),
            18 => format!("move {file} {}", self.file()),
            _ => format!("touch {file}"),
        }
    }

    fn fault(&mut self) -> String {
        let what = self.of(&[
            "before", "before", "after", "after", "after", "late", "refuse", "locked", "busy", "crash", "gateway",
            "page", "shut", "forbid", "unclear", "absent", "no-list", "raced", "raced", "slow", "slow", "no-texts",
            "spoiled",
        ]);
        let call = self.of(&[
            "any", "any", "get", "get", "update", "update", "update", "create", "create", "toggle", "restore",
            "restore", "overview", "connect", "delete",
        ]);
        // Others are faster at what they can do as well.
        let call = if what == "raced" { self.of(&["toggle", "toggle", "get"]) } else { call };
        let call = if matches!(what, "no-texts" | "spoiled") { "overview" } else { call };
        format!("fault {what} {call} {}", if self.random.bool() { 1 } else { self.random.u8(1..5) })
    }

    fn daemon(&mut self) -> String {
        if self.once && self.random.bool() {
            return "start".to_owned();
        }
        match self.random.u8(0..12) {
            0..2 => "rescan".to_owned(),
            2 => "stop".to_owned(),
            3 => "start".to_owned(),
            4..9 => {
                let effects = if self.random.bool() { 0 } else { self.random.u8(1..12) };
                format!("crash {effects} {}", self.random.u16(0..3000))
            }
            9 => self.of(&["full", "free", "free"]).to_owned(),
            _ => self.setting(),
        }
    }

    /// A setting that is changed while the daemon runs.
    fn setting(&mut self) -> String {
        if self.random.u8(0..4) == 0 {
            return format!("settings {}", self.random.u16(1..2000));
        }
        let settings: [&[&str]; 8] = [
            &["reload"],
            &["block on", "block off"],
            &["set on_delete keep", "set on_delete deactivate", "set on_delete delete"],
            &["set adopt ask", "set adopt never"],
            &["set jobs 1", "set jobs 4"],
            &["set activate on", "set activate off"],
            &["set keep 2", "set keep all"],
            &["set remote backup", "set remote hold", "set remote overwrite"],
        ];
        let values = settings[self.random.usize(..settings.len())];
        self.of(values).to_owned()
    }

    fn server(&mut self) -> String {
        let id = self.file();
        match self.random.u8(0..26) {
            24 | 25 => format!("discard {id} {}", self.random.u16(0..300)),
            0..4 => format!("hand {id} {}", self.good(id)),
            4 => format!("hand x {}~", self.good("x")),
            5 => format!("rename {id}"),
            6 => format!("{} {id}", self.of(&["icon", "icon", "global", "attach"])),
            7..10 => format!("toggle {id}"),
            10..13 => format!("drop {id}"),
            13 => "wipe".to_owned(),
            14 | 15 => format!("down {}", self.random.u32(10..20_000)),
            16 => format!("page {}", self.random.u32(10..5000)),
            21 if self.random.u8(0..3) == 0 => {
                // What is about to be sent to the newer one does not meet the older one.
                format!("downgrade {} {}", self.of(&TESTED[..TESTED.len() - 1]), self.random.u32(1000..20_000))
            }
            21 => format!("upgrade {} {}", self.of(&TESTED[1..]), self.random.u32(10..20_000)),
            22 | 23 => format!("off {}", self.random.u32(10..8000)),
            20 => format!("fail {}", self.random.u32(10..8000)),
            17 => format!("key {}", self.of(&["bad", "good", "good"])),
            _ => {
                let version = self.random.u16(1..=self.versions.max(1));
                format!("rollback {id} {id}{version} {}", self.random.u16(0..100))
            }
        }
    }

    fn disk(&mut self) -> String {
        match self.random.u8(0..10) {
            0..3 => format!("git {}", self.random.u16(10..1500)),
            3..6 => format!("deaf {}", self.random.u16(1..1500)),
            6 => "unmount".to_owned(),
            7 => "mount".to_owned(),
            _ => format!("delete {}", self.file()),
        }
    }
}

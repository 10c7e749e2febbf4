//! What holds whatever happens: the nine invariants of `src/lib.rs`, and what follows from them. Each is looked at where
//! it could be broken: at a request, at an answer, at a notice, and when everything has come to rest.
//!
//! Long because the promises read the same record of what was seen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use owui_watch::engine::deploy::{Adopt, Call, Form, OnRemoteEdit, Reply, Row};
use owui_watch::engine::files::Loaded;
use owui_watch::engine::ledger::{LastAttempt, Ledger, RefusalKind, Rollback};
use owui_watch::engine::plan::Why;
use owui_watch::engine::switch::CONTESTED;
use owui_watch::engine::{Code, Event, OnDelete};
use owui_watch::notice::{KeepReason, Notice, NoticeKind, WaitReason};
use owui_watch::plugin::{Digest, Key, Kind, Parsed};

use super::server::{Held, Writer};
use super::text::{Sort, Text, file_of, key_of};
use super::wire::key_in;
use super::world::{World, ms};
use crate::support::call_word::CallWord as _;

/// What was promised and is not so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) promise: &'static str,
    pub(super) detail: String,
}

impl Broken {
    pub(super) fn new(promise: &'static str, detail: String) -> Self {
        Self { promise, detail }
    }
}

fn broken(promise: &'static str, detail: String) -> Result<(), Broken> {
    Err(Broken::new(promise, detail))
}

/// What the server says when it fails.
pub(super) const CRASH: &str = "Internal Server Error";

/// What a text is given up with after its last try: the server's words, or why its answer is missing. A function that went
/// off meanwhile shows that the server failed at the text, whatever became of its answer.
const GIVEN_UP: [&str; 6] =
    [CRASH, "no answer", "the connection was closed", "timed out", "502 Bad Gateway", "a web page"];

/// How often the server may fail at a text before that counts as a refusal.
const MOST_CRASHES: u32 = 4;

/// A server that goes away so soon after it failed at a text may have gone because of it.
const AFTERMATH: Duration = ms(10_000);

/// Why a text that was sent is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    NoAnswer,
    Crash,
}

/// What a file holds for less than this may never be read: it is read when it has been quiet for a while, and later still
/// where it was deployed just now.
const UNSEEN: Duration = ms(300);

/// How long an answer that was asked for ahead may lie about.
const AHEAD: Duration = ms(50);

/// What was seen so far, as far as the promises are about it.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "separate facts about what was told and done")]
pub(super) struct Promises {
    /// What the files have said of each id, oldest first, and how far the server has come.
    history: BTreeMap<Key, Vec<Text>>,
    reached: BTreeMap<Key, usize>,
    /// Since when several files, or none, claim an id.
    contested: BTreeMap<Key, Duration>,
    gone: BTreeMap<Key, Duration>,
    /// When a file came back that claims an id, and since when none had.
    back: BTreeMap<Key, (Duration, Duration)>,
    /// What the running daemon has last been told of each row.
    read: BTreeMap<Key, Held>,
    /// Which texts are ours.
    pub(super) ours: BTreeSet<(Key, Digest)>,
    /// What the daemon that runs has deployed, or found as it was to be.
    deployed: BTreeSet<Key>,
    /// What the daemon that runs knows to be refused, and by which version of the server.
    refused: BTreeMap<Key, Digest>,
    pub(super) version: Option<String>,
    /// Texts of which a refusal may have been mistaken, and since when: until the server holds them, or refuses them anew.
    doubtful: BTreeMap<(Key, Digest), Duration>,
    /// When a switch was last flipped by others in a way that looks like a refusal.
    flipped: BTreeMap<Key, Duration>,
    /// When the row was as it was read last, and which text was sent last.
    read_at: BTreeMap<Key, Duration>,
    /// Which rows the server kept versions of when they were read last.
    versioned: BTreeSet<Key>,
    /// When the server last came to the question which functions models use.
    uses_shown: Option<Duration>,
    sent: BTreeMap<Key, Digest>,
    /// What was sent, and is looked for since no answer came, or since the server failed at it.
    lost: BTreeMap<Key, (Digest, Cause)>,
    /// Whose deploys are forced, until one succeeds.
    insisted: BTreeSet<Key>,
    /// Whose deploys have begun, and not come to an end that was told.
    talking: BTreeSet<Key>,
    /// Whose texts have left since their deploys began.
    left: BTreeSet<Key>,
    /// At which texts the server has failed, how often in a row, and how long each is suspected of having ended it.
    crashed: BTreeMap<Key, (Digest, u32, Duration)>,
    /// Of which the user was told that the server has failed at it too often.
    given_up: BTreeMap<Key, Digest>,
    /// What was not found then, and how often it was so since something else was known of the plugin.
    unanswered: BTreeMap<Key, (Digest, u32)>,
    /// What has taken the server's answer away twice, and of which the user was told last that it is not sent any more.
    silenced: BTreeSet<(Key, Digest)>,
    /// Files that were saved since their text was refused, in words that are not about a line of it.
    saved_again: BTreeSet<Key>,
    told_silenced: BTreeMap<Key, Digest>,
    /// How the daemon that runs was last told that each switch stands; not there where nobody knows.
    switches: BTreeMap<Key, bool>,
    /// How often the conversation has flipped it, and the text that it has loaded again before.
    pub(super) flips: BTreeMap<Key, u32>,
    restored: BTreeMap<Key, Text>,
    /// How long the server has just asked to be left alone, in answer to what asks how it is.
    wish: Duration,
    /// How long it has asked for in answer to anything.
    any_wish: Duration,
    /// Somebody has asked the daemon to end.
    stops: bool,
    /// It is uncertain what the settings say.
    is_held: bool,
    /// Others are to hold.
    is_replaced: bool,
    /// The conversations that have changed something, or are about to.
    begun: BTreeSet<Key>,
    /// The files that were read last while that was so.
    uncertain: BTreeSet<char>,
    /// When each row was last changed by somebody else, and last looked at by the daemon that runs.
    pub(super) touched: BTreeMap<Key, Duration>,
    looked: BTreeMap<Key, Duration>,
    /// When each table was last shown as it is, and when to learn of all of it.
    shown: BTreeMap<Kind, Duration>,
    listed: BTreeMap<Kind, Duration>,
    /// When that list was asked for: of what was under way then it tells nothing.
    list_asked: BTreeMap<Kind, Duration>,
    /// When it came.
    list_came: BTreeMap<Kind, Duration>,
    /// What the last look at everything found of each kind, and what was not found by its id since its deploy began.
    lists: BTreeMap<Kind, BTreeSet<String>>,
    not_found: BTreeSet<Key>,
    /// What was asked ahead and answered: when that came, and of when it is, if it is true.
    ahead: BTreeMap<Key, (Duration, Option<Duration>)>,
    /// When the last deploy of each plugin began, and when it came to its last answer.
    began: BTreeMap<Key, Duration>,
    /// When the last deploy began that the server took: it has shown the daemon the row.
    rows_shown: BTreeMap<Key, Duration>,
    ended: BTreeMap<Key, Duration>,
    /// What each file was last read to be.
    pub(super) loaded: BTreeMap<char, Option<Digest>>,
    /// The rollbacks that the daemon knows of, and since when.
    rollbacks: BTreeMap<Key, Rollback>,
    /// Of which the user was told that they failed.
    failed: BTreeSet<Key>,
    /// Of which the user was told last that it may be there under another id.
    told_twin: BTreeSet<Key>,
    /// What the server has denied since everything is well, by an answer from before.
    undeletable: BTreeSet<Key>,
    /// Texts that were sent, and could not be written down before a crash.
    pub(super) unwritten: BTreeSet<(Key, Digest)>,
    first_pass: bool,
    /// When the last scan was over.
    scanned: Duration,
    pub(super) started: Duration,
    /// How often the server has been looked at in vain, and until when it is to be left alone.
    attempts: u32,
    quiet_until: Duration,
    /// When it was looked at in vain the first and the last time of this outage.
    away: Option<Duration>,
    tried: Duration,
    /// How many requests there were that change something.
    pub(super) changes: u32,
}

impl Promises {
    /// `deaf_until`: what happened before was not heard.
    pub(super) fn remember(&mut self, key: &Key, texts: &[Text], deaf_until: Duration, now: Duration) {
        self.history.entry(key.clone()).or_default().extend(texts);
        if texts.len() > 1 {
            self.contested.entry(key.clone()).or_insert(now);
        } else {
            self.contested.remove(key);
        }
        // Half a save is not read.
        if texts.iter().all(|text| text.sort == Sort::Half) {
            // What was back for a moment only, nobody has seen.
            let before = self.back.remove(key).filter(|(back, _)| now < deaf_until.max(*back) + UNSEEN);
            self.gone.entry(key.clone()).or_insert(before.map_or(now, |(_, gone)| gone));
        } else if let Some(gone) = self.gone.remove(key) {
            self.back.insert(key.clone(), (now, gone));
        }
    }

    pub(super) fn on_start(&mut self, ledger: &Ledger, rollbacks: BTreeMap<Key, Rollback>, now: Duration) {
        let is_deployed = |key: &Key| ledger.get(key).is_some_and(|record| record.deployed.is_some());
        self.deployed = ['a', 'b', 'c', 't'].map(key_of).into_iter().filter(is_deployed).collect();
        self.rollbacks = rollbacks;
        self.first_pass = true;
        self.started = now;
        self.told_silenced.clear();
    }

    pub(super) fn on_end(&mut self) {
        self.read.clear();
        self.switches.clear();
        self.flips.clear();
        self.restored.clear();
        (self.stops, self.is_held, self.is_replaced) = (false, false, false);
        self.begun.clear();
        self.uncertain.clear();
        self.refused.clear();
        self.version = None;
        self.looked.clear();
        self.shown.clear();
        self.listed.clear();
        self.list_asked.clear();
        self.list_came.clear();
        self.lists.clear();
        self.not_found.clear();
        self.ahead.clear();
        self.loaded.clear();
        self.failed.clear();
        self.told_twin.clear();
        self.lost.clear();
        self.unanswered.clear();
        self.crashed.clear();
        self.left.clear();
        self.talking.clear();
        self.insisted.clear();
        self.given_up.clear();
        (self.attempts, self.away) = (0, None);
        self.quiet_until = Duration::ZERO;
    }

    /// A conversation changes something, or is about to.
    pub(super) fn begin(&mut self, key: &Key) -> Result<(), Broken> {
        if self.begun.insert(key.clone()) && (self.is_held || self.is_replaced) {
            return broken("2: nothing goes to the server of settings that no longer hold", format!("{key}"));
        }
        Ok(())
    }

    /// The ledger was written: what it has as ours is known to be so from now on.
    pub(super) fn on_ledger(&mut self, ledger: &Ledger) {
        self.unwritten.retain(|(key, digest)| !is_ours(ledger, key, *digest));
    }

    /// Another engine goes on, which knows what the one before had in mind.
    pub(super) fn on_replaced(&mut self, rollbacks: BTreeMap<Key, Rollback>, in_another_way: bool) {
        self.rollbacks = rollbacks;
        self.first_pass = true;
        (self.quiet_until, self.is_held, self.is_replaced) = (Duration::ZERO, false, false);
        self.uncertain.clear();
        if in_another_way {
            (self.attempts, self.away) = (0, None);
        }
        self.version = None;
        self.loaded.clear();
        self.listed.clear();
        self.list_asked.clear();
        self.list_came.clear();
        self.lists.clear();
        self.ahead.clear();
        self.insisted.clear();
        self.talking.clear();
        self.left.clear();
    }

    pub(super) fn on_event(&mut self, event: &Event, now: Duration) {
        match event {
            // Who asks for a rescan wants to know now.
            Event::Rescan => self.quiet_until = Duration::ZERO,
            Event::Stop => self.stops = true,
            Event::Hold(is_held) => self.is_held = *is_held,
            Event::Replace => self.is_replaced = true,
            Event::Scanned(scan) => {
                self.scanned = now;
                // A file that was saved may be read by a scan.
                self.quiet_until = self.quiet_until.min(self.tried + ms(1000));
                scan.files.iter().for_each(|(path, loaded)| self.on_loaded(file_of(path), loaded));
            }
            Event::Loaded(path, loaded) => {
                // Who saves does not want to wait for the end of a long pause.
                self.quiet_until = self.quiet_until.min(self.tried + ms(1000));
                self.on_loaded(file_of(path), loaded);
            }
            Event::RolledBack(rollbacks) => self.rollbacks.clone_from(rollbacks),
            Event::Deleted(key, _) => {
                self.deployed.remove(key);
                self.refused.remove(key);
                if let Some(list) = self.lists.get_mut(&key.kind) {
                    list.remove(key.id.as_str());
                }
            }
            _ => {}
        }
    }

    fn on_loaded(&mut self, file: char, loaded: &Loaded) {
        if self.is_held {
            self.uncertain.insert(file);
        } else if !matches!(loaded, Loaded::Unsettled | Loaded::Missing) {
            self.uncertain.remove(&file);
        }
        match loaded {
            Loaded::Parsed(Parsed::Plugin(plugin)) => drop(self.loaded.insert(file, Some(plugin.digest))),
            // It may be half a save.
            Loaded::Parsed(Parsed::Invalid(_)) => {}
            Loaded::Parsed(_) | Loaded::SameFile(_) => drop(self.loaded.insert(file, None)),
            Loaded::Missing | Loaded::Unsettled => {}
        }
    }

    pub(super) fn on_rollback_ended(&mut self, key: &Key) {
        self.rollbacks.remove(key);
    }

    /// The server has failed at a text.
    fn on_crashed(&mut self, key: &Key, digest: Digest, now: Duration) {
        let before = self.crashed.get(key).filter(|(other, ..)| *other == digest);
        let times = before.map_or(0, |(_, times, _)| *times) + 1;
        self.crashed.insert(key.clone(), (digest, times, now + AFTERMATH));
    }

    /// There is no connection. What the server failed at just before may be why.
    fn on_no_connection(&mut self, flying: &BTreeSet<Key>, now: Duration) {
        let has_left = |key: &Key| (flying.contains(key) || self.talking.contains(key)) && self.left.contains(key);
        let is_suspect = |(key, (_, _, last)): &(&Key, &(Digest, u32, Duration))| now < *last && !has_left(key);
        let suspects: Vec<_> =
            self.crashed.iter().filter(is_suspect).map(|(key, (digest, ..))| (key.clone(), *digest)).collect();
        for (key, digest) in suspects {
            if let Some((_, _, suspect_until)) = self.crashed.get_mut(&key) {
                *suspect_until = Duration::ZERO;
            }
            if self.on_unanswered(&key, digest) {
                self.crashed.remove(&key);
            }
        }
    }

    /// The server is away: what it failed at is tried as often as the first time.
    fn on_away(&mut self) {
        self.crashed.clear();
        for (key, digest) in std::mem::take(&mut self.given_up) {
            if self.refused.get(&key) == Some(&digest) && self.told_silenced.get(&key) != Some(&digest) {
                self.refused.remove(&key);
            }
        }
    }

    /// What takes the server's answer away a second time is not sent any more. Answers whether that is so.
    fn on_unanswered(&mut self, key: &Key, digest: Digest) -> bool {
        let (last, times) = self.unanswered.entry(key.clone()).or_insert((digest, 0));
        if *last != digest {
            (*last, *times) = (digest, 0);
        }
        *times += 1;
        if *times > 1 {
            self.refused.insert(key.clone(), digest);
            self.silenced.insert((key.clone(), digest));
        }
        *times > 1
    }

    /// The server holds it.
    fn is_there(&mut self, key: &Key) {
        self.refused.remove(key);
        self.deployed.insert(key.clone());
        self.unanswered.remove(key);
        self.crashed.remove(key);
        self.insisted.remove(key);
    }

    /// Somebody has saved a file, if only as it was.
    pub(super) fn save(&mut self, key: Key) {
        self.saved_again.insert(key);
    }

    /// A row was looked at; `true_at`, where what was seen is so. That is no news to anybody yet where it was asked ahead of
    /// a conversation that has not begun.
    fn look(&mut self, key: &Key, true_at: Option<Duration>, heard: Heard, now: Duration) {
        let begun = |asked: Duration| self.began.get(key).is_some_and(|began| *began >= asked);
        if heard.ahead.is_none_or(begun) {
            self.looked.extend(true_at.map(|at| (key.clone(), at)));
        } else {
            self.ahead.insert(key.clone(), (now, true_at));
        }
    }

    /// Whether a conversation may go by an answer that came before it began.
    pub(super) fn is_answered_for(&self, key: &Key, now: Duration) -> bool {
        self.ahead.get(key).is_some_and(|(came, _)| now <= *came + AHEAD)
    }

    /// The server may refuse this text, or seem to, for another reason than what it says.
    pub(super) fn doubt(&mut self, key: &Key, digest: Digest, now: Duration) {
        self.doubtful.insert((key.clone(), digest), now);
    }

    /// There is no doubt any more about a text that was doubted before then.
    fn trust(&mut self, key: &Key, digest: Option<Digest>, before: Duration) {
        if let Some(digest) = digest {
            self.doubtful.retain(|(doubted, text), at| doubted != key || *text != digest || *at >= before);
        }
    }

    /// Somebody has flipped a switch in the middle of a conversation: that looks like a refusal of what was sent in it, or
    /// of what is sent before the row is read again.
    pub(super) fn on_flipped(&mut self, key: &Key, now: Duration) {
        self.flipped.insert(key.clone(), now);
        if let Some(digest) = self.sent.get(key).copied().filter(|_| self.left.contains(key)) {
            self.doubt(key, digest, now);
        }
    }
}

/// Whether a ledger knows a text as ours.
pub(super) fn is_ours(ledger: &Ledger, key: &Key, digest: Digest) -> bool {
    ledger.get(key).is_some_and(|record| record.ours().any(|ours| ours == digest))
}

pub(super) fn selected(world: &World, key: &Key) -> bool {
    let only = &world.setup.policy.only;
    only.is_empty() || only.iter().any(|name| name == key.id.as_str())
}

fn forced(world: &World) -> bool {
    world.setup.policy.deploy.force && world.promises.first_pass
}

/// What the user is told is true, and what follows from it is kept.
pub(super) fn on_notice(world: &mut World, notice: &Notice) -> Result<(), Broken> {
    let now = world.now;
    if let Some(key) = &notice.about.key {
        return on_notice_of(world, key, notice);
    }
    if matches!(
        notice.what,
        NoticeKind::Unreachable { .. }
            | NoticeKind::StillUnreachable { .. }
            | NoticeKind::Foreign { .. }
            | NoticeKind::NotAllowed { .. }
    ) {
        world.look += 1;
        world.looks = false;
    }
    let promises = &mut world.promises;
    let n_files = promises.loaded.values().flatten().count();
    match &notice.what {
        // It may take what the one before refused. What that one left without an answer may end before this is told.
        NoticeKind::Connected { version, .. }
            if promises.version.replace(version.clone()).is_some_and(|before| before != *version) =>
        {
            promises.refused.clear();
            Ok(())
        }
        NoticeKind::Unreachable { next, waiting, .. } => {
            promises.on_away();
            if promises.attempts > 0 {
                return broken("7: that the server is away is told once", String::new());
            }
            if *waiting > n_files {
                return broken("8: more waits than there is", format!("{waiting}"));
            }
            promises.attempts = 1;
            promises.away.get_or_insert(now);
            promises.tried = now;
            promises.quiet_until = now + *next;
            patient(1, *next, promises.wish, patience_left(world))
        }
        // A single pass ends with it, once what is in progress is over.
        NoticeKind::Foreign { .. } | NoticeKind::NotAllowed { .. } if world.setup.policy.once.is_some() => {
            promises.away.get_or_insert(now);
            Ok(())
        }
        NoticeKind::Foreign { .. } if world.setup.policy.once.is_none() => {
            promises.on_away();
            promises.attempts += 1;
            Ok(())
        }
        NoticeKind::StillUnreachable { attempt, next, .. } => {
            promises.on_away();
            promises.attempts += 1;
            promises.tried = now;
            promises.quiet_until = now + *next;
            if *attempt != promises.attempts {
                let detail = format!("try {attempt} is number {}", promises.attempts);
                return broken("7: a server that fails is asked less and less", detail);
            }
            patient(*attempt, *next, promises.wish, patience_left(world))
        }
        NoticeKind::GaveUp { .. } => {
            promises.attempts += 1;
            promises.away.get_or_insert(now);
            let least = promises.any_wish.max(ms(375));
            match patience_left(world) {
                Some(left) if left >= least => {
                    broken("7: a single pass tries for as long as it may", format!("{left:?}"))
                }
                _ => Ok(()),
            }
        }
        NoticeKind::Back { waiting, .. } | NoticeKind::AccessGranted { waiting } => {
            (promises.attempts, promises.away) = (0, None);
            promises.quiet_until = Duration::ZERO;
            if *waiting > n_files {
                return broken("8: more waits than there is", format!("{waiting}"));
            }
            Ok(())
        }
        NoticeKind::Summary { .. } => {
            promises.first_pass = false;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// For how long a single pass still tries.
fn patience_left(world: &World) -> Option<Duration> {
    world
        .setup
        .policy
        .once
        .map(|patience| (world.promises.away.unwrap_or(world.now) + patience).saturating_sub(world.now))
}

fn patient(attempt: u32, next: Duration, wish: Duration, left: Option<Duration>) -> Result<(), Broken> {
    let least = ms(375 << attempt.saturating_sub(1).min(10)).min(ms(22_500)).max(wish.min(ms(30_000)));
    // The last try of a single pass is made at its end.
    let least = least.min(left.unwrap_or(least));
    if next < least {
        return broken("7: a server that fails is asked less and less", format!("try {attempt}: {next:?}"));
    }
    Ok(())
}

fn on_notice_of(world: &mut World, key: &Key, notice: &Notice) -> Result<(), Broken> {
    let (now, digest) = (world.now, notice.about.digest);
    let busy = world.is_busy(key);
    let sends = |call: &Call| match call {
        Call::Create(sent, form) | Call::Update(sent, form) => sent == key && form.file.is_some(),
        _ => false,
    };
    let flips = world.promises.flips.get(key).copied().unwrap_or_default();
    let switched = world.promises.switches.get(key).copied();
    match &notice.what {
        NoticeKind::Sending { why } => on_sending(world, key, notice, *why)?,
        NoticeKind::Unchanged { .. } if world.live().any(|flight| sends(&flight.call)) => {
            return broken("what is told of a text is known", format!("{key}"));
        }
        // Whoever keeps switching it is left to it.
        NoticeKind::WentOff { cause, .. } | NoticeKind::NotSwitchedOn { cause, .. } if cause == CONTESTED => {
            if flips < 2 {
                return broken("9: a flip that was one too many is flipped back", format!("{key}"));
            }
            if let Some(held) = world.server.rows.get_mut(key) {
                held.wanted_active = None;
            }
        }
        NoticeKind::Unused => is_unused(world, key)?,
        // Settings that hold no more leave nothing behind.
        NoticeKind::Spared { why: KeepReason::Off } if !key.kind.has_switch() => {
            return broken("what has no switch is not said to be off", format!("{key}"));
        }
        NoticeKind::Waiting { reason: WaitReason::BrokenFile, .. }
            if world.setup.policy.on_delete == OnDelete::Keep =>
        {
            return broken("what is to be kept waits for no broken file", format!("{key}"));
        }
        NoticeKind::Deactivated if switched != Some(false) => {
            return broken("9: what is told of a switch is so", format!("{key}: {switched:?}"));
        }
        NoticeKind::Deactivated => {
            if let Some(held) = world.server.rows.get_mut(key) {
                held.wanted_active = (!busy).then_some(false);
            }
        }
        _ => {}
    }
    let promises = &mut world.promises;
    if ends_a_deploy(&notice.what) {
        promises.left.remove(key);
        promises.talking.remove(key);
    }
    match &notice.what {
        NoticeKind::Created { .. } | NoticeKind::Updated { .. } | NoticeKind::Unchanged { .. } => {
            promises.is_there(key);
            promises.trust(key, digest, Duration::MAX);
            if !matches!(notice.what, NoticeKind::Unchanged { .. }) {
                let began = promises.began.get(key).copied();
                promises.rows_shown.extend(began.map(|began| (key.clone(), began)));
            }
        }
        // Nothing but the server's own words was behind that one.
        NoticeKind::Refused { .. } => {
            promises.trust(key, digest, promises.began.get(key).copied().unwrap_or_default());
            // The server answered to this text: an earlier one has not ended it.
            promises.crashed.retain(|crashed, (text, ..)| crashed != key || Some(*text) == digest);
        }
        NoticeKind::Deleted { .. } => {
            promises.deployed.remove(key);
            promises.refused.remove(key);
        }
        _ => {}
    }
    if matches!(notice.what, NoticeKind::Unchanged { .. }) {
        promises.ours.extend(digest.map(|digest| (key.clone(), digest)));
    }
    if let (NoticeKind::Refused { refusal, .. } | NoticeKind::RefusedBefore { refusal, .. }, Some(digest)) =
        (&notice.what, digest)
        && refusal.kind == RefusalKind::NoAnswer
    {
        if !promises.silenced.contains(&(key.clone(), digest)) {
            return broken("5: what is not sent any more has taken two answers away", format!("{key}"));
        }
        promises.told_silenced.insert(key.clone(), digest);
    }
    on_failure(promises, key, notice, now)?;
    match &notice.what {
        NoticeKind::Refused { .. } | NoticeKind::RefusedBefore { .. } => {
            promises.refused.extend(digest.map(|digest| (key.clone(), digest)));
        }
        NoticeKind::Failed { .. } => drop(promises.failed.insert(key.clone())),
        NoticeKind::Duplicate { .. } => drop(promises.told_twin.insert(key.clone())),
        NoticeKind::Sending { .. } | NoticeKind::Unchanged { .. } => {
            promises.failed.remove(key);
            promises.told_twin.remove(key);
            promises.told_silenced.remove(key);
        }
        _ => {}
    }
    Ok(())
}

/// Whether a deploy is over with it.
fn ends_a_deploy(what: &NoticeKind) -> bool {
    matches!(
        what,
        NoticeKind::Created { .. }
            | NoticeKind::Updated { .. }
            | NoticeKind::Refused { .. }
            | NoticeKind::Crashed { .. }
            | NoticeKind::Failed { .. }
            | NoticeKind::Waiting { .. }
            | NoticeKind::RemoteEdit { .. }
            | NoticeKind::Duplicate { .. }
            | NoticeKind::Unchanged { .. }
    )
}

/// Counts how often the server has failed at a text; only then is it given up.
fn on_failure(promises: &mut Promises, key: &Key, notice: &Notice, now: Duration) -> Result<(), Broken> {
    let digest = notice.about.digest;
    match &notice.what {
        NoticeKind::Refused { refusal, .. } | NoticeKind::RefusedBefore { refusal, .. }
            if refusal.kind == RefusalKind::Said && GIVEN_UP.contains(&refusal.words.as_str()) =>
        {
            if let (NoticeKind::Refused { .. }, Some(digest)) = (&notice.what, digest) {
                promises.on_crashed(key, digest, now);
            }
            let crashed = promises.crashed.get(key).filter(|(crashed, ..)| Some(*crashed) == digest);
            if crashed.is_none_or(|(_, times, _)| *times < MOST_CRASHES) {
                return broken("what the server failed at is sent again", format!("{key}: {crashed:?}"));
            }
            promises.given_up.extend(digest.map(|digest| (key.clone(), digest)));
        }
        NoticeKind::Crashed { .. } => digest.into_iter().for_each(|digest| promises.on_crashed(key, digest, now)),
        NoticeKind::Sending { .. } | NoticeKind::Unchanged { .. } => drop(promises.given_up.remove(key)),
        _ => {}
    }
    Ok(())
}

/// That no model uses a function is told where it is so.
fn is_unused(world: &World, key: &Key) -> Result<(), Broken> {
    let promises = &world.promises;
    let Some(held) = world.server.rows.get(key) else { return Ok(()) };
    let is_attached = held.attached.is_some_and(|since| promises.uses_shown.is_none_or(|shown| since < shown));
    let is_global = held.global.is_some_and(|since| promises.rows_shown.get(key).is_some_and(|shown| since < *shown));
    if is_attached || is_global {
        return broken("what is told of a function's use is so", format!("{key}"));
    }
    Ok(())
}

fn on_sending(world: &mut World, key: &Key, notice: &Notice, why: Why) -> Result<(), Broken> {
    let promises = &world.promises;
    let digest = notice.about.digest;
    // What failed is forced once more.
    if why == Why::Forced && !forced(world) && !promises.insisted.contains(key) {
        return broken("what is forced is so in the first pass", format!("{key}"));
    }
    if promises.stops {
        return broken("nothing begins when somebody has said stop", format!("{key}"));
    }
    if promises.is_held {
        return broken("2: nothing goes to the server of settings that no longer hold", format!("{key}"));
    }
    if notice.about.path.as_ref().is_some_and(|path| promises.uncertain.contains(&file_of(path))) {
        return broken("2: a text for settings that came and went is read again", format!("{key}"));
    }
    if world.now < promises.quiet_until {
        return broken("7: a server that fails is left alone", format!("{key}"));
    }
    if !promises.loaded.values().any(|loaded| *loaded == digest) {
        return broken("2: what begins is the newest text that was read", format!("{key}"));
    }
    let rolled_back = promises.rollbacks.get(key).is_some_and(|rollback| rollback.local == digest);
    // A stub in its place is not what was put back.
    if rolled_back && !matches!(why, Why::Forced | Why::StubLeft) {
        return broken("what was rolled back stays until the file changes", format!("{key}"));
    }
    let watches = world.setup.policy.once.is_none();
    // Half a save is not read, and whoever begins while there is one does not know what it claims.
    let is_half = |file: &char| world.disk[file].text.sort == Sort::Half;
    if let Some(since) = promises.contested.get(key)
        && !world.claimants(key).iter().any(is_half)
        && watches
        && world.now > *since + ms(1000)
        // What changes during a scan is read after it.
        && world.now > promises.scanned + ms(200)
        && world.hears_since(*since)
        // One more save of what was just deployed is awaited for 150 ms.
        && !world.changed_since(key, world.now.saturating_sub(unsure(world).max(ms(200))))
    {
        return broken("of two files with one id none is deployed", format!("{key}"));
    }
    if !selected(world, key) {
        return broken("only what was asked for is deployed", format!("{key}"));
    }
    let promises = &mut world.promises;
    promises.began.insert(key.clone(), world.now);
    promises.left.remove(key);
    promises.talking.insert(key.clone());
    promises.begun.remove(key);
    promises.begun.remove(key);
    if why == Why::Forced {
        promises.insisted.insert(key.clone());
    } else {
        promises.insisted.remove(key);
    }
    if let Some((_, true_at)) = promises.ahead.remove(key).filter(|(came, _)| world.now <= *came + AHEAD) {
        promises.looked.extend(true_at.map(|at| (key.clone(), at)));
    } else {
        promises.not_found.remove(key);
        promises.read.remove(key);
    }
    promises.flips.remove(key);
    promises.restored.remove(key);
    let again = matches!(why, Why::Retry | Why::StubLeft | Why::ChangedOnServer | Why::MissingOnServer);
    if (again && promises.saved_again.remove(key))
        || why == Why::Forced
        || promises.refused.get(key).is_some_and(|refused| Some(*refused) != digest)
    {
        promises.refused.remove(key);
    }
    Ok(())
}

/// Looks at a request that is about to leave.
pub(super) fn on_call(world: &mut World, call: &Call) -> Result<(), Broken> {
    let changes = !matches!(call, Call::Connect | Call::Overview(_) | Call::Get(_));
    if changes && world.setup.policy.deploy.dry_run {
        return broken("a dry run changes nothing", call.word().to_owned());
    }
    world.promises.changes += u32::from(changes);
    if *call == Call::Connect && world.now < world.promises.quiet_until {
        return broken("7: a server that fails is left alone", "connect".to_owned());
    }
    if let Some(key) = key_in(call).filter(|_| !matches!(call, Call::Prune(..))) {
        let flying: Vec<_> = world.flying().collect();
        if flying.contains(&key) {
            return broken("3: never two conversations about one plugin", format!("{key}"));
        }
        if flying.len() >= world.setup.policy.concurrency.get() {
            return broken("3: never more than so many conversations", format!("{key}"));
        }
    }
    match call {
        Call::Create(key, form) | Call::Update(key, form) => {
            on_write(world, key, form, matches!(call, Call::Create(..)))
        }
        Call::Delete(key) => on_delete(world, key),
        Call::Prune(key, version) => on_prune(world, key, version),
        Call::Toggle(id) => {
            let key = Key { kind: Kind::Function, id: id.clone() };
            // That its file is back, the daemon may not know yet.
            let lately = world.now.saturating_sub(unsure(world));
            let is_gone =
                world.claimants(&key).is_empty() || !world.hears_since(lately) || world.changed_since(&key, lately);
            let leaves = world.setup.policy.on_delete == OnDelete::Deactivate && is_gone;
            let seen = world.promises.switches.get(&key).copied();
            let activate = world.setup.policy.deploy.activate_new;
            // A switch is flipped to make a function as it is to be, and never unseen.
            let as_wanted = match world.setup.policy.on_delete {
                OnDelete::Deactivate if leaves => !world.is_repaired(&key) && !activate && seen == Some(false),
                _ => seen == Some(true),
            };
            let promises = &world.promises;
            let text = promises.read.get(&key).map(|read| read.text);
            if promises.restored.get(&key).is_some_and(|restored| text != Some(*restored)) {
                return broken("9: who writes another text is left to switch it", format!("{key}"));
            }
            if seen.is_none() || as_wanted {
                return broken("9: no switch is flipped that is as it is to be", format!("{key}: {seen:?}"));
            }
            if leaves && let Some(held) = world.server.rows.get_mut(&key) {
                held.wanted_active = None;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn on_write(world: &mut World, key: &Key, form: &Form, creates: bool) -> Result<(), Broken> {
    let Some(text) = Text::of(&form.content) else {
        return broken("4: only what stands in a file is sent", format!("{key}: {}", form.content));
    };
    // What is created replaces nothing.
    if creates {
        world.promises.read.remove(key);
        world.promises.restored.remove(key);
    }
    let read = world.promises.read.get(key).cloned();
    if text.sort == Sort::Stub && creates {
        return Ok(());
    }
    if creates {
        is_nowhere(world, key)?;
    }
    let Some(file) = form.file.as_ref().map(|path| file_of(path)) else {
        // The old text is loaded once more.
        world.promises.flips.remove(key);
        world.promises.restored.insert(key.clone(), text);
        return if read.is_some_and(|read| {
            read.text == text && read.name == form.name && read.icon == form.meta.contains_key("icon")
        }) {
            Ok(())
        } else {
            broken("what is put back is what was there", format!("{key}: {text}"))
        };
    };
    if text.claim(file).as_ref() != Some(key) || *text.made().source != *form.content {
        return broken("4: only what stands in a file is sent", format!("{key}: {text}"));
    }
    if text.sort == Sort::Faulty && world.blocks() && !world.promises.insisted.contains(key) {
        return broken("errors of `check` hold a deploy back", format!("{key}: {text}"));
    }
    in_order(world, key, text)?;
    is_sent_alone(world, key, text)?;
    world.promises.begin(key)?;
    let read_text = read.as_ref().map(|read| read.text);
    if !world.promises.insisted.contains(key) {
        if read_text == Some(text) {
            return broken("5: what the server holds is not sent again", format!("{key}: {text}"));
        }
        let refused = world.promises.refused.get(key) == Some(&text.digest());
        if refused && read_text.is_none_or(|read| read.sort != Sort::Stub) {
            return broken("5: what was refused is not sent again", format!("{key}: {text}"));
        }
    }
    match read {
        Some(read) => replaces(world, key, form, &read)?,
        None if creates => is_no_twin(world, key, text)?,
        // What was read may have been removed since.
        None if !world.server.rows.contains_key(key) => {}
        None => return broken("nothing is replaced unseen", format!("{key}: {text}")),
    }
    // It goes by what it was told: another version may be on its way up.
    let versioned = world.server.versioned || world.promises.versioned.contains(key);
    // Nobody wants a stub back.
    let replaces_stub = read_text.is_some_and(|read| read.sort == Sort::Stub);
    if !creates && !versioned && !replaces_stub && !world.state.intents.contains_key(key) {
        return broken("9: before 0.12 nothing is sent before it is noted", format!("{key}"));
    }
    let promises = &mut world.promises;
    promises.ours.insert((key.clone(), text.digest()));
    promises.left.insert(key.clone());
    promises.sent.insert(key.clone(), text.digest());
    if promises.flipped.get(key).is_some_and(|flipped| promises.read_at.get(key).is_none_or(|read| read <= flipped)) {
        promises.doubt(key, text.digest(), world.now);
    }
    Ok(())
}

/// Who creates has looked for the row, or has a list of everything that is without it, and has never deployed it.
fn is_nowhere(world: &World, key: &Key) -> Result<(), Broken> {
    let promises = &world.promises;
    let deployed = promises.deployed.contains(key);
    let listed = promises.lists.get(&key.kind).is_none_or(|list| list.contains(key.id.as_str()));
    // A conversation goes by the list that there was when it began.
    let is_newer = promises.list_came.get(&key.kind) > promises.began.get(key);
    if promises.not_found.contains(key) || is_newer || (!listed && !deployed) {
        return Ok(());
    }
    broken("nothing is created unseen that is listed, or was deployed", format!("{key}"))
}

/// Which of two texts took the server away nobody knows, so the one that may have done so before is sent alone.
fn is_sent_alone(world: &World, key: &Key, text: Text) -> Result<(), Broken> {
    let is_suspect = |key: &Key, digest| {
        let crashed = world.promises.crashed.get(key).is_some_and(|(crashed, ..)| *crashed == digest);
        crashed || world.promises.unanswered.get(key).is_some_and(|(suspect, _)| *suspect == digest)
    };
    let others = || world.live().filter(|flight| key_in(&flight.call).is_some_and(|other| other != *key));
    let beside_suspect = others().any(|flight| match &flight.call {
        Call::Create(other, form) | Call::Update(other, form) if form.file.is_some() => {
            is_suspect(other, Digest::of_text(&form.content))
        }
        _ => false,
    });
    if beside_suspect || (is_suspect(key, text.digest()) && others().next().is_some()) {
        return broken("5: what may take the server's answer away is sent alone", format!("{key}: {text}"));
    }
    Ok(())
}

/// Texts reach the server in the order of the saves.
fn in_order(world: &mut World, key: &Key, text: Text) -> Result<(), Broken> {
    let history = world.promises.history.get(key).map(Vec::as_slice).unwrap_or_default();
    let reached = world.promises.reached.get(key).copied().unwrap_or_default();
    match history.iter().skip(reached).position(|saved| *saved == text) {
        Some(further) => {
            world.promises.reached.insert(key.clone(), reached + further);
            Ok(())
        }
        None => broken("2: no older text after a newer one", format!("{key}: {text} after {:?}", history.get(reached))),
    }
}

/// Somebody else's work is kept, or left alone, as the user wants it.
fn replaces(world: &World, key: &Key, form: &Form, read: &Held) -> Result<(), Broken> {
    let policy = &world.setup.policy.deploy;
    let foreign = read.writer == Writer::Hand
        && read.text.sort != Sort::Stub
        && Text::of(&form.content) != Some(read.text)
        && !world.promises.ours.contains(&(key.clone(), read.text.digest()));
    if foreign && policy.on_remote_edit == OnRemoteEdit::Hold && !world.promises.insisted.contains(key) {
        return broken("what somebody else wrote is held", format!("{key}: {}", read.text));
    }
    let kept = world.state.backups.contains(&(key.clone(), read.text.digest()));
    if foreign && policy.on_remote_edit != OnRemoteEdit::Overwrite && !kept {
        return broken("6: what is not ours is kept before it is replaced", format!("{key}: {}", read.text));
    }
    if read.text.sort == Sort::Stub {
        return Ok(());
    }
    if read.icon && !form.meta.contains_key("icon") {
        return broken("what others put into a row stays", format!("{key}: its picture"));
    }
    if read.renamed && form.name != read.name {
        return broken("what others put into a row stays", format!("{key}: its name"));
    }
    Ok(())
}

/// The same plugin under another id, that no file here claims.
fn twin(world: &World, key: &Key, text: Text) -> Option<Key> {
    let asks = world.setup.policy.deploy.adopt == Adopt::Ask && text.sort == Sort::Titled;
    let is_twin = |(other, held): &(&Key, &Held)| {
        let same = *other != key && other.kind == key.kind && held.text.sort == Sort::Titled;
        asks && same && world.claimants(other).is_empty()
    };
    world.server.rows.iter().find(is_twin).map(|(key, _)| key.clone())
}

fn is_no_twin(world: &World, key: &Key, text: Text) -> Result<(), Broken> {
    // What a file here has claimed may still be known as that file's, and what is there is only not found.
    let known = |twin: &Key| world.promises.history.contains_key(twin) || world.server.rows.contains_key(key);
    let Some(twin) = twin(world, key, text).filter(|twin| !known(twin)) else { return Ok(()) };
    let touched = world.promises.touched.get(&twin).copied().unwrap_or_default();
    // Seen in time both by who looks at everything and by who looks for twins.
    let seen = |shown: &BTreeMap<Kind, Duration>| shown.get(&key.kind).copied().filter(|shown| *shown > touched);
    let began = world.promises.began.get(key).copied().filter(|began| *began > touched);
    let knew = began.zip(seen(&world.promises.listed)).is_some_and(|(began, listed)| listed <= began);
    if knew && seen(&world.promises.shown).is_some() {
        return broken("what may be there under another id is not created", format!("{key}: {twin}"));
    }
    Ok(())
}

/// For how long the daemon may not know that a file is back: where the kernel says when a writer is done, it knows at once.
fn unsure(world: &World) -> Duration {
    if world.setup.exact { Duration::ZERO } else { ms(500) }
}

/// Nothing is deleted but what is ours, is to go, and was kept.
fn on_delete(world: &World, key: &Key) -> Result<(), Broken> {
    let Some(read) = world.promises.read.get(key) else {
        return broken("nothing is deleted unseen", format!("{key}"));
    };
    if read.text.sort == Sort::Stub {
        return Ok(());
    }
    if world.setup.policy.on_delete != OnDelete::Delete {
        return broken("nothing is deleted unless the user wants it", format!("{key}"));
    }
    if !world.promises.ours.contains(&(key.clone(), read.text.digest())) {
        return broken("nothing is deleted that is not ours", format!("{key}: {}", read.text));
    }
    if !world.state.backups.contains(&(key.clone(), read.text.digest())) {
        return broken("6: what is deleted was kept before", format!("{key}: {}", read.text));
    }
    match world.promises.gone.get(key) {
        Some(since) if world.now >= *since + world.setup.policy.gone_after => Ok(()),
        // It is back, which the daemon may not know yet.
        None if !world.hears_since(world.now.saturating_sub(unsure(world))) => Ok(()),
        None if world.changed_since(key, world.now.saturating_sub(unsure(world))) => Ok(()),
        since => broken("nothing is deleted before its file has stayed gone", format!("{key}: {since:?}")),
    }
}

fn on_prune(world: &World, key: &Key, version: &str) -> Result<(), Broken> {
    let number: Option<u32> = version.parse().ok();
    let versions = world.server.rows.get(key).map(|held| held.versions.as_slice()).unwrap_or_default();
    let foreign = versions.iter().any(|(version, by_daemon)| Some(*version) == number && !by_daemon);
    if world.setup.policy.keep_versions.is_none() || foreign {
        return broken("only our own versions are pruned", format!("{key}: {version}"));
    }
    Ok(())
}

/// Notes what became of a text that was sent: it counts as unanswered when no answer came, and it is not there, or nobody
/// says what is there.
fn on_answer(world: &mut World, call: &Call, reply: &Reply) {
    let promises = &mut world.promises;
    match (call, reply) {
        (Call::Update(key, form), Reply::Lost { .. } | Reply::Foreign { .. })
        | (Call::Create(key, form), Reply::Lost { .. })
            if form.file.is_some() =>
        {
            promises.lost.insert(key.clone(), (Digest::of_text(&form.content), Cause::NoAnswer));
        }
        (Call::Create(key, form) | Call::Update(key, form), Reply::Crashed { .. }) if form.file.is_some() => {
            promises.lost.insert(key.clone(), (Digest::of_text(&form.content), Cause::Crash));
        }
        (Call::Get(key), reply) => {
            let Some((digest, cause)) = promises.lost.get(key).copied() else { return };
            // What stands there for a moment is deleted first.
            let is_stub =
                |row: &Row| row.content.as_deref().and_then(Text::of).map(|text| text.sort) == Some(Sort::Stub);
            if matches!(reply, Reply::Row(row) if is_stub(row)) {
                return;
            }
            promises.lost.remove(key);
            if cause == Cause::Crash {
                if matches!(reply, Reply::Unreachable { .. } | Reply::Lost { .. }) {
                    promises.crashed.remove(key);
                    promises.on_unanswered(key, digest);
                }
                return;
            }
            // The last that was read is what the update would have replaced; before a create nothing was there.
            let before = promises.read.get(key);
            let is_so = match (reply, before) {
                (Reply::Row(row), Some(before)) => {
                    let went_off = before.active && row.is_active == Some(false) && !row.versioned;
                    let same = row.digest() == Some(before.text.digest());
                    row.digest() != Some(digest) && !(went_off && same)
                }
                (Reply::Absent, before) => before.is_none(),
                (Reply::Row(_), None) => false,
                (Reply::Unreachable { .. } | Reply::Lost { .. }, None) => true,
                (_, before) => before.is_some(),
            };
            if is_so {
                promises.crashed.remove(key);
                promises.on_unanswered(key, digest);
            }
        }
        (Call::Delete(key), reply) => {
            let gone = !matches!(
                reply,
                Reply::Unreachable { .. } | Reply::Lost { .. } | Reply::Stumbled { .. } | Reply::Crashed { .. }
            );
            let lost = promises.lost.remove(key).filter(|(_, cause)| gone && *cause == Cause::NoAnswer);
            if let Some((digest, _)) = lost {
                promises.on_unanswered(key, digest);
            }
        }
        _ => {}
    }
}

/// How the daemon came to hear an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// When it was asked.
    pub(super) asked: Duration,
    /// When the server came to it.
    pub(super) served: Duration,
    /// To learn of all that the server holds, and not of one plugin.
    pub(super) looks: bool,
    /// When it was asked, if that was ahead of a conversation.
    pub(super) ahead: Option<Duration>,
}

/// Notes what the daemon learns of the server.
pub(super) fn on_reply(world: &mut World, call: &Call, reply: &Reply, heard: Heard) {
    let Heard { served, looks, .. } = heard;
    if matches!(reply, Reply::Unreachable { retry_after: None, .. }) {
        // The conversation that hears of it is not over.
        let own = key_in(call).filter(|_| !matches!(call, Call::Prune(..)));
        let flying = world.flying().chain(own).collect();
        world.promises.on_no_connection(&flying, world.now);
    }
    on_answer(world, call, reply);
    // While something is made good, that it is busy is one cause among others.
    let asks = match call {
        Call::Connect | Call::Overview(_) => true,
        Call::Create(_, form) | Call::Update(_, form) => form.file.is_some(),
        _ => false,
    };
    // The answer to a look that was given up asks for nothing any more.
    if looks || *call != Call::Connect {
        let wish = match reply {
            Reply::Unreachable { retry_after: Some(wish), .. } => *wish,
            _ => Duration::ZERO,
        };
        world.promises.any_wish = wish;
        world.promises.wish = if asks { wish } else { Duration::ZERO };
    }
    if let Some(key) = key_in(call) {
        if matches!(call, Call::Toggle(_)) {
            // Without an answer nobody is held to anything.
            let times = if matches!(reply, Reply::Row(_)) { 1 } else { 2 };
            *world.promises.flips.entry(key.clone()).or_default() += times;
        }
        match reply {
            Reply::Row(row) => drop(row.is_active.map(|on| world.promises.switches.insert(key.clone(), on))),
            Reply::Lost { .. } => drop(world.promises.switches.remove(&key)),
            _ => {}
        }
        world.promises.ended.insert(key, world.now);
    }
    let (rows, now) = (&world.server.rows, world.now);
    let promises = &mut world.promises;
    if *call == Call::Attached {
        promises.uses_shown = Some(served);
    }
    match (call, reply) {
        (Call::Get(key), Reply::Row(_)) => drop(promises.not_found.remove(key)),
        // Of what is unclear a list tells more.
        (Call::Get(key), Reply::Absent | Reply::Unclear { .. }) => drop(promises.not_found.insert(key.clone())),
        (Call::Overview(kind), Reply::Rows(rows)) if looks => {
            promises.list_came.insert(*kind, now);
            promises.lists.insert(*kind, rows.iter().map(|row| row.id.to_string()).collect());
        }
        _ => {}
    }
    if let (Call::Get(key), Reply::Row(_) | Reply::Absent) | (Call::Delete(key), Reply::Deleted | Reply::Absent) =
        (call, reply)
    {
        promises.undeletable.remove(key);
    }
    match (call, reply) {
        (Call::Get(key), Reply::Row(row)) => {
            // What it is told may be some time old.
            let Some(text) = row.content.as_deref().and_then(Text::of) else { return };
            promises.look(key, Some(served), heard, world.now);
            promises.read_at.insert(key.clone(), served);
            if row.versioned {
                promises.versioned.insert(key.clone());
            } else {
                promises.versioned.remove(key);
            }
            // It may be gone by now.
            let held = rows.get(key).or_else(|| promises.read.get(key)).cloned();
            let held = held.unwrap_or_else(|| Held::read(text));
            let writer = if held.text == text { held.writer } else { Writer::Daemon };
            let renamed = held.renamed && held.name == row.name;
            let icon = row.meta.contains_key("icon");
            let (name, active) = (row.name.clone(), row.is_active == Some(true));
            promises.read.insert(key.clone(), Held { text, writer, name, renamed, icon, active, ..held });
        }
        (Call::Get(key), Reply::Absent) => {
            promises.read.remove(key);
            promises.look(key, (!rows.contains_key(key)).then_some(served), heard, world.now);
        }
        (Call::Overview(kind), Reply::Rows(listed)) => {
            // A row of which only the id can be read shows no title either.
            let is_whole = listed.iter().all(|row| row.version.is_some());
            if is_whole && listed.len() == rows.keys().filter(|key| key.kind == *kind).count() {
                promises.shown.insert(*kind, served);
                if looks {
                    promises.listed.insert(*kind, served);
                    promises.list_asked.insert(*kind, heard.asked);
                }
            } else {
                promises.shown.remove(kind);
            }
        }
        (Call::Overview(kind), _) => drop(promises.shown.remove(kind)),
        // Whoever may create may not always delete.
        (
            Call::Get(key) | Call::Delete(key),
            Reply::NotAllowed { .. } | Reply::Unclear { .. } | Reply::Foreign { .. },
        ) => {
            promises.undeletable.insert(key.clone());
            if matches!((call, reply), (Call::Get(_), Reply::Unclear { .. })) {
                promises.look(key, None, heard, world.now);
            }
        }
        _ => {}
    }
}

/// An exit code says what is so. While things happen nobody can say what that is.
pub(super) fn on_exit(world: &mut World, code: Code) -> Result<(), Broken> {
    let watches = world.setup.policy.once.is_none();
    if watches && code != Code::Fine {
        return broken("a watch ends well", format!("{code:?}"));
    }
    Ok(())
}

/// Why the server need not hold a file's text.
fn excuse(world: &World, key: &Key, text: Text, strict: bool) -> Option<&'static str> {
    let promises = &world.promises;
    let row = world.server.rows.get(key);
    let hold = world.setup.policy.deploy.on_remote_edit == OnRemoteEdit::Hold;
    let rollback = world.state.rollbacks.get(key);
    let touched = promises.touched.get(key).copied().unwrap_or_default();
    // What is under way is not looked at.
    let is_told = promises.ended.get(key) < promises.list_asked.get(&key.kind);
    let listed = promises.listed.get(&key.kind).filter(|_| is_told);
    let looked = promises.looked.get(key).max(listed).copied().unwrap_or_default();
    if text.is_refused() {
        Some("the server refuses it")
    } else if text.sort == Sort::Faulty && world.setup.policy.checks.all.block {
        Some("its errors hold it back")
    } else if promises.given_up.get(key) == Some(&text.digest()) {
        Some("the server has failed at it over and over")
    } else if promises.told_silenced.get(key) == Some(&text.digest()) {
        Some("it has taken the server's answer away twice")
    } else if promises.doubtful.contains_key(&(key.clone(), text.digest())) && is_recorded_as_refused(world, key, text)
    {
        Some("its refusal may be a mistake")
    } else if hold && row.is_some_and(|row| row.writer != Writer::Daemon) {
        Some("somebody else has changed it")
    } else if hold && row.is_some_and(|row| promises.unwritten.contains(&(key.clone(), row.text.digest()))) {
        Some("that we have changed it could not be written down")
    } else if rollback.is_some_and(|rollback| rollback.local == Some(text.digest())) {
        Some("it is rolled back")
    } else if row.is_none() && twin(world, key, text).is_some() {
        Some("it may be there under another id")
    } else if !strict && promises.told_twin.contains(key) {
        Some("it may have been there under another id")
    } else if !strict && promises.failed.contains(key) {
        Some("the user was told that it failed")
    } else if !strict && touched >= looked {
        Some("nobody has told the daemon what happened on the server")
    } else {
        None
    }
}

fn is_recorded_as_refused(world: &World, key: &Key, text: Text) -> bool {
    let ledger = world.driver.as_ref().map_or(&world.state.ledger, |driver| driver.engine().ledger());
    let last = ledger.get(key).map(|record| &record.last);
    matches!(last, Some(LastAttempt::Refused { digest, .. }) if *digest == text.digest())
}

/// Looks at everything when nothing happens any more. `strict`: the daemon has looked at everything as well.
pub(super) fn at_rest(world: &mut World, strict: bool) -> Result<(), Broken> {
    if world.setup.policy.deploy.dry_run {
        return Ok(());
    }
    let mut all_well = true;
    let mut all_claimed = BTreeSet::new();
    for (file, stored) in &world.disk {
        let Some(key) = stored.text.claim(*file) else {
            all_well &= stored.text.sort != Sort::Broken || !world.setup.policy.only.is_empty();
            continue;
        };
        all_claimed.insert(key.clone());
        if world.claimants(&key).len() > 1 {
            all_well &= !selected(world, &key);
            continue;
        }
        if !selected(world, &key) {
            continue;
        }
        let excuse = excuse(world, &key, stored.text, strict);
        let holds = world.server.rows.get(&key).map(|held| held.text);
        all_well &= holds == Some(stored.text);
        if excuse.is_none() && holds != Some(stored.text) {
            let holds = holds.map_or("nothing".to_owned(), |text| text.to_string());
            let detail = format!("{key} is {} on disk and {holds} on the server", stored.text);
            return broken("1: the server holds what the disk holds", detail);
        }
    }
    for (key, held) in &world.server.rows {
        if held.wanted_active.is_some_and(|on| on != held.active) && key.kind == Kind::Function {
            return broken("9: what was on is on", format!("{key} is {}", if held.active { "on" } else { "off" }));
        }
        // It waits for a text that may be sent.
        let is_held = |file: &char| world.blocks() && world.disk[file].text.sort == Sort::Faulty;
        let claimants = world.claimants(key);
        let stays = world.promises.undeletable.contains(key) || claimants.len() != 1 || claimants.iter().any(is_held);
        let is_stub = held.text.sort == Sort::Stub;
        if is_stub && strict && !stays {
            return broken("what is there for a moment goes again", format!("{key}"));
        }
        // A server before 0.12 runs the text that it refused in place of a stub.
        if held.runs != held.text && !held.contested && strict && !is_stub {
            return broken("9: what runs is what is stored", format!("{key} is {}, and {} runs", held.text, held.runs));
        }
    }
    if world.setup.policy.once.is_some() {
        let nothing = all_claimed.is_empty() || !world.setup.policy.only.is_empty();
        let works = world.trials_went_well();
        let expected = match world.exited {
            Some(Code::Fine) => all_well && works,
            Some(Code::NotDeployed) => !all_well || !works,
            Some(Code::Usage) => nothing,
            Some(Code::NoServer) => world.ends_server(),
            None => false,
        };
        if !expected {
            return broken("the exit code says what is so", format!("{:?}, and all is well: {all_well}", world.exited));
        }
        // A trial takes a minute at most, and two run at once.
        let patience = ms(if world.setup.policy.trials.is_some() { 300_000 } else { 120_000 });
        if world.now > world.promises.started + patience {
            return broken("one pass ends in time", format!("begun at {:?}", world.promises.started));
        }
        if let Some(Code::Fine | Code::NotDeployed) = world.exited {
            return world.all_were_tried();
        }
    }
    Ok(())
}

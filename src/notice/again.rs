//! Counts what plugins do again: the same exception, and the same kind of server event.

use std::collections::BTreeMap;

use super::{Notice, NoticeKind, Raised};
use crate::plugin::{Digest, Key};

/// Exceptions and kinds of events of one plugin that are counted. Beyond that, counts begin anew.
const MOST: usize = 200;

/// What plugins did so far, each with its present text.
#[derive(Debug, Default)]
pub struct Repetitions(BTreeMap<Key, Counts>);

#[derive(Debug, Default)]
struct Counts {
    digest: Option<Digest>,
    /// By hook, words and places.
    raised: BTreeMap<String, u64>,
    /// By the name of the event: how many calls.
    events: BTreeMap<String, u64>,
}

impl Repetitions {
    /// The same notice with its count.
    #[must_use]
    pub fn count(&mut self, mut notice: Notice) -> Notice {
        let Some(key) = notice.about.key.clone() else { return notice };
        let is_counted =
            matches!(&notice.what, NoticeKind::Raised(_) | NoticeKind::Called { server_event: Some(_), .. });
        if !is_counted {
            return notice;
        }
        let counts = self.0.entry(key).or_default();
        // No text is known before the files are read, nor while the file is broken: the server has the one before.
        let digest = notice.about.digest.or(counts.digest);
        let is_other = counts.digest.is_some() && counts.digest != digest;
        if is_other || counts.raised.len().max(counts.events.len()) >= MOST {
            *counts = Counts::default();
        }
        counts.digest = digest;
        match &mut notice.what {
            NoticeKind::Raised(raised) => {
                let before = counts.raised.entry(fingerprint(raised)).or_default();
                raised.before = *before;
                *before += 1;
            }
            NoticeKind::Called { server_event: Some(name), times, total, .. } => {
                let calls = counts.events.entry(name.clone()).or_default();
                *calls += *times;
                *total = Some(*calls);
            }
            _ => {}
        }
        notice
    }
}

/// What two exceptions that are the same have in common.
fn fingerprint(raised: &Raised) -> String {
    let Raised { hook, error, frames, at, causes, .. } = raised;
    let places: Vec<_> = frames.iter().map(|frame| (&frame.key, frame.span.line, frame.span.column)).collect();
    let causes: Vec<_> = causes.iter().map(|(error, _)| error).collect();
    format!("{hook} {error} {places:?} {at:?} {causes:?}")
}

/// Whether a count is told: the first, and then 10, 100, 1000 and so on.
pub(super) fn is_told(mut total: u64) -> bool {
    while total >= 10 && total.is_multiple_of(10) {
        total /= 10;
    }
    total == 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Level;
    use super::super::samples::{raised, shout};
    use super::*;

    fn before(repetitions: &mut Repetitions, raised: Raised, text: Option<&str>) -> u64 {
        let mut notice = shout(NoticeKind::Raised(Box::new(raised)));
        notice.about.digest = text.map(Digest::of_text);
        let NoticeKind::Raised(raised) = repetitions.count(notice).what else { panic!() };
        raised.before
    }

    #[test]
    fn the_same_exception_is_counted_until_the_text_changes() {
        let mut all = Repetitions::default();
        let slow = || Raised { took: Some(Duration::from_secs(1)), ..raised("pipe") };
        let other = || Raised { error: "KeyError: 'other'".to_owned(), ..raised("pipe") };
        let mut elsewhere = raised("pipe");
        elsewhere.frames[0].span.line += 1;
        let told = [raised("pipe"), slow(), other(), raised("inlet"), elsewhere, slow()];
        assert_eq!(told.map(|raised| before(&mut all, raised, Some("one"))), [0, 1, 0, 0, 0, 2]);
        assert_eq!([slow(), slow()].map(|raised| before(&mut all, raised, Some("two"))), [0, 1]);
    }

    #[test]
    fn a_file_that_breaks_starts_no_new_count() {
        let mut all = Repetitions::default();
        let texts = [None, Some("one"), None, Some("one"), None, Some("two"), None];
        assert_eq!(texts.map(|text| before(&mut all, raised("pipe"), text)), [0, 1, 2, 3, 4, 0, 1]);
    }

    #[test]
    fn each_kind_of_event_is_told_first_and_then_by_its_count() {
        let mut all = Repetitions::default();
        let mut call = |name: &str| {
            all.count(shout(NoticeKind::Called {
                hook: "event".to_owned(),
                server_event: Some(name.to_owned()),
                result: "None".to_owned(),
                again: false,
                times: 1,
                total: None,
                took: Duration::from_millis(1),
            }))
        };
        let told: Vec<_> = (0..100).map(|_| call("user.login")).filter(|told| told.level() == Level::Info).collect();
        let sentences: Vec<_> = told.iter().map(Notice::sentence).collect();
        assert_eq!(sentences, ["event user.login", "event user.login, 10 so far", "event user.login, 100 so far"]);
        assert_eq!(told[2].took(), Some(Duration::from_millis(1)));
        assert_eq!(call("chat.created").level(), Level::Info);
        assert_eq!(call("chat.created").level(), Level::Detail);
        assert_eq!(call("auth.login").level(), Level::Detail, "in the sandbox programs log in, not people");
    }

    #[test]
    fn counts_do_not_grow_without_end() {
        let mut all = Repetitions::default();
        let odd = |n: usize| Raised { error: format!("KeyError: {n}"), ..raised("pipe") };
        for n in 0..3 * MOST {
            assert_eq!(before(&mut all, odd(n), Some("one")), 0);
        }
        assert!(all.0.values().all(|counts| counts.raised.len() <= MOST));
    }
}
